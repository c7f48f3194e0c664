//! The profile: what was live in one process at one instant, by stack, and how well we know it.
//!
//! The one data type that both halves of the desk share: `collect` makes it from a session, `pprof` writes and
//! reads it, `symbolize` improves its frames, `analyze` computes on it, `report` shows it. Plain data without
//! behaviour beyond look-ups; every index has a type of its own.
//!
//! All sums follow DESIGN 6. With y the size in bytes (or 1 for objects) of each sampled block and
//! p = 1 - e^(-size/interval) its inclusion probability: estimate T = sum y/p, variance V = sum y^2 (1-p)/p^2,
//! certain lower bound O = sum y.

use std::collections::BTreeMap;

/// What was live in one process at one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    /// The profiled process.
    pub target: Target,
    /// When and why this was taken.
    pub snapshot: Snapshot,
    /// What the recording was made with.
    pub settings: Settings,
    /// Data that we did not get, by name (`table_full`, `missed_frees`, ...). Zero counts may be absent.
    pub losses: BTreeMap<String, u64>,
    /// Executable mappings; the first is the executable of the process.
    pub modules: Vec<Module>,
    /// Distinct functions.
    pub functions: Vec<Function>,
    /// Distinct frames.
    pub frames: Vec<Frame>,
    /// Distinct stacks, with what was ever allocated from each.
    pub stacks: Vec<Stack>,
    /// What is live: at most one row for each (stack, kind, birth epoch, interval).
    pub rows: Vec<Row>,
    /// Memory of the process and its limit at the instant of the snapshot, as far as it could be read.
    pub memory: Memory,
}

/// The profiled process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Process id as the collector saw it.
    pub pid: u32,
    /// Short name, from /proc/PID/comm at first sight or the executable's file name.
    pub name: String,
    /// Command line, secrets already redacted.
    pub command: Vec<String>,
    /// Absolute path of the executable.
    pub exe: String,
    /// How it ended, once it has.
    pub exit: Option<Exit>,
    /// For a JVM its version, as `17.0.15+6`; empty if it is none or the version is unknown.
    pub jvm: String,
    /// File whose malloc the process calls instead of the shim's, so that none of its malloc is recorded; empty where it
    /// is.
    pub bypassed_by: String,
    /// Allocators that are linked into the executable under names of their own, as `jemalloc`: what is allocated
    /// through them is recorded only as the memory that they map.
    pub inner_allocators: Vec<String>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned or called exit with this code.
    Code(i32),
    /// A signal killed it.
    Signal(i32),
    /// It is gone, and how cannot be known (not our child).
    Unknown,
}

/// Which instant of which recording.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Random id of the session: two profiles with the same one come from one process and can be paired.
    pub session: [u8; 16],
    /// Number of the snapshot in its session, from 0.
    pub index: u32,
    /// Epoch that this snapshot closes: blocks born in it or before are included, later ones are not.
    pub epoch: u32,
    /// Wall clock, nanoseconds since 1970.
    pub time_unix_ns: i64,
    /// Milliseconds since recording started in the target.
    pub uptime_ms: u64,
    /// Why it was taken: `interval`, `final`, `limit-80`, `limit-90`, `limit-95`, `request`, `checkpoint`, `recover`.
    pub reason: String,
}

/// What the recording was made with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// Mean bytes between samples at the instant of the snapshot; 1 = exact mode.
    pub interval_bytes: u64,
    /// Most native frames kept of a stack.
    pub native_depth: u32,
    /// Most Java frames kept of a stack.
    pub java_depth: u32,
    /// Version of leakscope that recorded.
    pub version: String,
    /// When and why the sampling interval was raised while recording, oldest first.
    pub changes: Vec<IntervalChange>,
}

/// The sampling interval was raised while recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IntervalChange {
    /// Wall clock, nanoseconds since 1970.
    pub time_unix_ns: i64,
    /// Mean bytes between samples from then on.
    pub interval_bytes: u64,
    /// Why.
    pub cause: Cause,
    /// What of it there was, percent of what the cause says.
    pub percent: f64,
}

/// Why the sampling interval was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Sampled calls took too much of a core.
    CostOfCore,
    /// Sampled calls took too much of the processor time of a target that uses several cores.
    CostOfTarget,
    /// Too many records found the ring full.
    RingDrops,
    /// The live table is filling up.
    LiveTable,
}

impl Cause {
    /// Every cause, by number.
    pub const ALL: [Cause; 4] = [Cause::CostOfCore, Cause::CostOfTarget, Cause::RingDrops, Cause::LiveTable];

    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::CostOfCore => "cost-of-core",
            Cause::CostOfTarget => "cost-of-target",
            Cause::RingDrops => "ring-drops",
            Cause::LiveTable => "live-table",
        }
    }

    /// The number used in files and in the session.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The cause with this number.
    pub fn from_number(number: u32) -> Option<Cause> {
        Cause::ALL.get(number as usize).copied()
    }
}

/// A file mapped into the process from which code ran.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Module {
    /// First address in the process.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// File offset of `start`.
    pub offset: u64,
    /// What to subtract from an address in the process to get the ELF file's own virtual address.
    pub bias: u64,
    /// Path as the target saw it, without a trailing ` (deleted)`; `[jvm]` for the module of Java code; `[vdso]`.
    pub path: String,
    /// GNU build id in lower-case hexadecimal, empty if the file has none.
    pub build_id: String,
}

/// A function of native or Java code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Function {
    /// For people: demangled, or Java with dots: `java.util.zip.Deflater.init`.
    pub name: String,
    /// As the linker or the JVM knows it: `_ZN3foo3barEv`, `java/util/zip/Deflater.init(IIZ)J`.
    pub system_name: String,
    /// Source file: absolute or relative path for native code, `java/util/zip/Deflater.java` for Java; or empty.
    pub file: String,
}

