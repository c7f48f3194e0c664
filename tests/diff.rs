//! Growth between two instants, as a user asks for it, and the pictures of it.

use crate::support::json::{Estimate, site_with};
use crate::support::leakscope::Running;
use crate::support::{Sandbox, programs};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// `steps` under exact recording, with a snapshot before and after four steps.
fn before_and_after(sandbox: &Sandbox) -> (PathBuf, PathBuf, Running) {
    let mut run = sandbox.run().args(&["--sample", "1"]).target(programs::c("steps")).start();
    assert_eq!(run.line(), "ready");
    let pid = run.recorded_pid().to_string();
    let snapshot = |name: &str| {
        let file = sandbox.path().join(name);
        sandbox.command("snapshot").arg(&pid).arg("-o").arg(&file).finish().expect_code(0);
        file
    };
    let steps = |run: &mut Running, count: usize| {
        for _ in 0..count {
            run.tell("step");
            assert_eq!(run.line(), "done");
        }
    };
    steps(&mut run, 1);
    let before = snapshot("before.prof");
    steps(&mut run, 4);
    let after = snapshot("after.prof");
    (before, after, run)
}

fn growth(diff: &Value) -> Estimate {
    let site = site_with(diff, "step").unwrap_or_else(|| panic!("no site: {diff}"));
    assert_eq!(site["significant"], true);
    Estimate::of(&site["growth_bytes"])
}

#[test]
fn growth_in_one_recording_is_exact_and_paired() {
    let sandbox = Sandbox::new();
    let (before, after, run) = before_and_after(&sandbox);
    let diff = sandbox.diff(&before, &after);
    assert_eq!(diff["paired"], true);
    assert!(growth(&diff).is_exactly(4 * 100_070), "{diff}");
    assert_eq!(site_with(&diff, "step").expect("found above")["status"], "grown");
    let text = sandbox.command("diff").arg(&before).arg(&after).finish().expect_code(0).out();
    assert!(text.contains("grown") && text.contains("step"), "{text}");
    // The other way round it has shrunk.
    let back = sandbox.command("diff").arg("--json").arg(&after).arg(&before).finish().expect_code(0);
    let back: Value = serde_json::from_slice(&back.stdout).expect("JSON");
    assert_eq!(site_with(&back, "step").expect("a site")["growth_bytes"]["estimate"], -400_280);
    let gate = |a: &PathBuf, b: &PathBuf| sandbox.command("diff").arg("--exit-code").arg(a).arg(b).finish().code();
    assert_eq!((gate(&before, &after), gate(&before, &before)), (1, 0));
    run.finish().expect_code(0);
}

#[test]
fn the_first_and_last_snapshot_of_a_recording_can_be_compared() {
    let sandbox = Sandbox::new();
    let (before, after, run) = before_and_after(&sandbox);
    let recording = run.finish().expect_code(0);
    let at = |which: &str| PathBuf::from(format!("{}@{which}", recording.directory().display()));
    let names: Vec<u32> = recording.profiles().iter().map(|profile| profile.snapshot.index).collect();
    assert!(!names.is_empty());
    let diff = sandbox.diff(&at("first"), &at("last"));
    assert_eq!(diff["paired"], true);
    let note = "the second snapshot is of the program's end";
    let text = |before: &PathBuf, after: &PathBuf| sandbox.command("diff").arg(before).arg(after).finish().out();
    assert!(text(&before, &at("last")).contains(note));
    assert!(!text(&before, &after).contains(note) && !text(&at("last"), &before).contains(note));
}

#[test]
fn flame_graphs_name_the_functions() {
    let sandbox = Sandbox::new();
    let (before, after, run) = before_and_after(&sandbox);
    run.finish().expect_code(0);
    let live = sandbox.path().join("live.svg");
    sandbox.command("flame").arg(&after).arg("-o").arg(&live).finish().expect_code(0);
    let growth = sandbox.path().join("growth.svg");
    sandbox.command("diff").arg(&before).arg(&after).arg("--flame").arg(&growth).finish().expect_code(0);
    for picture in [live, growth] {
        let svg = fs::read_to_string(&picture).expect("a picture");
        assert!(svg.trim_end().ends_with("</svg>"), "{} is cut", picture.display());
        assert!(svg.contains("<title>step"), "{} does not name step", picture.display());
    }
}

#[test]
fn two_runs_of_one_program_are_compared_unpaired() {
    let record = |sandbox: &Sandbox, steps: usize| {
        let mut run = sandbox.run().args(&["--sample", "1"]).target(programs::c("steps")).start();
        assert_eq!(run.line(), "ready");
        for _ in 0..steps {
            run.tell("step");
            assert_eq!(run.line(), "done");
        }
        run.finish().expect_code(0).directory().to_owned()
    };
    let (few, many) = (Sandbox::new(), Sandbox::new());
    let (before, after) = (record(&few, 2), record(&many, 5));
    let diff = few.diff(&before, &after);
    assert_eq!(diff["paired"], false);
    assert!(growth(&diff).is_exactly(3 * 100_070), "{diff}");
}
