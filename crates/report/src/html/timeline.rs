//! The page's chart: memory over time, as few points as the eye can tell apart.

use std::collections::BTreeSet;

use leakscope_analyze::{Analysis, Estimate, History, RssWhat, rss_layers};
use leakscope_profile::model::Kind;
use leakscope_profile::timeline::{Point, Timeline};

use super::view::{Band, TimelineView};
use crate::printable::printable;

/// Points that a chart has room for.
const MOST_POINTS: usize = 1200;
/// Collections that are marked one by one.
const MOST_TICKS: usize = 300;
const MOST_MARKS: usize = 200;

/// The chart of a recording; of its snapshots alone where no timeline was kept.
pub(crate) fn timeline(
    timeline: &Timeline,
    history: &History,
    resident: &[u64],
    analysis: Option<&Analysis>,
) -> TimelineView {
    let mut view = match timeline.points.len() {
        0 | 1 => of_snapshots(history, resident),
        _ => of_points(timeline),
    };
    view.marks =
        timeline.marks.iter().take(MOST_MARKS).map(|m| (m.uptime_ms, printable(&m.text).into_owned())).collect();
    view.end = timeline.end.as_ref().map(|end| {
        let how = match (end.oom_killed, end.how.as_str()) {
            (true, _) => "killed for want of memory",
            (false, how) => how,
        };
        (end.uptime_ms, printable(how).into_owned())
    });
    if let Some(analysis) = analysis {
        view.window = analysis.window.map(|window| (window.from_ms, window.to_ms));
        view.forecast = forecast(&view, analysis);
    }
    view
}

/// One point for each snapshot: what is tracked of each kind.
fn of_snapshots(history: &History, resident: &[u64]) -> TimelineView {
    let at: Vec<u64> = history.instants.iter().map(|instant| instant.uptime_ms).collect();
    let kinds = [
        (Kind::Malloc, "malloc-live", "malloc, live"),
        (Kind::MmapAnon, "mapped-anon", "anonymous mappings"),
        (Kind::MmapFile, "mapped-file", "mapped files"),
        (Kind::Thread, "stacks", "thread stacks"),
    ];
    let mut parts = Vec::new();
    for (kind, key, name) in kinds {
        let sites: Vec<_> = history.sites.iter().filter(|site| site.place.kind == kind).collect();
        let Some(together) = leakscope_analyze::SiteHistory::together(&sites) else { continue };
        let bytes = (0..at.len() as u32).map(|at| Some(whole(together.live(at, 0..=at).bytes))).collect();
        parts.push(Band { key, name, bytes });
    }
    let rss = resident.iter().map(|bytes| (*bytes > 0).then_some(*bytes)).collect();
    let source = "No timeline was recorded: what is tracked at each snapshot, as address space.";
    TimelineView { at, parts, source, rss, ..TimelineView::default() }
}

fn of_points(timeline: &Timeline) -> TimelineView {
    let points = &timeline.points;
    let layers = rss_layers(timeline);
    let layered: BTreeSet<usize> = layers.iter().map(|(at, _)| *at).collect();
    let kept = thinned(points, &layered);
    let pick = |value: &dyn Fn(&Point) -> Option<u64>| kept.iter().map(|at| value(&points[*at])).collect::<Vec<_>>();
    let mut view = TimelineView {
        at: kept.iter().map(|at| points[*at].uptime_ms).collect(),
        rss: pick(&|point| Some(point.resident.rss_bytes).filter(|bytes| *bytes > 0)),
        charged: pick(&|point| point.cgroup.map(|group| group.kept_bytes())),
        threads: pick(&|point| Some(point.threads).filter(|threads| *threads > 0)),
        limit: points.iter().rev().find_map(|point| point.cgroup?.limit_bytes),
        thinned: points.len() - kept.len(),
        ..TimelineView::default()
    };
    if layers.len() > 1 {
        let whats: BTreeSet<RssWhat> = layers.iter().flat_map(|(_, rows)| rows.keys().copied()).collect();
        for what in whats {
            let mut bytes = vec![None; kept.len()];
            for (at, rows) in &layers {
                if let Ok(column) = kept.binary_search(at) {
                    bytes[column] = Some(rows.get(&what).map_or(0, |row| whole(row.estimate)));
                }
            }
            if bytes.iter().any(|bytes| bytes.is_some_and(|bytes| bytes > 0)) {
                view.parts.push(Band { key: what.as_str(), name: name_of(what), bytes });
            }
        }
        view.source = "Layers: proportional set size by kind of mapping. Line: resident set size.";
    } else {
        view.parts = vec![
            Band { key: "malloc", name: "anonymous memory", bytes: pick(&|point| Some(point.resident.anon_bytes)) },
            Band { key: "files", name: "files", bytes: pick(&|point| Some(point.resident.file_bytes)) },
            Band { key: "mapped-anon", name: "shared memory", bytes: pick(&|point| Some(point.resident.shmem_bytes)) },
        ];
        view.source = "Layers: what the kernel counts as resident, by backing. Line: resident set size.";
    }
    let (full, young) = (rises(points, |java| java.full_gcs), rises(points, |java| java.young_gcs));
    view.gc_counts = [full.1, young.1];
    view.full_gcs = full.0;
    view.young_gcs = young.0;
    view
}

