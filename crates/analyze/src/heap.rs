//! HEAP: whether the Java heap itself grows, or only fills what it has taken already.
//!
//! A JVM commits a part of its heap at the start and touches it as garbage is made, so that the resident memory of any
//! program rises until its first collections have gone round. That ends by itself and is nobody's leak. The heap grows if
//!
//! ```text
//! it takes more       committed rises
//! it keeps more       the least that was in use in the last third of the window is above that of the first,
//!                     collections seen in between
//! it has no room      what it has taken and not touched yet is more than the container has left
//! ```

use leakscope_profile::timeline::{Java, Timeline};

use crate::analysis::{Forecast, Window};
use crate::rows::inside;

/// Fewest collections between two levels that are compared.
const FEWEST_COLLECTIONS: u64 = 2;

/// Whether it grows, by `least_bytes` or more; where nothing is known of it what is resident has to do.
pub(crate) fn grows(timeline: &Timeline, window: &Window, forecast: Option<&Forecast>, least_bytes: f64) -> bool {
    let points: Vec<Java> = inside(timeline, window).filter_map(|point| point.java).collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return true };
    let rises = |from: u64, to: u64| to.saturating_sub(from) as f64 >= least_bytes;
    let least = |points: &[Java]| points.iter().map(|java| java.heap_used_bytes).min().unwrap_or(0);
    let third = (points.len() / 3).max(1);
    let collections = |java: &Java| java.young_gcs.saturating_add(java.full_gcs);
    let are_compared = collections(last).saturating_sub(collections(first)) >= FEWEST_COLLECTIONS;
    let keeps_more = are_compared && rises(least(&points[..third]), least(&points[points.len() - third..]));
    let touched = points.iter().map(|java| java.heap_used_bytes).max().unwrap_or(0);
    let untouched = last.heap_committed_bytes.saturating_sub(touched);
    let room = forecast.and_then(|forecast| Some(forecast.limit_bytes?.saturating_sub(forecast.charged_bytes)));
    rises(first.heap_committed_bytes, last.heap_committed_bytes)
        || keeps_more
        || room.is_some_and(|room| untouched > room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::timeline::Point;

    const MIB: u64 = 1 << 20;

    /// By second: in use, committed and collections, the sizes in MiB.
    fn timeline(points: impl IntoIterator<Item = (u64, u64, u64)>) -> Timeline {
        let point = |(at, (used, committed, young_gcs)): (usize, (u64, u64, u64))| Point {
            uptime_ms: at as u64 * 1000,
            java: Some(Java {
                heap_used_bytes: used * MIB,
                heap_committed_bytes: committed * MIB,
                young_gcs,
                ..Java::default()
            }),
            ..Point::default()
        };
        Timeline { points: points.into_iter().enumerate().map(point).collect(), ..Timeline::default() }
    }

    fn grows_in(timeline: &Timeline, forecast: Option<&Forecast>) -> bool {
        let to_ms = timeline.points.last().map_or(0, |point| point.uptime_ms);
        grows(timeline, &Window { first: 0, last: 9, from_ms: 0, to_ms }, forecast, 16.0 * MIB as f64)
    }

    #[test]
    fn a_heap_that_fills_what_it_has_does_not_grow() {
        let fills = timeline((0..30).map(|at| (10 + 8 * at, 512, 0)));
        assert!(!grows_in(&fills, None));
        // A sawtooth whose feet stay.
        assert!(!grows_in(&timeline((0..30).map(|at| (40 + 20 * (at % 7), 512, at / 7))), None));
        // Until the container has no room for what it has taken.
        let forecast = |limit| Forecast {
            rss_bytes: 400 * MIB,
            charged_bytes: 400 * MIB,
            limit_bytes: Some(limit * MIB),
            rate: None,
            full_in_ms: None,
        };
        assert!(grows_in(&fills, Some(&forecast(512))));
        assert!(!grows_in(&fills, Some(&forecast(1024))));
    }

    #[test]
    fn a_heap_that_takes_more_or_keeps_more_grows() {
        assert!(grows_in(&timeline((0..30).map(|at| (40 + 20 * (at % 7), 256 + 4 * at, at / 7))), None));
        assert!(grows_in(&timeline((0..30).map(|at| (40 + 20 * (at % 7) + 5 * at, 512, at / 7))), None));
    }

    #[test]
    fn of_a_heap_that_nobody_measured_nothing_is_said_against_its_row() {
        assert!(grows_in(&Timeline::default(), None));
    }
}
