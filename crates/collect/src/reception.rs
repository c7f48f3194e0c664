//! Where targets and other commands knock: an abstract Unix socket with a random name, served without ever waiting.
//!
//! ```text
//!   Hello  -> the caller decides -> Answer -> Offer + memfd -> Ack
//!   Request, Mark (another leakscope)  -> the caller answers with Reply
//! ```
//! Then the connection is closed. What becomes of a recorded process is not learnt here (see `Liveness` and
//! `SharedSession::is_held`).
//!
//! The name can be read in /proc/net/unix, so a name proves nothing: credentials do. A peer that stalls is dropped
//! after [`PATIENCE`]; the target behind it runs on, unrecorded.

use crate::facts::ProcessFacts;
use crate::peer::{Credentials, Peer, Received};
use crate::shared::SharedSession;
use leakscope_session::handshake::{MOST_MARK_BYTES, Message, Refusal, Settings, Why};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

/// Longest time for a peer's next step.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time for a requester to take its profile.
const REPLY_PATIENCE: Duration = Duration::from_secs(60);
/// Connections that have not got as far as recording.
const MOST_STRANGERS: usize = 64;

/// A connection's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(u64);

/// Decides who is recorded, and how.
pub trait Decide {
    /// Settings for this process, or `None`: it is not recorded.
    fn decide(&mut self, peer: Credentials, why: Why) -> Option<Settings>;
}

/// What happened at the socket.
pub enum Event {
    /// A target is being recorded from now on.
    Recording {
        /// Who it is.
        credentials: Credentials,
        /// Why it asked.
        why: Why,
        /// Its session.
        shared: Box<SharedSession>,
        /// What /proc said of it before it was let go: it may run another program by now, or none.
        facts: Box<ProcessFacts>,
    },
    /// A target did not wait any longer: we were too slow. It runs on, unrecorded.
    GaveUp {
        /// Who it is.
        credentials: Credentials,
    },
    /// A target could not make a session, or made one that cannot be used.
    Failed {
        /// Who it is.
        credentials: Credentials,
        /// Why, as a sentence.
        reason: String,
    },
    /// Another command wants a mark in the timeline; to be answered with [`Reception::reply`].
    Mark {
        /// Its connection.
        peer: PeerId,
        /// Who it is.
        credentials: Credentials,
        /// Process id that it asks for.
        pid: u64,
        /// The words; they may hold anything.
        text: String,
        /// When they came: whoever puts them into the timeline may be busy with a snapshot.
        at: Instant,
    },
    /// Another command wants a snapshot; to be answered with [`Reception::reply`].
    Request {
        /// Its connection.
        peer: PeerId,
        /// Who it is.
        credentials: Credentials,
        /// Process id that it asks for.
        pid: u64,
    },
}

enum Stage {
    Stranger,
    Offering(Why),
    Marking { pid: u64, bytes: usize },
    Requesting,
    Leaving,
}

struct Connection {
    id: PeerId,
    peer: Peer,
    stage: Stage,
    deadline: Option<Instant>,
}

/// The socket and its connections.
pub struct Reception {
    listener: UnixListener,
    name: String,
    connections: Vec<Connection>,
    next: u64,
}

impl Reception {
    /// Opens a socket with a random name.
    ///
    /// # Errors
    /// Those of the system calls.
    pub fn open() -> io::Result<Self> {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let name = format!("leakscope-{:032x}", u128::from_le_bytes(random));
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, name, connections: Vec::new(), next: 0 })
    }

    /// Name of the abstract socket, without the leading NUL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Descriptors to wait for, and whether for room to send as well.
    pub fn descriptors(&self) -> Vec<(RawFd, bool)> {
        let connections = self.connections.iter().map(|c| (c.peer.descriptor(), c.peer.wants_to_send()));
        std::iter::once((self.listener.as_raw_fd(), false)).chain(connections).collect()
    }

    /// Takes in what has come, without waiting.
    pub fn serve(&mut self, decide: &mut dyn Decide) -> Vec<Event> {
        self.accept();
        let mut events = Vec::new();
        let now = Instant::now();
        self.connections.retain_mut(|connection| connection.serve(decide, now, &mut events));
        events
    }

    /// Answers a request: with a profile's bytes, or with a sentence that says why there is none.
    pub fn reply(&mut self, peer: PeerId, answer: Result<&[u8], &str>) {
        let Some(connection) = self.connections.iter_mut().find(|c| c.id == peer) else {
            return;
        };
        let bytes = answer.unwrap_or_else(str::as_bytes);
        connection.peer.send(&Message::Reply { ok: answer.is_ok(), text_bytes: bytes.len() as u64 });
        connection.peer.send_bytes(bytes);
        connection.stage = Stage::Leaving;
        connection.deadline = Some(Instant::now() + REPLY_PATIENCE);
    }

    /// Whether an answer is still on its way.
    pub fn is_replying(&self) -> bool {
        self.connections.iter().any(|c| matches!(c.stage, Stage::Leaving) && c.peer.wants_to_send())
    }

    fn accept(&mut self) {
        for _ in 0..MOST_STRANGERS {
            if self.connections.len() >= MOST_STRANGERS {
                return;
            }
            let Ok((stream, _)) = self.listener.accept() else {
                return;
            };
            if let Ok(peer) = Peer::new(stream) {
                let id = PeerId(self.next);
                self.next += 1;
                let deadline = Some(Instant::now() + PATIENCE);
                self.connections.push(Connection { id, peer, stage: Stage::Stranger, deadline });
            }
        }
    }
}

