//! The JVM's native memory tracking while it is recorded: asked now and then through its attach socket, where it is on.
//!
//! Asking starts a thread in the target (`Attach Listener`), so nobody is asked who does not track: the JVM's own flags,
//! read from its memory, say so first. It takes as long as the JVM likes, so a thread of ours waits for it.

use leakscope_collect::{AttachError, Attachment, JvmFacts, native_memory};
use leakscope_profile::timeline::NmtCategory;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// After the JVM was first seen.
const FIRST: Duration = Duration::from_secs(2);
/// Between an answer and the next question: the tracking is a matter of megabytes and minutes.
const BETWEEN: Duration = Duration::from_secs(60);
/// Failures in a row after which the JVM is left alone.
const MOST_FAILURES: u32 = 3;

/// An answer: `None` where tracking is off.
type Answer = Result<Option<Vec<NmtCategory>>, AttachError>;

/// Asks one JVM.
#[derive(Default)]
pub struct NativeMemory {
    next: Option<Instant>,
    waiting: Option<Receiver<Answer>>,
    failures: u32,
    is_off: bool,
}

impl NativeMemory {
    /// To be called now and then once there is a JVM: the answer that has come since, if one has.
    pub fn poll(&mut self, pid: u32, now: Instant) -> Option<Vec<NmtCategory>> {
        let Some(answer) = self.answer() else {
            if self.waiting.is_none() && !self.is_off && now >= *self.next.get_or_insert(now + FIRST) {
                self.waiting = ask(pid);
            }
            return None;
        };
        self.waiting = None;
        self.next = Some(now + BETWEEN);
        match answer {
            Ok(Some(categories)) => {
                self.failures = 0;
                Some(categories)
            }
            Ok(None) => {
                self.is_off = true;
                None
            }
            Err(_) => {
                self.failures += 1;
                self.is_off = self.failures >= MOST_FAILURES;
                None
            }
        }
    }

    fn answer(&self) -> Option<Answer> {
        match self.waiting.as_ref()?.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Ok(None)),
        }
    }
}

/// Asks on a thread of its own; `None` where none can be made.
fn ask(pid: u32) -> Option<Receiver<Answer>> {
    let (tell, heard) = channel();
    let question = move || {
        let tracks = JvmFacts::of(pid).is_some_and(|jvm| jvm.tracks_native_memory());
        let answer = if tracks { Attachment::to(pid).and_then(|jvm| native_memory(&jvm)) } else { Ok(None) };
        // Nobody waits for it any more: the recording has ended.
        let _ = tell.send(answer);
    };
    thread::Builder::new().name("native-memory".to_owned()).stack_size(256 << 10).spawn(question).ok()?;
    Some(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_track_is_asked_once() {
        let mut tracking = NativeMemory::default();
        let own = std::process::id();
        let start = Instant::now();
        assert_eq!(tracking.poll(own, start), None);
        assert!(tracking.waiting.is_none(), "not at once");
        assert_eq!(tracking.poll(own, start + FIRST), None);
        let waiting = tracking.waiting.as_ref().expect("asked");
        assert!(matches!(waiting.recv(), Ok(Ok(None))), "no JVM, no question");
        assert!(waiting.recv().is_err(), "the thread has ended");
        assert_eq!(tracking.poll(own, start + FIRST), None);
        assert!(tracking.is_off);
        assert_eq!(tracking.poll(own, start + 2 * BETWEEN), None);
        assert!(tracking.waiting.is_none());
    }
}
