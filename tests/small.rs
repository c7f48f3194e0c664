//! leakscope's own memory: it shares the target's limit.

use crate::support::leakscope::Running;
use crate::support::profiles::{observed, read};
use crate::support::{Sandbox, machine, programs};
use std::fs;

/// What it promises to stay below, KiB.
const MOST_KIB: u64 = 64 << 10;

/// Asks three times for a snapshot, and then for the largest resident set that leakscope ever had. The last snapshot is
/// left in the sandbox as `2.prof`.
fn most_kib(sandbox: &Sandbox, running: &Running) -> u64 {
    let pid = running.recorded_pid().to_string();
    for number in 0..3 {
        let file = sandbox.path().join(format!("{number}.prof"));
        sandbox.command("snapshot").arg(&pid).arg("-o").arg(file).finish().expect_code(0);
    }
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).expect("its status");
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its largest resident set");
    most.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn beside_a_jvm_of_which_everything_is_recorded() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1", "--interval", "500ms"]).target(machine::java(17));
    let run = run.targets(&["-Xmx128m", "-cp"]).target(programs::java()).targets(&["Busy", "60000"]);
    let mut running = run.start();
    assert_eq!(running.line(), "ready");
    let most_kib = most_kib(&sandbox, &running);
    running.signal(15);
    running.ended().expect_code(128 + 15);
    assert!(most_kib <= MOST_KIB, "{most_kib} KiB");
}

/// 131,072 stacks of 60 frames, something live of each. (With Java names, but without the CLI around it:
/// crates/collect/tests/memory.rs.)
#[test]
fn beside_a_program_with_more_live_stacks_than_can_be_written_down() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.run().args(&["--sample", "1"]).target(programs::c("stacks")).start();
    assert_eq!(running.line(), "ready");
    let most_kib = most_kib(&sandbox, &running);
    running.finish().expect_code(0);
    let profile = read(&sandbox.path().join("2.prof"));
    let all: u64 = profile.rows.iter().map(|row| row.bytes_observed).sum();
    assert!(all >= 131_072 * 32, "what is not kept apart is still counted: {all}");
    let (bytes, objects) = observed(&profile, "leaf");
    assert!(bytes == objects * 32 && (10_000..131_072).contains(&objects), "{objects} under their own stacks");
    assert!(profile.losses["stacks_merged"] > 100_000, "{:?}", profile.losses);
    assert!(most_kib <= MOST_KIB, "{most_kib} KiB");
}
