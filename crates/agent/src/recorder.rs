//! The recorder: enters sampled blocks into the session and takes them out again.
//!
//! One static [`RECORDER`] serves the process. Until recording begins its flag is 0 and nothing else of it is used.
//! In a forked child nothing is recorded, until it has a session of its own (`place.rs`, `forked.rs`).

use crate::capture::Captured;
use crate::kernel::{self, OpenFile};
use crate::libc_symbols::{KeepErrno, now_ms};
use crate::machine::prefetch;
use crate::place::{NewPlace, Place};
use crate::records;
use crate::stopwatch::Stopwatch;
use crate::thread::{Class, ThreadBlock};
use core::sync::atomic::{AtomicU64, Ordering};
use leakscope_hotspot::Jvm;
use leakscope_sampling::{Interval, Ladder, STEPS, Scaled};
use leakscope_session::depot::Counter;
use leakscope_session::filter::Filter;
use leakscope_session::header::{INTERVALS, JvmState, Word};
use leakscope_session::live::{Busy, Entry, Inserted};
use leakscope_session::losses::Loss;
use leakscope_session::ring::Payload;
use leakscope_session::view::Session;
use leakscope_unwind::RuleCache;

/// Which addresses of the process may be live samples. A static of its own, all zeroes: no load of a pointer on the
/// path of every free, and no bytes in the file.
pub static FILTER: Filter = Filter::new();
static RULES: RuleCache = RuleCache::new();

/// The process's recorder.
pub static RECORDER: Recorder = Recorder::new(&FILTER, &RULES);

/// Everything that recording needs.
pub struct Recorder {
    /// Which addresses may be live samples.
    pub filter: &'static Filter,
    /// The JVM, once there is one.
    pub jvm: Jvm,
    pub(crate) rules: &'static RuleCache,
    pub(crate) place: Place,
    threads: AtomicU64,
}

/// What `Recorder::begin` publishes.
#[derive(Clone, Copy)]
pub struct Published {
    /// The session.
    pub session: Session<'static>,
    /// Coarse monotonic milliseconds at the start.
    pub start_ms: u64,
    /// Seed of all threads' random numbers.
    pub seed: u64,
    /// Kernel name of the process's first thread.
    pub process_name: [u8; 16],
    /// Where the session lies.
    pub(crate) memory: Memory,
    /// The process's own id: a sandbox may not let it ask later.
    pub(crate) pid: u32,
    /// Number of seccomp filters at the start.
    pub(crate) seccomp_filters: u32,
    /// The intervals that the recording can come to. Not those in the session, which another process can change.
    pub ladder: Ladder,
}

/// A session's memory and file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub base: usize,
    pub bytes: u64,
    pub file: OpenFile,
}

impl Memory {
    /// Puts memory of this process's own over a parent's session.
    pub(crate) fn cover(&self) {
        if self.bytes > 0 {
            kernel::cover(self.base, self.bytes);
        }
    }
}

const _: () = assert!(STEPS as usize == INTERVALS);

impl Published {
    /// The class of the calling thread. Only a JVM has threads of the collector's; elsewhere none need be asked.
    pub(crate) fn class_of(&self, thread: &ThreadBlock) -> Class {
        match JvmState::from_word(self.session.header.get(Word::JvmState)) {
            JvmState::Absent => Class::App,
            _ => thread.class(&self.process_name),
        }
    }

    /// Milliseconds since recording started; 0 where a faked clock (libfaketime) stands before that.
    pub(crate) fn age_ms(&self) -> u64 {
        now_ms().saturating_sub(self.start_ms)
    }

    /// The sampling interval in force: the step of our own ladder that the collector has chosen.
    pub(crate) fn interval(&self) -> Interval {
        self.ladder.step(self.session.header.current_index())
    }
}

impl Recorder {
    /// A recorder that does not record.
    pub const fn new(filter: &'static Filter, rules: &'static RuleCache) -> Self {
        Self { filter, jvm: Jvm::new(), rules, place: Place::nowhere(), threads: AtomicU64::new(0) }
    }

