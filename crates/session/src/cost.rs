//! What sampling costs the target: cycles spent on sampled calls, and how many samples came and went.
//!
//! ```text
//!   one cache line for each shard:  cycles | entered | left | (5 unused)        a thread adds to the shard of its id
//! ```
//! Where every block is recorded one call stands for several (`agent/src/stopwatch.rs`), so that all three are estimates there.
//! Cycles are those of the processor's time-stamp counter; what a second has of them the reader measures for itself.

use crate::sync::{AtomicU64, Ordering};

/// Cache lines over which threads are spread.
pub const SHARDS: usize = 16;
const STRIDE: usize = 8;
/// Words that the counters take.
pub const WORDS: usize = SHARDS * STRIDE;

/// Sums over all threads since recording started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CostSums {
    /// Cycles spent on sampled calls.
    pub cycles: u64,
    /// Samples that were entered into the live table.
    pub entered: u64,
    /// Samples that were taken out of it.
    pub left: u64,
}

impl CostSums {
    /// Samples that are live now, about: the counters are read one after the other.
    pub fn live(&self) -> u64 {
        self.entered.saturating_sub(self.left)
    }
}

/// A view of the counters.
#[derive(Clone, Copy)]
pub struct Cost<'a>(&'a [AtomicU64]);

impl<'a> Cost<'a> {
    /// `words`: [`WORDS`] of them.
    pub fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    /// Thread `tid` has spent `cycles` to enter `samples` that replace none.
    ///
    /// # Hot path
    /// Sampled calls only: two additions on one cache line, none for what is 0. No allocation, lock, system call or panic;
    /// signal-safe.
    pub fn entered(&self, tid: u32, cycles: u64, samples: u64) {
        self.add(tid, 0, cycles);
        self.add(tid, 1, samples);
    }

    /// Thread `tid` has spent `cycles` to take `samples` out.
    ///
    /// # Hot path
    /// As [`Cost::entered`].
    pub fn left(&self, tid: u32, cycles: u64, samples: u64) {
        self.add(tid, 0, cycles);
        self.add(tid, 2, samples);
    }

    /// The sums.
    pub fn sums(&self) -> CostSums {
        let sum = |at: usize| {
            let words = self.0.iter().skip(at).step_by(STRIDE);
            words.fold(0u64, |sum, word| sum.wrapping_add(word.load(Ordering::Relaxed)))
        };
        CostSums { cycles: sum(0), entered: sum(1), left: sum(2) }
    }

    fn add(&self, tid: u32, at: usize, n: u64) {
        if n == 0 {
            return;
        }
        if let Some(word) = self.0.get(tid as usize % SHARDS * STRIDE + at) {
            word.fetch_add(n, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(leakscope_loom)))]
mod tests {
    use super::*;

    #[test]
    fn sums_are_over_all_threads() {
        let words: Vec<_> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        let cost = Cost::new(&words);
        for tid in 0..100 {
            cost.entered(tid, 10, u64::from(tid % 2 == 0));
        }
        cost.left(7, 3, 1);
        let sums = cost.sums();
        assert_eq!(sums, CostSums { cycles: 1003, entered: 50, left: 1 });
        assert_eq!(sums.live(), 49);
        words[0].store(u64::MAX, Ordering::Relaxed);
        assert_eq!(CostSums { entered: 1, left: 2, ..cost.sums() }.live(), 0, "nonsense");
        Cost::new(&[]).entered(1, 1, 1);
    }
}
