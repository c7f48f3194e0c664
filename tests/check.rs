//! `leakscope check`: what leaks fails, what does not passes, and what cannot be judged never passes silently.

use crate::experiments::gate;
use crate::support::leakscope::{Leakscope, Recording};
use crate::support::profiles::{functions, profiles_in};
use crate::support::{Sandbox, machine, programs};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// `leakscope check` of tests/programs/looping.c.
fn looping(sandbox: &Sandbox, options: &[&str], how: &str, iterations: &str) -> Leakscope {
    sandbox.command("check").args(options).target(programs::c("looping")).targets(&[how, iterations])
}

/// Expects a code, and words on stderr.
fn expect(recording: Recording, code: i32, words: &[&str]) -> Recording {
    let recording = recording.expect_code(code);
    for word in words {
        assert!(recording.err().contains(word), "no '{word}': {}", recording.everything());
    }
    recording
}

/// A run with the expected code; or what else came of it.
fn coded(recording: Recording, code: i32) -> Result<Recording, String> {
    if recording.code() == code { Ok(recording) } else { Err(recording.everything()) }
}

/// What the gate says of a JVM is a matter of probability: where it is wrong once, it must be right twice more. Of passes, of
/// which one in 1,000 is wrong, one in 500,000 fails here.
fn two_of_three<T>(run: impl Fn() -> Result<T, String>) -> T {
    let first = match run() {
        Ok(right) => return right,
        Err(wrong) => wrong,
    };
    match (run(), run()) {
        (Ok(right), Ok(_)) => right,
        (second, third) => {
            let others: Vec<String> = [second, third].into_iter().filter_map(Result::err).collect();
            panic!("{first}\n=== and again ===\n{}", others.join("\n=== and again ===\n"))
        }
    }
}

#[test]
fn a_leak_fails_and_its_function_is_named() {
    let sandbox = Sandbox::new();
    let options = ["--iterations", "200"];
    let leak = looping(&sandbox, &options, "leak", "200").finish().expect_code(1);
    assert!(leak.out().contains("keep_session"), "{}", leak.everything());
    let clean = looping(&sandbox, &options, "clean", "200").finish().expect_code(0);
    assert!(!clean.out().contains("keep_session"), "{}", clean.everything());
}

#[test]
fn a_target_that_waits_for_nobody_is_judged_as_well() {
    let sandbox = Sandbox::new();
    looping(&sandbox, &["--iterations", "4000"], "echo", "4000").finish().expect_code(1);
}

#[test]
fn the_end_need_not_be_known() {
    let sandbox = Sandbox::new();
    looping(&sandbox, &[], "leak", "150").finish().expect_code(1);
    looping(&sandbox, &[], "clean", "150").finish().expect_code(0);
}

#[test]
fn rounds_are_kept_where_they_are_asked_to_be() {
    let sandbox = Sandbox::new();
    let options = ["--iterations", "60", "--rounds", "3", "-o", "kept"];
    looping(&sandbox, &options, "leak", "60").finish().expect_code(1);
    for folder in ["kept", "kept/recording-2", "kept/recording-3"] {
        let entries = fs::read_dir(sandbox.path().join(folder)).expect("a recording").flatten();
        let programs = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("program."));
        let reasons = programs.flat_map(|program| profiles_in(&program.path())).map(|profile| profile.snapshot.reason);
        // Where the tests run under a memory limit, some may be taken because of that.
        let reasons: Vec<String> = reasons.filter(|reason| !reason.starts_with("limit-")).collect();
        assert_eq!(reasons, [&["checkpoint"; 11][..], &["final"]].concat(), "{folder}");
    }
}

#[test]
fn growth_may_be_counted_by_time() {
    let sandbox = Sandbox::new();
    let options = ["--duration", "10s", "--warmup", "500ms", "--budget", "1MiB/min"];
    looping(&sandbox, &options, "steady", "0").finish().expect_code(1);
}

#[test]
fn who_goes_on_is_asked_to_end_and_then_made_to() {
    let sandbox = Sandbox::new();
    let options = ["--iterations", "60"];
    looping(&sandbox, &options, "endless", "0").finish().expect_code(0);
    looping(&sandbox, &options, "stubborn", "0").finish().expect_code(0);
}

