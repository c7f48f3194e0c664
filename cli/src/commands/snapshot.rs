//! `leakscope snapshot PID`: a profile of a process that is being recorded, now.

use crate::args::SnapshotArgs;
use crate::clock::{stamp, unix_seconds};
use crate::exit::{self, Failure};
use crate::profile_file;
use crate::request::{Answer, Request};
use crate::say::say;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Takes the snapshot and writes it.
///
/// # Errors
/// No such process, not recorded, nobody there, or the file cannot be written.
pub fn run(args: &SnapshotArgs) -> Result<u8> {
    let pid = args.pid;
    if let Some(path) = &args.output {
        profile_file::spare(path, args.force)?;
    }
    match Request::Snapshot.of_process(pid)? {
        Answer::Bytes(bytes) => {
            let path = save(pid, args.output.as_deref(), &bytes)?;
            say(&format!("next: leakscope report {}", path.display()));
            Ok(exit::OK)
        }
        Answer::NobodyAt(gone) => Err(Failure::error(
            exit::NO_DATA,
            format!(
                "the leakscope that recorded process {pid} is gone (it had pid {}); what it recorded is still in \
                 memory: leakscope recover {pid}",
                gone.pid
            ),
        )),
    }
}

/// Writes the bytes of a profile, after a look at them; the path.
///
/// # Errors
/// The bytes are no profile, or the file cannot be written.
pub fn save(pid: u32, wanted: Option<&Path>, bytes: &[u8]) -> Result<PathBuf> {
    let (path, said) = write(pid, wanted, bytes)?;
    say(&said);
    Ok(path)
}

/// The same without saying it: the path, and what is to be said.
///
/// # Errors
/// As [`save`].
pub fn write(pid: u32, wanted: Option<&Path>, bytes: &[u8]) -> Result<(PathBuf, String)> {
    let path = wanted.map_or_else(|| default_path(pid), Path::to_owned);
    let profile = leakscope_profile::read(bytes).context("the answer is no profile")?;
    profile_file::save(&profile, &path)?;
    let live = crate::sizes::bytes(crate::session_file::live_bytes(&profile));
    let size = crate::sizes::bytes(fs::metadata(&path).map_or(0, |m| m.len()));
    let target = &profile.target;
    let said = format!("{}: {} (pid {}), {live} live ({size})", path.display(), target.name, target.pid);
    Ok((path, said))
}

fn default_path(pid: u32) -> PathBuf {
    PathBuf::from(format!("leakscope-{pid}-{}.prof", stamp(unix_seconds())))
}
