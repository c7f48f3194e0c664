//! Where the resident memory is: JVMs of every release, collector and allocator against what their program knows, and
//! what the JVM answers about itself.

use crate::support::plain::Plain;
use crate::support::{Sandbox, machine, programs};
use leakscope_profile::timeline::{Class, Part, Timeline};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::process::Command;

const MIB: f64 = 1024.0 * 1024.0;

/// What `leakscope explain` says.
struct Explained {
    json: Value,
    rows: BTreeMap<String, f64>,
}

impl Explained {
    fn of(sandbox: &Sandbox, pid: u32) -> Self {
        let said = sandbox.command("explain").arg(pid.to_string()).arg("--json").finish().expect_code(0);
        let json: Value = serde_json::from_slice(&said.stdout).expect("JSON");
        let row = |row: &Value| {
            (row["what"].as_str().expect("a word").to_owned(), row["bytes"]["estimate"].as_f64().expect("a number"))
        };
        let rows: BTreeMap<_, _> = json["rss"]["rows"].as_array().expect("rows").iter().map(row).collect();
        let total = json["rss"]["total_bytes"].as_f64().expect("a number");
        let sum: f64 = rows.values().sum();
        assert!((sum - total).abs() < 100.0, "rows of {sum}, {total} in all");
        Self { json, rows }
    }

    /// MiB of a row.
    fn mib(&self, what: &str) -> f64 {
        self.rows.get(what).copied().unwrap_or(0.0) / MIB
    }

    /// Fails unless a row has so many MiB.
    fn expect(&self, what: &str, mib: RangeInclusive<f64>, context: &str) {
        self.hold(what, mib).unwrap_or_else(|wrong| panic!("{context}: {wrong}"));
    }

    /// What is wrong unless a row has so many MiB.
    fn hold(&self, what: &str, mib: RangeInclusive<f64>) -> Result<(), String> {
        let found = self.mib(what);
        let wrong = || format!("{found} MiB of {what}, expected {mib:?}\n{:#}", self.json);
        mib.contains(&found).then_some(()).ok_or_else(wrong)
    }
}

const MALLOC: f64 = 96.0;
const FILE: f64 = 30.0;
const HEAP: f64 = 60.0;
const THREADS: u32 = 24;

/// A JVM whose program holds what the constants say.
fn jvm(sandbox: &Sandbox, release: u32, block_kib: u32, options: &[&str], preload: Option<&str>) -> Plain {
    let mut command = Command::new(machine::java(release));
    command.args(["-Xmx512m", "-XX:+UnlockExperimentalVMOptions"]).args(options).arg("-cp").arg(programs::java());
    command.arg("Parts").args([MALLOC.to_string(), block_kib.to_string(), FILE.to_string()]);
    command.arg(sandbox.path().join("mapped")).args([THREADS.to_string(), HEAP.to_string(), "0".to_owned()]);
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    Plain::start(&mut command)
}

/// What is wrong unless every row is what the program knows, within what a JVM takes for itself.
fn the_truth(explained: &Explained, jvm: &Plain) -> Result<(), String> {
    let committed: f64 = jvm.said.strip_prefix("ready ").and_then(|n| n.parse().ok()).expect("a number");
    // The interpreter, the compiler and class loading ask malloc for some 5 MiB, jemalloc keeps some more.
    explained.hold("malloc", MALLOC * 0.85..=MALLOC + 40.0)?;
    explained.hold("mapped-file", FILE..=FILE + 0.5)?;
    // ZGC up to JDK 21 maps a page of its heap up to three times, and moves pages between these views while smaps is read:
    // a page that moves then counts for a half or a third.
    explained.hold("java-heap", HEAP * 0.97..=committed / MIB + 4.0)?;
    explained.hold("stacks", f64::from(THREADS) * 0.04..=16.0)?;
    let own = ["jvm", "metaspace", "code", "gc"].map(|what| explained.mib(what)).iter().sum::<f64>();
    // Of ZGC on JDK 11 the mark stacks alone have 32.
    if !(2.0..=50.0).contains(&own) {
        return Err(format!("{own} MiB of the JVM itself\n{:#}", explained.json));
    }
    explained.hold("files", 3.0..=60.0)?;
    let unexplained = explained.json["rss"]["unexplained"].as_f64().expect("a number");
    if unexplained > 0.05 {
        return Err(format!("{unexplained} unexplained\n{:#}", explained.json));
    }
    Ok(())
}