/// It is not waited for until --timeout, though there was no time for the checkpoints.
#[test]
fn who_ran_past_the_checkpoints_and_says_no_more_is_inconclusive() {
    let sandbox = Sandbox::new();
    let hasty = looping(&sandbox, &["--iterations", "60", "--timeout", "60s"], "hasty", "60").finish().expect_code(3);
    assert!(hasty.out().contains("only 1 checkpoint"), "{}", hasty.everything());
}

#[test]
fn a_command_that_fails_is_no_pass() {
    let sandbox = Sandbox::new();
    let finish = |how, options: &[&str]| looping(&sandbox, options, how, "60").finish();
    expect(finish("crash", &[]), 5, &["program failed: it was killed by SIGSEGV, after 30 iterations"]);
    expect(finish("fails", &[]), 5, &["program failed: it exited 7, after 30 iterations"]);
    expect(finish("exits", &["--iterations", "60"]), 5, &["program failed: it exited 7, after 60 iterations"]);
    let stalls = finish("stalls", &["--timeout", "10s"]);
    expect(stalls, 5, &["program did no further iteration within 10 s (--timeout), after 30"]);
    let missing = sandbox.command("check").target("no-such-command").finish();
    expect(missing, 5, &["no-such-command: command not found"]);
}

#[test]
fn who_is_interrupted_is_no_pass() {
    let sandbox = Sandbox::new();
    let mut running = looping(&sandbox, &["--rounds", "3"], "endless", "0").start();
    assert_eq!(running.line(), "begins");
    running.signal(libc::SIGINT);
    let answer = running.ended();
    assert!(answer.err().contains("program failed: it was killed by SIGINT"), "{}", answer.everything());
    answer.expect_code(5);
}

