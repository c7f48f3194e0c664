//! Whether a process still lives: a pidfd, or a look at /proc where the kernel has none.
#![allow(unsafe_code)] // pidfd_open and poll are reached through libc

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A watch on one process. A pidfd names the process itself, not its number, which may be given away again.
#[derive(Debug)]
pub struct Liveness {
    pid: u32,
    pidfd: Option<OwnedFd>,
    started: Option<u64>,
}

impl Liveness {
    /// Watches the process that has this number now.
    pub fn of(pid: u32) -> Self {
        // SAFETY: pidfd_open takes two integers.
        let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
        let pidfd = RawFd::try_from(raw).ok().filter(|raw| *raw >= 0).map(|raw| {
            // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
            unsafe { OwnedFd::from_raw_fd(raw) }
        });
        Self { pid, pidfd, started: start_time(pid) }
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Becomes readable when the process ends; `None` on kernels without pidfds.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.pidfd.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// No such process any more, or no permission.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let result = match &self.pidfd {
            // SAFETY: a descriptor that is open, an integer, and no further information.
            Some(pidfd) => unsafe {
                let information = std::ptr::null::<libc::siginfo_t>();
                libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, information, 0)
            },
            // SAFETY: two integers.
            None if self.is_alive() => i64::from(unsafe { libc::kill(self.pid as libc::pid_t, signal) }),
            None => return Err(io::Error::from_raw_os_error(libc::ESRCH)),
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Whether the process has not ended. A zombie has ended.
    pub fn is_alive(&self) -> bool {
        match &self.pidfd {
            Some(pidfd) => {
                let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
                // SAFETY: one valid pollfd; no waiting.
                unsafe { libc::poll(&raw mut poll, 1, 0) == 0 }
            }
            None => self.started.is_some() && start_time(self.pid) == self.started,
        }
    }
}

/// Number of the parent of a process.
pub fn parent_of(pid: u32) -> Option<u32> {
    stat_field(pid, 4)?.parse().ok()
}

/// When a process started, in clock ticks since boot; `None` if there is none or it is a zombie.
fn start_time(pid: u32) -> Option<u64> {
    (stat_field(pid, 3)? != "Z").then(|| stat_field(pid, 22)?.parse().ok())?
}

/// Field `number` (from 1, as in proc(5)) of /proc/PID/stat; the name in field 2 may hold anything.
pub(crate) fn stat_field(pid: u32, number: usize) -> Option<String> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&stat).into_owned();
    let (_, after_name) = text.rsplit_once(')')?;
    after_name.split_whitespace().nth(number.checked_sub(3)?).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, id};

    #[test]
    fn tells_the_living_from_the_dead() {
        assert!(Liveness::of(id()).is_alive());
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let watch = Liveness::of(child.id());
        assert_eq!(parent_of(child.id()), Some(id()));
        assert!(watch.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!watch.is_alive());
        let by_proc = Liveness { pid: child.id(), pidfd: None, started: Some(1) };
        assert!(!by_proc.is_alive());
    }
}
