//! Profiles of a real JVM in the real `go tool pprof`: the same totals, and Java names.

use crate::support::json::{Estimate, site_with};
use crate::support::{Sandbox, machine, programs};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What `go tool pprof -top` prints of one sample type, in its smallest unit and with every node.
fn top(profile: &Path, sample_type: &str) -> String {
    machine::need("go");
    let sandbox = Sandbox::new();
    let output = Command::new("go")
        .args(["tool", "pprof", "-top", "-nodecount=0", "-nodefraction=0", "-edgefraction=0", "-unit=B"])
        .arg(format!("-sample_index={sample_type}"))
        .arg(profile)
        .env("HOME", sandbox.path())
        .env("PPROF_TMPDIR", sandbox.path())
        .output()
        .expect("go starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The number after `of` in `Showing nodes accounting for 10B, 100% of 10B total`.
fn total(top: &str) -> f64 {
    let line = top.lines().find(|line| line.starts_with("Showing nodes")).unwrap_or_else(|| panic!("no total: {top}"));
    let word = line.split(" of ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a total");
    word.trim_end_matches('B').parse().unwrap_or_else(|_| panic!("no number: {line}"))
}

#[test]
fn go_pprof_shows_the_same_totals_and_java_names() {
    let sandbox = Sandbox::new();
    let classes = programs::example("deflater", "DeflaterLeak");
    let run = sandbox.run().target(machine::java(21)).targets(&programs::UNCOLLECTED).target("-cp").target(classes);
    let recording = run.targets(&["DeflaterLeak", "1.5", "100"]).finish().expect_code(0);
    let report = sandbox.report_of(&recording);
    let profile = recording.last_file();
    let rows = recording.last().rows.len() as f64;
    for (sample_type, key) in [("inuse_space", "live_bytes"), ("inuse_objects", "live_objects")] {
        let expected = Estimate::of(&report["total"][key]).estimate;
        let shown = total(&top(&profile, sample_type));
        // pprof has whole numbers: each row is rounded once.
        assert!((shown - expected).abs() <= rows, "{sample_type}: pprof {shown}, leakscope {expected}");
    }
    let space = top(&profile, "inuse_space");
    assert!(space.contains("File: java"), "{space}");
    for name in ["DeflaterLeak$ExceptionLogger.compress", "java.util.zip.Deflater.init", "deflateInit2_"] {
        assert!(space.lines().any(|line| line.ends_with(&format!(" {name}"))), "no {name} in {space}");
    }
}

/// What pprof writes anew has lost what only leakscope understands. It is still a profile, but cannot be paired.
#[test]
fn a_foreign_profile_is_reported_with_what_it_has() {
    machine::need("go");
    let sandbox = Sandbox::new();
    let recording = sandbox.run().args(&["--sample", "1"]).target(programs::c("sizes")).finish().expect_code(0);
    let own = recording.last_file();
    let foreign = sandbox.path().join("foreign.prof");
    let output = Command::new("go")
        .args(["tool", "pprof", "-proto", "-output"])
        .args([&foreign, &own])
        .env("HOME", sandbox.path())
        .output()
        .expect("go starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (own_report, report) = (sandbox.report(&own), sandbox.report(&foreign));
    let total = |report: &Value| Estimate::of(&report["total"]["live_bytes"]).estimate;
    assert_eq!(total(&report), total(&own_report));
    assert!(site_with(&report, "leak_4096").is_some(), "{report}");
    assert_eq!(sandbox.diff(&own, &foreign)["paired"], false);
}
