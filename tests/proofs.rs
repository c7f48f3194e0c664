//! What proves a leak, and what a limit makes of it: a real JVM that loses native memory at a known line while it collects
//! its heap, or while it lives under a memory limit.

use crate::support::cgroups::MemoryCgroup;
use crate::support::json::Estimate;
use crate::support::leakscope::{Leakscope, PATIENCE, Recording, Running};
use crate::support::profiles::profiles_in;
use crate::support::{Sandbox, machine, programs, timelines};
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// A heap that is committed and hardly touched, as services have; a young generation that soon is.
const HEAP: [&str; 3] = ["-Xms768m", "-Xmx768m", "-Xmn4m"];

/// Has tests/corpus/Handles.java lose 64 KiB of malloc at each request, until it is asked to end.
fn leak(run: Leakscope) -> Running {
    let run = run.args(&["--interval", "500ms", "--sample", "16k"]).target(machine::java(17)).targets(&HEAP);
    let run = run.target("-cp").target(programs::corpus_java()).target("Handles");
    run.target(programs::corpus_jni("handles")).targets(&["leak", "600"]).start()
}

/// Waits until so many more snapshots have been taken.
fn await_snapshots(sandbox: &Sandbox, pid: &str, more: usize) {
    let folder = sandbox.path().join("out").join(format!("java.{pid}"));
    let count = || profiles_in(&folder).len();
    let (enough, end) = (count() + more, Instant::now() + PATIENCE);
    while count() < enough {
        assert!(Instant::now() < end, "{} snapshots, not {enough}", count());
        thread::sleep(Duration::from_millis(20));
    }
}

fn end(run: Running) -> Recording {
    run.signal(libc::SIGTERM);
    run.finish().expect_code(143)
}

fn text(sandbox: &Sandbox, recording: &Recording) -> String {
    sandbox.command("report").arg(recording.directory()).finish().expect_code(0).out()
}

/// The verdict that comes first, and the words of its reasons.
fn first(report: &Value) -> (&Value, Vec<&str>) {
    let verdict = &report["verdicts"][0];
    let reasons = verdict["reasons"].as_array().expect("reasons");
    (verdict, reasons.iter().map(|reason| reason["id"].as_str().expect("a word")).collect())
}

#[test]
fn what_full_collections_did_not_release_is_a_leak_for_certain() {
    let sandbox = Sandbox::new();
    let run = leak(sandbox.run());
    let pid = run.recorded_pid().to_string();
    await_snapshots(&sandbox, &pid, 5);
    sandbox.command("probe").args(&["gc", &pid, "--yes"]).finish().expect_code(0);
    await_snapshots(&sandbox, &pid, 8);
    let recording = end(run);
    let report = sandbox.report_of(&recording);
    let (verdict, reasons) = first(&report);
    assert!(verdict["id"] == "LEAK" && verdict["confidence"] == "high", "{verdict:#}");
    assert!(reasons.contains(&"survives-full-gcs") && !reasons.contains(&"no-full-gc"), "{verdict:#}");
    let text = text(&sandbox, &recording);
    let line = text.lines().next().expect("a line");
    assert!(line.starts_with("VERDICT  LEAK") && line.contains("survives full collections"), "{text}");
    assert!(text.contains("survives: 2 full collections did not release it"), "{text}");
}

#[test]
fn under_a_limit_it_is_foretold_when_memory_is_out() {
    const LIMIT: u64 = 1024 * MIB;
    let sandbox = Sandbox::new();
    let cgroup = MemoryCgroup::with_limit(LIMIT);
    let enter = format!("{} && exec \"$0\" \"$@\"", cgroup.entering());
    let leakscope = machine::leakscope();
    let line = [machine::as_root(), &["sh", "-c", &enter, leakscope.to_str().expect("a path of text")]].concat();
    let run = leak(sandbox.run().instead(&line));
    // Of the timeline, a second apart: six beyond the warm-up, and some to spare.
    timelines::await_points(&sandbox.path().join("out"), 10, |_| true);
    let recording = end(run);
    let report = sandbox.report_of(&recording);
    let (verdict, reasons) = first(&report);
    assert!(verdict["id"] == "LEAK" && reasons.contains(&"no-full-gc"), "{verdict:#}");
    let forecast = &report["forecast"];
    assert_eq!(forecast["limit_bytes"], LIMIT, "{forecast:#}");
    let [estimate, earliest, latest] =
        ["estimate", "earliest", "latest"].map(|key| forecast["full_in_ms"][key].as_f64().expect("a time"));
    assert!(0.0 < earliest && earliest < estimate && estimate < latest, "{forecast:#}");
    // What is lost is known block by block. What the JVM itself touches meanwhile brings the end nearer, and on a busy machine
    // the leak is not as steady as it is meant to be: the bounds may miss, the order of magnitude may not.
    let room = (LIMIT - forecast["charged_bytes"].as_u64().expect("bytes")) as f64;
    let ms = room / Estimate::of(&verdict["rate"]).estimate * 3_600_000.0;
    assert!((0.5..=2.0).contains(&(estimate / ms)), "{ms} by the leak alone\n{forecast:#}");
    let text = text(&sandbox, &recording);
    let said = text.lines().find(|line| line.contains("limit 1.00 GiB")).unwrap_or_else(|| panic!("{text}"));
    assert!(said.contains("out of memory in ") && said.contains(" to ") && said.contains("at this rate"), "{text}");
}
