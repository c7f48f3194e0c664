//! kill -9, of the JVM and of leakscope. 100 times: `scripts/series kill`.

use crate::experiments::kill;
use crate::support::leakscope::send_signal;
use crate::support::profiles::{observed, read};
use crate::support::{Sandbox, programs};

/// One run for each JDK, at four moments.
#[test]
fn a_jvm_that_is_killed_leaves_a_readable_profile() {
    let outcomes: Vec<_> = (1..=4).map(kill::run).collect();
    // The latest has surely made Java samples.
    let latest = outcomes.iter().max_by_key(|outcome| outcome.moment_ms).expect("four runs");
    assert!(latest.java_samples > 0, "{outcomes:#?}");
}

#[test]
fn what_was_live_when_leakscope_was_killed_and_after_is_recovered() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().args(&["--sample", "1"]).target(programs::c("steps")).start();
    assert_eq!(run.line(), "ready");
    let pid = run.recorded_pid().to_string();
    let step = |run: &mut crate::support::leakscope::Running| {
        run.tell("step");
        assert_eq!(run.line(), "done");
    };
    step(&mut run);
    send_signal(run.pid(), 9);
    step(&mut run);
    step(&mut run);
    let snapshot = sandbox.command("snapshot").arg(&pid).finish().expect_code(3);
    assert!(snapshot.err().contains(&format!("leakscope recover {pid}")), "{}", snapshot.everything());
    let file = sandbox.path().join("recovered.prof");
    for _ in 0..2 {
        sandbox.command("recover").arg(&pid).arg("-o").arg(&file).finish().expect_code(0);
        let profile = read(&file);
        assert_eq!(observed(&profile, "step"), (3 * 100_070, 30), "three steps, one of them before");
        assert_eq!(profile.snapshot.reason, "recover");
        std::fs::remove_file(&file).expect("to remove it");
    }
    // The target is still itself.
    step(&mut run);
    let ended = run.finish();
    assert_eq!(ended.code(), -9, "leakscope was killed");
    assert_eq!(ended.out(), "live step 400280 40\n", "the target was not");
}

#[test]
fn a_snapshot_holds_what_is_live_now() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().args(&["--sample", "1"]).target(programs::c("steps")).start();
    assert_eq!(run.line(), "ready");
    let pid = run.recorded_pid().to_string();
    for steps in 1..=3 {
        run.tell("step");
        assert_eq!(run.line(), "done");
        let file = sandbox.path().join(format!("{steps}.prof"));
        sandbox.command("snapshot").arg(&pid).arg("-o").arg(&file).finish().expect_code(0);
        let profile = read(&file);
        assert_eq!(observed(&profile, "step"), (steps * 100_070, steps * 10));
        assert_eq!(profile.snapshot.reason, "request");
    }
    run.finish().expect_code(0);
}

/// Daemons close every descriptor that they do not know: the session's among them.
#[test]
fn a_target_that_closes_all_descriptors_is_recorded_to_its_end() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1"]).target(programs::c("steps")).target("close");
    let mut run = run.start();
    assert_eq!(run.line(), "ready");
    for _ in 0..3 {
        run.tell("step");
        assert_eq!(run.line(), "done");
    }
    let recording = run.finish().expect_code(0);
    assert_eq!(observed(&recording.last(), "step"), (3 * 100_070, 30), "{}", recording.everything());
}

/// As when a container goes: its first process is leakscope, and the kernel kills the others with it. Snapshots are
/// written without a pause meanwhile.
#[test]
fn snapshots_written_before_target_and_leakscope_were_killed_together_are_complete() {
    for round in 0..8 {
        let sandbox = Sandbox::new();
        let run = sandbox.run().through(&["unshare", "-rpf", "--mount-proc", "--kill-child"]);
        let run = run.args(&["--sample", "1", "--interval", "100ms"]).target(programs::c("steps"));
        let mut run = run.start();
        assert_eq!(run.line(), "ready");
        let folder = sandbox.path().join("out").join(format!("program.{}", run.recorded_pid()));
        let count = || crate::support::profiles::profiles_in(&folder).len();
        let mut steps = 0;
        // Later each time, so that the end comes in another moment of a snapshot.
        while count() < 2 || steps < round * 40 {
            run.tell("step");
            assert_eq!(run.line(), "done");
            steps += 1;
        }
        let before = count();
        send_signal(run.pid(), 9);
        let ended = run.ended();
        assert_eq!(ended.code(), -9, "{}", ended.everything());
        // Each that is there is sound: `profiles_in` checks it.
        let profiles = crate::support::profiles::profiles_in(&folder);
        assert!(profiles.len() >= before, "{before} snapshots were there");
        let report = sandbox.command("report").arg("--json").arg(ended.directory()).finish().expect_code(0);
        let report: serde_json::Value = serde_json::from_str(&report.out()).expect("JSON");
        let last = profiles.last().expect("two at least");
        assert_eq!(report["snapshot"]["index"], last.snapshot.index);
        assert!(observed(last, "step").1 <= steps * 10, "no more than there was");
    }
}

/// Whatever a kill can leave: half a profile under its temporary name, half a session file, half a line of the timeline.
#[test]
fn what_was_half_written_misleads_nobody() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1"]).target(programs::c("family")).finish().expect_code(0);
    let folder = run.folder();
    let expected = sandbox.report_of(&run);
    let halve = |name: &str, half: &str| {
        let bytes = std::fs::read(folder.join(name)).expect("it is there");
        std::fs::write(folder.join(half), &bytes[..bytes.len() / 2]).expect("to write half of it");
    };
    halve("0000.prof", ".0001.prof.4711.0.tmp");
    halve("session.json", ".session.json.tmp");
    halve("timeline.jsonl", "timeline.jsonl.tmp");
    let whole = std::fs::read(folder.join("timeline.jsonl")).expect("a timeline");
    std::fs::write(folder.join("timeline.jsonl"), [&whole[..], b"{\"kind\":\"poi"].concat()).expect("half a line");
    assert_eq!(sandbox.report_of(&run), expected);
    let text = sandbox.command("report").arg(run.directory()).finish().expect_code(0);
    assert!(!text.everything().contains("4711"), "{}", text.everything());
    // Without the session file, which the end may have kept from being written at all.
    std::fs::remove_file(folder.join("session.json")).expect("to remove it");
    assert_eq!(sandbox.report_of(&run)["sites"], expected["sites"]);
}
