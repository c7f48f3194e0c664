//! The handshake: how a target and the collector agree to record, over an abstract Unix socket.
//!
//! ```text
//!   target                                collector
//!   Hello   pid, why                 ->   checks the peer's credentials and decides
//!                                    <-   Answer   record or not, settings, session id
//!   makes and seals the memfd
//!   Offer   size, + the descriptor   ->   checks seals and layout, maps it
//!                                    <-   Ack      recording is on
//! both close the connection
//! ```
//! The target keeps the memfd open, with a lock (fcntl) on the whole of it. It belongs to this process alone: forked
//! children do not inherit it, and it ends with the process, with exec, or when the process closes the memfd.
//!
//! All messages are arrays of little-endian 64-bit words of one length, so neither side parses anything.
//! The target learns of the collector through one environment variable, [`ENVIRONMENT`]:
//! `1:<socket name>:<pid of the collector>:<follow>`.

/// Words of a message.
pub const MESSAGE_WORDS: usize = 12;
/// Bytes of a message.
pub const MESSAGE_BYTES: usize = MESSAGE_WORDS * 8;
/// Name of the environment variable.
pub const ENVIRONMENT: &str = "LEAKSCOPE_SESSION";
/// Most bytes of the text of a mark.
pub const MOST_MARK_BYTES: u64 = 1000;
/// Version of the protocol; both sides must have the same.
pub const PROTOCOL: u64 = 2;

const MAGIC: u64 = u64::from_le_bytes(*b"leakhand");

/// A message, as words.
pub type Words = [u64; MESSAGE_WORDS];

/// Why a target asks to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is the command that `leakscope run` started.
    Root,
    /// It has a JVM.
    Jvm,
    /// All processes are followed.
    Follow,
    /// All processes are followed, and it was forked by one that is recorded.
    Fork,
}

/// What a peer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Target: here I am.
    Hello {
        /// Its process id as it sees it (another PID namespace may see another).
        pid: u64,
        /// Why it asks.
        why: Why,
    },
    /// Collector: whether and how to record.
    Answer {
        /// `None`: do not record.
        settings: Option<Settings>,
    },
    /// Target: the session's file comes with this message.
    Offer {
        /// Length of the file, bytes.
        bytes: u64,
    },
    /// Target: no session could be made, for the reason with this number.
    Refused {
        /// See [`Refusal`].
        reason: u64,
        /// Error number of the system call that failed.
        errno: u64,
    },
    /// Collector: recording is on.
    Ack,
    /// Another command (`leakscope snapshot`): take a snapshot now; the path follows on the socket.
    Request {
        /// Process id of the target.
        pid: u64,
        /// Bytes of the output path that follow this message.
        path_bytes: u64,
    },
    /// Another command (`leakscope mark`): put a mark into the timeline; its text follows on the socket.
    Mark {
        /// Process id of the target.
        pid: u64,
        /// Bytes of the text that follow this message, at most [`MOST_MARK_BYTES`].
        text_bytes: u64,
    },
    /// Collector: how a request ended; a sentence follows on the socket.
    Reply {
        /// Whether it worked.
        ok: bool,
        /// Bytes of the sentence that follow this message.
        text_bytes: u64,
    },
}

/// What to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Mean bytes between samples; 1 = exact mode.
    pub interval_bytes: u64,
    /// Most native frames of a stack.
    pub native_depth: u64,
    /// Most Java frames of a stack.
    pub java_depth: u64,
    /// Most method ids that the JVM is made to create, which it never frees; 0 = the target's own default.
    pub method_ids: u64,
    /// Random id of the session.
    pub session_id: [u64; 2],
}

/// Why a target made no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Refusal {
    /// memfd_create failed.
    NoMemfd = 1,
    /// The file could not be given its size (a file size limit?).
    NoSize = 2,
    /// It could not be mapped (an address space limit?).
    NoMapping = 3,
    /// It could not be sealed.
    NoSeal = 4,
}

impl Refusal {
    /// The reason behind a number.
    pub fn from_word(word: u64) -> Option<Self> {
        Some(match word {
            1 => Self::NoMemfd,
            2 => Self::NoSize,
            3 => Self::NoMapping,
            4 => Self::NoSeal,
            _ => return None,
        })
    }
}

impl Message {
    /// As words.
    pub fn encode(&self) -> Words {
        let mut words = [0; MESSAGE_WORDS];
        let body: [u64; 8] = match *self {
            Message::Hello { pid, why } => [1, pid, why as u64, 0, 0, 0, 0, 0],
            Message::Answer { settings: None } => [2, 0, 0, 0, 0, 0, 0, 0],
            Message::Answer { settings: Some(s) } => {
                let [low, high] = s.session_id;
                [2, 1, s.interval_bytes, s.native_depth, s.java_depth, low, high, s.method_ids]
            }
            Message::Offer { bytes } => [3, bytes, 0, 0, 0, 0, 0, 0],
            Message::Refused { reason, errno } => [4, reason, errno, 0, 0, 0, 0, 0],
            Message::Ack => [5, 0, 0, 0, 0, 0, 0, 0],
            Message::Request { pid, path_bytes } => [6, pid, path_bytes, 0, 0, 0, 0, 0],
            Message::Reply { ok, text_bytes } => [7, u64::from(ok), text_bytes, 0, 0, 0, 0, 0],
            Message::Mark { pid, text_bytes } => [8, pid, text_bytes, 0, 0, 0, 0, 0],
        };
        for (word, value) in words.iter_mut().zip([MAGIC, PROTOCOL].into_iter().chain(body)) {
            *word = value;
        }
        words
    }

    /// From words; `None` if they are no message of this version.
    pub fn decode(words: &Words) -> Option<Message> {
        let [MAGIC, PROTOCOL, kind, a, b, c, d, e, f, g, ..] = *words else {
            return None;
        };
        Some(match kind {
            1 => Message::Hello {
                pid: a,
                why: match b {
                    0 => Why::Root,
                    1 => Why::Jvm,
                    2 => Why::Follow,
                    _ => Why::Fork,
                },
            },
            2 if a == 0 => Message::Answer { settings: None },
            2 => Message::Answer {
                settings: Some(Settings {
                    interval_bytes: b,
                    native_depth: c,
                    java_depth: d,
                    session_id: [e, f],
                    method_ids: g,
                }),
            },
            3 => Message::Offer { bytes: a },
            4 => Message::Refused { reason: a, errno: b },
            5 => Message::Ack,
            6 => Message::Request { pid: a, path_bytes: b },
            7 => Message::Reply { ok: a != 0, text_bytes: b },
            8 => Message::Mark { pid: a, text_bytes: b },
            _ => return None,
        })
    }
}

#[cfg(all(test, not(leakscope_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_message_comes_back() {
        let settings =
            Settings { interval_bytes: 524_288, native_depth: 64, java_depth: 128, session_id: [7, 8], method_ids: 9 };
        for message in [
            Message::Hello { pid: 41, why: Why::Root },
            Message::Hello { pid: 41, why: Why::Jvm },
            Message::Hello { pid: 41, why: Why::Follow },
            Message::Hello { pid: 41, why: Why::Fork },
            Message::Answer { settings: None },
            Message::Answer { settings: Some(settings) },
            Message::Offer { bytes: 99 },
            Message::Refused { reason: 2, errno: 27 },
            Message::Ack,
            Message::Request { pid: 41, path_bytes: 12 },
            Message::Reply { ok: true, text_bytes: 0 },
            Message::Mark { pid: 41, text_bytes: 5 },
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(&[0; MESSAGE_WORDS]), None);
    }
}
