//! What the target says while it is checked: one line for each iteration, written to a pipe of ours.
//!
//! ```text
//! $LEAKSCOPE_CTL   any text     one iteration is over           echo iteration >> "$LEAKSCOPE_CTL"
//!                  iteration N  N iterations are over
//!                  sync [N]     the same; who says so waits for a line from $LEAKSCOPE_ACK before he goes on
//!                  mark TEXT    something happened: into the timeline
//! ```
//! We hold both pipes open in both directions: nobody who writes waits for a reader, nobody who reads sees an end. A
//! target that does not ask is held up as well: for a checkpoint we fill its pipe with empty lines, so that it waits at the
//! end of its present iteration, and how many are over is known exactly.
//!
//! A thread waits for lines and wakes the main loop, which reads them, so that it can count what is there at the very
//! moment of a checkpoint.
#![allow(unsafe_code)] // mkfifo, poll, the size of a pipe, geteuid

use crate::run::recorder::Happening;
use std::ffi::{CString, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Names of the variables that tell the target where the pipes are.
pub const LINES: &str = "LEAKSCOPE_CTL";
/// See [`LINES`].
pub const ANSWERS: &str = "LEAKSCOPE_ACK";
/// The smallest pipe there is, bytes.
const PIPE_BYTES: libc::c_int = 4096;
/// Longest line.
const MOST_LINE: usize = 4096;
/// How often the waiting thread looks whether it is still wanted, milliseconds.
const TICK_MS: i32 = 100;

/// Something that the target has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// So many iterations are over.
    Iterations(u64),
    /// The same, and whoever said so waits for an answer.
    Sync(u64),
    /// Something happened.
    Mark(String),
}

impl Said {
    /// What a line means; `None` for an empty one.
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let count = || rest.trim().parse().unwrap_or(1);
        match word {
            "" => None,
            "sync" => Some(Self::Sync(count())),
            "iteration" => Some(Self::Iterations(count())),
            "mark" if !rest.trim().is_empty() => Some(Self::Mark(rest.trim().to_owned())),
            _ => Some(Self::Iterations(1)),
        }
    }
}

/// Our ends of the pipes.
pub struct Control {
    folder: TempDir,
    lines: File,
    answers: File,
    /// What was read of a line that is not complete.
    rest: Vec<u8>,
    /// Bytes and number of the lines so far.
    seen: (u64, u64),
    /// Empty lines of ours in the pipe.
    filling: u64,
    /// Those that wait for an answer.
    owed: usize,
    go_on: SyncSender<()>,
}

