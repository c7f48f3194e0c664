//! HotSpot's attach protocol: a command for a JVM through its own socket, as jcmd does it, without a JDK.
//!
//! ```text
//!   no socket yet:  create /tmp/.attach_pidN (N as the JVM knows itself) ── SIGQUIT ──> it makes /tmp/.java_pidN
//!   each command:   connect ── "1\0jcmd\0GC.heap_info\0\0\0" ──> "0\n" text, to the end of the connection
//! ```
//! SIGQUIT ends an ordinary process, and makes a JVM that refuses to be attached to dump its threads on its stdout. So
//! it is sent only to a process that has loaded libjvm, that handles the signal, and whose flags do not refuse. The
//! first command starts a thread in the JVM (`Attach Listener`), which stays.
//!
//! Files are opened below the target's root directory and never through links out of it; the socket must belong to the
//! target's user, and whoever answers must be the target itself. A root that attaches to another user's JVM does so on a
//! thread with that user's identity, since the JVM asks the kernel who is there.
#![allow(unsafe_code)] // identities, directories and credentials are reached through libc

use crate::jvm::JvmFacts;
use crate::liveness::Liveness;
use crate::peer::credentials;
use crate::root::ProcessRoot;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a JVM may take to make its socket: it does so at its next safepoint.
const SOCKET_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for the socket.
const LOOK: Duration = Duration::from_millis(20);
/// A longer answer is cut: NMT's has some 10 KiB.
const MOST_ANSWER: u64 = 4 << 20;

/// Why a JVM could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// There is no such process, or no more.
    #[error("there is no process {0}")]
    NoProcess(u32),
    /// It is no JVM.
    #[error("process {0} is no HotSpot JVM: it has not loaded libjvm.so")]
    NoJvm(u32),
    /// It belongs to somebody else.
    #[error("process {pid} belongs to user {uid}: run this as that user, or as root")]
    OtherUser {
        /// The process.
        pid: u32,
        /// Its user.
        uid: u32,
    },
    /// Its flags refuse.
    #[error("the JVM of process {0} refuses to be attached to (-XX:+DisableAttachMechanism)")]
    Disabled(u32),
    /// A signal would end it.
    #[error("the JVM of process {0} does not handle SIGQUIT (-Xrs, or it is still starting), which would end it")]
    LeavesSignals(u32),
    /// It made no socket, or said nothing.
    #[error("the JVM of process {0} does not answer")]
    NoAnswer(u32),
    /// Somebody else answers in its place.
    #[error("the attach socket of process {0} is not its own")]
    Stranger(u32),
    /// It does not know the command, or could not carry it out.
    #[error("the JVM answered: {0}")]
    Refused(String),
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// A JVM that can be asked.
#[derive(Debug)]
pub struct Attachment {
    pid: u32,
    status: Status,
    root: ProcessRoot,
    liveness: Liveness,
}

