//! A container that is locked up well: see programs/container.c, which makes it. Recording needs no capability, no
//! ptrace, no perf events, nothing of the root file system and no more of /dev/shm than there is.

use crate::support::leakscope::Leakscope;
use crate::support::profiles::{observed, read};
use crate::support::{Sandbox, machine, programs, truth};
use leakscope_profile::Code;

/// `leakscope run` in a container whose volume is the sandbox, with `output` as its directory there.
fn contained(sandbox: &Sandbox, output: &str) -> Leakscope {
    sandbox.command("run").through(&container(sandbox)).arg("-o").arg(output)
}

fn container(sandbox: &Sandbox) -> [&'static str; 2] {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    [leak(programs::c("container").display().to_string()), leak(sandbox.path().display().to_string())]
}

#[test]
fn a_program_is_recorded_exactly_and_a_snapshot_can_be_asked_for() {
    let sandbox = Sandbox::new();
    let run = contained(&sandbox, "/mnt/out").args(&["--sample", "1", "--follow"]);
    let run = run.targets(&["sh", "-c", "\"$0\" snapshot $PPID -o /mnt/asked.prof >&2 && exec \"$1\""]);
    let recording = run.target(machine::leakscope()).target(programs::c("family")).finish().expect_code(0);
    let recording = recording.in_directory(sandbox.path().join("out"));
    let profile = recording.last_of_each().into_iter().find(|profile| observed(profile, "by_calloc").1 > 0);
    let profile = profile.unwrap_or_else(|| panic!("{}", recording.everything()));
    truth::expect_exact(&recording, &profile, &sandbox.report(&recording.folder_of(profile.target.pid)));
    assert_eq!(read(&sandbox.path().join("asked.prof")).snapshot.reason, "request");
}

#[test]
fn a_jvm_is_recorded_with_its_java_stacks() {
    for release in [11, 25] {
        let sandbox = Sandbox::new();
        let run = contained(&sandbox, "/mnt/out").args(&["--sample", "1"]).target(machine::java(release));
        let run = run.targets(&["-Xmx64m", "-cp"]).target(programs::java()).targets(&["Busy", "300", "wait"]);
        let recording = run.finish().expect_code(0).in_directory(sandbox.path().join("out"));
        assert_eq!(recording.out(), "ready\ndone\n");
        let jvm = recording.last_of_jvm();
        assert!(jvm.frames.iter().any(|frame| frame.code == Code::Java), "JDK {release}: no Java frame");
        assert!(observed(&jvm, "Busy.deep").1 > 0, "JDK {release}");
    }
}

#[test]
fn what_leakscope_left_behind_is_recovered() {
    let sandbox = Sandbox::new();
    let script = "mkfifo questions answers
        \"$0\" run -o out --sample 1 -- \"$1\" < questions > answers & leakscope=$!
        exec 3> questions 4< answers
        read ready <&4; echo step >&3; read done <&4
        until ls -d out/program.* > listed 2>&1; do sleep 0.01; done
        kill -9 $leakscope; wait $leakscope
        pid=$(echo out/program.*); pid=${pid##*.}
        \"$0\" recover $pid -o recovered.prof; code=$?
        exec 3>&-; cat <&4; exit $code";
    let line = [&container(&sandbox)[..], &["sh", "-c", script]].concat();
    let program = programs::c("steps");
    let leakscope = machine::leakscope();
    let line = [&line[..], &[leakscope.to_str().expect("text"), program.to_str().expect("text")]].concat();
    let recording = sandbox.command("run").instead(&line).finish().expect_code(0);
    assert_eq!(recording.out(), "live step 100070 10\n", "{}", recording.everything());
    assert_eq!(observed(&read(&sandbox.path().join("recovered.prof")), "step"), (100_070, 10));
}

/// Nothing can be written but /dev/shm, from which nothing can be executed.
#[test]
fn without_a_place_for_the_shim_the_target_runs_and_what_is_missing_is_said() {
    let sandbox = Sandbox::new();
    let recording = contained(&sandbox, "/dev/shm/out").target(programs::c("family")).finish().expect_code(0);
    assert!(recording.out().contains("live by_malloc "), "it ran: {}", recording.everything());
    let err = recording.err();
    assert!(err.contains("nothing is being recorded") && err.contains("LEAKSCOPE_SHIM_DIR"), "{err}");
    assert!(err.contains("noexec"), "{err}");
}
