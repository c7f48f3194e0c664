//! The laws of the sampler and of the scaling: mean and variance over many seeds, inside bounds computed from the
//! formula. Five standard errors everywhere, so a correct sampler fails one such comparison in 1.7 million.

use leakscope_sampling::{Interval, Sampler, Scaled, inclusion_probability};

const R: Interval = Interval::from_bytes(4096);

#[test]
fn probability_of_a_sample_is_p_whatever_came_before() {
    for size in [1, 16, 512, 2048, 4096, 3 * 4096, 8 * 4096] {
        let p = inclusion_probability(size, R);
        let (mut trials, mut hits, mut hits_after_hit, mut trials_after_hit) = (0u64, 0u64, 0u64, 0u64);
        for seed in 0..200 {
            let mut sampler = Sampler::started(seed * 8 + size, R);
            let mut after_hit = false;
            for step in 0..2000u64 {
                // Other sizes in between: they must not change this one's probability.
                sampler.on_allocation(step * 37 % 900, R);
                let hit = sampler.on_allocation(size, R).is_some();
                trials += 1;
                hits += u64::from(hit);
                trials_after_hit += u64::from(after_hit);
                hits_after_hit += u64::from(after_hit && hit);
                after_hit = hit;
            }
        }
        for (hits, trials) in [(hits, trials), (hits_after_hit, trials_after_hit)] {
            let error = (p * (1.0 - p) / trials as f64).sqrt();
            let seen = hits as f64 / trials as f64;
            assert!((seen - p).abs() <= 5.0 * error, "size {size}: {seen} of expected {p} +- {error}");
        }
    }
}

/// Sizes of one program: a few large blocks, many small ones.
fn program() -> Vec<u64> {
    (0..3000u64).map(|i| if i % 100 == 0 { 20_000 + i } else { 1 + i * 31 % 700 }).collect()
}

struct Run {
    bytes: f64,
    variance: f64,
    objects: f64,
    objects_variance: f64,
}

fn run(seed: u64, sizes: &[u64]) -> Run {
    let mut sampler = Sampler::started(seed, R);
    let mut run = Run { bytes: 0.0, variance: 0.0, objects: 0.0, objects_variance: 0.0 };
    for &size in sizes {
        if let Some(interval) = sampler.on_allocation(size, R) {
            let scaled = Scaled::sample(size, interval);
            run.bytes += scaled.bytes;
            run.variance += scaled.bytes_variance;
            run.objects += scaled.objects;
            run.objects_variance += scaled.objects_variance;
        }
    }
    run
}

#[test]
fn estimates_are_unbiased_and_their_variance_is_the_formula() {
    let sizes = program();
    let truth: u64 = sizes.iter().sum();
    let spread = |size: &u64| {
        let p = inclusion_probability(*size, R);
        (1.0 - p) / p
    };
    let variance: f64 = sizes.iter().map(|s| (*s as f64).powi(2) * spread(s)).sum();
    let objects_variance: f64 = sizes.iter().map(spread).sum();
    let seeds = 2000;
    let runs: Vec<Run> = (0..seeds).map(|seed| run(seed, &sizes)).collect();
    let mean = |f: fn(&Run) -> f64| runs.iter().map(f).sum::<f64>() / seeds as f64;

    let error = (variance / seeds as f64).sqrt();
    assert!((mean(|r| r.bytes) - truth as f64).abs() < 5.0 * error, "{} of {truth}", mean(|r| r.bytes));
    let error = (objects_variance / seeds as f64).sqrt();
    assert!((mean(|r| r.objects) - sizes.len() as f64).abs() < 5.0 * error);

    // The variance between runs, and the mean of the variances that each run states of itself. The relative
    // standard error of a variance from n runs is sqrt(2/n) for a normal distribution, here about 3 %; the object
    // count has heavier tails (one 1-byte block stands for 4096), hence the wider bound.
    let m = mean(|r| r.bytes);
    let between = runs.iter().map(|r| (r.bytes - m).powi(2)).sum::<f64>() / (seeds - 1) as f64;
    assert!((between / variance - 1.0).abs() < 5.0 * (2.0 / seeds as f64).sqrt(), "{}", between / variance);
    assert!((mean(|r| r.variance) / variance - 1.0).abs() < 0.05, "{}", mean(|r| r.variance) / variance);
    let stated = mean(|r| r.objects_variance) / objects_variance;
    assert!((stated - 1.0).abs() < 0.25, "{stated}");
}

#[test]
fn the_gap_has_the_exponential_mean_and_variance() {
    let n = 100_000;
    let mut rng = leakscope_sampling::Rng::seeded(99);
    let gaps: Vec<f64> = (0..n).map(|_| leakscope_sampling::draw_gap(&mut rng, R) as f64).collect();
    let r = R.bytes() as f64;
    let mean = gaps.iter().sum::<f64>() / f64::from(n);
    // Rounding up adds half a byte. An exponential's deviation equals its mean, its variance's is sqrt(8) R^2.
    assert!((mean - r - 0.5).abs() < 5.0 * r / f64::from(n).sqrt(), "{mean}");
    let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / f64::from(n);
    assert!((variance / (r * r) - 1.0).abs() < 5.0 * (8.0 / f64::from(n)).sqrt());
}
