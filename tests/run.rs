//! What `leakscope run` promises the target and its user: exit codes, streams, signals, names of the output.

use crate::support::json::site_with;
use crate::support::leakscope::send_signal;
use crate::support::{Recording, Sandbox, machine, programs};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn sh(sandbox: &Sandbox, line: &str) -> Recording {
    sandbox.run().targets(&["sh", "-c", line]).finish()
}

#[test]
fn the_exit_code_is_the_targets() {
    for (line, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 125", 125),
        ("exit 255", 255),
        ("kill -KILL $$", 137),
        ("kill -TERM $$", 143),
        ("kill -SEGV $$", 139),
    ] {
        let sandbox = Sandbox::new();
        let recording = sh(&sandbox, line).expect_code(code);
        assert_eq!(recording.last().snapshot.reason, "final", "{line}");
    }
}

#[test]
fn what_cannot_be_started_has_the_codes_of_a_shell() {
    let sandbox = Sandbox::new();
    let text = sandbox.path().join("text");
    fs::write(&text, "no program").expect("a file");
    fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).expect("to set its mode");
    let plain = sandbox.path().join("plain");
    fs::write(&plain, "no program").expect("a file");
    for (command, code) in [
        (Path::new("no-such-command"), 127),
        (Path::new("/no/such/command"), 127),
        (plain.as_path(), 126),
        (sandbox.path(), 126),
    ] {
        let recording = sandbox.run().target(command).finish().expect_code(code);
        assert!(recording.err().contains(&*command.to_string_lossy()), "{}", recording.everything());
        assert!(!recording.directory().exists(), "an empty recording is left behind for {command:?}");
        expect_one_sentence(&recording);
    }
}

#[test]
fn what_leakscope_cannot_do_itself_is_125() {
    let sandbox = Sandbox::new();
    let file = sandbox.path().join("file");
    fs::write(&file, "").expect("a file");
    for output in [file.as_path(), &file.join("below"), Path::new("/proc/nowhere")] {
        let run = sandbox.command("run").arg("-o").arg(output).targets(&["sh", "-c", "echo started"]);
        let recording = run.finish().expect_code(125);
        assert_eq!(recording.out(), "", "the target was started");
        expect_one_sentence(&recording);
    }
}

#[test]
fn wrong_usage_is_2() {
    let sandbox = Sandbox::new();
    for (command, arguments) in [
        ("run", &["--no-such-option", "--", "true"][..]),
        ("run", &["--sample", "lots", "--", "true"]),
        ("run", &["--sample", "0", "--", "true"]),
        ("run", &["--interval", "0s", "--", "true"]),
        ("run", &[]),
        ("report", &["--no-such-option"]),
        ("diff", &["only-one.prof"]),
        ("flame", &[]),
        ("no-such-command", &[]),
    ] {
        let answer = sandbox.command(command).args(arguments).finish().expect_code(2);
        assert!(answer.err().contains("--help"), "no advice: {}", answer.everything());
        assert!(answer.stdout.is_empty());
    }
}

/// Nothing that looks like a panic, and not more than a few lines.
fn expect_one_sentence(recording: &Recording) {
    let err = recording.err();
    assert!(err.starts_with("leakscope: ") && err.lines().count() <= 2 && !err.contains("panicked"), "{err}");
}

#[test]
fn the_targets_streams_are_its_own_byte_for_byte() {
    let sandbox = Sandbox::new();
    let program = programs::c("streams");
    let all: Vec<u8> = (0..=255).collect::<Vec<u8>>().repeat(300);
    let mut run = sandbox.run().targets(&["sh", "-c", "exec \"$0\" 7 2> errors"]).target(&program).start();
    run.tell("from stdin");
    let recording = run.finish().expect_code(7);
    assert!(recording.stdout == [&all[..], b"from stdin\n"].concat(), "stdout is not what the program wrote");
    let errors = fs::read(sandbox.path().join("errors")).expect("its stderr");
    assert!(errors == [&all[..], b"\nlast words"].concat(), "stderr is not what the program wrote");
}

#[test]
fn on_a_shared_stderr_only_whole_lines_of_leakscope_are_added() {
    let sandbox = Sandbox::new();
    let recording = sh(&sandbox, "echo one >&2; echo two; echo three >&2").expect_code(0);
    assert_eq!(recording.out(), "two\n");
    let err = recording.err();
    let (own, targets): (Vec<&str>, Vec<&str>) = err.lines().partition(|line| is_own(line));
    assert_eq!(targets, ["one", "three"], "{err}");
    assert!(own[0].starts_with("leakscope ") && own[0].contains("recording sh (pid "), "{err}");
    assert!(own[1].contains("handshake ok"), "{err}");
    let next = format!("next: leakscope report {}", recording.directory().display());
    assert_eq!(own.last().copied(), Some(next.as_str()), "{err}");
    let own = own.iter().filter(|line| !line.starts_with('[')).count();
    assert!(own <= 6, "two lines at the start; a summary and the next command at the end: {err}");
}

/// A line that begins with the time tells of a memory limit that is near: the tests may run under one.
fn is_own(line: &str) -> bool {
    line.starts_with("leakscope") || line.starts_with('[') || line.starts_with("  ") || line.starts_with("next: ")
}

#[test]
fn the_next_command_works_as_it_is_written() {
    let sandbox = Sandbox::new();
    let recording = sandbox.run().args(&["--sample", "1"]).target(programs::c("family")).finish().expect_code(0);
    let err = recording.err();
    let next = err.lines().find_map(|line| line.strip_prefix("next: leakscope ")).expect("a next command");
    let (command, argument) = next.split_once(' ').expect("a command with an argument");
    let answer = sandbox.command(command).arg(argument).finish().expect_code(0);
    assert!(answer.out().contains("by_calloc"), "{}", answer.everything());
}

