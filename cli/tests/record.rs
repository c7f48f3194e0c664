//! `run`, `snapshot` and `recover` with real targets: programs that every system has. A target that shall live until
//! the test is done with it reads from a pipe; leakscope's own lines are the handshake.
#![allow(unsafe_code)] // kill

use leakscope_profile::timeline::Timeline;
use leakscope_profile::{Exit, Profile};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

fn leakscope<S: AsRef<OsStr>>(directory: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leakscope"));
    command.args(arguments).current_dir(directory).env_remove("LD_PRELOAD").env("LC_ALL", "C.UTF-8");
    command
}

fn run(directory: &Path, line: &str) -> Output {
    leakscope(directory, &["run", "-o", "rec", "--sample", "1", "--", "sh", "-c", line]).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The folders of a recording, sorted.
fn folders(recording: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(recording).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn last_profile(folder: &Path) -> Profile {
    let mut names: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension() == Some(OsStr::new("prof")));
    names.sort();
    leakscope_profile::load(names.last().expect("a profile")).unwrap()
}

fn timeline(folder: &Path) -> Timeline {
    let timeline = Timeline::read(&fs::read(folder.join("timeline.jsonl")).unwrap());
    assert_eq!(timeline.damaged, 0);
    timeline
}

fn live_bytes(profile: &Profile) -> u64 {
    profile.rows.iter().map(|row| row.bytes_observed).sum()
}

/// A recording that goes on until its standard input is closed or it is killed.
struct Running {
    leakscope: Child,
    lines: BufReader<ChildStderr>,
    target: u32,
}

impl Running {
    /// Starts `command`, which copies its input to its output, and waits until it does so and a process called `name`
    /// has shaken hands.
    fn start(directory: &Path, options: &[&str], command: &[&str], name: &str) -> Self {
        let arguments = [&["run", "-o", "rec", "--sample", "1"], options, &["--"], command].concat();
        let mut child = leakscope(directory, &arguments);
        let child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut leakscope = child.spawn().unwrap();
        let lines = BufReader::new(leakscope.stderr.take().unwrap());
        let mut running = Self { leakscope, lines, target: 0 };
        running.target = running.wait_for_handshake(name);
        running.copy_a_line();
        running
    }

    fn wait_for_handshake(&mut self, name: &str) -> u32 {
        let start = format!("handshake ok: {name} (pid ");
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "no handshake with {name}: {seen}");
            if let Some((_, rest)) = line.split_once(&start) {
                return rest.split(')').next().unwrap().parse().unwrap();
            }
            seen += &line;
        }
    }

    fn copy_a_line(&mut self) {
        self.leakscope.stdin.as_mut().unwrap().write_all(b"ready\n").unwrap();
        let mut back = [0; 6];
        self.leakscope.stdout.as_mut().unwrap().read_exact(&mut back).unwrap();
        assert_eq!(&back, b"ready\n");
    }

    fn wait_for_a_snapshot(&self, directory: &Path) {
        let folder = folders(&directory.join("rec")).remove(0);
        while !fs::read_dir(&folder).unwrap().any(|entry| entry.unwrap().path().extension() == Some(OsStr::new("prof")))
        {
            std::thread::yield_now();
        }
    }

    /// Closes the target's standard input and waits for the end; exit code and what was said.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.leakscope.stdin.take());
        self.wait()
    }

    fn wait(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.lines.read_to_string(&mut text).unwrap();
        (self.leakscope.wait().unwrap().code(), text)
    }
}

fn kill(pid: u32, signal: i32) {
    // SAFETY: takes two integers.
    assert_eq!(unsafe { libc::kill(pid as libc::pid_t, signal) }, 0);
}

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
    assert_eq!(session["snapshots"].as_array().unwrap().len(), 1);
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

#[test]
fn recover_names_what_is_left_of_a_process_that_ended() {
    let root = tempfile::tempdir().unwrap();
    run(root.path(), "exit 0");
    let pid = folders(&root.path().join("rec"))[0].extension().unwrap().to_str().unwrap().to_owned();
    let output = leakscope(root.path(), &["recover", &pid]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let expected = format!("its last snapshot: leakscope report ./rec/sh.{pid}/0000.prof");
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
fn a_mistyped_option_is_no_command() {
    let root = tempfile::tempdir().unwrap();
    let output = leakscope(root.path(), &["run", "--intervall", "2s", "--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("'--interval'"), "{}", stderr(&output));
    let odd = leakscope(root.path(), &["run", "--", "--weird"]).output().unwrap();
    assert_eq!(odd.status.code(), Some(127), "behind -- it is a command");
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
    assert!(text.contains("1 snapshot, ") && text.contains(" in rec/cat."), "{text}");
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

#[test]
fn followed_processes_have_folders_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    let running = Running::start(root.path(), &["--follow", "--only", "cat"], &["sh", "-c", "cat; exit 5"], "cat");
    assert_eq!(running.end().0, Some(5));
    let folders = folders(&root.path().join("rec"));
    assert_eq!(folders.len(), 1, "only cat: {folders:?}");
    assert!(last_profile(&folders[0]).target.exit.is_some());
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
