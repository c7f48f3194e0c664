//! From a size and an interval to the inclusion probability, and from one sample to what it stands for.

use crate::Interval;

/// Probability that an allocation of `size` bytes is recorded: `1 - e^(-max(size, 1) / interval)`; exactly 1.0 in
/// exact mode.
///
/// Two worked numbers: one interval's worth of bytes has p = 0.6321; 64 bytes at 512 KiB have p = 0.000122.
/// From about 37.5 intervals on, p rounds to exactly 1.0.
#[inline]
pub fn inclusion_probability(size: u64, interval: Interval) -> f64 {
    if interval.is_exact() {
        return 1.0;
    }
    // expm1 because 1 - exp(-x) loses all digits where x is small, and small blocks are most of a heap.
    -libm::expm1(-(size.max(1) as f64) / interval.bytes() as f64)
}

/// How many allocations of this size one recorded one stands for: 1/p.
#[inline]
pub fn weight(size: u64, interval: Interval) -> f64 {
    1.0 / inclusion_probability(size, interval)
}

/// What one sample adds to the sums of DESIGN 6: to T (`bytes`, `objects`) and to V (the variances).
///
/// With y = size or 1: T = y/p, V = y^2 (1-p)/p^2. Worked: a block of exactly one interval R adds T = 1.582 R and
/// V = 0.921 R^2; one of 64 bytes at 512 KiB adds T = 524,320 bytes and V = 2.749e11.
/// Source: Horvitz and Thompson 1952, for Poisson sampling.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scaled {
    /// Estimated bytes.
    pub bytes: f64,
    /// Variance of `bytes`, bytes squared.
    pub bytes_variance: f64,
    /// Estimated objects: the weight.
    pub objects: f64,
    /// Variance of `objects`.
    pub objects_variance: f64,
}

impl Scaled {
    /// Scales up one sample of `size` bytes that was drawn with `interval`. Where p = 1 the variances are exactly 0.
    #[inline]
    pub fn sample(size: u64, interval: Interval) -> Scaled {
        let p = inclusion_probability(size, interval);
        let y = size as f64;
        let objects_variance = (1.0 - p) / (p * p);
        Scaled { bytes: y / p, bytes_variance: y * y * objects_variance, objects: 1.0 / p, objects_variance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R: Interval = Interval::DEFAULT;

    fn close(a: f64, b: f64, relative: f64) -> bool {
        (a - b).abs() <= relative * b.abs()
    }

    #[test]
    fn worked_numbers_of_the_documentation() {
        assert!(close(inclusion_probability(R.bytes(), R), 0.632_120_558_828_557_7, 1e-15));
        assert!(close(inclusion_probability(64, R), 0.000_122_062_86, 1e-7));
        let one = Scaled::sample(R.bytes(), R);
        assert!(close(one.bytes / R.bytes() as f64, 1.582, 1e-3));
        assert!(close(one.bytes_variance / (R.bytes() as f64).powi(2), 0.921, 1e-3));
        let small = Scaled::sample(64, R);
        assert!(close(small.bytes, 524_320.0, 1e-6), "{}", small.bytes);
        assert!(close(small.bytes_variance, 2.749e11, 1e-3), "{}", small.bytes_variance);
    }

    #[test]
    fn exact_mode_is_exact_for_every_size() {
        for size in [0, 1, 7, 1 << 40, u64::MAX] {
            assert_eq!(inclusion_probability(size, Interval::EXACT), 1.0);
            let scaled = Scaled::sample(size, Interval::EXACT);
            assert_eq!((scaled.bytes, scaled.bytes_variance), (size as f64, 0.0));
            assert_eq!((scaled.objects, scaled.objects_variance), (1.0, 0.0));
        }
    }

    #[test]
    fn a_block_of_no_bytes_is_drawn_as_one_byte_and_weighs_nothing() {
        assert_eq!(inclusion_probability(0, R), inclusion_probability(1, R));
        let scaled = Scaled::sample(0, R);
        assert_eq!(scaled.bytes, 0.0);
        assert!(close(scaled.objects, R.bytes() as f64, 1e-5));
    }

    #[test]
    fn a_tiny_probability_keeps_its_digits() {
        // 1 - exp(-x) in f64 would give 0 here.
        let p = inclusion_probability(1, Interval::from_bytes(1 << 62));
        assert!(close(p, 1.0 / (1u64 << 62) as f64, 1e-12));
    }

    #[test]
    fn a_huge_block_has_probability_one_and_no_variance() {
        let scaled = Scaled::sample(40 * R.bytes(), R);
        assert_eq!((scaled.objects, scaled.bytes_variance), (1.0, 0.0));
    }
}
