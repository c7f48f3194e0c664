//! Which of the recorded processes is judged.

use crate::run::recorded::Recorded;
use leakscope_collect::JvmFacts;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long it may take until somebody is recorded.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take until a shell has started somebody who is.
pub const SHELL_PATIENCE: Duration = Duration::from_secs(10);

/// Programs that start others to do the work.
const SHELLS: [&str; 8] = ["sh", "dash", "bash", "ash", "zsh", "ksh", "busybox", "make"];

/// A JVM, one that talks to us if there is; else who talks to us, and keeps the pipe open; else the command itself, or
/// what it has started if it is a shell. Of several the one with most resident memory.
pub fn choose<'r>(processes: &'r [Recorded], control: &Path) -> Option<&'r Recorded> {
    let largest = |wanted: &dyn Fn(&Recorded) -> bool| {
        let current = processes.iter().filter(|process| process.is_current() && wanted(process));
        current.max_by_key(|process| process.facts.rss_bytes())
    };
    let has_jvm = |process: &Recorded| process.has_jvm() || is_jvm(process.facts.pid);
    let talks = |process: &Recorded| talks(process.facts.pid, control);
    largest(&|process| has_jvm(process) && talks(process))
        .or_else(|| largest(&has_jvm))
        .or_else(|| largest(&|process| !is_shell(process) && talks(process)))
        .or_else(|| largest(&|process| !is_shell(process) && process.is_root))
        .or_else(|| largest(&|process| !is_shell(process)))
        .or_else(|| largest(&|_| true))
}

/// Whether a process only starts others. A script bears its own name, so the program counts.
pub fn is_shell(process: &Recorded) -> bool {
    process.facts.exe.rsplit('/').next().is_some_and(|name| SHELLS.contains(&name))
}

/// Whether a process is a JVM, or about to be one.
pub fn is_jvm(pid: u32) -> bool {
    JvmFacts::of(pid).is_some()
}

/// Whether a process has the pipe open.
fn talks(pid: u32, control: &Path) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.into_iter().any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|target| target == control))
}
