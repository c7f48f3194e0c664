//! How far we have come with the JVM, for people who wonder why Java frames are missing.

use core::sync::atomic::{AtomicU32, Ordering};

/// How far we have come with the JVM of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No libjvm.so is loaded.
    Absent,
    /// There is one; it is starting, or we are.
    Waiting,
    /// Java frames are captured.
    Ready,
    /// The JVM has ended, or is about to.
    Dead,
    /// There will be native frames only.
    Unsupported(Reason),
}

/// Why there are no Java frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Reason {
    /// libc has no `dlopen`, `dlsym` or `dl_iterate_phdr`, so libjvm cannot be asked for its functions.
    NoDynamicLinker = 1,
    /// libjvm has no `AsyncGetCallTrace`: not a HotSpot.
    NoAsyncGetCallTrace = 2,
    /// No threads named `VM Thread` and `VM Periodic Task Thread` within a minute: not a HotSpot, or no `/proc`.
    NoVmThreads = 3,
    /// The JVM could not be entered in 30 seconds of trying.
    NotAttached = 4,
    /// The JVM refused a JVMTI call without which there are no stacks.
    JvmtiRefused = 5,
}

const ABSENT: u32 = 100;
const WAITING: u32 = 101;
const READY: u32 = 102;
const DEAD: u32 = 103;

/// A [`State`] in one word, written by the helper thread and read by anyone.
pub(crate) struct StateCell(AtomicU32);

impl StateCell {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(ABSENT))
    }

    pub(crate) fn set(&self, state: State) {
        let word = match state {
            State::Absent => ABSENT,
            State::Waiting => WAITING,
            State::Ready => READY,
            State::Dead => DEAD,
            State::Unsupported(reason) => reason as u32,
        };
        self.0.store(word, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> State {
        match self.0.load(Ordering::Relaxed) {
            WAITING => State::Waiting,
            READY => State::Ready,
            DEAD => State::Dead,
            1 => State::Unsupported(Reason::NoDynamicLinker),
            2 => State::Unsupported(Reason::NoAsyncGetCallTrace),
            3 => State::Unsupported(Reason::NoVmThreads),
            4 => State::Unsupported(Reason::NotAttached),
            5 => State::Unsupported(Reason::JvmtiRefused),
            _ => State::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_survives_its_word() {
        let cell = StateCell::new();
        assert_eq!(cell.get(), State::Absent);
        let reasons = [
            Reason::NoDynamicLinker,
            Reason::NoAsyncGetCallTrace,
            Reason::NoVmThreads,
            Reason::NotAttached,
            Reason::JvmtiRefused,
        ];
        let states = [State::Absent, State::Waiting, State::Ready, State::Dead];
        for state in states.into_iter().chain(reasons.map(State::Unsupported)) {
            cell.set(state);
            assert_eq!(cell.get(), state);
        }
    }
}
