//! Puts a profile on disk whole or not at all.
//!
//! A profile is written to a temporary name in the same directory, flushed to the disk and renamed: a reader never
//! sees half of one, and a full disk or a crash leaves what was there before. It may hold a command line and names of
//! internal code, so nobody but the owner may read it, from the first byte on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::WriteError;
use crate::file::write;
use crate::model::Profile;

/// Writes a profile to a file of mode 0600, replacing one of the same name in one step.
///
/// # Errors
/// The profile contradicts itself, or the disk fails. Then the file of this name is what it was before, and the
/// temporary one is gone.
pub fn save(profile: &Profile, path: &Path) -> Result<(), WriteError> {
    let (file, temporary) = Temporary::beside(path)?;
    let mut out = BufWriter::new(file);
    write(profile, &mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    temporary.rename(path)?;
    // The new name itself survives a power cut only once the directory is on disk. The file is complete either way,
    // and some file systems refuse this, so it is no error.
    let _ = File::open(directory(path)).and_then(|directory| directory.sync_all());
    Ok(())
}

/// A file that disappears unless it is renamed.
struct Temporary {
    path: Option<PathBuf>,
}

impl Temporary {
    /// Creates a file next to `path`, under a hidden name that nobody has.
    fn beside(path: &Path) -> io::Result<(File, Self)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"));
        };
        loop {
            // Relaxed: only that no two calls get the same number matters.
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{}.{number}.tmp", process::id()));
            let temporary = directory(path).join(hidden);
            // create_new: never follows a link that somebody put there, never takes over a file with another mode.
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary) {
                Ok(file) => return Ok((file, Self { path: Some(temporary) })),
                // Left by a killed process that had our id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn rename(mut self, to: &Path) -> io::Result<()> {
        if let Some(path) = &self.path {
            fs::rename(path, to)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Nothing is left to do where even this fails.
            let _ = fs::remove_file(path);
        }
    }
}

/// The directory of a file; `.` for a bare name.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
