//! `leakscope snapshot PID`: a profile of a process that is being recorded, now.

use crate::args::SnapshotArgs;
use crate::clock::{stamp, unix_seconds};
use crate::exit::{self, Failure};
use crate::locate::{CollectorAddress, collector_of, collectors};
use crate::profile_file;
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
    if let Some(path) = &args.output {
        profile_file::spare(path, args.force)?;
    }
    match request(pid)? {
        Ok(bytes) => {
            let path = save(pid, args.output.as_deref(), &bytes)?;
            say(&format!("next: leakscope report {}", path.display()));
            Ok(exit::OK)
        }
        Err(gone) => Err(Failure::error(
            exit::NO_DATA,
            format!(
                "the leakscope that recorded process {pid} is gone (it had pid {}); what it recorded is still in \
                 memory: leakscope recover {pid}",
                gone.pid
            ),
        )),
    }
}

/// Asks the collector of a process for a snapshot; its address where it is gone.
///
/// # Errors
/// A sentence that says why there is none, or the collector's refusal.
fn request(pid: u32) -> Result<Result<Vec<u8>, CollectorAddress>> {
    let address = match collector_of(pid) {
        Ok(Some(address)) => address,
        Ok(None) => {
            let sentence = format!("process {pid} is not recorded: it was not started under leakscope run");
            return Err(Failure::error(exit::NO_DATA, sentence));
        }
        // In a container even root may not read the environment of another user's process; whoever records it knows.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mut answers = collectors().into_iter().filter_map(|address| ask(&address, pid).ok());
            let found = answers.find_map(|answer| if let Answer::Profile(bytes) = answer { Some(bytes) } else { None });
            return found.map(Ok).ok_or_else(|| unreachable(pid, &error));
        }
        Err(error) => return Err(unreachable(pid, &error)),
    };
    Ok(match ask(&address, pid)? {
        Answer::Profile(bytes) => Ok(bytes),
        Answer::NobodyThere => Err(address),
    })
}

/// What an error under /proc/PID means.
pub fn unreachable(pid: u32, error: &io::Error) -> anyhow::Error {
    let no_such = matches!(error.kind(), io::ErrorKind::NotFound) || error.raw_os_error() == Some(libc::ESRCH);
    match error.kind() {
        _ if no_such => Failure::error(exit::NO_DATA, format!("there is no process {pid}")),
        io::ErrorKind::PermissionDenied => {
            Failure::error(exit::UNREADABLE, format!("the kernel refuses access to process {pid}: {}", advice()))
        }
        _ => Failure::error(exit::UNREADABLE, format!("cannot look at process {pid}: {error}")),
    }
}

/// What helps where access to a process is refused.
#[allow(unsafe_code)] // geteuid
fn advice() -> &'static str {
    // SAFETY: cannot fail.
    match unsafe { libc::geteuid() } {
        0 => {
            "root is not enough here, CAP_SYS_PTRACE is missing (a container?): run this as the user of that process, \
             in its container"
        }
        _ => "run this as the user of that process, or as root",
    }
}

/// Writes the bytes of a profile, after a look at them; the path.
///
/// # Errors
/// The bytes are no profile, or the file cannot be written.
pub fn save(pid: u32, wanted: Option<&Path>, bytes: &[u8]) -> Result<PathBuf> {
    let path = wanted.map_or_else(|| default_path(pid), Path::to_owned);
    let profile = leakscope_profile::read(bytes).context("the answer is no profile")?;
    profile_file::save(&profile, &path)?;
    let live = crate::sizes::bytes(crate::session_file::live_bytes(&profile));
    let size = crate::sizes::bytes(fs::metadata(&path).map_or(0, |m| m.len()));
    let target = &profile.target;
    say(&format!("{}: {} (pid {}), {live} live ({size})", path.display(), target.name, target.pid));
    Ok(path)
}

fn default_path(pid: u32) -> PathBuf {
    PathBuf::from(format!("leakscope-{pid}-{}.prof", stamp(unix_seconds())))
}
