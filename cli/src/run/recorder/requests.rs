//! What other commands ask of the recorder: snapshots and marks.

use super::Recorder;
use crate::run::heap;
use crate::run::recorded::{REQUEST, Recorded};
use leakscope_collect::{Credentials, PeerId};
use std::time::Instant;

impl Recorder {
    /// Answers a request for a snapshot.
    pub(super) fn answer(&mut self, peer: PeerId, credentials: Credentials, pid: u64) {
        if !may_ask(credentials) {
            return self.front.reply(peer, Err("only the user that records, and root, may take a snapshot"));
        }
        let exact = self.processes.iter().position(|p| u64::from(p.facts.pid) == pid);
        let jvm = || self.processes.iter().position(Recorded::has_jvm);
        let root = || self.processes.iter().position(|p| p.is_root);
        let any = || (!self.processes.is_empty()).then_some(0);
        let chosen = if self.means_all(pid) { jvm().or_else(root).or_else(any) } else { exact };
        let Some(process) = chosen.and_then(|index| self.processes.get_mut(index)) else {
            return self.refuse(peer, pid);
        };
        let profile = process.snapshot(REQUEST, &mut self.symbols);
        let mut bytes = Vec::new();
        let written = leakscope_profile::write(&profile, &mut bytes);
        drop(profile);
        heap::give_back();
        match written {
            Ok(()) => self.front.reply(peer, Ok(&bytes)),
            Err(error) => self.front.reply(peer, Err(&error.to_string())),
        }
    }

    /// Puts a mark into the timeline of a process, or of all. `at` is when it was asked for.
    pub(super) fn mark(&mut self, peer: PeerId, credentials: Credentials, pid: u64, text: &str, at: Instant) {
        if !may_ask(credentials) {
            return self.front.reply(peer, Err("only the user that records, and root, may set a mark"));
        }
        if text.trim().is_empty() {
            return self.front.reply(peer, Err("a mark needs words"));
        }
        let all = self.means_all(pid);
        let (mut marked, mut failed) = (Vec::new(), None);
        for process in self.processes.iter_mut().filter(|process| all || u64::from(process.facts.pid) == pid) {
            match process.mark(text.trim(), at) {
                Ok(()) => marked.push(named(process)),
                Err(error) => failed = Some(format!("the mark could not be written: {error}")),
            }
        }
        match failed {
            Some(sentence) => self.front.reply(peer, Err(&sentence)),
            None if marked.is_empty() => self.refuse(peer, pid),
            None => self.front.reply(peer, Ok(format!("marked {}", marked.join(", ")).as_bytes())),
        }
    }

    /// Whether somebody means the whole recording: the command that was started, or leakscope itself.
    fn means_all(&self, pid: u64) -> bool {
        pid == u64::from(self.root) || pid == u64::from(std::process::id())
    }

    fn refuse(&self, peer: PeerId, pid: u64) {
        let all: Vec<String> = self.processes.iter().map(named).collect();
        let all = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
        self.front.reply(peer, Err(&format!("process {pid} is not recorded; what is recorded: {all}")));
    }
}

fn named(process: &Recorded) -> String {
    format!("{} (pid {})", process.facts.name, process.facts.pid)
}

/// Whether the peer is the user that records, or root.
#[allow(unsafe_code)] // geteuid
fn may_ask(peer: Credentials) -> bool {
    // SAFETY: cannot fail.
    let uid = unsafe { libc::geteuid() };
    peer.uid == uid || peer.uid == 0
}
