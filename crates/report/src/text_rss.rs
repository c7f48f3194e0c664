//! Where the resident memory is, as text: the table, and what is charged beside it.

use std::fmt::Write;

use leakscope_analyze::{Estimate, JvmSplit, RssRow, RssTable, RssWhat};
use leakscope_profile::model::Target;

use crate::path::CallPath;
use crate::printable::printable;
use crate::style::{Ink, TextOptions};
use crate::table::{ALWAYS, Align, Column, Table};
use crate::units::{bytes, bytes_change, bytes_estimate, duration, percent, thousands, time_utc};

/// A process that was looked at while it ran.
#[derive(Debug, Clone, Copy)]
pub struct Explained<'a> {
    /// Which.
    pub target: &'a Target,
    /// When, nanoseconds since 1970.
    pub time_unix_ns: i64,
    /// Its garbage collector, where it is a JVM that says so.
    pub collector: Option<&'a str>,
    /// `-XX:NativeMemoryTracking`, where it is a JVM that says so.
    pub native_memory_tracking: Option<&'a str>,
    /// Where its memory is.
    pub table: &'a RssTable,
}

/// A row of which less is resident is left out, unless all are wanted.
const SMALL_BYTES: f64 = 16.0 * 1024.0;
/// From this factor on it is said why the resident set is larger than the proportional one.
const FACTOR: f64 = 1.1;
/// From this share on it is said what may be unexplained.
const MUCH_UNEXPLAINED: f64 = 0.02;

const COLUMNS: [Column; 4] = [
    Column { name: "what", align: Align::Left, rank: ALWAYS },
    Column { name: "now", align: Align::Right, rank: ALWAYS },
    Column { name: "share", align: Align::Right, rank: 1 },
    Column { name: "per hour", align: Align::Right, rank: ALWAYS },
];

/// The table of a process, with a head.
pub fn text_explain(explained: &Explained<'_>, options: &TextOptions) -> String {
    let target = explained.target;
    let mut parts = vec![format!("{} (pid {})", printable(&target.name), target.pid)];
    if !target.jvm.is_empty() {
        parts.push(format!("JVM {}", printable(&target.jvm)));
    }
    parts.extend(explained.collector.map(|collector| format!("{} heap", printable(collector))));
    parts.extend(explained.native_memory_tracking.map(|level| format!("native memory tracking {}", printable(level))));
    parts.push(threads(explained.table.threads));
    parts.push(time_utc(explained.time_unix_ns, false));
    let mut text = format!("{}\n{}", options.parts(&parts, 2), text_rss(explained.table, options));
    let next = options.next_line();
    if !next.is_empty() {
        let _ = write!(text, "\n{next}");
    }
    text
}

/// The table, with its heading.
pub fn text_rss(rss: &RssTable, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    // Without rates there is no column for them; with them it stays to the last.
    let columns = if rss.total_per_hour.is_some() { COLUMNS.len() } else { COLUMNS.len() - 1 };
    let mut table = Table::new(&COLUMNS[..columns], "");
    let mut lines = 0;
    let mut row = |ink, name: String, now: String, share: String, per_hour: Option<&Estimate>| {
        let mut cells = vec![name, now, share, per_hour.map_or_else(String::new, |rate| change(rate, options))];
        cells.truncate(columns);
        table.row(ink, cells);
        lines += 1;
    };
    let shown = |row: &&RssRow| {
        row.what == RssWhat::Unexplained || options.is_all() || row.now.high >= SMALL_BYTES || row.grows()
    };
    let nothing = RssRow { what: RssWhat::Unexplained, now: Estimate::exact(0.0), per_hour: None };
    let has_unexplained = rss.rows.iter().any(|row| row.what == RssWhat::Unexplained);
    let rows = rss.rows.iter().chain((!has_unexplained).then_some(&nothing));
    for entry in rows.filter(shown) {
        let ink = match entry.what {
            _ if entry.grows() => Some(Ink::Bad),
            RssWhat::Unexplained => Some(Ink::Dim),
            _ => None,
        };
        let now = if entry.now.is_exact() { bytes(entry.now.estimate) } else { bytes_estimate(&entry.now, glyphs) };
        row(ink, row_name(entry.what, rss), now, share(entry.now.estimate, rss), entry.per_hour.as_ref());
    }
    let total = bytes(rss.total_bytes as f64);
    row(Some(Ink::Strong), "all of it".to_owned(), total, percent(1.0), rss.total_per_hour.as_ref());
    let nothing_beside: Vec<CallPath> = (0..lines).map(|_| CallPath::text(String::new())).collect();
    let heading = options.paint(Ink::Strong, "WHERE THE RSS IS");
    // Measured more rarely than snapshots are taken.
    let when = if rss.uptime_ms > 0 { format!("  (after {})", duration(rss.uptime_ms)) } else { String::new() };
    let mut text = format!("\n{heading}{when}\n{}", table.print(&nothing_beside, options));
    for line in beside(rss) {
        let _ = writeln!(text, "  {}", options.sentence(&line, 4));
    }
    text
}

