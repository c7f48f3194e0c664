//! Where the resident memory is: a row for each kind, now and per hour, from the parts of the timeline.
//!
//! ```text
//!   Part by class ──> rows          pss, which adds up to the total
//!   Allocator     ──> live | kept   live: what the session tracks, at most what is resident
//!   Jvm           ──> metaspace | code | gc | other     by native memory tracking, else metaspace by its counters
//! ```
//! Native memory tracking tells what is committed, not what is resident, so it only divides the row of the JVM.

use leakscope_profile::timeline::{Class, NmtCategory, Point, Timeline, Tracked};
use std::collections::BTreeMap;

use crate::analysis::Window;
use crate::estimate::{ERROR_RATE, Estimate, Missable, Sums};
use crate::slope::slope_per_hour;

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

/// The table of a timeline; rates over the `window`, or over all but the first tenth. `None` where memory was never
/// divided.
pub fn rss_table(timeline: &Timeline, window: Option<Window>) -> Option<RssTable> {
    let divided = || timeline.points.iter().filter(|point| point.parts.is_some());
    let last = divided().next_back()?;
    let first_ms = divided().next().map_or(0, |point| point.uptime_ms);
    let warm_ms = first_ms + last.uptime_ms.saturating_sub(first_ms) / 10;
    let (from, to) = window.map_or((warm_ms, u64::MAX), |window| (window.from_ms, window.to_ms));
    let measured: Vec<&Point> = divided().filter(|point| (from..=to).contains(&point.uptime_ms)).collect();
    // What divides the JVM's memory is taken more rarely; each point has the latest before it.
    let divider = |point: &Point| Divider::at(timeline, point);
    let end = rows_of(last, &divider(last));
    let series: Vec<(u64, BTreeMap<RssWhat, Estimate>)> =
        measured.iter().map(|point| (point.uptime_ms, rows_of(point, &divider(last)))).collect();
    let per_hour = |what: RssWhat| {
        let points: Vec<(u64, f64)> =
            series.iter().map(|(ms, rows)| (*ms, rows.get(&what).map_or(0.0, |row| row.estimate))).collect();
        slope_per_hour(&points)
    };
    let total = |point: &Point| point.parts.iter().flatten().map(|part| part.pss_bytes).sum::<u64>();
    let totals: Vec<(u64, f64)> = measured.iter().map(|point| (point.uptime_ms, total(point) as f64)).collect();
    let total_bytes = total(last);
    let unexplained = end.get(&RssWhat::Unexplained).map_or(0.0, |row| row.estimate);
    let cgroup = timeline.points.iter().rev().find_map(|point| point.cgroup);
    let rows = end.iter().filter(|(_, now)| now.high > 0.0);
    Some(RssTable {
        uptime_ms: last.uptime_ms,
        rows: rows.map(|(&what, &now)| RssRow { what, now, per_hour: per_hour(what) }).collect(),
        total_bytes,
        total_per_hour: slope_per_hour(&totals),
        rss_bytes: last.resident.rss_bytes,
        unexplained: if total_bytes == 0 { 0.0 } else { unexplained / total_bytes as f64 },
        threads: last.threads,
        split: divider(last).split(),
        swap_bytes: last.resident.swap_bytes,
        page_cache_bytes: cgroup.map(|group| {
            let mapped = last.resident.file_bytes.saturating_add(last.resident.shmem_bytes);
            group.file_bytes.saturating_sub(mapped)
        }),
        kernel_bytes: cgroup.map(|group| group.kernel_bytes),
        limit_bytes: cgroup.and_then(|group| group.limit_bytes),
        points: measured.len(),
    })
}

/// The rows at one instant.
fn rows_of(point: &Point, divider: &Divider<'_>) -> BTreeMap<RssWhat, Estimate> {
    let mut rows: BTreeMap<RssWhat, Estimate> = BTreeMap::new();
    for part in point.parts.iter().flatten() {
        let bytes = Estimate::exact(part.pss_bytes as f64);
        let what = match part.class {
            Class::JavaHeap => RssWhat::JavaHeap,
            Class::Allocator => {
                allocator(part.pss_bytes, point.tracked.get("malloc"), &mut rows);
                continue;
            }
            Class::Jvm => {
                divider.divide(part.pss_bytes, &mut rows);
                continue;
            }
            Class::MappedAnon => RssWhat::MappedAnon,
            Class::MappedFile => RssWhat::MappedFile,
            Class::Stacks => RssWhat::Stacks,
            Class::Files => RssWhat::Files,
            Class::Leakscope => RssWhat::Leakscope,
            Class::Unexplained => RssWhat::Unexplained,
        };
        rows.insert(what, bytes);
    }
    rows
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

impl<'a> Divider<'a> {
    /// The latest that is known at a point; where there is none, the first after it.
    fn at(timeline: &'a Timeline, point: &Point) -> Self {
        let known = || timeline.points.iter().filter_map(|p| Some((p.uptime_ms, p.nmt.as_deref()?)));
        let before = known().take_while(|(ms, _)| *ms <= point.uptime_ms).last();
        match (before.or_else(|| known().next()), point.java) {
            (Some((_, categories)), _) if !categories.is_empty() => Self::Nmt(categories),
            (_, Some(java)) if java.metaspace_committed_bytes > 0 => Self::Metaspace(java.metaspace_committed_bytes),
            _ => Self::Nothing,
        }
    }

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
