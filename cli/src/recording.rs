//! Recordings on disk, and which snapshot a person means: `FILE`, `DIR`, `DIR@first`, `DIR@last`, `DIR@10m`.
//!
//! ```text
//!   leakscope-app-20261120-100136/        a recording
//!     java.41/                            one recorded process
//!       session.json  0000.prof ...       its snapshots
//! ```
//! `DIR` may be the recording, a directory of several (then the newest is meant, see [`crate::volume`]), or the folder of
//! one process. `@10m` is the time since recording started. Of several processes the JVM is taken (of several JVMs the
//! one with most live bytes), else the command that was started, else the one with most live bytes; the others are
//! named. Everything works without `session.json`, only slower.

use crate::exit::{self, Failure};
use crate::session_file::{SessionFile, SnapshotEntry, live_bytes};
use crate::sizes::{duration, parse_duration};
use crate::volume::newest;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a person's path led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The profile.
    pub path: PathBuf,
    /// Its process, where the path led to a directory.
    pub process: Option<Process>,
    /// What should be said about the choice, for stderr.
    pub notes: Vec<String>,
}

/// Which snapshot of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    First,
    Last,
    /// The one taken closest to this time after the start.
    At(Duration),
}

/// One recorded process.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// Its folder.
    pub folder: PathBuf,
    /// What is known of it, from `session.json` or from its last profile.
    pub session: SessionFile,
}

/// Finds the profile that `spec` means; without a selector, the last one.
///
/// # Errors
/// Nothing is there, or nothing that was recorded.
pub fn resolve(spec: &str) -> Result<Resolved> {
    let (path, which) = split(spec)?;
    // Also a pipe; what is no profile is told apart by its contents.
    if path.exists() && !path.is_dir() {
        return Ok(Resolved { path, process: None, notes: Vec::new() });
    }
    let (process, mut notes) = choose(&path)?;
    let Some(entry) = select(&process.session.snapshots, which) else {
        return Err(Failure::error(exit::NO_DATA, format!("{} holds no snapshots", process.folder.display())));
    };
    if let Which::At(wanted) = which {
        let found = Duration::from_millis(entry.uptime_ms);
        if found.abs_diff(wanted) > Duration::from_secs(1) {
            notes.push(format!("the snapshot closest to {} was taken after {}", duration(wanted), duration(found)));
        }
    }
    if process.session.is_abandoned(&process.folder) {
        let (folder, pid) = (process.folder.display(), process.session.pid);
        notes.push(format!(
            "the leakscope that recorded {folder} was killed: nothing came after the last snapshot (if the process still \
             runs: leakscope recover {pid})"
        ));
    }
    Ok(Resolved { path: process.folder.join(&entry.file), process: Some(process), notes })
}

/// The processes of a recording, or the one of a process's folder; in order of their folders' names.
///
/// # Errors
/// The directory does not exist, or holds no recording.
pub fn processes(directory: &Path) -> Result<Vec<Process>> {
    let shown = directory.display();
    let entries = fs::read_dir(directory).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::error(exit::UNREADABLE, format!("{shown} does not exist")),
        _ => Failure::error(exit::UNREADABLE, format!("cannot read {shown}: {error}")),
    })?;
    let mut folders: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|p| is_process_folder(p)).collect();
    if is_process_folder(directory) {
        folders = vec![directory.to_owned()];
    }
    folders.sort();
    let processes: Vec<Process> = folders.into_iter().map(process).collect();
    if processes.is_empty() {
        return Err(Failure::error(
            exit::NO_DATA,
            format!(
                "{shown} holds no recording: that is what `leakscope run -o DIR` writes, a folder for each process \
                 (java.41) with snapshots (0000.prof) in it"
            ),
        ));
    }
    Ok(processes)
}

/// The process that a directory means: of the newest recording in it the JVM, or the one with most live bytes; and what
/// should be said about the choice.
///
/// # Errors
/// As [`processes`].
pub fn choose(directory: &Path) -> Result<(Process, Vec<String>)> {
    let (recording, mut notes) = newest(directory);
    let (process, more) = choose_process(&recording)?;
    notes.extend(more);
    Ok((process, notes))
}

