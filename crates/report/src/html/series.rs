//! The history of the page's sites as bytes: small enough for a page, read by a few lines of script.
//!
//! ```text
//! site    = births, birth*, steps, step*
//! birth   = born (difference to the one before), changes, change*
//! change  = at (difference to the one before), bytes, deviation       both in units of the site
//! step    = at (difference to the one before), bytes allocated since (difference to the one before)
//! ```
//! All are unsigned numbers of 7 bits a byte, low ones first, the high bit set where another byte follows. Deviation is
//! the square root of the variance. The unit is a power of two that leaves 14 bits of a sampled site's largest amount: off
//! by less than a 10,000th, where chance alone makes it a 1,000th after a million samples. Exact sites have 21 bits.

use base64::Engine;
use leakscope_analyze::SiteHistory;

/// Numbers of this many bits are kept whole: those that fill two and three bytes.
const BITS_SAMPLED: u32 = 14;
const BITS_EXACT: u32 = 21;

/// A site's bytes, and the exponent of its unit.
pub(crate) struct Packed {
    pub bytes: Vec<u8>,
    pub exponent: u32,
}

/// Packs one site.
pub(crate) fn pack(site: &SiteHistory) -> Packed {
    let amounts = site.cells.iter().flat_map(|cell| [cell.bytes, cell.bytes_variance.sqrt()]);
    let largest = amounts.chain(site.allocated.iter().map(|(_, bytes)| *bytes)).fold(0.0, f64::max);
    let bits = if site.missable_bytes > 0 { BITS_SAMPLED } else { BITS_EXACT };
    let exponent = exponent_of(largest, bits);
    let unit = 2f64.powi(exponent as i32);
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
    let (mut at, mut before) = (0, 0);
    for (step, amount) in &site.allocated {
        let amount = in_units(*amount, unit).max(before);
        number(&mut bytes, u64::from(step - at));
        number(&mut bytes, amount - before);
        (at, before) = (*step, amount);
    }
    Packed { bytes, exponent }
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
        let site = SiteHistory { place, missable_bytes: 0, cells, allocated: vec![(1, 300.0), (3, 305.0)] };
        let packed = pack(&site);
        assert_eq!(packed.exponent, 0);
        let first = [2, 1, 2, 1, 0xAC, 0x02, 3, 3, 0, 3];
        let second = [2, 1, 3, 5, 3];
        let allocated = [2, 1, 0xAC, 0x02, 2, 5];
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