    /// Begins recording.
    pub(crate) fn begin(&self, published: Published, place: NewPlace) {
        if published.ladder.first().is_exact() {
            self.filter.pass_all();
        }
        self.place.begin(place, published);
    }

    /// The session, while recording.
    ///
    /// # Hot path
    /// Two loads. No allocation, lock, system call or panic; safe in signal handlers and in forked children.
    #[inline]
    pub fn recording(&self) -> Option<&Published> {
        self.place.recording()
    }

    /// Whether `published` is what is being recorded still: not in a child that was forked under the caller's feet.
    pub(crate) fn is_current(&self, published: &Published) -> bool {
        self.recording().is_some_and(|now| core::ptr::eq(now, published))
    }

    /// Seed for the next thread that starts to sample.
    pub(crate) fn next_seed(&self, published: &Published) -> u64 {
        let ordinal = self.threads.fetch_add(1, Ordering::Relaxed);
        published.seed ^ ordinal.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Enters a sampled block, with its stack. The caller holds the thread's guard.
    ///
    /// Nothing is entered if the process is no longer the one that records: a child forked by a signal handler that
    /// interrupted the hook comes back into it. And no block of 2^63 bytes and more, which some allocators claim to
    /// have when their rounding overflows.
    pub(crate) fn enter(
        &self,
        published: &Published,
        thread: &ThreadBlock,
        block: SampledBlock,
        caller: crate::Caller,
    ) {
        let session = &published.session;
        let stopwatch = thread.stopwatch(block.interval);
        if block.size > isize::MAX as usize {
            return;
        }
        // They are far from the caches, and there while the stack is taken.
        session.live.for_each_likely_place(block.address, !block.interval.is_exact(), prefetch);
        fetch_ring(session, &stopwatch);
        let Some(stack) = self.stack_of(published, thread, caller) else {
            return;
        };
        let entry = Entry {
            size: block.size as u64,
            birth_ms: published.age_ms(),
            interval: published.ladder.number_of(block.interval),
            stack,
            epoch: session.header.get(Word::Epoch) as u32,
        };
        count_allocation(session, &entry, block.interval);
        let inserted = session.live.insert(block.address, &entry);
        match inserted {
            Inserted::Fresh => self.filter.add(block.address),
            // The filter still counts the entry that stood there.
            Inserted::Replaced(_) => session.losses.add(Loss::MissedFrees, 1),
            Inserted::Full => {
                session.losses.add(Loss::TableFull, 1);
                session.losses.add(Loss::TableFullBytes, entry.size);
            }
            Inserted::Odd => session.losses.add(Loss::AddressOdd, 1),
        }
        if let Some(calls) = stopwatch.calls() {
            tell(session, &records::allocation(thread.tid(), block.address, &entry));
            let samples = if inserted == Inserted::Fresh { calls } else { 0 };
            session.cost.entered(thread.tid(), stopwatch.cycles(), samples);
        }
    }

    /// Takes a block out that is about to be freed; nothing happens if it is no live sample.
    pub(crate) fn leave(&self, published: &Published, thread: &ThreadBlock, address: usize) {
        let session = &published.session;
        let stopwatch = thread.stopwatch(published.ladder.first());
        fetch_ring(session, &stopwatch);
        let Some(entry) = session.live.take(address) else {
            return;
        };
        self.filter.remove(address);
        let class = published.class_of(thread);
        count_free(published, &entry, class);
        if let Some(calls) = stopwatch.calls() {
            tell_free(published, thread, class, address, &entry, &stopwatch, calls);
        }
    }

    /// The reallocation of a busy block succeeded: the old block is gone. Not a free: its bytes live on elsewhere.
    pub(crate) fn leave_busy(&self, published: &Published, thread: &ThreadBlock, address: usize, busy: &Busy) {
        let stopwatch = thread.stopwatch(published.ladder.first());
        published.session.live.drop_busy(busy);
        self.filter.remove(address);
        if let Some(calls) = stopwatch.calls() {
            tell_free(published, thread, Class::App, address, &busy.entry, &stopwatch, calls);
        }
    }
}

/// Has the ring's next slot fetched for a call that will tell of itself.
#[inline(always)]
fn fetch_ring(session: &Session<'_>, stopwatch: &Stopwatch) {
    if stopwatch.calls().is_some() {
        session.ring.for_next_place(prefetch);
    }
}

/// Puts a record on the ring.
#[inline(never)]
fn tell(session: &Session<'_>, record: &Payload) {
    if !session.ring.push(record) {
        session.losses.add(Loss::RingFull, 1);
    }
}

/// Tells of a free that is one of those that are measured, for so many calls, and what it took.
#[inline(never)]
fn tell_free(
    published: &Published,
    thread: &ThreadBlock,
    class: Class,
    address: usize,
    entry: &Entry,
    stopwatch: &Stopwatch,
    calls: u64,
) {
    let _errno = KeepErrno::new();
    tell(&published.session, &records::free(class, thread.tid(), address, entry, published.age_ms()));
    published.session.cost.left(thread.tid(), stopwatch.cycles(), calls);
}

/// A block that the sampler chose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SampledBlock {
    pub address: usize,
    pub size: usize,
    /// In force when its gap was drawn.
    pub interval: Interval,
}

