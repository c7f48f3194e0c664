//! Where the resident memory is: a row for each kind, now and per hour, from the parts of the timeline.
//!
//! ```text
//!   Part by class ──> rows          pss, which adds up to the total
//!   Allocator     ──> live | kept   live: what the session tracks, at most what is resident
//!   Jvm           ──> metaspace | code | gc | other     by native memory tracking, else metaspace by its counters
//! ```
//! Native memory tracking tells what is committed, not what is resident, so it only divides the row of the JVM.

use leakscope_profile::timeline::{Class, NmtCategory, Part, Point, Timeline, Tracked};
use std::collections::BTreeMap;

use crate::analysis::Window;
use crate::estimate::{ERROR_RATE, Estimate, Missable, Sums};
use crate::rows::trend;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RssWhat {
    /// The Java heap.
    JavaHeap,
    /// Live blocks of malloc, as the session tracks them.
    MallocLive,
    /// What the allocator keeps: free blocks, and its own administration.
    MallocKept,
    /// Both, where no session tells them apart.
    Malloc,
    /// Anonymous memory that the program mapped.
    MappedAnon,
    /// Files that the program mapped.
    MappedFile,
    /// Stacks of threads.
    Stacks,
    /// Classes and what belongs to them.
    Metaspace,
    /// Compiled code.
    Code,
    /// Tables of the garbage collector.
    Gc,
    /// What else the JVM has mapped; all of it where nothing tells it apart.
    Jvm,
    /// Executables, libraries and the files that came with them.
    Files,
    /// leakscope's session and shim.
    Leakscope,
    /// What nothing explains.
    Unexplained,
}

impl RssWhat {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            RssWhat::JavaHeap => "java-heap",
            RssWhat::MallocLive => "malloc-live",
            RssWhat::MallocKept => "malloc-kept",
            RssWhat::Malloc => "malloc",
            RssWhat::MappedAnon => "mapped-anon",
            RssWhat::MappedFile => "mapped-file",
            RssWhat::Stacks => "stacks",
            RssWhat::Metaspace => "metaspace",
            RssWhat::Code => "code",
            RssWhat::Gc => "gc",
            RssWhat::Jvm => "jvm",
            RssWhat::Files => "files",
            RssWhat::Leakscope => "leakscope",
            RssWhat::Unexplained => "unexplained",
        }
    }
}

/// What divides the JVM's own memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JvmSplit {
    /// Nothing: it is one row.
    #[default]
    None,
    /// The committed bytes of native memory tracking.
    Nmt,
    /// The JVM's counter of metaspace.
    Counters,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RssRow {
    /// Of what.
    pub what: RssWhat,
    /// Resident bytes (proportional set size) at the end; an interval where they are an estimate.
    pub now: Estimate,
    /// Bytes per hour; `None` where there are too few measurements.
    pub per_hour: Option<Estimate>,
}

impl RssRow {
    /// Whether it grows beyond chance.
    pub fn grows(&self) -> bool {
        self.per_hour.is_some_and(|rate| rate.low > 0.0)
    }
}

/// The table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RssTable {
    /// Uptime of the last measurement, milliseconds.
    pub uptime_ms: u64,
    /// Rows with anything in them, in the order of [`RssWhat`].
    pub rows: Vec<RssRow>,
    /// All rows: the proportional set size of the process.
    pub total_bytes: u64,
    /// Its growth per hour.
    pub total_per_hour: Option<Estimate>,
    /// Resident set size, as the kernel says: shared pages count whole, and once for each mapping.
    pub rss_bytes: u64,
    /// Part of the total that no row explains, 0 to 1.
    pub unexplained: f64,
    /// Threads of the process.
    pub threads: u64,
    /// What divides the JVM's own memory.
    pub split: JvmSplit,
    /// Swapped out.
    pub swap_bytes: u64,
    /// Charged to the memory cgroup beside: page cache that is not mapped by the process.
    pub page_cache_bytes: Option<u64>,
    /// Charged to the memory cgroup beside: the kernel's own.
    pub kernel_bytes: Option<u64>,
    /// The limit of the memory cgroup.
    pub limit_bytes: Option<u64>,
    /// Measurements that the rates were taken from.
    pub points: usize,
}

/// A row in two tables.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RssChange {
    /// Of what.
    pub what: RssWhat,
    /// Resident bytes in the first.
    pub before: f64,
    /// In the second.
    pub after: f64,
    /// The difference, measured both times.
    pub change: Estimate,
}

impl RssTable {
    /// What the allocator has resident: live, kept, or not told apart. `None` where no row says so.
    pub(crate) fn malloc_bytes(&self) -> Option<f64> {
        let is_malloc = |what| matches!(what, RssWhat::MallocLive | RssWhat::MallocKept | RssWhat::Malloc);
        let rows = self.rows.iter().filter(|row| is_malloc(row.what));
        rows.map(|row| row.now.estimate).reduce(|sum, bytes| sum + bytes)
    }