/// Fails unless one JVM of three is explained as it should be. Without a session the layout of memory has to tell, which the
/// kernel draws by chance for each process: now and then blocks lie beside a reservation of the JVM's, and pass for its own.
fn expect_the_truth(sandbox: &Sandbox, start: impl Fn() -> Plain, context: &str) -> (Explained, Plain) {
    let mut all_wrong = String::new();
    for _ in 0..3 {
        let jvm = start();
        let explained = Explained::of(sandbox, jvm.pid());
        match the_truth(&explained, &jvm) {
            Ok(()) => return (explained, jvm),
            Err(wrong) => all_wrong.push_str(&format!("{context}: {wrong}\n")),
        }
    }
    panic!("{all_wrong}");
}

fn every_collector_and_allocator(release: u32) {
    let sandbox = Sandbox::new();
    for collector in ["G1", "Serial", "Parallel", "Z"] {
        let option = format!("-XX:+Use{collector}GC");
        for (block_kib, preload) in [(64, None), (1024, None), (64, Some("libjemalloc.so.2"))] {
            let context = format!("JDK {release}, {collector}, blocks of {block_kib} KiB, {preload:?}");
            let start = || jvm(&sandbox, release, block_kib, &[&option], preload);
            let (explained, jvm) = expect_the_truth(&sandbox, start, &context);
            let named = explained.json["target"]["collector"].as_str().expect("known");
            assert!(named.starts_with(collector), "{context}: {named}");
            assert_eq!(explained.json["rss"]["jvm_split"], "none", "{context}");
            jvm.finish();
        }
    }
}

#[test]
fn allocators_that_map_memory_in_their_own_ways() {
    let sandbox = Sandbox::new();
    for library in ["libtcmalloc_minimal.so.4", "libmimalloc.so.2.0"] {
        let start = || jvm(&sandbox, 21, 64, &["-XX:+UseG1GC"], Some(library));
        let (_, jvm) = expect_the_truth(&sandbox, start, library);
        let (_, err) = jvm.finish();
        assert!(!err.contains("cannot be preloaded"), "{library} is missing: run scripts/setup test\n{err}");
    }
}

/// The JVM asks the kernel who connects: root has to take on its user's identity.
#[test]
fn another_users_jvm_is_asked_by_root() {
    machine::need("java");
    let sandbox = Sandbox::new();
    let classes = sandbox.path().join("classes");
    let copied = Command::new("cp").arg("-rL").arg(programs::java()).arg(&classes).status().expect("cp runs");
    let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(&classes).status().expect("chmod runs");
    assert!(copied.success() && opened.success());
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let java = ["java", "-Xmx64m", "-XX:NativeMemoryTracking=summary", "-cp"];
    let line = [machine::as_root(), &nobody, &java].concat();
    let parts = ["Parts", "8", "64", "0", "/none", "1", "1", "0"];
    let theirs = Plain::start(Command::new(line[0]).args(&line[1..]).arg(&classes).args(parts));
    // Beneath sudo the JVM is not our child itself.
    let pid = jvm_below(theirs.pid()).to_string();
    let said = sandbox.command("explain").through(machine::as_root()).args(&[&pid, "--json"]).finish().expect_code(0);
    let json: Value = serde_json::from_slice(&said.stdout).expect("JSON");
    assert_eq!(json["rss"]["jvm_split"], "nmt", "{}", said.everything());
    assert_eq!(theirs.finish().0, "", "no thread dump");
}

/// The process itself, or its descendant that runs java.
fn jvm_below(pid: u32) -> u32 {
    let is_java = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "java\n");
    let mut at = pid;
    while !is_java(at) {
        let children = std::fs::read_to_string(format!("/proc/{at}/task/{at}/children")).expect("its children");
        at = children.split_whitespace().next().and_then(|child| child.parse().ok()).expect("a child");
    }
    at
}

/// Heaps that lie elsewhere, are committed at once, or have no compressed references.
fn every_kind_of_heap(release: u32) {
    let sandbox = Sandbox::new();
    for options in [
        &["-XX:+UseG1GC", "-Xms512m", "-XX:-UseCompressedOops"][..],
        &["-XX:+UseSerialGC", "-Xms512m", "-XX:-UsePerfData"],
        &["-XX:+UseParallelGC", "-XX:HeapBaseMinAddress=40g"],
    ] {
        let start = || jvm(&sandbox, release, 256, options, None);
        let (_, jvm) = expect_the_truth(&sandbox, start, &format!("JDK {release} with {options:?}"));
        jvm.finish();
    }
}

