//! The header: the first 8 KiB of a session, with everything that is not a table.
//!
//! Written once by the target before the collector gets the file: identity, sizes of the tables, settings. Written
//! while recording, each on a cache line of its own: by the target the counts of the tables, the state and the
//! losses; by the collector the epoch and the ring's tail.

use crate::{cost, losses};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes of the header.
pub const BYTES: usize = 8192;
/// First word of every session: "LEAKSCOP".
pub const MAGIC: u64 = u64::from_le_bytes(*b"LEAKSCOP");
/// Version of the layout; a reader refuses any other.
pub const VERSION: u64 = 4;
/// Sampling intervals that one recording can use: steps of a ladder, each twice the one before.
pub const INTERVALS: usize = 16;

/// Words of one [`Change`].
pub const CHANGE_WORDS: usize = 4;

/// What the header's 64-bit words hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Word {
    /// [`MAGIC`].
    Magic = 0,
    /// [`VERSION`].
    Version = 1,
    /// Process id as the target sees it.
    Pid = 2,
    /// Random id of the session, low and high half.
    SessionLow = 3,
    /// See [`Word::SessionLow`].
    SessionHigh = 4,
    /// CLOCK_MONOTONIC when recording started, nanoseconds.
    StartMonotonicNs = 5,
    /// CLOCK_REALTIME when recording started, nanoseconds since 1970.
    StartUnixNs = 6,
    /// Most native frames of a stack.
    NativeDepth = 7,
    /// Most Java frames of a stack.
    JavaDepth = 8,
    /// First of the sizes of the tables, in the order of [`crate::view::Sizes`].
    Sizes = 16,
    /// Sampling intervals that the recording can come to, [`INTERVALS`] words. For the reader; the target goes by its
    /// own copy.
    Intervals = 40,
    /// Index of the interval in force (collector).
    CurrentInterval = 56,
    /// State of the JVM side, see [`JvmState`]; and jmethodIDs created, attach attempts.
    JvmState = 64,
    /// jmethodIDs that exist because of us.
    MethodIds = 65,
    /// Attempts to attach to the JVM.
    AttachAttempts = 66,
    /// Nodes of the depot below which every Java frame has been resolved.
    ResolvedNodes = 67,
    /// Garbage collections seen through JVMTI.
    Collections = 68,
    /// Address of the malloc that the program calls, if that is not the shim's: then no malloc is recorded. Else 0.
    OtherMalloc = 69,
    /// Where the target has memory of leakscope's besides the session, 0 if it has none.
    OwnStart = 70,
    /// Bytes of that.
    OwnBytes = 71,
    /// Head of the ring.
    RingHead = 72,
    /// Tail of the ring (collector).
    RingTail = 80,
    /// Epoch (collector).
    Epoch = 88,
    /// First of the 32-bit counts, see [`Count`].
    Counts = 104,
    /// First of the losses.
    Losses = 256,
    /// First of the counters of [`crate::cost`].
    Cost = 768,
    /// When and why each interval came into force, [`CHANGE_WORDS`] for each of [`INTERVALS`] (collector).
    Changes = 896,
}

/// The header's 32-bit counts, each with a cache line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// Open segments of the live table.
    LiveSegments = 0,
    /// Nodes of the depot.
    Nodes = 1,
    /// Stacks of the depot.
    Stacks = 2,
    /// Methods of the Java table.
    Methods = 3,
    /// Lines of the Java table.
    Lines = 4,
    /// Bytes of the Java table's names.
    Names = 5,
    /// Modules.
    Modules = 6,
    /// Slots ever used of the region table.
    Regions = 7,
    /// Where to look for an empty slot of the region table.
    RegionHint = 8,
    /// Slots ever used of the thread table.
    Threads = 9,
    /// Which slot of the thread table is looked at next for a thread that has ended.
    ThreadHand = 10,
}

/// How far the Java side has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum JvmState {
    /// No JVM in the process.
    Absent = 0,
    /// A JVM is there, Java stacks are not ready yet.
    Waiting = 1,
    /// Java stacks are recorded.
    Ready = 2,
    /// The JVM has ended.
    Dead = 3,
    /// This JVM cannot give Java stacks.
    Unsupported = 4,
}

impl JvmState {
    /// The state that a word of the session stands for.
    pub fn from_word(word: u64) -> Self {
        match word {
            1 => Self::Waiting,
            2 => Self::Ready,
            3 => Self::Dead,
            4 => Self::Unsupported,
            _ => Self::Absent,
        }
    }
}