/// The answer goes to a pipe that nobody reads, so that it is on its way until the signal comes. What is to be removed is a
/// lot, so that the recording goes away while it is read.
#[test]
fn who_is_interrupted_after_the_last_round_leaves_nothing_behind() {
    const LITTER: &str =
        "cd \"$TMPDIR\"/leakscope-check-*/recording/*/ && seq 5000 | xargs touch; exec \"$0\" clean 60";
    let sandbox = Sandbox::new();
    let folder = sandbox.path().join("temporary");
    fs::create_dir(&folder).expect("a folder");
    let pipe = sandbox.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
    let check = sandbox.command("check").args(&["--iterations", "60", "--junit", "pipe"]).env("TMPDIR", &folder);
    let running = check.targets(&["sh", "-c", LITTER]).target(programs::c("looping")).start();
    running.hear("round 1 of 1");
    assert!(fs::read_dir(&folder).expect("a folder").next().is_some(), "the recording is there");
    running.signal(libc::SIGINT);
    let answer = running.ended();
    assert!(!answer.err().contains("does not exist"), "{}", answer.everything());
    answer.expect_code(130);
    let left: Vec<_> = fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_command_that_does_no_iterations_is_no_pass() {
    let sandbox = Sandbox::new();
    for options in [&[][..], &["--inconclusive", "pass"], &["--iterations", "60"]] {
        let silent = looping(&sandbox, options, "silent", "60").finish();
        expect(silent, 3, &["program ended and never said that an iteration was over", "$LEAKSCOPE_CTL"]);
    }
    let short = looping(&sandbox, &[], "clean", "5").finish();
    expect(short, 3, &["ended before its warm-up was over: it did 5 iterations, of which 20 are warm-up"]);
    let few = looping(&sandbox, &[], "clean", "22").finish().expect_code(3);
    assert!(few.out().to_lowercase().contains("inconclusive"), "{}", few.everything());
    looping(&sandbox, &["--inconclusive", "pass"], "clean", "22").finish().expect_code(0);
}

#[test]
fn what_cannot_be_recorded_is_no_pass() {
    let sandbox = Sandbox::new();
    let check = || sandbox.command("check").args(&["--iterations", "60", "--inconclusive", "pass"]);
    let fixed = check().target(programs::c_static("looping")).targets(&["clean", "60"]).finish();
    expect(fixed, 3, &["program was not recorded, so nothing can be judged", "statically linked"]);
    let without =
        check().targets(&["env", "-u", "LD_PRELOAD"]).target(programs::c("looping")).targets(&["clean", "60"]);
    expect(without.finish(), 3, &["was not recorded, so nothing can be judged"]);
}

#[test]
fn a_shell_is_not_taken_for_what_it_starts() {
    let sandbox = Sandbox::new();
    let check = |options: &[&str], how: &str| {
        let check = sandbox.command("check").args(&["--iterations", "60"]).args(options);
        check.targets(&["sh", "-c", "\"$0\" \"$1\" 60; exit $?"]).target(programs::c("looping")).target(how).finish()
    };
    expect(check(&[], "leak"), 3, &["sh only starts programs", "--follow"]);
    check(&["--follow"], "leak").expect_code(1);
    check(&["--follow"], "clean").expect_code(0);
    check(&["--follow", "--only", "program"], "leak").expect_code(1);
}

#[test]
fn iterations_of_many_processes_are_not_taken_for_those_of_one() {
    let sandbox = Sandbox::new();
    let check = sandbox.command("check").args(&["--iterations", "120", "--follow", "--inconclusive", "pass"]);
    let check = check.targets(&["sh", "-c", "for i in 1 2 3; do \"$0\" clean 40; done"]).target(programs::c("looping"));
    expect(
        check.finish(),
        3,
        &["sh started program (pid ", "which was judged and ended long before the last iteration"],
    );
}

#[test]
fn a_configuration_that_makes_no_sense_is_wrong_usage() {
    let sandbox = Sandbox::new();
    let finish = |options: &[&str]| looping(&sandbox, options, "clean", "60").finish();
    let write = |name: &str, text: &str| fs::write(sandbox.path().join(name), text).expect("a file");
    expect(finish(&["--suppressions", "none.supp"]), 4, &["cannot read none.supp"]);
    write("bad.supp", "leak:x max=much\n");
    expect(finish(&["--suppressions", "bad.supp"]), 2, &["bad.supp: line 1: "]);
    expect(finish(&["--iterations", "20", "--warmup", "20"]), 2, &["--iterations includes the warm-up"]);
    write("leakscope.toml", "[check]\niterations = 60\nbudget = \"1KiB/min\"\n");
    expect(finish(&[]), 2, &["a budget per time where growth is counted per an iteration"]);
    write("leakscope.toml", "[check]\niterations = \n");
    expect(finish(&[]), 2, &["leakscope.toml, line 2: "]);
    write("leakscope.toml", "[check]\niterations = 60\ninconclusive = \"no\"\n");
    expect(finish(&[]), 2, &["leakscope.toml: [check] inconclusive: 'no' is none of fail, pass"]);
    write("leakscope.toml", "[check]\niterations = 60\nbudget = \"1KiB\"\n");
    finish(&[]).expect_code(0);
    looping(&sandbox, &[], "leak", "60").finish().expect_code(0);
}

/// `leakscope check` of tests/gate/Loop.java: iterations, bytes lost at each, how much else happens.
fn java(sandbox: &Sandbox, release: u32, options: &[&str], arguments: [&str; 3]) -> Leakscope {
    let check = sandbox.command("check").args(options).target(machine::java(release)).target("-cp");
    check.target(programs::gate()).target("Loop").targets(&arguments)
}

#[test]
fn a_block_of_64_bytes_an_iteration_is_caught_in_every_jvm() {
    for release in machine::RELEASES {
        let sandbox = Sandbox::new();
        let answer = java(&sandbox, release, &["--iterations", "2000"], ["2000", "64", "0"]).finish().expect_code(1);
        assert!(answer.out().contains("Loop$Registry.open"), "JDK {release}: {}", answer.everything());
    }
}

/// `leakscope check` of tests/gate/Loaders.java: a class loader with one class at each iteration.
fn loaders(how: &str) -> Recording {
    let sandbox = Sandbox::new();
    let check = sandbox.command("check").args(&["--iterations", "60"]).target(machine::java(17)).target("-cp");
    check.target(programs::gate()).targets(&["Loaders", how, "60"]).finish()
}

#[test]
fn class_loaders_that_stay_are_a_leak() {
    let leak = loaders("leak").expect_code(1);
    let words = ["Loaders$Plugin.findClass", "it has outgrown its suppression: built in, leak:JVM_DefineClass"];
    assert!(words.iter().all(|word| leak.out().contains(word)), "{}", leak.everything());
}

#[test]
fn class_loaders_that_go_are_none() {
    two_of_three(|| coded(loaders("fixed"), 0));
}

/// A checkpoint comes a moment after the line ran for the first time, and has its name.
#[test]
fn lines_that_ran_just_now_have_their_names() {
    let sandbox = Sandbox::new();
    let options = ["--iterations", "10", "--warmup", "1", "--no-gc", "-o", "kept"];
    let check = sandbox.command("check").args(&options).target(machine::java(17)).target("-cp");
    let recording = check.target(programs::gate()).target("Fresh").finish();
    let recording = recording.in_directory(sandbox.path().join("kept"));
    let mut checkpoints = recording.profiles();
    checkpoints.retain(|profile| !profile.snapshot.reason.starts_with("limit-"));
    assert_eq!(checkpoints.len(), 11, "10 and the end: {}", recording.everything());
    for (number, profile) in checkpoints.iter().enumerate() {
        let functions = || profile.rows.iter().flat_map(|row| functions(profile, row));
        let lines: BTreeSet<&str> = functions().filter(|name| name.starts_with("Fresh.lambda$static$")).collect();
        assert_eq!(lines.len(), (number + 1).min(10), "checkpoint {number}: {lines:?}");
        assert!(functions().all(|name| name != "[unresolved java method]"), "checkpoint {number}");
    }
}

/// The series in small.
fn noise_is_no_leak_and_hides_none(number: u64) {
    let clean = two_of_three(|| {
        let clean = gate::run(number, 0);
        if clean.code == 0 { Ok(clean) } else { Err(format!("JDK {}: {}", gate::release(number), clean.text)) }
    });
    let leak = gate::run(number, gate::twice(clean.minimum_detectable));
    assert!(leak.code == 1 && leak.names_the_line, "JDK {}: {}", gate::release(number), leak.text);
}

#[test]
fn noise_is_no_leak_and_hides_none_on_one_jvm() {
    noise_is_no_leak_and_hides_none(1);
}

#[test]
fn nor_on_another() {
    noise_is_no_leak_and_hides_none(2);
}

#[test]
fn nor_on_a_third() {
    noise_is_no_leak_and_hides_none(3);
}

#[test]
fn nor_on_a_fourth() {
    noise_is_no_leak_and_hides_none(4);
}

#[test]
fn answers_go_where_they_are_asked_to_be() {
    let sandbox = Sandbox::new();
    let options = ["--iterations", "60", "--json", "--junit", "out.xml", "--sarif", "out.sarif", "--summary", "out.md"];
    let answer = looping(&sandbox, &options, "leak", "60").arg("--html").arg("out.html").finish().expect_code(1);
    let gate: serde_json::Value = serde_json::from_slice(&answer.stdout).expect("stdout is JSON and nothing else");
    assert_eq!((&gate["schema"], &gate["outcome"]), (&"leakscope.check/1".into(), &"fail".into()));
    assert!(answer.err().contains("iterated"), "the command's own words are on stderr: {}", answer.everything());
    let read = |name: &str| fs::read_to_string(sandbox.path().join(name)).expect("a file");
    assert!(read("out.xml").contains("<failure") && read("out.md").contains("keep_session"));
    assert!(read("out.sarif").contains("looping.c") && read("out.html").contains("keep_session"));
}

/// Nothing is left of an earlier answer; JUnit's readers, who want a file, are told why there is none.
#[test]
fn who_comes_to_no_answer_says_so_where_answers_are_read() {
    let sandbox = Sandbox::new();
    let options = ["--iterations", "60", "--junit", "out.xml", "--summary", "out.md"];
    let missing = sandbox.command("check").args(&options).target("no-such-command");
    for (check, code, why) in [
        (
            looping(&sandbox, &options, "crash", "60"),
            5,
            "program failed: it was killed by SIGSEGV, after 30 iterations",
        ),
        (looping(&sandbox, &options, "silent", "60"), 3, "program ended and never said that an iteration was over"),
        (missing, 5, "no-such-command: command not found"),
    ] {
        for name in ["out.xml", "out.md"] {
            fs::write(sandbox.path().join(name), "yesterday's").expect("a file");
        }
        let answer = expect(check.finish(), code, &[why]);
        let junit = fs::read_to_string(sandbox.path().join("out.xml")).expect("a file");
        assert!(junit.contains("failures=\"0\" errors=\"1\"") && junit.contains("<error "), "{junit}");
        assert!(junit.contains(why), "{junit}\n{}", answer.everything());
        assert!(!sandbox.path().join("out.md").exists());
    }
}

#[test]
fn github_gets_its_annotations_and_its_summary() {
    let sandbox = Sandbox::new();
    let summary = sandbox.path().join("summary.md");
    fs::write(&summary, "before\n").expect("a file");
    let check = looping(&sandbox, &["--iterations", "60"], "leak", "60").env("GITHUB_ACTIONS", "true");
    let answer = check.env("GITHUB_STEP_SUMMARY", &summary).finish().expect_code(1);
    assert!(answer.out().contains("::error file="), "{}", answer.everything());
    let text = fs::read_to_string(&summary).expect("a file");
    assert!(text.starts_with("before\n") && text.contains("keep_session"), "{text}");
}

#[test]
fn the_examples_do_what_they_say() {
    let sandbox = Sandbox::new();
    // Goes on for ever, and is asked to end.
    let check = |iterations: &str| sandbox.command("check").args(&["--iterations", iterations]);
    let test = || check("200").target(machine::java(21)).target("-cp").target(programs::gate()).target("LeakTest");
    two_of_three(|| coded(test().finish(), 0));
    // A shell that does not wait for answers, and the JVM that it starts. More iterations than fit into the pipe (409), so that
    // it cannot run past all of the checkpoints.
    let loop_sh = |bytes: &str| {
        let check = check("2000").target(machine::repository().join("examples/ci/loop.sh")).target(machine::java(17));
        check.target("-cp").target(programs::gate()).targets(&["Served", bytes]).finish()
    };
    let leak = loop_sh("640").expect_code(1);
    assert!(leak.out().contains("Served.answer"), "{}", leak.everything());
    two_of_three(|| coded(loop_sh("0"), 0));
}

#[test]
fn the_helper_needs_no_more_than_jdk_8() {
    machine::need("javac");
    let sandbox = Sandbox::new();
    let helper = programs::example_source("ci", "Leakscope");
    let compiler = Command::new("javac")
        .args(["--release", "8", "-Xlint:-options", "-Werror", "-d"])
        .arg(sandbox.path())
        .arg(helper)
        .output();
    let output = compiler.expect("javac starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn collections_can_be_done_without() {
    let sandbox = Sandbox::new();
    for (options, survives) in [(&["--iterations", "300"][..], true), (&["--iterations", "300", "--no-gc"], false)] {
        let answer = java(&sandbox, 21, options, ["300", "4096", "0"]).finish().expect_code(1);
        assert_eq!(answer.out().contains("survives full collections"), survives, "{}", answer.everything());
    }
}

#[test]
fn a_jvm_that_refuses_collections_is_judged_without() {
    let sandbox = Sandbox::new();
    let check = sandbox.command("check").args(&["--iterations", "300"]).target(machine::java(17));
    let check = check.targets(&["-XX:+DisableAttachMechanism", "-cp"]).target(programs::gate());
    let answer = check.targets(&["Loop", "300", "4096", "0"]).finish();
    expect(answer, 1, &["no garbage collection before checkpoints", "DisableAttachMechanism"]);
}

#[test]
fn the_self_test_proves_the_gate_on_this_machine() {
    let sandbox = Sandbox::new();
    machine::need("javac");
    let answer = sandbox.command("check").arg("--selftest").finish().expect_code(0);
    for line in ["native program, a leak: fails", "native program, its twin without: passes", "JVM, a leak: fails"] {
        assert!(answer.out().contains(line), "{}", answer.everything());
    }
    let without = sandbox.command("check").env("PATH", sandbox.path()).env("JAVA_HOME", sandbox.path());
    let answer = without.arg("--selftest").finish().expect_code(0);
    assert!(answer.out().contains("JVM: not tried"), "{}", answer.everything());
}
