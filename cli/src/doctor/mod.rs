//! Why leakscope does not, or would not, record: findings about this machine, a program or a running process.
//!
//! | module | what it looks at |
//! |---|---|
//! | [`machine`] | what every recording needs: the shim's place, a memfd, a socket, and what it does not need |
//! | [`program`] | the file that would be executed: a loader to preload anything, privileges, libc, its own malloc |
//! | [`jvm`] | options that hide parts of a JVM, JVMs without Java stacks |
//! | [`process`] | a running process: is it recorded, by whom, and what keeps it from being |
//! | [`show`] | findings as text and JSON |
//!
//! `run` says the same things, by the same functions, when it finds that it does not record.

pub mod jvm;
pub mod libc_version;
pub mod machine;
pub mod process;
pub mod program;
pub mod show;

use std::path::PathBuf;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Recording works, and lacks something.
    Warn,
    /// It keeps leakscope from recording.
    Fail,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Warn => "warn",
            Severity::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable name, documented in docs/json.md.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence, without a full stop.
    pub sentence: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(id: &'static str, sentence: impl Into<String>) -> Self {
        Self { id, severity: Severity::Ok, sentence: sentence.into(), advice: None }
    }

    /// Recording lacks something.
    pub fn warn(id: &'static str, sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { id, severity: Severity::Warn, sentence: sentence.into(), advice: Some(advice.into()) }
    }

    /// Nothing is recorded.
    pub fn fail(id: &'static str, sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { id, severity: Severity::Fail, sentence: sentence.into(), advice: Some(advice.into()) }
    }
}

/// What the findings are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// This machine, for this user.
    Machine,
    /// A command that would be recorded.
    Command(Vec<String>),
    /// A running process.
    Process(u32, PathBuf),
}

/// All findings about a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// What they are about.
    pub subject: Subject,
    /// The findings, in the order in which they were looked for.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether it would record (or does, for a process).
    pub fn records(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity < Severity::Fail)
    }
}
