//! The 95 % interval holds in at least 94 % of all runs, whether few samples are expected or many; and it is not
//! merely wide: where many are expected it is as narrow as the normal approximation.

use leakscope_analyze::{ERROR_RATE, Missable, Sums};
use leakscope_sampling::{Interval, Rng, inclusion_probability};

const R: Interval = Interval::from_bytes(4096);

/// One run over a known heap: each block is recorded with its own probability.
fn run(rng: &mut Rng, heap: &[u64]) -> Sums {
    let mut sums = Sums { missable: Missable::unseen(R.bytes()), ..Sums::default() };
    for size in heap {
        if rng.next_unit() <= inclusion_probability(*size, R) {
            sums.add_sample(*size, R);
        }
    }
    sums
}

/// `intervals` worth of bytes in blocks of the sizes given, in equal numbers.
fn heap(sizes: &[u64], intervals: f64) -> Vec<u64> {
    let each = sizes.iter().sum::<u64>() as f64;
    let rounds = (intervals * R.bytes() as f64 / each).ceil() as usize;
    sizes.iter().copied().cycle().take(rounds * sizes.len()).collect()
}

#[test]
fn the_interval_of_bytes_covers_in_94_of_100_runs() {
    let mut rng = Rng::seeded(20);
    let runs = 1500;
    for sizes in [&[256u64][..], &[2048], &[4096], &[16_384], &[64, 512, 12_000], &[32, 40_000]] {
        for intervals in [0.3, 1.0, 3.0, 10.0, 100.0] {
            let heap = heap(sizes, intervals);
            let truth = heap.iter().sum::<u64>() as f64;
            let covered = (0..runs)
                .filter(|_| {
                    let e = run(&mut rng, &heap).bytes_estimate(ERROR_RATE);
                    assert!(e.low <= e.estimate && e.estimate <= e.high);
                    e.low <= truth && truth <= e.high
                })
                .count();
            let share = covered as f64 / f64::from(runs);
            assert!(share >= 0.94, "blocks of {sizes:?}, {intervals} intervals: covered {share}");
        }
    }
}

#[test]
fn the_interval_of_objects_covers_in_94_of_100_runs() {
    let mut rng = Rng::seeded(21);
    let runs = 1500;
    for sizes in [&[256u64][..], &[4096], &[64, 512, 12_000]] {
        for intervals in [1.0, 10.0, 100.0] {
            let heap = heap(sizes, intervals);
            let smallest_bytes = *sizes.iter().min().expect("sizes");
            let truth = heap.len() as f64;
            let covered = (0..runs)
                .filter(|_| {
                    let mut sums = run(&mut rng, &heap);
                    // The smallest block that could be missed is known here; a run that saw none cannot know it.
                    sums.missable.smallest_bytes = smallest_bytes;
                    let e = sums.objects_estimate(ERROR_RATE);
                    e.low <= truth && truth <= e.high
                })
                .count();
            let share = covered as f64 / f64::from(runs);
            assert!(share >= 0.94, "blocks of {sizes:?}, {intervals} intervals: covered {share}");
        }
    }
}

#[test]
fn with_many_samples_the_interval_is_as_narrow_as_the_normal_one() {
    let sums = run(&mut Rng::seeded(22), &heap(&[256], 2000.0));
    let e = sums.bytes_estimate(ERROR_RATE);
    let normal = 1.96 * sums.bytes_variance.sqrt();
    assert!((e.half_width() / normal - 1.0).abs() < 0.03, "{} to {normal}", e.half_width());
}
