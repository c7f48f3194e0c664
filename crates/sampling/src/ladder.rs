//! The intervals that one recording can come to: the one it began with, then each twice the one before.

use crate::Interval;

/// Steps of a ladder, the first included.
pub const STEPS: u16 = 16;
/// Where exact mode goes at its first step. Doubling 1 byte would change nothing until the interval is larger than
/// the blocks.
const AFTER_EXACT: u64 = 512;
/// No interval grows beyond this: nothing would be sampled.
const WIDEST: u64 = 1 << 47;

/// The intervals of one recording, by number of the step.
///
/// ```
/// use leakscope_sampling::{Interval, Ladder};
/// let ladder = Ladder::from(Interval::DEFAULT);
/// assert_eq!((ladder.step(0).bytes(), ladder.step(3).bytes()), (512 << 10, 4 << 20));
/// assert_eq!(Ladder::from(Interval::EXACT).step(2).bytes(), 1024);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder(Interval);

impl Ladder {
    /// The ladder of a recording that begins with this interval.
    pub const fn from(first: Interval) -> Ladder {
        Ladder(first)
    }

    /// The interval it began with.
    pub const fn first(self) -> Interval {
        self.0
    }

    /// The interval of a step. What is no step, as a number from shared memory may be, is taken for the first.
    ///
    /// # Hot path
    /// A shift; only on sampled allocations.
    pub const fn step(self, number: u16) -> Interval {
        if number == 0 || number >= STEPS {
            return self.0;
        }
        let (from, doublings) = if self.0.is_exact() { (AFTER_EXACT, number - 1) } else { (self.0.bytes(), number) };
        let bytes = match from.checked_mul(1 << doublings) {
            Some(bytes) if bytes < WIDEST => bytes,
            _ if from > WIDEST => from,
            _ => WIDEST,
        };
        Interval::from_bytes(bytes)
    }

    /// The step of an interval; 0 for one that is on no step.
    pub fn number_of(self, interval: Interval) -> u16 {
        (0..STEPS).find(|number| self.step(*number) == interval).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_twice_the_one_before() {
        for first in [2, 3, 4096, 512 << 10] {
            let ladder = Ladder::from(Interval::from_bytes(first));
            for number in 0..STEPS {
                let interval = ladder.step(number);
                assert_eq!(interval.bytes(), first << number);
                assert_eq!(ladder.number_of(interval), number);
            }
        }
    }

    #[test]
    fn from_exact_it_jumps_to_what_makes_a_difference() {
        let exact = Ladder::from(Interval::EXACT);
        let bytes = [0, 1, 2, 15].map(|number| exact.step(number).bytes());
        assert_eq!(bytes, [1, 512, 1024, 512 << 14]);
        assert_eq!(exact.number_of(Interval::from_bytes(512)), 1);
        assert_eq!(exact.number_of(Interval::EXACT), 0);
    }

    #[test]
    fn wild_numbers_are_the_first_step_and_nothing_overflows() {
        for first in [1, 4096, 1 << 40, 1 << 60, u64::MAX] {
            let ladder = Ladder::from(Interval::from_bytes(first));
            for number in [STEPS, 77, u16::MAX] {
                assert_eq!(ladder.step(number), ladder.first());
            }
            assert!((1..STEPS).all(|number| ladder.step(number) >= ladder.step(number - 1)), "{first}");
        }
        assert_eq!(Ladder::from(Interval::DEFAULT).number_of(Interval::from_bytes(77)), 0);
    }
}