/// Read through the attach socket, which says nothing on the target's stdout or stderr.
fn native_memory_tracking_divides_the_jvm(release: u32) {
    let sandbox = Sandbox::new();
    for level in ["summary", "detail"] {
        let option = format!("-XX:NativeMemoryTracking={level}");
        let context = format!("JDK {release}, tracking {level}");
        let start = || jvm(&sandbox, release, 64, &[&option, "-XX:+UseG1GC"], None);
        let (explained, jvm) = expect_the_truth(&sandbox, start, &context);
        assert_eq!(explained.json["rss"]["jvm_split"], "nmt", "{context}");
        assert_eq!(explained.json["target"]["native_memory_tracking"], level, "{context}");
        for what in ["metaspace", "code", "gc"] {
            explained.expect(what, 0.05..=20.0, &context);
        }
        let (out, err) = jvm.finish();
        assert_eq!(out, "", "{context}");
        let loud = err.lines().filter(|line| !line.contains("Unsafe") && !line.starts_with("WARNING: "));
        assert_eq!(loud.count(), 0, "{context}: {err}");
    }
}

/// SIGQUIT would kill one that leaves signals alone, and make one that refuses dump its threads.
fn a_jvm_that_refuses_is_left_alone(release: u32) {
    let sandbox = Sandbox::new();
    for (refusal, why) in
        [("-Xrs", "does not handle SIGQUIT"), ("-XX:+DisableAttachMechanism", "refuses to be attached")]
    {
        let jvm = jvm(&sandbox, release, 64, &["-XX:NativeMemoryTracking=summary", refusal], None);
        let pid = jvm.pid().to_string();
        if refusal == "-Xrs" {
            // It makes its socket at its start, and then needs no signal.
            assert_eq!(Explained::of(&sandbox, jvm.pid()).json["rss"]["jvm_split"], "nmt");
            std::fs::remove_file(format!("/tmp/.java_pid{pid}")).expect("its socket");
        }
        let said = sandbox.command("explain").arg(&pid).finish().expect_code(0);
        assert!(said.err().contains(why), "{}", said.everything());
        assert!(said.out().contains("WHERE THE RSS IS"), "{}", said.everything());
        assert!(!std::path::Path::new(&format!("/tmp/.attach_pid{pid}")).exists());
        assert_eq!(jvm.finish().0, "", "no thread dump");
    }
}

/// One test for each JDK.
macro_rules! on_jdks {
    ($check:ident) => {
        mod $check {
            #[test]
            fn jdk_11() {
                super::$check(11)
            }
            #[test]
            fn jdk_17() {
                super::$check(17)
            }
            #[test]
            fn jdk_21() {
                super::$check(21)
            }
            #[test]
            fn jdk_25() {
                super::$check(25)
            }
        }
    };
}

on_jdks!(every_collector_and_allocator);
on_jdks!(every_kind_of_heap);
on_jdks!(native_memory_tracking_divides_the_jvm);
on_jdks!(a_jvm_that_refuses_is_left_alone);

/// Without a session nobody knows who mapped anonymous memory: it is unexplained, and said to be so. With one it is known.
#[test]
fn memory_that_a_program_maps_is_known_where_it_is_recorded() {
    let sandbox = Sandbox::new();
    let plain = Plain::start(&mut Command::new(programs::c("layout")));
    let explained = Explained::of(&sandbox, plain.pid());
    explained.expect("malloc", 50.0..=52.0, "plain");
    explained.expect("unexplained", 40.0..=40.5, "plain");
    explained.expect("stacks", 2.0..=3.0, "plain");
    let text = sandbox.command("explain").arg(plain.pid().to_string()).finish().expect_code(0).out();
    assert!(text.contains("nobody was seen to map"), "{text}");
    plain.finish();

    let mut run = sandbox.run().target(programs::c("layout")).start();
    assert_eq!(run.line(), "ready");
    let explained = Explained::of(&sandbox, run.recorded_pid());
    explained.expect("malloc", 50.0..=52.0, "recorded");
    explained.expect("mapped-anon", 40.0..=40.5, "recorded");
    explained.expect("stacks", 2.0..=3.0, "recorded");
    explained.expect("leakscope", 0.1..=30.0, "recorded");
    explained.expect("unexplained", 0.0..=0.5, "recorded");
    run.finish().expect_code(0);
}

