//! Which of the recorded processes is judged.

use crate::run::recorded::Recorded;
use leakscope_collect::JvmFacts;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long it may take until somebody is recorded.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Programs that start others to do the work.
const SHELLS: [&str; 8] = ["sh", "dash", "bash", "ash", "zsh", "ksh", "busybox", "make"];

/// The one that talks to us, if it keeps the pipe open; else a JVM; else the command itself, or what it has started if
/// it is a shell. Of several the one with most resident memory.
pub fn choose<'r>(processes: &'r [Recorded], control: &Path) -> Option<&'r Recorded> {
    let largest = |wanted: &dyn Fn(&Recorded) -> bool| {
        processes
            .iter()
            .filter(|process| process.is_current() && wanted(process))
            .max_by_key(|process| process.facts.rss_bytes())
    };
    largest(&|process| talks(process.facts.pid, control))
        .or_else(|| largest(&|process| process.has_jvm() || is_jvm(process.facts.pid)))
        .or_else(|| largest(&|process| process.is_root && !is_shell(&process.facts.name)))
        .or_else(|| largest(&|process| !is_shell(&process.facts.name)))
        .or_else(|| largest(&|_| true))
}

/// Whether a process of this name only starts others.
pub fn is_shell(name: &str) -> bool {
    SHELLS.contains(&name)
}

/// Whether a process is a JVM, or about to be one.
pub fn is_jvm(pid: u32) -> bool {
    JvmFacts::of(pid).is_some()
}

/// Whether a process has the pipe open.
pub fn talks(pid: u32, control: &Path) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.into_iter().any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|target| target == control))
}
