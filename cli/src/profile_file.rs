//! Writing a profile for a person: the reason of a failure is said once, and a file is not overwritten unasked.

use crate::exit::{self, Failure};
use anyhow::{Result, anyhow};
use leakscope_profile::{Profile, WriteError};
use std::path::Path;

/// Writes a profile, in one step.
///
/// # Errors
/// One sentence that names the file and the reason.
pub fn save(profile: &Profile, path: &Path) -> Result<()> {
    leakscope_profile::save(profile, path).map_err(|error| {
        let reason = match error {
            WriteError::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        anyhow!("cannot write {}: {reason}", path.display())
    })
}

/// Refuses a file that exists, unless `force` is set.
///
/// # Errors
/// The refusal.
pub fn spare(path: &Path, force: bool) -> Result<()> {
    // A link that leads nowhere would be replaced as well.
    if force || path.symlink_metadata().is_err() {
        return Ok(());
    }
    let sentence = format!("{} exists; --force overwrites it, -o takes another name", path.display());
    Err(Failure::error(exit::UNREADABLE, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::{ProfileBuilder, Settings, Snapshot, Target};

    #[test]
    fn a_failure_names_the_file_and_the_reason_once() {
        let profile = ProfileBuilder::new(Target::default(), Snapshot::default(), Settings::default()).finish();
        let error = save(&profile, Path::new("/no/such/directory/x.prof")).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "cannot write /no/such/directory/x.prof: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn what_exists_is_spared() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("now.prof");
        spare(&path, false).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert_eq!(Failure::code_of(&spare(&path, false).unwrap_err()), exit::UNREADABLE);
        spare(&path, true).unwrap();
    }
}
