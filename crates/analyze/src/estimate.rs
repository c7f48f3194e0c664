//! An estimate and its interval, from the sums over any set of sampled blocks: a site, a subtree, everything.
//!
//! With y the size in bytes (or 1, for objects) and p the inclusion probability of each sampled block:
//!
//! ```text
//! T = sum y/p        V = sum y^2 (1-p)/p^2        O = sum y      (certain: those blocks were seen)
//! w = what one block just missed would have added: the largest interval in the set for bytes, that interval over
//!     the smallest size for objects; only blocks with p < 1 can be missed
//! low  = max(O, q(a/2;   T^2/V,             V/T))
//! high =        q(1-a/2; (T+w)^2/(V+w^2),   (V+w^2)/(T+w))      q = gamma quantile (probability; shape, scale)
//! ```
//!
//! Worked: one sample of 64 bytes at interval R gives T = R and [0.025 R, 5.57 R]; none at all gives [0, 3.69 R].
//! Source: Fay and Feuer 1997, intervals for weighted sums of Poisson counts. The normal approximation covers 63 %
//! where one sample is expected, this one at least 94.7 % (`tests/coverage.rs`).

use leakscope_profile::model::Row;
use leakscope_sampling::{Interval, Scaled, inclusion_probability};

use crate::gamma::gamma_quantile;

/// The error rate of the intervals that people see: 5 %, so that they hold in 95 of 100 cases.
pub const ERROR_RATE: f64 = 0.05;

/// A number that was scaled up from samples, and the interval in which the truth lies in 95 of 100 cases.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// The unbiased estimate.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Estimate {
    /// A number known exactly.
    pub fn exact(value: f64) -> Estimate {
        Estimate { estimate: value, low: value, high: value }
    }

    /// Whether there is no uncertainty at all.
    pub fn is_exact(&self) -> bool {
        self.low == self.high
    }

    /// Whether the interval leaves it open if there is anything at all: of a change, that it is not significant.
    pub fn may_be_zero(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }

    /// Whether it says next to nothing: the interval spans more than a factor of ten.
    pub fn is_vague(&self) -> bool {
        self.high > 10.0 * self.low
    }

    /// Half the width of the interval.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// The half width, where the interval is close enough to symmetric that `estimate +- half width` describes it:
    /// neither side more than a quarter longer than the other. `None`: print the ends.
    pub fn plus_minus(&self) -> Option<f64> {
        let (below, above) = (self.estimate - self.low, self.high - self.estimate);
        (below.max(above) <= 1.25 * below.min(above)).then(|| self.half_width())
    }

    /// Half the width of the interval as a part of the estimate; `None` where the estimate is 0.
    pub fn relative_error(&self) -> Option<f64> {
        (self.estimate != 0.0).then(|| (self.half_width() / self.estimate).abs())
    }
}

/// The sums over a set of sampled blocks, which add up over any sets that do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sums {
    /// Sampled blocks.
    pub samples: u64,
    /// T for bytes.
    pub bytes: f64,
    /// V for bytes.
    pub bytes_variance: f64,
    /// O for bytes.
    pub bytes_observed: u64,
    /// T for objects.
    pub objects: f64,
    /// V for objects.
    pub objects_variance: f64,
    /// What could have been missed.
    pub missable: Missable,
    /// What of it is in memory.
    pub resident: Resident,
}

/// What of some mappings and stacks is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resident {
    /// Bytes of those of which it is known.
    pub bytes: u64,
    /// How many there are of which it is not.
    pub unknown: u64,
}

impl Resident {
    fn of(row: &Row) -> Resident {
        match row.resident_bytes {
            Some(bytes) => Resident { bytes, unknown: 0 },
            None => Resident { bytes: 0, unknown: row.samples },
        }
    }

    fn add(&mut self, other: Resident) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.unknown = self.unknown.saturating_add(other.unknown);
    }

    /// Bytes, if they are known of all.
    pub fn known(self) -> Option<u64> {
        (self.unknown == 0).then_some(self.bytes)
    }
}

/// What a set could contain besides the blocks that were sampled.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Missable {
    /// The largest interval among rows with p < 1, bytes; 0 if every block is recorded.
    pub interval_bytes: u64,
    /// The smallest block among those rows, bytes; 0 if there was none.
    pub smallest_bytes: u64,
}

impl Missable {
    /// A set of which nothing was sampled with this interval.
    pub fn unseen(interval_bytes: u64) -> Missable {
        let exact = Interval::from_bytes(interval_bytes).is_exact();
        Missable { interval_bytes: if exact { 0 } else { interval_bytes }, smallest_bytes: 0 }
    }

