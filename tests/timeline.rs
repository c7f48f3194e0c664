//! The timeline: what it says of a JVM is what that JVM says of itself, and who killed the target.

use crate::support::cgroups::MemoryCgroup;
use crate::support::leakscope::PATIENCE;
use crate::support::profiles::profiles_in;
use crate::support::timelines::{await_point, timeline};
use crate::support::{Recording, Sandbox, machine, programs};
use leakscope_profile::timeline::{Class, GarbageCollector, GcCounter, Point};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const MIB: u64 = 1 << 20;

#[test]
fn what_it_says_of_a_jvm_is_what_the_jvm_says_of_itself() {
    use GarbageCollector::{G1, Parallel, Serial, Z};
    let (none, young) = (GcCounter::None, GcCounter::Collections);
    for (release, options, collector, counter) in [
        (11, "-XX:+UseG1GC", G1, young),
        (17, "-XX:+UseG1GC", G1, young),
        (21, "-XX:+UseG1GC", G1, young),
        (25, "-XX:+UseG1GC", G1, young),
        (11, "-XX:+UseSerialGC", Serial, young),
        (25, "-XX:+UseSerialGC", Serial, young),
        (17, "-XX:+UseParallelGC", Parallel, young),
        (25, "-XX:+UseParallelGC", Parallel, young),
        (11, "-XX:+UnlockExperimentalVMOptions -XX:+UseZGC", Z, none),
        (17, "-XX:+UseZGC", Z, GcCounter::Phases),
        (21, "-XX:+UseZGC -XX:+ZGenerational", Z, GcCounter::Phases),
        (25, "-XX:+UseZGC", Z, GcCounter::Phases),
    ] {
        let (truth, point) = look_at_jvm(release, options);
        let java = point.java.expect("the JVM's figures");
        let shown = format!("JRE {release} {options}\n{truth:?}\n{java:?}");
        assert_eq!((java.collector, java.counter), (collector, counter), "{shown}");
        assert_eq!(java.heap_max_bytes, 256 * MIB, "{shown}");
        // Between the collection and the look it has allocated a little; ZGC counts whole pages.
        assert!(java.heap_used_bytes.abs_diff(truth["used"]) <= 6 * MIB, "{shown}");
        // Serial and Parallel leave out one of the survivors' two spaces.
        let more = java.heap_committed_bytes.checked_sub(truth["committed"]).expect(&shown);
        assert!(more <= if matches!(collector, Serial | Parallel) { 64 * MIB } else { 0 }, "{shown}");
        assert!(java.metaspace_used_bytes.abs_diff(truth["metaspace"]) <= MIB / 4, "{shown}");
        assert!(java.metaspace_committed_bytes >= java.metaspace_used_bytes, "{shown}");
        assert!(java.classes.abs_diff(truth["classes"]) <= 20, "{shown}");
        assert_eq!((java.young_gcs, java.full_gcs), counts(&truth, collector), "{shown}");
        expect_parts(&point, &shown);
    }
}

/// Runs a JVM until it has been measured in the state that it describes; its words by name, and the point.
fn look_at_jvm(release: u32, options: &str) -> (HashMap<String, u64>, Point) {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().target(machine::java(release)).targets(&["-Xms64m", "-Xmx256m"]);
    for option in options.split(' ') {
        run = run.target(option);
    }
    let mut run = run.target("-cp").target(programs::java()).target("Heaps").start();
    let mut truth = figures(&run.line());
    let end = Instant::now() + PATIENCE;
    let point = loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64;
        let is_known = |point: &Point| point.java.is_some() || options.contains("-UsePerfData");
        let is_later = |point: &Point| {
            point.time_ms > now && point.parts.is_some() && !point.tracked.is_empty() && is_known(point)
        };
        let point = await_point(&sandbox.path().join("out"), is_later);
        run.tell("again");
        let after = figures(&run.line());
        // ZGC collects of its own accord while it is young.
        if collections(&after) == collections(&truth) {
            break point;
        }
        assert!(Instant::now() < end, "it always collects: {after:?}");
        truth = after;
    };
    let recording = run.finish().expect_code(0);
    expect_documented(&recording.folder());
    (truth, point)
}

