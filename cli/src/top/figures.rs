//! What the head of the screen shows: the latest figures of the timeline, and some of them over time.

use crate::session_file::SessionFile;
use leakscope_analyze::{Forecast, RssTable, forecast_now, rss_table};
use leakscope_profile::timeline::{Java, Point, Timeline};

/// Points of a course that are kept: more than any terminal has columns.
const MOST_POINTS: usize = 512;

/// The latest figures.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// What is recorded: `java (pid 41)`.
    pub target: String,
    /// Milliseconds since recording started.
    pub uptime_ms: u64,
    /// How it ended; `None` while it is recorded.
    pub ended: Option<String>,
    /// Resident bytes; `None` where nothing was measured yet.
    pub rss_bytes: Option<u64>,
    /// What is charged and cannot be reclaimed, bytes, where there is a limit.
    pub charged_bytes: Option<u64>,
    /// The limit of the container.
    pub limit_bytes: Option<u64>,
    /// The JVM's own figures.
    pub java: Option<Java>,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// Snapshots that are kept.
    pub snapshots: usize,
    /// Uptime of the latest of them.
    pub snapshot_ms: Option<u64>,
    /// Marks so far, and the latest.
    pub marks: usize,
    /// Its words.
    pub last_mark: Option<String>,
    /// Where resident memory is, as it was last measured.
    pub rss: Option<RssTable>,
    /// Growth by the timeline alone.
    pub forecast: Option<Forecast>,
    /// Resident bytes over time.
    pub rss_course: Vec<f64>,
    /// Tracked live bytes of malloc and mmap over time.
    pub live_course: Vec<f64>,
}

impl Figures {
    /// Those of a recording at its last point.
    pub fn of(timeline: &Timeline, session: &SessionFile, is_abandoned: bool) -> Self {
        let last = timeline.points.last();
        let cgroup = last.and_then(|point| point.cgroup);
        let uptime_ms = last.map_or(0, |point| point.uptime_ms);
        let snapshot_ms = session.snapshots.last().map(|entry| entry.uptime_ms);
        Self {
            target: format!("{} (pid {})", session.name, session.pid),
            uptime_ms: uptime_ms.max(snapshot_ms.unwrap_or(0)),
            ended: ended(timeline, session, is_abandoned),
            rss_bytes: last.map(|point| point.resident.rss_bytes),
            charged_bytes: cgroup.filter(|cgroup| cgroup.limit_bytes.is_some()).map(|cgroup| cgroup.kept_bytes()),
            limit_bytes: cgroup.and_then(|cgroup| cgroup.limit_bytes),
            java: last.and_then(|point| point.java),
            threads: last.map_or(0, |point| point.threads),
            descriptors: last.and_then(|point| point.descriptors),
            snapshots: session.snapshots.len(),
            snapshot_ms,
            marks: timeline.marks.len(),
            last_mark: timeline.marks.last().map(|mark| mark.text.clone()),
            rss: rss_table(timeline, None, u64::MAX),
            forecast: forecast_now(timeline),
            rss_course: course(timeline, |point| Some(point.resident.rss_bytes as f64)),
            live_course: course(timeline, live),
        }
    }
}

/// Without stacks of threads: they are reserved, hardly resident.
fn live(point: &Point) -> Option<f64> {
    let kinds = point.tracked.iter().filter(|(kind, _)| kind.as_str() != "thread");
    (!point.tracked.is_empty()).then(|| kinds.map(|(_, sum)| sum.bytes).sum())
}

/// The largest value in each of so many equal stretches of time.
fn course(timeline: &Timeline, value: impl Fn(&Point) -> Option<f64>) -> Vec<f64> {
    let values: Vec<(u64, f64)> =
        timeline.points.iter().filter_map(|point| Some((point.uptime_ms, value(point)?))).collect();
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return Vec::new() };
    let cells = values.len().min(MOST_POINTS);
    let span = (last.0 - first.0.min(last.0)).max(1);
    let mut course: Vec<Option<f64>> = vec![None; cells];
    for (ms, value) in &values {
        let at = (u128::from(ms.saturating_sub(first.0)) * (cells as u128 - 1) / u128::from(span)) as usize;
        let cell = &mut course[at.min(cells - 1)];
        *cell = Some(cell.map_or(*value, |known| known.max(*value)));
    }
    // Where nothing was measured it is what it was before.
    let mut known = first.1;
    course.into_iter().map(|cell| *cell.as_ref().inspect(|value| known = **value).unwrap_or(&known)).collect()
}

fn ended(timeline: &Timeline, session: &SessionFile, is_abandoned: bool) -> Option<String> {
    let oom = timeline.end.as_ref().is_some_and(|end| end.oom_killed);
    let how = timeline.end.as_ref().map(|end| end.how.as_str()).or(session.end.as_ref().map(|end| end.how.as_str()));
    match how {
        _ if oom => Some("killed for want of memory".to_owned()),
        Some("running") => Some("leakscope ended first".to_owned()),
        Some("exec") => Some("went on as another program".to_owned()),
        Some(how) => Some(format!("ended: {how}")),
        None if is_abandoned => Some("its leakscope is gone".to_owned()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::timeline::{End, Resident, Tracked};

    fn point(uptime_ms: u64, rss_bytes: u64) -> Point {
        let resident = Resident { rss_bytes, ..Resident::default() };
        Point { uptime_ms, resident, ..Point::default() }
    }

    #[test]
    fn a_course_has_a_value_everywhere_and_keeps_its_peaks() {
        let mut timeline = Timeline::default();
        for ms in 0..10_000 {
            timeline.points.push(point(ms * 1000, if ms == 5000 { 900 } else { 100 }));
        }
        // A gap of as long again.
        timeline.points.push(point(20_000_000, 300));
        let course = course(&timeline, |point| Some(point.resident.rss_bytes as f64));
        assert_eq!(course.len(), MOST_POINTS);
        assert_eq!(course.iter().filter(|value| **value == 900.0).count(), 1, "the peak");
        assert_eq!((course[300], course[MOST_POINTS - 1]), (100.0, 300.0));
    }

    #[test]
    fn what_is_live_leaves_out_stacks_and_points_without_sums() {
        let sum = |bytes| Tracked { bytes, ..Tracked::default() };
        let tracked = [("malloc", 10.0), ("mmap-anon", 5.0), ("thread", 99.0)];
        let tracked = tracked.map(|(kind, bytes)| (kind.to_owned(), sum(bytes))).into();
        let points = vec![point(1, 1), Point { tracked, ..point(2, 1) }, point(3, 1)];
        let timeline = Timeline { points, ..Timeline::default() };
        let figures = Figures::of(&timeline, &SessionFile::default(), false);
        assert_eq!((figures.live_course, figures.rss_course), (vec![15.0], vec![1.0, 1.0, 1.0]));
    }

    #[test]
    fn the_end_is_told() {
        let mut timeline = Timeline::default();
        let mut session = SessionFile::default();
        let told = |timeline: &Timeline, session: &SessionFile, gone| Figures::of(timeline, session, gone).ended;
        assert_eq!(told(&timeline, &session, false), None);
        assert_eq!(told(&timeline, &session, true).as_deref(), Some("its leakscope is gone"));
        session.end = Some(crate::session_file::End { how: "code 0".into(), ..Default::default() });
        assert_eq!(told(&timeline, &session, false).as_deref(), Some("ended: code 0"));
        timeline.end = Some(End { time_ms: 0, uptime_ms: 0, how: "signal 9".into(), oom_killed: true });
        assert_eq!(told(&timeline, &session, false).as_deref(), Some("killed for want of memory"));
    }
}
