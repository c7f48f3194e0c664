//! Where a recording goes: the directory's name, and a new one rather than an old recording overwritten.

use crate::clock::stamp;
use crate::volume;
use anyhow::{Context, Result, bail};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Directories tried before giving up.
const MOST_TRIES: usize = 10_000;

/// Name of a recording: `template` with `%p`, `%n`, `%t` and `%%` replaced, or `leakscope-NAME-TIME`.
pub fn expand(template: Option<&str>, pid: u32, name: &str, unix_seconds: i64) -> PathBuf {
    let template = template.unwrap_or("leakscope-%n-%t");
    let mut out = String::new();
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('%', Some('p')) => out.push_str(&pid.to_string()),
            ('%', Some('n')) => out.push_str(&safe(name)),
            ('%', Some('t')) => out.push_str(&stamp(unix_seconds)),
            ('%', Some('%')) => out.push('%'),
            _ => {
                out.push(c);
                continue;
            }
        }
        chars.next();
    }
    PathBuf::from(out)
}

/// A name that is safe as a part of a file name.
pub fn safe(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let safe: String = name.chars().take(64).map(keep).collect();
    match safe.trim_start_matches('.') {
        "" => "process".to_owned(),
        visible => visible.to_owned(),
    }
}

/// Makes the directory of a recording, or takes an existing one that holds none. In one that does hold a recording, a
/// numbered directory is made (see [`crate::volume`]). The directory, and whether it was made.
///
/// # Errors
/// The directory cannot be made or written.
pub fn prepare(wanted: &Path) -> Result<(PathBuf, bool)> {
    if wanted.is_relative() && std::env::current_dir().is_err() {
        bail!("the current directory has been deleted; name another one with -o");
    }
    for place in volume::places(wanted).take(MOST_TRIES) {
        let is_new = !place.exists();
        if try_take(&place)? {
            return Ok((place, is_new));
        }
    }
    bail!("others put recordings into {} faster than we can", wanted.display())
}

/// `false` if the directory holds a recording.
fn try_take(directory: &Path) -> Result<bool> {
    let make = || DirBuilder::new().mode(0o700).create(directory);
    let made = make().or_else(|error| match directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(parent).and_then(|()| make()),
        _ => Err(error),
    });
    match made {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {
            if volume::holds_recording(directory) {
                return Ok(false);
            }
        }
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", directory.display())),
    }
    let probe = directory.join(format!(".leakscope-{}.tmp", std::process::id()));
    File::create(&probe).with_context(|| format!("cannot write into {}", directory.display()))?;
    // A leftover of no bytes would harm nobody.
    let _ = fs::remove_file(&probe);
    Ok(true)
}

/// Makes the folder of one process in a recording: `java.41`, then `java.41.2`.
///
/// # Errors
/// Those of the file system.
pub fn process_folder(recording: &Path, name: &str, pid: u32) -> io::Result<PathBuf> {
    for number in 1..MOST_TRIES {
        let suffix = if number == 1 { String::new() } else { format!(".{number}") };
        let folder = recording.join(format!("{}.{pid}{suffix}", safe(name)));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn templates_are_expanded() {
        let text = |template| expand(template, 7, "my app", 0).to_string_lossy().into_owned();
        assert!(text(None).starts_with("leakscope-my_app-19"));
        assert_eq!(text(Some("/d/%n.%p-100%%-%x%")), "/d/my_app.7-100%-%x%");
        assert_eq!((safe("../x"), safe(""), safe("java")), ("_x".into(), "process".into(), "java".into()));
    }

    #[test]
    fn a_recording_is_never_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let wanted = root.path().join("deep/er/rec");
        assert_eq!(prepare(&wanted).unwrap(), (wanted.clone(), true));
        assert_eq!(fs::metadata(&wanted).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(prepare(&wanted).unwrap(), (wanted.clone(), false), "an empty one is taken again");
        let folder = process_folder(&wanted, "java", 41).unwrap();
        assert_eq!(prepare(&wanted).unwrap().0, wanted, "and one without a profile");
        fs::write(folder.join("0000.prof"), "").unwrap();
        assert_eq!(prepare(&wanted).unwrap(), (wanted.join("recording-2"), true));
        assert_eq!(prepare(&wanted).unwrap(), (wanted.join("recording-2"), false), "empty as well");
        fs::create_dir_all(wanted.join("recording-2/sh.1")).unwrap();
        fs::write(wanted.join("recording-2/sh.1/session.json"), "").unwrap();
        assert_eq!(prepare(&wanted).unwrap(), (wanted.join("recording-3"), true));
        assert_eq!(prepare(&folder).unwrap(), (folder.join("recording-2"), true), "the folder of one process");
        assert_eq!(fs::read_dir(root.path().join("deep/er")).unwrap().count(), 1, "nothing beside it");
    }

    #[test]
    fn folders_of_one_process_are_numbered() {
        let root = tempfile::tempdir().unwrap();
        assert!(process_folder(root.path(), "java", 41).unwrap().ends_with("java.41"));
        assert!(process_folder(root.path(), "java", 41).unwrap().ends_with("java.41.2"));
        assert!(process_folder(&root.path().join("gone"), "java", 41).is_err());
    }

    #[test]
    fn what_cannot_be_a_directory_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(prepare(&file).is_err());
        assert!(prepare(&file.join("below")).is_err());
        assert!(prepare(Path::new("")).is_err());
        assert!(prepare(Path::new("/proc/nowhere/below")).is_err(), "where its parent exists and takes nothing");
        assert!(prepare(Path::new("/proc/nowhere")).is_err());
    }
}