impl Control {
    /// Makes the pipes. Whenever there is something to read, `wake` gets a [`Happening::Said`]; the next one comes after
    /// [`Control::go_on`].
    ///
    /// # Errors
    /// Those of the file system, or no thread can be made.
    pub fn open(wake: Sender<Happening>) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("leakscope-check-").tempdir()?;
        let lines = pipe(&folder.path().join("ctl"), 0o622)?;
        let answers = pipe(&folder.path().join("ack"), 0o644)?;
        if is_root() {
            // Its name cannot be guessed, nor be listed.
            fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
        }
        // SAFETY: takes integers. Where it is refused, the target may run further ahead.
        unsafe { libc::fcntl(lines.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_BYTES) };
        let (go_on, gone_on) = sync_channel(1);
        let readable = lines.try_clone()?;
        thread::Builder::new().name("control".into()).stack_size(128 << 10).spawn(move || {
            watch(&readable, &wake, &gone_on);
        })?;
        Ok(Self { folder, lines, answers, rest: Vec::new(), seen: (0, 0), filling: 0, owed: 0, go_on })
    }

    /// What the target's environment needs.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        [(LINES, self.path().into_os_string()), (ANSWERS, self.folder.path().join("ack").into_os_string())]
    }

    /// Where the target writes to.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("ctl")
    }

    /// What has been said since, as much as fits into a pipe; never waits.
    pub fn take(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        let mut bytes = [0; MOST_LINE];
        // No more than that: a target that talks faster than we listen would keep us here.
        let read = self.lines.read(&mut bytes).unwrap_or(0);
        self.rest.extend(bytes.iter().take(read));
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            match line.len() {
                1 => self.filling = self.filling.saturating_sub(1),
                length => self.seen = (self.seen.0 + length as u64, self.seen.1 + 1),
            }
            said.extend(Said::parse(&String::from_utf8_lossy(&line)));
        }
        // Whoever writes no ends of lines says nothing.
        self.rest.truncate(MOST_LINE);
        self.owed += said.iter().filter(|said| matches!(said, Said::Sync(_))).count();
        said
    }

    /// Fills the pipe: whoever wants to say something waits until it has been taken.
    pub fn hold(&mut self) {
        let empty = [b'\n'; MOST_LINE];
        let mut length = empty.len();
        // Either all of so few bytes find room, or none.
        while length > 0 {
            match self.lines.write(&empty[..length]) {
                Ok(written) => self.filling += written as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => length /= 2,
            }
        }
    }

    /// Lines that have been written and not taken, by their usual length.
    pub fn waiting_lines(&self) -> u64 {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the kernel writes one integer.
        let asked = unsafe { libc::ioctl(self.lines.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
        let bytes = if asked == 0 { u64::try_from(bytes).unwrap_or(0) } else { 0 };
        bytes.saturating_sub(self.filling) * self.seen.1 / self.seen.0.max(1)
    }

    /// Answers everybody who waits.
    pub fn answer(&mut self) {
        // A pipe that is full holds enough answers for all.
        let _ = self.answers.write(&vec![b'\n'; std::mem::take(&mut self.owed)]);
    }

    /// The next line may wake the main loop.
    pub fn go_on(&self) {
        // Full: it has been told already.
        let _ = self.go_on.try_send(());
    }
}

/// Whether a target may become another user, which only root's can.
fn is_root() -> bool {
    // SAFETY: cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Makes a pipe with a name, and opens it. `public` is who may open it where the target may become another user.
fn pipe(path: &Path, public: u32) -> io::Result<File> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a C string and an integer.
    if unsafe { libc::mkfifo(name.as_ptr(), 0o600) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if is_root() {
        file.set_permissions(Permissions::from_mode(public))?;
    }
    Ok(file)
}

/// Wakes the main loop when there is something to read, until nobody wants it any more.
fn watch(lines: &File, wake: &Sender<Happening>, gone_on: &Receiver<()>) {
    loop {
        let mut poll = libc::pollfd { fd: lines.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        if unsafe { libc::poll(&raw mut poll, 1, TICK_MS) } > 0 {
            if wake.send(Happening::Said).is_err() || gone_on.recv().is_err() {
                return;
            }
        } else if gone_on.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn lines_are_understood() {
        let parse = |line| Said::parse(line);
        assert_eq!(parse("iteration\n"), Some(Said::Iterations(1)));
        assert_eq!(parse("request 7 done"), Some(Said::Iterations(1)), "any text");
        assert_eq!(parse("iteration 25"), Some(Said::Iterations(25)));
        assert_eq!((parse("sync"), parse(" sync 3 ")), (Some(Said::Sync(1)), Some(Said::Sync(3))));
        assert_eq!(parse("mark cache filled "), Some(Said::Mark("cache filled".to_owned())));
        assert_eq!((parse("mark"), parse(" \n")), (Some(Said::Iterations(1)), None));
    }

    #[test]
    fn what_is_written_is_told_counted_and_answered() {
        let (wake, woken) = channel();
        let mut control = Control::open(wake).unwrap();
        let [lines, answers] = control.environment();
        let write = |text: &str| OpenOptions::new().append(true).open(&lines.1).unwrap().write_all(text.as_bytes());
        write("sync\nsync\niter").unwrap();
        assert!(matches!(woken.recv().unwrap(), Happening::Said));
        assert_eq!(control.take(), [Said::Sync(1), Said::Sync(1)]);
        write("ation 4\n").unwrap();
        assert_eq!(control.take(), [Said::Iterations(4)]);
        assert_eq!((control.take(), control.waiting_lines()), (Vec::new(), 0));
        write(&"sync\n".repeat(7)).unwrap();
        assert_eq!(control.waiting_lines(), 35 * 3 / 22, "by the mean length of those that were read");
        control.answer();
        let mut answered = [0; 2];
        File::open(&answers.1).unwrap().read_exact(&mut answered).unwrap();
        assert_eq!(&answered, b"\n\n");
        control.go_on();
        assert!(matches!(woken.recv().unwrap(), Happening::Said), "there is still something to read");
    }

    #[test]
    fn a_writer_is_held_up_until_what_is_there_has_been_taken() {
        let (wake, _woken) = channel();
        let mut control = Control::open(wake).unwrap();
        // One that would rather be told than wait.
        let writer = || OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK).open(control.path()).unwrap();
        let mut writer = writer();
        writer.write_all(b"iteration\n").unwrap();
        assert_eq!(control.take(), [Said::Iterations(1)]);
        writer.write_all(b"iteration\n").unwrap();
        control.hold();
        assert_eq!(control.waiting_lines(), 1, "those that fill it are not counted");
        assert_eq!(writer.write(b"iteration\n").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!((control.take(), control.filling), (vec![Said::Iterations(1)], 0));
        writer.write_all(b"iteration\n").unwrap();
        assert_eq!(control.take(), [Said::Iterations(1)]);
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let (wake, _woken) = channel();
        let mut control = Control::open(wake).unwrap();
        for _ in 0..4 {
            OpenOptions::new().append(true).open(control.path()).unwrap().write_all(&[b'x'; 4000]).unwrap();
            assert!(control.take().is_empty());
        }
        assert!(control.rest.len() <= MOST_LINE);
    }
}
