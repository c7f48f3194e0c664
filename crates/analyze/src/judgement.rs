//! What a verdict is: its word, how sure it is, why, and what to do. Typed values; words are made by `leakscope-report`.

use leakscope_profile::timeline::Class;

use crate::analysis::Steps;
use crate::estimate::Estimate;
use crate::frames::SiteFrame;

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
    /// The word in text and JSON.
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
    /// Which of [`crate::Analysis::suspects`] it is about.
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

impl Verdict {
    /// When what it is about began to grow, milliseconds since recording started, if that was late.
    pub fn began_ms(&self) -> Option<u64> {
        self.reasons.iter().find_map(|reason| match reason {
            Reason::BeganLate { at_ms } => Some(*at_ms),
            _ => None,
        })
    }
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
    /// It was flat for a good part of the recording, and grows since.
    BeganLate {
        /// Uptime.
        at_ms: u64,
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
    /// The program frees some of it, too: a cache that still fills looks the same.
    MayBeFilling,
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
        /// As a part of resident memory, 0 to 1, where that is known and all of it is resident.
        of_resident: Option<f64>,
    },
    /// More of it is live than the allocator has resident: a part was never touched.
    NeverTouched,
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
    /// Most of the growth of what is live came at one place, of which it cannot be told whether it goes on.
    MostlyAt {
        /// Its index.
        suspect: usize,
        /// How much it grew, bytes.
        bytes: f64,
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
    /// Bound RocksDB's own caches, and close what keeps them.
    BoundRocksCaches,
    /// Release Netty's buffers: -Dio.netty.leakDetection.level=paranoid.
    ReleaseNetty,
    /// Release the buffers of a pool, whose chunk this is.
    ReleaseToPool,
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
            Remedy::BoundRocksCaches => "bound-rocksdb-caches",
            Remedy::ReleaseNetty => "release-netty",
            Remedy::ReleaseToPool => "release-to-pool",
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
