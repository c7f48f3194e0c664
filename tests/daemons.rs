//! Targets that leave leakscope, and the first process of a container.

use crate::support::leakscope::{Leakscope, Running, send_signal};
use crate::support::profiles::{observed, profiles_in, read};
use crate::support::{Sandbox, machine, programs};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A daemon that answers through two named pipes. It ends with this value, whatever comes of the test.
struct Daemon {
    pid: String,
    to: File,
    from: BufReader<File>,
}

fn pipes(sandbox: &Sandbox) -> [PathBuf; 2] {
    let pipes = ["questions", "answers"].map(|name| sandbox.path().join(name));
    let status = Command::new("mkfifo").args(["-m", "666"]).args(&pipes).status().expect("mkfifo runs");
    assert!(status.success());
    pipes
}

impl Daemon {
    /// Opens the pipes of the daemon that `said` names.
    fn of(said: &str, [to, from]: &[PathBuf; 2]) -> Self {
        let pid = said.strip_prefix("daemon ").unwrap_or_else(|| panic!("no daemon: {said}")).to_owned();
        let to = OpenOptions::new().write(true).open(to).expect("the daemon reads");
        Self { pid, to, from: BufReader::new(File::open(from).expect("the daemon writes")) }
    }

    fn step(&mut self) {
        writeln!(self.to, "step").expect("the daemon reads");
        let mut line = String::new();
        self.from.read_line(&mut line).expect("an answer");
        assert_eq!(line, "done\n");
    }
}

fn steps(profile: &leakscope_profile::Profile) -> u64 {
    let (bytes, objects) = observed(profile, "step");
    assert_eq!(bytes, objects * 10_007);
    objects / 10
}

/// Options that leave a command its user, and take its capabilities away.
const WITHOUT_CAPABILITIES: [&str; 4] = ["setpriv", "--bounding-set", "-all", "--inh-caps=-all"];

fn recover(sandbox: &Sandbox, before: &[&str], pid: &str, file: &Path) -> Leakscope {
    sandbox.command("recover").through(before).arg(pid).arg("-o").arg(file)
}

/// The command that was started ends, and leakscope with it; the daemon has closed its descriptors, the session among
/// them.
#[test]
fn a_daemon_that_outlives_leakscope_is_recovered_or_it_is_said_why_not() {
    let sandbox = Sandbox::new();
    let pipes = pipes(&sandbox);
    let run = sandbox.run().args(&["--sample", "1", "--follow"]).target(programs::c("daemon"));
    let recording = run.target(&pipes[0]).target(&pipes[1]).finish().expect_code(0);
    let mut daemon = Daemon::of(recording.out().trim(), &pipes);
    let advice = format!("runs on, no longer recorded \u{b7} leakscope recover {}", daemon.pid);
    assert!(recording.err().contains(&advice), "{}", recording.everything());
    assert_eq!(profiles_in(&recording.folder_of(&daemon.pid)).pop().map(|profile| steps(&profile)), Some(1));
    for _ in 0..2 {
        daemon.step();
    }
    let file = sandbox.path().join("recovered.prof");
    recover(&sandbox, machine::as_root(), &daemon.pid, &file).finish().expect_code(0);
    assert_eq!(steps(&read(&file)), 3, "one while leakscope was there");
    std::fs::remove_file(&file).expect("to remove it");
    let before = [machine::as_root(), &WITHOUT_CAPABILITIES].concat();
    let refused = recover(&sandbox, &before, &daemon.pid, &file).finish().expect_code(4);
    assert!(refused.err().contains("CAP_CHECKPOINT_RESTORE"), "{}", refused.everything());
    daemon.step();
}

/// While the command that started it waits.
fn recorded_daemon(sandbox: &Sandbox, run: Leakscope, user: &[&str]) -> (Daemon, Running) {
    let pipes = pipes(sandbox);
    let run = run.args(&["--sample", "1", "--follow"]).targets(&["sh", "-c", "\"$@\"; read line; exit 0", "sh"]);
    let mut running = run.target(programs::c("daemon")).target(&pipes[0]).target(&pipes[1]).targets(user).start();
    let said = running.line();
    (Daemon::of(&said, &pipes), running)
}

#[test]
fn a_daemon_is_recorded_as_long_as_the_command_runs() {
    let sandbox = Sandbox::new();
    let (mut daemon, mut running) = recorded_daemon(&sandbox, sandbox.run(), &[]);
    daemon.step();
    let file = sandbox.path().join("asked.prof");
    sandbox.command("snapshot").arg(&daemon.pid).arg("-o").arg(&file).finish().expect_code(0);
    assert_eq!(steps(&read(&file)), 2);
    daemon.step();
    running.tell("end");
    let recording = running.finish().expect_code(0);
    let last = profiles_in(&recording.folder_of(&daemon.pid)).pop().expect("a profile");
    assert_eq!((steps(&last), last.target.exit), (3, None));
    daemon.step();
}

