//! What a whole recording says: suspects with their growth, the verdicts, when the memory is full.
//!
//! Plain typed figures, without a word of text: `leakscope-report` makes sentences, pictures and JSON of them. Rates are
//! bytes per hour everywhere, times are milliseconds since recording started.

use leakscope_profile::timeline::Class;

use crate::estimate::Estimate;
use crate::frames::{FrameTable, SiteFrame};
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

/// What kind of growth it is: the fixed words, which are also rule ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VerdictId {
    /// Survivors grow.
    Leak,
    /// Freed by the garbage collector only.
    GcBound,
    /// Grows in steps.
    Staircase,
    /// Threads grow.
    Threads,
    /// The allocator keeps what was freed.
    Allocator,
    /// The JVM's own memory grows.
    Jvm,
    /// The Java heap grows.
    Heap,
    /// Mapped files grow.
    Files,
    /// Filled, then flat.
    Bounded,
    /// Grew during the warm-up only.
    Startup,
    /// Grows, and none of these says why; or there are too few snapshots.
    Unknown,
}

impl VerdictId {
    /// Every one.
    pub const ALL: [VerdictId; 11] = [
        VerdictId::Leak,
        VerdictId::GcBound,
        VerdictId::Staircase,
        VerdictId::Threads,
        VerdictId::Allocator,
        VerdictId::Jvm,
        VerdictId::Heap,
        VerdictId::Files,
        VerdictId::Bounded,
        VerdictId::Startup,
        VerdictId::Unknown,
    ];

    /// The word in text, JSON and suppressions.
    pub fn as_str(self) -> &'static str {
        match self {
            VerdictId::Leak => "LEAK",
            VerdictId::GcBound => "GC-BOUND",
            VerdictId::Staircase => "STAIRCASE",
            VerdictId::Threads => "THREADS",
            VerdictId::Allocator => "ALLOCATOR",
            VerdictId::Jvm => "JVM",
            VerdictId::Heap => "HEAP",
            VerdictId::Files => "FILES",
            VerdictId::Bounded => "BOUNDED",
            VerdictId::Startup => "STARTUP",
            VerdictId::Unknown => "UNKNOWN",
        }
    }
}

/// How sure a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// It may be otherwise.
    Low,
    /// Something is left to be proven; a reason says what.
    Medium,
    /// Nothing speaks against it.
    High,
}

impl Confidence {
    /// The word in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

/// What it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The word.
    pub id: VerdictId,
    /// Which of [`Analysis::suspects`] it is about.
    pub suspect: Option<usize>,
    /// Which row of resident memory it is about.
    pub row: Option<Class>,
    /// Growth, bytes per hour.
    pub rate: Option<Estimate>,
    /// Of it, bytes per hour that nothing in the process will give back by itself: what verdicts are ordered by.
    pub unreclaimable: f64,
    /// How sure it is.
    pub confidence: Confidence,
    /// Why, the most telling first.
    pub reasons: Vec<Reason>,
    /// What to do about it.
    pub fix: Option<Fix>,
}

