//! The sampling interval rises when sampling costs or loses too much; estimates stay what they are, and it is said.

use crate::support::json::{Estimate, site_with};
use crate::support::leakscope::Running;
use crate::support::truth::truths;
use crate::support::{Sandbox, profiles, programs};
use leakscope_profile::{Cause, IntervalChange, Profile};

/// Blocks kept in each phase; more than one phase, so that blocks of several intervals are live together.
const PHASE: &str = "5000";
const PHASES: usize = 3;

/// Waits until the interval has risen, then lets the target keep some blocks.
fn phase(run: &mut Running) {
    run.hear("sampling interval raised to");
    run.tell("x");
    assert_eq!(run.line(), "done");
}

/// Bytes live of `kept` in a profile by interval: how many intervals, estimate, variance.
fn kept(profile: &Profile) -> (usize, f64, f64) {
    let rows = profile.rows.iter().filter(|row| profiles::functions(profile, row).any(|name| name == "kept"));
    let (mut intervals, mut bytes, mut variance) = (std::collections::BTreeSet::new(), 0.0, 0.0);
    for row in rows {
        intervals.insert(row.interval_bytes);
        bytes += row.bytes;
        variance += row.bytes_variance;
    }
    (intervals.len(), bytes, variance)
}

/// Known live bytes, allocated while the interval doubles several times.
#[test]
fn estimates_have_no_bias_while_the_interval_rises() {
    const SEEDS: std::ops::RangeInclusive<u64> = 1..=6;
    let (mut inside, mut error, mut variance, mut most_intervals) = (0, 0.0, 0.0, 0);
    for seed in SEEDS {
        let sandbox = Sandbox::new();
        let options = ["--sample", "512", "--max-cpu", "0.01", "--seed", &seed.to_string()];
        let mut run = sandbox.run().args(&options).target(programs::c("rising")).target(PHASE).start();
        (0..PHASES).for_each(|_| phase(&mut run));
        let recording = run.finish().expect_code(0);
        let truth = &truths(&recording)[0];
        let report = sandbox.report_of(&recording);
        let site = site_with(&report, "kept").expect("some of 15,000 blocks are sampled");
        inside += u64::from(Estimate::of(&site["live_bytes"]).covers(truth.bytes as f64));
        let (intervals, bytes, of_it) = kept(&recording.last());
        most_intervals = most_intervals.max(intervals);
        error += bytes - truth.bytes as f64;
        variance += of_it;
    }
    assert!(most_intervals >= 3, "blocks of {most_intervals} intervals");
    // Of six 95 % intervals five miss with a probability of 1.8e-6, and the sum is five standard errors off with one of 5.7e-7.
    assert!(inside >= SEEDS.count() as u64 - 4, "{inside} of 6 inside");
    assert!(error.abs() <= 5.0 * variance.sqrt(), "error {error}, standard error {}", variance.sqrt());
}

/// Each change is twice the one before, for a reason, after the other; nothing else is in force at the end.
fn expect_doublings(first: u64, profile: &Profile) {
    let changes = &profile.settings.changes;
    for (before, after) in changes.iter().zip(changes.iter().skip(1)) {
        assert_eq!(after.interval_bytes, before.interval_bytes * 2, "{changes:?}");
        assert!(after.time_unix_ns >= before.time_unix_ns, "{changes:?}");
    }
    assert_eq!(changes.first().map(|change| change.interval_bytes), Some(first));
    assert_eq!(changes.last().map(|change| change.interval_bytes), Some(profile.settings.interval_bytes));
}

#[test]
fn a_storm_raises_the_interval_and_the_report_says_so() {
    let sandbox = Sandbox::new();
    let options = ["--sample", "512", "--max-cpu", "0.01"];
    let mut run = sandbox.run().args(&options).target(programs::c("rising")).target(PHASE).start();
    phase(&mut run);
    run.hear("program: sampling interval raised to");
    let recording = run.finish().expect_code(0);
    let profile = recording.last();
    expect_doublings(1024, &profile);
    let costly = |change: &IntervalChange| change.cause == Cause::CostOfCore && change.percent > 0.01;
    assert!(profile.settings.changes.iter().all(costly), "{:?}", profile.settings.changes);
    let text = sandbox.command("report").arg(recording.directory()).finish().expect_code(0).out();
    assert!(text.contains("sampling interval raised ") && text.contains(" of a core"), "{text}");
    let report = sandbox.report_of(&recording);
    let told = report["settings"]["interval_changes"].as_array().expect("a list");
    assert_eq!(told.len(), profile.settings.changes.len());
    assert_eq!(told[0]["interval_bytes"], 1024);
    assert_eq!(told[0]["cause"], "cost-of-core");
}

/// Where memory is limited the session is small, and its ring is soon full in exact mode; which was given a price.
#[test]
fn a_ring_that_overflows_raises_the_interval() {
    let sandbox = Sandbox::new();
    let line = format!("ulimit -v 4000000; exec {}", programs::c("rising").display());
    let run = sandbox.run().args(&["--sample", "1", "--max-cpu", "100", "--only", "program"]);
    let run = run.target("sh").target("-c").target(line).start();
    run.hear("of the records found the ring full");
    let profile = run.finish().expect_code(0).last();
    assert_eq!(profile.settings.changes.first().map(|change| change.cause), Some(Cause::RingDrops));
    assert!(profile.losses["ring_full"] > 0);
    expect_doublings(512, &profile);
}
