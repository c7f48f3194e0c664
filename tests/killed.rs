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
