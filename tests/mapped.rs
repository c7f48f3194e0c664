//! Mapped memory: every call in every way against what the program says, Java's mappings by line, and what is not the
//! user's: the JVM's own reservations, an allocator's arenas.

use crate::support::json::{Estimate, frames, shown, sites, sites_with};
use crate::support::leakscope::Running;
use crate::support::truth::expect_exact;
use crate::support::{Sandbox, machine, profiles, programs};
use leakscope_profile::Kind;
use std::path::PathBuf;

#[test]
fn every_way_to_map_and_unmap() {
    let sandbox = Sandbox::new();
    let recording = sandbox.run().args(&["--sample", "1"]).target(programs::c("mapped")).finish().expect_code(0);
    let profile = recording.last();
    expect_exact(&recording, &profile, &sandbox.report_of(&recording));
    for lost in ["missed_unmaps", "regions_full", "regions_contended"] {
        assert_eq!(profile.losses.get(lost), None, "{lost}");
    }
    let kind_of = |function: &str| {
        let rows = profile.rows.iter().filter(|row| profiles::functions(&profile, row).any(|name| name == function));
        rows.map(|row| row.kind).collect::<Vec<_>>()
    };
    assert_eq!(kind_of("segment"), [Kind::MmapAnon]);
    assert!(kind_of("file").iter().all(|kind| *kind == Kind::MmapFile));
}

/// At each snapshot the table is compared with what the kernel says is mapped.
#[test]
fn what_was_unmapped_behind_our_back_is_gone_and_counted() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().target(programs::c("hidden")).start();
    let pid = run.recorded_pid();
    assert_eq!(run.line(), "ready");
    let profile = profiles::read(&snapshot(&sandbox, pid, "asked.prof"));
    assert_eq!(profiles::observed(&profile, "in_part"), (6 * 4096, 2), "what is left on both sides");
    assert_eq!(profiles::observed(&profile, "wholly"), (0, 0));
    assert_eq!(profile.losses["missed_unmaps"], 1);
    run.finish().expect_code(0);
}

/// jemalloc maps its arenas through the same calls: its blocks are recorded already.
#[test]
fn what_a_preloaded_allocator_maps_is_not_counted_twice() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().env("LD_PRELOAD", "libjemalloc.so.2").args(&["--sample", "1"]);
    let recording = run.target(programs::c("mapped")).finish().expect_code(0);
    assert!(!recording.err().contains("cannot be preloaded"), "libjemalloc2 is missing: run scripts/setup test");
    let profile = recording.last();
    expect_exact(&recording, &profile, &sandbox.report_of(&recording));
    let of_jemalloc = |row: &leakscope_profile::Row| {
        let leaf = profile.stacks[row.stack.0 as usize].frames[0];
        match profile.frames[leaf.0 as usize].code {
            leakscope_profile::Code::Native { module: Some(module), .. } => {
                profile.modules[module.0 as usize].path.contains("libjemalloc")
            }
            _ => false,
        }
    };
    let mapped: Vec<_> = profile.rows.iter().filter(|row| row.kind != Kind::Malloc && of_jemalloc(row)).collect();
    assert!(mapped.is_empty(), "{mapped:?}");
}

/// Lets the target do one step.
fn step(run: &mut Running) {
    run.tell("x");
    assert_eq!(run.line(), "done");
}

/// A snapshot of a running target.
fn snapshot(sandbox: &Sandbox, pid: u32, name: &str) -> PathBuf {
    let file = sandbox.path().join(name);
    sandbox.command("snapshot").arg(pid.to_string()).arg("-o").arg(&file).finish().expect_code(0);
    file
}

