//! A look at a program before it is started: is it there, and can a library be preloaded into it?
//!
//! The dynamic loader ignores LD_PRELOAD in programs that gain privileges, and there is none in static ones. Both are
//! written in the file, so that the reason can be told at once.

use super::Finding;
use super::libc_version::Libc;
use crate::allocators;
use leakscope_symbolize::defined_functions;
use std::env;
use std::ffi::{CString, OsStr};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Scripts whose interpreter is a script are followed this far.
const MOST_INTERPRETERS: usize = 4;
const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
/// Longest path of a loader.
const MOST_PATH: u64 = 4096;

/// What a file is, seen from the loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It has a loader, at this path.
    Dynamic(PathBuf),
    /// It has none.
    Static,
    /// It is for another processor.
    Foreign,
    /// It gains privileges.
    Privileged,
}

/// A program, found behind the scripts that lead to it.
#[derive(Debug)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    file: File,
}

/// The file that execvp would execute: `command` itself if it has a slash, else the first in PATH that can be executed.
pub fn find(command: &OsStr) -> Option<PathBuf> {
    if command.as_bytes().contains(&b'/') {
        let path = PathBuf::from(command);
        return path.exists().then_some(path);
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut files = env::split_paths(&path).map(|directory| directory.join(command)).filter(|file| file.is_file());
    files.find(|file| is_executable(file))
}

/// Why nothing can be preloaded into this program; `None` if nothing speaks against it.
pub fn obstacle(program: &Path) -> Option<String> {
    inspect(program)?.obstacle()
}

/// Looks at a program's file, behind scripts; `None` if it cannot be read or is neither script nor program.
pub fn inspect(program: &Path) -> Option<Program> {
    let mut program = program.to_owned();
    for _ in 0..MOST_INTERPRETERS {
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&program).ok()?;
        let metadata = file.metadata().ok().filter(Metadata::is_file)?;
        if gains_privileges(&program, &metadata) {
            return Some(Program { path: program, kind: Kind::Privileged, file });
        }
        let mut start = [0; 256];
        let length = read_start(&file, &mut start);
        let start = start.get(..length)?;
        match start {
            [b'#', b'!', line @ ..] => program = interpreter(line)?,
            [0x7f, b'E', b'L', b'F', ..] => {
                let kind = elf_kind(&file, start)?;
                return Some(Program { path: program, kind, file });
            }
            _ => return None,
        }
    }
    None
}

impl Program {
    /// Why nothing can be preloaded into it.
    pub fn obstacle(&self) -> Option<String> {
        let shown = self.path.display();
        Some(match self.kind {
            Kind::Dynamic(_) => return None,
            Kind::Static => {
                format!("{shown} is statically linked: there is no loader that could preload anything")
            }
            Kind::Foreign => format!("{shown} is not a 64-bit program for x86-64"),
            Kind::Privileged => {
                format!("{shown} gains privileges (setuid, setgid or capabilities): the loader ignores LD_PRELOAD")
            }
        })
    }

    /// All that can be said of the file. `root` is where its own paths begin.
    pub fn findings(&self, root: &Path) -> Vec<Finding> {
        let shown = self.path.display();
        let Kind::Dynamic(loader) = &self.kind else {
            let advice = match self.kind {
                Kind::Static => "Link it dynamically, or record a program that it starts",
                Kind::Privileged => "Run it as the user that it becomes, without its privileges, or as root",
                _ => "Use a build of it for x86-64",
            };
            return vec![Finding::fail("program", self.obstacle().unwrap_or_default(), advice)];
        };
        let libc = Libc::of_loader(loader, root);
        let mut findings =
            vec![Finding::ok("program", format!("{shown} is dynamically linked: a library can be preloaded into it"))];
        findings.push(match libc.name.as_str() {
            "glibc" | "musl" => Finding::ok("libc", format!("it runs with {libc}")),
            _ => Finding::warn("libc", format!("it runs with another libc: {libc}"), "Recording it is untested"),
        });
        if defined_functions(&self.file, &["malloc"]) == [true] {
            findings.push(Finding::fail(
                "own-malloc",
                format!(
                    "{shown} has a malloc of its own, which its calls go to: only mappings and threads are recorded"
                ),
                "Use a build of it with the system's malloc",
            ));
        }
        let inside = allocators::linked_into(&self.file);
        if !inside.is_empty() {
            findings.push(Finding::warn(
                "inner-allocator",
                format!(
                    "{} is linked into it: what is allocated through that shows only as the memory it maps",
                    inside.join(" and ")
                ),
                "Use a build of it with the system's malloc",
            ));
        }
        findings
    }
}

#[allow(unsafe_code)] // access(2): the kernel's own answer
fn is_executable(file: &Path) -> bool {
    let Ok(path) = CString::new(file.as_os_str().as_bytes()) else { return false };
    // SAFETY: a C string that outlives the call.
    unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
}

