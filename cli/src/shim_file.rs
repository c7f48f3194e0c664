//! Puts the shim where the target's dynamic linker finds it.
//!
//! The library is carried inside this binary and written under a name that holds its hash. The directory must suit
//! targets of any user (a root CLI may start one that drops its privileges), so root's home is no place for it: the
//! first of these that works is taken: `$LEAKSCOPE_SHIM_DIR` alone if that is set, else `/tmp`, `/var/tmp`, `/dev/shm`, and
//! where the recording goes: in a container with a read-only root that is often the one volume there is.
//! LD_PRELOAD cannot hold a path with a space or colon, and a directory mounted noexec cannot hold a library. A file
//! that is there already is used only if its owner, mode and content are right.

use anyhow::{Context, Result, bail};
use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The shim, as built.
static SHIM: &[u8] = include_bytes!(env!("LEAKSCOPE_SHIM_FILE"));

/// The shim's path in the file system; written if it is not there yet. `recording` is the directory of the recording.
pub fn install(recording: &Path) -> Result<PathBuf> {
    let mut reasons = Vec::new();
    for parent in candidates(recording) {
        match install_in(&parent) {
            Ok(path) => return Ok(path),
            Err(error) => reasons.push(format!("{}: {error:#}", parent.display())),
        }
    }
    bail!(
        "no directory for the shim ({}). Name one that others can search and that is not mounted noexec: \
         LEAKSCOPE_SHIM_DIR=/path leakscope run ...",
        reasons.join("; ")
    )
}

fn candidates(recording: &Path) -> Vec<PathBuf> {
    if let Some(directory) = std::env::var_os("LEAKSCOPE_SHIM_DIR") {
        return vec![directory.into()];
    }
    let mut all = Vec::from(["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from));
    if let Ok(recording) = fs::canonicalize(recording) {
        all.extend(recording.parent().map(Path::to_owned));
        all.push(recording);
    }
    all
}

fn install_in(parent: &Path) -> Result<PathBuf> {
    let parent = fs::canonicalize(parent)?;
    let text = parent.to_str().context("the path is not UTF-8")?;
    if text.contains([' ', ':', '\n', '\t']) {
        bail!("a space or colon in the path breaks LD_PRELOAD");
    }
    #[allow(unsafe_code)] // no safe call in libc
    // SAFETY: geteuid has no preconditions.
    let uid = unsafe { libc::geteuid() };
    // Only root can start a target that becomes another user.
    if uid == 0 && !parent.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 != 0)) {
        bail!("other users cannot get there");
    }
    let directory = parent.join(format!("leakscope-{uid}"));
    make_directory(&directory, uid)?;
    let path = directory.join(format!("libleakscope-{:016x}.so", hash(SHIM)));
    if !is_right(&path, uid)? {
        write_shim(&directory, &path)?;
    }
    check_executable(&path)?;
    Ok(path)
}

/// Makes the directory, or checks the one that is there: ours, and writable by nobody else.
fn make_directory(directory: &Path, uid: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(directory) {
        Ok(()) => fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o022 != 0 {
        bail!("{} is not a directory of ours alone", directory.display());
    }
    if found.mode() & 0o555 != 0o555 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Whether the file is there, ours, and holds exactly the shim.
fn is_right(path: &Path, uid: u32) -> Result<bool> {
    let mut file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let found = file.metadata()?;
    if found.uid() != uid || found.mode() & 0o022 != 0 || found.mode() & 0o555 != 0o555 {
        return Ok(false);
    }
    let mut content = Vec::with_capacity(SHIM.len());
    file.read_to_end(&mut content)?;
    Ok(content == SHIM)
}

/// Writes the shim to a temporary name, created exclusively, and renames it.
fn write_shim(directory: &Path, path: &Path) -> Result<()> {
    let temporary = directory.join(format!("tmp-{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(&temporary)?;
    let written = file
        .write_all(SHIM)
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    Ok(written?)
}

/// Whether the file can be mapped executable (it cannot on a mount with noexec).
fn check_executable(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    #[allow(unsafe_code)] // memory mapping
    // SAFETY: maps a file that nobody else can write (checked above), and never runs it here.
    let mapped = unsafe { memmap2::MmapOptions::new().len(4096).map_exec(&file) };
    mapped.map(drop).context("code cannot be run from there (mounted noexec?)")
}

/// A hash for the name; the content is compared byte by byte.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_once_and_mends_what_was_changed() {
        let parent = tempfile::tempdir_in("/tmp").unwrap();
        let path = install_in(parent.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), SHIM);
        let inode = fs::metadata(&path).unwrap().ino();
        assert_eq!(fs::metadata(install_in(parent.path()).unwrap()).unwrap().ino(), inode, "used again");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&path, b"something else").unwrap();
        install_in(parent.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), SHIM, "mended");
    }

    #[test]
    fn refuses_a_directory_that_others_can_write_and_paths_that_break_ld_preload() {
        let parent = tempfile::tempdir_in("/tmp").unwrap();
        let ours = install_in(parent.path()).unwrap().parent().unwrap().to_path_buf();
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(install_in(parent.path()).is_err());
        let spaced = parent.path().join("with space");
        fs::create_dir(&spaced).unwrap();
        assert!(install_in(&spaced).is_err());
    }
}
