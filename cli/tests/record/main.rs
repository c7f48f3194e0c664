//! `run`, `snapshot` and `recover` with real targets: programs that every system has. A target that shall live until
//! the test is done with it reads from a pipe; leakscope's own lines are the handshake.
#![allow(unsafe_code)] // kill

mod processes;
mod running;
mod runs;

use leakscope_profile::timeline::Timeline;
use leakscope_profile::{Exit, Profile};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

fn leakscope<S: AsRef<OsStr>>(directory: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leakscope"));
    command.args(arguments).current_dir(directory).env_remove("LD_PRELOAD").env("LC_ALL", "C.UTF-8");
    command
}

fn run(directory: &Path, line: &str) -> Output {
    leakscope(directory, &["run", "-o", "rec", "--sample", "1", "--", "sh", "-c", line]).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The folders of a recording, sorted.
fn folders(recording: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(recording).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn last_profile(folder: &Path) -> Profile {
    let mut names: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension() == Some(OsStr::new("prof")));
    names.sort();
    leakscope_profile::load(names.last().expect("a profile")).unwrap()
}

fn timeline(folder: &Path) -> Timeline {
    let timeline = Timeline::read(&fs::read(folder.join("timeline.jsonl")).unwrap());
    assert_eq!(timeline.damaged, 0);
    timeline
}

fn live_bytes(profile: &Profile) -> u64 {
    profile.rows.iter().map(|row| row.bytes_observed).sum()
}

/// A recording that goes on until its standard input is closed or it is killed.
struct Running {
    leakscope: Child,
    lines: BufReader<ChildStderr>,
    target: u32,
}

impl Running {
    /// Starts `command`, which copies its input to its output, and waits until it does so and a process called `name`
    /// has shaken hands.
    fn start(directory: &Path, options: &[&str], command: &[&str], name: &str) -> Self {
        let arguments = [&["run", "-o", "rec", "--sample", "1"], options, &["--"], command].concat();
        let mut child = leakscope(directory, &arguments);
        let child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut leakscope = child.spawn().unwrap();
        let lines = BufReader::new(leakscope.stderr.take().unwrap());
        let mut running = Self { leakscope, lines, target: 0 };
        running.target = running.wait_for_handshake(name);
        running.copy_a_line();
        running
    }

    fn wait_for_handshake(&mut self, name: &str) -> u32 {
        let start = format!("handshake ok: {name} (pid ");
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "no handshake with {name}: {seen}");
            if let Some((_, rest)) = line.split_once(&start) {
                return rest.split(')').next().unwrap().parse().unwrap();
            }
            seen += &line;
        }
    }

    fn copy_a_line(&mut self) {
        self.leakscope.stdin.as_mut().unwrap().write_all(b"ready\n").unwrap();
        let mut back = [0; 6];
        self.leakscope.stdout.as_mut().unwrap().read_exact(&mut back).unwrap();
        assert_eq!(&back, b"ready\n");
    }

    fn wait_for_a_snapshot(&self, directory: &Path) {
        let folder = folders(&directory.join("rec")).remove(0);
        while !fs::read_dir(&folder).unwrap().any(|entry| entry.unwrap().path().extension() == Some(OsStr::new("prof")))
        {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Closes the target's standard input and waits for the end; exit code and what was said.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.leakscope.stdin.take());
        self.wait()
    }

    fn wait(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.lines.read_to_string(&mut text).unwrap();
        (self.leakscope.wait().unwrap().code(), text)
    }
}

fn kill(pid: u32, signal: i32) {
    // SAFETY: takes two integers.
    assert_eq!(unsafe { libc::kill(pid as libc::pid_t, signal) }, 0);
}
