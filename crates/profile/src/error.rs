//! What can go wrong with a profile: it contradicts itself, it cannot be read, it cannot be written.
//!
//! Every message is a sentence about the file for the person who typed its name; the caller adds the name.

use std::io;
use std::path::PathBuf;

/// A profile that contradicts itself; says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Inconsistent {
    what: String,
}

impl Inconsistent {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// Why bytes could not be read as a profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no file of this name.
    #[error("{} does not exist", .0.display())]
    NotFound(PathBuf),
    /// The operating system refused.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file has no contents.
    #[error("the file is empty")]
    Empty,
    /// The file ends in the middle, as after a full disk or a broken copy.
    #[error("the file is cut off: it ends in the middle of the profile")]
    Truncated,
    /// The contents are something else.
    #[error("not a profile: neither gzip nor pprof")]
    NotGzipOrPprof,
    /// A pprof file of another sort, such as a CPU profile.
    #[error("not a heap profile: it has no `inuse_space` in bytes, only {}", list(.sample_types))]
    NotAHeapProfile {
        /// The sample types that it has, as `cpu/nanoseconds`.
        sample_types: Vec<String>,
    },
    /// The contents contradict themselves.
    #[error("the profile is damaged: {0}")]
    Inconsistent(#[from] Inconsistent),
    /// Reading it would take more memory than [`crate::Limits`] allows.
    #[error("the profile is too large: {what} exceeds the limit of {limit_bytes} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit that it exceeds.
        limit_bytes: u64,
    },
    /// A later leakscope wrote it, in a way that this one does not know.
    #[error("written by a newer leakscope: format {found}, this one reads up to {supported}")]
    NewerVersion {
        /// The version of the format in the file.
        found: u32,
        /// The newest version that can be read.
        supported: u32,
    },
}

fn list(sample_types: &[String]) -> String {
    if sample_types.is_empty() { "no sample types at all".to_owned() } else { sample_types.join(", ") }
}

/// Why a profile could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The profile contradicts itself, so nothing was written: a file that cannot be read back helps nobody.
    #[error("the profile is inconsistent: {0}")]
    Inconsistent(#[from] Inconsistent),
    /// The operating system refused.
    #[error("cannot be written: {0}")]
    Io(#[from] io::Error),
}