/// Indexes of the points that are shown: all that divide memory (or evenly many of them), and of the others the highest
/// of each stretch, so that no peak is lost.
fn thinned(points: &[Point], layered: &BTreeSet<usize>) -> Vec<usize> {
    let (first, last) = (points[0].uptime_ms, points[points.len() - 1].uptime_ms);
    let room = (MOST_POINTS / 2) as u64;
    let stretch = |at: usize| {
        let since = points[at].uptime_ms.saturating_sub(first);
        u128::from(since) * u128::from(room) / u128::from(last.saturating_sub(first).max(1))
    };
    let mut kept: BTreeSet<usize> = [0, points.len() - 1].into();
    let (mut highest, mut divided): (Option<usize>, Option<usize>) = (None, None);
    for at in 0..points.len() {
        if highest.is_some_and(|before| stretch(before) != stretch(at)) {
            kept.extend(highest.take());
            kept.extend(divided.take());
        }
        if highest.is_none_or(|before| points[at].resident.rss_bytes > points[before].resident.rss_bytes) {
            highest = Some(at);
        }
        if layered.contains(&at) {
            divided = Some(at);
        }
    }
    kept.extend(highest);
    kept.extend(divided);
    kept.into_iter().collect()
}

/// When a counter of the JVM rose, and by how much in all. Too many are thinned evenly.
fn rises(points: &[Point], counter: impl Fn(&leakscope_profile::timeline::Java) -> u64) -> (Vec<u64>, u64) {
    let counts: Vec<(u64, u64)> =
        points.iter().filter_map(|point| Some((point.uptime_ms, counter(point.java.as_ref()?)))).collect();
    let mut times: Vec<u64> = counts.windows(2).filter(|two| two[1].1 > two[0].1).map(|two| two[1].0).collect();
    let (first, last) = (counts.first().map_or(0, |c| c.1), counts.last().map_or(0, |c| c.1));
    let step = times.len().div_ceil(MOST_TICKS).max(1);
    times = times.into_iter().step_by(step).collect();
    (times, last.saturating_sub(first))
}

/// From the end: as far again as was measured, or to the limit.
fn forecast(view: &TimelineView, analysis: &Analysis) -> Vec<[(f64, f64); 2]> {
    let Some(forecast) = &analysis.forecast else { return Vec::new() };
    let (Some(rate), Some(last)) = (forecast.rate, view.at.last().copied()) else { return Vec::new() };
    let Some(range) = forecast.full_in_ms.filter(|_| rate.estimate > 0.0) else { return Vec::new() };
    let first = view.at.first().copied().unwrap_or(0);
    let span = (last - first) as f64;
    // The whole way to the limit, unless that would squeeze what was measured into a corner.
    let ahead = (range.estimate_ms as f64 * 1.15).min(span * 0.6);
    let from = forecast.rss_bytes as f64;
    let line = |rate: f64| [(last as f64, from), (last as f64 + ahead, from + rate * ahead / 3_600_000.0)];
    let Estimate { estimate, low, high } = rate;
    vec![line(estimate), line(low), line(high)]
}

/// What a layer is called: short, since its figure stands beside it.
fn name_of(what: RssWhat) -> &'static str {
    match what {
        RssWhat::JavaHeap => "Java heap",
        RssWhat::MallocLive => "malloc, live",
        RssWhat::MallocKept => "malloc, free but kept",
        RssWhat::Malloc => "malloc",
        RssWhat::MappedAnon => "anonymous mappings",
        RssWhat::MappedFile => "mapped files",
        RssWhat::Stacks => "thread stacks",
        RssWhat::Metaspace => "metaspace",
        RssWhat::Code => "compiled code",
        RssWhat::Gc => "garbage collector",
        RssWhat::Jvm => "JVM, other",
        RssWhat::Files => "libraries and files",
        RssWhat::Leakscope => "leakscope",
        RssWhat::Unexplained => "unexplained",
    }
}

fn whole(bytes: f64) -> u64 {
    bytes.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::timeline::{Java, Resident};

    fn points(count: u64) -> Vec<Point> {
        let point = |at: u64| Point {
            uptime_ms: at * 1000,
            resident: Resident { rss_bytes: if at == 777 { 9_000 } else { 100 + at % 7 }, ..Resident::default() },
            java: Some(Java { young_gcs: 5 + at / 2, full_gcs: u64::from(at > 100), ..Java::default() }),
            ..Point::default()
        };
        (0..count).map(point).collect()
    }

    #[test]
    fn thinning_keeps_both_ends_the_peak_and_what_divides_memory() {
        let points = points(20_000);
        let kept = thinned(&points, &[5000, 12_345].into());
        assert!(kept.len() <= MOST_POINTS + 2, "{}", kept.len());
        for at in [0, 777, 5000, 12_345, 19_999] {
            assert!(kept.binary_search(&at).is_ok(), "{at}");
        }
        assert_eq!(thinned(&points[..50], &BTreeSet::new()), (0..50).collect::<Vec<_>>(), "few are all kept");
    }

    #[test]
    fn collections_are_counted_and_few_of_them_marked() {
        let points = points(2000);
        let (young, count) = rises(&points, |java| java.young_gcs);
        assert_eq!(count, 999);
        assert!(young.len() <= MOST_TICKS && young.len() > MOST_TICKS / 2, "{}", young.len());
        assert_eq!(rises(&points, |java| java.full_gcs), (vec![101_000], 1));
        assert_eq!(rises(&[], |java| java.full_gcs), (vec![], 0));
    }
}