#[allow(unsafe_code)] // geteuid, getegid and getxattr
fn gains_privileges(program: &Path, metadata: &Metadata) -> bool {
    // SAFETY: these cannot fail.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let setuid = metadata.mode() & SETUID != 0 && metadata.uid() != uid;
    // Without the group's execute bit, setgid means something else.
    let setgid = metadata.mode() & (SETGID | 0o010) == (SETGID | 0o010) && metadata.gid() != gid;
    let Ok(path) = CString::new(program.as_os_str().as_bytes()) else { return false };
    // SAFETY: two C strings; a size of 0 asks for the length only.
    let capabilities =
        unsafe { libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), std::ptr::null_mut(), 0) };
    // Root has every capability already.
    setuid || setgid || (capabilities > 0 && uid != 0)
}

fn read_start(mut file: &File, buffer: &mut [u8]) -> usize {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(read) if read > 0 => length += read,
            _ => break,
        }
    }
    length
}

/// The interpreter of a script, from what stands behind `#!`. `/usr/bin/env NAME` is followed to NAME.
fn interpreter(line: &[u8]) -> Option<PathBuf> {
    let line = line.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    let program = words.next()?;
    match (program.ends_with(b"/env"), words.next()) {
        (true, Some(name)) if !name.starts_with(b"-") => find(OsStr::from_bytes(name)),
        _ => Some(PathBuf::from(OsStr::from_bytes(program))),
    }
}

fn elf_kind(file: &File, start: &[u8]) -> Option<Kind> {
    const CLASS_64: u8 = 2;
    const X86_64: u16 = 62;
    const PT_INTERP: u32 = 3;
    let half = |at: usize| Some(u16::from_le_bytes(start.get(at..at + 2)?.try_into().ok()?));
    if start.get(4) != Some(&CLASS_64) || half(18) != Some(X86_64) {
        return Some(Kind::Foreign);
    }
    let table = u64::from_le_bytes(start.get(32..40)?.try_into().ok()?);
    let (entry_bytes, entries) = (half(54)?, half(56)?);
    let word = |index: u16, field: u64| {
        let mut word = [0; 8];
        let at = table.checked_add(u64::from(index) * u64::from(entry_bytes))?.checked_add(field)?;
        file.read_exact_at(&mut word, at).ok()?;
        Some(u64::from_le_bytes(word))
    };
    let is_loader = |index: &u16| word(*index, 0).is_some_and(|kind| kind as u32 == PT_INTERP);
    let Some(index) = (0..entries).find(is_loader) else { return Some(Kind::Static) };
    let (offset, size) = (word(index, 8)?, word(index, 32)?.min(MOST_PATH));
    let mut path = vec![0; size as usize];
    file.read_exact_at(&mut path, offset).ok()?;
    let path = path.split(|byte| *byte == 0).next()?;
    Some(Kind::Dynamic(PathBuf::from(OsStr::from_bytes(path))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn commands_are_found_as_execvp_finds_them() {
        assert!(find(OsStr::new("sh")).unwrap().ends_with("sh"));
        assert_eq!(find(OsStr::new("no-such-command-anywhere")), None);
        assert_eq!(find(OsStr::new("/no/such/file")), None);
        assert!(find(OsStr::new("/bin/sh")).is_some());
    }

    #[test]
    fn ordinary_programs_and_scripts_have_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script");
        fs::write(&script, "#!/usr/bin/env sh\n").unwrap();
        assert_eq!(obstacle(Path::new("/bin/sh")), None);
        assert_eq!(obstacle(&script), None);
        assert_eq!(obstacle(Path::new("/no/such/file")), None);
        assert_eq!(obstacle(directory.path()), None);
        let endless = directory.path().join("endless");
        fs::write(&endless, format!("#!{}\n", endless.display())).unwrap();
        assert_eq!(obstacle(&endless), None);
    }

    #[test]
    fn what_cannot_be_preloaded_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        let mut elf = fs::read("/bin/sh").unwrap();
        // No program headers, so no interpreter.
        elf[56..58].fill(0);
        fs::write(&program, &elf).unwrap();
        assert!(obstacle(&program).unwrap().contains("statically linked"));
        let script = directory.path().join("script");
        fs::write(&script, format!("#! {} -x\n", program.display())).unwrap();
        assert!(obstacle(&script).unwrap().contains("statically linked"));
        elf[4] = 1;
        fs::write(&program, &elf).unwrap();
        assert!(obstacle(&program).unwrap().contains("64-bit"));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
        let metadata = fs::metadata(&program).unwrap();
        assert!(!gains_privileges(&program, &metadata), "our own file gains nothing");
    }
}
