//! Programs of musl, by Debian's musl-tools: the same shim, another loader. What is recorded is exact; stacks end where
//! musl's own code, which has no unwind tables, is on the way.

use crate::support::json::{Estimate, site_with, sites_with};
use crate::support::profiles::observed;
use crate::support::truth::{expect_exact, truths};
use crate::support::{Sandbox, programs};
use std::path::Path;

fn expect_unbiased(sandbox: &Sandbox, program: &Path) {
    let run = sandbox.run().args(&["--sample", "16k", "--seed", "1"]).target(program);
    let recording = run.finish().expect_code(0);
    let report = sandbox.report_of(&recording);
    for truth in truths(&recording) {
        let site = site_with(&report, &truth.function).expect("a site");
        let live = Estimate::of(&site["live_bytes"]);
        // Three times the 95 % interval: the seed is fixed, but addresses are not.
        let error = (live.estimate - truth.bytes as f64).abs() / (live.high - live.low);
        assert!(error < 1.5, "{truth:?}, but {live:?}");
    }
}

#[test]
fn known_bytes_under_musl() {
    for (program, argument) in [("storm", "2000"), ("handed", "0"), ("many_calls", "")] {
        let sandbox = Sandbox::new();
        let run = sandbox.run().args(&["--sample", "1"]).target(programs::c_musl(program)).target(argument);
        let recording = run.finish().expect_code(0);
        expect_exact(&recording, &recording.last(), &sandbox.report_of(&recording));
    }
}

/// musl's calloc calls malloc, its memalign aligned_alloc: each is charged once.
#[test]
fn calls_that_are_served_by_others_are_sampled_without_bias() {
    let sandbox = Sandbox::new();
    expect_unbiased(&sandbox, &programs::c_musl("many_calls"));
    let sandbox = Sandbox::new();
    expect_unbiased(&sandbox, &programs::c("many_calls"));
}

/// The list of modules is read by leakscope itself: a library that is opened later is noticed.
#[test]
fn stacks_lead_through_libraries_that_are_opened_later() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1"]).target(programs::c_musl("opens"));
    let recording = run.target(programs::library_musl("module")).finish().expect_code(0);
    let (profile, report) = (recording.last(), sandbox.report_of(&recording));
    for truth in truths(&recording) {
        assert_eq!(observed(&profile, &truth.function), (truth.bytes, truth.objects), "{truth:?}");
        assert!(!sites_with(&report, &truth.function).is_empty());
    }
}
