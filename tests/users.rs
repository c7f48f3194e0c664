//! Users and privileges: targets that drop theirs, and targets that gain some.

use crate::support::{Sandbox, machine, programs};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Leads a command as the user nobody.
const AS_NOBODY: [&str; 6] = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];

/// Copies a file or folder to where every user can read it, whatever the folder of the repository allows.
fn public_copy(sandbox: &Sandbox, path: &Path, name: &str) -> PathBuf {
    let copy = sandbox.path().join(name);
    let status = Command::new("cp").arg("-rL").arg(path).arg(&copy).status().expect("cp runs");
    assert!(status.success());
    let status = Command::new("chmod").args(["-R", "a+rX"]).arg(&copy).status().expect("chmod runs");
    assert!(status.success());
    copy
}

#[test]
fn a_target_that_drops_its_user_is_recorded() {
    machine::need("java");
    let sandbox = Sandbox::new();
    let classes = public_copy(&sandbox, &programs::java(), "classes");
    let run = sandbox.run().through(machine::as_root()).targets(&AS_NOBODY);
    let run = run.targets(&["sh", "-c", "id -u; exec java -cp \"$0\" Busy 500 wait"]).target(classes);
    let recording = run.finish().expect_code(0);
    assert_eq!(recording.out(), "65534\nready\ndone\n", "{}", recording.everything());
    let jvm = recording.last_of_jvm();
    assert!(jvm.frames.iter().any(|frame| frame.code == leakscope_profile::Code::Java), "no Java frame");
    assert_eq!(jvm.snapshot.reason, "final");
}

#[test]
fn a_target_that_drops_its_user_is_judged() {
    let sandbox = Sandbox::new();
    let program = public_copy(&sandbox, &programs::c("looping"), "program");
    let check = sandbox.command("check").through(machine::as_root()).args(&["--iterations", "60"]);
    let answer = check.targets(&AS_NOBODY).target(program).targets(&["leak", "60"]).finish().expect_code(1);
    assert!(answer.out().contains("keep_session"), "{}", answer.everything());
}

#[test]
fn a_program_that_gains_privileges_runs_and_the_user_is_told() {
    let sandbox = Sandbox::new();
    let leakscope = public_copy(&sandbox, &machine::leakscope(), "leakscope");
    let program = public_copy(&sandbox, &programs::c("steps"), "program");
    let out = sandbox.path().join("recordings");
    fs::create_dir(&out).expect("a folder");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).expect("to open it");
    let root = |arguments: &[&str]| {
        let line = [machine::as_root(), arguments].concat();
        assert!(Command::new(line[0]).args(&line[1..]).arg(&program).status().expect("it runs").success());
    };
    root(&["chown", "0:0"]);
    root(&["chmod", "4755"]);
    let leakscope = leakscope.to_str().expect("a path of text");
    let line = [machine::as_root(), &AS_NOBODY, &["env", "HOME=/nonexistent", leakscope]].concat();
    let run = sandbox.command("run").instead(&line).arg("-o").arg(out.join("out")).target(&program);
    let mut running = run.start();
    assert_eq!(running.line(), "ready");
    let said = running.hear("nothing is being recorded");
    assert!(said.contains("setuid"), "why: {said}");
    let recording = running.finish().expect_code(0);
    assert_eq!(recording.out(), "live step 0 0\n");
}

#[test]
fn an_output_directory_that_may_not_be_written_is_125() {
    let sandbox = Sandbox::new();
    let leakscope = public_copy(&sandbox, &machine::leakscope(), "leakscope");
    let leakscope = leakscope.to_str().expect("a path of text");
    let locked = sandbox.path().join("locked");
    fs::create_dir(&locked).expect("a folder");
    // Another user may look, and no more.
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).expect("to set its mode");
    let line = [machine::as_root(), &AS_NOBODY, &[leakscope]].concat();
    for output in [locked.clone(), locked.join("below")] {
        let run = sandbox.command("run").instead(&line).arg("-o").arg(&output).targets(&["echo", "started"]);
        let recording = run.finish().expect_code(125);
        assert_eq!(recording.out(), "", "the target was started");
        let err = recording.err();
        assert!(err.starts_with("leakscope: ") && err.lines().count() <= 2, "{err}");
        assert!(err.contains(&*locked.to_string_lossy()) && err.contains("ermission"), "{err}");
    }
}

/// glibc's setuid() signals every thread and waits for its answer: a helper that had all signals masked would hang it.
#[test]
fn setuid_works_in_every_thread_with_the_helper_there() {
    for release in [11, 25] {
        let sandbox = Sandbox::new();
        let libjvm = machine::jre(release).join("lib/server/libjvm.so");
        let run = sandbox.run().through(machine::as_root()).target(programs::c_with_jni("embed"));
        let recording = run.target(libjvm).target("1").finish().expect_code(0);
        assert_eq!(recording.out(), "all threads dropped\n");
        recording.last();
    }
}
