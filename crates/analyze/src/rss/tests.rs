//! Made-up timelines.

use super::*;
use leakscope_profile::timeline::{Cgroup, Java, Resident};

const MB: u64 = 1 << 20;

fn part(class: Class, pss_bytes: u64) -> Part {
    Part { class, pss_bytes, rss_bytes: pss_bytes }
}

fn tracked(bytes: f64) -> BTreeMap<String, Tracked> {
    let exact = Tracked { samples: 7, bytes, bytes_observed: bytes as u64, interval_bytes: 1, ..Tracked::default() };
    [("malloc".to_owned(), exact)].into()
}

fn timeline(points: impl IntoIterator<Item = Point>) -> Timeline {
    Timeline { points: points.into_iter().collect(), ..Timeline::default() }
}

fn amount(table: &RssTable, what: RssWhat) -> u64 {
    let rows: Vec<_> = table.rows.iter().filter(|row| row.what == what).collect();
    assert!(rows.len() <= 1);
    rows.first().map_or(0, |row| row.now.estimate.round() as u64)
}

#[test]
fn rows_add_up_to_the_total() {
    let parts = vec![
        part(Class::JavaHeap, 100 * MB),
        part(Class::Allocator, 50 * MB),
        part(Class::Stacks, 2 * MB),
        part(Class::Jvm, 20 * MB),
        part(Class::Files, 7 * MB),
        part(Class::Unexplained, MB),
    ];
    let point = Point {
        uptime_ms: 5000,
        resident: Resident { rss_bytes: 200 * MB, file_bytes: 30 * MB, ..Resident::default() },
        cgroup: Some(Cgroup { file_bytes: 130 * MB, kernel_bytes: 3 * MB, ..Cgroup::default() }),
        java: Some(Java { metaspace_committed_bytes: 12 * MB, ..Java::default() }),
        tracked: tracked(30.0 * MB as f64),
        threads: 12,
        parts: Some(parts),
        ..Point::default()
    };
    let table =
        rss_table(&timeline([Point::default(), point, Point { uptime_ms: 9000, ..Point::default() }]), None, u64::MAX);
    let table = table.unwrap();
    assert_eq!((table.uptime_ms, table.total_bytes, table.rss_bytes, table.threads), (5000, 180 * MB, 200 * MB, 12));
    assert_eq!((table.page_cache_bytes, table.kernel_bytes), (Some(100 * MB), Some(3 * MB)));
    assert!((table.unexplained - 1.0 / 180.0).abs() < 1e-9);
    let all: f64 = table.rows.iter().map(|row| row.now.estimate).sum();
    assert_eq!(all as u64, table.total_bytes);
    assert_eq!(amount(&table, RssWhat::MallocLive), 30 * MB);
    assert_eq!(amount(&table, RssWhat::MallocKept), 20 * MB);
    assert_eq!((amount(&table, RssWhat::Metaspace), amount(&table, RssWhat::Jvm)), (12 * MB, 8 * MB));
    assert_eq!(table.split, JvmSplit::Counters);
    assert!(table.rows.iter().all(|row| row.per_hour.is_none()), "one measurement has no slope");
    assert!(table.rows.is_sorted_by_key(|row| row.what));
}

#[test]
fn what_was_never_touched_is_not_resident() {
    let point = |tracked| Point { parts: Some(vec![part(Class::Allocator, 10 * MB)]), tracked, ..Point::default() };
    let table = rss_table(&timeline([point(tracked(1e12))]), None, u64::MAX).unwrap();
    assert_eq!((amount(&table, RssWhat::MallocLive), amount(&table, RssWhat::MallocKept)), (10 * MB, 0));
    let table = rss_table(&timeline([point(BTreeMap::new())]), None, u64::MAX).unwrap();
    assert_eq!((amount(&table, RssWhat::Malloc), amount(&table, RssWhat::MallocLive)), (10 * MB, 0), "not recorded");
    assert_eq!(rss_table(&timeline([Point::default()]), None, u64::MAX), None);
}