/// Index into [`Profile::modules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u32);
/// Index into [`Profile::functions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub u32);
/// Index into [`Profile::frames`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub u32);
/// Index into [`Profile::stacks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId(pub u32);

/// One entry of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame {
    /// What it runs.
    pub code: Code,
    /// The function; always present (an unsymbolized one is called `libz.so.1.2.13+0x1a2b`).
    pub function: FunctionId,
    /// Source line, 0 if unknown.
    pub line: u32,
    /// Whether the compiler inlined this function into the next frame towards the root.
    pub inlined: bool,
}

/// What a frame runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Machine code of a module.
    Native {
        /// Where it lies; `None` where no module was known for the address.
        module: Option<ModuleId>,
        /// Return address in the process (look up `address - 1`).
        address: u64,
    },
    /// A Java method, compiled or interpreted.
    Java,
    /// Not code: a note of leakscope in the stack's place, such as `[truncated]` or `[depot full]`.
    Marker,
}

/// A distinct stack, and what was ever allocated from it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stack {
    /// Frames, leaf (the caller of malloc) first.
    pub frames: Vec<FrameId>,
    /// Cumulative totals since recording started.
    pub totals: Totals,
}

/// Cumulative totals of one stack since recording started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Totals {
    /// Sampled allocations.
    pub samples: u64,
    /// Estimate of the bytes allocated.
    pub bytes: f64,
    /// Variance of `bytes`.
    pub bytes_variance: f64,
    /// Bytes of the sampled allocations themselves: the certain lower bound.
    pub bytes_observed: u64,
    /// Estimate of the objects allocated.
    pub objects: f64,
    /// Estimate of the bytes freed again, by the class of the freeing thread.
    pub freed_by_app: f64,
    /// The same, freed by the JVM's reference-handling threads.
    pub freed_by_gc: f64,
    /// Sampled frees by application threads.
    pub frees_app: u64,
    /// Sampled frees by the JVM's reference-handling threads.
    pub frees_gc: u64,
}

impl Totals {
    /// Adds the totals of another stack. Counts stop at their largest value.
    pub fn add(&mut self, other: &Totals) {
        self.samples = self.samples.saturating_add(other.samples);
        self.bytes += other.bytes;
        self.bytes_variance += other.bytes_variance;
        self.bytes_observed = self.bytes_observed.saturating_add(other.bytes_observed);
        self.objects += other.objects;
        self.freed_by_app += other.freed_by_app;
        self.freed_by_gc += other.freed_by_gc;
        self.frees_app = self.frees_app.saturating_add(other.frees_app);
        self.frees_gc = self.frees_gc.saturating_add(other.frees_gc);
    }
}

/// What kind of memory a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Kind {
    /// A block from the malloc family.
    #[default]
    Malloc,
    /// An anonymous mapping.
    MmapAnon,
    /// A mapped file.
    MmapFile,
    /// The stack of a thread.
    Thread,
}

impl Kind {
    /// The word used in labels, options and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Malloc => "malloc",
            Kind::MmapAnon => "mmap-anon",
            Kind::MmapFile => "mmap-file",
            Kind::Thread => "thread",
        }
    }
}

/// Live blocks of one stack, kind and birth epoch, drawn with one sampling interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Where they were allocated.
    pub stack: StackId,
    /// What they are.
    pub kind: Kind,
    /// Epoch in which they were born.
    pub epoch: u32,
    /// Sampling interval in force when they were drawn, bytes; 1 where every one is recorded.
    pub interval_bytes: u64,
    /// Sampled live blocks.
    pub samples: u64,
    /// T for bytes.
    pub bytes: f64,
    /// V for bytes.
    pub bytes_variance: f64,
    /// O for bytes.
    pub bytes_observed: u64,
    /// T for objects.
    pub objects: f64,
    /// V for objects.
    pub objects_variance: f64,
    /// Size of the smallest sampled block, bytes.
    pub smallest_bytes: u64,
    /// Birth of the oldest block, milliseconds since recording started.
    pub oldest_ms: u64,
    /// Bytes of it in memory, of mappings and of stacks of threads; `None` where that is not known, and of blocks.
    pub resident_bytes: Option<u64>,
}

impl Row {
    /// What tells it apart from other rows of its profile: stack, kind, epoch, interval. Rows are in this order.
    pub fn key(&self) -> (StackId, Kind, u32, u64) {
        (self.stack, self.kind, self.epoch, self.interval_bytes)
    }

    /// Adds the blocks of another row; what tells rows apart stays as it is. Counts stop at their largest value.
    pub fn add(&mut self, other: &Row) {
        self.samples = self.samples.saturating_add(other.samples);
        self.bytes += other.bytes;
        self.bytes_variance += other.bytes_variance;
        self.bytes_observed = self.bytes_observed.saturating_add(other.bytes_observed);
        self.objects += other.objects;
        self.objects_variance += other.objects_variance;
        self.smallest_bytes = self.smallest_bytes.min(other.smallest_bytes);
        self.oldest_ms = self.oldest_ms.min(other.oldest_ms);
        self.resident_bytes = self.resident_bytes.zip(other.resident_bytes).map(|(a, b)| a.saturating_add(b));
    }
}

/// Memory of the process at the snapshot; 0 where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Resident set, bytes.
    pub rss_bytes: u64,
    /// Limit of its memory cgroup, bytes; 0 if none or unknown.
    pub limit_bytes: u64,
    /// Usage of its memory cgroup, bytes.
    pub cgroup_bytes: u64,
}
