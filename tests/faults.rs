//! What goes wrong while recording, and goes on: full disks, folders that are removed, memory that somebody wants to cut
//! off, clocks that jump, processes that are stopped. What was lost is counted and told; the target never notices.

use crate::support::leakscope::{Running, send_signal};
use crate::support::profiles::{observed, profiles_in, read};
use crate::support::{Sandbox, machine, programs};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// One step of `steps`: ten blocks of 10,007 bytes.
const STEP: (u64, u64) = (100_070, 10);

fn step(run: &mut Running) {
    run.tell("step");
    assert_eq!(run.line(), "done");
}

/// Asks for a snapshot of a process; what is live below `step` in it.
fn live(sandbox: &Sandbox, pid: u32) -> (u64, u64) {
    let file = sandbox.path().join("asked.prof");
    sandbox.command("snapshot").arg(pid.to_string()).arg("-o").arg(&file).finish().expect_code(0);
    let live = observed(&read(&file), "step");
    fs::remove_file(&file).expect("to remove it");
    live
}

fn steps(n: u64) -> (u64, u64) {
    (STEP.0 * n, STEP.1 * n)
}

/// Waits for a snapshot in a recording with one process; its folder.
fn wait_for_snapshot(recording: &Path) -> PathBuf {
    let end = Instant::now() + crate::support::leakscope::PATIENCE;
    loop {
        let folders = fs::read_dir(recording).into_iter().flatten().flatten().map(|entry| entry.path());
        let done = folders.filter(|folder| folder.is_dir()).find(|folder| !profiles_in(folder).is_empty());
        if let Some(folder) = done {
            return folder;
        }
        assert!(Instant::now() < end, "no snapshot in {}", recording.display());
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_disk_that_was_full_for_a_while_costs_what_came_then_and_it_is_told() {
    let sandbox = Sandbox::new();
    let kept = sandbox.path().join("kept");
    let target = "echo ready; read line; head -c 9000000 /dev/zero > small/filler 2> /dev/null; echo full
                  read line; rm small/filler; echo freed; read line; exit 3";
    let script = "mkdir small && mount -t tmpfs -o size=1m none small || exit 90
                  \"$0\" run -o small/out --interval 200ms --sample 1 -- sh -c \"$1\"; code=$?
                  cp -r small/out \"$2\"; exit $code";
    let leakscope = machine::leakscope();
    let text = |path: &Path| -> String { path.to_str().expect("a path of text").to_owned() };
    let line = ["unshare", "-rm", "sh", "-c", script, &text(&leakscope), target, &text(&kept)];
    let mut run = sandbox.command("run").instead(&line).start();
    assert_eq!(run.line(), "ready");
    run.tell("fill it");
    assert_eq!(run.line(), "full");
    run.hear("the next snapshot will be tried again");
    run.tell("free it");
    assert_eq!(run.line(), "freed");
    let recording = run.finish().expect_code(3).in_directory(kept.clone());
    let last = recording.last();
    assert_eq!(last.snapshot.reason, "final", "{}", recording.everything());
    assert!(last.losses["snapshots_unwritten"] > 0, "{:?}", last.losses);
    let report = sandbox.command("report").arg(&kept).finish().expect_code(0).out();
    assert!(report.contains("could not be written"), "{report}");
    let err = recording.err();
    assert!(err.contains("could not be written: ") && err.contains("No space left on device"), "{err}");
}

#[test]
fn a_folder_that_is_removed_while_recording_is_made_anew() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1", "--interval", "100ms"]).target(programs::c("steps"));
    let mut run = run.start();
    assert_eq!(run.line(), "ready");
    let pid = run.recorded_pid();
    step(&mut run);
    let out = sandbox.path().join("out");
    wait_for_snapshot(&out);
    // Between the removal of the last file and that of its folder a new one may have come.
    while fs::remove_dir_all(&out).is_err() {}
    let said = run.hear("was removed");
    assert!(said.contains("Recording goes on"), "{said}");
    step(&mut run);
    assert_eq!(live(&sandbox, pid), steps(2));
    let recording = run.finish().expect_code(0);
    assert_eq!(observed(&recording.last(), "step"), steps(2), "{}", recording.everything());
    sandbox.report_of(&recording);
}

/// Nothing can be made again where a file stands in the way.
#[test]
fn a_folder_that_cannot_be_made_anew_costs_the_snapshots_and_nothing_else() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1", "--interval", "100ms"]).target(programs::c("steps"));
    let mut run = run.start();
    assert_eq!(run.line(), "ready");
    let pid = run.recorded_pid();
    let out = sandbox.path().join("out");
    wait_for_snapshot(&out);
    fs::rename(&out, sandbox.path().join("elsewhere")).expect("to move it");
    fs::write(&out, "in the way").expect("a file");
    run.hear("Recording goes on");
    step(&mut run);
    assert_eq!(live(&sandbox, pid), steps(1), "a snapshot that goes elsewhere");
    let recording = run.finish().expect_code(0);
    assert_eq!(recording.out(), "live step 100070 10\n");
    let err = recording.err();
    assert!(err.contains("the final one included") && !err.contains("panicked"), "{err}");
    assert_eq!(fs::read(&out).expect("the file"), b"in the way");
}

/// A session that shrank would kill the target at its next sample.
#[test]
fn nobody_can_cut_a_session_off() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().args(&["--sample", "1"]).target(programs::c("steps")).start();
    assert_eq!(run.line(), "ready");
    let pid = run.recorded_pid();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").flatten();
    let is_session =
        |path: &PathBuf| fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("memfd:leakscope"));
    let sessions: Vec<PathBuf> = descriptors.map(|entry| entry.path()).filter(is_session).collect();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    let session = OpenOptions::new().write(true).open(&sessions[0]).expect("it can be opened");
    let bytes = session.metadata().expect("its length").len();
    for length in [0, 4096, bytes - 1, bytes + 1, bytes * 2] {
        let refused = session.set_len(length).expect_err("a seal");
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM), "{length}");
    }
    step(&mut run);
    let recording = run.finish().expect_code(0);
    assert_eq!(observed(&recording.last(), "step"), steps(1));
}

