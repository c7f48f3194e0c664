//! `leakscope recover PID`: what was recorded of a process whose leakscope is gone. The session is in the target's
//! memory, and the target has kept a descriptor of it.

use crate::allocators;
use crate::args::RecoverArgs;
use crate::commands::snapshot;
use crate::exit::{self, Failure};
use crate::locate::{collector_of, session_of};
use crate::profile_file;
use crate::request::{Answer, Request, elsewhere, unreachable};
use crate::say::say;
use crate::symbols::Symbols;
use crate::volume;
use anyhow::{Context, Result};
use leakscope_collect::{Collector, Occasion, ProcessFacts, SharedSession};
use std::fs;
use std::io;
use std::path::PathBuf;

/// Writes a profile of the session.
///
/// # Errors
/// No such process, not recorded, out of reach, or the file cannot be written.
pub fn run(args: &RecoverArgs) -> Result<u8> {
    let pid = args.pid;
    if let Some(path) = &args.output {
        profile_file::spare(path, args.force)?;
    }
    if fs::metadata(format!("/proc/{pid}")).is_err() {
        return Err(ended(pid));
    }
    // Two readers of one session would spoil each other's epochs.
    if let Ok(Some(address)) = collector_of(pid)
        && let Answer::Bytes(bytes) = Request::Snapshot.ask(address.clone(), pid)?
    {
        say(&format!(
            "leakscope: process {pid} is still being recorded (by process {}): asked for a snapshot",
            address.pid
        ));
        let path = snapshot::save(pid, args.output.as_deref(), &bytes)?;
        say(&format!("next: leakscope report {}", path.display()));
        return Ok(exit::OK);
    }
    let descriptor = session_of(pid).map_err(|error| explain(pid, &error))?;
    let shared = SharedSession::open(descriptor, None).with_context(|| format!("the session of process {pid}"))?;
    let mut facts = ProcessFacts::gather(pid);
    facts.find_jvm();
    facts.inner_allocators = allocators::of_process(&facts);
    let mut symbols = Symbols::new();
    let occasion = Occasion {
        index: None,
        reason: "recover".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Occasion::default()
    };
    let profile = Collector::new(shared).snapshot(&facts, &mut symbols, &occasion);
    let mut bytes = Vec::new();
    leakscope_profile::write(&profile, &mut bytes)?;
    let path = snapshot::save(pid, args.output.as_deref(), &bytes)?;
    say(&format!("next: leakscope report {}", path.display()));
    Ok(exit::OK)
}

/// A process that has ended took its session with it; snapshots may be on disk.
fn ended(pid: u32) -> anyhow::Error {
    let named = std::env::var_os("LEAKSCOPE_OUTPUT").map(PathBuf::from);
    let places: Vec<PathBuf> = named.into_iter().chain([PathBuf::from(".")]).collect();
    let last = match volume::last_of(pid, &places) {
        Some(path) => format!("its last snapshot: leakscope report {}", path.display()),
        None => "if it was recorded, snapshots are where leakscope run said at its start".to_owned(),
    };
    let gone = match elsewhere() {
        "" => " (any more): what was recorded in memory went with it",
        elsewhere => elsewhere,
    };
    let sentence = format!("there is no process {pid}{gone}; {last}");
    Failure::error(exit::NO_DATA, sentence)
}

fn explain(pid: u32, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::error(exit::NO_DATA, format!("process {pid} is not recorded: it has no session"))
        }
        io::ErrorKind::PermissionDenied => Failure::error(
            exit::UNREADABLE,
            format!(
                "the session of process {pid} is out of reach: run this as the user of that process, or, if it has \
                 closed its descriptors, with CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE (for /proc/{pid}/map_files)"
            ),
        ),
        _ => unreachable(pid, error),
    }
}
