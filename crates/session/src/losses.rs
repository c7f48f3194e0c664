//! Losses: what we did not get, counted by name, each on a cache line of its own.

use crate::sync::{AtomicU64, Ordering};

/// Words between two counters: a cache line.
const STRIDE: usize = 8;
/// Words that all counters take.
pub const WORDS: usize = Loss::ALL.len() * STRIDE;

macro_rules! losses {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A reason for which data is missing.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Loss { $($(#[$doc])* $variant,)* }

        impl Loss {
            /// Every reason, in the order of the session.
            pub const ALL: &'static [Loss] = &[$(Loss::$variant,)*];

            /// The name in profiles, JSON and reports.
            pub fn name(self) -> &'static str {
                match self { $(Loss::$variant => $name,)* }
            }
        }
    };
}

losses! {
    /// Records that found the ring full. The live set does not suffer; order and lifetimes do.
    RingFull = "ring_full",
    /// Sampled blocks that found no room in the live table: they are missing from the live set.
    TableFull = "table_full",
    /// Bytes of those blocks.
    TableFullBytes = "table_full_bytes",
    /// Sampled blocks whose stack found no room in the depot; kept under the stack `[depot full]`.
    DepotFull = "depot_full",
    /// Stacks cut at the depth limit or where unwinding failed.
    StackTruncated = "stack_truncated",
    /// Samples suppressed because the thread was inside leakscope already (a signal handler that allocates).
    GuardSkipped = "guard_skipped",
    /// Frees that bypassed the shim, noticed when the address was handed out again.
    MissedFrees = "missed_frees",
    /// Samples of Java threads taken before Java stacks were ready.
    JavaNotReady = "java_not_ready",
    /// Samples of Java threads whose Java stack the JVM refused.
    JavaRefused = "java_refused",
    /// Addresses that do not fit the table's keys.
    AddressOdd = "address_odd",
    /// Modules that found no room in the module table.
    ModulesFull = "modules_full",
    /// Java methods or lines that found no room in the name tables.
    NamesFull = "names_full",
    /// Java classes that got no method ids, since the JVM never frees them: after 300,000 ids, and after a thousand loads
    /// of one name. Their methods have no names.
    ClassesUnnamed = "classes_unnamed",
    /// Mappings that found no room in the region table, or parts of them.
    RegionsFull = "regions_full",
    /// Bytes of those.
    RegionsFullBytes = "regions_full_bytes",
    /// Mappings left as they were because two threads changed them at the same instant; the collector sets it right.
    RegionsContended = "regions_contended",
    /// Unmaps that bypassed the shim, noticed when the range was handed out again or is no longer mapped.
    MissedUnmaps = "missed_unmaps",
    /// Threads that found no room in the thread table: they are missing.
    ThreadsFull = "threads_full",
    /// Samples suppressed because the stack of the call had no room for taking them.
    NoStackRoom = "no_stack_room",
}

/// A view of the counters.
#[derive(Clone, Copy)]
pub struct Losses<'a>(&'a [AtomicU64]);

impl<'a> Losses<'a> {
    /// `words`: [`WORDS`] of them.
    pub fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    /// Counts `n` more.
    pub fn add(&self, loss: Loss, n: u64) {
        if let Some(word) = self.0.get(loss as usize * STRIDE) {
            word.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// The count so far.
    pub fn get(&self, loss: Loss) -> u64 {
        self.0.get(loss as usize * STRIDE).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}