fn a_file_mapped_at_each_restart_is_a_staircase(release: u32) {
    const STEP: u64 = 1_236_992; // 1,234,567 bytes in whole pages
    let sandbox = Sandbox::new();
    let state = sandbox.path().join("state");
    let run = sandbox.run().target(machine::java(release)).target("-cp").target(programs::java());
    let mut run = run.target("Mapping").target(&state).start();
    let pid = run.recorded_pid();
    assert_eq!(run.line(), "ready");
    let mut files = Vec::new();
    for n in 1..=4 {
        step(&mut run);
        files.push(snapshot(&sandbox, pid, &format!("{n}.prof")));
    }
    let all = files.iter().map(|file| profiles::read(file)).collect::<Vec<_>>();
    let mapped = |profile: &leakscope_profile::Profile| {
        let rows = profile.rows.iter().filter(|row| row.kind == Kind::MmapFile);
        let ours = rows.filter(|row| row.smallest_bytes == STEP);
        ours.fold((0, 0), |(bytes, count), row| (bytes + row.bytes_observed, count + row.samples))
    };
    let steps: Vec<_> = all.iter().map(mapped).collect();
    assert_eq!(steps, (1..=4).map(|n| (n * STEP, n)).collect::<Vec<_>>(), "a staircase of equal steps");
    let report = sandbox.report(&files[3]);
    let named = sites_with(&report, "Mapping$Operator.open");
    let named: Vec<_> = named.into_iter().filter(|site| site["kind"] == "mmap-file").collect();
    assert!(!named.is_empty(), "no Java line:\n{}", sites(&report).iter().map(shown).collect::<Vec<_>>().join("\n"));
    let site = named[0];
    let open = frames(site).iter().find(|frame| frame["function"] == "Mapping$Operator.open").expect("it has it");
    assert_eq!((open["file"].as_str(), open["line"].as_u64()), (Some("Mapping.java"), Some(15)));
    assert_eq!(site["resident_bytes"], 0, "mapped, and never touched: {site}");
    let diff = sandbox.diff(&files[2], &files[3]);
    let grown = sites_with(&diff, "Mapping$Operator.open").into_iter().find(|site| site["kind"] == "mmap-file");
    let grown = grown.expect("the growth has its line");
    assert!(Estimate::of(&grown["growth_bytes"]).is_exactly(STEP), "{grown}");
    assert_eq!(grown["significant"], true);
    run.finish().expect_code(0);
}

/// A JVM reserves gigabytes for itself; a report is about the application.
fn the_jvms_own_reservations_are_not_the_users(release: u32) {
    for collector in COLLECTORS {
        if machine::has_collector(release, collector) {
            with_collector(release, collector);
        } else {
            assert_eq!(collector.last(), Some(&"-XX:+UseZGC"), "JRE {release} lacks {collector:?}");
            println!("JRE {release} has no {collector:?}");
        }
    }
}

/// Each reserves its heap in a way of its own.
const COLLECTORS: [&[&str]; 4] = [
    &["-XX:+UseG1GC"],
    &["-XX:+UseSerialGC"],
    &["-XX:+UseParallelGC"],
    &["-XX:+UnlockExperimentalVMOptions", "-XX:+UseZGC"],
];

fn with_collector(release: u32, collector: &[&str]) {
    let sandbox = Sandbox::new();
    let run = sandbox.run().target(machine::java(release)).targets(collector).target("-cp").target(programs::java());
    let recording = run.target("Hello").finish().expect_code(0);
    let report = sandbox.report_of(&recording);
    let mapped = sites(&report).iter().filter(|site| site["kind"] != "malloc");
    let bytes: u64 = mapped.filter_map(|site| site["live_bytes"]["estimate"].as_u64()).sum();
    assert!(bytes < 4 << 20, "{collector:?}: {bytes} bytes of the JVM's");
    for site in sites(&report).iter().filter(|site| site["kind"] != "malloc") {
        let leaf = frames(site)[0]["library"].as_str().unwrap_or_default();
        let is_java = frames(site).iter().any(|frame| frame["kind"] == "java");
        assert!(!leaf.starts_with("libjvm") || is_java, "{}", shown(site));
    }
    assert!(report["jvms_own"]["mapped_bytes"].as_u64() > Some(64 << 20), "{}", report["jvms_own"]);
    assert!(report["jvms_own"]["threads"].as_u64() > Some(3), "{}", report["jvms_own"]);
    let everything = sandbox.command("report").args(&["--json", "--all"]).arg(recording.directory()).finish();
    let everything: serde_json::Value = serde_json::from_slice(&everything.stdout).expect("JSON");
    assert_eq!(everything["jvms_own"]["mappings"], 0);
    assert!(sites(&everything).len() > sites(&report).len());
    let mapped = sandbox.command("report").args(&["--json", "--all", "--kind", "mmap"]).arg(recording.directory());
    let mapped: serde_json::Value = serde_json::from_slice(&mapped.finish().stdout).expect("JSON");
    assert!(sites(&mapped).iter().all(|site| site["kind"].as_str().is_some_and(|kind| kind.starts_with("mmap-"))));
    assert_eq!(recording.last().losses.get("missed_unmaps"), None);
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

on_jdks!(a_file_mapped_at_each_restart_is_a_staircase);
on_jdks!(the_jvms_own_reservations_are_not_the_users);