impl Connection {
    /// Goes on with this connection; `false` if it is over.
    fn serve(&mut self, decide: &mut dyn Decide, now: Instant, events: &mut Vec<Event>) -> bool {
        self.peer.flush();
        if matches!(self.stage, Stage::Leaving) && !self.peer.wants_to_send() {
            return false;
        }
        let goes_on = match self.stage {
            Stage::Marking { pid, bytes } => self.mark(pid, bytes, events),
            _ => match self.peer.receive() {
                Received::Nothing => true,
                Received::Message(message) => self.take(message, decide, events),
                Received::Closed if matches!(self.stage, Stage::Offering(_)) => {
                    events.push(Event::GaveUp { credentials: self.peer.credentials() });
                    false
                }
                Received::Closed | Received::Garbage => false,
            },
        };
        goes_on && self.deadline.is_none_or(|deadline| now < deadline)
    }

    fn take(&mut self, message: Message, decide: &mut dyn Decide, events: &mut Vec<Event>) -> bool {
        let credentials = self.peer.credentials();
        match (&self.stage, message) {
            (Stage::Stranger, Message::Hello { why, .. }) => {
                let settings = decide.decide(credentials, why);
                self.peer.send(&Message::Answer { settings });
                self.stage = if settings.is_some() { Stage::Offering(why) } else { Stage::Leaving };
                self.deadline = Some(Instant::now() + PATIENCE);
                true
            }
            (Stage::Offering(why), Message::Offer { bytes }) => {
                let why = *why;
                self.offered(bytes, why, events)
            }
            (Stage::Offering(_), Message::Refused { reason, errno }) => {
                events.push(Event::Failed { credentials, reason: refusal(reason, errno) });
                false
            }
            (Stage::Stranger, Message::Request { pid, .. }) => {
                events.push(Event::Request { peer: self.id, credentials, pid });
                self.stage = Stage::Requesting;
                self.deadline = Some(Instant::now() + REPLY_PATIENCE);
                true
            }
            (Stage::Stranger, Message::Mark { pid, text_bytes }) if text_bytes <= MOST_MARK_BYTES => {
                self.stage = Stage::Marking { pid, bytes: text_bytes as usize };
                self.deadline = Some(Instant::now() + PATIENCE);
                self.mark(pid, text_bytes as usize, events)
            }
            _ => false,
        }
    }

    /// Takes in the text of a mark, as far as it has come.
    fn mark(&mut self, pid: u64, bytes: usize, events: &mut Vec<Event>) -> bool {
        match self.peer.receive_text(bytes) {
            Ok(None) => true,
            Ok(Some(text)) => {
                let (credentials, at) = (self.peer.credentials(), Instant::now());
                events.push(Event::Mark { peer: self.id, credentials, pid, text, at });
                self.stage = Stage::Requesting;
                self.deadline = Some(Instant::now() + REPLY_PATIENCE);
                true
            }
            Err(_) => false,
        }
    }

    fn offered(&mut self, bytes: u64, why: Why, events: &mut Vec<Event>) -> bool {
        let credentials = self.peer.credentials();
        let Some(descriptor) = self.peer.take_descriptor() else {
            events.push(Event::Failed { credentials, reason: "the session's descriptor did not arrive".to_owned() });
            return false;
        };
        match SharedSession::open(descriptor, Some(bytes)) {
            Ok(shared) => {
                let facts = Box::new(ProcessFacts::gather(credentials.pid));
                self.peer.send(&Message::Ack);
                self.stage = Stage::Leaving;
                self.deadline = Some(Instant::now() + PATIENCE);
                events.push(Event::Recording { credentials, why, shared: Box::new(shared), facts });
                true
            }
            Err(error) => {
                events.push(Event::Failed { credentials, reason: error.to_string() });
                false
            }
        }
    }
}

fn refusal(reason: u64, errno: u64) -> String {
    let error = i32::try_from(errno)
        .map_or_else(|_| "unknown error".to_owned(), |errno| io::Error::from_raw_os_error(errno).to_string());
    let what = match Refusal::from_word(reason) {
        Some(Refusal::NoMemfd) => "the target could not make a memfd",
        Some(Refusal::NoSize) => "the target could not give its session a size (a file size limit?)",
        Some(Refusal::NoMapping) => "the target could not map its session (an address space limit?)",
        Some(Refusal::NoSeal) => "the target could not seal its session",
        None => "the target could not make a session",
    };
    format!("{what}: {error}")
}