/// Why and when the collector put another interval in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Wall clock, nanoseconds since 1970.
    pub time_unix_ns: u64,
    /// The collector's number of the cause.
    pub cause: u64,
    /// How much of it there was, thousandths of a percent.
    pub thousandths: u64,
}

/// A view of the header.
#[derive(Clone, Copy)]
pub struct Header<'a> {
    words: &'a [AtomicU64],
    halves: &'a [AtomicU32],
}

impl<'a> Header<'a> {
    /// A view over the same [`BYTES`] bytes as 64-bit and as 32-bit words.
    pub fn new(words: &'a [AtomicU64], halves: &'a [AtomicU32]) -> Self {
        Self { words, halves }
    }

    /// A word's value.
    pub fn get(&self, word: Word) -> u64 {
        self.get_at(word, 0)
    }

    /// The value `index` words behind `word`.
    pub fn get_at(&self, word: Word, index: usize) -> u64 {
        self.words.get(word as usize + index).map_or(0, |w| w.load(Ordering::Acquire))
    }

    /// Sets a word.
    pub fn set(&self, word: Word, value: u64) {
        self.set_at(word, 0, value);
    }

    /// Sets the word `index` words behind `word`.
    pub fn set_at(&self, word: Word, index: usize, value: u64) {
        if let Some(w) = self.words.get(word as usize + index) {
            w.store(value, Ordering::Release);
        }
    }

    /// The atomic behind a word.
    pub fn atomic(&self, word: Word) -> Option<&'a AtomicU64> {
        self.words.get(word as usize)
    }

    /// The atomic behind a count.
    pub fn count(&self, count: Count) -> Option<&'a AtomicU32> {
        self.halves.get(Word::Counts as usize * 2 + count as usize * 16)
    }

    /// The losses.
    pub fn losses(&self) -> losses::Losses<'a> {
        let start = Word::Losses as usize;
        losses::Losses::new(self.words.get(start..start + losses::WORDS).unwrap_or(&[]))
    }

    /// The counters of what sampling costs.
    pub fn cost(&self) -> cost::Cost<'a> {
        let start = Word::Cost as usize;
        cost::Cost::new(self.words.get(start..start + cost::WORDS).unwrap_or(&[]))
    }

    /// When and why the interval with this index came into force, as the collector noted it.
    pub fn change(&self, index: u16) -> Change {
        let word = |at| self.get_at(Word::Changes, usize::from(index) % INTERVALS * CHANGE_WORDS + at);
        Change { time_unix_ns: word(0), cause: word(1), thousandths: word(2) }
    }

    /// Puts the interval with index `index` in force.
    pub fn change_interval(&self, index: u16, change: &Change) {
        let Change { time_unix_ns, cause, thousandths } = *change;
        for (at, value) in [time_unix_ns, cause, thousandths].into_iter().enumerate() {
            self.set_at(Word::Changes, usize::from(index) % INTERVALS * CHANGE_WORDS + at, value);
        }
        self.set(Word::CurrentInterval, u64::from(index));
    }

    /// The sampling interval behind an entry's code, bytes; at least 1.
    pub fn interval(&self, code: u16) -> u64 {
        let code = usize::from(code);
        if code < INTERVALS { self.get_at(Word::Intervals, code).max(1) } else { 1 }
    }

    /// Index of the sampling interval in force. What is no index is taken for the first.
    pub fn current_index(&self) -> u16 {
        let index = self.get(Word::CurrentInterval);
        if index < INTERVALS as u64 { index as u16 } else { 0 }
    }

    /// The sampling interval in force, bytes, and its code.
    pub fn current_interval(&self) -> (u64, u16) {
        let code = self.current_index();
        (self.interval(code), code)
    }

    /// The session's random id.
    pub fn session_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        let (low, high) = id.split_at_mut(8);
        low.copy_from_slice(&self.get(Word::SessionLow).to_le_bytes());
        high.copy_from_slice(&self.get(Word::SessionHigh).to_le_bytes());
        id
    }
}

const _: () = assert!(Word::Losses as usize + losses::WORDS <= Word::Cost as usize);
const _: () = assert!(Word::Cost as usize + cost::WORDS <= Word::Changes as usize);
const _: () = assert!(Word::Changes as usize + INTERVALS * CHANGE_WORDS <= BYTES / 8);
const _: () = assert!(Word::Counts as usize + 11 * 8 <= Word::Losses as usize);
