//! Trends of what the timeline measured: resident memory, its rows, memory against the limit.

use leakscope_profile::timeline::{Class, Point, Timeline};

use crate::analysis::{Forecast, RowTrend, TimeRange, Trend, Window};
use crate::estimate::Estimate;
use crate::growth::hours;
use crate::series::SnapshotFacts;
use crate::trend::{Level, slope};

/// More points than this are thinned: a day of them is 86,400.
const MOST_POINTS: usize = 240;

/// More than the median is live by this part of what is resident: a wave.
const WAVE: f64 = 0.2;
/// Points of which a quartile says something.
const LEAST_POINTS: usize = 2;

/// All rows, in the order of [`Class`].
const CLASSES: [Class; 9] = [
    Class::JavaHeap,
    Class::Allocator,
    Class::MappedAnon,
    Class::MappedFile,
    Class::Stacks,
    Class::Jvm,
    Class::Files,
    Class::Leakscope,
    Class::Unexplained,
];

/// A measured value, uptime and bytes.
type Measured = (u64, f64);

/// Bytes per hour of measured values; `None` for fewer than five.
pub(crate) fn trend(values: &[Measured]) -> Option<Trend> {
    let values = thinned(values);
    let levels: Vec<Level> = values.iter().map(|(ms, bytes)| Level { at: hours(*ms), bytes: *bytes }).collect();
    let slope = slope(&levels)?;
    let (first, last) = (levels.first()?, levels.last()?);
    let begins = first.at + (last.at - first.at) * 2.0 / 3.0;
    let third = levels.iter().rev().find(|level| level.at <= begins).unwrap_or(first);
    let span = last.at - third.at;
    let rate = (last.bytes - third.bytes) / span;
    let half = 2.0 * slope.wandering / span.sqrt();
    let last_third = Estimate { estimate: rate, low: rate - half, high: rate + half };
    Some(Trend { rate: slope.rate, chance: slope.chance, last_third, points: levels.len() })
}

/// The last of each of so many stretches.
fn thinned(values: &[Measured]) -> Vec<Measured> {
    let n = values.len();
    if n <= MOST_POINTS {
        return values.to_vec();
    }
    (0..MOST_POINTS).map(|at| values[(at + 1) * n / MOST_POINTS - 1]).collect()
}

/// The points of a window.
pub(crate) fn inside<'t>(timeline: &'t Timeline, window: &Window) -> impl Iterator<Item = &'t Point> {
    let (from, to) = (window.from_ms, window.to_ms);
    timeline.points.iter().filter(move |point| (from..=to).contains(&point.uptime_ms))
}

/// The trend of each row of resident memory that was measured often enough.
pub(crate) fn row_trends(timeline: &Timeline, window: &Window) -> Vec<RowTrend> {
    let of = |class: Class| {
        let values: Vec<Measured> =
            inside(timeline, window).filter_map(|point| Some((point.uptime_ms, pss(point, class)? as f64))).collect();
        let trend = trend(&values)?;
        Some(RowTrend { class, now_bytes: values.last()?.1 as u64, trend })
    };
    CLASSES.into_iter().filter_map(of).collect()
}