    /// Every row of either table, in the order of [`RssWhat`].
    pub fn changes(&self, after: &RssTable) -> Vec<RssChange> {
        let mut whats: Vec<RssWhat> = self.rows.iter().chain(&after.rows).map(|row| row.what).collect();
        whats.sort_unstable();
        whats.dedup();
        let bytes =
            |table: &RssTable, what| table.rows.iter().find(|row| row.what == what).map_or(0.0, |row| row.now.estimate);
        let change = |what| {
            let (before, after) = (bytes(self, what), bytes(after, what));
            RssChange { what, before, after, change: Estimate::exact(after - before) }
        };
        whats.into_iter().map(change).collect()
    }
}

/// The table of a timeline as it was last measured until `until_ms`, with rates over the `window`. `None` where memory
/// was never divided.
pub fn rss_table(timeline: &Timeline, window: Option<Window>, until_ms: u64) -> Option<RssTable> {
    let measured = measured(timeline);
    let before = measured.iter().rev().find(|measured| measured.point.uptime_ms <= until_ms);
    let last = before.or_else(|| measured.first())?;
    let end = last.rows();
    let is_inside = |ms: u64| window.is_some_and(|window| (window.from_ms..=window.to_ms).contains(&ms));
    let inside: Vec<&Measured<'_>> = measured.iter().filter(|measured| is_inside(measured.point.uptime_ms)).collect();
    let series: Vec<_> = inside.iter().map(|measured| (measured.point.uptime_ms, measured.rows())).collect();
    let per_hour = |what: RssWhat| {
        let amount = |rows: &BTreeMap<_, Estimate>| rows.get(&what).map_or(0.0, |row| row.estimate);
        let values: Vec<(u64, f64)> = series.iter().map(|(ms, rows)| (*ms, amount(rows))).collect();
        trend(&values).map(|trend| trend.rate)
    };
    let totals: Vec<(u64, f64)> =
        inside.iter().map(|measured| (measured.point.uptime_ms, measured.total_bytes() as f64)).collect();
    let total_bytes = last.total_bytes();
    let unexplained = end.get(&RssWhat::Unexplained).map_or(0.0, |row| row.estimate);
    let cgroup = timeline.points.iter().rev().filter(|p| p.uptime_ms <= until_ms).find_map(|point| point.cgroup);
    let resident = last.point.resident;
    let rows = end.iter().filter(|(_, now)| now.high > 0.0);
    Some(RssTable {
        uptime_ms: last.point.uptime_ms,
        rows: rows.map(|(&what, &now)| RssRow { what, now, per_hour: per_hour(what) }).collect(),
        total_bytes,
        total_per_hour: trend(&totals).map(|trend| trend.rate),
        rss_bytes: resident.rss_bytes,
        unexplained: if total_bytes == 0 { 0.0 } else { unexplained / total_bytes as f64 },
        threads: last.point.threads,
        split: last.divider().split(),
        swap_bytes: resident.swap_bytes,
        page_cache_bytes: cgroup
            .map(|group| group.file_bytes.saturating_sub(resident.file_bytes.saturating_add(resident.shmem_bytes))),
        kernel_bytes: cgroup.map(|group| group.kernel_bytes),
        limit_bytes: cgroup.and_then(|group| group.limit_bytes),
        points: inside.len(),
    })
}

/// The rows at each measurement that divides memory, with its index in the timeline: the layers of a chart.
pub fn rss_layers(timeline: &Timeline) -> Vec<(usize, BTreeMap<RssWhat, Estimate>)> {
    let points = timeline.points.iter().enumerate().filter(|(_, point)| point.parts.is_some());
    points.zip(measured(timeline)).map(|((at, _), measured)| (at, measured.rows())).collect()
}

/// A point at which memory was divided, and what else was known by then: it is measured at other points, too.
struct Measured<'a> {
    point: &'a Point,
    parts: &'a [Part],
    /// `None` where nothing is recorded.
    malloc: Option<Tracked>,
    nmt: Option<&'a [NmtCategory]>,
}

/// All such points; what was not known yet is what was known first.
fn measured(timeline: &Timeline) -> Vec<Measured<'_>> {
    fn tracked(point: &Point) -> Option<Tracked> {
        (!point.tracked.is_empty()).then(|| point.tracked.get("malloc").copied().unwrap_or_default())
    }
    fn categories(point: &Point) -> Option<&[NmtCategory]> {
        point.nmt.as_deref().filter(|categories| !categories.is_empty())
    }
    let mut malloc = timeline.points.iter().find_map(tracked);
    let mut nmt = timeline.points.iter().find_map(categories);
    let mut measured = Vec::new();
    for point in &timeline.points {
        malloc = tracked(point).or(malloc);
        nmt = categories(point).or(nmt);
        measured.extend(point.parts.as_deref().map(|parts| Measured { point, parts, malloc, nmt }));
    }
    measured
}