/// The process of one recording that is meant, and what should be said about the choice.
///
/// # Errors
/// As [`processes`].
pub fn choose_process(directory: &Path) -> Result<(Process, Vec<String>)> {
    let mut processes = processes(directory)?;
    let live = |process: &Process| process.session.snapshots.last().map_or(0, |entry| entry.live_bytes);
    let rank = |process: &Process| {
        let session = &process.session;
        // A folder without a snapshot comes last, whatever it is; then a program that executed another one.
        let still_counts = (!session.snapshots.is_empty(), !session.was_replaced());
        // What leaks is hardly the shell that started it: of several the one with most live bytes.
        (still_counts, session.jvm, live(process), session.root)
    };
    // The first of equals, so that the choice is the same each time.
    let mut best = 0;
    for (index, process) in processes.iter().enumerate() {
        if rank(process) > rank(&processes[best]) {
            best = index;
        }
    }
    let chosen = processes.remove(best);
    let mut notes = Vec::new();
    if !processes.is_empty() {
        let names: Vec<String> = processes.iter().map(|p| p.folder.display().to_string()).collect();
        let is_one = processes.iter().all(|process| process.session.pid == chosen.session.pid);
        let what = if is_one { "other programs of this process" } else { "also recorded" };
        notes.push(format!("taking {}; {what}: {}", chosen.folder.display(), names.join(", ")));
    }
    Ok((chosen, notes))
}

/// Whether a directory is the folder of one process: it has a session file or a profile.
pub fn is_process_folder(directory: &Path) -> bool {
    directory.join(crate::session_file::NAME).is_file() || !profiles(directory).is_empty()
}

fn split(spec: &str) -> Result<(PathBuf, Which)> {
    if let Some((path, selector)) = spec.rsplit_once('@')
        && !Path::new(spec).exists()
    {
        let which =
            match selector {
                "first" => Which::First,
                "last" => Which::Last,
                time => Which::At(parse_duration(time).map_err(|_| {
                    Failure::error(exit::USAGE, format!("'{spec}': write DIR@first, DIR@last or DIR@10m"))
                })?),
            };
        return Ok((PathBuf::from(path), which));
    }
    Ok((PathBuf::from(spec), Which::Last))
}

fn select(snapshots: &[SnapshotEntry], which: Which) -> Option<&SnapshotEntry> {
    match which {
        Which::First => snapshots.first(),
        Which::Last => snapshots.last(),
        Which::At(time) => {
            let wanted_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            snapshots.iter().min_by_key(|entry| entry.uptime_ms.abs_diff(wanted_ms))
        }
    }
}

/// What is known of the process of a folder. Snapshots are the files that are there: some may have been removed, and
/// some may have been written after the session file.
fn process(folder: PathBuf) -> Process {
    let mut session = SessionFile::read(&folder).unwrap_or_default();
    let files = profiles(&folder);
    session.snapshots.retain(|entry| files.contains(&entry.file));
    for file in files {
        if session.snapshots.iter().any(|entry| entry.file == file) {
            continue;
        }
        // One that cannot be read is no snapshot of this process; whoever names it will hear why.
        if let Ok(profile) = leakscope_profile::load(&folder.join(&file)) {
            session.pid = profile.target.pid;
            session.jvm |= !profile.target.jvm.is_empty();
            let live_bytes = live_bytes(&profile);
            let snapshot = profile.snapshot;
            session.name = profile.target.name;
            session.snapshots.push(SnapshotEntry {
                file,
                index: snapshot.index,
                epoch: snapshot.epoch,
                uptime_ms: snapshot.uptime_ms,
                reason: snapshot.reason,
                live_bytes,
                ..SnapshotEntry::default()
            });
        }
    }
    session.snapshots.sort_by_key(|entry| (entry.uptime_ms, entry.index));
    Process { folder, session }
}

