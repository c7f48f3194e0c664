//! Threads: who created those that live, how many, on how large stacks; and that those which ended are gone.

use crate::support::json::{frames, shown, site_with, sites_with};
use crate::support::truth::expect_exact;
use crate::support::{Sandbox, machine, profiles, programs};
use leakscope_profile::Kind;

/// They end by return, pthread_exit and cancellation; what the program sees of that is checked by the program.
#[test]
fn threads_by_their_creator() {
    let sandbox = Sandbox::new();
    let recording = sandbox.run().args(&["--sample", "1"]).target(programs::c("created")).finish().expect_code(0);
    let profile = recording.last();
    let threads = |function: &str| {
        let rows = profile.rows.iter().filter(|row| row.kind == Kind::Thread);
        let ours = rows.filter(|row| profiles::functions(&profile, row).any(|name| name == function));
        ours.fold((0, 0), |(bytes, count), row| (bytes + row.bytes_observed, count + row.samples))
    };
    assert_eq!(threads("ended"), (0, 0), "150 threads that ended");
    assert_eq!(threads("seven"), (7 * (300 << 10), 7));
    assert_eq!(threads("two").1, 2);
    assert_eq!(threads("on_own_stack"), (1, 1), "its stack is recorded as what it is: mapped memory");
    assert_eq!(threads("impossible"), (0, 0));
    // The memory that glibc allocates for a thread has the same stack; only threads are compared with the truth.
    let only = sandbox.command("report").args(&["--json", "--kind", "thread"]).arg(recording.directory()).finish();
    let report: serde_json::Value = serde_json::from_slice(&only.expect_code(0).stdout).expect("JSON");
    let site = site_with(&report, "seven").expect("one site");
    assert_eq!((site["kind"].as_str(), site["samples"].as_u64()), (Some("thread"), Some(7)));
    let text = sandbox.command("report").args(&["--kind", "thread"]).arg(recording.directory()).finish().out();
    assert!(text.contains("7 threads live, 2.05 MiB"), "{text}");
    let threads_only = leakscope_profile::Profile { rows: only_threads(&profile), ..profile.clone() };
    expect_exact(&recording, &threads_only, &report);
}

fn only_threads(profile: &leakscope_profile::Profile) -> Vec<leakscope_profile::Row> {
    profile.rows.iter().filter(|row| row.kind == Kind::Thread).copied().collect()
}

fn a_hundred_threads_for_each_table_name_who_started_them(release: u32) {
    let sandbox = Sandbox::new();
    let run = sandbox.run().target(machine::java(release)).target("-cp").target(programs::java());
    let mut run = run.target("Tables").start();
    let pid = run.recorded_pid();
    assert_eq!(run.line(), "ready");
    let mut files = Vec::new();
    for n in 1..=3 {
        run.tell("x");
        assert_eq!(run.line(), "done");
        let file = sandbox.path().join(format!("{n}.prof"));
        sandbox.command("snapshot").arg(pid.to_string()).arg("-o").arg(&file).finish().expect_code(0);
        files.push(file);
    }
    let report = sandbox.report(&files[2]);
    let sites = sites_with(&report, "Tables$Table.open");
    let sites: Vec<_> = sites.into_iter().filter(|site| site["kind"] == "thread").collect();
    let count: u64 = sites.iter().filter_map(|site| site["samples"].as_u64()).sum();
    assert_eq!(count, 300, "threads under their creator");
    let site = sites[0];
    assert!(frames(site).iter().any(|frame| frame["function"] == "java.lang.Thread.start"), "{}", shown(site));
    let bytes = site["live_bytes"]["estimate"].as_u64().expect("bytes");
    let resident = site["resident_bytes"].as_u64().expect("what of the stacks is in memory");
    assert!((100 * 8192..bytes / 2).contains(&resident), "{resident} of {bytes}");
    let each = bytes / site["samples"].as_u64().expect("samples");
    assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&each), "a stack of {each} bytes");
    let diff = sandbox.diff(&files[1], &files[2]);
    let grown = sites_with(&diff, "Tables$Table.open").into_iter().find(|site| site["kind"] == "thread");
    assert_eq!(grown.expect("the growth")["growth_objects"]["estimate"].as_u64(), Some(100));
    run.finish().expect_code(0);
}

mod a_hundred_threads_for_each_table {
    #[test]
    fn jdk_11() {
        super::a_hundred_threads_for_each_table_name_who_started_them(11)
    }
    #[test]
    fn jdk_17() {
        super::a_hundred_threads_for_each_table_name_who_started_them(17)
    }
    #[test]
    fn jdk_21() {
        super::a_hundred_threads_for_each_table_name_who_started_them(21)
    }
    #[test]
    fn jdk_25() {
        super::a_hundred_threads_for_each_table_name_who_started_them(25)
    }
}