    /// What could be missed beside the blocks of a row.
    pub(crate) fn of(row: &Row) -> Missable {
        // Up to here a block is missed with a chance of e^-32, far from what a number could not tell from 0.
        const SURELY_UNCERTAIN: u64 = 32;
        let interval = Interval::from_bytes(row.interval_bytes);
        let is_small = !interval.is_exact() && row.smallest_bytes / SURELY_UNCERTAIN < row.interval_bytes;
        if !is_small && inclusion_probability(row.smallest_bytes, interval) >= 1.0 {
            return Missable::default();
        }
        Missable { interval_bytes: row.interval_bytes, smallest_bytes: row.smallest_bytes.max(1) }
    }

    /// What could be missed in either of two sets.
    pub fn or(self, other: Missable) -> Missable {
        let smallest = match (self.smallest_bytes, other.smallest_bytes) {
            (0, size) | (size, 0) => size,
            (a, b) => a.min(b),
        };
        Missable { interval_bytes: self.interval_bytes.max(other.interval_bytes), smallest_bytes: smallest }
    }

    fn bytes(self) -> f64 {
        self.interval_bytes as f64
    }

    fn objects(self) -> f64 {
        self.interval_bytes as f64 / self.smallest_bytes.max(1) as f64
    }
}

impl Sums {
    /// Adds the blocks of one row.
    pub fn add_row(&mut self, row: &Row) {
        self.add(&Sums {
            samples: row.samples,
            bytes: row.bytes,
            bytes_variance: row.bytes_variance,
            bytes_observed: row.bytes_observed,
            objects: row.objects,
            objects_variance: row.objects_variance,
            missable: Missable::of(row),
            resident: Resident::of(row),
        });
    }

    /// Adds one sampled block of `size` bytes that was drawn with `interval`.
    pub fn add_sample(&mut self, size: u64, interval: Interval) {
        let scaled = Scaled::sample(size, interval);
        let certain = scaled.objects <= 1.0;
        let missable = Missable { interval_bytes: interval.bytes(), smallest_bytes: size.max(1) };
        self.add(&Sums {
            samples: 1,
            bytes: scaled.bytes,
            bytes_variance: scaled.bytes_variance,
            bytes_observed: size,
            objects: scaled.objects,
            objects_variance: scaled.objects_variance,
            missable: if certain { Missable::default() } else { missable },
            resident: Resident { bytes: 0, unknown: 1 },
        });
    }

    /// Adds a set that does not overlap this one.
    pub fn add(&mut self, other: &Sums) {
        self.samples = self.samples.saturating_add(other.samples);
        self.bytes += other.bytes;
        self.bytes_variance += other.bytes_variance;
        self.bytes_observed = self.bytes_observed.saturating_add(other.bytes_observed);
        self.objects += other.objects;
        self.objects_variance += other.objects_variance;
        self.missable = self.missable.or(other.missable);
        self.resident.add(other.resident);
    }

    /// This set without `part`, one of its subsets: what is gone when `part` is what is still there.
    ///
    /// When both count the same samples they *are* the same, and the answer is zero without the rounding errors
    /// that two orders of summing leave behind; otherwise everything is clamped at 0.
    pub fn without(&self, part: &Sums) -> Sums {
        let samples = self.samples.saturating_sub(part.samples);
        if samples == 0 {
            return Sums { missable: self.missable, ..Sums::default() };
        }
        Sums {
            samples,
            bytes: (self.bytes - part.bytes).max(0.0),
            bytes_variance: (self.bytes_variance - part.bytes_variance).max(0.0),
            bytes_observed: self.bytes_observed.saturating_sub(part.bytes_observed),
            objects: (self.objects - part.objects).max(0.0),
            objects_variance: (self.objects_variance - part.objects_variance).max(0.0),
            missable: self.missable,
            // What is gone is in nobody's memory.
            resident: Resident::default(),
        }
    }

    /// Whether every block of this set is recorded, so that its sums are no estimates.
    pub fn is_exact(&self) -> bool {
        self.missable.interval_bytes == 0 && self.bytes_variance == 0.0
    }

    /// Bytes, with the interval that fails in `error_rate` of all cases.
    pub fn bytes_estimate(&self, error_rate: f64) -> Estimate {
        let observed = self.bytes_observed as f64;
        interval(self.bytes, self.bytes_variance, observed, self.missable.bytes(), error_rate)
    }

    /// Objects, with the interval that fails in `error_rate` of all cases.
    pub fn objects_estimate(&self, error_rate: f64) -> Estimate {
        let observed = self.samples as f64;
        interval(self.objects, self.objects_variance, observed, self.missable.objects(), error_rate)
    }
}

/// The Fay-Feuer interval; see the head of this file.
pub(crate) fn interval(total: f64, variance: f64, observed: f64, missable: f64, error_rate: f64) -> Estimate {
    let (low, high) =
        (lower_bound(total, variance, observed, error_rate), upper_bound(total, variance, missable, error_rate));
    Estimate { estimate: total, low: low.min(total), high: high.max(total) }
}

