//! `leakscope snapshot PID`: a profile of a process that is being recorded, now.

use crate::args::SnapshotArgs;
use crate::clock::{stamp, unix_seconds};
use crate::exit::{self, Failure};
use crate::locate::{CollectorAddress, collector_of};
use crate::request::{Answer, ask};
use crate::say::say;
use anyhow::{Context, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Takes the snapshot and writes it.
///
/// # Errors
/// No such process, not recorded, nobody there, or the file cannot be written.
pub fn run(args: &SnapshotArgs) -> Result<u8> {
    let pid = args.pid;
    let address = find(pid)?;
    match ask(&address, pid)? {
        Answer::Profile(bytes) => {
            let path = save(pid, args.output.as_deref(), &bytes)?;
            say(&format!("next: leakscope report {}", path.display()));
            Ok(exit::OK)
        }
        Answer::NobodyThere => Err(Failure::error(
            exit::NO_DATA,
            format!(
                "the leakscope that recorded process {pid} is gone (it had pid {}); what it recorded is still in \
                 memory: leakscope recover {pid}",
                address.pid
            ),
        )),
    }
}

/// The collector of a process.
///
/// # Errors
/// A sentence that says why there is none.
pub fn find(pid: u32) -> Result<CollectorAddress> {
    match collector_of(pid) {
        Ok(Some(address)) => Ok(address),
        Ok(None) => Err(Failure::error(
            exit::NO_DATA,
            format!("process {pid} is not recorded: it was not started under leakscope run"),
        )),
        Err(error) => Err(unreachable(pid, &error)),
    }
}

/// What an error under /proc/PID means.
pub fn unreachable(pid: u32, error: &io::Error) -> anyhow::Error {
    let no_such = matches!(error.kind(), io::ErrorKind::NotFound) || error.raw_os_error() == Some(libc::ESRCH);
    match error.kind() {
        _ if no_such => Failure::error(exit::NO_DATA, format!("there is no process {pid}")),
        io::ErrorKind::PermissionDenied => {
            let advice = "run this as the user of that process, or as root";
            Failure::error(exit::UNREADABLE, format!("process {pid} belongs to another user; {advice}"))
        }
        _ => Failure::error(exit::UNREADABLE, format!("cannot look at process {pid}: {error}")),
    }
}

/// Writes the bytes of a profile, after a look at them; the path.
///
/// # Errors
/// The bytes are no profile, or the file cannot be written.
pub fn save(pid: u32, wanted: Option<&Path>, bytes: &[u8]) -> Result<PathBuf> {
    let path = wanted.map_or_else(|| default_path(pid), Path::to_owned);
    let profile = leakscope_profile::read(bytes).context("the answer is no profile")?;
    leakscope_profile::save(&profile, &path).with_context(|| format!("cannot write {}", path.display()))?;
    let live = crate::sizes::bytes(crate::session_file::live_bytes(&profile));
    let size = crate::sizes::bytes(fs::metadata(&path).map_or(0, |m| m.len()));
    let target = &profile.target;
    say(&format!("{}: {} (pid {}), {live} live ({size})", path.display(), target.name, target.pid));
    Ok(path)
}

fn default_path(pid: u32) -> PathBuf {
    PathBuf::from(format!("leakscope-{pid}-{}.prof", stamp(unix_seconds())))
}
