//! `session.json`: what is in the folder of a recorded process, for people and for finding a snapshot quickly.
//!
//! A convenience: profiles stand for themselves and are readable without it. Written to a temporary name and renamed.

use anyhow::Context;
use leakscope_analyze::jvms_own_rows;
use leakscope_profile::{Exit, Profile};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Name of the file.
pub const NAME: &str = "session.json";
/// Version of its form; fields are only added within one.
pub const SCHEMA: &str = "leakscope.session/1";
/// A larger file is none of ours.
const MOST_BYTES: u64 = 4 << 20;

/// The contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct SessionFile {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of leakscope that recorded.
    pub version: String,
    /// Random id of the session, hexadecimal.
    pub session: String,
    /// Process id as leakscope saw it.
    pub pid: u32,
    /// Short name of the process.
    pub name: String,
    /// Command line, secrets redacted.
    pub command: Vec<String>,
    /// Executable.
    pub exe: String,
    /// Whether this is the command that was started.
    pub root: bool,
    /// Whether it has a JVM.
    pub jvm: bool,
    /// Version of that JVM, where it is known.
    pub jvm_version: String,
    /// Process id of the leakscope that records, or recorded, as it sees itself.
    pub collector_pid: u32,
    /// When recording started, RFC 3339.
    pub started: String,
    /// What it was recorded with.
    pub settings: Settings,
    /// The snapshots that are kept, oldest first.
    pub snapshots: Vec<SnapshotEntry>,
    /// How it ended, once it has. Absent while it is recorded, and for ever where leakscope was killed: which of the
    /// two, [`SessionFile::is_abandoned`] tells.
    pub end: Option<End>,
}

/// What a process was recorded with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Settings {
    /// Mean bytes between samples.
    pub sample_bytes: u64,
    /// Milliseconds between snapshots.
    pub interval_ms: u64,
    /// Most native frames of a stack.
    pub native_depth: u32,
    /// Most Java frames of a stack.
    pub java_depth: u32,
}

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct SnapshotEntry {
    /// Name of the profile in this folder.
    pub file: String,
    /// Number of the snapshot.
    pub index: u32,
    /// Epoch that it closed.
    pub epoch: u32,
    /// When it was taken, RFC 3339.
    pub time: String,
    /// Milliseconds since recording started.
    pub uptime_ms: u64,
    /// Why it was taken.
    pub reason: String,
    /// Estimated live bytes.
    pub live_bytes: u64,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct End {
    /// `code 0`, `signal 9`, [`EXEC`], `unknown`, or `running` where leakscope ended first.
    pub how: String,
    /// When that was noticed, RFC 3339.
    pub time: String,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// The limit that its memory cgroup had reached then, bytes; absent where the machine had run out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_limit_bytes: Option<u64>,
}

/// [`End::how`] of a program that has executed another one.
pub const EXEC: &str = "exec";

/// As [`End::how`].
pub fn how(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::Unknown => "unknown".to_owned(),
    }
}

/// Estimated live bytes of a profile, without the address space that the JVM has reserved for itself.
pub fn live_bytes(profile: &Profile) -> u64 {
    let rows = profile.rows.iter().zip(jvms_own_rows(profile));
    // Estimates are not negative; the cast saturates.
    rows.filter(|(_, is_own)| !is_own).map(|(row, _)| row.bytes).sum::<f64>().round() as u64
}

impl SessionFile {
    /// Reads the file of a folder; `None` if there is none that makes sense.
    pub fn read(folder: &Path) -> Option<Self> {
        let path = folder.join(NAME);
        if fs::metadata(&path).ok()?.len() > MOST_BYTES {
            return None;
        }
        let file: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        file.schema.starts_with("leakscope.session/").then_some(file)
    }

    /// Whether the leakscope that recorded into this file's folder is gone without having noted an end. It holds a lock on
    /// the folder while it lives; process ids would tell nothing across containers and restarts.
    pub fn is_abandoned(&self, folder: &Path) -> bool {
        // Where locks cannot be had nothing is claimed.
        let may_lock = || File::open(folder).is_ok_and(|folder| folder.try_lock_shared().is_ok());
        !self.schema.is_empty() && self.end.is_none() && may_lock()
    }

    /// Whether the process went on under another program, whose folder is another one.
    pub fn was_replaced(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.how == EXEC)
    }

    /// Writes the file of a folder, replacing the old one in one step.
    ///
    /// # Errors
    /// Those of the file system; the old file is still there then.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let temporary = folder.join(format!(".{NAME}.tmp"));
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        // It can only be ours, left by a write that failed: the folder is 0700.
        let _ = fs::remove_file(&temporary);
        let result = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&temporary, folder.join(NAME))
        })();
        if result.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        result.with_context(|| format!("cannot write {}", folder.join(NAME).display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(SessionFile::read(folder.path()), None);
        let file = SessionFile { schema: SCHEMA.into(), pid: 41, jvm: true, ..SessionFile::default() };
        file.write(folder.path()).unwrap();
        file.write(folder.path()).unwrap();
        assert_eq!(SessionFile::read(folder.path()), Some(file));
        let mode = fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(folder.path().join(NAME), "{\"schema\": 7}").unwrap();
        assert_eq!(SessionFile::read(folder.path()), None);
    }

    #[test]
    fn the_lock_tells_who_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = SessionFile { schema: SCHEMA.into(), ..SessionFile::default() };
        assert!(file.is_abandoned(folder.path()));
        let lock = File::open(folder.path()).unwrap();
        lock.try_lock().unwrap();
        assert!(!file.is_abandoned(folder.path()), "recording goes on");
        drop(lock);
        assert!(!file.is_abandoned(&folder.path().join("gone")));
        file.end = Some(End::default());
        assert!(!file.is_abandoned(folder.path()));
    }
}
