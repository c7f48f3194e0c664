//! The folder of one recorded process: its profiles, thinned, and `session.json`.

use crate::clock::{rfc3339, unix_seconds};
use crate::run::thinning::{Candidate, MOST_KEPT, surplus};
use crate::session_file::{End, SessionFile, SnapshotEntry, live_bytes};
use anyhow::{Context, Result};
use leakscope_profile::Profile;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of one recorded process.
pub struct Folder {
    path: PathBuf,
    file: SessionFile,
}

impl Folder {
    /// Takes over an empty folder.
    pub fn new(path: PathBuf, file: SessionFile) -> Self {
        Self { path, file }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Snapshots that are kept.
    pub fn snapshots(&self) -> &[SnapshotEntry] {
        &self.file.snapshots
    }

    /// Writes a snapshot, and removes the one that has become surplus; the name of the new file.
    ///
    /// # Errors
    /// Those of the file system. Nothing half-written stays, and the next snapshot may succeed.
    pub fn add(&mut self, profile: &Profile) -> Result<String> {
        let snapshot = &profile.snapshot;
        let name = format!("{:04}.prof", snapshot.index);
        let path = self.path.join(&name);
        leakscope_profile::save(profile, &path).with_context(|| format!("cannot write {}", path.display()))?;
        self.file.snapshots.push(SnapshotEntry {
            file: name.clone(),
            index: snapshot.index,
            epoch: snapshot.epoch,
            time: rfc3339(snapshot.time_unix_ns / 1_000_000_000),
            uptime_ms: snapshot.uptime_ms,
            reason: snapshot.reason.clone(),
            live_bytes: live_bytes(profile),
        });
        self.file.jvm_version.clone_from(&profile.target.jvm);
        self.file.jvm |= !profile.target.jvm.is_empty();
        self.thin();
        self.file.write(&self.path)?;
        Ok(name)
    }

    /// Notes that the process has a JVM.
    pub fn has_jvm(&mut self) {
        self.file.jvm = true;
    }

    /// Notes how the process ended.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn end(&mut self, how: String) -> Result<()> {
        self.file.end = Some(End { how, time: rfc3339(unix_seconds()) });
        self.file.write(&self.path)
    }

    /// Bytes of its profiles.
    pub fn bytes(&self) -> u64 {
        let size = |entry: &SnapshotEntry| fs::metadata(self.path.join(&entry.file)).map_or(0, |m| m.len());
        self.file.snapshots.iter().map(size).sum()
    }

    fn thin(&mut self) {
        let candidate = |entry: &SnapshotEntry| Candidate {
            uptime_ms: entry.uptime_ms,
            is_marked: entry.reason.starts_with("limit-"),
        };
        let candidates: Vec<Candidate> = self.file.snapshots.iter().map(candidate).collect();
        if let Some(index) = surplus(&candidates, MOST_KEPT) {
            let entry = self.file.snapshots.remove(index);
            // One file too many is no reason to stop recording.
            let _ = fs::remove_file(self.path.join(entry.file));
        }
    }
}
