//! What happened in the process between each two snapshots: marks, collections, threads that came and went.

use leakscope_profile::model::Kind;
use leakscope_profile::timeline::{GcCounter, Point, Timeline};

use crate::course::Courses;

/// What happened between a snapshot and the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Happening {
    /// Texts of the user's marks.
    pub marks: Vec<String>,
    /// Collections that were not full may have fallen into it.
    pub young_gc: bool,
    /// Full collections may have fallen into it.
    pub full_gc: bool,
    /// Threads that came and threads that went.
    pub thread_churn: u64,
}

impl Happening {
    /// Whether any collection may have fallen into it.
    pub(crate) fn gc(&self) -> bool {
        self.young_gc || self.full_gc
    }
}

/// What happened between all snapshots, and what is known of collections at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Happenings {
    /// By snapshot; the first stands for what was before it.
    pub between: Vec<Happening>,
    /// Whether collections are known.
    pub knows_gcs: bool,
    full_gcs: Vec<FullGcs>,
}

/// Full collections between two points of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FullGcs {
    /// Uptime after which they came.
    pub after_ms: u64,
    /// Uptime by which they were over.
    pub until_ms: u64,
    /// How many there were.
    pub count: u64,
    /// Whether each collected all that was garbage when it began. Cycles of ZGC and Shenandoah do not: with generations, what
    /// is young and held by a reference only (a cleaner's) stays until it is old, or somebody asks for a collection.
    pub are_whole: bool,
}

impl Happenings {
    pub(crate) fn of(courses: &Courses, timeline: &Timeline) -> Happenings {
        let mut all = Happenings { between: vec![Happening::default(); courses.snapshots.len()], ..Self::default() };
        let uptimes: Vec<u64> = courses.snapshots.iter().map(|facts| facts.instant.uptime_ms).collect();
        // Snapshots whose interval overlaps (from, to].
        let overlapping = |from: u64, to: u64| {
            let first = uptimes.partition_point(|at| *at <= from);
            let last = uptimes.partition_point(|at| *at < to);
            first..(last + 1).min(uptimes.len())
        };
        for mark in &timeline.marks {
            if let Some(at) = overlapping(mark.uptime_ms.saturating_sub(1), mark.uptime_ms).next() {
                all.between[at].marks.push(mark.text.clone());
            }
        }
        for (young, full) in collections(&timeline.points) {
            all.knows_gcs = true;
            for at in overlapping(full.after_ms, full.until_ms) {
                all.between[at].young_gc |= young > 0;
                all.between[at].full_gc |= full.count > 0;
            }
            if full.count > 0 {
                all.full_gcs.push(full);
            }
        }
        for course in courses.courses.iter().filter(|course| course.place.kind == Kind::Thread) {
            for change in &course.changes {
                let churn = u64::from(change.new.samples) + u64::from(change.gone.samples);
                all.between[change.snapshot as usize].thread_churn += churn;
            }
        }
        all
    }

    /// Full collections noticed after one uptime and up to another, oldest first.
    pub(crate) fn full_gcs(&self, after_ms: u64, until_ms: u64) -> &[FullGcs] {
        let first = self.full_gcs.partition_point(|gcs| gcs.until_ms <= after_ms);
        let end = self.full_gcs.partition_point(|gcs| gcs.until_ms <= until_ms);
        &self.full_gcs[first..end.max(first)]
    }
}

/// Collections between two points that know, none included: how many were not full, and those that were.
fn collections(points: &[Point]) -> impl Iterator<Item = (u64, FullGcs)> {
    let known: Vec<_> = points.iter().filter_map(|point| Some((point.uptime_ms, point.java?))).collect();
    let pairs: Vec<_> = known
        .windows(2)
        .map(|pair| {
            let ((after_ms, before), (until_ms, after)) = (pair[0], pair[1]);
            let count = after.full_gcs.saturating_sub(before.full_gcs);
            let are_whole = after.counter == GcCounter::Collections;
            (after.young_gcs.saturating_sub(before.young_gcs), FullGcs { after_ms, until_ms, count, are_whole })
        })
        .collect();
    pairs.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Instant;
    use crate::series::SnapshotFacts;
    use leakscope_profile::timeline::{Java, Mark};

    #[test]
    fn what_happens_is_found_between_its_snapshots() {
        let facts = |uptime_ms| SnapshotFacts {
            instant: Instant { uptime_ms, ..Instant::default() },
            ..SnapshotFacts::default()
        };
        let courses = Courses { snapshots: vec![facts(1000), facts(2000), facts(3000)], ..Courses::default() };
        let point = |uptime_ms, young_gcs, full_gcs| Point {
            uptime_ms,
            java: Some(Java { young_gcs, full_gcs, ..Java::default() }),
            ..Point::default()
        };
        let mark = |uptime_ms| Mark { time_ms: 0, uptime_ms, text: "restart".into() };
        let timeline = Timeline {
            points: vec![point(900, 3, 0), point(1900, 3, 0), point(2100, 3, 1), point(2900, 5, 1)],
            marks: vec![mark(2000), mark(9000)],
            ..Timeline::default()
        };
        let happenings = Happenings::of(&courses, &timeline);
        assert!(happenings.knows_gcs);
        let seen: Vec<_> = happenings.between.iter().map(|h| (h.young_gc, h.full_gc, h.marks.len())).collect();
        assert_eq!(seen, [(false, false, 0), (false, true, 1), (true, true, 0)]);
        assert_eq!(
            happenings.full_gcs(0, 3000),
            [FullGcs { after_ms: 1900, until_ms: 2100, count: 1, are_whole: true }]
        );
        assert_eq!(happenings.full_gcs(2100, 3000), []);
    }
}