/// It has neither the user of leakscope nor an ancestor that leakscope has started.
#[test]
fn a_daemons_child_that_drops_its_user_is_recorded() {
    let sandbox = Sandbox::new();
    let (mut daemon, mut running) = recorded_daemon(&sandbox, sandbox.run().through(machine::as_root()), &["65534"]);
    daemon.step();
    running.tell("end");
    let recording = running.finish().expect_code(0);
    let last = profiles_in(&recording.folder_of(&daemon.pid)).pop().expect("a profile");
    assert_eq!(steps(&last), 2);
}

#[test]
fn a_target_that_closed_its_descriptors_is_recovered_after_leakscope_was_killed() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1"]).target(programs::c("steps")).target("close");
    let mut running = run.start();
    let pid = running.recorded_pid().to_string();
    assert_eq!(running.line(), "ready");
    send_signal(running.pid(), 9);
    running.tell("step");
    assert_eq!(running.line(), "done");
    let file = sandbox.path().join("recovered.prof");
    recover(&sandbox, machine::as_root(), &pid, &file).finish().expect_code(0);
    assert_eq!(steps(&read(&file)), 1);
    assert_eq!(running.finish().out(), "live step 100070 10\n");
}

/// Leads a command as the first process of a PID namespace.
const AS_FIRST: [&str; 4] = ["unshare", "--pid", "--fork", "--mount-proc"];

#[test]
fn as_the_first_process_of_a_container_it_reaps_orphans_and_passes_signals_on() {
    let sandbox = Sandbox::new();
    let before = [machine::as_root(), &AS_FIRST].concat();
    let run = sandbox.run().through(&before).args(&["--sample", "1", "--follow"]).target(programs::c("orphans"));
    let mut running = run.start();
    assert_eq!(running.line(), "parent 1, all reaped");
    send_signal(first_of_namespace(running.pid()), 15);
    let recording = running.ended().expect_code(7);
    assert!(recording.last_of_each().iter().any(|profile| profile.snapshot.reason == "final"));
}

/// The process that runs leakscope, below `unshare`.
fn first_of_namespace(outer: u32) -> u32 {
    let children = |pid: u32| -> Vec<u32> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("its children");
        text.split_whitespace().map(|pid| pid.parse().expect("a number")).collect()
    };
    let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("its name");
    let mut all = vec![outer];
    while let Some(pid) = all.pop() {
        if name(pid).trim() == "leakscope" {
            return pid;
        }
        all.extend(children(pid));
    }
    panic!("no leakscope below {outer}")
}

/// In a PID namespace of its own a process may take leakscope for its parent, whose number it has.
#[test]
fn a_nested_namespace_whose_first_process_has_our_number_is_followed() {
    let sandbox = Sandbox::new();
    let before = [machine::as_root(), &AS_FIRST].concat();
    let run = sandbox.run().through(&before).args(&["--sample", "1", "--follow"]);
    // The inner shell is process 1 there, as leakscope is here.
    let run = run.targets(&AS_FIRST).targets(&["sh", "-c", "\"$0\"; exit 7"]).target(programs::c("family"));
    let recording = run.finish().expect_code(7);
    assert!(recording.last_of_each().iter().any(|profile| observed(profile, "by_calloc").1 > 0), "{}", recording.err());
}

#[test]
fn who_asks_for_a_process_of_another_container_is_told_where_to_ask() {
    let sandbox = Sandbox::new();
    let before = [machine::as_root(), &AS_FIRST].concat();
    for command in ["recover", "snapshot"] {
        let pid = std::process::id().to_string();
        let answer = sandbox.command(command).through(&before).arg(&pid).finish().expect_code(3);
        let sentence = format!("there is no process {pid} here, in this PID namespace");
        assert!(answer.err().contains(&sentence), "{}", answer.everything());
    }
}

/// As the containers of a Kubernetes pod are: one network, and each its own process ids.
#[test]
fn a_target_outside_of_leakscopes_namespace_runs_unrecorded_and_the_user_is_told() {
    let sandbox = Sandbox::new();
    let before = [machine::as_root(), &AS_FIRST].concat();
    let run = sandbox.run().through(&before).arg("--follow");
    let script = "echo $LD_PRELOAD; echo $LEAKSCOPE_SESSION; read line; exit 0";
    let mut running = run.targets(&["sh", "-c", script]).start();
    let (shim, session) = (running.line(), running.line());
    let program = programs::c("family");
    let plain = Command::new(&program).output().expect("the program runs");
    let outside = Command::new(&program).env("LD_PRELOAD", shim).env("LEAKSCOPE_SESSION", session).output();
    assert_eq!(outside.expect("the program runs"), plain);
    let said = running.hear("PID namespace");
    assert!(said.contains("is not"), "{said}");
    running.finish().expect_code(0);
}
