//! One real run of programs/paced.c, which leaks at a known rate: is that in the 95 % interval of what is reported?

use crate::support::json::{Estimate, site_with};
use crate::support::{Sandbox, programs};

/// What one run showed, bytes per hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    pub truth: f64,
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

impl Outcome {
    /// Whether the truth is in the interval.
    #[allow(dead_code)] // the series counts them
    pub fn is_inside(&self) -> bool {
        self.low <= self.truth && self.truth <= self.high
    }
}

/// Runs the program at a rate and a sampling interval that depend on the number; `None` where no rate was reported.
pub fn run(number: u64) -> Option<Outcome> {
    let sandbox = Sandbox::new();
    let (rate, sample) = (512 << (number % 5), ["16k", "64k", "128k"][number as usize % 3]);
    let seed = number.to_string();
    let run = sandbox.run().args(&["--sample", sample, "--interval", "1s", "--seed", &seed]);
    let run = run.target(programs::c("paced")).targets(&[&seed, &format!("{rate}"), "14"]);
    let recording = run.finish().expect_code(0);
    let out = recording.out();
    let truth = out.strip_prefix("rate ").and_then(|rate| rate.trim().parse().ok()).expect("the rate");
    let report = sandbox.report(recording.directory());
    let suspects = report["suspects"].as_array().expect("suspects");
    let site = &site_with(&report, "by_leak")?["id"];
    let leak = suspects.iter().find(|suspect| suspect["sites"].as_array().is_some_and(|sites| sites.contains(site)))?;
    if leak["rate"].is_null() {
        return None;
    }
    let rate = Estimate::of(&leak["rate"]);
    Some(Outcome { truth, estimate: rate.estimate, low: rate.low, high: rate.high })
}
