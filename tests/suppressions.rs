//! Suppressions under `leakscope check`: what they hide, what they do not, and how they end.

use crate::support::{Recording, Sandbox, programs};
use std::fs;

/// `check` of a program that loses 64 bytes at each iteration, with a file of suppressions.
fn judged(lines: &str, options: &[&str]) -> Recording {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path().join("known.supp"), lines).expect("a file");
    let check = sandbox.command("check").args(&["--iterations", "100", "--suppressions", "known.supp"]).args(options);
    check.target(programs::c("looping")).targets(&["leak", "100"]).finish()
}

fn says(recording: &Recording, words: &[&str]) {
    let everything = recording.everything();
    for word in words {
        assert!(everything.contains(word), "no '{word}': {everything}");
    }
}

#[test]
fn what_is_known_passes_and_is_told() {
    let known = "# known\nleak:keep_session reason=\"TICKET-1\"\nleak:no_such_function\n";
    let passed = judged(known, &[]).expect_code(0);
    says(&passed, &["1 site that changed under suppressions", "unused: line 3, leak:no_such_function"]);
    says(&judged(known, &["--show-suppressed"]).expect_code(0), &["keep_session"]);
}

#[test]
fn what_outgrows_its_limits_fails() {
    for (limits, code) in [
        ("max-growth=64/iter", 0),
        ("max-growth=63/iter", 1),
        ("max-growth=0", 1),
        ("max=1MiB", 0),
        ("max=1k", 1),
        ("until=2999-12-31", 0),
    ] {
        let recording = judged(&format!("leak:keep_session {limits}\n"), &[]).expect_code(code);
        if code == 1 {
            says(&recording, &["keep_session", "it has outgrown its suppression: line 1, leak:keep_session"]);
        }
    }
}

#[test]
fn what_has_expired_fails_whatever_it_hid() {
    let over = "leak:keep_session until=2020-01-01 reason=\"TICKET-2\"\n";
    let expired = judged(over, &[]).expect_code(1);
    says(&expired, &["FAIL", "the last day of a suppression is over: line 1, leak:keep_session (TICKET-2)"]);
    says(&judged("leak:nothing until=2020-01-01\nleak:keep_session\n", &[]).expect_code(1), &["leak:nothing"]);
}

#[test]
fn what_would_hide_everything_is_warned_of() {
    says(&judged("leak:main\n", &[]).expect_code(0), &["matches nearly everything, and would hide any leak: line 1"]);
}

#[test]
fn what_cannot_be_understood_is_wrong_usage() {
    says(&judged("leak:a\nrace:b\n", &[]).expect_code(2), &["known.supp", "line 2"]);
    says(&judged("leak:a until=soon\n", &[]).expect_code(2), &["line 1", "no day"]);
    let by_time = judged("leak:a\nleak:b max-growth=1MiB/h\n", &[]).expect_code(2);
    says(&by_time, &["known.supp: line 2: max-growth= could not be held: growth is counted by iterations here"]);
    let of_a_verdict = judged("leak:a\nkind:LEAK report-only\n", &[]).expect_code(2);
    says(&of_a_verdict, &["known.supp: line 2: 'kind:LEAK' would have no effect: check judges growth by site"]);
}
