//! Which allocations are recorded: a countdown in bytes, one per thread.
//!
//! A *gap* is drawn from the exponential distribution with the interval as its mean. Each allocation takes its size
//! off the counter; the one that brings it to zero or below is the sample, what it overshoots is dropped, and a
//! fresh gap is drawn. The exponential distribution has no memory, so each allocation is a draw of its own:
//!
//! ```text
//! P(sample) = P(gap <= s) = P(-ln(u) R <= s) = 1 - e^(-s/R)        for every s, whatever came before
//! ```
//!
//! Rounding the gap up changes nothing, because s is a whole number too.

use crate::{Interval, Rng};

/// Draws the bytes until the next sample: `ceil(-ln(u) * interval)` with u in (0, 1]; at least 1, at most `i64::MAX`.
/// In exact mode always 1, so that every allocation crosses.
///
/// # Hot path
/// Only on sampled allocations; one logarithm.
#[inline]
pub fn draw_gap(rng: &mut Rng, interval: Interval) -> i64 {
    if interval.is_exact() {
        return 1;
    }
    let gap = libm::ceil(-libm::log(rng.next_unit()) * interval.bytes() as f64);
    // A cast from f64 saturates. u = 1 gives gap 0: to the counter that is the same as 1, since s >= 1.
    (gap as i64).max(1)
}

/// The sampler of one thread: 24 bytes, valid when zeroed (then it is *unstarted*).
///
/// ```
/// use leakscope_sampling::{Interval, Sampler};
/// let mut sampler = Sampler::started(42, Interval::DEFAULT);
/// let blocks = (0..100_000).filter_map(|_| sampler.on_allocation(4096, Interval::DEFAULT));
/// assert_eq!(blocks.count(), 787); // seed 42; the law: 100,000 p = 778 +- 28
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Sampler {
    /// Bytes until the next sample; zero or less: a sample is due. A hook may subtract from it directly.
    pub counter: i64,
    /// The interval with which the present gap was drawn; `None`: unstarted.
    pub interval: Option<Interval>,
    /// Source of the gaps.
    pub rng: Rng,
}

impl Sampler {
    /// The state of a zeroed thread block: its first allocation crosses, which is when the thread is to be started.
    pub const UNSTARTED: Sampler = Sampler { counter: 0, interval: None, rng: Rng { state: 0 } };

    /// A sampler that has drawn its first gap.
    pub fn started(seed: u64, interval: Interval) -> Sampler {
        let mut sampler = Sampler::UNSTARTED;
        sampler.start(seed, interval);
        sampler
    }

    /// Whether a first gap has been drawn.
    #[inline]
    pub fn is_started(&self) -> bool {
        self.interval.is_some()
    }

    /// Seeds a new thread's sampler and draws its first gap. This must come *before* the thread's first allocation
    /// is counted: a hook that subtracts first finds the counter crossed, sees [`Sampler::is_started`] false, calls
    /// this and then [`Sampler::on_allocation`] for the allocation at hand. Without it every thread's first
    /// allocation would be a sample with a wrong p.
    #[inline]
    pub fn start(&mut self, seed: u64, interval: Interval) {
        self.rng = Rng::seeded(seed);
        self.redraw(interval);
    }

    /// Counts one allocation of `size` bytes. `Some` means record it, with the interval that belongs to the sample
    /// (the one in force when its gap was drawn); the next gap is then drawn with `current`.
    ///
    /// An unstarted sampler starts itself with seed 0; hooks start it with a seed of their own.
    #[inline]
    pub fn on_allocation(&mut self, size: u64, current: Interval) -> Option<Interval> {
        if !self.is_started() {
            self.start(0, current);
        }
        self.counter = self.counter.saturating_sub(charge(size));
        if self.counter > 0 {
            return None;
        }
        Some(self.after_crossing(current))
    }

    /// For a hook that has subtracted `max(size, 1)` itself and found the counter at zero or below: draws the next
    /// gap with `current` and returns the interval that belongs to the sample at hand.
    ///
    /// A sample that is suppressed (re-entrancy guard) calls this too and drops the answer: redrawn, not deferred,
    /// since a deferred one would be charged to whichever allocation comes next.
    #[inline]
    pub fn after_crossing(&mut self, current: Interval) -> Interval {
        let in_force = self.interval.unwrap_or(current);
        self.redraw(current);
        in_force
    }

    #[inline]
    fn redraw(&mut self, interval: Interval) {
        self.counter = draw_gap(&mut self.rng, interval);
        self.interval = Some(interval);
    }
}

/// What an allocation takes off the counter: its size, at least 1.
#[inline]
fn charge(size: u64) -> i64 {
    size.clamp(1, i64::MAX as u64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_fits_a_thread_block_and_zeroes_are_unstarted() {
        assert_eq!(size_of::<Sampler>(), 24);
        assert_eq!(core::mem::offset_of!(Sampler, counter), 0);
        assert!(!Sampler::UNSTARTED.is_started());
    }

    #[test]
    fn exact_mode_records_every_allocation_of_any_size() {
        let mut sampler = Sampler::started(1, Interval::EXACT);
        for size in [0, 1, 2, 4096, u64::MAX, 0, 1] {
            assert_eq!(sampler.on_allocation(size, Interval::EXACT), Some(Interval::EXACT));
        }
    }

    #[test]
    fn extremes_neither_panic_nor_wrap() {
        let wide = Interval::from_bytes(u64::MAX);
        let mut rng = Rng::seeded(3);
        for _ in 0..1000 {
            assert!(draw_gap(&mut rng, wide) >= 1);
        }
        let mut sampler = Sampler { counter: i64::MIN, interval: Some(wide), rng };
        assert_eq!(sampler.on_allocation(u64::MAX, Interval::DEFAULT), Some(wide));
        assert!(sampler.counter > 0);
    }

    #[test]
    fn a_new_interval_takes_effect_at_the_redraw() {
        let (old, new) = (Interval::from_bytes(1000), Interval::from_bytes(9));
        let mut sampler = Sampler::started(5, old);
        while sampler.counter > 1 {
            assert_eq!(sampler.on_allocation(1, new), None);
            assert_eq!(sampler.interval, Some(old));
        }
        assert_eq!(sampler.on_allocation(1, new), Some(old));
        assert_eq!(sampler.interval, Some(new));
    }

    #[test]
    fn a_hook_that_subtracts_itself_agrees_with_on_allocation() {
        let interval = Interval::from_bytes(100);
        let (mut whole, mut split) = (Sampler::started(11, interval), Sampler::started(11, interval));
        for size in (0..5000u64).map(|i| i * 7 % 61) {
            let expected = whole.on_allocation(size, interval);
            split.counter -= size.max(1) as i64;
            let got = (split.counter <= 0).then(|| split.after_crossing(interval));
            assert_eq!(got, expected);
            assert_eq!(split, whole);
        }
    }

    #[test]
    fn an_unstarted_thread_draws_before_its_first_allocation() {
        // 64 bytes at 512 KiB: a thread whose first allocation were always a sample would show up at once.
        let sampled = (0..2000u64)
            .filter(|&thread| {
                let mut sampler = Sampler::UNSTARTED;
                sampler.counter -= 64; // the hook's subtraction
                assert!(sampler.counter <= 0 && !sampler.is_started());
                sampler.start(thread, Interval::DEFAULT);
                sampler.on_allocation(64, Interval::DEFAULT).is_some()
            })
            .count();
        assert!(sampled <= 4, "{sampled} of 2000, expected 0.24");
    }
}
