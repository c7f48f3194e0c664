//! Signals are passed on to the target, by a thread of their own: a snapshot that takes long does not delay them.
//!
//! Nothing is caught: the signals are blocked and waited for, so the target inherits no handlers. What the terminal
//! sent to the whole foreground process group has reached the target already.
#![allow(unsafe_code)] // sigwaitinfo and kill

use crate::run::launch::{FORWARDED, SignalSet};
use parking_lot::Mutex;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::thread;

/// The target as far as signals go; `None` once it is about to be reaped, when its number may be given away.
#[derive(Clone, Default)]
pub struct Recipient(Arc<Mutex<Option<u32>>>);

impl Recipient {
    /// From now on signals go to this process.
    pub fn set(&self, pid: Option<u32>) {
        *self.0.lock() = pid;
    }

    /// Passes a signal on, unless the process got it already.
    fn send(&self, signal: i32, from_terminal: bool) {
        // Held while sending: the process cannot be reaped meanwhile.
        let pid = self.0.lock();
        let Some(pid) = pid.and_then(|pid| libc::pid_t::try_from(pid).ok()) else { return };
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
