//! Which recording is meant: a directory, or a process whose recorder is asked where it writes to.

use crate::exit::{self, Failure};
use crate::locate::collector_of;
use crate::recording::{self, Process, is_process_folder};
use crate::request::unreachable;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// The recording that is shown.
#[derive(Debug, Clone)]
pub struct Source {
    /// The folder of its process.
    pub folder: PathBuf,
    /// The process that marks and snapshots are asked for; 0 if it is not known.
    pub pid: u32,
    /// What should be said about the choice.
    pub notes: Vec<String>,
}

impl Source {
    /// What `PID|DIR` means: a number that is no file is a process.
    ///
    /// # Errors
    /// There is no such process, it is not recorded, or the directory holds no recording.
    pub fn of(argument: &str) -> Result<Self> {
        match argument.parse() {
            Ok(pid) if !Path::new(argument).exists() => Self::of_process(pid),
            _ => {
                let (process, notes) = recording::choose(Path::new(argument))?;
                Ok(Self { pid: process.session.pid, folder: process.folder, notes })
            }
        }
    }

    fn of_process(pid: u32) -> Result<Self> {
        let address = collector_of(pid).map_err(|error| unreachable(pid, &error))?;
        let not_recorded = format!("process {pid} is not recorded: it was not started under leakscope run");
        let Some(address) = address else { return Err(Failure::error(exit::NO_DATA, not_recorded)) };
        let folders = folders_of(address.pid);
        let own = folders.iter().find(|process| process.session.pid == pid && !process.session.was_replaced());
        if let Some(process) = own {
            return Ok(Self { pid, folder: process.folder.clone(), notes: Vec::new() });
        }
        // leakscope itself, or a command that records into several folders: the main one, as for a directory.
        let Some(recording) = folders.first().and_then(|process| process.folder.parent()) else {
            let sentence = format!(
                "cannot tell where the leakscope that records process {pid} (pid {}) writes to: give the directory",
                address.pid
            );
            return Err(Failure::error(exit::NO_DATA, sentence));
        };
        let (process, notes) = recording::choose_process(recording)?;
        Ok(Self { pid: process.session.pid, folder: process.folder, notes })
    }
}

/// The folders that a recorder writes to: it keeps each of them open, to lock it.
fn folders_of(collector: u32) -> Vec<Process> {
    let entries = fs::read_dir(format!("/proc/{collector}/fd")).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    // In another container its path is another one here.
    let root = PathBuf::from(format!("/proc/{collector}/root"));
    for folder in &mut folders {
        let through_root = folder.strip_prefix("/").map(|path| root.join(path)).unwrap_or_default();
        if !folder.is_dir() && through_root.is_dir() {
            *folder = through_root;
        }
    }
    folders.retain(|folder| folder.is_dir() && is_process_folder(folder));
    folders.sort();
    folders.iter().filter_map(|folder| recording::processes(folder).ok()).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_process_unless_there_is_such_a_file() {
        let error = Source::of(&u32::MAX.to_string()).unwrap_err();
        assert_eq!(Failure::code_of(&error), exit::NO_DATA);
        assert!(error.to_string().contains("there is no process"), "{error}");
        let error = Source::of(&std::process::id().to_string()).unwrap_err();
        assert!(error.to_string().contains("is not recorded"), "{error}");
        assert_eq!(Failure::code_of(&Source::of("no/such/folder").unwrap_err()), exit::UNREADABLE);
    }
}
