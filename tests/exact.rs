//! Exact mode (`--sample 1`): every byte and object of programs that know the truth, and nothing that was freed.

use crate::experiments::many;
use crate::support::profiles::functions_of;
use crate::support::truth::expect_exact;
use crate::support::{Recording, Sandbox, programs};
use std::path::PathBuf;

fn record_exactly(sandbox: &Sandbox, program: PathBuf, arguments: &[&str]) -> Recording {
    let recording = sandbox.run().args(&["--sample", "1"]).target(program).targets(arguments).finish().expect_code(0);
    expect_exact(&recording, &recording.last(), &sandbox.report_of(&recording));
    recording
}

#[test]
fn known_bytes_of_every_size() {
    for threads in ["1", "8"] {
        record_exactly(&Sandbox::new(), programs::c("sizes"), &[threads]);
    }
}

#[test]
fn a_million_live_blocks_are_all_counted() {
    many::run(1_000_000);
}

#[test]
fn threads_that_free_everything_leave_nothing() {
    record_exactly(&Sandbox::new(), programs::c("storm"), &["2000"]);
}

#[test]
fn threads_that_free_everything_leave_nothing_when_sampled() {
    for interval in ["1000", "64k"] {
        let sandbox = Sandbox::new();
        let run = sandbox.run().args(&["--sample", interval]).target(programs::c("storm")).target("20000");
        let recording = run.finish().expect_code(0);
        let report = sandbox.report_of(&recording);
        let text = report.to_string();
        assert!(!text.contains("storm_"), "a block that was freed is reported as live: {text}");
        assert_eq!(report["losses"]["missed_frees"].as_u64().unwrap_or(0), 0, "{}", report["losses"]);
        let allocated = recording.last().stacks.iter().map(|stack| stack.totals.samples).sum::<u64>();
        assert!(allocated > 1000, "only {allocated} samples: this shows nothing");
    }
}

#[test]
fn realloc_in_all_its_ways() {
    record_exactly(&Sandbox::new(), programs::c("realloc"), &[]);
}

#[test]
fn every_call_of_the_family() {
    record_exactly(&Sandbox::new(), programs::c("family"), &[]);
}

#[test]
fn every_operator_new() {
    record_exactly(&Sandbox::new(), programs::cc("news"), &[]);
}

#[test]
fn children_leave_their_parents_blocks_alone() {
    record_exactly(&Sandbox::new(), programs::c("forks"), &[]);
}

#[test]
fn blocks_handed_between_threads() {
    record_exactly(&Sandbox::new(), programs::c("handed"), &[]);
}

#[test]
fn blocks_handed_between_threads_under_jemalloc() {
    for (program, argument) in [("handed", "0"), ("storm", "2000")] {
        let sandbox = Sandbox::new();
        // By name, as images do it; the loader warns on stderr where it is missing.
        let run = sandbox.run().env("LD_PRELOAD", "libjemalloc.so.2").env("MALLOC_CONF", "confirm_conf:true");
        let recording = run.args(&["--sample", "1"]).target(programs::c(program)).target(argument).finish();
        let recording = recording.expect_code(0);
        let err = recording.err();
        assert!(!err.contains("cannot be preloaded"), "libjemalloc2 is missing: run scripts/setup test\n{err}");
        assert!(err.contains("jemalloc"), "jemalloc does not serve this program\n{err}");
        expect_exact(&recording, &recording.last(), &sandbox.report_of(&recording));
    }
}

/// Of 96 threads, more than there are trails of walks to lend.
#[test]
fn no_thread_has_callers_of_another() {
    const THREADS: u64 = 96;
    const ROUNDS: u64 = 20_000;
    let sandbox = Sandbox::new();
    let recording = sandbox.run().args(&["--sample", "1"]).target(programs::c("chains")).finish().expect_code(0);
    let profile = recording.last();
    assert_eq!(profile.losses.get("stack_truncated"), None, "{:?}", profile.losses);
    let mut calls = [0, 0];
    for stack in &profile.stacks {
        let depth = |function| functions_of(&profile, stack).filter(|name| *name == function).count();
        let depths = [depth("first"), depth("second")];
        match depths {
            [0, 0] => {}
            [21..=27, 0] => calls[0] += stack.totals.samples,
            [0, 21..=27] => calls[1] += stack.totals.samples,
            _ => panic!("{depths:?}: {:?}", functions_of(&profile, stack).collect::<Vec<_>>()),
        }
    }
    assert_eq!(calls, [THREADS / 2 * ROUNDS; 2]);
}
