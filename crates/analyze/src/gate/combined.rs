//! All rounds of one site together.
//!
//! ```text
//! rate       the mean of the rounds' rates
//! within     the mean of their squared errors
//! between    what their rates vary by beyond that; known from three rounds on, of fewer taken for none
//! error^2    (within + between) / rounds
//! degrees    Satterthwaite's, of both parts
//! ```
//! What three rounds vary by is hardly known: Student's quantile of two degrees is 200 where a gate asks. So from three
//! rounds on there is a second way to be sure. The rounds are independent: that each of R is off by what has probability
//! q has probability q^R. And they must agree, as far as 1 in 100 can tell. The narrower interval counts.

use crate::gate::evidence::Evidence;
use crate::student::{upper_quantile, upper_tail};

/// Fewest rounds from which it is known what they vary by.
const FEWEST_ROUNDS: usize = 3;
/// Probability with which the minimum that is detectable goes unseen.
const UNSEEN: f64 = 0.1;
/// Probability with which rounds that agree are taken not to.
const DISAGREE: f64 = 0.01;

/// A growth and how well it is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Combined {
    /// Bytes per unit.
    pub rate: f64,
    error: f64,
    degrees: f64,
    /// Of each round: how far its rate is from the mean, its error and degrees of freedom; empty below three rounds.
    rounds: Vec<[f64; 3]>,
    /// Standard deviation of the rates.
    spread: f64,
}

impl Combined {
    /// Of one round or several; `None` of none.
    pub(super) fn of(rounds: &[&Evidence]) -> Option<Combined> {
        let n = rounds.len() as f64;
        let rate = rounds.iter().map(|one| one.rate).sum::<f64>() / n;
        let within = rounds.iter().map(|one| one.error * one.error).sum::<f64>() / n;
        let degrees_within: f64 = rounds.iter().map(|one| one.degrees).sum();
        let is_many = rounds.len() >= FEWEST_ROUNDS;
        let square =
            if is_many { rounds.iter().map(|one| (one.rate - rate).powi(2)).sum::<f64>() / (n - 1.0) } else { 0.0 };
        let between = (square - within).max(0.0);
        let all = within + between;
        let parts = within * within / degrees_within + between * between / (n - 1.0).max(1.0);
        let each = |one: &&Evidence| [(one.rate - rate).abs(), one.error, one.degrees];
        (!rounds.is_empty()).then(|| Combined {
            rate,
            error: (all / n).sqrt(),
            degrees: if parts > 0.0 { all * all / parts } else { degrees_within },
            rounds: if is_many { rounds.iter().map(each).collect() } else { Vec::new() },
            spread: square.sqrt(),
        })
    }

    /// Probability of such a growth where there is none.
    pub(super) fn chance(&self) -> f64 {
        match () {
            () if self.error > 0.0 => upper_tail(self.rate / self.error, self.degrees),
            () if self.rate > 0.0 => 0.0,
            () => 1.0,
        }
    }

    /// Half of the interval whose ends fail with probability `tail` each.
    pub(super) fn half_width(&self, tail: f64) -> f64 {
        if self.error <= 0.0 {
            return 0.0;
        }
        let together = self.error * upper_quantile(tail, self.degrees);
        if self.rounds.is_empty() {
            return together;
        }
        let n = self.rounds.len() as f64;
        let q = tail.powf(1.0 / n);
        let reach = |[off, error, degrees]: &[f64; 3]| off + error * upper_quantile(q, *degrees);
        let each = self.rounds.iter().map(reach).fold(0.0, f64::max);
        let agree = self.spread / n.sqrt() * upper_quantile(DISAGREE, n - 1.0);
        together.min(each.max(agree))
    }

    /// How much beyond its budget a growth has to be to be told from it with probability 90 %.
    pub(super) fn resolution(&self, tail: f64) -> f64 {
        if self.error > 0.0 { self.half_width(tail) + self.error * upper_quantile(UNSEEN, self.degrees) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::evidence::Going;

    fn round(rate: f64, error: f64) -> Evidence {
        Evidence {
            rate,
            error,
            degrees: 9.0,
            steps: Vec::new(),
            more_steps: 0,
            course: Going::On,
            last_most: rate,
            first_half: 0.5,
            levels: Vec::new(),
            is_testable: true,
            second_half: None,
        }
    }

    fn of(rounds: &[Evidence]) -> Combined {
        Combined::of(&rounds.iter().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn one_round_is_itself() {
        let one = of(&[round(10.0, 2.0)]);
        assert_eq!((one.rate, one.error, one.degrees), (10.0, 2.0, 9.0));
        // Student, 9 degrees: 2.821 at 1 %.
        assert!((one.half_width(0.01) - 2.0 * 2.821).abs() < 1e-2);
        assert_eq!(Combined::of(&[]), None);
    }

    #[test]
    fn rounds_that_agree_sharpen_and_rounds_that_differ_do_not() {
        let agree = of(&[round(10.0, 2.0), round(10.5, 2.0), round(9.5, 2.0)]);
        assert!((agree.error - 2.0 / 3.0_f64.sqrt()).abs() < 1e-9 && (agree.degrees - 27.0).abs() < 1e-9, "{agree:?}");
        let differ = of(&[round(0.0, 0.1), round(20.0, 0.1), round(10.0, 0.1)]);
        assert!(differ.error > 5.0 && differ.degrees < 2.1, "{differ:?}");
        assert!(differ.half_width(1e-5) > 20.0 && differ.chance() > 0.05);
    }

    #[test]
    fn three_rounds_that_are_each_sure_are_sure_together() {
        let leak = of(&[round(100.0, 1.0), round(106.0, 1.0), round(95.0, 1.0)]);
        let half = leak.half_width(1e-5);
        assert!(half < 30.0 && half > leak.error * 6.0, "{half}: {leak:?}");
    }

    #[test]
    fn what_has_no_error_has_no_width() {
        let exact = of(&[round(64.0, 0.0)]);
        assert_eq!((exact.half_width(1e-5), exact.resolution(1e-5), exact.chance()), (0.0, 0.0, 0.0));
        assert_eq!(Combined { rate: 0.0, ..exact }.chance(), 1.0);
    }
}
