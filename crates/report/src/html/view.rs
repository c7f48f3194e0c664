//! What the page's script gets, as JSON: plain figures and sentences, every name fit to be shown.
//!
//! Times are milliseconds since recording started, amounts bytes. Estimates are `[estimate, low, high]`.

use leakscope_analyze::Estimate;
use serde::Serialize;

/// An estimate and its interval, rounded to whole bytes.
pub(crate) type Interval = [f64; 3];

/// Everything.
#[derive(Serialize)]
pub(crate) struct View {
    pub title: String,
    /// The recording in short phrases.
    pub facts: Vec<String>,
    /// The sentences below the title: the first one is the headline.
    pub verdicts: Vec<VerdictView>,
    pub tiles: Vec<Tile>,
    pub instants: Vec<InstantView>,
    pub timeline: TimelineView,
    pub program: ProgramView,
    pub groups: Vec<GroupView>,
    pub rows: Vec<RowView>,
    /// What the rows of resident memory rest on, and what is not in them.
    pub rows_notes: Vec<String>,
    pub threads: Option<ThreadsView>,
    /// What was not tracked, and what this page leaves out: sentences.
    pub missing: Vec<String>,
    pub about: Vec<(String, String)>,
}

/// A judgement, or what stands in its place.
#[derive(Serialize, Default)]
pub(crate) struct VerdictView {
    /// One of the fixed words, or none.
    pub word: &'static str,
    /// `bad`, `fine` or neither.
    pub tone: &'static str,
    pub sentence: String,
    pub confidence: String,
    pub reasons: Vec<String>,
    pub fix: String,
    /// Index into `groups`.
    pub group: Option<usize>,
}

/// A figure at the top.
#[derive(Serialize)]
pub(crate) struct Tile {
    pub name: &'static str,
    pub value: String,
    pub note: String,
    /// Whether it is alarming.
    pub bad: bool,
    /// Part of a whole, 0 to 1, drawn as a bar.
    pub part: Option<f64>,
}

/// A snapshot.
#[derive(Serialize)]
pub(crate) struct InstantView {
    pub index: u32,
    pub at: u64,
    /// Milliseconds since 1970.
    pub time: i64,
    pub reason: String,
    pub file: String,
}

/// Amounts over time, a column each; `None` where nothing was measured.
#[derive(Serialize, Default)]
pub(crate) struct TimelineView {
    pub at: Vec<u64>,
    /// What is stacked, from the bottom.
    pub parts: Vec<Band>,
    /// What the stack is made of, a sentence.
    pub source: &'static str,
    pub rss: Vec<Option<u64>>,
    pub limit: Option<u64>,
    pub charged: Vec<Option<u64>>,
    pub threads: Vec<Option<u64>>,
    pub full_gcs: Vec<u64>,
    pub young_gcs: Vec<u64>,
    /// How many collections there were, ticks that were left out included.
    pub gc_counts: [u64; 2],
    pub marks: Vec<(u64, String)>,
    pub end: Option<(u64, String)>,
    /// Lines from the end: estimate, low, high; each two points of time and bytes.
    pub forecast: Vec<[(f64, f64); 2]>,
    /// The part that trends were taken from.
    pub window: Option<(u64, u64)>,
    /// Measurements that this page leaves out.
    pub thinned: usize,
}

/// One layer of the stack.
#[derive(Serialize)]
pub(crate) struct Band {
    /// Names its colour.
    pub key: &'static str,
    pub name: &'static str,
    pub bytes: Vec<Option<u64>>,
}

/// Functions, call tree and sites.
#[derive(Serialize, Default)]
pub(crate) struct ProgramView {
    /// The first is empty.
    pub names: Vec<String>,
    /// Kind (0 Java, 1 native, 2 a note), function, file, line, library, package, bits (1 framework, 2 inlined).
    pub frames: Vec<[u32; 7]>,
    /// Caller of each node; the first one is its own.
    pub callers: Vec<u32>,
    /// Frame of each node.
    pub frame_of: Vec<u32>,
    pub sites: Vec<SiteView>,
    /// [`super::series`], base64.
    pub series: String,
}

/// A site.
#[derive(Serialize)]
pub(crate) struct SiteView {
    pub id: String,
    pub kind: &'static str,
    /// Its leaf.
    pub node: u32,
    /// How many frames from the leaf its own frame lies.
    pub own: usize,
    /// Largest interval of its samples; 0: exact.
    pub missable: u64,
    /// Exponents of the units of its series.
    pub exponents: [u32; 2],
    pub samples: u64,
    /// Live objects at the last snapshot.
    pub objects: Option<Interval>,
    /// Age of the oldest block at the last snapshot.
    pub oldest: Option<u64>,
    /// Sampled frees by the application and by the garbage collector.
    pub freed: [u64; 2],
    /// How many sites this stands for, if it is not one.
    pub merged: usize,
}

/// Sites that are one line of the table.
#[derive(Serialize)]
pub(crate) struct GroupView {
    /// Words and their tones.
    pub words: Vec<(&'static str, &'static str)>,
    /// What it looks like, where no word holds.
    pub looks: String,
    /// Indexes into the sites; the first names it.
    pub sites: Vec<usize>,
    /// Growth in bytes per hour over the window, by all snapshots in it.
    pub rate: Option<Interval>,
}

/// A row of resident memory.
#[derive(Serialize)]
pub(crate) struct RowView {
    /// Names its colour; `total` for the last one.
    pub key: &'static str,
    pub name: String,
    pub now: u64,
    pub now_text: String,
    pub rate_text: String,
    pub grows: bool,
    pub share: String,
}

/// Threads.
#[derive(Serialize)]
pub(crate) struct ThreadsView {
    pub sentences: Vec<String>,
}

/// Whole bytes.
pub(crate) fn interval(e: &Estimate) -> Interval {
    [e.estimate.round(), e.low.round(), e.high.round()]
}
