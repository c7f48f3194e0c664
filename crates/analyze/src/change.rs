//! The change of one site between two profiles: what is new, what is gone, and how sure the difference is.
//!
//! ```text
//! D = T_new - T_gone
//! low  = D - sqrt((T_new - L_new)^2 + (U_gone - T_gone)^2)
//! high = D + sqrt((U_new - T_new)^2 + (T_gone - L_gone)^2)
//! ```
//!
//! L and U are the ends of the intervals of both sums (`estimate.rs`). Survivors are the same samples in both
//! profiles and cancel, which is why a paired change can see 1 % of growth in a site whose size it knows to 10 %.
//! Source: Zou and Donner 2008, the method of variance estimates recovery.

use crate::estimate::{Estimate, Sums, lower_bound, upper_bound};

/// Fewest samples on which a change of estimates may be called significant.
pub const FEWEST_SAMPLES: u64 = 5;

/// What came and what went.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Change {
    /// Live in the candidate and not in the baseline.
    pub new: Sums,
    /// Live in the baseline and not in the candidate.
    pub gone: Sums,
}

/// Which way a change goes, once it is certain enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More than the tolerance came.
    Up,
    /// More than the tolerance went.
    Down,
}

impl Change {
    /// Adds the change of another site.
    pub fn add(&mut self, other: &Change) {
        self.new.add(&other.new);
        self.gone.add(&other.gone);
    }

    /// Bytes, with the interval that fails in `error_rate` of all cases.
    pub fn bytes_estimate(&self, error_rate: f64) -> Estimate {
        difference(self.new.bytes_estimate(error_rate), self.gone.bytes_estimate(error_rate))
    }

    /// Objects, with the interval that fails in `error_rate` of all cases.
    pub fn objects_estimate(&self, error_rate: f64) -> Estimate {
        difference(self.new.objects_estimate(error_rate), self.gone.objects_estimate(error_rate))
    }

    /// Whether both sides are known exactly: then the change is a fact, and no test is needed.
    pub fn is_exact(&self) -> bool {
        self.new.is_exact() && self.gone.is_exact()
    }

    /// Whether enough was sampled for the change to be called significant at any error rate.
    pub fn is_testable(&self) -> bool {
        enough(&self.new) || enough(&self.gone)
    }

    /// The direction in which the bytes changed by more than `tolerance_bytes`, if that is certain but for
    /// `error_rate` of all cases (both directions together).
    pub fn direction(&self, error_rate: f64, tolerance_bytes: f64) -> Option<Direction> {
        let (new, gone) = (&self.new, &self.gone);
        let change = new.bytes - gone.bytes;
        if change > tolerance_bytes && enough(new) {
            let low = change - spread(below(new, error_rate), above(gone, error_rate));
            return (low > tolerance_bytes).then_some(Direction::Up);
        }
        if change < -tolerance_bytes && enough(gone) {
            let high = change + spread(above(new, error_rate), below(gone, error_rate));
            return (high < -tolerance_bytes).then_some(Direction::Down);
        }
        None
    }
}

/// Exactly recorded blocks need no minimum.
fn enough(side: &Sums) -> bool {
    side.samples >= FEWEST_SAMPLES || (side.samples > 0 && side.is_exact())
}

/// T - L of a side, bytes.
fn below(side: &Sums, error_rate: f64) -> f64 {
    let observed = side.bytes_observed as f64;
    side.bytes - lower_bound(side.bytes, side.bytes_variance, observed, error_rate).min(side.bytes)
}

/// U - T of a side, bytes.
fn above(side: &Sums, error_rate: f64) -> f64 {
    let missable = side.missable.interval_bytes as f64;
    upper_bound(side.bytes, side.bytes_variance, missable, error_rate).max(side.bytes) - side.bytes
}

fn spread(a: f64, b: f64) -> f64 {
    (a * a + b * b).sqrt()
}

fn difference(new: Estimate, gone: Estimate) -> Estimate {
    let estimate = new.estimate - gone.estimate;
    Estimate {
        estimate,
        low: estimate - spread(new.estimate - new.low, gone.high - gone.estimate),
        high: estimate + spread(new.high - new.estimate, gone.estimate - gone.low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::{ERROR_RATE, Missable};
    use leakscope_sampling::Interval;

    fn sampled(count: usize, size: u64, interval: Interval) -> Sums {
        let mut sums = Sums { missable: Missable::unseen(interval.bytes()), ..Sums::default() };
        for _ in 0..count {
            sums.add_sample(size, interval);
        }
        sums
    }

    const R: Interval = Interval::DEFAULT;

    #[test]
    fn exact_changes_have_no_width_and_any_of_them_is_significant() {
        let change = Change { new: sampled(1, 100, Interval::EXACT), gone: sampled(1, 40, Interval::EXACT) };
        assert_eq!(change.bytes_estimate(ERROR_RATE), Estimate::exact(60.0));
        assert_eq!(change.direction(ERROR_RATE, 0.0), Some(Direction::Up));
        assert_eq!(change.direction(ERROR_RATE, 60.0), None);
        let back = Change { new: change.gone, gone: change.new };
        assert_eq!(back.direction(ERROR_RATE, 0.0), Some(Direction::Down));
    }

    #[test]
    fn fewer_than_five_samples_are_never_significant() {
        let none = sampled(0, 64, R);
        assert_eq!(Change { new: sampled(4, 2 << 20, R), gone: none }.direction(0.9, 0.0), None);
        assert_eq!(Change { new: sampled(30, 64, R), gone: none }.direction(ERROR_RATE, 0.0), Some(Direction::Up));
        assert_eq!(Change { new: none, gone: sampled(30, 64, R) }.direction(ERROR_RATE, 0.0), Some(Direction::Down));
    }

    #[test]
    fn the_direction_agrees_with_the_interval() {
        for (new, gone) in [(30, 2), (30, 20), (9, 0), (7, 0), (5, 30), (12, 12)] {
            let change = Change { new: sampled(new, 4096, R), gone: sampled(gone, 4096, R) };
            for rate in [0.05, 0.001] {
                let bytes = change.bytes_estimate(rate);
                let expected = if bytes.low > 0.0 {
                    Some(Direction::Up)
                } else if bytes.high < 0.0 {
                    Some(Direction::Down)
                } else {
                    None
                };
                assert_eq!(change.direction(rate, 0.0), expected, "{new} {gone} {rate}");
            }
        }
    }
}
