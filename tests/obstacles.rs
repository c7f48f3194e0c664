//! What goes wrong around leakscope: programs that cannot be preloaded, full disks, damaged files. One clear sentence,
//! the right exit code, no panic, and what was recorded so far is kept.

use crate::support::{Recording, Sandbox, machine, profiles, programs, timelines};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn a_static_program_runs_and_the_user_is_told() {
    let sandbox = Sandbox::new();
    let recording = sandbox.run().target(programs::c_static("family")).finish().expect_code(0);
    assert!(recording.out().contains("live by_malloc "), "it ran: {}", recording.everything());
    let err = recording.err();
    assert!(err.contains("nothing is being recorded") && err.contains("static"), "{err}");
    assert!(!err.contains("next: leakscope report"), "there is nothing to report: {err}");
}

/// The reason cannot be seen in the file: the program runs without the variables that leakscope has set.
#[test]
fn a_program_that_never_answers_is_reported_within_seconds() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().targets(&["env", "-i"]).target(programs::c("steps")).start();
    assert_eq!(run.line(), "ready");
    let said = run.hear("nothing is being recorded");
    assert!(said.contains("LD_PRELOAD"), "why: {said}");
    run.finish().expect_code(0);
}

/// The kernel's answer to a write beyond the limit is a signal that kills: not us, and for the target as ever.
#[test]
fn a_limit_on_file_sizes_kills_neither_leakscope_nor_the_targets_own_way_to_die() {
    let sandbox = Sandbox::new();
    let leakscope = machine::leakscope();
    let script = "ulimit -f 1; exec \"$0\" run -o out -- sh -c 'head -c 9000 /dev/zero > big; echo $?; exit 7'";
    let leakscope = leakscope.to_str().expect("a path of text");
    let recording = sandbox.command("run").instead(&["sh", "-c", script, leakscope]).finish().expect_code(7);
    assert_eq!(
        recording.out().trim(),
        (128 + libc::SIGXFSZ).to_string(),
        "head dies of it: {}",
        recording.everything()
    );
    // Which of the two sentences depends on whether the target was still there when its refusal came.
    let said = ["nothing is being recorded", "is not recorded"].iter().any(|words| recording.err().contains(words));
    assert!(said, "{}", recording.err());
}

#[test]
fn a_full_disk_costs_what_comes_after_and_nothing_before() {
    let sandbox = Sandbox::new();
    let kept = sandbox.path().join("kept");
    // The target waits for the first profile, then fills the disk and ends.
    let target = "while ! ls small/out/*/*.prof >/dev/null 2>&1; do :; done; \
                  head -c 9000000 /dev/zero > small/filler 2>/dev/null; exit 3";
    let script = "mkdir small && mount -t tmpfs -o size=1m none small || exit 90
                  \"$0\" run -o small/out --interval 200ms --sample 1 -- sh -c \"$1\"; code=$?
                  cp -r small/out \"$2\"; exit $code";
    let kept_path = kept.to_str().expect("a path of text");
    let leakscope = machine::leakscope();
    let outer = sandbox.command("run").instead(&[
        "unshare",
        "-rm",
        "sh",
        "-c",
        script,
        leakscope.to_str().expect("a path of text"),
        target,
        kept_path,
    ]);
    let recording = outer.finish().expect_code(3);
    let err = recording.err();
    assert!(err.contains("No space left on device"), "{err}");
    assert!(!err.contains("panicked"), "{err}");
    let folders: Vec<_> = fs::read_dir(&kept).expect("the recording").flatten().map(|entry| entry.path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    assert!(!profiles::profiles_in(&folders[0]).is_empty(), "the first profile is still there and readable");
    assert!(!timelines::timeline(&folders[0]).points.is_empty(), "and so is the timeline, without a torn line");
    assert!(!err.contains("next: leakscope report") || sandbox.report(&kept)["sites"].is_array());
}

/// A profile, and what can become of one.
fn damaged(sandbox: &Sandbox) -> (PathBuf, Vec<PathBuf>) {
    let recording = sandbox.run().args(&["--sample", "1"]).target(programs::c("family")).finish().expect_code(0);
    let good = recording.last_file();
    let bytes = fs::read(&good).expect("a profile");
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 0x40;
    let variants = [
        ("empty.prof", Vec::new()),
        ("cut.prof", bytes[..bytes.len() / 2].to_vec()),
        ("flipped.prof", flipped),
        ("text.prof", b"this is no profile\n".to_vec()),
        ("gzip.prof", vec![0x1f, 0x8b]),
        ("zeroes.prof", vec![0; 4096]),
    ];
    let write = |(name, bytes): (&str, Vec<u8>)| {
        let path = sandbox.path().join(name);
        fs::write(&path, bytes).expect("a file");
        path
    };
    let mut paths: Vec<PathBuf> = variants.into_iter().map(write).collect();
    paths.push(sandbox.path().join("missing.prof"));
    (good, paths)
}

#[test]
fn damaged_profiles_are_refused_in_one_sentence() {
    let sandbox = Sandbox::new();
    let (good, damaged) = damaged(&sandbox);
    let svg = sandbox.path().join("out.svg");
    for bad in &damaged {
        let answers = [
            sandbox.command("report").arg(bad),
            sandbox.command("report").arg("--json").arg(bad),
            sandbox.command("diff").arg(&good).arg(bad),
            sandbox.command("diff").arg(bad).arg(&good),
            sandbox.command("flame").arg(bad).arg("-o").arg(&svg),
        ];
        for answer in answers {
            expect_refused(&answer.finish(), bad, 4);
        }
        assert!(!svg.exists(), "a picture of {}", bad.display());
    }
}

#[test]
fn folders_without_a_recording_are_no_data() {
    let sandbox = Sandbox::new();
    let empty = sandbox.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    expect_refused(&sandbox.command("report").arg(&empty).finish(), &empty, 3);
}

fn expect_refused(answer: &Recording, what: &Path, code: i32) {
    assert_eq!(answer.code(), code, "{}", answer.everything());
    let err = answer.err();
    assert!(err.starts_with("leakscope: ") && err.lines().count() == 1, "not one sentence: {err}");
    assert!(err.contains(&*what.to_string_lossy()), "which file: {err}");
    assert!(!err.contains("panicked") && answer.stdout.is_empty(), "{}", answer.everything());
}
