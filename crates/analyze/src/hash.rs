//! The hash behind a site's identity. Baselines of CI store its values, so it never changes: FNV-1a, 64 bits, over
//! length-prefixed texts, with a final mix because FNV's high bits are weak on short input.

/// A running FNV-1a hash.
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) fn new() -> Fnv {
        Fnv(0xCBF2_9CE4_8422_2325)
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }

    /// Adds a text and its length, so that ("ab", "c") and ("a", "bc") differ.
    pub(crate) fn text(&mut self, text: &str) -> &mut Fnv {
        text.bytes().for_each(|b| self.byte(b));
        self.number(text.len() as u64)
    }

    /// Adds a number, eight bytes at once: mixed first, so that every bit counts.
    pub(crate) fn number(&mut self, number: u64) -> &mut Fnv {
        self.0 = (self.0 ^ mix(number.wrapping_add(0x9E37_79B9_7F4A_7C15))).wrapping_mul(0x0000_0100_0000_01B3);
        self
    }

    pub(crate) fn finish(&self) -> u64 {
        mix(self.0)
    }
}

/// SplitMix64's finalizer.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_between_texts_count() {
        let hash = |parts: &[&str]| {
            let mut fnv = Fnv::new();
            parts.iter().for_each(|p| {
                fnv.text(p);
            });
            fnv.finish()
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["", "a"]), hash(&["a", ""]));
    }

    #[test]
    fn the_values_are_pinned_because_baselines_store_them() {
        let mut fnv = Fnv::new();
        fnv.text("com.acme.Foo.run").number(88);
        assert_eq!(format!("{:016x}", fnv.finish()), "68fc7df572728456");
    }
}