impl Attachment {
    /// Looks whether a process can be attached to; touches nothing yet.
    ///
    /// # Errors
    /// [`AttachError`] says why it cannot.
    pub fn to(pid: u32) -> Result<Self, AttachError> {
        let liveness = Liveness::of(pid);
        let text = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|_| AttachError::NoProcess(pid))?;
        let status = Status::parse(&text).ok_or(AttachError::NoProcess(pid))?;
        // SAFETY: cannot fail.
        let ours = unsafe { libc::geteuid() };
        if ours != 0 && ours != status.uid {
            return Err(AttachError::OtherUser { pid, uid: status.uid });
        }
        let facts = JvmFacts::of(pid).ok_or(AttachError::NoJvm(pid))?;
        if facts.refuses_attach.unwrap_or_else(|| seems_to_refuse(pid)) {
            return Err(AttachError::Disabled(pid));
        }
        Ok(Self { pid, status, root: ProcessRoot::of(pid), liveness })
    }

    /// Gives the JVM a command of jcmd (`GC.heap_info`, `VM.native_memory summary`, ...); what it answers.
    ///
    /// # Errors
    /// [`AttachError::NoAnswer`] after `patience`; the others as they come.
    pub fn command(&self, command: &str, patience: Duration) -> Result<String, AttachError> {
        let ask = || {
            let stream = self.connect()?;
            self.exchange(stream, command, patience)
        };
        // SAFETY: cannot fail.
        if unsafe { libc::geteuid() } == self.status.uid {
            return ask();
        }
        let as_their_user = || {
            become_user(self.status.uid, self.status.gid)
                .map_err(|source| AttachError::Io { what: "cannot take on the identity of its user", source })?;
            ask()
        };
        let panicked = || AttachError::Io { what: "the asking thread failed", source: io::ErrorKind::Other.into() };
        std::thread::scope(|scope| scope.spawn(as_their_user).join()).unwrap_or_else(|_| Err(panicked()))
    }

    /// A connection to the socket that is there, or that the JVM makes now.
    fn connect(&self) -> Result<UnixStream, AttachError> {
        let io = |what| move |source| AttachError::Io { what, source };
        let directory = self.root.directory(Path::new("/tmp")).map_err(io("cannot open its /tmp"))?;
        // A socket may be left of an earlier process of that number.
        if let Some(stream) = self.socket(&directory)? {
            return Ok(stream);
        }
        if !self.status.handles_sigquit {
            return Err(AttachError::LeavesSignals(self.pid));
        }
        let trigger =
            Trigger::create(&directory, self.status.own_pid).map_err(io("cannot create a file in its /tmp"))?;
        self.liveness.signal(libc::SIGQUIT).map_err(io("cannot signal it"))?;
        let end = Instant::now() + SOCKET_PATIENCE;
        let stream = loop {
            if let Some(stream) = self.socket(&directory)? {
                break Ok(stream);
            }
            if !self.liveness.is_alive() {
                break Err(AttachError::NoProcess(self.pid));
            }
            if Instant::now() >= end {
                break Err(AttachError::NoAnswer(self.pid));
            }
            std::thread::sleep(LOOK);
        };
        drop(trigger);
        stream
    }

    /// A connection to its socket; `None` where there is none that answers.
    fn socket(&self, directory: &File) -> Result<Option<UnixStream>, AttachError> {
        let name = format!(".java_pid{}", self.status.own_pid);
        let Ok(socket) = open_at(directory, &name, libc::O_PATH | libc::O_NOFOLLOW, 0) else { return Ok(None) };
        let metadata =
            socket.metadata().map_err(|source| AttachError::Io { what: "cannot examine its socket", source })?;
        if !metadata.file_type().is_socket() || metadata.uid() != self.status.uid {
            return Err(AttachError::Stranger(self.pid));
        }
        // By its descriptor: the path may be longer than an address, and may be another file by now.
        let Ok(stream) = UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())) else { return Ok(None) };
        let peer =
            credentials(&stream).map_err(|source| AttachError::Io { what: "cannot tell who answers", source })?;
        if peer.pid == self.pid { Ok(Some(stream)) } else { Err(AttachError::Stranger(self.pid)) }
    }

    fn exchange(&self, mut stream: UnixStream, command: &str, patience: Duration) -> Result<String, AttachError> {
        let end = Instant::now() + patience;
        let broken = |source: io::Error| match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => AttachError::NoAnswer(self.pid),
            _ => AttachError::Io { what: "the connection to the JVM broke", source },
        };
        stream.set_write_timeout(Some(patience)).map_err(broken)?;
        // Version, name, and always three arguments.
        stream.write_all(format!("1\0jcmd\0{command}\0\0\0").as_bytes()).map_err(broken)?;
        let mut answer = Vec::new();
        let mut part = vec![0; 16 << 10];
        while (answer.len() as u64) < MOST_ANSWER {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(AttachError::NoAnswer(self.pid));
            }
            stream.set_read_timeout(Some(left)).map_err(broken)?;
            match stream.read(&mut part) {
                Ok(0) => break,
                Ok(read) => answer.extend(part.iter().take(read)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        }
        result(&answer).unwrap_or(Err(AttachError::NoAnswer(self.pid)))
    }
}

/// The answer's first line is a code, 0 for success; `None` where there is none.
fn result(answer: &[u8]) -> Option<Result<String, AttachError>> {
    let text = String::from_utf8_lossy(answer);
    let (code, rest) = text.split_once('\n')?;
    let code: i32 = code.trim().parse().ok()?;
    Some(if code == 0 {
        Ok(rest.to_owned())
    } else {
        Err(AttachError::Refused(rest.trim().chars().take(500).collect()))
    })
}