/// What tests/programs/Heaps.java says of itself, by name.
fn figures(line: &str) -> HashMap<String, u64> {
    let words = line.split_terminator(';').filter_map(|word| word.split_once('='));
    words.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
}

/// How often each collector has collected, of what [`figures`] gives.
fn collections(truth: &HashMap<String, u64>) -> HashMap<&str, u64> {
    let others = ["used", "committed", "classes", "metaspace"];
    let collectors = truth.iter().filter(|(name, _)| !others.contains(&name.as_str()));
    collectors.map(|(name, count)| (name.as_str(), *count)).collect()
}

/// Every key of every line, and every word that one of these keys may have, is in docs/timeline.md.
fn expect_documented(folder: &Path) {
    let page = fs::read_to_string(machine::repository().join("docs/timeline.md")).expect("docs/timeline.md");
    let words: HashSet<&str> = page.split('`').skip(1).step_by(2).flat_map(|word| word.split('.')).collect();
    let text = fs::read_to_string(folder.join("timeline.jsonl")).expect("a timeline");
    for line in text.lines() {
        expect_keys(&serde_json::from_str(line).expect("JSON"), &words);
    }
}

fn expect_keys(value: &Value, documented: &HashSet<&str>) {
    let parts = value.as_array().into_iter().flatten();
    let fields = value.as_object().into_iter().flatten();
    for (key, inner) in fields {
        assert!(documented.contains(key.as_str()), "docs/timeline.md does not know {key}");
        if let ("class" | "collector" | "counter" | "type", Some(word)) = (key.as_str(), inner.as_str()) {
            assert!(documented.contains(word), "docs/timeline.md does not know {key} {word}");
        }
        expect_keys(inner, documented);
    }
    parts.for_each(|part| expect_keys(part, documented));
}

/// Young and full collections as the beans count them, in what the JVM's counters count.
fn counts(truth: &HashMap<String, u64>, collector: GarbageCollector) -> (u64, u64) {
    let (young, full): (&[&str], &[&str]) = match collector {
        GarbageCollector::G1 => (&["G1 Young Generation"], &["G1 Old Generation"]),
        GarbageCollector::Serial => (&["Copy"], &["MarkSweepCompact"]),
        GarbageCollector::Parallel => (&["PS Scavenge"], &["PS MarkSweep"]),
        // With generations, and without.
        _ => (&["ZGC Minor Pauses"], &["ZGC Major Pauses", "ZGC Pauses"]),
    };
    let sum = |names: &[&str]| names.iter().filter_map(|name| truth.get(*name)).sum();
    (sum(young), sum(full))
}

/// The heap is where its parts say, and most of what is resident is explained.
fn expect_parts(point: &Point, shown: &str) {
    let parts = point.parts.as_ref().expect("parts");
    let of = |class| parts.iter().filter(|part| part.class == class).map(|part| part.pss_bytes).sum::<u64>();
    assert!(of(Class::JavaHeap) >= 40_000_000, "{shown}\n{parts:?}");
    assert!(of(Class::Jvm) > MIB && of(Class::Files) > MIB && of(Class::Leakscope) > 0, "{shown}\n{parts:?}");
    assert!(point.threads >= 8 && point.descriptors.is_some_and(|count| count >= 4), "{shown}");
    assert!(point.tracked["malloc"].samples > 0, "{shown}\n{:?}", point.tracked);
}

#[test]
fn a_jvm_without_performance_data_has_a_timeline_without_it() {
    let (_, point) = look_at_jvm(17, "-XX:-UsePerfData");
    assert_eq!(point.java, None);
    expect_parts(&point, "without");
}

