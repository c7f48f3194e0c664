//! How long leakscope's own work in a sampled call takes, in cycles.

use crate::machine;

/// Longer work is counted as if it had taken so long, some 100 us: the thread was not running, or it was reading the
/// unwind tables of a library for the first time.
const MOST_CYCLES: u64 = 1 << 18;

/// Started at the beginning of the work.
pub(crate) struct Stopwatch(u64);

impl Stopwatch {
    /// # Hot path
    /// As [`machine::cycles`].
    pub(crate) fn start() -> Self {
        Self(machine::cycles())
    }

    /// Cycles since the start, at most [`MOST_CYCLES`]: also where another processor's counter is behind.
    pub(crate) fn cycles(&self) -> u64 {
        machine::cycles().wrapping_sub(self.0).min(MOST_CYCLES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_but_no_sleep_counts() {
        let stopwatch = Stopwatch::start();
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert_eq!(stopwatch.cycles(), MOST_CYCLES);
        assert_eq!(Stopwatch(u64::MAX).cycles(), MOST_CYCLES, "a counter that runs backwards");
        let shortest = (0..1000).map(|_| Stopwatch::start().cycles()).min();
        assert!(shortest < Some(10_000), "{shortest:?}");
    }
}
