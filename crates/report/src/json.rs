//! The JSON of `report` and `diff`, schemas `leakscope.report/1` and `leakscope.diff/1`; every key is documented in
//! docs/json.md. Additions only within a version. Names are data here: nothing is cut or written out.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use leakscope_analyze::{Analysis, Diff, Estimate, FrameKind, FrameTable, Growth, Place, Site, SiteFrame, Sites};
use leakscope_profile::model::{Exit, IntervalChange, Kind, Profile};
use serde::{Serialize, Serializer};
use serde_json::Number;

use crate::json_rss::{self, JsonRss};
use crate::json_verdict::{self, JsonForecast, JsonSuspect, JsonVerdict};
use crate::units::time_utc;

/// Writes `leakscope.report/1`, one line and a line break. Without an analysis nothing is said about growth.
///
/// # Errors
/// Those of `out`.
pub fn json_report(
    profile: &Profile,
    sites: &Sites,
    analysis: Option<&Analysis>,
    out: &mut impl Write,
) -> io::Result<()> {
    let report = JsonReport {
        schema: "leakscope.report/1",
        target: target(profile),
        snapshot: snapshot(profile),
        settings: settings(profile),
        losses: &profile.losses,
        total: JsonTotal {
            live_bytes: bytes(&sites.total.live_bytes),
            live_objects: objects(&sites.total.live_objects),
            allocated_bytes: bytes(&sites.total.allocated_bytes),
        },
        jvms_own: JsonJvmsOwn {
            mapped_bytes: sites.jvms_own.mapped_bytes,
            mappings: sites.jvms_own.mappings,
            stack_bytes: sites.jvms_own.stack_bytes,
            threads: sites.jvms_own.threads,
        },
        verdicts: analysis.map(json_verdict::verdicts),
        suspects: analysis.map(json_verdict::suspects),
        forecast: analysis.and_then(|analysis| analysis.forecast.as_ref()).map(json_verdict::forecast),
        rss: analysis.and_then(|analysis| analysis.rss.as_ref()).map(json_rss::rss),
        sites: Each(|| sites.sites.iter().filter(|s| s.amounts.samples > 0).map(|s| site(&sites.frames, s))),
    };
    write_line(&report, out)
}

/// Writes `leakscope.diff/1`, one line and a line break.
///
/// # Errors
/// Those of `out`.
pub fn json_diff(a: &Profile, b: &Profile, diff: &Diff, out: &mut impl Write) -> io::Result<()> {
    let diff = JsonDiff {
        schema: "leakscope.diff/1",
        baseline: side(a),
        candidate: side(b),
        paired: diff.paired,
        total: JsonGrowthTotal { growth_bytes: bytes(&diff.growth_bytes) },
        losses: &diff.losses,
        sites: Each(|| diff.sites.iter().map(|growth| changed(&diff.frames, growth))),
    };
    write_line(&diff, out)
}

/// A list that is made while it is written: of 100,000 sites it would take more than all else.
struct Each<F>(F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

#[derive(Serialize)]
struct JsonReport<'a, S> {
    schema: &'static str,
    target: JsonTarget<'a>,
    snapshot: JsonSnapshot,
    settings: JsonSettings<'a>,
    losses: &'a BTreeMap<String, u64>,
    total: JsonTotal,
    jvms_own: JsonJvmsOwn,
    verdicts: Option<Vec<JsonVerdict>>,
    suspects: Option<Vec<JsonSuspect>>,
    forecast: Option<JsonForecast>,
    rss: Option<JsonRss>,
    sites: S,
}

#[derive(Serialize)]
struct JsonDiff<'a, S> {
    schema: &'static str,
    baseline: JsonSide<'a>,
    candidate: JsonSide<'a>,
    paired: bool,
    total: JsonGrowthTotal,
    losses: &'a BTreeMap<String, u64>,
    sites: S,
}

#[derive(Serialize)]
struct JsonSide<'a> {
    target: JsonTarget<'a>,
    snapshot: JsonSnapshot,
    settings: JsonSettings<'a>,
}

#[derive(Serialize)]
struct JsonTarget<'a> {
    pid: u32,
    command: &'a [String],
    exe: &'a str,
    exit: Option<JsonExit>,
    bypassed_by: Option<&'a str>,
    inner_allocators: &'a [String],
}

#[derive(Serialize)]
struct JsonExit {
    code: Option<i32>,
    signal: Option<i32>,
}

#[derive(Serialize)]
struct JsonSnapshot {
    time: String,
    uptime_ms: u64,
    index: u32,
}

#[derive(Serialize)]
struct JsonSettings<'a> {
    interval_bytes: u64,
    native_depth: u32,
    java_depth: u32,
    version: &'a str,
    interval_changes: Vec<JsonChange>,
}

#[derive(Serialize)]
struct JsonChange {
    time: String,
    interval_bytes: u64,
    cause: &'static str,
    percent: f64,
}

#[derive(Serialize)]
struct JsonTotal {
    live_bytes: JsonEstimate,
    live_objects: JsonEstimate,
    allocated_bytes: JsonEstimate,
}

#[derive(Serialize)]
struct JsonJvmsOwn {
    mapped_bytes: u64,
    mappings: u64,
    stack_bytes: u64,
    threads: u64,
}

#[derive(Serialize)]
struct JsonGrowthTotal {
    growth_bytes: JsonEstimate,
}

#[derive(Serialize)]
struct JsonSite<'a> {
    id: String,
    kind: &'static str,
    live_bytes: JsonEstimate,
    live_objects: JsonEstimate,
    allocated_bytes: JsonEstimate,
    samples: u64,
    resident_bytes: Option<u64>,
    exited: Option<u64>,
    frames: Vec<JsonFrame<'a>>,
}

