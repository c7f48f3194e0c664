//! Full collections before checkpoints.

use crate::say::warn;
use leakscope_collect::Collections;
use std::time::Duration;

/// A full collection of a large heap takes minutes where it is swapped out.
const PATIENCE: Duration = Duration::from_secs(120);

/// Asks the JVM that is judged, if it is one.
pub struct Collecting {
    is_wanted: bool,
    jvm: Option<Collections>,
}

impl Collecting {
    /// Nobody is judged yet.
    pub fn new(is_wanted: bool) -> Self {
        Self { is_wanted, jvm: None }
    }

    /// This process is judged. The first collection is for practice: the JVM loads what it needs to be asked.
    pub fn begin(&mut self, pid: u32, is_jvm: bool) {
        if !self.is_wanted || !is_jvm {
            return;
        }
        match Collections::of(pid) {
            Ok(jvm) => self.jvm = Some(jvm),
            Err(error) => give_up(&error.to_string()),
        }
        self.collect(|| true);
    }

    /// Collects. A JVM that does not answer, and `is_there`, is left alone from then on, which is said.
    pub fn collect(&mut self, is_there: impl Fn() -> bool) {
        if let Some(jvm) = &self.jvm
            && let Err(error) = jvm.run(PATIENCE)
            && is_there()
        {
            self.jvm = None;
            give_up(&error.to_string());
        }
    }

    /// Whether there was a collection before each checkpoint.
    pub fn always(&self) -> bool {
        self.jvm.is_some()
    }
}

fn give_up(error: &str) {
    warn(&format!("no garbage collection before checkpoints: {error}. What waits for one counts as live."));
}
