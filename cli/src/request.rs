//! Asking a running leakscope for something: a snapshot, whose bytes come back over the socket, so that the file is
//! written by who asked, with the rights of who asked; or a mark in the timeline.

use crate::exit::{self, Failure};
use crate::locate::{CollectorAddress, collector_of, collectors};
use anyhow::{Context, Result, bail};
use leakscope_session::handshake::{MESSAGE_BYTES, Message, Words};
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

/// Longest silence of the collector: a snapshot in exact mode takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// A larger answer is not believed.
const MOST_BYTES: u64 = 1 << 30;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// A snapshot; the answer is a profile as bytes of a file.
    Snapshot,
    /// A mark with this text; the answer is a sentence.
    Mark(&'a str),
}

/// What came of asking.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// What was asked for.
    Bytes(Vec<u8>),
    /// Nobody listens there any more.
    NobodyAt(CollectorAddress),
}

impl Request<'_> {
    /// Asks the collector of a process.
    ///
    /// # Errors
    /// A sentence that says why there is none, or the collector's refusal.
    pub fn of_process(self, pid: u32) -> Result<Answer> {
        let address = match collector_of(pid) {
            Ok(Some(address)) => address,
            Ok(None) => {
                let sentence = format!("process {pid} is not recorded: it was not started under leakscope run");
                return Err(Failure::error(exit::NO_DATA, sentence));
            }
            // In a container even root may not read the environment of another user's process; whoever records it knows.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let mut answers = collectors().into_iter().filter_map(|address| self.ask(address, pid).ok());
                let found = answers.find(|answer| matches!(answer, Answer::Bytes(_)));
                return found.ok_or_else(|| unreachable(pid, &error));
            }
            Err(error) => return Err(unreachable(pid, &error)),
        };
        self.ask(address, pid)
    }

    /// Asks this collector.
    ///
    /// # Errors
    /// The collector's refusal, or a broken connection.
    pub fn ask(self, address: CollectorAddress, pid: u32) -> Result<Answer> {
        let name = SocketAddr::from_abstract_name(&address.socket).context("the collector's address is damaged")?;
        let mut stream = match UnixStream::connect_addr(&name) {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(Answer::NobodyAt(address)),
            Err(error) => return Err(error).context("cannot reach the leakscope that records"),
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&self.bytes(pid)).context("cannot ask the leakscope that records")?;
        let Message::Reply { ok, text_bytes } = receive(&mut stream)? else {
            bail!("the leakscope that records gave an unexpected answer");
        };
        if text_bytes > MOST_BYTES {
            bail!("the answer has {text_bytes} bytes, more than any profile");
        }
        let mut answer = Vec::new();
        stream.take(text_bytes).read_to_end(&mut answer).context("the answer broke off")?;
        if answer.len() as u64 != text_bytes {
            bail!("the answer broke off");
        }
        if !ok {
            bail!("{}", sentence(&answer));
        }
        Ok(Answer::Bytes(answer))
    }

    /// As it goes over the socket.
    fn bytes(self, pid: u32) -> Vec<u8> {
        let pid = u64::from(pid);
        let (message, text) = match self {
            Self::Snapshot => (Message::Request { pid, path_bytes: 0 }, ""),
            Self::Mark(text) => (Message::Mark { pid, text_bytes: text.len() as u64 }, text),
        };
        let words = message.encode();
        words.iter().flat_map(|word| word.to_le_bytes()).chain(text.bytes()).collect()
    }
}

/// A sentence from the socket, for a terminal: whoever answers may be anybody.
pub fn sentence(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What an error under /proc/PID means.
pub fn unreachable(pid: u32, error: &io::Error) -> anyhow::Error {
    let no_such = matches!(error.kind(), io::ErrorKind::NotFound) || error.raw_os_error() == Some(libc::ESRCH);
    match error.kind() {
        _ if no_such => Failure::error(exit::NO_DATA, format!("there is no process {pid}{}", elsewhere())),
        io::ErrorKind::PermissionDenied => {
            Failure::error(exit::UNREADABLE, format!("the kernel refuses access to process {pid}: {}", advice()))
        }
        _ => Failure::error(exit::UNREADABLE, format!("cannot look at process {pid}: {error}")),
    }
}

/// Where else a process may be that cannot be found: a namespace of process ids sees its own only. Empty outside of one.
pub fn elsewhere() -> &'static str {
    // The kernel's own, which has a number of its own.
    const FIRST: &str = "pid:[4026531836]";
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    if own.as_os_str().is_empty() || own == std::path::Path::new(FIRST) {
        return "";
    }
    " here, in this PID namespace (processes of other containers cannot be seen: run this in the container of that \
     process, or let the two share their PID namespace)"
}

/// What helps where access to a process is refused.
#[allow(unsafe_code)] // geteuid
fn advice() -> &'static str {
    // SAFETY: cannot fail.
    match unsafe { libc::geteuid() } {
        0 => {
            "root is not enough here, CAP_SYS_PTRACE is missing (a container?): run this as the user of that process, \
             in its container"
        }
        _ => "run this as the user of that process, or as root",
    }
}

fn receive(stream: &mut UnixStream) -> Result<Message> {
    let mut bytes = [0; MESSAGE_BYTES];
    stream.read_exact(&mut bytes).context("the leakscope that records did not answer")?;
    let mut words: Words = Default::default();
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(chunk.try_into()?);
    }
    Message::decode(&words).context("the leakscope that records is of another version")
}
