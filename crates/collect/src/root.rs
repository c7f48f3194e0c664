//! The root directory of a process, held open: the way to its files, in its container, even after its death.
#![allow(unsafe_code)] // openat2 is reached through libc

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The root directory of a process; the collector's own where the process's is out of reach.
#[derive(Debug)]
pub struct ProcessRoot {
    directory: Option<File>,
    is_ours: bool,
}

impl ProcessRoot {
    /// Opens /proc/PID/root.
    pub fn of(pid: u32) -> Self {
        let options = libc::O_PATH | libc::O_DIRECTORY;
        let directory = OpenOptions::new().read(true).custom_flags(options).open(format!("/proc/{pid}/root")).ok();
        let identity = |metadata: io::Result<fs::Metadata>| metadata.map(|m| (m.dev(), m.ino())).ok();
        let theirs = directory.as_ref().and_then(|directory| identity(directory.metadata()));
        let is_ours = theirs.is_none() || theirs == identity(fs::metadata("/"));
        Self { directory, is_ours }
    }

    /// Whether paths mean the same to the process and to us.
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Opens a regular file by its path in the process. Never waits (a pipe in its place is refused), never follows
    /// a symbolic link out of the root.
    ///
    /// # Errors
    /// Those of opening; `InvalidInput` for anything but a regular file.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        let file = match &self.directory {
            Some(directory) if !self.is_ours => {
                open_below(directory, path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY)?
            }
            _ => OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?,
        };
        regular(file)
    }

    /// Opens a directory by its path in the process, to reach what is in it. Never follows a link out of the root.
    ///
    /// # Errors
    /// Those of opening.
    pub(crate) fn directory(&self, path: &Path) -> io::Result<File> {
        let directory = self.directory.as_ref().ok_or(io::ErrorKind::NotFound)?;
        open_below(directory, path, libc::O_PATH | libc::O_DIRECTORY)
    }
}

/// The file, if it is a regular one.
pub(crate) fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn open_below(directory: &File, path: &Path, flags: i32) -> io::Result<File> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: all fields of open_how are integers; zero is a valid value of each.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT;
    // SAFETY: the path is a C string and `how` a valid open_how of the size given; both outlive the call.
    let raw = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            directory.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    match RawFd::try_from(raw) {
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(raw) if raw >= 0 => Ok(unsafe { File::from_raw_fd(raw) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_and_pipes_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink("/file", directory.path().join("absolute")).unwrap();
        let ours = ProcessRoot::of(std::process::id());
        assert!(ours.is_ours());
        assert!(ours.open(&file).is_ok());
        assert!(ours.open(directory.path()).is_err(), "a directory");
        let other = ProcessRoot { directory: Some(File::open(directory.path()).unwrap()), is_ours: false };
        assert!(other.open(Path::new("/file")).is_ok());
        assert!(other.open(Path::new("/../../file")).is_ok(), "the root has no parent");
        assert!(other.open(Path::new("/absolute")).is_ok(), "links are followed inside");
        assert!(other.open(&file).is_err(), "not inside that root");
        assert!(other.directory(Path::new("/")).is_ok() && other.directory(Path::new("/file")).is_err());
    }
}