/// What of /proc/PID/status matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Status {
    /// Its number, as it knows itself.
    own_pid: u32,
    /// Its effective user and group.
    uid: u32,
    gid: u32,
    handles_sigquit: bool,
}

impl Status {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = |name: &str, at: usize| field(name)?.split_whitespace().nth(at)?.parse::<u32>().ok();
        let own_pid = field("NSpid").and_then(|ids| ids.split_whitespace().next_back()?.parse().ok());
        let caught = u64::from_str_radix(field("SigCgt")?.trim(), 16).ok()?;
        Some(Self {
            own_pid: own_pid.or_else(|| number("Pid", 0))?,
            uid: number("Uid", 1)?,
            gid: number("Gid", 1)?,
            handles_sigquit: caught & (1 << (libc::SIGQUIT - 1)) != 0,
        })
    }
}

/// Whether a JVM whose memory we may not read was told to refuse, as far as can be seen.
fn seems_to_refuse(pid: u32) -> bool {
    let contains = |file: &str| {
        let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&text).contains("+DisableAttachMechanism")
    };
    contains("cmdline") || contains("environ")
}

/// The file that tells a JVM that SIGQUIT means an attachment. Goes with this.
struct Trigger<'a> {
    directory: &'a File,
    name: CString,
    is_ours: bool,
}

impl<'a> Trigger<'a> {
    fn create(directory: &'a File, own_pid: u32) -> io::Result<Self> {
        let name = format!(".attach_pid{own_pid}");
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOFOLLOW;
        let is_ours = match open_at(directory, &name, flags, 0o600) {
            Ok(_) => true,
            // Left behind, or another's who attaches just now. A JVM accepts its own user's and root's only.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        Ok(Self { directory, name: CString::new(name)?, is_ours })
    }
}

impl Drop for Trigger<'_> {
    fn drop(&mut self) {
        if self.is_ours {
            // SAFETY: a descriptor that is open and a C string.
            unsafe { libc::unlinkat(self.directory.as_raw_fd(), self.name.as_ptr(), 0) };
        }
    }
}

fn open_at(directory: &File, name: &str, flags: i32, mode: libc::mode_t) -> io::Result<File> {
    let name = CString::new(name)?;
    // SAFETY: a descriptor that is open and a C string.
    let raw = unsafe { libc::openat(directory.as_raw_fd(), name.as_ptr(), flags | libc::O_CLOEXEC, mode) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { File::from_raw_fd(raw) })
}

/// Gives this thread alone the identity of a user: the system calls themselves, not libc's functions, which change that
/// of all threads.
fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    let check = |result: libc::c_long| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: no groups, so no pointer is read.
    check(unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) })?;
    // SAFETY: three integers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // SAFETY: three integers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read() {
        let text = "Name:\tjava\nPid:\t4711\nUid:\t0\t1000\t0\t0\nGid:\t0\t100\t0\t0\nNSpid:\t4711\t7\nSigCgt:\t0000000181005ccf\n";
        let expected = Status { own_pid: 7, uid: 1000, gid: 100, handles_sigquit: true };
        assert_eq!(Status::parse(text), Some(expected));
        let without = text.replace("ccf", "ccb").replace("NSpid:\t4711\t7\n", "");
        assert_eq!(Status::parse(&without), Some(Status { own_pid: 4711, handles_sigquit: false, ..expected }));
        for bad in ["", "Pid:\tx\n", "Pid:\t1\nUid:\t0\nGid:\t0\nSigCgt:\t0\n"] {
            assert_eq!(Status::parse(bad), None);
        }
    }

    #[test]
    fn answers_begin_with_a_code() {
        assert_eq!(result(b"0\nheap\n \xff").unwrap().unwrap(), "heap\n \u{fffd}");
        assert!(matches!(result(b"1\nUnknown diagnostic command\n").unwrap(), Err(AttachError::Refused(text))
            if text == "Unknown diagnostic command"));
        assert!(result(b"").is_none() && result(b"no code\n").is_none() && result(b"0").is_none());
    }

    #[test]
    fn who_is_no_jvm_is_not_signalled() {
        let own = std::process::id();
        assert!(matches!(Attachment::to(own), Err(AttachError::NoJvm(pid)) if pid == own));
        assert!(matches!(Attachment::to(u32::MAX), Err(AttachError::NoProcess(_))));
    }
}
