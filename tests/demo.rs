//! `leakscope demo`: what somebody sees who has only the README.

use crate::java::expect_deflater_first;
use crate::support::json::{frames, shown, sites};
use crate::support::{Sandbox, machine};
use std::fs;

#[test]
fn with_a_jdk_the_line_that_creates_the_deflater_is_named() {
    machine::need("javac");
    let sandbox = Sandbox::new();
    let directory = sandbox.path().join("demo");
    let answer = sandbox.command("demo").arg("-o").arg(&directory).args(&["--seconds", "5"]).finish().expect_code(0);
    // The report for people, then the growth.
    let out = answer.out();
    for name in ["DeflaterLeak$ExceptionLogger.compress", "java.util.zip.Deflater.init", "deflateInit2_"] {
        assert!(out.contains(name), "no {name}: {}", answer.everything());
    }
    expect_deflater_first(&sandbox.report(&directory));
    let svg = fs::read_to_string(directory.join("flame.svg")).expect("a flame graph");
    assert!(svg.contains("DeflaterLeak$ExceptionLogger.compress"));
}

#[test]
fn without_a_jdk_the_function_that_loses_its_sessions_is_named() {
    let sandbox = Sandbox::new();
    let directory = sandbox.path().join("demo");
    let run = sandbox.command("demo").env("PATH", sandbox.path()).env("JAVA_HOME", sandbox.path());
    let answer = run.arg("-o").arg(&directory).args(&["--seconds", "5"]).finish().expect_code(0);
    assert!(answer.out().contains("open_session"), "{}", answer.everything());
    let report = sandbox.report(&directory);
    let site = &sites(&report)[0];
    let is_ours = |frame: &serde_json::Value| frame["function"].as_str().is_some_and(|f| f.ends_with("::open_session"));
    assert!(frames(site).iter().any(is_ours), "{}", shown(site));
}
