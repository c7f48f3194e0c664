//! The filter: answers "may this address be a live sample?" with one relaxed load, so that the free of an
//! unsampled block (nearly all) costs a nanosecond.
//!
//! 131,072 counters of one byte; neighbouring blocks share a cache line, which is therefore warm. A counter that
//! reaches 255 stays there: it may answer "maybe" for ever, but never "no" for a live sample.
//!
//! ```text
//!   counter = (p * K mod 2^32) >> 15          K = 233
//! ```
//! Two instructions. A counter stands for about 140 bytes of addresses, and neighbours stay neighbours: one line for each
//! 9 KiB. As K is odd, page-aligned blocks and arenas use all counters too: after 18 MiB the places begin anew,
//! between the earlier ones. 1.5 % of strangers pass at 2,000 live samples and 14 % at 20,000, whatever the stride
//! (`passes_few_strangers_whatever_the_stride`). A byte a counter takes twice the memory of four bits and saves the hot path
//! six instructions; one for each 16 bytes would be eight times as many cache lines (docs/decisions.md).
//!
//! The filter belongs to the process, not to the session: only the target reads it, and a static address saves the
//! hot path a load (docs/decisions.md).

use crate::sync::{AtomicU8, Ordering};

/// Counters of the filter; a model has few, since loom pays for each atomic.
#[cfg(not(leakscope_loom))]
pub const COUNTERS: usize = 1 << 17;
/// Counters of the filter; a model has few, since loom pays for each atomic.
#[cfg(leakscope_loom)]
pub const COUNTERS: usize = 1 << 3;
const STUCK: u8 = u8::MAX;

/// Counters of live samples by address; see the module's essay.
#[repr(C, align(64))]
pub struct Filter {
    counters: [AtomicU8; COUNTERS],
}

#[inline(always)]
fn place(address: usize) -> usize {
    ((address as u32).wrapping_mul(Filter::MULTIPLIER) >> Filter::SHIFT) as usize
}

impl Filter {
    /// What the lower half of an address is multiplied with: of the odd numbers about 256 the one that let fewest strangers
    /// pass, over 24 strides of live samples and 12 of strangers. This and the next are for entries in assembly.
    pub const MULTIPLIER: u32 = 233;
    /// How far the product is shifted to leave a place.
    pub const SHIFT: u32 = 32 - COUNTERS.ilog2();

    /// An empty filter: no address may be live.
    #[cfg(not(leakscope_loom))]
    pub const fn new() -> Self {
        Self { counters: [const { AtomicU8::new(0) }; COUNTERS] }
    }

    /// An empty filter of one line, of loom's atomics.
    #[cfg(leakscope_loom)]
    pub fn for_model() -> Self {
        Self { counters: core::array::from_fn(|_| AtomicU8::new(0)) }
    }

    /// Whether `address` may be a live sample. `false` is certain.
    ///
    /// # Hot path
    /// One relaxed load; no allocation, lock, system call or panic. Relaxed suffices: the caller owns the block
    /// that it frees, so the insertion happened before in its own view of memory.
    #[inline(always)]
    pub fn may_hold(&self, address: usize) -> bool {
        match self.counters.get(place(address)) {
            Some(counter) => counter.load(Ordering::Relaxed) != 0,
            None => true,
        }
    }

    /// Counts one more live sample at `address`; must come before the allocation call returns.
    pub fn add(&self, address: usize) {
        self.step(address, |count| count + 1);
    }

    /// Counts one live sample less at `address`; only by whoever took its entry out of the live table.
    pub fn remove(&self, address: usize) {
        self.step(address, |count| count.saturating_sub(1));
    }

    /// Makes `address` a "maybe" for ever.
    pub fn hold_for_ever(&self, address: usize) {
        if let Some(counter) = self.counters.get(place(address)) {
            counter.store(STUCK, Ordering::Relaxed);
        }
    }

    /// Makes every address a "maybe" for ever: exact mode, in which nearly every block is in the table.
    pub fn pass_all(&self) {
        for counter in &self.counters {
            counter.store(STUCK, Ordering::Relaxed);
        }
    }

    fn step(&self, address: usize, change: impl Fn(u8) -> u8) {
        let Some(counter) = self.counters.get(place(address)) else {
            return;
        };
        let mut count = counter.load(Ordering::Relaxed);
        while count != STUCK {
            match counter.compare_exchange_weak(count, change(count), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => count = now,
            }
        }
    }
}

#[cfg(not(leakscope_loom))]
impl Default for Filter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(leakscope_loom)))]
mod tests {
    use super::*;

    #[test]
    fn never_denies_what_was_added() {
        let filter = Box::new(Filter::new());
        let addresses: Vec<usize> = (0..5_000).map(|i| 0x7f00_0000_1000 + i * 4096 + (i % 3) * 16).collect();
        for &a in &addresses {
            filter.add(a);
        }
        assert!(addresses.iter().all(|&a| filter.may_hold(a)));
    }

    #[test]
    fn empties_again_when_all_are_removed() {
        let filter = Box::new(Filter::new());
        let addresses: Vec<usize> = (0..2_000).map(|i| 0x5555_0000_0000 + i * 48).collect();
        for &a in &addresses {
            filter.add(a);
        }
        for &a in &addresses {
            filter.remove(a);
        }
        let held = addresses.iter().filter(|&&a| filter.may_hold(a)).count();
        assert_eq!(held, 0);
    }

    #[test]
    fn a_stuck_counter_stays_a_maybe() {
        let filter = Box::new(Filter::new());
        for _ in 0..300 {
            filter.add(0x1000);
        }
        for _ in 0..300 {
            filter.remove(0x1000);
        }
        assert!(filter.may_hold(0x1000));
        assert!(!filter.may_hold(0), "NULL is never a sample");
    }

    /// The share of unsampled frees that pass, at the design's two working points, for strides that allocators make.
    #[test]
    fn passes_few_strangers_whatever_the_stride() {
        // The last but one is that of glibc's blocks of 2 MiB in mappings of their own, the last that of its arenas.
        for stride in [48, 0x410, 0x1000, 0x1010, 0x3000, 0x1_0000, 0x10_0000, 0x20_0000, 0x20_1000, 0x400_0000] {
            for (live, most) in [(2_000, 0.03), (20_000, 0.20)] {
                let filter = Box::new(Filter::new());
                for i in 0..live {
                    filter.add(0x7a12_3400_0010 + i * stride);
                }
                for strangers in [0x7f80_0000_0010usize, 0x5555_5570_02a0] {
                    let passed = (0..10_000).filter(|i| filter.may_hold(strangers + i * 0x1010)).count();
                    assert!((passed as f64) < most * 10_000.0, "{live} live, stride {stride:#x}: {passed} of 10000");
                }
            }
        }
    }
}