pub(crate) fn count_losses(session: &Session<'_>, captured: &Captured, stack: u32) {
    let losses = &session.losses;
    if captured.truncated {
        losses.add(Loss::StackTruncated, 1);
    }
    if captured.java_refused {
        losses.add(Loss::JavaRefused, 1);
    }
    if captured.java_not_ready {
        losses.add(Loss::JavaNotReady, 1);
    }
    if stack == leakscope_session::depot::FULL_STACK {
        losses.add(Loss::DepotFull, 1);
    }
}

fn count_allocation(session: &Session<'_>, entry: &Entry, interval: Interval) {
    let depot = &session.depot;
    depot.count(entry.stack, Counter::Samples, 1);
    depot.count(entry.stack, Counter::Observed, entry.size);
    if !interval.is_exact() {
        let scaled = Scaled::sample(entry.size, interval);
        depot.count(entry.stack, Counter::UnseenBytes, nearest(scaled.bytes - entry.size as f64));
        depot.count(entry.stack, Counter::Variance, at_least(scaled.bytes_variance / (1 << 20) as f64));
        depot.count(entry.stack, Counter::UnseenObjects, nearest((scaled.objects - 1.0) * 65536.0));
    }
}

/// The nearest whole number. Cutting the fraction off would leave a counter half a unit short with every sample.
fn nearest(value: f64) -> u64 {
    (value + 0.5) as u64
}

/// The next whole number: a small variance is too large rather than none, which would pass for exact.
fn at_least(value: f64) -> u64 {
    let whole = value as u64;
    if (whole as f64) < value { whole + 1 } else { whole }
}

fn count_free(published: &Published, entry: &Entry, class: Class) {
    let session = &published.session;
    let interval = published.ladder.step(entry.interval);
    let bytes = if interval.is_exact() { entry.size } else { nearest(Scaled::sample(entry.size, interval).bytes) };
    let (frees, freed) = match class {
        Class::App => (Counter::FreesApp, Counter::FreedApp),
        Class::Gc => (Counter::FreesGc, Counter::FreedGc),
    };
    session.depot.count(entry.stack, frees, 1);
    session.depot.count(entry.stack, freed, bytes);
}

/// Publishes how far the JVM side has come.
pub(crate) fn publish_jvm_state(session: &Session<'_>, state: JvmState) {
    session.header.set(Word::JvmState, state as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_keep_up_with_what_is_counted() {
        let (mut counted, mut exact) = (0, 0.0);
        for size in 1..=20_000 {
            let scaled = Scaled::sample(size, Interval::DEFAULT);
            counted += nearest(scaled.bytes);
            exact += scaled.bytes;
        }
        // Fractions fall both ways; cut off, they would come to 10,000 bytes.
        assert!((counted as f64 - exact).abs() < 500.0, "{counted} {exact}");
        assert_eq!([0.0, 0.25, 1.0, 2.5].map(at_least), [0, 1, 1, 3]);
    }
}
