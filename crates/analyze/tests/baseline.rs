//! A candidate against a baseline: what grew is named, what only varies is not, another program is refused.

mod program;

use std::collections::BTreeMap;

use leakscope_analyze::SiteId;
use leakscope_analyze::gate::{
    Baseline, BaselineError, BaselineSite, GateOptions, Outcome, Per, Reason, RunSites, Status, gate_against_baseline,
    run_sites,
};
use leakscope_sampling::Interval;
use program::Program;

const KIB: u64 = 1024;

/// A run: site `n` has `blocks[n]` live blocks of 1 KiB.
fn run(seed: u64, blocks: &[u64], interval: Interval) -> RunSites {
    let mut program = Program::new(seed, interval);
    for (site, blocks) in blocks.iter().enumerate() {
        (0..*blocks).for_each(|_| program.allocate(site as u32, KIB));
    }
    let mut profile = program.snapshot();
    profile.target.name = "java".to_owned();
    run_sites(&profile, &[]).expect("sites")
}

fn baseline(runs: &[RunSites]) -> Baseline {
    let mut sites: BTreeMap<SiteId, BaselineSite> = BTreeMap::new();
    for (at, run) in runs.iter().enumerate() {
        for site in &run.sites {
            let entry = sites.entry(site.key).or_default();
            entry.live_bytes.resize(runs.len(), 0.0);
            entry.live_bytes[at] = site.bytes;
            entry.error_bytes = entry.error_bytes.max(site.variance.sqrt());
        }
    }
    Baseline { program: "java".to_owned(), runs: runs.len(), sites, rest_bytes: vec![0.0; runs.len()] }
}

fn options() -> GateOptions {
    GateOptions::new(Per::Run, 0)
}

#[test]
fn what_grew_is_named_and_what_is_gone_or_the_same_is_not() {
    let before = baseline(&[run(1, &[300, 100, 50], Interval::EXACT)]);
    let after = run(2, &[300, 300, 0, 90], Interval::EXACT);
    let gate = gate_against_baseline(&before, &[after], &options()).expect("one program");
    assert_eq!((gate.outcome, &gate.reasons[..]), (Outcome::Fail, &[Reason::Leaks(2)][..]));
    let leaks: Vec<_> = gate
        .leaks()
        .map(|leak| (gate.frames.resolve(&leak.place.frames).next().unwrap().function.as_str(), leak.judged.growth))
        .collect();
    assert_eq!(leaks[0].0, "com.acme.Site1.run");
    assert_eq!(leaks[1].0, "com.acme.Site3.run");
    assert_eq!(leaks[0].1.estimate, 200.0 * KIB as f64);
    assert!(leaks.iter().all(|(_, growth)| growth.is_exact()));
    assert_eq!((gate.baseline_runs, gate.rounds), (Some(1), 1));
}

#[test]
fn a_tenth_more_is_put_up_with() {
    let before = baseline(&[run(1, &[10_000], Interval::EXACT)]);
    for (blocks, outcome) in [(10_990, Outcome::Pass), (11_010, Outcome::Fail)] {
        let gate = gate_against_baseline(&before, &[run(2, &[blocks], Interval::EXACT)], &options()).unwrap();
        assert_eq!(gate.outcome, outcome, "{blocks}");
    }
}

#[test]
fn what_varies_from_run_to_run_is_no_growth() {
    let noisy = |seed: u64| run(seed, &[1000, 300 + 170 * (seed % 3)], Interval::EXACT);
    let before = baseline(&[noisy(0), noisy(1), noisy(2)]);
    // Alone, the largest run would be growth beyond the budget.
    let gate = gate_against_baseline(&before, &[noisy(5)], &options()).unwrap();
    assert_eq!(gate.leaks().count(), 0, "{:?}", gate.findings);
    let grown = |seed| run(seed, &[1000, 300 + 170 * (seed % 3) + 6000], Interval::EXACT);
    let gate = gate_against_baseline(&before, &[grown(3), grown(4), grown(5)], &options()).unwrap();
    assert_eq!(gate.leaks().count(), 1, "{:?}", gate.findings);
}

#[test]
fn sampled_runs_of_one_program_rarely_fail() {
    let interval = Interval::from_bytes(8 * KIB);
    let blocks: Vec<u64> = (0..30).map(|site| 20 + 13 * site).collect();
    let failed = (0..60).filter(|seed| {
        let [a, b] = [run(1000 + seed, &blocks, interval), run(2000 + seed, &blocks, interval)];
        gate_against_baseline(&baseline(&[a]), &[b], &options()).unwrap().outcome == Outcome::Fail
    });
    assert!(failed.count() <= 1);
    let more: Vec<u64> = blocks.iter().enumerate().map(|(site, n)| n + if site == 7 { 2000 } else { 0 }).collect();
    let [a, b] = [run(1, &blocks, interval), run(2, &more, interval)];
    let gate = gate_against_baseline(&baseline(&[a]), &[b], &options()).unwrap();
    let leak = gate.leaks().next().expect("two MiB more");
    assert_eq!(gate.frames.resolve(&leak.place.frames).next().unwrap().function, "com.acme.Site7.run");
}

#[test]
fn another_program_is_refused() {
    let before = baseline(&[run(1, &[100, 100], Interval::EXACT)]);
    let mut other = run(2, &[100, 100], Interval::EXACT);
    other.program = "python3".to_owned();
    let error = gate_against_baseline(&before, &[other], &options()).unwrap_err();
    assert_eq!(error, BaselineError::AnotherProgram { baseline: "java".into(), candidate: "python3".into() });
    let stranger = run(2, &[0, 0, 0, 100], Interval::EXACT);
    let error = gate_against_baseline(&before, &[stranger], &options()).unwrap_err();
    assert_eq!(error, BaselineError::NothingInCommon);
    assert_eq!(gate_against_baseline(&before, &[], &options()).unwrap_err(), BaselineError::NoRuns);
}

#[test]
fn an_expired_suppression_fails() {
    let runs = [run(1, &[100], Interval::EXACT)];
    let mut options = options();
    options.suppressions[0].line = Some(1);
    options.suppressions[0].until_day = Some(-1);
    let gate = gate_against_baseline(&baseline(&runs), &runs, &options).unwrap();
    assert_eq!((gate.outcome, &gate.reasons[..]), (Outcome::Fail, &[Reason::Expired(0)][..]));
    assert!(gate.findings.iter().all(|finding| finding.judged.status == Status::Ok));
}
