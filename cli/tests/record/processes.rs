//! Which processes and programs get folders of their own.

use super::*;

#[test]
fn an_exec_ends_a_session_and_begins_another() {
    let root = tempfile::tempdir().unwrap();
    let running = Running::start(root.path(), &[], &["sh", "-c", "exec cat"], "cat");
    let target = running.target;
    assert_eq!(running.end().0, Some(0));
    let folders = folders(&root.path().join("rec"));
    let names: Vec<_> = folders.iter().map(|folder| folder.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, [format!("cat.{target}"), format!("sh.{target}")]);
    let ends = folders.iter().map(|folder| last_profile(folder).target.exit);
    assert_eq!(ends.collect::<Vec<_>>(), [Some(Exit::Code(0)), None]);
}

/// In a container leakscope is often the first process, which orphans are handed to.
#[test]
fn the_first_process_of_a_container_reaps_orphans() {
    let root = tempfile::tempdir().unwrap();
    let script = "(sh -c 'echo $$ > orphan' &); while ! [ -s orphan ]; do :; done; \
                  read orphan < orphan; while [ -d /proc/$orphan ]; do :; done; sleep 1000 & exit 6";
    let container = ["60", "unshare", "-r", "--pid", "--fork", "--mount-proc", env!("CARGO_BIN_EXE_leakscope")];
    let arguments = [&container[..], &["run", "-o", "rec", "--", "sh", "-c", script]].concat();
    let output = Command::new("timeout").args(arguments).current_dir(root.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    let profile = last_profile(&folders(&root.path().join("rec"))[0]);
    assert_eq!((profile.target.pid, profile.target.exit), (2, Some(Exit::Code(6))));
}

#[test]
fn follow_can_be_set_in_the_environment() {
    let root = tempfile::tempdir().unwrap();
    for (value, count) in [("1", 2), ("true", 2), ("0", 1), ("false", 1)] {
        // Something follows, so the shell does not execute it in its own place.
        let arguments = ["run", "-o", value, "--sample", "1", "--", "sh", "-c", "cat; exit 0"];
        let output =
            leakscope(root.path(), &arguments).env("LEAKSCOPE_FOLLOW", value).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(folders(&root.path().join(value)).len(), count, "{value}: {}", stderr(&output));
    }
    let wrong = leakscope(root.path(), &["run", "--", "true"]).env("LEAKSCOPE_FOLLOW", "2").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_launcher_leaves_no_folder() {
    let root = tempfile::tempdir().unwrap();
    // So few samples that the shells have none.
    let arguments = ["run", "-o", "rec", "--sample", "1T", "--", "sh", "-c", "exec sh -c 'exec cat'"];
    let output = leakscope(root.path(), &arguments).stdin(Stdio::null()).output().unwrap();
    let text = stderr(&output);
    let folders = folders(&root.path().join("rec"));
    assert_eq!(folders.len(), 1, "{folders:?}");
    assert_eq!(last_profile(&folders[0]).target.name, "cat");
    assert!(text.contains("  2 programs that soon executed another one"), "{text}");
    assert!(text.contains(" snapshot") && text.contains(" in rec/cat."), "{text}");
}

#[test]
fn programs_of_one_process_are_no_processes() {
    let root = tempfile::tempdir().unwrap();
    let output = run(root.path(), "exec sh -c 'exit 4'");
    assert!(stderr(&output).contains("rec (2 programs of one process)"), "{}", stderr(&output));
    let report = leakscope(root.path(), &["report", "rec"]).output().unwrap();
    let text = stderr(&report);
    assert!(text.contains("; other programs of this process: rec/sh."), "{text}");
    let (taken, _) = text.split_once(';').unwrap();
    let taken = taken.rsplit(' ').next().unwrap();
    assert_eq!(last_profile(&root.path().join(taken)).target.exit, Some(Exit::Code(4)), "the last one is taken");
}

#[test]
fn followed_processes_have_folders_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    let running = Running::start(root.path(), &["--follow", "--only", "cat"], &["sh", "-c", "cat; exit 5"], "cat");
    assert_eq!(running.end().0, Some(5));
    let folders = folders(&root.path().join("rec"));
    assert_eq!(folders.len(), 1, "only cat: {folders:?}");
    assert!(last_profile(&folders[0]).target.exit.is_some());
}
