//! Signals are passed on to the target, by a thread of their own: a snapshot that takes long does not delay them.
//!
//! Nothing is caught: the signals are blocked and waited for, so the target inherits no handlers. What the terminal
//! sent to the whole foreground process group has reached the target already.
#![allow(unsafe_code)] // sigwaitinfo and kill

use crate::exit;
use crate::run::launch::{FORWARDED, SignalSet};
use parking_lot::Mutex;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

/// The target as far as signals go.
#[derive(Clone, Default)]
pub struct Recipient(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    /// There is none, or it is about to be reaped, when its number may be given away: signals are dropped.
    #[default]
    Nobody,
    /// This process.
    Target(u32),
    /// leakscope itself, which removes this directory before.
    Us(Option<PathBuf>),
}

impl Recipient {
    /// From now on signals go to this process, or to nobody.
    pub fn set(&self, pid: Option<u32>) {
        *self.0.lock() = pid.map_or(State::Nobody, State::Target);
    }

    /// From now on they end leakscope, as if they had never been blocked; before, this directory is removed.
    pub fn end_us(&self, temporary: Option<&Path>) {
        *self.0.lock() = State::Us(temporary.map(Path::to_owned));
    }

    /// Waits until the signal that is being dealt with has been: for ever, if it ends leakscope.
    pub fn wait(&self) {
        drop(self.0.lock());
    }

    /// Passes a signal on, unless the process got it already.
    fn send(&self, signal: i32, from_terminal: bool) {
        // Held while sending: the process cannot be reaped meanwhile.
        let state = self.0.lock();
        let pid = match &*state {
            State::Nobody => return,
            State::Target(pid) => *pid,
            State::Us(temporary) => {
                // Where it cannot be removed there is nobody left to tell.
                let _ = temporary.as_ref().map(std::fs::remove_dir_all);
                std::process::exit(i32::from(exit::SIGNAL) + signal)
            }
        };
        let Ok(pid) = libc::pid_t::try_from(pid) else { return };
        // SAFETY: these take integers.
        unsafe {
            let has_it = from_terminal && libc::getpgid(pid) == libc::getpgrp();
            if !has_it {
                libc::kill(pid, signal);
            }
        }
    }
}

/// Passes signals on for ever. They must be blocked in every thread.
///
/// # Errors
/// No thread can be made.
pub fn forward(recipient: Recipient) -> std::io::Result<()> {
    let wait = move || {
        let set = SignalSet::of(&FORWARDED);
        loop {
            let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
            // SAFETY: a valid set and a writable structure.
            let signal = unsafe { libc::sigwaitinfo(set.as_ptr(), info.as_mut_ptr()) };
            if signal > 0 {
                // SAFETY: sigwaitinfo has filled it.
                let code = unsafe { info.assume_init() }.si_code;
                recipient.send(signal, code == libc::SI_KERNEL);
            }
        }
    };
    thread::Builder::new().name("signals".into()).stack_size(128 << 10).spawn(wait).map(drop)
}