#[test]
fn sampled_blocks_have_an_interval() {
    let sampled = Tracked {
        samples: 20,
        bytes: 10.0 * MB as f64,
        bytes_variance: 5e12,
        bytes_observed: MB,
        interval_bytes: MB / 2,
    };
    let point = Point {
        parts: Some(vec![part(Class::Allocator, 12 * MB)]),
        tracked: [("malloc".to_owned(), sampled)].into(),
        ..Point::default()
    };
    let table = rss_table(&timeline([point]), None, u64::MAX).unwrap();
    let [live, kept] = table.rows.as_slice() else { panic!("{table:?}") };
    assert!(live.now.low < live.now.estimate && live.now.high <= 12.0 * MB as f64);
    assert_eq!(live.now.estimate + kept.now.estimate, 12.0 * MB as f64);
    assert_eq!(live.now.low + kept.now.high, 12.0 * MB as f64);
}

#[test]
fn native_memory_tracking_divides_the_jvm() {
    let category = |name: &str, committed: u64, malloc: u64| NmtCategory {
        name: name.to_owned(),
        reserved_bytes: committed * 9,
        committed_bytes: committed * MB,
        malloc_bytes: malloc * MB,
    };
    let nmt = vec![
        category("Java Heap", 512, 0),
        category("Class", 4, 2),
        category("Metaspace", 10, 0),
        category("Code", 10, 2),
        category("GC", 30, 20),
        category("Thread", 40, 1),
        category("Internal", 12, 2),
    ];
    let point =
        |uptime_ms, jvm, nmt| Point { uptime_ms, nmt, parts: Some(vec![part(Class::Jvm, jvm)]), ..Point::default() };
    // 12 committed for classes; of 8 + 10 + 10 half is resident. The latest tracking may be older than the measurement.
    let table =
        rss_table(&timeline([point(1, MB, Some(nmt.clone())), point(2, 26 * MB, None)]), None, u64::MAX).unwrap();
    let found = [RssWhat::Metaspace, RssWhat::Code, RssWhat::Gc, RssWhat::Jvm].map(|what| amount(&table, what) / MB);
    assert_eq!((found, table.split), ([12, 4, 5, 5], JvmSplit::Nmt));
    let table = rss_table(&timeline([point(1, 100 * MB, Some(nmt))]), None, u64::MAX).unwrap();
    let found = [RssWhat::Metaspace, RssWhat::Code, RssWhat::Gc, RssWhat::Jvm].map(|what| amount(&table, what) / MB);
    assert_eq!(found, [12, 8, 10, 70], "never more than is committed");
}

#[test]
fn what_is_measured_at_other_points_counts() {
    let point = |uptime_ms, parts: Option<u64>, tracked| Point {
        uptime_ms,
        parts: parts.map(|bytes| vec![part(Class::Allocator, bytes)]),
        tracked,
        ..Point::default()
    };
    let points = [
        point(1, Some(10 * MB), BTreeMap::new()),
        point(2, None, tracked(4.0 * MB as f64)),
        point(3, Some(10 * MB), BTreeMap::new()),
        point(4, None, tracked(9.0 * MB as f64)),
    ];
    for until in [0, 1, 3, 9] {
        let table = rss_table(&timeline(points.clone()), None, until).unwrap();
        assert_eq!(table.uptime_ms, if until < 3 { 1 } else { 3 });
        assert_eq!(amount(&table, RssWhat::MallocLive), 4 * MB, "until {until}");
    }
}

#[test]
fn rates_are_per_hour_and_those_of_the_window() {
    let point = |minute: u64| {
        let heap = if minute < 6 { 500 } else { 100 } + minute;
        let parts = vec![part(Class::JavaHeap, heap * MB), part(Class::Stacks, 5 * MB)];
        Point { uptime_ms: minute * 60_000, parts: Some(parts), ..Point::default() }
    };
    let window = Window { first: 0, last: 0, from_ms: 30 * 60_000, to_ms: 50 * 60_000 };
    let table = rss_table(&timeline((0..=60).map(point)), Some(window), 50 * 60_000).unwrap();
    let [heap, stacks] = table.rows.as_slice() else { panic!("{table:?}") };
    assert_eq!((heap.now.estimate as u64, table.points), (150 * MB, 21), "as it was last");
    let rate = heap.per_hour.unwrap();
    assert!((rate.estimate / MB as f64 - 60.0).abs() < 0.01, "{rate:?}");
    assert_eq!(stacks.per_hour.unwrap().estimate, 0.0);
    assert_eq!(table.total_per_hour.unwrap().estimate.round(), rate.estimate.round());
    assert!(heap.grows() && !stacks.grows());
    assert!(rss_table(&timeline((0..=60).map(point)), None, u64::MAX).unwrap().rows[0].per_hour.is_none());
}
