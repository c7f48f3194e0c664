//! The same figures of many items, by as many threads as there are cores where that is worth it.

use std::panic::resume_unwind;
use std::thread;

/// Most threads.
const MOST_THREADS: usize = 4;
/// Items that are worth a thread: their figures take a millisecond and more.
const FEWEST_ITEMS: usize = 4096;

/// `of` of 0 to `count`, in order.
pub(crate) fn map<T: Send>(count: usize, of: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let part = count.div_ceil(threads).max(FEWEST_ITEMS);
    if count <= part {
        return (0..count).map(of).collect();
    }
    let of = &of;
    thread::scope(|scope| {
        let starts = (0..count).step_by(part);
        let work = |start: usize| move || (start..count.min(start + part)).map(of).collect::<Vec<T>>();
        let running: Vec<_> = starts.map(|start| scope.spawn(work(start))).collect();
        running.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_number_are_kept() {
        for count in [0, 1, FEWEST_ITEMS, FEWEST_ITEMS + 1, 3 * FEWEST_ITEMS + 7] {
            assert_eq!(map(count, |at| at * 2), (0..count).map(|at| at * 2).collect::<Vec<_>>());
        }
    }
}
