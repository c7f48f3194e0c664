//! Exit codes, all of them.
//!
//! | code | `run` | `snapshot`, `mark`, `recover`, `report`, `diff`, `flame`, `export`, `top` |
//! |---|---|---|
//! | 0 | the target's own | done |
//! | 1 | the target's own | `diff --exit-code`: something grew; `doctor`: it would not be recorded |
//! | 2 | the target's own; or wrong usage | wrong usage |
//! | 3 | the target's own | no data: not recorded, no such process |
//! | 4 | the target's own | an input cannot be read, an output cannot be written |
//! | 125 | leakscope itself failed before the target was started | |
//! | 126 | the command cannot be executed | |
//! | 127 | the command was not found | |
//! | 128+N | signal N killed the target | `top`: signal N ended it |
//!
//! `check`: 0 nothing leaks, 1 something leaks, 2 wrong usage, 3 it cannot be told (or nothing was recorded), 4 an input
//! cannot be read or an output not be written, 5 the command failed.

/// Done.
pub const OK: u8 = 0;
/// `diff --exit-code`: something grew.
pub const GREW: u8 = 1;
/// `doctor`: it would not be recorded.
pub const WOULD_NOT_RECORD: u8 = 1;
/// Wrong usage; clap's own code for it.
pub const USAGE: u8 = 2;
/// There is nothing to work on.
pub const NO_DATA: u8 = 3;
/// An input cannot be read or an output cannot be written.
pub const UNREADABLE: u8 = 4;
/// `check`: something leaks.
pub const LEAK: u8 = 1;
/// `check`: it cannot be told.
pub const INCONCLUSIVE: u8 = 3;
/// `check`: the command under test failed.
pub const COMMAND_FAILED: u8 = 5;
/// `run`: leakscope itself failed before the target was started.
pub const RUN_FAILED: u8 = 125;
/// `run`: the command cannot be executed.
pub const CANNOT_EXECUTE: u8 = 126;
/// `run`: the command was not found.
pub const NOT_FOUND: u8 = 127;
/// `run`: added to the number of the signal that killed the target.
pub const SIGNAL: u8 = 128;

/// An error that ends a command with a code of its own.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// A sentence for the user.
    pub sentence: String,
}

impl Failure {
    /// An error with this code and sentence.
    pub fn error(code: u8, sentence: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { code, sentence: sentence.into() })
    }

    /// The exit code of an error: its own, or that of unreadable input.
    pub fn code_of(error: &anyhow::Error) -> u8 {
        error.downcast_ref::<Self>().map_or(UNREADABLE, |failure| failure.code)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}