/// The trends of rows, by what is known each second, where their parts were measured too seldom; the last is what the
/// allocator keeps beyond live blocks.
///
/// ```text
/// Java heap   the most that was ever in use: pages stay resident once they were touched
/// JVM         committed metaspace
/// files       resident pages of files
/// allocator   without a JVM: anonymous memory less what the program mapped, and less live blocks for what is kept
/// ```
pub(crate) fn estimated(timeline: &Timeline, window: &Window, is_jvm: bool) -> (Vec<RowTrend>, Option<Trend>) {
    let mut rows = Vec::new();
    let mut add = |class: Class, values: Vec<Measured>| {
        if let (Some(trend), Some(last)) = (trend(&values), values.last()) {
            rows.push(RowTrend { class, now_bytes: last.1 as u64, trend });
        }
    };
    let heaps = heaps_touched(timeline);
    let inside: Vec<(&Point, f64)> = timeline
        .points
        .iter()
        .zip(heaps)
        .filter(|(point, _)| (window.from_ms..=window.to_ms).contains(&point.uptime_ms))
        .collect();
    let metaspace = |point: &Point| point.java.map_or(0, |java| java.metaspace_committed_bytes) as f64;
    let of = |value: &dyn Fn(&Point, f64) -> Option<f64>| -> Vec<Measured> {
        inside.iter().filter_map(|(point, heap)| Some((point.uptime_ms, value(point, *heap)?))).collect()
    };
    let allocator = |point: &Point, heap: f64| {
        let mapped = point.tracked.get("mmap-anon").map_or(0.0, |tracked| tracked.bytes);
        // In a JVM too much else is anonymous: the collector's tables, code, stacks.
        let is_known = !point.tracked.is_empty() && !is_jvm;
        let other = point.resident.anon_bytes as f64 - heap - metaspace(point) - mapped;
        is_known.then_some(other.max(0.0))
    };
    add(Class::JavaHeap, of(&|point, heap| point.java.map(|_| heap)));
    add(Class::Allocator, of(&allocator));
    add(Class::MappedFile, of(&|point, _| Some(point.resident.file_bytes as f64)));
    add(Class::Jvm, of(&|point, _| point.java.map(|_| metaspace(point))));
    let live = live_between_waves(timeline, window);
    let kept = of(&|point, heap| Some((allocator(point, heap)? - live(point)?).max(0.0)));
    (rows, trend(&kept))
}

/// At each point the most of the Java heap that was in use until then.
fn heaps_touched(timeline: &Timeline) -> Vec<f64> {
    let mut most = 0.0f64;
    let used = |point: &Point| point.java.map_or(0, |java| java.heap_used_bytes) as f64;
    timeline
        .points
        .iter()
        .map(|point| {
            most = most.max(used(point));
            most
        })
        .collect()
}

/// A row's proportional size; a row that is not listed is empty, where rows were measured.
pub(crate) fn pss(point: &Point, class: Class) -> Option<u64> {
    let parts = point.parts.as_ref()?;
    Some(parts.iter().filter(|part| part.class == class).map(|part| part.pss_bytes).sum())
}

