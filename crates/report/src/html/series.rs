//! The history of the page's sites as bytes: small enough for a page, read by a few lines of script.
//!
//! ```text
//! site    = births, birth*, steps, step*
//! birth   = born (difference to the one before), changes, change*
//! change  = at (difference to the one before), bytes, deviation       both in units of the site
//! step    = at (difference to the one before), bytes allocated since the one before, deviation      in units of their own
//! ```
//! All are unsigned numbers of 7 bits a byte, low ones first, the high bit set where another byte follows. Deviation is
//! the square root of the variance. The unit is a power of two that leaves 14 bits of a sampled site's largest amount: off
//! by less than a 10,000th, where chance alone makes it a 1,000th after a million samples. Exact sites have 21 bits.

use base64::Engine;
use leakscope_analyze::{Allocated, SiteHistory};

/// Numbers of this many bits are kept whole: those that fill two and three bytes.
const BITS_SAMPLED: u32 = 14;
const BITS_EXACT: u32 = 21;

/// A site's bytes, and the exponents of its units: of what is live, and of what is allocated.
pub(crate) struct Packed {
    pub bytes: Vec<u8>,
    pub exponents: [u32; 2],
}

/// Packs one site.
pub(crate) fn pack(site: &SiteHistory) -> Packed {
    let amounts = site.cells.iter().flat_map(|cell| [cell.bytes, cell.bytes_variance.sqrt()]);
    let allocated = site.allocated.iter().map(|now| now.bytes);
    let bits = if site.missable_bytes > 0 { BITS_SAMPLED } else { BITS_EXACT };
    let exponents = [exponent_of(amounts.fold(0.0, f64::max), bits), exponent_of(allocated.fold(0.0, f64::max), bits)];
    let [unit, unit_of_allocated] = exponents.map(|exponent| 2f64.powi(exponent as i32));
    let mut bytes = Vec::new();
    let births: Vec<_> = site.cells.chunk_by(|a, b| a.born == b.born).collect();
    number(&mut bytes, births.len() as u64);
    let mut born = 0;
    for cells in births {
        number(&mut bytes, u64::from(cells[0].born - born));
        number(&mut bytes, cells.len() as u64);
        born = cells[0].born;
        let mut at = 0;
        for cell in cells {
            number(&mut bytes, u64::from(cell.at - at));
            number(&mut bytes, in_units(cell.bytes, unit));
            number(&mut bytes, in_units(cell.bytes_variance.sqrt(), unit));
            at = cell.at;
        }
    }
    number(&mut bytes, site.allocated.len() as u64);
    let (mut before, mut at_units) = (Allocated::default(), 0);
    for now in &site.allocated {
        // Rounded as a whole, so that the errors of many steps do not add up.
        let units = in_units(now.bytes, unit_of_allocated).max(at_units);
        let variance = (now.bytes_variance - before.bytes_variance).max(0.0);
        number(&mut bytes, u64::from(now.at - before.at));
        number(&mut bytes, units - at_units);
        number(&mut bytes, in_units(variance.sqrt(), unit_of_allocated));
        (before, at_units) = (*now, units);
    }
    Packed { bytes, exponents }
}

/// As text for JSON.
pub(crate) fn text(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn exponent_of(largest: f64, bits: u32) -> u32 {
    let mut exponent = 0;
    while exponent < 64 && largest / 2f64.powi(exponent as i32) >= f64::from(1u32 << bits) {
        exponent += 1;
    }
    exponent
}

fn in_units(amount: f64, unit: f64) -> u64 {
    // A float's cast saturates, and what is no number becomes 0.
    (amount / unit).round() as u64
}

fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_analyze::{Cell, Place, SiteId};
    use leakscope_profile::model::Kind;

    #[test]
    fn numbers_are_written_as_the_head_of_this_file_says() {
        let cell = |born, at, bytes: f64| Cell { born, at, samples: 1, bytes, bytes_variance: 9.0 };
        let place = Place {
            id: SiteId(1),
            key: SiteId(1),
            kind: Kind::Malloc,
            frames: Vec::new(),
            application: None,
            is_jvms_own: false,
        };
        let cells = vec![cell(1, 1, 300.0), cell(1, 4, 0.0), cell(3, 3, 5.0)];
        let step = |at, bytes, bytes_variance| Allocated { at, bytes, bytes_variance };
        let allocated = vec![step(1, 300.0, 9.0), step(3, 305.0, 25.0)];
        let site = SiteHistory { place, missable_bytes: 0, cells, allocated };
        let packed = pack(&site);
        assert_eq!(packed.exponents, [0, 0]);
        let first = [2, 1, 2, 1, 0xAC, 0x02, 3, 3, 0, 3];
        let second = [2, 1, 3, 5, 3];
        let allocated = [2, 1, 0xAC, 0x02, 3, 2, 5, 4];
        assert_eq!(packed.bytes, [&first[..], &second, &allocated].concat());
    }

    #[test]
    fn large_amounts_keep_their_upper_bits() {
        assert_eq!(exponent_of(0.0, BITS_EXACT), 0);
        assert_eq!(exponent_of(f64::from(1u32 << 21) - 1.0, BITS_EXACT), 0);
        assert_eq!(exponent_of(f64::from(1u32 << 21), BITS_EXACT), 1);
        assert_eq!(exponent_of(2f64.powi(40), BITS_SAMPLED), 27);
        assert_eq!(exponent_of(f64::INFINITY, BITS_EXACT), 64);
        assert_eq!(in_units(f64::NAN, 1.0), 0);
    }
}