#[test]
fn signals_reach_the_target() {
    for (signal, text) in [(2, "caught 02"), (15, "caught 15"), (1, "caught 01")] {
        let sandbox = Sandbox::new();
        let mut run = sandbox.run().args(&["--sample", "1"]).target(programs::c("signals")).start();
        assert_eq!(run.line(), "ready");
        run.signal(signal);
        let recording = run.ended().expect_code(40 + signal);
        assert_eq!(recording.out(), format!("{text}\n"), "caught once, not twice");
        assert!(site_with(&sandbox.report_of(&recording), "main").is_some(), "what it held is in the last profile");
    }
}

#[test]
fn a_signal_that_the_target_does_not_catch_ends_it() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().target(programs::c("steps")).start();
    assert_eq!(run.line(), "ready");
    run.signal(15);
    run.ended().expect_code(128 + 15);
}

#[test]
fn a_signal_to_the_target_alone_is_reported() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().target(programs::c("steps")).start();
    assert_eq!(run.line(), "ready");
    send_signal(run.recorded_pid(), 6);
    let recording = run.ended().expect_code(128 + 6);
    assert!(recording.err().contains("SIGABRT"), "{}", recording.everything());
}

#[test]
fn a_recording_goes_where_it_is_told_and_is_never_overwritten() {
    let sandbox = Sandbox::new();
    let first = sh(&sandbox, "exit 0").expect_code(0);
    let before = listing(first.directory());
    let second = sh(&sandbox, "exit 0").expect_code(0);
    let mut after = listing(first.directory());
    after.retain(|(path, _)| !path.starts_with("recording-2/"));
    assert_eq!(after, before);
    let inside = first.directory().join("recording-2");
    assert!(second.err().contains(&*inside.to_string_lossy()), "the new name is said: {}", second.everything());
    second.in_directory(inside).last();
    let named = sandbox.command("run").args(&["-o", "%n-%p"]).targets(&["sh", "-c", "exit 0"]).start();
    let name = format!("sh-{}", named.pid());
    named.finish().expect_code(0).in_directory(sandbox.path().join(name)).last();
    sandbox.command("run").targets(&["sh", "-c", "exit 0"]).finish().expect_code(0);
    let has = |name: &str| listing(sandbox.path()).iter().any(|(path, _)| path.starts_with(name));
    assert!(has("leakscope-sh-20"), "{:?}", listing(sandbox.path()));
}

/// Names and contents of all files below a folder.
fn listing(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.path() {
            path if path.is_dir() => {
                all.extend(listing(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
            }
            path => all.push((name, fs::read(path).expect("a file"))),
        }
    }
    all.sort();
    all
}

#[test]
fn the_target_itself_writes_no_file() {
    // Everything that the target could write to is below its own folder, and stays empty.
    let sandbox = Sandbox::new();
    let own = sandbox.path().join("own");
    fs::create_dir(&own).expect("a folder");
    let recording = sandbox
        .run()
        .args(&["--sample", "1"])
        .env("HOME", &own)
        .env("TMPDIR", &own)
        .target("env")
        .target(format!("--chdir={}", own.display()))
        .target(programs::c("family"))
        .finish()
        .expect_code(0);
    assert!(recording.folders().iter().any(|folder| folder.display().to_string().contains("/program.")));
    assert_eq!(listing(&own), []);
    for file in listing(recording.directory()) {
        let path = recording.directory().join(&file.0);
        let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}

#[test]
fn secrets_in_arguments_are_redacted_everywhere() {
    let sandbox = Sandbox::new();
    let line = ["sh", "-c", "exit 0", "--db-password=hunter2", "-Dtoken=hunter2", "--secret", "hunter2", "user=me"];
    let recording = sandbox.run().targets(&line).finish().expect_code(0);
    assert!(recording.last().target.command.contains(&"user=me".to_owned()), "{:?}", recording.last().target.command);
    let profile = recording.last();
    assert!(!format!("{profile:?}").contains("hunter2"), "{:?}", profile.target.command);
    assert!(!sandbox.report_of(&recording).to_string().contains("hunter2"));
    assert!(!recording.err().contains("hunter2"), "{}", recording.everything());
    let text = sandbox.command("report").arg(recording.directory()).finish().expect_code(0).out();
    assert!(!text.contains("hunter2"), "{text}");
    for (name, bytes) in listing(recording.directory()) {
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{name}");
    }
}

#[test]
fn a_jvm_behind_a_shell_is_recorded() {
    let classes = programs::java();
    let sandbox = Sandbox::new();
    // The shell stays: something follows the JVM.
    let line = format!("'{}' -cp '{}' Busy 500 wait && echo after", machine::java(17).display(), classes.display());
    let recording = sh(&sandbox, &line).expect_code(0);
    assert_eq!(recording.out(), "ready\ndone\nafter\n");
    assert_eq!(recording.folders().len(), 2, "the shell and the JVM: {:?}", recording.folders());
    let jvm = recording.last_of_jvm();
    assert!(jvm.frames.iter().any(|frame| frame.code == leakscope_profile::Code::Java), "no Java frame");
    // The report of the recording takes the JVM, and says that there is another.
    assert_eq!(sandbox.report_of(&recording)["target"]["pid"], jvm.target.pid);
}