pub(crate) fn lower_bound(total: f64, variance: f64, observed: f64, error_rate: f64) -> f64 {
    if variance <= 0.0 {
        return total;
    }
    if total <= 0.0 {
        return observed.min(0.0);
    }
    observed.max(gamma_quantile(error_rate / 2.0, total * total / variance, variance / total))
}

pub(crate) fn upper_bound(total: f64, variance: f64, missable: f64, error_rate: f64) -> f64 {
    let (total_w, variance_w) = (total + missable, variance + missable * missable);
    if variance_w <= 0.0 || total_w <= 0.0 {
        return total;
    }
    gamma_quantile(1.0 - error_rate / 2.0, total_w * total_w / variance_w, variance_w / total_w)
}

#[cfg(test)]
mod tests {
    use super::*;

    const R: Interval = Interval::DEFAULT;

    fn of(sizes: &[u64], interval: Interval) -> Sums {
        let mut sums = Sums::default();
        for size in sizes {
            sums.add_sample(*size, interval);
        }
        sums
    }

    #[test]
    fn no_samples_bound_the_truth_at_3_69_intervals() {
        let sums = Sums { missable: Missable::unseen(R.bytes()), ..Sums::default() };
        let bytes = sums.bytes_estimate(ERROR_RATE);
        assert_eq!((bytes.estimate, bytes.low), (0.0, 0.0));
        assert!((bytes.high / R.bytes() as f64 - 3.689).abs() < 1e-3, "{bytes:?}");
    }

    #[test]
    fn one_small_sample_says_little_and_says_so() {
        let bytes = of(&[64], R).bytes_estimate(ERROR_RATE);
        let r = R.bytes() as f64;
        assert!((bytes.estimate / r - 1.0).abs() < 1e-3);
        assert!((bytes.low / r - 0.0253).abs() < 1e-3 && (bytes.high / r - 5.572).abs() < 1e-2, "{bytes:?}");
    }

    #[test]
    fn exact_blocks_have_no_width_and_what_was_seen_is_certain() {
        let exact = of(&[10, 20, 70], Interval::EXACT);
        assert_eq!(exact.bytes_estimate(ERROR_RATE), Estimate::exact(100.0));
        assert_eq!(exact.objects_estimate(ERROR_RATE), Estimate::exact(3.0));
        assert!(exact.is_exact());
        let large = of(&[3 * R.bytes()], R).bytes_estimate(ERROR_RATE);
        assert_eq!(large.low, 3.0 * R.bytes() as f64);
        assert!(large.high > large.estimate);
    }

    #[test]
    fn only_blocks_that_can_be_missed_widen_the_interval() {
        let row = |interval_bytes, smallest_bytes| Row {
            stack: leakscope_profile::model::StackId(0),
            kind: leakscope_profile::model::Kind::Malloc,
            epoch: 0,
            interval_bytes,
            samples: 1,
            bytes: 1e9,
            bytes_variance: 0.0,
            bytes_observed: 1_000_000_000,
            objects: 1.0,
            objects_variance: 0.0,
            smallest_bytes,
            oldest_ms: 0,
            resident_bytes: None,
        };
        let mut sums = Sums::default();
        sums.add_row(&row(1, 16));
        sums.add_row(&row(R.bytes(), 1_000_000_000));
        assert!(sums.is_exact());
        sums.add_row(&row(R.bytes(), 16));
        assert_eq!(sums.missable, Missable { interval_bytes: R.bytes(), smallest_bytes: 16 });
    }

    #[test]
    fn a_set_without_itself_is_exactly_nothing() {
        let (mut a, b) = (of(&[64, 4096, 1000], R), of(&[1000, 64, 4096], R));
        assert_eq!(a.without(&b).bytes, 0.0);
        a.add_sample(100, R);
        let gone = a.without(&b);
        assert_eq!((gone.samples, gone.bytes_observed), (1, 100));
    }

    #[test]
    fn plus_minus_is_only_said_of_what_is_nearly_symmetric() {
        let of = |low, high| Estimate { estimate: 10.0, low, high }.plus_minus();
        assert_eq!(of(8.0, 12.0), Some(2.0));
        assert_eq!(of(9.0, 11.2), Some(1.0999999999999996));
        assert_eq!(of(9.5, 20.0), None);
        assert_eq!(Estimate::exact(3.0).plus_minus(), Some(0.0));
    }

    #[test]
    fn a_narrower_error_rate_widens_the_interval() {
        let sums = of(&[64; 20], R);
        let (wide, narrow) = (sums.bytes_estimate(0.001), sums.bytes_estimate(0.05));
        assert!(wide.low < narrow.low && narrow.high < wide.high);
    }
}
