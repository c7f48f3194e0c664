//! Profiles of a recording. Each that is read has passed [`Profile::check`].

use super::Recording;
use leakscope_profile::{Code, Profile, Row, Stack};
use std::fs;
use std::path::{Path, PathBuf};

/// Reads a profile; fails if it is damaged or contradicts itself.
pub fn read(path: &Path) -> Profile {
    let profile = leakscope_profile::load(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    profile.check().unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
    profile
}

impl Recording {
    /// Folders of the recorded processes.
    pub fn folders(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.directory()) else { return Vec::new() };
        let mut folders: Vec<_> = entries.flatten().map(|e| e.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    }

    /// The only recorded process's folder.
    pub fn folder(&self) -> PathBuf {
        match self.folders().as_slice() {
            [one] => one.clone(),
            other => panic!("not one process but {other:?}\n{}", self.everything()),
        }
    }

    /// The folder of the process with this id.
    pub fn folder_of(&self, pid: impl std::fmt::Display) -> PathBuf {
        let end = format!(".{pid}");
        let folder = self.folders().into_iter().find(|folder| folder.to_string_lossy().ends_with(&end));
        folder.unwrap_or_else(|| panic!("no folder of process {pid}\n{}", self.everything()))
    }

    /// All profiles of the only process, oldest first.
    pub fn profiles(&self) -> Vec<Profile> {
        profiles_in(&self.folder())
    }

    /// The last profile of the only process.
    pub fn last(&self) -> Profile {
        self.profiles().pop().unwrap_or_else(|| panic!("no profile\n{}", self.everything()))
    }

    /// Where it is.
    pub fn last_file(&self) -> PathBuf {
        self.folder().join(format!("{:04}.prof", self.last().snapshot.index))
    }

    /// The last profile of each process.
    pub fn last_of_each(&self) -> Vec<Profile> {
        self.folders().iter().filter_map(|folder| profiles_in(folder).pop()).collect()
    }

    /// The last profile of the process with a JVM.
    pub fn last_of_jvm(&self) -> Profile {
        let mut jvms = self
            .last_of_each()
            .into_iter()
            .filter(|profile| profile.modules.iter().any(|m| m.path.ends_with("/libjvm.so")));
        jvms.next().unwrap_or_else(|| panic!("no process with a JVM\n{}", self.everything()))
    }
}

/// All profiles in the folder of a process, oldest first.
pub fn profiles_in(folder: &Path) -> Vec<Profile> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "prof"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// Names of the functions of a row's stack, leaf first.
pub fn functions<'p>(profile: &'p Profile, row: &Row) -> impl Iterator<Item = &'p str> {
    functions_of(profile, &profile.stacks[row.stack.0 as usize])
}

/// Names of a stack's functions, leaf first.
pub fn functions_of<'p>(profile: &'p Profile, stack: &'p Stack) -> impl Iterator<Item = &'p str> {
    stack.frames.iter().map(|id| profile.functions[profile.frames[id.0 as usize].function.0 as usize].name.as_str())
}

/// Observed bytes and objects of the rows whose stack holds `function`.
pub fn observed(profile: &Profile, function: &str) -> (u64, u64) {
    let rows = profile.rows.iter().filter(|row| functions(profile, row).any(|name| name == function));
    rows.fold((0, 0), |(bytes, objects), row| (bytes + row.bytes_observed, objects + row.samples))
}

/// Samples taken on Java threads after Java stacks were ready, live or not: with Java frames, and without.
///
/// One without is a stack that carries the note of a refusal, or one that was cut before it reached Java code. A stack
/// that reached the start of the program or the loop of a compiler thread was cut beyond: it has no Java code.
pub fn java_samples(profile: &Profile) -> (u64, u64) {
    let (mut with, mut without) = (0, 0);
    for stack in &profile.stacks {
        let has_java = stack.frames.iter().any(|id| profile.frames[id.0 as usize].code == Code::Java);
        let has = |function: &str| functions_of(profile, stack).any(|name| name == function);
        let is_cut = has("[truncated]") && !has("_start") && !has("CompileBroker::compiler_thread_loop");
        if has_java {
            with += stack.totals.samples;
        } else if has("[java frames refused by the JVM]") || is_cut {
            without += stack.totals.samples;
        }
    }
    (with, without)
}
