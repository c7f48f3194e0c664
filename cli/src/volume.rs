//! A directory that recordings go to (`run -o /dumps`), and which of those in it is the newest.
//!
//! ```text
//!   /dumps/java.41/                  the first recording lies in the directory itself,
//!   /dumps/recording-2/java.41/      those of restarted pods below it
//!   /dumps/recording-3/java.41/
//! ```
//! Nothing is ever put beside the directory: it is often a mounted volume, and what is beside it goes with the
//! container. Numbers only rise, so the highest is the newest, whatever the clocks of restarted machines say.

use crate::recording::{choose_process, is_process_folder, processes};
use std::fs;
use std::path::{Path, PathBuf};

/// What the directories of later recordings are called, before their number.
const PREFIX: &str = "recording-";
/// Number of the first recording that has one.
const FIRST_NUMBER: u32 = 2;
/// Other recordings that are named; a pod in a crash loop leaves hundreds.
const MOST_NAMED: usize = 3;

/// Directories for the next recording, best first, with no end: the directory itself as long as it is new to
/// recordings, then numbered ones, after the highest number that was given.
pub fn places(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let highest = numbered(directory).last().map(|(number, _)| *number);
    let itself = highest.is_none().then(|| directory.to_owned());
    let (directory, first) = (directory.to_owned(), highest.unwrap_or(FIRST_NUMBER));
    itself.into_iter().chain((first..).map(move |number| directory.join(format!("{PREFIX}{number}"))))
}

/// Whether a directory is, or itself holds, the folder of a recorded process.
pub fn holds_recording(directory: &Path) -> bool {
    let folders = fs::read_dir(directory).into_iter().flatten().flatten();
    is_process_folder(directory) || folders.into_iter().any(|entry| is_process_folder(&entry.path()))
}

/// The newest recording of a directory that has a snapshot, and what should be said about the choice. A directory
/// without recordings is returned as it is.
pub fn newest(directory: &Path) -> (PathBuf, Vec<String>) {
    let itself = std::iter::once(directory.to_owned());
    let below = numbered(directory).into_iter().map(|(_, path)| path);
    let mut recordings: Vec<PathBuf> = itself.chain(below).filter(|path| holds_recording(path)).collect();
    let has_snapshot = |path: &PathBuf| {
        processes(path).is_ok_and(|processes| processes.iter().any(|process| !process.session.snapshots.is_empty()))
    };
    let Some(last) = recordings.len().checked_sub(1) else {
        return (directory.to_owned(), Vec::new());
    };
    let chosen = recordings.remove(recordings.iter().rposition(has_snapshot).unwrap_or(last));
    if recordings.is_empty() {
        return (chosen, Vec::new());
    }
    let mut named: Vec<String> =
        recordings.iter().rev().take(MOST_NAMED).map(|path| described(path, directory)).collect();
    if recordings.len() > MOST_NAMED {
        named.push(format!("{} older ones", recordings.len() - MOST_NAMED));
    }
    let all = recordings.len() + 1;
    let note = format!("taking {}, the newest of {all} recordings; also: {}", chosen.display(), named.join(", "));
    (chosen, vec![note])
}

/// The last snapshot of a process, in recordings that are, or lie in, one of these directories; of several processes
/// with that id the one that started last.
pub fn last_of(pid: u32, directories: &[PathBuf]) -> Option<PathBuf> {
    let below = directories.iter().flat_map(|directory| fs::read_dir(directory).into_iter().flatten().flatten());
    let mut places: Vec<PathBuf> = below.map(|entry| entry.path()).collect();
    places.extend_from_slice(directories);
    let deeper: Vec<PathBuf> = places.iter().flat_map(|place| numbered(place)).map(|(_, path)| path).collect();
    let recordings = places.into_iter().chain(deeper).filter(|place| holds_recording(place));
    let all = recordings.filter_map(|recording| processes(&recording).ok()).flatten();
    let newest = all.filter(|process| process.session.pid == pid && !process.session.snapshots.is_empty());
    let process = newest.max_by(|a, b| a.session.started.cmp(&b.session.started))?;
    Some(process.folder.join(&process.session.snapshots.last()?.file))
}

