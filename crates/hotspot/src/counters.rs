//! What happened between us and the JVM, counted, so that a loss is never silent.

use core::sync::atomic::{AtomicU64, Ordering};

/// Totals since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Attempts to attach the helper thread and find a live JVM.
    pub attach_attempts: u64,
    /// Those that did not.
    pub attach_failures: u64,
    /// JVMTI capabilities or optional events that were refused: names, lines or GC marks will be missing.
    pub refused_capabilities: u64,
    /// Method ids that we had the JVM create; it never frees them.
    pub method_ids: u64,
    /// Classes left without method ids because of the cap ([`METHOD_ID_CAP`](crate::METHOD_ID_CAP)), or because
    /// so many of their name were loaded before ([`MOST_LOADS`](crate::MOST_LOADS)).
    pub skipped_classes: u64,
    /// Classes whose methods the JVM would not list.
    pub failed_classes: u64,
    /// Garbage collections that began (ZGC: pauses).
    pub gc_starts: u64,
    /// Garbage collections that ended.
    pub gc_finishes: u64,
    /// Waits of the helper thread that the JVM refused.
    pub wait_failures: u64,
    /// 1 if the JVM's exit did not wait for the helper's last tick, because that took too long.
    pub abandoned: u64,
    /// 1 if we do not know where this JVM keeps its frame anchors: stacks of runtime calls will lack Java frames.
    pub unknown_anchors: u64,
    /// Captures that succeeded only because the thread's anchor was completed.
    pub completed_anchors: u64,
    /// Those that failed even so, or whose anchor held what it cannot.
    pub failed_anchors: u64,
}

/// One counter, written by several threads.
pub(crate) struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// [`Counters`] as they are written.
pub(crate) struct Tally {
    pub(crate) attach_attempts: Counter,
    pub(crate) attach_failures: Counter,
    pub(crate) refused_capabilities: Counter,
    pub(crate) method_ids: Counter,
    pub(crate) skipped_classes: Counter,
    pub(crate) failed_classes: Counter,
    pub(crate) gc_starts: Counter,
    pub(crate) gc_finishes: Counter,
    pub(crate) wait_failures: Counter,
    pub(crate) abandoned: Counter,
    pub(crate) unknown_anchors: Counter,
    pub(crate) completed_anchors: Counter,
    pub(crate) failed_anchors: Counter,
}

impl Tally {
    pub(crate) const fn new() -> Self {
        Self {
            attach_attempts: Counter::new(),
            attach_failures: Counter::new(),
            refused_capabilities: Counter::new(),
            method_ids: Counter::new(),
            skipped_classes: Counter::new(),
            failed_classes: Counter::new(),
            gc_starts: Counter::new(),
            gc_finishes: Counter::new(),
            wait_failures: Counter::new(),
            abandoned: Counter::new(),
            unknown_anchors: Counter::new(),
            completed_anchors: Counter::new(),
            failed_anchors: Counter::new(),
        }
    }

    pub(crate) fn read(&self) -> Counters {
        Counters {
            attach_attempts: self.attach_attempts.get(),
            attach_failures: self.attach_failures.get(),
            refused_capabilities: self.refused_capabilities.get(),
            method_ids: self.method_ids.get(),
            skipped_classes: self.skipped_classes.get(),
            failed_classes: self.failed_classes.get(),
            gc_starts: self.gc_starts.get(),
            gc_finishes: self.gc_finishes.get(),
            wait_failures: self.wait_failures.get(),
            abandoned: self.abandoned.get(),
            unknown_anchors: self.unknown_anchors.get(),
            completed_anchors: self.completed_anchors.get(),
            failed_anchors: self.failed_anchors.get(),
        }
    }
}
