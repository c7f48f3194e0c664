//! What is asked of a recording that goes on, and what is left of one that was cut off.

use super::*;

#[test]
fn what_was_live_survives_sigkill() {
    let root = tempfile::tempdir().unwrap();
    let running = Running::start(root.path(), &[], &["cat"], "cat");
    kill(running.target, libc::SIGKILL);
    let (code, text) = running.wait();
    assert_eq!(code, Some(137));
    assert!(text.contains("SIGKILL"), "{text}");
    let profile = last_profile(&folders(&root.path().join("rec"))[0]);
    assert_eq!(profile.target.exit, Some(Exit::Signal(9)));
    assert!(live_bytes(&profile) > 0 && profile.memory.rss_bytes > 0);
    assert!(profile.modules[0].path.ends_with("/cat") || profile.target.exe.ends_with("/cat"));
}

#[test]
fn a_snapshot_can_be_had_while_recording() {
    let root = tempfile::tempdir().unwrap();
    let running = Running::start(root.path(), &["--interval", "100ms"], &["cat"], "cat");
    for (pid, file) in [(running.target, "target.prof"), (running.leakscope.id(), "own.prof")] {
        let output = leakscope(root.path(), &["snapshot", &pid.to_string(), "-o", file]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let profile = leakscope_profile::load(&root.path().join(file)).unwrap();
        assert_eq!((profile.target.pid, profile.snapshot.reason.as_str()), (running.target, "request"));
        assert!(live_bytes(&profile) > 0);
    }
    // Recover asks the same way while there is somebody to ask.
    let arguments = ["recover", &running.target.to_string(), "-o", "recovered.prof"];
    let output = leakscope(root.path(), &arguments).output().unwrap();
    assert!(output.status.success() && stderr(&output).contains("still being recorded"), "{}", stderr(&output));
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn the_young_are_looked_at_long_before_the_interval_is_over() {
    let root = tempfile::tempdir().unwrap();
    let running = Running::start(root.path(), &["--interval", "1h"], &["cat"], "cat");
    running.wait_for_a_snapshot(root.path());
    assert_eq!(running.end().0, Some(0));
    let first = folders(&root.path().join("rec"))[0].join("0000.prof");
    let snapshot = leakscope_profile::load(&first).unwrap().snapshot;
    assert!(snapshot.reason == "interval" && snapshot.uptime_ms < 3_600_000, "{snapshot:?}");
}

#[test]
fn marks_are_put_into_the_timeline() {
    let root = tempfile::tempdir().unwrap();
    let running = Running::start(root.path(), &[], &["cat"], "cat");
    let (target, own) = (running.target.to_string(), running.leakscope.id().to_string());
    let mark = |arguments: &[&str]| {
        let output = leakscope(root.path(), &[&["mark"], arguments].concat()).output().unwrap();
        (output.status.code(), stderr(&output))
    };
    assert_eq!(mark(&[&target, "task", "restart"]), (Some(0), format!("leakscope: marked cat (pid {target})\n")));
    let hostile = "\u{1b}[2J\"\n{\"type\":\"end\"}\u{202e}";
    assert_eq!(mark(&[&own, hostile]).0, Some(0));
    let long = "x".repeat(1001);
    for (arguments, code, words) in [
        (&[target.as_str(), " "][..], 2, "a mark needs words"),
        (&[&target], 2, "--help"),
        (&[&target, &long], 2, "at most 1000 bytes"),
        (&[&std::process::id().to_string(), "x"], 3, "is not recorded"),
        (&["4194304", "x"], 3, "there is no process 4194304"),
    ] {
        let (found, said) = mark(arguments);
        assert!(found == Some(code) && said.contains(words), "{found:?} {said}");
    }
    assert_eq!(running.end().0, Some(0));
    let timeline = timeline(&folders(&root.path().join("rec"))[0]);
    let texts: Vec<&str> = timeline.marks.iter().map(|mark| mark.text.as_str()).collect();
    assert_eq!(texts, ["task restart", hostile.trim()]);
    let (first, last) = (timeline.points[0].uptime_ms, timeline.end.unwrap().uptime_ms);
    assert!(timeline.marks.iter().all(|mark| (first..=last).contains(&mark.uptime_ms)), "{:?}", timeline.marks);
}

#[test]
fn what_was_recorded_can_be_recovered_without_leakscope() {
    let root = tempfile::tempdir().unwrap();
    let mut running = Running::start(root.path(), &["--interval", "100ms"], &["cat"], "cat");
    running.wait_for_a_snapshot(root.path());
    let report = || stderr(&leakscope(root.path(), &["report", "rec"]).output().unwrap());
    assert!(!report().contains("was killed"), "{}", report());
    let target = running.target.to_string();
    kill(running.leakscope.id(), libc::SIGKILL);
    let stdin = running.leakscope.stdin.take();
    running.leakscope.wait().unwrap();
    let timeline = timeline(&folders(&root.path().join("rec"))[0]);
    assert!(!timeline.points.is_empty() && timeline.end.is_none(), "it breaks off, and no line is torn");
    let output = leakscope(root.path(), &["mark", &target, "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(report().contains(" was killed: nothing came after"), "{}", report());
    let output = leakscope(root.path(), &["snapshot", &target]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains(&format!("leakscope recover {target}")), "{}", stderr(&output));
    let output = leakscope(root.path(), &["recover", &target, "-o", "recovered.prof"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let profile = leakscope_profile::load(&root.path().join("recovered.prof")).unwrap();
    assert_eq!((profile.target.pid.to_string(), profile.snapshot.reason.as_str()), (target, "recover"));
    assert!(live_bytes(&profile) > 0);
    drop(stdin);
}

#[test]
fn who_is_not_recorded_is_told() {
    let root = tempfile::tempdir().unwrap();
    let own = std::process::id().to_string();
    for (arguments, sentence) in [
        (["snapshot", own.as_str()], "is not recorded"),
        (["recover", own.as_str()], "is not recorded"),
        (["snapshot", "4194999"], "there is no process"),
        (["recover", "4194999"], "went with it; if it was recorded"),
    ] {
        let output = leakscope(root.path(), &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert!(stderr(&output).contains(sentence), "{}", stderr(&output));
    }
}

#[test]
fn recover_names_what_is_left_of_a_process_that_ended() {
    let root = tempfile::tempdir().unwrap();
    run(root.path(), "exit 0");
    let folder = folders(&root.path().join("rec")).remove(0);
    let pid = folder.extension().unwrap().to_str().unwrap();
    let output = leakscope(root.path(), &["recover", pid]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let last = last_profile(&folder).snapshot.index;
    let expected = format!("its last snapshot: leakscope report ./rec/sh.{pid}/{last:04}.prof");
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
}

#[test]
fn a_file_is_not_overwritten_unasked() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("now.prof");
    fs::write(&file, "mine").unwrap();
    let running = Running::start(root.path(), &[], &["cat"], "cat");
    let pid = running.target.to_string();
    for command in ["snapshot", "recover"] {
        let output = leakscope(root.path(), &[command, &pid, "-o", "now.prof"]).output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        assert!(stderr(&output).contains("now.prof exists; --force"), "{}", stderr(&output));
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }
    let output = leakscope(root.path(), &["snapshot", &pid, "-o", "now.prof", "--force"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    leakscope_profile::load(&file).unwrap();
    running.end();
}

#[test]
fn who_records_is_in_the_session_file_from_the_start() {
    let root = tempfile::tempdir().unwrap();
    let running = Running::start(root.path(), &[], &["cat"], "cat");
    let folder = folders(&root.path().join("rec")).remove(0);
    let session =
        || -> serde_json::Value { serde_json::from_slice(&fs::read(folder.join("session.json")).unwrap()).unwrap() };
    assert_eq!(session()["collector_pid"], running.leakscope.id());
    assert!(session()["end"].is_null());
    assert!(fs::File::open(&folder).unwrap().try_lock_shared().is_err(), "locked while it is recorded");
    running.end();
    assert_eq!(session()["end"]["how"], "code 0");
    assert!(fs::File::open(&folder).unwrap().try_lock_shared().is_ok());
}
