//! How often a class of one name was loaded, about.
//!
//! Ids of methods stay with the JVM for ever: some 130 bytes for each loader of a single class. A program that loads the
//! same class again and again (scripts, proxies, serializers, each with a loader of its own) would make us leak megabytes
//! an hour. So after [`MOST_LOADS`] of one name its further loads get none; the frames of those have no name.
//!
//! Counters are found by a hash of the name without its digits: generated classes are numbered.

use core::sync::atomic::{AtomicU16, Ordering};

/// Loads of one name that get method ids.
pub const MOST_LOADS: u16 = 1000;

const COUNTERS: usize = 1 << 14;

/// Loads in this process. A static of its own: in the file it takes no room.
pub(crate) static LOADS: Loads = Loads::new();

/// Loads by name.
pub(crate) struct Loads([AtomicU16; COUNTERS]);

impl Loads {
    const fn new() -> Self {
        Self([const { AtomicU16::new(0) }; COUNTERS])
    }

    /// Counts a load of a class with this signature; whether there were too many before.
    pub(crate) fn is_one_too_many(&self, signature: &[u8]) -> bool {
        let Some(counter) = self.0.get(hash(signature) as usize & (COUNTERS - 1)) else { return false };
        // Two threads at once may count one load: it is a bound, not a number.
        let before = counter.load(Ordering::Relaxed);
        if before < MOST_LOADS {
            counter.store(before + 1, Ordering::Relaxed);
        }
        before >= MOST_LOADS
    }
}

/// FNV-1a of the name: without digits, and without the address that hidden classes bear behind `+0x`, `.0x` or `/0x`.
fn hash(signature: &[u8]) -> u64 {
    let address = signature.windows(2).position(|two| two == b"0x").unwrap_or(signature.len());
    let name = signature.iter().take(address).filter(|byte| !byte.is_ascii_digit());
    let hash =
        name.fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3));
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_again_and_again_is_one_too_many() {
        static LOADS: Loads = Loads::new();
        assert!((0..MOST_LOADS).all(|_| !LOADS.is_one_too_many(b"Lcom/acme/Script;")));
        assert!(LOADS.is_one_too_many(b"Lcom/acme/Script;") && LOADS.is_one_too_many(b"Lcom/acme/Script;"));
        assert!(!LOADS.is_one_too_many(b"Lcom/acme/Service;"));
    }

    #[test]
    fn numbers_do_not_make_another_name() {
        for (a, b) in [
            ("Lcom/sun/proxy/$Proxy17;", "Lcom/sun/proxy/$Proxy4;"),
            ("Lcom/acme/A$$Lambda$77/0x0000000800c03000;", "Lcom/acme/A$$Lambda$9/0x00007f21a8001f00;"),
            ("Lcom/acme/A$$Lambda.0x0000000800c03000;", "Lcom/acme/A$$Lambda.0x0000000800c0ff00;"),
        ] {
            assert_eq!(hash(a.as_bytes()), hash(b.as_bytes()), "{a} {b}");
        }
        assert_ne!(hash(b"Lcom/acme/A$$Lambda.0x0;"), hash(b"Lcom/acme/B$$Lambda.0x0;"));
    }

    /// 30,000 classes that are loaded once each share counters, and none of them reaches the bound.
    #[test]
    fn a_large_application_is_far_from_the_bound() {
        static LOADS: Loads = Loads::new();
        let letters = |mut n: u32| {
            let mut name = b"Lcom/acme/".to_vec();
            while n > 0 {
                name.push(b'a' + (n % 26) as u8);
                n /= 26;
            }
            name
        };
        assert!((0..30_000).all(|n| !LOADS.is_one_too_many(&letters(n))));
        let highest = LOADS.0.iter().map(|counter| counter.load(Ordering::Relaxed)).max();
        assert!(highest < Some(20), "{highest:?}");
    }
}
