//! How long leakscope's own work in a sampled call takes, in cycles.
//!
//! Where every block is recorded few calls are measured, and stand for all. The same few are told to the ring, whose history is
//! of no use if it is full. (What telling takes is measured with them, and so counted too often there.)

use crate::machine;
use core::cell::Cell;
use leakscope_sampling::Interval;

/// Longer work is counted as if it had taken so long, some 100 us: the thread was not running, or it was reading the
/// unwind tables of a library for the first time.
const MOST_CYCLES: u64 = 1 << 18;

/// In exact mode one call of so many is measured, for all of them: the measurement itself would be a tenth of the work.
/// Which one is left to chance, so that no pattern of the program's calls meets one of ours.
const STRIDE: u8 = 17;
/// The next that is measured is one of so many, which is the stride in the mean.
const CHOICES: u32 = 2 * STRIDE as u32 - 1;

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
        // Threads differ in which call is their first: the first of all is the dearest, and many threads make few.
        let left = if turn.get() == 0 { first(tid) } else { turn.get() };
        if left > 1 {
            turn.set(left - 1);
            return Self { started: 0, calls: 0 };
        }
        let started = machine::cycles();
        turn.set(choose(started as u32));
        Self { started, calls: STRIDE }
    }

    /// How many calls this one stands for, if it is measured.
    #[inline]
    pub(crate) fn calls(&self) -> Option<u64> {
        (self.calls > 0).then_some(u64::from(self.calls))
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

/// One of [`CHOICES`], from 1 on; the same for the same `seed`, of which all bits count.
fn choose(seed: u32) -> u8 {
    let mixed = seed.wrapping_mul(0x9E37_79B9) >> 16;
    (1 + ((mixed * CHOICES) >> 16)) as u8
}

/// The first call of a thread that is measured: as if the thread had been running before, so that each of its calls has a chance
/// of one in [`STRIDE`], also where there are few. Of two gaps the smaller comes within a fiftieth of that.
fn first(tid: u32) -> u8 {
    choose(tid).min(choose(machine::cycles() as u32))
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
        const CALLS: usize = 17_000;
        let turn = Cell::new(0);
        let watches: Vec<_> = (0..CALLS).map(|_| Stopwatch::start(&turn, 5, Interval::EXACT)).collect();
        let measured = |first, step| watches.iter().skip(first).step_by(step).filter(|watch| watch.calls > 0).count();
        // 1,000 expected; 18 is the standard deviation of so many gaps.
        assert!((900..1100).contains(&measured(0, 1)), "{}", measured(0, 1));
        for step in [2, 17] {
            let each: Vec<usize> = (0..step).map(|first| measured(first, step)).collect();
            // A quarter of what is expected. Of every 17th call that is 15 of 59: one of the 17 counts is below with 1.5e-11.
            assert!(each.iter().all(|count| count * step > 250), "some calls are never measured: {each:?}");
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
        let cycles: u64 = watches.iter().map(Stopwatch::cycles).sum();
        assert_eq!(cycles, 17 * measured(0, 1) as u64 * MOST_CYCLES, "each for 17 calls");
    }

    #[test]
    fn threads_with_few_calls_are_measured_as_often() {
        const THREADS: usize = 20_000;
        for calls in [1, 5] {
            let of_one = |tid| {
                let turn = Cell::new(0);
                (0..calls).filter(|_| Stopwatch::start(&turn, tid, Interval::EXACT).calls > 0).count()
            };
            let measured: usize = (4000..).take(THREADS).map(of_one).sum();
            let share = (measured * usize::from(STRIDE)) as f64 / (THREADS * calls) as f64;
            assert!((0.8..1.2).contains(&share), "{calls} calls each: {share}");
        }
    }

    #[test]
    fn threads_begin_with_another_call_and_every_gap_is_chosen() {
        let mut chosen: Vec<u8> = (4000..4100).map(choose).collect();
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen, (1..=33).collect::<Vec<u8>>());
    }
}
