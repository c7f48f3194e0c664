//! The JSON of where the resident memory is: `leakscope.explain/1`, and the key `rss` of a report.

use leakscope_analyze::{JvmSplit, RssTable};
use serde::Serialize;

use crate::json::{JsonEstimate, bytes, line};
use crate::text_rss::Explained;
use crate::units::time_utc;

/// `leakscope.explain/1`, one line and a line break.
pub fn json_explain(explained: &Explained<'_>) -> String {
    let target = explained.target;
    line(&JsonExplained {
        schema: "leakscope.explain/1",
        time: time_utc(explained.time_unix_ns, true),
        target: JsonProcess {
            pid: target.pid,
            command: &target.command,
            exe: &target.exe,
            jvm: Some(target.jvm.as_str()).filter(|jvm| !jvm.is_empty()),
            collector: explained.collector,
            native_memory_tracking: explained.native_memory_tracking,
        },
        rss: rss(explained.table),
    })
}

#[derive(Serialize)]
struct JsonExplained<'a> {
    schema: &'static str,
    time: String,
    target: JsonProcess<'a>,
    rss: JsonRss,
}

#[derive(Serialize)]
struct JsonProcess<'a> {
    pid: u32,
    command: &'a [String],
    exe: &'a str,
    jvm: Option<&'a str>,
    collector: Option<&'a str>,
    native_memory_tracking: Option<&'a str>,
}

/// The table.
#[derive(Serialize)]
pub(crate) struct JsonRss {
    uptime_ms: u64,
    total_bytes: u64,
    total_bytes_per_hour: Option<JsonEstimate>,
    rss_bytes: u64,
    swap_bytes: u64,
    threads: u64,
    unexplained: f64,
    jvm_split: &'static str,
    page_cache_bytes: Option<u64>,
    kernel_bytes: Option<u64>,
    limit_bytes: Option<u64>,
    points: usize,
    rows: Vec<JsonRow>,
}

#[derive(Serialize)]
struct JsonRow {
    what: &'static str,
    bytes: JsonEstimate,
    bytes_per_hour: Option<JsonEstimate>,
}

pub(crate) fn rss(table: &RssTable) -> JsonRss {
    JsonRss {
        uptime_ms: table.uptime_ms,
        total_bytes: table.total_bytes,
        total_bytes_per_hour: table.total_per_hour.as_ref().map(bytes),
        rss_bytes: table.rss_bytes,
        swap_bytes: table.swap_bytes,
        threads: table.threads,
        unexplained: (table.unexplained * 1e4).round() / 1e4,
        jvm_split: match table.split {
            JvmSplit::None => "none",
            JvmSplit::Nmt => "nmt",
            JvmSplit::Counters => "counters",
        },
        page_cache_bytes: table.page_cache_bytes,
        kernel_bytes: table.kernel_bytes,
        limit_bytes: table.limit_bytes,
        points: table.points,
        rows: table
            .rows
            .iter()
            .map(|row| JsonRow {
                what: row.what.as_str(),
                bytes: bytes(&row.now),
                bytes_per_hour: row.per_hour.as_ref().map(bytes),
            })
            .collect(),
    }
}
