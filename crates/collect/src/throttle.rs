//! How often something dear may be measured: at most every 400 times what it costs, so a quarter of a percent of a
//! processor at the most.

use crate::clock;
use std::time::{Duration, Instant};

/// Time between two measurements, in costs of one.
const COSTS: u32 = 400;

/// When the next measurement is due.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    next: Option<Instant>,
}

impl Throttle {
    /// Measures, if that is due: at once, and then never before `least` has passed. What it costs is this thread's time
    /// on a processor: on a busy machine the wall clock would tell of others.
    pub(crate) fn run<T>(&mut self, now: Instant, least: Duration, measure: impl FnOnce() -> T) -> Option<T> {
        self.next.is_none_or(|next| now >= next).then(|| self.run_now(now, least, measure))
    }

    /// Measures, due or not.
    pub(crate) fn run_now<T>(&mut self, now: Instant, least: Duration, measure: impl FnOnce() -> T) -> T {
        let began = clock::thread_cpu();
        let result = measure();
        self.next = Some(now + pause(clock::thread_cpu().saturating_sub(began), least));
        result
    }
}

fn pause(cost: Duration, least: Duration) -> Duration {
    cost.saturating_mul(COSTS).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dear_is_done_less_often() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(Duration::from_millis(77), second), Duration::from_millis(30_800));
        assert_eq!(pause(Duration::from_micros(10), second), second);
        assert!(pause(Duration::MAX, second) > second);
    }

    #[test]
    fn nothing_is_done_before_it_is_due() {
        let hour = Duration::from_secs(3600);
        let now = Instant::now();
        let mut throttle = Throttle::default();
        assert_eq!(throttle.run(now, hour, || 1), Some(1));
        assert_eq!(throttle.run(now + hour - Duration::from_millis(1), hour, || 2), None);
        assert_eq!(throttle.run(now + 2 * hour, hour, || 3), Some(3));
    }
}
