//! The live threads: the session's thread table, less those that the kernel no longer knows.
//!
//! The target itself notices the end of a thread late (at the next pthread_create, at exit), so the collector looks at
//! /proc/PID/task. What it has seen end stays ended, also after the death of the process, whose last threads are the
//! ones that it died with.

use crate::facts::ProcessFacts;
use crate::shared::SharedSession;
use leakscope_session::header::Word;
use leakscope_session::threads::{Thread, ThreadKey};
use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

/// Reading a directory of a thousand threads takes a millisecond.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Which recorded threads have ended.
#[derive(Default)]
pub(crate) struct Threads {
    ended: HashSet<ThreadKey>,
    looked: Option<Instant>,
}

impl Threads {
    /// As [`Threads::update`], unless that was done a moment ago.
    pub(crate) fn update_now_and_then(&mut self, shared: &SharedSession, facts: &ProcessFacts) {
        if self.looked.is_none_or(|looked| looked.elapsed() >= BETWEEN_LOOKS) {
            self.update(shared, facts);
        }
    }

    /// Looks which threads there are. Does nothing where the process is gone, or going.
    pub(crate) fn update(&mut self, shared: &SharedSession, facts: &ProcessFacts) {
        self.looked = Some(Instant::now());
        let session = shared.session();
        let mut recorded = Vec::new();
        session.threads.scan(|key, thread| recorded.push((key, thread.tid)));
        let known: HashSet<ThreadKey> = recorded.iter().map(|(key, _)| *key).collect();
        self.ended.retain(|key| known.contains(key));
        if recorded.is_empty() {
            return;
        }
        // After the scan: whoever is in it has run before.
        let Some(tasks) = tasks(facts.pid, session.header.get(Word::Pid)) else {
            return;
        };
        let ended = recorded.iter().filter(|(_, tid)| *tid != 0 && !tasks.contains(tid));
        self.ended.extend(ended.map(|(key, _)| *key));
    }

    /// Calls `visit` for each thread that has not ended.
    pub(crate) fn scan(&self, shared: &SharedSession, mut visit: impl FnMut(Thread)) {
        shared.session().threads.scan(|key, thread| {
            if !self.ended.contains(&key) {
                visit(thread);
            }
        });
    }
}

/// The threads of a process, by the ids that it knows itself by (`own_pid` is its own id there); `None` where they
/// cannot be known, and while it ends: then its threads vanish one after the other, and none of that is news.
fn tasks(pid: u32, own_pid: u64) -> Option<HashSet<u32>> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let tasks = if u64::from(pid) == own_pid {
        ids.collect()
    } else {
        // In a namespace of its own.
        ids.filter_map(|id| id_inside(&fs::read_to_string(format!("/proc/{pid}/task/{id}/status")).ok()?)).collect()
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/task/{pid}/status")).ok()?;
    (!is_ending(&stat, &status)).then_some(tasks)
}

/// The innermost of the ids in a line such as `NSpid: 4711 17 1`.
fn id_inside(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().next_back()?.parse().ok()
}

/// Whether the first thread is ending, or about to: exit kills all others by SIGKILL.
fn is_ending(stat: &str, status: &str) -> bool {
    const PF_EXITING: u64 = 4;
    const SIGKILL_BIT: u64 = 1 << 8;
    let Some((_, fields)) = stat.rsplit_once(')') else { return true };
    let mut fields = fields.split_whitespace();
    let (state, flags) = (fields.next(), fields.nth(5).and_then(|flags| flags.parse::<u64>().ok()));
    let pending = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    };
    matches!(state, None | Some("Z" | "X"))
        || flags.is_none_or(|flags| flags & PF_EXITING != 0)
        || (pending("SigPnd:") | pending("ShdPnd:")) & SIGKILL_BIT != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_threads_are_found() {
        let pid = std::process::id();
        let tasks = tasks(pid, u64::from(pid)).unwrap();
        assert!(tasks.contains(&pid) && tasks.len() >= 2, "the test runs in a thread of its own: {tasks:?}");
        let inside = super::tasks(pid, 1).unwrap();
        assert_eq!(inside.len(), tasks.len(), "through the name space");
        assert_eq!(super::tasks(u32::MAX, 1), None);
    }

    #[test]
    fn a_process_that_ends_is_told() {
        let stat = |state: &str, flags: u32| format!("41 (a ) b) {state} 1 41 41 0 -1 {flags} 5 0");
        let quiet = "Name:\tx\nNSpid:\t41\t7\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000001\n";
        assert!(!is_ending(&stat("S", 4194304), quiet));
        assert!(is_ending(&stat("Z", 4194304), quiet));
        assert!(is_ending(&stat("R", 4194308), quiet));
        assert!(is_ending(&stat("S", 4194304), "SigPnd:\t0000000000000100\n"));
        assert!(is_ending("", quiet));
        assert_eq!(id_inside(quiet), Some(7));
        assert_eq!(id_inside(""), None);
    }
}