/// The bytes of live blocks at a point at which no wave of work is under way: what is live is measured a moment later than what
/// is resident, and of a wave both are large and their difference is anything.
fn live_between_waves(timeline: &Timeline, window: &Window) -> impl Fn(&Point) -> Option<f64> + use<> {
    let live = |point: &Point| point.tracked.get("malloc").map(|tracked| tracked.bytes);
    let mut all: Vec<(f64, f64)> =
        inside(timeline, window).map(|point| (live(point).unwrap_or(0.0), point.resident.anon_bytes as f64)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let most = all.get(all.len() / 2).map_or(f64::MAX, |(live, resident)| live + WAVE * resident);
    move |point| live(point).filter(|live| *live <= most)
}

/// By how many bytes what is tracked rose where it was lowest: the lower quartile of a window's last third, less that of its
/// first. A leak raises it, whatever comes and goes; waves of work do not. `None` for fewer than two points in each.
pub(crate) fn rise_of_lowest(timeline: &Timeline, window: &Window) -> Option<f64> {
    let (from, to) = (window.from_ms as f64, window.to_ms as f64);
    let third = |at: f64| (from + (to - from) * at / 3.0, from + (to - from) * (at + 1.0) / 3.0);
    let lowest = |(from, to): (f64, f64)| {
        let within = inside(timeline, window).filter(|point| (from..=to).contains(&(point.uptime_ms as f64)));
        let live = within.filter(|point| !point.tracked.is_empty());
        let mut live: Vec<f64> = live.map(|point| point.tracked.values().map(|tracked| tracked.bytes).sum()).collect();
        live.sort_by(f64::total_cmp);
        (live.len() >= LEAST_POINTS).then(|| live[live.len() / 4])
    };
    Some(lowest(third(2.0))? - lowest(third(0.0))?)
}

/// What the allocator holds beyond the live blocks that are tracked.
pub(crate) fn kept_by_allocator(timeline: &Timeline, window: &Window) -> Option<Trend> {
    let live = live_between_waves(timeline, window);
    let kept = |point: &Point| Some((point.uptime_ms, (pss(point, Class::Allocator)? as f64 - live(point)?).max(0.0)));
    trend(&inside(timeline, window).filter_map(kept).collect::<Vec<_>>())
}

/// Resident memory over the window: from the timeline, or from the snapshots where there is none.
pub(crate) fn resident(timeline: &Timeline, snapshots: &[SnapshotFacts], window: &Window) -> Option<Trend> {
    let of_points: Vec<Measured> =
        inside(timeline, window).map(|point| (point.uptime_ms, without_session(point) as f64)).collect();
    trend(&of_points).or_else(|| trend(&of_snapshots(snapshots, window, |facts| facts.memory.rss_bytes)))
}

/// Resident memory without leakscope's session, which is shared memory; as is the heap of some collectors.
fn without_session(point: &Point) -> u64 {
    let heap = point.java.map_or(0, |java| java.heap_used_bytes);
    let heap_is_anonymous = point.resident.anon_bytes >= heap;
    let shared = if heap_is_anonymous { point.resident.shmem_bytes } else { 0 };
    point.resident.rss_bytes.saturating_sub(shared)
}

fn of_snapshots(snapshots: &[SnapshotFacts], window: &Window, value: impl Fn(&SnapshotFacts) -> u64) -> Vec<Measured> {
    snapshots[window.first..=window.last]
        .iter()
        .map(|facts| (facts.instant.uptime_ms, value(facts) as f64))
        .filter(|(_, bytes)| *bytes > 0.0)
        .collect()
}

/// Memory against the limit: what is charged and cannot be reclaimed, and when that reaches it.
///
/// The Java heap is left out of the growth, since it ends at its own limit.
pub(crate) fn forecast(timeline: &Timeline, snapshots: &[SnapshotFacts], window: Option<&Window>) -> Option<Forecast> {
    let last = snapshots.get(window.map_or(snapshots.len().checked_sub(1)?, |window| window.last))?;
    let until = last.instant.uptime_ms;
    let point = timeline.points.iter().rev().find(|point| point.uptime_ms <= until);
    let rss_bytes = point.map_or(last.memory.rss_bytes, |point| point.resident.rss_bytes);
    let limit = point.and_then(|point| point.cgroup?.limit_bytes);
    let limit_bytes = limit.or((last.memory.limit_bytes > 0).then_some(last.memory.limit_bytes));
    let charged_bytes = point.and_then(charged).unwrap_or(match last.memory.cgroup_bytes {
        0 => rss_bytes,
        charged => charged,
    });
    if rss_bytes == 0 && charged_bytes == 0 {
        return None;
    }
    let trend = window.and_then(|window| {
        let within = |point: &Point| (window.from_ms..=window.to_ms).contains(&point.uptime_ms);
        beside_heap(timeline, within)
            .or_else(|| trend(&of_snapshots(snapshots, window, |facts| facts.memory.rss_bytes)))
    });
    Some(with_date(Forecast { rss_bytes, charged_bytes, limit_bytes, rate: trend.map(|t| t.rate), full_in_ms: None }))
}

/// Memory against the limit while a process is recorded: by the second half of its timeline so far, without snapshots.
pub fn forecast_now(timeline: &Timeline) -> Option<Forecast> {
    let point = timeline.points.last()?;
    let trend = beside_heap(timeline, |earlier| earlier.uptime_ms >= point.uptime_ms / 2);
    Some(with_date(Forecast {
        rss_bytes: point.resident.rss_bytes,
        charged_bytes: charged(point)?,
        limit_bytes: point.cgroup.and_then(|cgroup| cgroup.limit_bytes),
        rate: trend.map(|trend| trend.rate),
        full_in_ms: None,
    }))
}

fn with_date(forecast: Forecast) -> Forecast {
    let room = forecast.limit_bytes.map(|limit| limit.saturating_sub(forecast.charged_bytes) as f64);
    let full_in_ms = room.zip(forecast.rate).and_then(|(room, rate)| time_until(room, &rate));
    Forecast { full_in_ms, ..forecast }
}

/// The trend of what is charged beside the Java heap: beside what of it is resident, where that was measured often enough, else
/// beside the most of it that was in use. What is committed may never be touched.
fn beside_heap(timeline: &Timeline, within: impl Fn(&Point) -> bool) -> Option<Trend> {
    let points = || timeline.points.iter().zip(heaps_touched(timeline)).filter(|(point, _)| within(point));
    let beside = |point: &Point, heap: f64| Some((point.uptime_ms, (charged(point)? as f64 - heap).max(0.0)));
    let is_java = |point: &&Point| point.java.is_some();
    let measured = points().map(|(point, _)| point).filter(is_java);
    let measured = measured.filter_map(|point| beside(point, pss(point, Class::JavaHeap)? as f64));
    let measured: Vec<Measured> = measured.collect();
    trend(&measured).or_else(|| trend(&points().filter_map(|(point, heap)| beside(point, heap)).collect::<Vec<_>>()))
}

/// What counts against the limit and stays: page cache that the kernel drops first does not.
fn charged(point: &Point) -> Option<u64> {
    let own = point.resident.rss_bytes;
    let of_cgroup = point.cgroup.map(|cgroup| cgroup.current_bytes.saturating_sub(cgroup.reclaimable_bytes));
    of_cgroup.filter(|bytes| *bytes > 0).or((own > 0).then_some(own))
}

/// A hundred years: later than that is never.
const NEVER_MS: f64 = 3.2e12;

fn time_until(room: f64, rate: &Estimate) -> Option<TimeRange> {
    let at = |rate: f64| {
        let ms = room / rate * 3_600_000.0;
        (rate > 0.0 && ms < NEVER_MS).then_some(ms as u64)
    };
    // A growth that may be none at all has no date.
    if rate.low <= 0.0 && rate.estimate < rate.half_width() {
        return None;
    }
    Some(TimeRange { estimate_ms: at(rate.estimate)?, earliest_ms: at(rate.high)?, latest_ms: at(rate.low) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::timeline::{Cgroup, Java, Part, Resident, Tracked};

    #[test]
    fn the_time_until_full_is_a_range() {
        let rate = |estimate, low, high| Estimate { estimate, low, high };
        let range = time_until(100.0, &rate(100.0, 50.0, 200.0)).unwrap();
        assert_eq!((range.estimate_ms, range.earliest_ms, range.latest_ms), (3_600_000, 1_800_000, Some(7_200_000)));
        assert_eq!(time_until(100.0, &rate(10.0, -5.0, 25.0)), None, "may be no growth at all");
        assert_eq!(time_until(100.0, &rate(10.0, -0.5, 20.0)), None);
        assert_eq!(time_until(100.0, &rate(-10.0, -20.0, -1.0)), None);
        assert_eq!(time_until(0.0, &rate(10.0, 5.0, 20.0)).unwrap().estimate_ms, 0);
    }

    #[test]
    fn what_runs_is_foretold_by_its_second_half() {
        let point = |s: u64| {
            // A fast start, then 100 bytes a second.
            let bytes = 1_000_000 + if s < 60 { s * 10_000 } else { 600_000 + (s - 60) * 100 };
            let limit = Cgroup { limit_bytes: Some(2_000_000), current_bytes: bytes, ..Cgroup::default() };
            Point { uptime_ms: s * 1000, cgroup: Some(limit), ..Point::default() }
        };
        let timeline = |seconds| Timeline { points: (0..=seconds).map(point).collect(), ..Timeline::default() };
        let forecast = forecast_now(&timeline(200)).unwrap();
        assert!((forecast.rate.unwrap().estimate - 360_000.0).abs() < 1.0, "{forecast:?}");
        assert_eq!(forecast.full_in_ms.unwrap().estimate_ms / 1000, (2_000_000 - 1_614_000) / 100);
        assert_eq!(forecast_now(&timeline(4)).unwrap().rate, None, "too early");
        assert_eq!(forecast_now(&Timeline::default()), None);
    }

    /// 100 bytes a second leak, and 50 more are what the heap touches; 10 MB of heap are committed.
    #[test]
    fn a_heap_that_is_committed_and_not_touched_hides_no_growth() {
        let timeline = |parts_every: u64| {
            let point = |s: u64| {
                let heap = 1_000_000 + 50 * s;
                let java = Java { heap_used_bytes: heap, heap_committed_bytes: 10_000_000, ..Java::default() };
                let bytes = heap + 500_000 + 100 * s;
                let cgroup = Cgroup { limit_bytes: Some(2_000_000), current_bytes: bytes, ..Cgroup::default() };
                let part = Part { class: Class::JavaHeap, pss_bytes: heap, rss_bytes: heap };
                Point {
                    uptime_ms: s * 1000,
                    java: Some(java),
                    cgroup: Some(cgroup),
                    parts: s.is_multiple_of(parts_every).then(|| vec![part]),
                    ..Point::default()
                }
            };
            Timeline { points: (0..=200).map(point).collect(), ..Timeline::default() }
        };
        for parts_every in [1, 10, 1000] {
            let rate = forecast_now(&timeline(parts_every)).unwrap().rate.unwrap();
            assert!((rate.estimate - 360_000.0).abs() < 1.0, "{parts_every}: {rate:?}");
        }
    }

    #[test]
    fn a_day_of_points_is_thinned() {
        let values: Vec<Measured> = (0..86_400).map(|s| (s * 1000, 5.0 * s as f64)).collect();
        let trend = trend(&values).unwrap();
        assert_eq!(trend.points, MOST_POINTS);
        assert!((trend.rate.estimate - 18_000.0).abs() < 1e-6, "{trend:?}");
    }

    /// Nine points, a second apart: what the allocator has, and what of it is live.
    fn points(of: impl Fn(u64) -> (u64, f64)) -> (Timeline, Window) {
        let point = |s: u64| {
            let (anon_bytes, live) = of(s);
            let tracked = Tracked { bytes: live, ..Tracked::default() };
            let resident = Resident { anon_bytes, ..Resident::default() };
            let tracked = [("malloc".to_owned(), tracked)].into();
            Point { uptime_ms: s * 1000, resident, tracked, ..Point::default() }
        };
        let timeline = Timeline { points: (0..9).map(point).collect(), ..Timeline::default() };
        (timeline, Window { first: 0, last: 8, from_ms: 0, to_ms: 8000 })
    }

    #[test]
    fn what_an_allocator_keeps_is_seen_between_waves() {
        const MIB: u64 = 1 << 20;
        // It keeps 6 MiB more of each wave; two of them are met, and less of the second is live than is resident.
        let wave = |s: u64| if s == 4 || s == 8 { 40 } else { 0 };
        let (timeline, window) = points(|s| ((6 * s + wave(s)) * MIB, (0.7 * wave(s) as f64) * MIB as f64));
        let kept = estimated(&timeline, &window, false).1.unwrap();
        assert_eq!(kept.points, 7);
        let hourly = (6 * 3600 * MIB) as f64;
        assert!((kept.rate.estimate / hourly - 1.0).abs() < 0.01 && kept.rate.low > 0.5 * hourly, "{kept:?}");
        assert_eq!(rise_of_lowest(&timeline, &window), Some(0.0), "waves come and go");
        let (timeline, window) = points(|s| ((6 * s + wave(s)) * MIB, ((6 * s + wave(s)) * MIB) as f64));
        assert_eq!(rise_of_lowest(&timeline, &window), Some((36 * MIB) as f64), "beside waves a leak rises");
    }
}