/// As above, with the session: what the JVM mapped is known instead of guessed.
#[test]
fn a_recorded_jvm_is_explained_by_its_session() {
    for (release, option) in [(11, "-XX:+UseSerialGC"), (17, "-XX:+UseZGC"), (21, "-XX:+UseG1GC"), (25, "-XX:+UseG1GC")]
    {
        let sandbox = Sandbox::new();
        let run = sandbox.run().target(machine::java(release)).targets(&["-Xmx512m", option, "-cp"]);
        let run =
            run.target(programs::java()).targets(&["Parts", "96", "64", "30"]).target(sandbox.path().join("mapped"));
        let mut run = run.targets(&["24", "60", "0"]).start();
        assert!(run.line().starts_with("ready"));
        let explained = Explained::of(&sandbox, run.recorded_pid());
        let context = format!("JDK {release} recorded");
        explained.expect("malloc", MALLOC..=MALLOC + 40.0, &context);
        explained.expect("mapped-file", FILE..=FILE + 0.5, &context);
        explained.expect("java-heap", HEAP..=HEAP * 3.0, &context);
        explained.expect("leakscope", 0.5..=24.0, &context);
        let unexplained = explained.json["rss"]["unexplained"].as_f64().expect("a number");
        assert!(unexplained <= 0.01, "{context}: {unexplained} unexplained\n{:#}", explained.json);
        run.finish().expect_code(0);
    }
}

/// Read while recording, where it is on: rows of the report's table, and not a word on the target's stdout or stderr.
#[test]
fn a_recording_holds_the_native_memory_tracking() {
    for (option, split) in [("-XX:NativeMemoryTracking=summary", "nmt"), ("-XX:NativeMemoryTracking=off", "counters")] {
        let sandbox = Sandbox::new();
        let run = sandbox.run().args(&["--interval", "1s"]).target(machine::java(21)).targets(&["-Xmx512m", option]);
        let run =
            run.target("-cp").target(programs::java()).targets(&["Parts", "96", "64", "0", "/none", "8", "20", "0"]);
        let mut run = run.start();
        assert!(run.line().starts_with("ready"));
        let pid = run.recorded_pid();
        let file = sandbox.path().join(format!("out/java.{pid}/timeline.jsonl"));
        let end = std::time::Instant::now() + crate::support::leakscope::PATIENCE;
        let is_there = || {
            let timeline = Timeline::read(&std::fs::read(&file).unwrap_or_default());
            let filled = |part: &Part| part.class == Class::Allocator && part.pss_bytes as f64 > MALLOC * MIB;
            let mut parts = timeline.points.iter().filter_map(|point| point.parts.as_ref());
            let has_tracking = split != "nmt" || timeline.points.iter().any(|point| point.nmt.is_some());
            has_tracking && parts.any(|parts| parts.iter().any(filled))
        };
        while !is_there() {
            assert!(std::time::Instant::now() < end, "{split} never came");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let recording = run.finish().expect_code(0);
        assert_eq!(recording.out(), "", "nothing but its first line");
        let report = sandbox.report_of(&recording);
        let rss = &report["rss"];
        assert_eq!(rss["jvm_split"], split, "{rss:#}");
        let rows: BTreeMap<_, _> = rss["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| (row["what"].as_str().expect("a word"), row))
            .collect();
        let estimate = |what: &str| rows.get(what).map_or(0.0, |row| row["bytes"]["estimate"].as_f64().expect("one"));
        assert!(estimate("malloc-live") > 60.0 * MIB, "{rss:#}");
        assert!(estimate("metaspace") > MIB, "{rss:#}");
        assert_eq!(rows.contains_key("code"), split == "nmt", "{rss:#}");
        assert!(rss["unexplained"].as_f64().expect("a number") <= 0.05, "{rss:#}");
        let text = sandbox.command("report").arg(recording.directory()).finish().expect_code(0).out();
        assert!(text.contains("WHERE THE RSS IS"), "{text}");
    }
}

#[test]
fn who_cannot_be_explained_hears_why() {
    let sandbox = Sandbox::new();
    let absent = sandbox.command("explain").arg("4194305").finish().expect_code(3);
    assert!(absent.err().contains("there is no process 4194305"), "{}", absent.everything());
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut sleeper = Command::new(machine::as_root().first().unwrap_or(&"setpriv"));
    let line = [machine::as_root(), &nobody, &["sh", "-c", "echo ready; exec cat"]].concat();
    sleeper.args(&line[1..]);
    let theirs = Plain::start(&mut sleeper);
    let another = ["setpriv", "--reuid", "65533", "--regid", "65533", "--clear-groups"];
    let leakscope = machine::leakscope();
    // Somebody who may run leakscope, wherever this repository lies.
    let copy = sandbox.path().join("leakscope");
    std::fs::copy(leakscope, &copy).expect("a copy");
    let line = [machine::as_root(), &another, &[copy.to_str().expect("text")]].concat();
    let refused = sandbox.command("explain").instead(&line).arg(theirs.pid().to_string()).finish().expect_code(4);
    assert!(refused.err().contains("run this as the user of that process, or as root"), "{}", refused.everything());
    theirs.finish();
}
