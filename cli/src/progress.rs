//! How far something has come, on a terminal, once it has taken a second.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Before this nothing is shown.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two changes of the line.
const PACE: Duration = Duration::from_millis(100);

/// A line that is written again and again, and taken away at the end.
pub struct Progress {
    what: &'static str,
    total: usize,
    is_terminal: bool,
    next: Instant,
    is_shown: bool,
}

impl Progress {
    /// Of `total` steps.
    pub fn new(what: &'static str, total: usize) -> Self {
        Self { what, total, is_terminal: stderr().is_terminal(), next: Instant::now() + PATIENCE, is_shown: false }
    }

    /// So many steps are done.
    pub fn done(&mut self, steps: usize) {
        if self.is_terminal && Instant::now() >= self.next {
            self.next = Instant::now() + PACE;
            self.is_shown = true;
            let _ = write!(stderr(), "\rleakscope: {} {steps} of {}", self.what, self.total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(stderr(), "\r\u{1b}[K");
        }
    }
}
