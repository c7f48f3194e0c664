//! Starting the target as if leakscope were not there: same process group, same descriptors, same signal mask and
//! dispositions as leakscope itself was started with.
#![allow(unsafe_code)] // signal masks, dispositions and waiting go through libc

use leakscope_profile::Exit;
use leakscope_session::handshake::ENVIRONMENT;
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether these signals were ignored when this program was started. Read before Rust's own start-up changes the
/// first; the second would keep us from learning how the target ended; the third would kill us where the size of
/// files is limited.
static PIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);
static CHILD_WAS_IGNORED: AtomicBool = AtomicBool::new(false);
static FILE_SIZE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn before_main() {
        PIPE_WAS_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
        CHILD_WAS_IGNORED.store(is_ignored(libc::SIGCHLD), Ordering::Relaxed);
        FILE_SIZE_WAS_IGNORED.store(is_ignored(libc::SIGXFSZ), Ordering::Relaxed);
        // SAFETY: ignoring is always valid: a write beyond the limit is then an error like a full disk.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    }
    before_main
};

fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only asks; the kernel fills the structure, for which all zeroes are valid.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Signals that are passed on to the target.
pub const FORWARDED: [i32; 6] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

/// A set of signals.
#[derive(Clone, Copy)]
pub struct SignalSet(libc::sigset_t);

impl SignalSet {
    /// These signals.
    pub fn of(signals: &[i32]) -> Self {
        let mut set = MaybeUninit::zeroed();
        // SAFETY: sigemptyset initialises the set, sigaddset adds valid numbers to it.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in signals {
                libc::sigaddset(set.as_mut_ptr(), *signal);
            }
            Self(set.assume_init())
        }
    }

    /// Blocks these signals in this thread, and in those that it starts from now on; the mask as it was.
    pub fn block(&self) -> Self {
        let mut old = MaybeUninit::zeroed();
        // SAFETY: both sets are valid.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const self.0, old.as_mut_ptr());
            Self(old.assume_init())
        }
    }

    /// For sigwaitinfo.
    pub fn as_ptr(&self) -> *const libc::sigset_t {
        &raw const self.0
    }
}

/// How the target finds its collector.
pub struct Preload<'a> {
    /// Path of the shim.
    pub shim: &'a Path,
    /// Name of the socket.
    pub socket: &'a str,
    /// Whether all processes are followed.
    pub follow: bool,
}

/// Where the target's stdout goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// Where ours goes.
    #[default]
    Inherited,
    /// Where our stderr goes: stdout is for our own answer.
    ToStderr,
}

/// What is started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Launch<'a> {
    /// The command and its arguments.
    pub command: &'a [OsString],
    /// Added to our environment.
    pub environment: &'a [(&'a str, OsString)],
    /// Where its stdout goes.
    pub output: Output,
}

/// Starts the target. `mask` is the signal mask that it gets.
///
/// # Errors
/// The command cannot be executed.
pub fn start(launch: &Launch<'_>, preload: Option<&Preload<'_>>, mask: SignalSet) -> io::Result<Child> {
    let (program, arguments) = launch.command.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut target = Command::new(program);
    target.args(arguments);
    // Ours, if leakscope runs under leakscope: its collector is not this one.
    target.env_remove(ENVIRONMENT);
    target.envs(launch.environment.iter().map(|(name, value)| (name, value)));
    if launch.output == Output::ToStderr {
        target.stdout(io::stderr().as_fd().try_clone_to_owned()?);
    }
    if let Some(preload) = preload {
        target.env("LD_PRELOAD", prepended(preload.shim.as_os_str(), std::env::var_os("LD_PRELOAD")));
        let follow = u8::from(preload.follow);
        target.env(ENVIRONMENT, format!("1:{}:{}:{follow}", preload.socket, std::process::id()));
    }
    let pipe_was_ignored = PIPE_WAS_IGNORED.load(Ordering::Relaxed);
    let child_was_ignored = CHILD_WAS_IGNORED.load(Ordering::Relaxed);
    if child_was_ignored {
        // SAFETY: the default disposition is always valid.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    }
    let file_size_was_ignored = FILE_SIZE_WAS_IGNORED.load(Ordering::Relaxed);
    let open_files = *OPEN_FILES.get_or_init(raise_open_files);
    let restore = move || {
        // SAFETY: between fork and exec only async-signal-safe functions may be called; these are.
        unsafe {
            let disposition = |ignored| if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
            libc::signal(libc::SIGPIPE, disposition(pipe_was_ignored));
            libc::signal(libc::SIGCHLD, disposition(child_was_ignored));
            libc::signal(libc::SIGXFSZ, disposition(file_size_was_ignored));
            libc::pthread_sigmask(libc::SIG_SETMASK, mask.as_ptr(), std::ptr::null_mut());
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const open_files);
        }
        Ok(())
    };
    // SAFETY: see `restore`; it allocates nothing.
    unsafe { target.pre_exec(restore) };
    target.spawn()
}

