//! How long leakscope's own work in a sampled call takes, in cycles.

use crate::machine;
use core::cell::Cell;
use leakscope_sampling::Interval;

/// Longer work is counted as if it had taken so long, some 100 us: the thread was not running, or it was reading the
/// unwind tables of a library for the first time.
const MOST_CYCLES: u64 = 1 << 18;

/// In exact mode one call of so many is measured, for all of them: the measurement itself would be a tenth of the work.
/// Odd, so that calls and frees that alternate are both measured.
const STRIDE: u8 = 17;

/// Started at the beginning of the work.
pub(crate) struct Stopwatch {
    started: u64,
    /// How many calls it stands for.
    calls: u8,
}

impl Stopwatch {
    /// # Hot path
    /// As [`machine::cycles`], at most.
    #[inline]
    pub(crate) fn start(turn: &Cell<u8>, tid: u32, interval: Interval) -> Self {
        if !interval.is_exact() {
            return Self { started: machine::cycles(), calls: 1 };
        }
        let now = turn.get();
        turn.set(now.wrapping_add(1));
        // Threads differ in which call is their first: the first of all is the dearest, and many threads make few.
        if u32::from(now).wrapping_add(tid).is_multiple_of(u32::from(STRIDE)) {
            Self { started: machine::cycles(), calls: STRIDE }
        } else {
            Self { started: 0, calls: 0 }
        }
    }

    /// Cycles since the start, at most [`MOST_CYCLES`] for each call: also where another processor's counter is behind.
    #[inline]
    pub(crate) fn cycles(&self) -> u64 {
        match self.calls {
            0 => 0,
            calls => machine::cycles().wrapping_sub(self.started).min(MOST_CYCLES).wrapping_mul(u64::from(calls)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_but_no_sleep_counts() {
        let turn = Cell::new(0);
        let start = || Stopwatch::start(&turn, 1, Interval::DEFAULT);
        let stopwatch = start();
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert_eq!(stopwatch.cycles(), MOST_CYCLES);
        let backwards = Stopwatch { started: u64::MAX, calls: 1 };
        assert_eq!(backwards.cycles(), MOST_CYCLES, "a counter that runs backwards");
        let shortest = (0..1000).map(|_| start().cycles()).min();
        assert!(shortest < Some(10_000), "{shortest:?}");
    }

    #[test]
    fn in_exact_mode_one_call_stands_for_several() {
        let turn = Cell::new(0);
        let watches: Vec<_> = (0..170).map(|_| Stopwatch::start(&turn, 5, Interval::EXACT)).collect();
        let measured = |remainder| watches.iter().skip(remainder).step_by(2).filter(|watch| watch.calls > 0).count();
        assert_eq!((measured(0), measured(1), watches[0].calls), (5, 5, 0));
        std::thread::sleep(std::time::Duration::from_millis(1));
        let cycles: u64 = watches.iter().map(Stopwatch::cycles).sum();
        assert_eq!(cycles, 170 * MOST_CYCLES, "ten that are measured, for 17 calls each");
    }
}
