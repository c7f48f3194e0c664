//! All rounds of one site together.
//!
//! ```text
//! rate       the mean of the rounds' rates
//! within     the mean of their squared errors
//! between    what their rates vary by beyond that; known from three rounds on, of fewer taken for none
//! error^2    (within + between) / rounds
//! degrees    Satterthwaite's, of both parts
//! ```

use crate::gate::evidence::Evidence;
use crate::student::{upper_quantile, upper_tail};

/// Fewest rounds from which it is known what they vary by.
const FEWEST_ROUNDS: usize = 3;
/// Probability with which the minimum that is detectable goes unseen.
const UNSEEN: f64 = 0.1;

/// A growth and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Combined {
    /// Bytes per unit.
    pub rate: f64,
    pub error: f64,
    pub degrees: f64,
}

impl Combined {
    /// Of one round or several; `None` of none.
    pub(super) fn of(rounds: &[&Evidence]) -> Option<Combined> {
        let n = rounds.len() as f64;
        let rate = rounds.iter().map(|one| one.rate).sum::<f64>() / n;
        let within = rounds.iter().map(|one| one.error * one.error).sum::<f64>() / n;
        let degrees_within: f64 = rounds.iter().map(|one| one.degrees).sum();
        let spread = rounds.iter().map(|one| (one.rate - rate).powi(2)).sum::<f64>() / (n - 1.0);
        let between = if rounds.len() >= FEWEST_ROUNDS { (spread - within).max(0.0) } else { 0.0 };
        let all = within + between;
        let parts = within * within / degrees_within + between * between / (n - 1.0).max(1.0);
        let degrees = if parts > 0.0 { all * all / parts } else { degrees_within };
        (!rounds.is_empty()).then_some(Combined { rate, error: (all / n).sqrt(), degrees })
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
        if self.error > 0.0 { self.error * upper_quantile(tail, self.degrees) } else { 0.0 }
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

    #[test]
    fn one_round_is_itself() {
        let one = round(10.0, 2.0);
        assert_eq!(Combined::of(&[&one]), Some(Combined { rate: 10.0, error: 2.0, degrees: 9.0 }));
        assert_eq!(Combined::of(&[]), None);
    }

    #[test]
    fn rounds_that_agree_sharpen_and_rounds_that_differ_do_not() {
        let agree = [round(10.0, 2.0), round(10.5, 2.0), round(9.5, 2.0)];
        let agree = Combined::of(&agree.iter().collect::<Vec<_>>()).unwrap();
        assert!((agree.error - 2.0 / 3.0_f64.sqrt()).abs() < 1e-9 && (agree.degrees - 27.0).abs() < 1e-9, "{agree:?}");
        let differ = [round(0.0, 0.1), round(20.0, 0.1), round(10.0, 0.1)];
        let differ = Combined::of(&differ.iter().collect::<Vec<_>>()).unwrap();
        assert!(differ.error > 5.0 && differ.degrees < 2.1, "{differ:?}");
        assert!(differ.chance() > 0.05);
    }

    #[test]
    fn what_has_no_error_has_no_width() {
        let exact = Combined::of(&[&round(64.0, 0.0)]).unwrap();
        assert_eq!((exact.half_width(1e-5), exact.resolution(1e-5), exact.chance()), (0.0, 0.0, 0.0));
        assert_eq!(Combined { rate: 0.0, ..exact }.chance(), 1.0);
    }
}
