//! One seeded run of programs/sizes.c at the default interval: is the truth of each function in its 95 % interval,
//! and how far off is the total?

use crate::support::json::{Estimate, site_with};
use crate::support::truth::{Truth, truths};
use crate::support::{Sandbox, programs};

/// The default sampling interval, bytes.
pub const INTERVAL: f64 = 524_288.0;
/// Upper end of the 95 % interval of a site without samples, in sampling intervals: -ln(0.025).
const NO_SAMPLES: f64 = 3.689;

/// What one run showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    pub seed: u64,
    pub sites: u64,
    /// Sites whose interval holds the truth.
    pub inside: u64,
    /// Sum over the sites, bytes.
    pub truth: f64,
    pub estimate: f64,
    /// Variance of the estimate by the sampling design, from the truth alone, bytes^2.
    pub variance: f64,
}

/// Runs the program with 1 to 8 threads.
pub fn run(seed: u64) -> Outcome {
    let sandbox = Sandbox::new();
    let threads = (1 + seed % 8).to_string();
    let run = sandbox.run().args(&["--seed", &seed.to_string()]).target(programs::c("sizes")).target(threads);
    let recording = run.finish().expect_code(0);
    let report = sandbox.report_of(&recording);
    let truths = truths(&recording);
    let mut outcome = Outcome { seed, sites: 0, inside: 0, truth: 0.0, estimate: 0.0, variance: 0.0 };
    for truth in &truths {
        let none = Estimate { estimate: 0.0, low: 0.0, high: NO_SAMPLES * INTERVAL };
        let found = site_with(&report, &truth.function).map_or(none, |site| Estimate::of(&site["live_bytes"]));
        outcome.sites += 1;
        outcome.inside += u64::from(found.covers(truth.bytes as f64));
        outcome.truth += truth.bytes as f64;
        outcome.estimate += found.estimate;
        outcome.variance += variance(truth);
    }
    outcome
}

/// Variance of the estimated bytes of blocks of one size: each is sampled with p = 1 - e^(-size/interval) and then
/// counts size/p, so n blocks have n size^2 (1-p)/p. 64 B at 512 KiB: p = 1/8192.5.
pub fn variance(truth: &Truth) -> f64 {
    let size = truth.bytes as f64 / truth.objects as f64;
    let p = -(-size / INTERVAL).exp_m1();
    truth.objects as f64 * size * size * (1.0 - p) / p
}

/// What several runs showed together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    pub runs: usize,
    pub sites: u64,
    /// Share of sites inside their interval, 0 to 1.
    pub coverage: f64,
    /// Mean error of the total, relative to the truth.
    pub bias: f64,
    /// The same in standard errors of that mean.
    pub standard_errors: f64,
}

/// Adds runs up.
pub fn totals(runs: &[Outcome]) -> Totals {
    let sum = |of: fn(&Outcome) -> f64| runs.iter().map(of).sum::<f64>();
    let sites = runs.iter().map(|run| run.sites).sum::<u64>();
    let inside = runs.iter().map(|run| run.inside).sum::<u64>();
    let error = sum(|run| run.estimate - run.truth);
    Totals {
        runs: runs.len(),
        sites,
        coverage: inside as f64 / sites as f64,
        bias: error / sum(|run| run.truth),
        standard_errors: error / sum(|run| run.variance).sqrt(),
    }
}