impl Measured<'_> {
    fn total_bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.pss_bytes))
    }

    fn divider(&self) -> Divider<'_> {
        let metaspace = self.point.java.map_or(0, |java| java.metaspace_committed_bytes);
        match self.nmt {
            Some(categories) => Divider::Nmt(categories),
            None if metaspace > 0 => Divider::Metaspace(metaspace),
            None => Divider::Nothing,
        }
    }

    fn rows(&self) -> BTreeMap<RssWhat, Estimate> {
        let mut rows: BTreeMap<RssWhat, Estimate> = BTreeMap::new();
        for part in self.parts {
            let what = match part.class {
                Class::Allocator => {
                    allocator(part.pss_bytes, self.malloc.as_ref(), &mut rows);
                    continue;
                }
                Class::Jvm => {
                    self.divider().divide(part.pss_bytes, &mut rows);
                    continue;
                }
                Class::JavaHeap => RssWhat::JavaHeap,
                Class::MappedAnon => RssWhat::MappedAnon,
                Class::MappedFile => RssWhat::MappedFile,
                Class::Stacks => RssWhat::Stacks,
                Class::Files => RssWhat::Files,
                Class::Leakscope => RssWhat::Leakscope,
                Class::Unexplained => RssWhat::Unexplained,
            };
            rows.insert(what, Estimate::exact(part.pss_bytes as f64));
        }
        rows
    }
}

/// What of the allocator's memory is live, and what it keeps.
fn allocator(resident_bytes: u64, tracked: Option<&Tracked>, rows: &mut BTreeMap<RssWhat, Estimate>) {
    let all = resident_bytes as f64;
    let Some(tracked) = tracked else {
        rows.insert(RssWhat::Malloc, Estimate::exact(all));
        return;
    };
    let sums = Sums {
        samples: tracked.samples,
        bytes: tracked.bytes,
        bytes_variance: tracked.bytes_variance,
        bytes_observed: tracked.bytes_observed,
        missable: if tracked.bytes_variance > 0.0 || tracked.samples == 0 {
            Missable::unseen(tracked.interval_bytes)
        } else {
            Missable::default()
        },
        ..Sums::default()
    };
    let live = sums.bytes_estimate(ERROR_RATE);
    // Blocks that were never touched are live, but take no memory.
    let within = |bytes: f64| bytes.clamp(0.0, all);
    let live = Estimate { estimate: within(live.estimate), low: within(live.low), high: within(live.high) };
    let kept = Estimate { estimate: all - live.estimate, low: all - live.high, high: all - live.low };
    rows.insert(RssWhat::MallocLive, live);
    rows.insert(RssWhat::MallocKept, kept);
}

/// What divides the row of the JVM.
enum Divider<'a> {
    Nmt(&'a [NmtCategory]),
    Metaspace(u64),
    Nothing,
}

impl Divider<'_> {
    fn split(&self) -> JvmSplit {
        match self {
            Self::Nmt(_) => JvmSplit::Nmt,
            Self::Metaspace(_) => JvmSplit::Counters,
            Self::Nothing => JvmSplit::None,
        }
    }

    fn divide(&self, resident_bytes: u64, rows: &mut BTreeMap<RssWhat, Estimate>) {
        let mut left = resident_bytes as f64;
        let mut add = |what, bytes: f64| {
            let bytes = bytes.min(left);
            left -= bytes;
            if bytes > 0.0 {
                rows.insert(what, Estimate::exact(bytes));
            }
            left
        };
        let left = match self {
            Self::Nmt(categories) => {
                let mut committed: BTreeMap<RssWhat, f64> = BTreeMap::new();
                for (what, bytes) in categories.iter().filter_map(mapped) {
                    *committed.entry(what).or_default() += bytes;
                }
                // Metaspace is committed as it is filled; of code and the collector's tables much is never touched.
                let left = add(RssWhat::Metaspace, committed.remove(&RssWhat::Metaspace).unwrap_or(0.0));
                let total: f64 = committed.values().sum();
                let share = if total > 0.0 { (left / total).min(1.0) } else { 0.0 };
                let named = committed.iter().filter(|(what, _)| **what != RssWhat::Jvm);
                named.fold(left, |_, (what, bytes)| add(*what, bytes * share))
            }
            Self::Metaspace(bytes) => add(RssWhat::Metaspace, *bytes as f64),
            Self::Nothing => left,
        };
        if left > 0.0 {
            rows.insert(RssWhat::Jvm, Estimate::exact(left));
        }
    }
}

/// What a category has mapped (and not asked of malloc), and the row that it belongs to.
fn mapped(category: &NmtCategory) -> Option<(RssWhat, f64)> {
    let what = match category.name.as_str() {
        "Class" | "Metaspace" => RssWhat::Metaspace,
        "Code" => RssWhat::Code,
        "GC" | "GCCardSet" => RssWhat::Gc,
        // Rows of their own; class data is a file.
        "Java Heap" | "Thread" | "Thread Stack" | "Shared class space" => return None,
        _ => RssWhat::Jvm,
    };
    Some((what, category.committed_bytes.saturating_sub(category.malloc_bytes) as f64))
}

#[cfg(test)]
#[path = "rss/tests.rs"]
mod tests;
