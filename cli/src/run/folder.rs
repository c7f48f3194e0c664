//! The folder of one recorded process: its profiles, thinned, and `session.json`.

use crate::clock::{rfc3339, unix_seconds};
use crate::profile_file;
use crate::run::oom::OomKill;
use crate::run::thinning::{Candidate, MOST_KEPT, surplus};
use crate::session_file::{End, SessionFile, SnapshotEntry, live_bytes};
use anyhow::Result;
use leakscope_profile::Profile;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The folder of one recorded process.
pub struct Folder {
    path: PathBuf,
    file: SessionFile,
    /// Locked while this process records into the folder, see [`SessionFile::is_abandoned`].
    lock: Option<File>,
}

impl Folder {
    /// Takes over an empty folder, and describes it from the start: leakscope itself may be killed before the first
    /// snapshot.
    pub fn new(path: PathBuf, file: SessionFile) -> Self {
        let lock = lock(&path);
        // Tried again with each snapshot.
        let _ = file.write(&path);
        Self { path, file, lock }
    }

    /// Makes the folder anew where somebody has removed it; whether that was so. What was in it is gone, what is
    /// recorded is not.
    pub fn restore(&mut self) -> bool {
        let is_gone = fs::symlink_metadata(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if !is_gone || DirBuilder::new().recursive(true).mode(0o700).create(&self.path).is_err() {
            return false;
        }
        self.lock = lock(&self.path);
        self.file.snapshots.clear();
        true
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
    /// The profile cannot be written. Nothing half-written stays, and the next snapshot may succeed.
    pub fn add(&mut self, profile: &Profile) -> Result<String> {
        let snapshot = &profile.snapshot;
        let name = format!("{:04}.prof", snapshot.index);
        let path = self.path.join(&name);
        profile_file::save(profile, &path)?;
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
        // The profile is there and stands for itself; it is found without this file, only slower.
        let _ = self.file.write(&self.path);
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
    pub fn end(&mut self, how: String, oom: Option<OomKill>) -> Result<()> {
        self.file.end = Some(End {
            how,
            time: rfc3339(unix_seconds()),
            oom_killed: oom.is_some(),
            oom_limit_bytes: oom.and_then(|oom| oom.limit_bytes),
        });
        self.file.write(&self.path)
    }

    /// Removes the folder with everything that was written into it.
    pub fn discard(self) {
        for entry in &self.file.snapshots {
            let _ = fs::remove_file(self.path.join(&entry.file));
        }
        let _ = fs::remove_file(self.path.join(crate::session_file::NAME));
        let _ = fs::remove_file(self.path.join(crate::timeline_file::NAME));
        // Fails where somebody else has put something into it, which is as it should be.
        let _ = fs::remove_dir(&self.path);
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

fn lock(folder: &Path) -> Option<File> {
    File::open(folder).ok().filter(|folder| folder.try_lock().is_ok())
}