/// Names of the profiles in a directory, in order.
fn profiles(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_ours = |name: &String| {
        let stem = name.strip_suffix(".prof").unwrap_or_default();
        stem.len() >= 4 && stem.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(is_ours).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session_file::SCHEMA;
    use leakscope_profile::{ProfileBuilder, Settings, Snapshot, Target};

    fn add(folder: &Path, index: u32, uptime_ms: u64) {
        fs::create_dir_all(folder).unwrap();
        let snapshot = Snapshot { index, uptime_ms, ..Snapshot::default() };
        let target = Target { pid: 41, name: "java".into(), ..Target::default() };
        let profile = ProfileBuilder::new(target, snapshot, Settings::default()).finish();
        leakscope_profile::save(&profile, &folder.join(format!("{index:04}.prof"))).unwrap();
    }

    fn describe(folder: &Path, jvm: bool, root: bool, live_bytes: u64) {
        add(folder, 0, 1000);
        let entry = SnapshotEntry { file: "0000.prof".into(), uptime_ms: 1000, live_bytes, ..SnapshotEntry::default() };
        let file = SessionFile { schema: SCHEMA.into(), jvm, root, snapshots: vec![entry], ..SessionFile::default() };
        file.write(folder).unwrap();
    }

    fn text(path: &Path) -> String {
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_snapshot_is_found_by_time_without_a_session_file() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("java.41");
        for (index, minutes) in [(0, 1), (1, 2), (2, 10), (3, 30)] {
            add(&folder, index, minutes * 60_000);
        }
        for directory in [text(root.path()), text(&folder)] {
            for (selector, file) in [
                ("", "0003"),
                ("@first", "0000"),
                ("@last", "0003"),
                ("@10m", "0002"),
                ("@12m", "0002"),
                ("@9h", "0003"),
            ] {
                let resolved = resolve(&format!("{directory}{selector}")).unwrap();
                assert_eq!(resolved.path, folder.join(format!("{file}.prof")), "{selector}");
                assert_eq!(resolved.notes.is_empty(), !matches!(selector, "@12m" | "@9h"));
            }
        }
        let file = text(&folder.join("0001.prof"));
        assert_eq!(resolve(&file).unwrap().path, PathBuf::from(file));
    }

    #[test]
    fn the_jvm_is_taken_and_the_others_are_named() {
        let root = tempfile::tempdir().unwrap();
        let chosen =
            || choose(root.path()).map(|(p, notes)| (p.folder.file_name().unwrap().to_owned(), notes)).unwrap();
        describe(&root.path().join("b.2"), false, false, 900);
        assert_eq!(chosen(), ("b.2".into(), Vec::new()));
        describe(&root.path().join("sh.1"), false, true, 1);
        assert_eq!(chosen().0, "b.2");
        describe(&root.path().join("sh.1"), false, true, 900);
        assert_eq!(chosen().0, "sh.1");
        describe(&root.path().join("java.3"), true, false, 5);
        describe(&root.path().join("java.4"), true, false, 6);
        let (name, notes) = chosen();
        assert_eq!(name, "java.4");
        assert!(notes[0].contains("java.3") && notes[0].contains("sh.1") && notes[0].contains("b.2"));
    }

    #[test]
    fn what_is_not_there_is_said() {
        let root = tempfile::tempdir().unwrap();
        let code = |spec: &str| Failure::code_of(&resolve(spec).unwrap_err());
        assert_eq!(code(&text(root.path())), exit::NO_DATA);
        assert_eq!(code(&text(&root.path().join("gone"))), exit::UNREADABLE);
        assert_eq!(code(&format!("{}@noon", text(root.path()))), exit::USAGE);
        let odd = root.path().join("x@10m");
        add(&odd, 0, 5);
        assert_eq!(resolve(&text(&odd)).unwrap().path, odd.join("0000.prof"), "a name may hold an @");
    }

    #[test]
    fn files_that_are_gone_or_damaged_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("java.41");
        describe(&folder, true, true, 5);
        add(&folder, 1, 2000);
        fs::remove_file(folder.join("0000.prof")).unwrap();
        fs::write(folder.join("0002.prof"), "noise").unwrap();
        let found = processes(root.path()).unwrap();
        let files: Vec<_> = found[0].session.snapshots.iter().map(|s| s.file.clone()).collect();
        assert_eq!(files, ["0001.prof"]);
    }
}
