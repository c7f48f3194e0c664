//! `run` itself: what the target notices, what is written, what is refused.

use super::*;

#[test]
fn the_exit_code_is_the_targets() {
    let root = tempfile::tempdir().unwrap();
    for (line, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
        assert_eq!(run(root.path(), line).status.code(), Some(code), "{line}");
    }
    let code = |arguments: &[&str]| leakscope(root.path(), arguments).output().unwrap().status.code();
    assert_eq!(code(&["run", "--", "/no/such/command"]), Some(127));
    assert_eq!(code(&["run", "--", "no-such-command"]), Some(127));
    assert_eq!(code(&["run", "--", "/etc/passwd"]), Some(126));
    assert_eq!(code(&["run", "-o", "/proc/nowhere/rec", "--", "true"]), Some(125));
    assert_eq!(code(&["run", "--sample", "x", "--", "true"]), Some(2));
    assert_eq!(code(&["nonsense"]), Some(2));
}

#[test]
fn standard_streams_are_the_targets_alone() {
    let root = tempfile::tempdir().unwrap();
    let output = run(root.path(), "echo out; echo err >&2; env | grep -c '^LD_PRELOAD=/'");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n1\n");
    let text = stderr(&output);
    assert!(
        text.contains("\nerr\n") && text.starts_with("leakscope ") && text.contains("next: leakscope report"),
        "{text}"
    );
}

#[test]
fn a_short_run_leaves_a_profile_and_a_session_file() {
    let root = tempfile::tempdir().unwrap();
    let output = run(root.path(), "exit 3");
    let recording = root.path().join("rec");
    let folders = folders(&recording);
    assert_eq!(folders.len(), 1, "{}", stderr(&output));
    let profile = last_profile(&folders[0]);
    assert_eq!((profile.target.name.as_str(), profile.target.exit), ("sh", Some(Exit::Code(3))));
    assert_eq!(profile.snapshot.reason, "final");
    assert_eq!(profile.settings.interval_bytes, 1);
    let text = fs::read_to_string(folders[0].join("session.json")).unwrap();
    let session: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(session["schema"], "leakscope.session/1");
    assert_eq!(session["end"]["how"], "code 3");
    assert_eq!(session["root"], true);
    let timeline = timeline(&folders[0]);
    assert!(!timeline.points.is_empty() && timeline.points[0].resident.rss_bytes > 0, "{timeline:?}");
    assert_eq!(timeline.end.unwrap().how, "code 3");
    assert_eq!(session["snapshots"].as_array().unwrap().len() as u32, profile.snapshot.index + 1);
}

#[test]
fn a_recording_is_never_overwritten() {
    let root = tempfile::tempdir().unwrap();
    run(root.path(), "exit 0");
    let second = run(root.path(), "exit 0");
    let text = stderr(&second);
    assert!(text.contains("rec holds a recording; this one goes to rec/recording-2"), "{text}");
    assert!(text.contains("next: leakscope report rec/recording-2\n"), "{text}");
    // The directory that was given stands for the newest, and the others can be named.
    let report = |what: &str| {
        let output = leakscope(root.path(), &["report", what]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let said = report("rec");
    assert!(said.contains("taking rec/recording-2, the newest of 2 recordings; also: rec/sh."), "{said}");
    assert!(report("rec@first").contains("the newest of 2 recordings"));
    assert!(!report("rec/recording-2").contains("the newest"));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing beside the directory");
}

#[test]
fn a_directory_that_cannot_be_is_explained() {
    let root = tempfile::tempdir().unwrap();
    let empty = leakscope(root.path(), &["run", "-o", "", "--", "true"]).output().unwrap();
    assert_eq!(empty.status.code(), Some(2));
    assert!(stderr(&empty).contains("--output"), "{}", stderr(&empty));
    let line = "rmdir ../gone && exec \"$0\" run -- true";
    let gone = root.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let deleted = Command::new("sh").args(["-c", line, env!("CARGO_BIN_EXE_leakscope")]).current_dir(&gone).output();
    let deleted = deleted.unwrap();
    assert_eq!(deleted.status.code(), Some(125));
    assert!(stderr(&deleted).contains("the current directory has been deleted"), "{}", stderr(&deleted));
}

#[test]
fn what_is_no_recording_is_explained() {
    let root = tempfile::tempdir().unwrap();
    for (what, code, sentence) in
        [("/dev/null", 4, "/dev/null: the file is empty"), (".", 3, ". holds no recording: that is what")]
    {
        let output = leakscope(root.path(), &["report", what]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{what}");
        assert!(stderr(&output).contains(sentence), "{}", stderr(&output));
    }
}

#[test]
fn a_mistyped_option_is_no_command() {
    let root = tempfile::tempdir().unwrap();
    let output = leakscope(root.path(), &["run", "--intervall", "2s", "--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("'--interval'"), "{}", stderr(&output));
    let odd = leakscope(root.path(), &["run", "--", "--weird"]).output().unwrap();
    assert_eq!(odd.status.code(), Some(127), "behind -- it is a command");
}

#[test]
fn snapshots_that_cannot_be_written_are_counted() {
    let root = tempfile::tempdir().unwrap();
    let running = Running::start(root.path(), &[], &["cat"], "cat");
    fs::remove_dir_all(root.path().join("rec")).unwrap();
    // Else the folder would be made anew.
    fs::write(root.path().join("rec"), "").unwrap();
    let (code, text) = running.end();
    assert_eq!(code, Some(0));
    assert!(text.contains("  the final snapshot could not be written: cannot write rec/cat."), "{text}");
    assert!(text.contains("of the timeline could not be written: cannot write rec/cat."), "{text}");
    assert!(!text.contains("next:") && !text.contains("nothing was recorded"), "{text}");
}

#[test]
fn signals_reach_the_target() {
    let root = tempfile::tempdir().unwrap();
    // The wait is interrupted by the trap; the exit code says which signal came.
    let script = "trap 'exit 41' TERM; trap 'exit 42' USR1; exec 3<&0; cat <&3 & while true; do wait; done";
    for (signal, code) in [(libc::SIGTERM, 41), (libc::SIGUSR1, 42)] {
        let mut running = Running::start(root.path(), &["--follow"], &["sh", "-c", script], "sh");
        kill(running.leakscope.id(), signal);
        assert_eq!(running.leakscope.wait().unwrap().code(), Some(code));
        // Ends the shell's child.
        drop(running.leakscope.stdin.take());
    }
}

#[test]
fn secrets_do_not_get_into_profiles() {
    let root = tempfile::tempdir().unwrap();
    let arguments = ["run", "-o", "rec", "--sample", "1", "--", "sh", "-c", "exit 0", "--password=hunter2"];
    leakscope(root.path(), &arguments).output().unwrap();
    let folder = &folders(&root.path().join("rec"))[0];
    let command = last_profile(folder).target.command.join(" ");
    assert!(command.contains("--password") && !command.contains("hunter2"), "{command}");
    assert!(!fs::read_to_string(folder.join("session.json")).unwrap().contains("hunter2"));
}

#[test]
fn the_targets_signal_mask_is_the_one_we_were_started_with() {
    let root = tempfile::tempdir().unwrap();
    let masks = "grep -E '^Sig(Blk|Ign):' /proc/self/status";
    let plain = Command::new("sh").args(["-c", masks]).output().unwrap();
    let recorded = run(root.path(), masks);
    assert_eq!(String::from_utf8_lossy(&recorded.stdout), String::from_utf8_lossy(&plain.stdout));
}