/// What speaks for a verdict, or is still missing.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// What was born in the window and is still live grows by this.
    Grows {
        /// Bytes per hour.
        rate: Estimate,
        /// Snapshots that it was taken from.
        snapshots: usize,
    },
    /// Blocks born before full collections outlived them.
    SurvivesFullGcs {
        /// How many there were in the window.
        full_gcs: u64,
    },
    /// No full collection fell into the window: what is left could still be garbage.
    NoFullGc,
    /// None of its sampled blocks was ever freed.
    NeverFreed {
        /// So many are live.
        samples: u64,
    },
    /// Who frees: of so many sampled frees, the part by the JVM's reference-handling threads.
    FreedBy {
        /// 0 to 1.
        gc_share: f64,
        /// All frees that were seen.
        frees: u64,
    },
    /// It falls, and only when there is a collection.
    FallsOnlyAtGc {
        /// Falls that were seen.
        falls: usize,
        /// Whether only full collections count.
        full: bool,
    },
    /// It holds this much.
    Holds {
        /// Live bytes.
        live: Estimate,
        /// As a part of resident memory, 0 to 1, where that is known.
        of_resident: Option<f64>,
    },
    /// It grows in steps.
    Steps(Steps),
    /// It has been flat since.
    FlatSince {
        /// Uptime.
        since_ms: u64,
        /// Growth since then.
        rate: Estimate,
    },
    /// There are more threads than before.
    MoreThreads {
        /// At the start of the surge.
        from: u64,
        /// At its end.
        to: u64,
        /// How long it took.
        in_ms: u64,
        /// When it was over, uptime.
        at_ms: u64,
        /// How many of the threads made by this place have ended.
        exited: u64,
    },
    /// What is tracked does not grow.
    TrackedFlat {
        /// Bytes per hour.
        rate: Estimate,
    },
    /// What is tracked may grow, and may not: it takes longer, or a smaller sampling interval, to tell.
    TrackedUnclear {
        /// Bytes per hour.
        rate: Estimate,
    },
    /// This row of resident memory grows.
    RowGrows {
        /// Which.
        class: Class,
        /// Bytes per hour.
        rate: Estimate,
    },
    /// Resident memory grows.
    ResidentGrows {
        /// Bytes per hour.
        rate: Estimate,
    },
    /// A trend needs more snapshots.
    TooFewSnapshots {
        /// There are.
        have: usize,
        /// It takes.
        need: usize,
    },
    /// Frees bypassed the recording: live memory may be overstated.
    MissedFrees {
        /// So many.
        count: u64,
    },
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Fix {
    /// The remedy.
    pub remedy: Remedy,
    /// The class or function whose result has to be given back: `java.util.zip.GZIPOutputStream`.
    pub what: Option<String>,
    /// The reader's own line.
    pub at: Option<SiteFrame>,
}

/// The remedies that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Close the stream or file: try-with-resources.
    Close,
    /// Call `end()`, for bare Deflater and Inflater.
    End,
    /// Reuse direct buffers or bound them: -XX:MaxDirectMemorySize.
    DirectBuffer,
    /// Unmap or reuse mapped files.
    Unmap,
    /// Close RocksDB's objects, iterators and options included.
    CloseRocksObject,
    /// Release Netty's buffers: -Dio.netty.leakDetection.level=paranoid.
    ReleaseNetty,
    /// Close the off-heap collection.
    CloseOffHeap,
    /// Close the arena of foreign memory.
    CloseArena,
    /// Free what a native library was asked for, by the call that it offers for that.
    FreeNative,
    /// `free` or `delete` in native code.
    Free,
    /// Delete global references of JNI.
    DeleteGlobalRef,
    /// Do not define classes again and again.
    ReuseClasses,
    /// Shut pools down, bound them.
    BoundThreads,
    /// Fewer arenas, trimming, or another allocator.
    TrimAllocator,
    /// Look at the JVM by native memory tracking.
    TrackJvm,
    /// Smaller heap, or a heap dump.
    BoundHeap,
}

impl Remedy {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Remedy::Close => "close",
            Remedy::End => "end",
            Remedy::DirectBuffer => "direct-buffer",
            Remedy::Unmap => "unmap",
            Remedy::CloseRocksObject => "close-rocksdb-object",
            Remedy::ReleaseNetty => "release-netty",
            Remedy::CloseOffHeap => "close-off-heap",
            Remedy::CloseArena => "close-arena",
            Remedy::FreeNative => "free-native",
            Remedy::Free => "free",
            Remedy::DeleteGlobalRef => "delete-global-ref",
            Remedy::ReuseClasses => "reuse-classes",
            Remedy::BoundThreads => "bound-threads",
            Remedy::TrimAllocator => "trim-allocator",
            Remedy::TrackJvm => "track-jvm",
            Remedy::BoundHeap => "bound-heap",
        }
    }
}
