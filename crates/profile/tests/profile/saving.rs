//! Saving: whole or not at all, and for the owner's eyes only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use leakscope_profile::{Profile, ReadError, Stack, WriteError, load, save};

use crate::random;

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("listable");
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_saved_profile_is_loaded_again_and_nothing_else_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0001.prof");
    save(&random::profile(1), &path).unwrap();
    save(&random::profile(2), &path).unwrap();
    assert_eq!(load(&path).unwrap(), random::profile(2));
    assert_eq!(names(directory.path()), ["0001.prof"]);
}

#[test]
fn only_the_owner_may_read_it_whatever_was_there_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.prof");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    save(&random::profile(1), &path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_link_is_replaced_and_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let (other, path) = (directory.path().join("other"), directory.path().join("a.prof"));
    fs::write(&other, "untouched").unwrap();
    std::os::unix::fs::symlink(&other, &path).unwrap();
    save(&random::profile(1), &path).unwrap();
    assert_eq!(fs::read_to_string(&other).unwrap(), "untouched");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn a_failure_leaves_what_was_there_and_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.prof");
    fs::write(&path, "old").unwrap();
    let unsound = Profile { stacks: vec![Stack::default()], ..Profile::default() };
    assert!(matches!(save(&unsound, &path), Err(WriteError::Inconsistent(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(directory.path()), ["a.prof"]);

    // The rename fails: a directory is in the way.
    let way = directory.path().join("directory");
    fs::create_dir(&way).unwrap();
    assert!(matches!(save(&Profile::default(), &way), Err(WriteError::Io(_))));
    assert_eq!(names(directory.path()), ["a.prof", "directory"]);
    assert!(matches!(save(&Profile::default(), Path::new("/")), Err(WriteError::Io(_))));
    assert!(matches!(save(&Profile::default(), &directory.path().join("no/a.prof")), Err(WriteError::Io(_))));
}

#[test]
fn what_cannot_be_loaded_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing.prof");
    match load(&path) {
        Err(error @ ReadError::NotFound(_)) => assert!(error.to_string().ends_with("missing.prof does not exist")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(load(directory.path()), Err(ReadError::Io(_))));
    fs::write(&path, "").unwrap();
    assert!(matches!(load(&path), Err(ReadError::Empty)));
}

#[test]
fn a_file_without_end_is_too_large() {
    match load(Path::new("/dev/zero")) {
        Err(ReadError::TooLarge { .. }) => {}
        other => panic!("{:?}", other.map(|_| "read")),
    }
}