#[test]
fn a_target_that_may_make_no_memfd_runs_and_the_user_is_told() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let sandbox = Sandbox::new();
        let run = sandbox.run().target(programs::c("refuse")).target(errno.to_string()).target(programs::c("steps"));
        let mut run = run.start();
        assert_eq!(run.line(), "ready");
        let said = run.hear("is not recorded");
        assert!(said.contains("could not make a memfd"), "why: {said}");
        step(&mut run);
        let recording = run.finish().expect_code(0);
        assert_eq!(recording.out(), "live step 100070 10\n", "{}", recording.everything());
    }
}

/// The clock on the wall is leakscope's own to read: only a library between the two can make it jump without harm to
/// the machine.
#[test]
fn a_clock_that_jumps_disturbs_neither_snapshots_nor_their_order() {
    let sandbox = Sandbox::new();
    let clock = sandbox.path().join("clock");
    let set = |seconds: i64| {
        fs::write(clock.with_extension("new"), seconds.to_string()).expect("a file");
        fs::rename(clock.with_extension("new"), &clock).expect("to set the clock");
    };
    set(0);
    let run = sandbox.run().args(&["--sample", "1", "--interval", "100ms"]).target(programs::c("steps"));
    let mut run = run.env("LD_PRELOAD", programs::library("stepped")).env("STEPPED_CLOCK", &clock).start();
    assert_eq!(run.line(), "ready");
    let pid = run.recorded_pid();
    let began = Instant::now();
    let mut walls = Vec::new();
    for (n, seconds) in [(1, 0), (2, 7200), (3, -86_400), (4, 100)] {
        set(seconds);
        step(&mut run);
        let file = sandbox.path().join(format!("{n}.prof"));
        sandbox.command("snapshot").arg(pid.to_string()).arg("-o").arg(&file).finish().expect_code(0);
        let profile = read(&file);
        assert_eq!(observed(&profile, "step"), steps(n));
        walls.push(profile.snapshot.time_unix_ns / 1_000_000_000);
    }
    // One by interval, however fast the steps were.
    wait_for_snapshot(&sandbox.path().join("out"));
    let recording = run.finish().expect_code(0);
    let most_ms = began.elapsed().as_millis() as u64 + 60_000;
    assert!(walls[1] - walls[0] > 3600 && walls[2] < walls[0] && walls[3] > walls[2], "it did jump: {walls:?}");
    let profiles = recording.profiles();
    assert!(profiles.len() > 1, "by interval as well: {}", recording.everything());
    for pair in profiles.windows(2) {
        let (a, b) = (&pair[0].snapshot, &pair[1].snapshot);
        assert!(a.index < b.index && a.uptime_ms <= b.uptime_ms && b.uptime_ms < most_ms, "{a:?} {b:?}");
    }
    let last = profiles.last().expect("the final one");
    assert_eq!((last.snapshot.reason.as_str(), observed(last, "step")), ("final", steps(4)));
    let shown = sandbox.report_of(&recording);
    assert_eq!(shown["snapshot"]["index"], last.snapshot.index, "the last one is the last one");
}

#[test]
fn a_target_that_is_stopped_can_be_looked_at() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1", "--interval", "100ms"]).target(programs::c("steps"));
    let mut run = run.start();
    assert_eq!(run.line(), "ready");
    let pid = run.recorded_pid();
    step(&mut run);
    send_signal(pid, libc::SIGSTOP);
    for _ in 0..3 {
        assert_eq!(live(&sandbox, pid), steps(1));
    }
    run.tell("step");
    send_signal(pid, libc::SIGCONT);
    assert_eq!(run.line(), "done");
    let recording = run.finish().expect_code(0);
    assert_eq!(observed(&recording.last(), "step"), steps(2), "{}", recording.everything());
}

/// Nothing in the target waits for leakscope: neither what is recorded, nor a process that is new and asks to be.
#[test]
fn a_leakscope_that_is_stopped_holds_nobody_up() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1", "--follow", "--interval", "100ms"]);
    let mut run = run.targets(&["sh", "-c", "\"$0\"; \"$0\""]).target(programs::c("steps")).start();
    assert_eq!(run.line(), "ready");
    let said = run.hear("handshake ok");
    assert!(said.contains("sh (pid"), "{said}");
    send_signal(run.pid(), libc::SIGSTOP);
    for _ in 0..50 {
        step(&mut run);
    }
    send_signal(run.pid(), libc::SIGCONT);
    let recording = run.finish().expect_code(0);
    let profiles = recording.last_of_each();
    let found = profiles.iter().map(|profile| observed(profile, "step")).find(|found| found.1 > 0);
    assert_eq!(found, Some(steps(50)), "{}", recording.everything());
}

#[test]
fn a_process_that_comes_while_leakscope_is_stopped_runs() {
    let sandbox = Sandbox::new();
    let script = "echo ready; read line; \"$0\" < /dev/null; echo after";
    let mut run = sandbox.run().arg("--follow").targets(&["sh", "-c", script]).target(programs::c("steps")).start();
    assert_eq!(run.line(), "ready");
    run.recorded_pid();
    send_signal(run.pid(), libc::SIGSTOP);
    run.tell("go on");
    for line in ["ready", "live step 0 0", "after"] {
        assert_eq!(run.line(), line);
    }
    send_signal(run.pid(), libc::SIGCONT);
    run.finish().expect_code(0);
}