/// A recording under a name that leads to it again (the directory itself leads to the newest), and when it started.
fn described(recording: &Path, directory: &Path) -> String {
    let Ok((process, _)) = choose_process(recording) else { return recording.display().to_string() };
    let path = if recording == directory { &process.folder } else { recording };
    match process.session.started.as_str() {
        "" => path.display().to_string(),
        started => format!("{} (started {started})", path.display()),
    }
}

/// The numbered directories, by number.
fn numbered(directory: &Path) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse::<u32>().ok();
    let mut found: Vec<(u32, PathBuf)> = entries
        .map(|entry| entry.path())
        .filter_map(|path| Some((number(&path)?, path)))
        .filter(|(number, path)| *number >= FIRST_NUMBER && path.is_dir())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session_file::{SCHEMA, SessionFile};
    use leakscope_profile::{ProfileBuilder, Settings, Snapshot, Target};

    fn record(recording: &Path, started: &str) {
        let folder = recording.join("java.41");
        fs::create_dir_all(&folder).unwrap();
        let profile = ProfileBuilder::new(Target::default(), Snapshot::default(), Settings::default()).finish();
        leakscope_profile::save(&profile, &folder.join("0000.prof")).unwrap();
        let file = SessionFile { schema: SCHEMA.into(), started: started.into(), ..SessionFile::default() };
        file.write(&folder).unwrap();
    }

    #[test]
    fn the_newest_is_taken_and_the_others_are_named() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path();
        assert_eq!(newest(directory), (directory.to_owned(), Vec::new()));
        record(directory, "2026-11-20T09:00:00Z");
        assert_eq!(newest(directory), (directory.to_owned(), Vec::new()));
        for number in [2, 10] {
            // The clock of the restarted machine is wrong.
            record(&directory.join(format!("recording-{number}")), "1970-01-01T00:00:00Z");
        }
        let (chosen, notes) = newest(directory);
        assert_eq!(chosen, directory.join("recording-10"));
        let shown = directory.display();
        let expected = format!(
            "taking {shown}/recording-10, the newest of 3 recordings; also: \
             {shown}/recording-2 (started 1970-01-01T00:00:00Z), {shown}/java.41 (started 2026-11-20T09:00:00Z)"
        );
        assert_eq!(notes, [expected]);
        let second = directory.join("recording-2");
        assert_eq!(newest(&second), (second, Vec::new()), "a name that is said leads there");
        // One that has just begun, or whose leakscope was killed at once.
        fs::create_dir_all(directory.join("recording-11/java.41")).unwrap();
        fs::write(directory.join("recording-11/java.41/session.json"), "{}").unwrap();
        assert_eq!(newest(directory).0, directory.join("recording-10"));
        for number in 12..20 {
            record(&directory.join(format!("recording-{number}")), "");
        }
        let (chosen, notes) = newest(directory);
        assert!(chosen.ends_with("recording-19") && notes[0].ends_with(", 8 older ones"), "{notes:?}");
    }

    #[test]
    fn later_recordings_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        let names = |directory: &Path| {
            let end = |path: PathBuf| path.strip_prefix(root.path()).unwrap().display().to_string();
            places(directory).take(3).map(end).collect::<Vec<_>>()
        };
        assert_eq!(names(&root.path().join("new")), ["new", "new/recording-2", "new/recording-3"]);
        for other in ["recording-4", "recording-1", "recording-x", "recording-4294967296"] {
            fs::create_dir_all(root.path().join("old").join(other)).unwrap();
        }
        fs::write(root.path().join("old/recording-9"), "").unwrap();
        // The highest may be empty, and then it is taken again.
        assert_eq!(names(&root.path().join("old")), ["old/recording-4", "old/recording-5", "old/recording-6"]);
    }
}
