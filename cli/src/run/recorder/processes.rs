//! What a [`Listener`](super::Listener) asks of the recorder: who is recorded, and snapshots at moments of its own.

use super::Recorder;
use crate::run::recorded::Recorded;
use std::path::PathBuf;

impl Recorder {
    /// The processes that are recorded now.
    pub fn processes(&self) -> &[Recorded] {
        &self.processes
    }

    /// Process id of the command that was started.
    pub fn root(&self) -> u32 {
        self.root
    }

    /// Takes a snapshot of a process and writes it; where it is. `None` if the process is not recorded any more, or the
    /// snapshot cannot be written, which has been said.
    pub fn record(&mut self, pid: u32, reason: &str) -> Option<PathBuf> {
        let process = self.processes.iter_mut().find(|process| process.facts.pid == pid && process.is_current())?;
        let name = process.record(reason, &mut self.symbols)?;
        Some(process.folder.path().join(name))
    }

    /// Puts a mark into the timeline of every process that is recorded.
    pub fn mark_all(&mut self, text: &str) {
        for process in &mut self.processes {
            // Counted, and said at the end.
            let _ = process.mark(text, std::time::Instant::now());
        }
    }

    /// Sends a signal to everybody who is recorded.
    pub fn signal_all(&self, signal: i32) {
        for process in &self.processes {
            // It may have ended meanwhile.
            let _ = process.liveness.signal(signal);
        }
    }
}