#[derive(Serialize)]
struct JsonGrowth<'a> {
    id: String,
    kind: &'static str,
    status: &'static str,
    growth_bytes: JsonEstimate,
    growth_objects: JsonEstimate,
    significant: bool,
    baseline_bytes: JsonEstimate,
    candidate_bytes: JsonEstimate,
    frames: Vec<JsonFrame<'a>>,
}

#[derive(Serialize)]
pub(crate) struct JsonFrame<'a> {
    kind: &'static str,
    function: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    library: Option<&'a str>,
    inlined: bool,
}

/// An estimate with its interval.
#[derive(Serialize)]
pub(crate) struct JsonEstimate {
    estimate: Number,
    low: Number,
    high: Number,
}

pub(crate) fn line(document: &impl Serialize) -> String {
    // Only maps with keys that are no strings and failing writers make this an error; there are neither.
    let mut text = serde_json::to_string(document).unwrap_or_default();
    text.push('\n');
    text
}

fn write_line(document: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, out);
    serde_json::to_writer(&mut out, document)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn target(profile: &Profile) -> JsonTarget<'_> {
    let exit = profile.target.exit.map(|exit| match exit {
        Exit::Code(code) => JsonExit { code: Some(code), signal: None },
        Exit::Signal(signal) => JsonExit { code: None, signal: Some(signal) },
        Exit::Unknown => JsonExit { code: None, signal: None },
    });
    let target = &profile.target;
    JsonTarget {
        pid: target.pid,
        command: &target.command,
        exe: &target.exe,
        exit,
        bypassed_by: Some(target.bypassed_by.as_str()).filter(|file| !file.is_empty()),
        inner_allocators: &target.inner_allocators,
    }
}

fn snapshot(profile: &Profile) -> JsonSnapshot {
    JsonSnapshot {
        time: time_utc(profile.snapshot.time_unix_ns, true),
        uptime_ms: profile.snapshot.uptime_ms,
        index: profile.snapshot.index,
    }
}

fn settings(profile: &Profile) -> JsonSettings<'_> {
    JsonSettings {
        interval_bytes: profile.settings.interval_bytes,
        native_depth: profile.settings.native_depth,
        java_depth: profile.settings.java_depth,
        version: &profile.settings.version,
        interval_changes: profile.settings.changes.iter().map(change).collect(),
    }
}

fn change(change: &IntervalChange) -> JsonChange {
    JsonChange {
        time: time_utc(change.time_unix_ns, true),
        interval_bytes: change.interval_bytes,
        cause: change.cause.as_str(),
        percent: change.percent,
    }
}

fn side(profile: &Profile) -> JsonSide<'_> {
    JsonSide { target: target(profile), snapshot: snapshot(profile), settings: settings(profile) }
}

fn site<'a>(table: &'a FrameTable, site: &'a Site) -> JsonSite<'a> {
    JsonSite {
        id: site.place.id.to_string(),
        kind: site.place.kind.as_str(),
        live_bytes: bytes(&site.amounts.live_bytes),
        live_objects: objects(&site.amounts.live_objects),
        allocated_bytes: bytes(&site.amounts.allocated_bytes),
        samples: site.amounts.samples,
        resident_bytes: site.amounts.resident_bytes,
        exited: (site.place.kind == Kind::Thread).then(|| site.amounts.freed.total()),
        frames: frames(table, &site.place),
    }
}

fn changed<'a>(table: &'a FrameTable, growth: &'a Growth) -> JsonGrowth<'a> {
    JsonGrowth {
        id: growth.place.id.to_string(),
        kind: growth.place.kind.as_str(),
        status: growth.status.as_str(),
        growth_bytes: bytes(&growth.growth_bytes()),
        growth_objects: objects(&growth.growth_objects()),
        significant: growth.significant,
        baseline_bytes: bytes(&growth.baseline_bytes()),
        candidate_bytes: bytes(&growth.candidate_bytes()),
        frames: frames(table, &growth.place),
    }
}

pub(crate) fn frames<'a>(table: &'a FrameTable, place: &'a Place) -> Vec<JsonFrame<'a>> {
    table.resolve(&place.frames).map(frame).collect()
}

fn frame(frame: &SiteFrame) -> JsonFrame<'_> {
    let known = |text: &'_ String| !text.is_empty();
    JsonFrame {
        // A marker is no code; of the two words that the schema knows, this is the one that promises less.
        kind: if frame.kind == FrameKind::Java { "java" } else { "native" },
        function: &frame.function,
        file: Some(&frame.file).filter(|f| known(f)).map(String::as_str),
        line: (frame.line > 0).then_some(frame.line),
        library: Some(&frame.library).filter(|l| known(l)).map(String::as_str),
        inlined: frame.inlined,
    }
}

/// Bytes are whole numbers.
pub(crate) fn bytes(e: &Estimate) -> JsonEstimate {
    let whole = |value: f64| Number::from(value.round() as i64);
    JsonEstimate { estimate: whole(e.estimate), low: whole(e.low), high: whole(e.high) }
}

/// Counts keep three decimals where they are fractions.
pub(crate) fn objects(e: &Estimate) -> JsonEstimate {
    let number = |value: f64| {
        let rounded = (value * 1000.0).round() / 1000.0;
        match rounded.fract() == 0.0 {
            true => Number::from(rounded as i64),
            false => Number::from_f64(rounded).unwrap_or_else(|| Number::from(0)),
        }
    };
    JsonEstimate { estimate: number(e.estimate), low: number(e.low), high: number(e.high) }
}
