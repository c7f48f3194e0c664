//! Which of the points that are measured each second become lines of the timeline.
//!
//! Each one for the first five minutes, when a program does most; then one in five seconds, and any other second in
//! which something moved (resident memory, threads, a full GC, a kill), within a number of such lines that is given back over
//! the hour. So a quiet hour has 720 lines, and a wild one at most 1,080 and 60 more: below 1 MiB.

use leakscope_profile::timeline::Point;

/// Until then every point is written, milliseconds since recording started.
const EVERY_UNTIL_MS: u64 = 300_000;
/// Longest time between two lines afterwards, milliseconds; a little less than five seconds, which are not met exactly.
const BETWEEN_MS: u64 = 4_900;
/// Lines beyond those that may follow each other.
const SPARE: f64 = 60.0;
/// How many of these come back in a millisecond.
const SPARE_PER_MS: f64 = 360.0 / 3_600_000.0;

/// Chooses points.
pub struct Pace {
    last: Option<Seen>,
    spare: f64,
    spare_at_ms: u64,
}

/// What is remembered of the last line.
struct Seen {
    uptime_ms: u64,
    rss_bytes: u64,
    threads: u64,
    full_gcs: u64,
    oom_kills: u64,
}

impl Pace {
    /// Nothing is written yet.
    pub fn new() -> Self {
        Self { last: None, spare: SPARE, spare_at_ms: 0 }
    }

    /// Whether this point is to be written; if so, it counts as written.
    pub fn takes(&mut self, point: &Point) -> bool {
        let now_ms = point.uptime_ms;
        let passed_ms = now_ms.saturating_sub(self.spare_at_ms);
        self.spare = (self.spare + passed_ms as f64 * SPARE_PER_MS).min(SPARE);
        self.spare_at_ms = now_ms;
        let seen = Seen::of(point);
        let takes = match &self.last {
            None => true,
            Some(last) if now_ms < EVERY_UNTIL_MS || now_ms.saturating_sub(last.uptime_ms) >= BETWEEN_MS => true,
            Some(last) if self.spare >= 1.0 && seen.has_moved(last) => {
                self.spare -= 1.0;
                true
            }
            Some(_) => false,
        };
        if takes {
            self.last = Some(seen);
        }
        takes
    }
}

impl Seen {
    fn of(point: &Point) -> Self {
        Self {
            uptime_ms: point.uptime_ms,
            rss_bytes: point.resident.rss_bytes,
            threads: point.threads,
            full_gcs: point.java.map_or(0, |java| java.full_gcs),
            oom_kills: point.cgroup.map_or(0, |cgroup| cgroup.oom_kills),
        }
    }

    fn has_moved(&self, last: &Self) -> bool {
        self.rss_bytes.abs_diff(last.rss_bytes) > (last.rss_bytes / 50).max(1 << 20)
            || self.threads.abs_diff(last.threads) > (last.threads / 20).max(3)
            || self.full_gcs != last.full_gcs
            || self.oom_kills != last.oom_kills
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::timeline::Java;

    fn point(second: u64) -> Point {
        let mut point = Point { uptime_ms: second * 1000, threads: 10, ..Point::default() };
        point.resident.rss_bytes = 100 << 20;
        point
    }

    /// Lines of these seconds, each as `change` makes it.
    fn lines(seconds: std::ops::Range<u64>, change: impl Fn(u64, &mut Point)) -> Vec<u64> {
        let mut pace = Pace::new();
        let all = seconds.map(|second| {
            let mut point = point(second);
            change(second, &mut point);
            point
        });
        all.filter(|point| pace.takes(point)).map(|point| point.uptime_ms / 1000).collect()
    }

    #[test]
    fn every_second_at_first_then_one_in_five() {
        assert_eq!(lines(0..300, |_, _| {}).len(), 300);
        assert_eq!(lines(3600..7200, |_, _| {}).len(), 720);
    }

    #[test]
    fn what_moves_is_written_at_once() {
        let grown = |point: &mut Point| point.resident.rss_bytes += 3 << 20;
        let at = |second: u64, change: fn(&mut Point)| {
            lines(3600..3610, |now, point| {
                if now >= second {
                    change(point)
                }
            })
            .contains(&second)
        };
        assert!(at(3602, grown));
        assert!(at(3603, |point| point.threads = 14));
        assert!(at(3604, |point| point.java = Some(Java { full_gcs: 1, ..Java::default() })));
        assert!(!at(3602, |point| point.threads = 13), "a small change can wait");
        assert!(!at(3602, |point| point.resident.rss_bytes += 1 << 20));
    }

    #[test]
    fn a_wild_hour_stays_within_its_bound() {
        let wild = lines(3600..4 * 3600, |second, point| point.threads = second % 2 * 1000);
        assert!(wild.len() <= 3 * 1080 + 60 && wild.len() > 3 * 800, "{}", wild.len());
    }
}
