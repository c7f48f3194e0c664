//! Probes: what a full collection releases is named by its line, what is held stays; a trim gives back what the allocator
//! keeps. On real JVMs.

use crate::support::json::{Estimate, frames};
use crate::support::leakscope::Running;
use crate::support::plain::Plain;
use crate::support::{Sandbox, machine, programs};
use serde_json::Value;
use std::process::Command;

const MIB: f64 = 1024.0 * 1024.0;

/// A recorded JVM with 64 MiB held from Unsafe, and 400 deflaters (some 100 MiB) that are garbage.
fn target(sandbox: &Sandbox, release: u32, options: &[&str]) -> (Running, String) {
    let run = sandbox.run().args(&["--sample", "16k"]).target(machine::java(release)).targets(&["-Xmx512m"]);
    let run = run.targets(options).target("-cp").target(programs::java());
    let mut run = run.targets(&["Parts", "64", "64", "0", "/none", "4", "8", "400"]).start();
    assert!(run.line().starts_with("ready"));
    let pid = run.recorded_pid().to_string();
    (run, pid)
}

fn probe(sandbox: &Sandbox, what: &str, pid: &str) -> Value {
    let said = sandbox.command("probe").args(&[what, pid, "--yes", "--json"]).finish().expect_code(0);
    serde_json::from_slice(&said.stdout).expect("JSON")
}

/// Live and released bytes of the sites with this function on their stack, and frees by the GC.
fn released(probed: &Value, function: &str) -> (f64, f64, u64) {
    let has = |site: &&Value| frames(site).iter().any(|frame| frame["function"] == function);
    let sites = probed["sites"].as_array().expect("sites").iter().filter(has);
    sites.fold((0.0, 0.0, 0), |(live, gone, frees), site| {
        let estimate = |key: &str| Estimate::of(&site[key]).estimate;
        let by_gc = site["frees_by_gc"].as_u64().expect("a number");
        (live + estimate("live_bytes"), gone + estimate("released_bytes"), frees + by_gc)
    })
}

/// Bytes of a row of resident memory, before and after.
fn rows(probed: &Value, what: &str) -> (f64, f64) {
    let of = |side: &str| {
        let rows = probed[side]["rows"].as_array().expect("rows").iter().filter(|row| row["what"] == what);
        rows.map(|row| row["bytes"]["estimate"].as_f64().expect("a number")).sum()
    };
    (of("before"), of("after"))
}

fn a_collection_proves_what_is_garbage(release: u32) {
    let sandbox = Sandbox::new();
    // The flag is about System.gc() alone.
    let (run, pid) = target(&sandbox, release, &["-XX:+UseSerialGC", "-XX:+DisableExplicitGC"]);
    let probed = probe(&sandbox, "gc", &pid);
    let (live, gone, frees) = released(&probed, "java.util.zip.Deflater.init");
    assert!(live > 50.0 * MIB, "{live} live before\n{probed:#}");
    assert!(gone >= 0.95 * live, "{gone} of {live} released");
    assert!(frees > 100, "{frees} frees by the reference handlers");
    let (live, gone, _) = released(&probed, "Parts.allocate");
    assert!(live > 50.0 * MIB && gone < 0.05 * live, "{gone} of {live}, which are held");
    let total = Estimate::of(&probed["released_bytes"]).estimate;
    assert!(total >= 50.0 * MIB, "{total} in all");

    let text = sandbox.command("probe").args(&["gc", &pid, "-y"]).finish().expect_code(0);
    assert!(text.err().contains("asks the JVM of java"), "{}", text.everything());
    let held = text.out().lines().any(|line| line.contains("Parts.allocate"));
    assert!(text.out().contains("STILL LIVE") && held, "{}", text.everything());
    assert!(!text.out().contains("Deflater.init"), "nothing of it is left to release\n{}", text.everything());
    let recording = run.finish().expect_code(0);
    assert_eq!(recording.out(), "", "the target hears nothing of it");
}

