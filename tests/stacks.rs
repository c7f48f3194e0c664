//! Stacks of every kind, with little room or odd ways to leave them: signal stacks, the smallest threads, fibers, handlers
//! that allocate and jump. The program runs as ever; what is recorded is exact, and what had no room is counted.

use crate::support::json::sites_with;
use crate::support::profiles::{functions, functions_of, observed};
use crate::support::truth::{expect_exact, truths};
use crate::support::{Recording, Sandbox, machine, programs};
use leakscope_profile::Profile;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Every call, some of them, and hardly any.
const INTERVALS: [&str; 3] = ["1", "4k", "512k"];

fn record(sandbox: &Sandbox, interval: &str, program: &Path) -> Recording {
    sandbox.run().args(&["--sample", interval]).target(program).finish().expect_code(0)
}

/// What the program writes without leakscope.
fn plain(program: &Path) -> String {
    let output = Command::new(program).output().expect("the program starts");
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

fn lost(profile: &Profile, name: &str) -> u64 {
    profile.losses.get(name).copied().unwrap_or(0)
}

/// Allocations that were recorded of a function since the start, freed ones included.
fn allocated(profile: &Profile, function: &str) -> u64 {
    let of_it = profile.stacks.iter().filter(|stack| functions_of(profile, stack).any(|name| name == function));
    of_it.map(|stack| stack.totals.samples).sum()
}

/// The number that a program said behind a word.
fn said(recording: &Recording, word: &str) -> u64 {
    let out = recording.out();
    let line = out.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("no {word} in {out}"));
    line.trim().parse().expect("a number")
}

/// Signal stacks from the least that the kernel and malloc need up to some KiB more, each above a forbidden page.
#[test]
fn handlers_on_small_signal_stacks_survive_and_are_recorded_or_counted() {
    let program = programs::c("altstack");
    for interval in INTERVALS {
        let sandbox = Sandbox::new();
        let recording = record(&sandbox, interval, &program);
        assert_eq!(recording.out(), plain(&program));
        if interval == "1" {
            let (profile, calls) = (recording.last(), 1 + said(&recording, "handled"));
            let left_out = lost(&profile, "no_stack_room");
            assert!(left_out > 0 && left_out < calls, "{left_out} of {calls}: the stacks are not of all sizes");
            assert_eq!(allocated(&profile, "by_handler") + left_out, 2 * calls, "{:?}", profile.losses);
        }
    }
}

#[test]
fn the_smallest_threads_survive_at_any_depth() {
    let program = programs::c("tiny");
    for interval in INTERVALS {
        let sandbox = Sandbox::new();
        let recording = record(&sandbox, interval, &program);
        assert_eq!(recording.out(), plain(&program));
        if interval == "1" {
            let (profile, calls) = (recording.last(), said(&recording, "called"));
            let left_out = lost(&profile, "no_stack_room");
            assert!(left_out > 0 && left_out < calls, "{left_out} of {calls}");
            assert_eq!(allocated(&profile, "by_tiny") + left_out, 2 * calls, "{:?}", profile.losses);
        }
    }
}

#[test]
fn fibers_are_recorded_exactly_and_their_neighbours_are_whole() {
    let program = programs::c("fibers");
    for interval in INTERVALS {
        let sandbox = Sandbox::new();
        let recording = record(&sandbox, interval, &program);
        assert_eq!(recording.out(), plain(&program));
        if interval == "1" {
            expect_exact(&recording, &recording.last(), &sandbox.report_of(&recording));
        }
    }
}

/// Where there is no room to ask the JVM, what is missing of a Java thread's stack is marked and counted.
#[test]
fn java_frames_without_room_are_marked_and_counted() {
    const CALLS: u64 = 100;
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1"]).target(machine::java(17));
    let run = run.target("-cp").target(programs::java()).target("Cramped");
    let profile = run.target(programs::library_jni("cramped")).finish().expect_code(0).last();
    // Samples by the last frame of their stack, which is a note or the last of the program.
    let ends = |function: &str| -> BTreeMap<&str, u64> {
        let rows = profile.rows.iter().filter(|row| functions(&profile, row).any(|name| name == function));
        rows.fold(BTreeMap::new(), |mut ends, row| {
            *ends.entry(functions(&profile, row).last().expect("a frame")).or_default() += row.samples;
            ends
        })
    };
    let not_ready = "[before java frames were ready]";
    let caller = ends("by_caller");
    assert!(caller.get("Cramped.main").is_some_and(|&samples| samples > CALLS / 2), "{caller:?}");
    assert!(caller.keys().all(|end| ["Cramped.main", not_ready].contains(end)), "{caller:?}");
    let mut truncated = 0;
    for function in ["by_fiber", "by_handler"] {
        let ends = ends(function);
        assert!(ends.keys().all(|end| ["[truncated]", not_ready].contains(end)), "{function}: {ends:?}");
        assert_eq!(ends.values().sum::<u64>(), CALLS, "{function}: {ends:?}");
        truncated += ends["[truncated]"];
    }
    assert!(truncated > CALLS && lost(&profile, "stack_truncated") >= truncated, "{:?}", profile.losses);
}

/// What a sampled call takes of the stack beyond what the plain call takes: a budget, since nobody plans for it.
#[test]
fn a_sampled_call_takes_little_of_the_stack() {
    const MOST_BYTES: u64 = 4096;
    let program = programs::c("depth");
    let recording = record(&Sandbox::new(), "1", &program);
    for line in recording.out().lines() {
        let bytes = line.rsplit(' ').next().and_then(|bytes| bytes.parse().ok());
        assert!(bytes.is_some_and(|bytes: u64| bytes < MOST_BYTES), "{line}");
    }
    assert_eq!(recording.out().lines().count(), 5);
}

/// The handler comes wherever the program is, also inside leakscope, and leaves by siglongjmp now and then.
#[test]
fn handlers_that_allocate_and_jump_out_of_anything_leave_the_rest_exact() {
    for interval in INTERVALS {
        let sandbox = Sandbox::new();
        let run = sandbox.run().args(&["--sample", interval]).env("LD_PRELOAD", programs::library("bump"));
        let recording = run.target(programs::c("ticking")).finish().expect_code(0);
        let profile = recording.last();
        let report = sandbox.report_of(&recording);
        let freed = observed(&profile, "by_handler");
        assert_eq!(freed, (0, 0), "what the handler freed");
        if interval != "1" {
            continue;
        }
        for truth in truths(&recording) {
            // Its own calls may be cut short by a jump, between malloc and the count.
            let (bytes, objects) = observed(&profile, &truth.function);
            assert_eq!((bytes, objects), (truth.bytes, truth.objects), "{:?}", profile.losses);
            assert!(!sites_with(&report, &truth.function).is_empty());
        }
        assert!(functions(&profile, &profile.rows[0]).next().is_some());
    }
}
