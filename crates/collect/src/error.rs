//! Why a descriptor is no session that could be read.

use leakscope_session::view::BadSession;
use std::io;

/// Why something that claims to be a session was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The file could be cut short under us, which would kill the reader.
    #[error("the session's file is not sealed against shrinking and growing")]
    NotSealed,
    /// The file is not in memory: a store to it could stall the target.
    #[error("the session's file is not a memfd")]
    NotInMemory,
    /// The file is larger than any session.
    #[error("the session's file has {0} bytes, more than any session")]
    TooLarge(u64),
    /// The file has another length than was announced.
    #[error("the session's file has {found} bytes instead of the {announced} that were announced")]
    OtherLength {
        /// Length of the file.
        found: u64,
        /// Length in the message.
        announced: u64,
    },
    /// The contents are no session of this version.
    #[error("{}", bad(.0))]
    Bad(BadSession),
}

impl CollectError {
    /// The last error of the operating system, while `what` was tried.
    pub(crate) fn last(what: &'static str) -> Self {
        Self::Io { what, source: io::Error::last_os_error() }
    }
}

fn bad(reason: &BadSession) -> String {
    match reason {
        BadSession::TooSmall => "the session's file is too small".to_owned(),
        BadSession::NotASession => "the file is not a session".to_owned(),
        BadSession::OtherVersion(version) => {
            format!("the session has layout {version}: shim and leakscope are of different versions")
        }
        BadSession::BadSizes => "the sizes of the session's tables contradict its length".to_owned(),
    }
}
