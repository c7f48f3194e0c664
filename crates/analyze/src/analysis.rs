//! What a whole recording says: suspects with their growth, the verdicts, when the memory is full.
//!
//! Plain typed figures, without a word of text: `leakscope-report` makes sentences, pictures and JSON of them. Rates are
//! bytes per hour everywhere, times are milliseconds since recording started.

use leakscope_profile::timeline::Class;

use crate::estimate::Estimate;
use crate::frames::FrameTable;
use crate::judgement::{Verdict, VerdictId};
use crate::rss::RssTable;
use crate::site::{Place, SiteId};

/// What a recording says.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    /// The frames that the suspects' places refer to.
    pub frames: FrameTable,
    /// The snapshots that were looked at, oldest first.
    pub instants: Vec<Instant>,
    /// What of them the trends were taken from; `None` if there were too few.
    pub window: Option<Window>,
    /// Every place of the program that held memory, most growth first.
    pub suspects: Vec<Suspect>,
    /// The rows of resident memory whose trend is known, in the order of [`Class`].
    pub rows: Vec<RowTrend>,
    /// Where resident memory is; `None` where that was never measured.
    pub rss: Option<RssTable>,
    /// Growth of everything that is tracked and not the JVM's own address space.
    pub tracked: Option<Trend>,
    /// Growth of resident memory.
    pub resident: Option<Trend>,
    /// Memory against its limit, and when it is full.
    pub forecast: Option<Forecast>,
    /// What it is, the primary one first; empty where nothing is wrong.
    pub verdicts: Vec<Verdict>,
}

/// When a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Instant {
    /// Number of the snapshot.
    pub index: u32,
    /// Milliseconds since recording started.
    pub uptime_ms: u64,
    /// Wall clock, nanoseconds since 1970.
    pub time_unix_ns: i64,
}

/// The part of a recording that trends are taken from: without the warm-up and without what the process's end freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First snapshot of it, as an index into [`Analysis::instants`].
    pub first: usize,
    /// Last snapshot of it.
    pub last: usize,
    /// Uptime of its first snapshot.
    pub from_ms: u64,
    /// Uptime of its last snapshot.
    pub to_ms: u64,
}

/// How fast something grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Bytes per hour with the 95 % interval.
    pub rate: Estimate,
    /// Probability of a growth as clear as this where there is none, 0 to 1.
    pub chance: f64,
    /// The same over the last third of the window alone.
    pub last_third: Estimate,
    /// Points that it was taken from.
    pub points: usize,
}

/// A place of the program whose memory was followed: the sites that share the reader's own line and the way from there
/// to the allocation.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// The one of its sites with the most live bytes.
    pub place: Place,
    /// All its sites, that one first.
    pub sites: Vec<SiteId>,
    /// Estimated live bytes at each of [`Analysis::instants`].
    pub live: Vec<f64>,
    /// Live bytes at the last snapshot of the window.
    pub live_bytes: Estimate,
    /// Live objects then.
    pub live_objects: Estimate,
    /// Sampled blocks live then.
    pub samples: u64,
    /// Growth; `None` where there are too few snapshots.
    pub trend: Option<Trend>,
    /// What the growth looks like.
    pub shape: Shape,
    /// Its steps, where they explain it.
    pub steps: Option<Steps>,
    /// Who frees its blocks.
    pub freed: FreedShare,
    /// How old its live blocks are.
    pub ages: Ages,
    /// The words that hold of it; empty where it is neither growing nor large.
    pub words: Vec<VerdictId>,
}

/// What the growth of a place looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Too few snapshots to say.
    #[default]
    Unknown,
    /// No growth beyond chance.
    Flat,
    /// It grows and goes on growing.
    Growing,
    /// It grew and has stopped.
    Bounded {
        /// Since when it has been flat.
        flat_since_ms: u64,
    },
    /// It grew during the warm-up only.
    Startup {
        /// Since when it has been flat.
        flat_since_ms: u64,
    },
    /// It shrinks.
    Shrinking,
}

/// A growth made of few jumps.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    /// When each was noticed: the uptime of the snapshot after it.
    pub at_ms: Vec<u64>,
    /// Mean size of a step.
    pub size: Estimate,
    /// Standard deviation of the sizes as a part of their mean.
    pub spread: f64,
    /// Part of the growth that they explain, 0 to 1.
    pub share: f64,
    /// Milliseconds between steps, where they are regular.
    pub period_ms: Option<u64>,
    /// What happened at the same time, the clearest first.
    pub coincides: Vec<Coincidence>,
}

/// Something that happens when a place grows or shrinks.
#[derive(Debug, Clone, PartialEq)]
pub struct Coincidence {
    /// What.
    pub with: Event,
    /// Steps that it was seen at.
    pub hits: usize,
    /// All steps.
    pub steps: usize,
}

/// Something that happens in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The user's own mark with this text.
    Mark(String),
    /// Many threads were started or ended.
    ThreadBurst,
    /// A collection of any kind.
    Gc,
    /// A full collection.
    FullGc,
    /// The same minute of each hour.
    EveryHour,
}

/// Who frees the blocks of a place, since recording started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FreedShare {
    /// Estimate of the bytes ever allocated there.
    pub allocated_bytes: f64,
    /// Of the bytes allocated, the part freed by application threads, 0 to 1.
    pub by_app: f64,
    /// The part freed by the JVM's reference-handling threads.
    pub by_gc: f64,
    /// The part that was not freed.
    pub never: f64,
    /// Sampled frees by application threads.
    pub frees_app: u64,
    /// Sampled frees by the JVM's reference-handling threads.
    pub frees_gc: u64,
}

/// Ages of live blocks, at the last snapshot of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ages {
    /// Of the oldest; `None` if nothing is live.
    pub oldest_ms: Option<u64>,
    /// Half of the live bytes are at least this old, as far as snapshots tell.
    pub median_ms: Option<u64>,
    /// How long its blocks live on average, bytes weighted, by Little's law: what is live over what is allocated per
    /// time. `None` where it grows or shrinks, for then the law says nothing.
    pub mean_lifetime_ms: Option<u64>,
}

/// The trend of one row of resident memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowTrend {
    /// Which row.
    pub class: Class,
    /// Its proportional set size at the end.
    pub now_bytes: u64,
    /// How fast it grows.
    pub trend: Trend,
}

/// Memory against its limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Forecast {
    /// Resident memory at the end.
    pub rss_bytes: u64,
    /// What counts against the limit and cannot be reclaimed, at the end.
    pub charged_bytes: u64,
    /// The limit of the container; `None` if there is none.
    pub limit_bytes: Option<u64>,
    /// Growth of what cannot be reclaimed.
    pub rate: Option<Estimate>,
    /// Milliseconds from the end of the window until the limit; `None` where it does not come.
    pub full_in_ms: Option<TimeRange>,
}

/// A time, with the earliest and the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// At the estimated rate.
    pub estimate_ms: u64,
    /// At the highest rate that is likely.
    pub earliest_ms: u64,
    /// At the lowest; `None` if that may be never.
    pub latest_ms: Option<u64>,
}