fn a_trim_gives_back_what_the_allocator_keeps(release: u32) {
    let sandbox = Sandbox::new();
    let (run, pid) = target(&sandbox, release, &[]);
    probe(&sandbox, "gc", &pid);
    let probed = probe(&sandbox, "trim", &pid);
    assert_eq!(probed["sites"], Value::Null);
    assert!(probed["said"].as_str().expect("it says so").contains("Trim native heap"), "{probed:#}");
    let (before, after) = rows(&probed, "malloc");
    assert!(before - after > 30.0 * MIB, "{before} before, {after} after");
    run.finish().expect_code(0);
}

/// One test for each JDK.
macro_rules! on_jdks {
    ($check:ident, $($name:ident $release:literal),*) => {
        mod $check {
            $(#[test]
            fn $name() {
                super::$check($release)
            })*
        }
    };
}

on_jdks!(a_collection_proves_what_is_garbage, jdk_11 11, jdk_17 17, jdk_21 21, jdk_25 25);
on_jdks!(a_trim_gives_back_what_the_allocator_keeps, jdk_17 17, jdk_21 21, jdk_25 25);

#[test]
fn nothing_is_done_that_was_not_confirmed() {
    let sandbox = Sandbox::new();
    let (run, pid) = target(&sandbox, 17, &["-Xlog:gc:file=gc.log"]);
    let full = || {
        let log = std::fs::read_to_string(sandbox.path().join("gc.log")).expect("the JVM's log");
        log.lines().filter(|line| line.contains("Pause Full (Diagnostic Command)")).count()
    };
    let said = sandbox.command("probe").args(&["gc", &pid]).finish().expect_code(2);
    assert!(said.err().contains("confirm with --yes"), "{}", said.everything());
    assert_eq!(full(), 0);
    probe(&sandbox, "gc", &pid);
    assert!(full() >= 2, "two collections");
    run.finish().expect_code(0);
}

#[test]
fn what_cannot_be_done_is_said() {
    let sandbox = Sandbox::new();
    // JDK 11 has no such command; a program in C has no JVM.
    let mut java = Command::new(machine::java(11));
    let parts = ["Parts", "8", "64", "0", "/none", "1", "1", "1"];
    let jvm = Plain::start(java.arg("-cp").arg(programs::java()).args(parts));
    let said = sandbox.command("probe").args(&["trim", &jvm.pid().to_string(), "--yes"]).finish().expect_code(4);
    assert!(said.err().contains("no command to trim"), "{}", said.everything());
    let (out, _) = jvm.finish();
    assert_eq!(out, "");
    let plain = Plain::start(&mut Command::new(programs::c("layout")));
    let said = sandbox.command("probe").args(&["gc", &plain.pid().to_string(), "--yes"]).finish().expect_code(3);
    assert!(said.err().contains("is no HotSpot JVM"), "{}", said.everything());
    plain.finish();
}

/// Then there are no sites, but there is the change of resident memory.
#[test]
fn a_jvm_that_is_not_recorded_can_be_probed() {
    let sandbox = Sandbox::new();
    let mut java = Command::new(machine::java(21));
    let parts = ["Parts", "8", "64", "0", "/none", "1", "8", "1200"];
    let jvm = Plain::start(java.args(["-Xmx512m", "-cp"]).arg(programs::java()).args(parts));
    let probed = probe(&sandbox, "gc", &jvm.pid().to_string());
    assert_eq!((&probed["sites"], &probed["released_bytes"]), (&Value::Null, &Value::Null));
    assert!(rows(&probed, "malloc").0 > 50.0 * MIB, "{probed:#}");
    let probed = probe(&sandbox, "trim", &jvm.pid().to_string());
    let (before, after) = rows(&probed, "malloc");
    assert!(before - after > 30.0 * MIB, "{before} before, {after} after: 1,200 deflaters are gone");
    jvm.finish();
}