#[test]
fn what_is_live_is_summed_up_by_kind() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().args(&["--sample", "1"]).target(programs::c("hog")).target("5").start();
    assert_eq!(run.line(), "ready");
    let has = |point: &Point| point.tracked.get("malloc").is_some_and(|sum| sum.bytes_observed >= 5 * MIB);
    // The first point may lie right in the middle.
    let is_there = |point: &Point| has(point) && point.resident.rss_bytes > 5 * MIB;
    let point = await_point(&sandbox.path().join("out"), is_there);
    let malloc = point.tracked["malloc"];
    assert!((5 * MIB..5 * MIB + 8192).contains(&malloc.bytes_observed), "{malloc:?}");
    assert_eq!((malloc.bytes, malloc.bytes_variance), (malloc.bytes_observed as f64, 0.0));
    assert_eq!(malloc.interval_bytes, 1);
    let recording = run.finish().expect_code(0);
    expect_documented(&recording.folder());
    let timeline = timeline(&recording.folder());
    assert!(timeline.points.is_sorted_by_key(|point| point.uptime_ms));
    assert_eq!(timeline.end.expect("an end").how, "code 0");
}

const LIMIT: u64 = 48 * MIB;

/// Runs a line of the shell whose `$0` is a program that takes memory for ever, or as much as is said.
fn in_cgroup(sandbox: &Sandbox, options: &[&str], line: &str) -> Recording {
    let cgroup = MemoryCgroup::with_limit(LIMIT);
    let line = line.replace("ENTER", &cgroup.entering());
    let run = sandbox.run().through(machine::as_root()).args(options).targets(&["sh", "-c", &line]);
    run.target(programs::c("hog")).finish()
}

fn session(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("session.json")).expect("session.json")).expect("JSON")
}

/// The folder of the command, which was killed; the shell that executed it may have one, too.
fn killed_folder(recording: &Recording) -> PathBuf {
    let is_it = |folder: &PathBuf| {
        let session = session(folder);
        session["root"] == true && session["end"]["how"] == "signal 9"
    };
    recording.folders().into_iter().find(is_it).unwrap_or_else(|| panic!("{}", recording.everything()))
}

#[test]
fn the_oom_killer_is_named_and_so_is_the_limit() {
    let sandbox = Sandbox::new();
    let recording = in_cgroup(&sandbox, &[], "ENTER && exec \"$0\"").expect_code(137);
    let said = "leakscope: sh was killed by the kernel: its memory cgroup had reached its limit of 48 MiB after";
    assert!(recording.err().contains(said), "{}", recording.everything());
    let folder = killed_folder(&recording);
    let end = &session(&folder)["end"];
    assert_eq!(end["oom_killed"], true, "{end}");
    assert_eq!(end["oom_limit_bytes"], LIMIT);
    let timeline = timeline(&folder);
    let end = timeline.end.expect("an end");
    assert!(end.oom_killed && end.how == "signal 9", "{end:?}");
    let cgroup = timeline.points.last().and_then(|point| point.cgroup).expect("the figures of the cgroup");
    assert_eq!(cgroup.limit_bytes, Some(LIMIT));
    // What it died of is in the last profile.
    let last = profiles_in(&folder).pop().expect("a profile");
    let live: u64 = last.rows.iter().map(|row| row.bytes_observed).sum();
    assert!(live > LIMIT / 2, "{live}");
}

#[test]
fn a_victim_that_is_not_the_command_is_named_too() {
    let sandbox = Sandbox::new();
    let recording = in_cgroup(&sandbox, &["--follow"], "ENTER && { \"$0\"; exit 7; }").expect_code(7);
    let err = recording.err();
    let said = err.lines().find(|line| line.contains("was killed by the kernel")).expect(&err);
    assert!(said.starts_with("leakscope: program (pid "), "{said}");
    assert!(said.ends_with(": its memory cgroup had reached its limit of 48 MiB"), "{said}");
    let killed = |folder: &&PathBuf| session(folder)["end"]["oom_killed"] == true;
    let folders = recording.folders();
    let victims: Vec<_> = folders.iter().filter(killed).collect();
    assert!(victims.len() == 1 && victims[0].to_string_lossy().contains("program."), "{victims:?}");
}

#[test]
fn somebody_elses_sigkill_is_not_laid_to_the_kernel() {
    let sandbox = Sandbox::new();
    let recording = in_cgroup(&sandbox, &[], "ENTER && exec sh -c 'kill -KILL $$'").expect_code(137);
    assert!(recording.err().contains("sh was killed by SIGKILL after"), "{}", recording.everything());
    assert_eq!(session(&killed_folder(&recording))["end"]["oom_killed"], false);
}
