//! When snapshots are taken: each `--interval`, and more often while a process is young, so that growth can be told of it
//! after half a minute and not only after five intervals.
//!
//! ```text
//! pause    an eighth of the age: some ten lie in the last four fifths of any recording, from which trends are taken;
//!          5 seconds at least for each process that is recorded, and a hundred times what the last snapshot took;
//!          the interval at most
//! ```
//! With the default of a minute that is 29 snapshots in the first eight minutes, and one each minute from then on.

use std::time::Duration;

/// A pause is this part of the age.
const PART_OF_AGE: u32 = 8;
/// Shortest pause before the interval, for each process that is recorded.
const SHORTEST: Duration = Duration::from_secs(5);
/// Or so many times the cost of a snapshot.
const TIMES_COST: u32 = 100;

/// How often snapshots are taken.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    /// Longest time between two; `None`: none is taken by time.
    pub interval: Option<Duration>,
    /// Processes that are recorded now.
    pub processes: usize,
}

impl Cadence {
    /// Time to the next snapshot of a process that has been recorded for so long, and of which the last one took so long.
    pub fn pause(&self, age: Duration, took: Duration) -> Option<Duration> {
        let processes = u32::try_from(self.processes.max(1)).unwrap_or(u32::MAX);
        let shortest = SHORTEST.saturating_mul(processes).max(took.saturating_mul(TIMES_COST));
        self.interval.map(|interval| interval.min(shortest.max(age / PART_OF_AGE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ages at which snapshots are taken until then, seconds.
    fn ages(cadence: Cadence, took_ms: u64, until: u64) -> Vec<u64> {
        let mut age = Duration::ZERO;
        std::iter::from_fn(|| {
            age += cadence.pause(age, Duration::from_millis(took_ms))?;
            (age.as_secs() <= until).then_some(age.as_secs())
        })
        .collect()
    }

    fn alone(interval_s: u64) -> Cadence {
        Cadence { interval: Some(Duration::from_secs(interval_s)), processes: 1 }
    }

    #[test]
    fn the_young_are_looked_at_often() {
        let taken = ages(alone(60), 1, 1000);
        assert_eq!(taken[..10], [5, 10, 15, 20, 25, 30, 35, 40, 45, 50]);
        assert_eq!(taken.iter().filter(|age| **age <= 480).count(), 29);
        assert!(taken.windows(2).filter(|pair| pair[0] >= 480).all(|pair| pair[1] - pair[0] == 60), "{taken:?}");
        for age in 40..1000 {
            let late = taken.iter().filter(|at| (age / 5..=age).contains(*at)).count();
            assert!(late >= 6, "{late} in the last four fifths of {age} seconds");
        }
    }

    #[test]
    fn what_was_asked_for_is_done() {
        assert_eq!(ages(alone(2), 1, 10), [2, 4, 6, 8, 10]);
        assert_eq!(ages(Cadence { interval: None, processes: 1 }, 1, 10), [0; 0]);
    }

    #[test]
    fn many_and_dear_ones_are_no_burden() {
        assert_eq!(ages(Cadence { processes: 4, ..alone(60) }, 1, 60), [20, 40, 60]);
        assert_eq!(ages(Cadence { processes: 400, ..alone(60) }, 1, 200), [60, 120, 180]);
        assert_eq!(ages(alone(60), 150, 60), [15, 30, 45, 60]);
    }
}
