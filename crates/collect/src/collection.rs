//! Full garbage collections that are asked of a JVM, and waited for until what they found has been released.
//!
//! `GC.run` returns when the heap has been collected. Native memory of objects that were found unreachable is released
//! after that, by threads of the JVM: the reference handler puts references into their queues, cleaners and the
//! finalizer take them out. So those threads are looked at until all of them wait; then a second collection finds what
//! finalizers have let go.

use crate::attach::{AttachError, Attachment};
use crate::liveness::stat_field;
use leakscope_session::jvm_threads::handles_references;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks at these threads.
const LOOK: Duration = Duration::from_millis(5);
/// Looks in a row at which all of them must wait: one hands over to the next.
const QUIET_LOOKS: u32 = 3;
/// Finalizers and cleaners are the program's own code, and may take any time.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);
/// Collections: the second finds what only finalizers held.
const COLLECTIONS: usize = 2;

/// A JVM that is asked to collect again and again.
#[derive(Debug)]
pub struct Collections {
    pid: u32,
    jvm: Attachment,
}

impl Collections {
    /// Looks whether the JVM of a process can be asked; touches nothing yet.
    ///
    /// # Errors
    /// [`AttachError`] says why it cannot.
    pub fn of(pid: u32) -> Result<Self, AttachError> {
        Ok(Self { pid, jvm: Attachment::to(pid)? })
    }

    /// Collects all that is unreachable, and waits until its native memory has been released; no longer than
    /// `patience` for each collection.
    ///
    /// # Errors
    /// The JVM does not answer in time, or refuses.
    pub fn run(&self, patience: Duration) -> Result<(), AttachError> {
        for _ in 0..COLLECTIONS {
            self.jvm.command("GC.run", patience)?;
            self.wait_for_handlers();
        }
        Ok(())
    }

    /// Returns once the threads that release what was found have nothing to do, or take too long.
    fn wait_for_handlers(&self) {
        let end = Instant::now() + RELEASE_PATIENCE;
        let mut quiet = 0;
        while quiet < QUIET_LOOKS && Instant::now() < end {
            sleep(LOOK);
            quiet = if handlers(self.pid).all(waits) { quiet + 1 } else { 0 };
        }
    }
}

/// The threads of a process that release what a collection found.
fn handlers(pid: u32) -> impl Iterator<Item = u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        handles_references(name.trim_end().as_bytes()).then(|| task.file_name().to_str()?.parse().ok())?
    })
}

/// Whether a thread waits for something to do; one that has ended does. A thread has the files of a process, under its
/// own number.
fn waits(thread: u32) -> bool {
    stat_field(thread, 3).is_none_or(|state| state == "S")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn a_handler_with_work_is_told_from_one_that_waits() {
        let (here, is_over) = (std::process::id(), AtomicBool::new(false));
        let (send, receive) = channel::<()>();
        thread::scope(|scope| {
            let named = |name: &str| thread::Builder::new().name(name.to_owned());
            let waiting = named("Common-Cleaner").spawn_scoped(scope, move || receive.recv()).unwrap();
            while handlers(here).count() < 1 || !handlers(here).all(waits) {
                thread::yield_now();
            }
            let spin = || {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            };
            let busy = named("Cleaner-7").spawn_scoped(scope, spin).unwrap();
            while handlers(here).count() < 2 {
                thread::yield_now();
            }
            assert!(!handlers(here).all(waits));
            is_over.store(true, Ordering::Relaxed);
            busy.join().unwrap();
            drop(send);
            assert!(waiting.join().unwrap().is_err());
        });
    }
}
