//! The sampling interval: a newtype, because a zero or a mixed-up one silently biases every estimate.

use core::num::NonZeroU64;

/// Mean bytes between samples; at least 1, and 1 is exact mode (every allocation is recorded).
///
/// `Option<Interval>` is a plain `u64` in memory whose zero is `None`, so a zeroed thread block is a valid state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Interval(NonZeroU64);

impl Interval {
    /// Every allocation is recorded, with p = 1.
    pub const EXACT: Interval = Interval(NonZeroU64::MIN);
    /// 512 KiB, the default of `leakscope run`.
    pub const DEFAULT: Interval = Interval::from_bytes(512 << 10);

    /// An interval of `bytes`; 0 is taken for 1.
    pub const fn from_bytes(bytes: u64) -> Interval {
        match NonZeroU64::new(bytes) {
            Some(bytes) => Interval(bytes),
            None => Interval::EXACT,
        }
    }

    /// The mean number of bytes between samples.
    pub const fn bytes(self) -> u64 {
        self.0.get()
    }

    /// Whether every allocation is recorded.
    pub const fn is_exact(self) -> bool {
        self.0.get() == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_bytes_means_exact() {
        assert_eq!(Interval::from_bytes(0), Interval::EXACT);
        assert!(Interval::from_bytes(1).is_exact());
        assert!(!Interval::from_bytes(2).is_exact());
    }

    #[test]
    fn an_optional_interval_is_one_word() {
        assert_eq!(size_of::<Option<Interval>>(), 8);
    }
}
