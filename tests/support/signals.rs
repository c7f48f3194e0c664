//! Signals that tests send must be heeded. Also for the tests of crates/hotspot.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// A shell that starts the tests in the background makes them ignore SIGINT, `nohup` SIGHUP: what they start does not.
#[allow(unsafe_code)] // between fork and exec
pub fn heed_signals(command: &mut Command) {
    // SAFETY: signal() is one of the few functions that a forked child may call.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
}