fn threads(count: u64) -> String {
    if count == 1 { "1 thread".to_owned() } else { format!("{} threads", thousands(count as f64)) }
}

fn share(amount: f64, rss: &RssTable) -> String {
    if rss.total_bytes == 0 { String::new() } else { percent(amount / rss.total_bytes as f64) }
}

/// What a row is called.
pub(crate) fn row_name(what: RssWhat, rss: &RssTable) -> String {
    match what {
        RssWhat::JavaHeap => "Java heap",
        RssWhat::MallocLive => "malloc, live (tracked)",
        RssWhat::MallocKept => "malloc, free, kept by the allocator",
        RssWhat::Malloc => "malloc, live or kept by the allocator",
        RssWhat::MappedAnon => "mmap of the program",
        RssWhat::MappedFile => "mapped files",
        RssWhat::Stacks if rss.threads > 0 => {
            return format!("thread stacks ({})", threads(rss.threads));
        }
        RssWhat::Stacks => "thread stacks",
        RssWhat::Metaspace => "metaspace",
        RssWhat::Code => "compiled code",
        RssWhat::Gc => "tables of the garbage collector",
        RssWhat::Jvm => match rss.split {
            JvmSplit::None => "JVM: metaspace, code, GC",
            JvmSplit::Counters => "JVM: code, GC and others",
            JvmSplit::Nmt => "JVM: others",
        },
        RssWhat::Files => "libraries and their files",
        RssWhat::Leakscope => "leakscope",
        RssWhat::Unexplained => "unexplained",
    }
    .to_owned()
}

/// A change, which may be none at all.
fn change(rate: &Estimate, options: &TextOptions) -> String {
    if rate.is_exact() && rate.estimate == 0.0 { "0".to_owned() } else { bytes_change(rate, options.glyphs()) }
}

/// How the JVM's own memory was divided.
fn division(rss: &RssTable) -> Option<&'static str> {
    let has = |what| rss.rows.iter().any(|row| row.what == what);
    match rss.split {
        JvmSplit::Nmt => Some(
            "metaspace, code and GC are estimates: native memory tracking tells what is committed, not what is resident",
        ),
        JvmSplit::Counters if has(RssWhat::Metaspace) => Some(
            "metaspace is what is committed; -XX:NativeMemoryTracking=summary would divide the rest of the JVM's memory",
        ),
        JvmSplit::None if has(RssWhat::Jvm) => {
            Some("-XX:NativeMemoryTracking=summary would divide the JVM's own memory")
        }
        _ => None,
    }
}

/// What is not in the table.
pub(crate) fn beside(rss: &RssTable) -> Vec<String> {
    let mut lines: Vec<String> = division(rss).map(str::to_owned).into_iter().collect();
    let whole = rss.rss_bytes as f64;
    if whole > rss.total_bytes as f64 * FACTOR {
        lines.push(format!(
            "the kernel calls it {} resident: pages that are shared, or mapped several times (ZGC's heap), count each time there",
            bytes(whole)
        ));
    }
    if rss.swap_bytes > 0 {
        lines.push(format!("swapped out: {}", bytes(rss.swap_bytes as f64)));
    }
    let charged = [("page cache", rss.page_cache_bytes), ("kernel", rss.kernel_bytes)];
    let charged: Vec<String> =
        charged.iter().filter_map(|(name, amount)| Some(format!("{name} {}", bytes((*amount)? as f64)))).collect();
    if !charged.is_empty() {
        lines.push(format!("not in RSS but charged to the cgroup: {}", charged.join(", ")));
    }
    if rss.unexplained >= MUCH_UNEXPLAINED {
        lines.push(
            "unexplained: anonymous memory that nobody was seen to map; a library's own mmap, or an allocator inside one"
                .to_owned(),
        );
    }
    lines
}
