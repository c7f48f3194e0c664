//! Estimates at the default interval against programs that know the truth. Seeds are fixed; the bounds come from the
//! binomial and the sampling design. 200 runs: `scripts/series sizes`.

use crate::experiments::rates;
use crate::experiments::sizes::{self, variance};
use crate::support::json::{Estimate, site_with};
use crate::support::truth::truths;
use crate::support::{Sandbox, programs};

const RUNS: u64 = 12;

#[test]
fn the_truth_lies_in_the_interval_and_the_total_has_no_bias() {
    let runs: Vec<_> = (1..=RUNS).map(sizes::run).collect();
    let totals = sizes::totals(&runs);
    // Nominal coverage less 4 standard errors of a binomial share.
    let least = 0.95 - 4.0 * (0.95 * 0.05 / totals.sites as f64).sqrt();
    assert!(totals.coverage >= least, "{totals:#?}\n{runs:#?}");
    assert!(totals.standard_errors.abs() <= 4.0, "{totals:#?}\n{runs:#?}");
}

/// A modulo counter on raw sizes, without the inclusion probability, reports these as 8 KiB, 8 MiB and 64 MiB.
#[test]
fn equal_leaks_of_different_block_sizes_are_reported_as_equal() {
    let (mut errors, mut variances) = ([0.0; 3], [0.0; 3]);
    const SEEDS: std::ops::RangeInclusive<u64> = 1..=6;
    for seed in SEEDS {
        let sandbox = Sandbox::new();
        let run = sandbox.run().args(&["--seed", &seed.to_string()]).target(programs::c("equal"));
        let recording = run.finish().expect_code(0);
        let report = sandbox.report_of(&recording);
        for (i, truth) in truths(&recording).iter().enumerate() {
            let site = site_with(&report, &truth.function).unwrap_or_else(|| panic!("no site {}", truth.function));
            errors[i] += Estimate::of(&site["live_bytes"]).estimate - truth.bytes as f64;
            variances[i] += variance(truth);
        }
    }
    for (error, variance) in errors.iter().zip(variances) {
        assert!(error.abs() <= 4.0 * variance.sqrt(), "{errors:?} with variances {variances:?}");
        // 128 samples are expected of each in each run: the bound above is a tight one.
        let runs = SEEDS.count() as f64;
        assert!(4.0 * variance.sqrt() < 0.15 * runs * f64::from(64 << 20), "{variances:?}");
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    assert_eq!(sizes::run(7), sizes::run(7));
    assert_ne!(sizes::run(7).estimate, sizes::run(15).estimate);
}

/// Its interval holds the truth in 19 of 20 runs, which scripts/series rates counts; here it has to be near.
#[test]
fn a_steady_leak_has_its_rate() {
    let outcome = rates::run(4).expect("a rate is told");
    assert!((outcome.estimate / outcome.truth - 1.0).abs() < 0.5, "{outcome:?}");
    assert!(outcome.low > 0.0 && outcome.high < 3.0 * outcome.truth, "{outcome:?}");
}