/// The limit on open files that leakscope was started with, once it has been raised.
static OPEN_FILES: OnceLock<libc::rlimit> = OnceLock::new();

/// Raises our limit on open files as far as it goes, for we hold those of every recorded process (its session, its root
/// directory, its libraries); the limit as it was.
fn raise_open_files() -> libc::rlimit {
    let mut was = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the kernel writes one rlimit, then reads another. Where it refuses we go on with what there is.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut was);
        let raised = libc::rlimit { rlim_cur: was.rlim_max, ..was };
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised);
    }
    was
}

/// Our library first, then what was there: a preloaded jemalloc keeps working.
fn prepended(shim: &OsStr, existing: Option<OsString>) -> OsString {
    let mut value = shim.to_owned();
    if let Some(existing) = existing.filter(|existing| !existing.is_empty()) {
        value.push(":");
        value.push(existing);
    }
    value
}

/// Waits until a child has ended, and leaves it to be reaped: until then its number is not given away, so that a
/// signal can still be sent to it. As the first process of a container, leakscope reaps orphans meanwhile.
pub fn wait_for_end(pid: u32) {
    let is_init = std::process::id() == 1;
    let whom = if is_init { libc::P_ALL } else { libc::P_PID };
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the structure is writable; WNOWAIT leaves the child as it is.
        let waited = unsafe { libc::waitid(whom, pid, info.as_mut_ptr(), libc::WEXITED | libc::WNOWAIT) };
        if waited != 0 {
            if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return;
        }
        // SAFETY: waitid has filled it, and a child has a process id.
        let ended = unsafe { info.assume_init().si_pid() };
        if !is_init || u32::try_from(ended) == Ok(pid) {
            return;
        }
        // SAFETY: an orphan that has ended; nobody else waits for it.
        unsafe { libc::waitpid(ended, std::ptr::null_mut(), libc::WNOHANG) };
    }
}

/// As the profile holds it.
pub fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_preloaded_stays() {
        let value = |old: Option<&str>| prepended(OsStr::new("/s.so"), old.map(OsString::from));
        assert_eq!(value(None), "/s.so");
        assert_eq!(value(Some("")), "/s.so");
        assert_eq!(value(Some("/usr/lib/libjemalloc.so.2")), "/s.so:/usr/lib/libjemalloc.so.2");
    }

    #[test]
    fn the_target_has_the_limit_on_open_files_that_we_were_started_with() {
        let mut ours = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the kernel writes one rlimit.
        unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut ours) };
        let was = OPEN_FILES.get_or_init(raise_open_files).rlim_cur;
        let line = format!("test \"$(ulimit -Sn)\" = {was}");
        let command = ["sh", "-c", &line].map(OsString::from);
        let mut child = start(&Launch { command: &command, ..Launch::default() }, None, SignalSet::of(&[])).unwrap();
        assert_eq!(exit_of(child.wait().unwrap()), Exit::Code(0));
        // SAFETY: as above.
        unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut ours) };
        assert_eq!(ours.rlim_cur, ours.rlim_max);
    }

    #[test]
    fn ends_are_told() {
        let run = |line: &str| {
            let command = ["sh", "-c", line].map(OsString::from);
            let mut child =
                start(&Launch { command: &command, ..Launch::default() }, None, SignalSet::of(&[])).unwrap();
            wait_for_end(child.id());
            exit_of(child.wait().unwrap())
        };
        assert_eq!(run("exit 7"), Exit::Code(7));
        assert_eq!(run("kill -9 $$"), Exit::Signal(9));
    }
}
