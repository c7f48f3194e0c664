//! Beside others who stand where leakscope stands: preloaded allocators and interposers, in either order, and programs
//! with an allocator of their own. What is recorded is exact; what is not is said at the start, in the profile and in
//! the report.

use crate::support::json::{Estimate, site_with, sites};
use crate::support::profiles::observed;
use crate::support::truth::{expect_exact, truths};
use crate::support::{Recording, Sandbox, programs};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Allocators of Debian's packages.
const ALLOCATORS: [&str; 3] = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.0"];

/// A library of a Debian package; fails with advice where it is missing.
fn installed(library: &str) -> PathBuf {
    let path = Path::new("/usr/lib/x86_64-linux-gnu").join(library);
    assert!(path.exists(), "{} is missing: run scripts/setup test", path.display());
    path
}

/// What LD_PRELOAD holds when the target starts, beside the shim.
enum Order<'a> {
    /// Set by the user: leakscope puts itself before it.
    After(&'a Path),
    /// Put before the shim, as some scripts do.
    Before(&'a Path),
}

fn record(sandbox: &Sandbox, order: Order<'_>, program: &Path, arguments: &[&str]) -> Recording {
    // Not the shell that sets the variable.
    let run = sandbox.run().args(&["--sample", "1", "--only", "program"]);
    let run = match order {
        Order::After(library) => run.env("LD_PRELOAD", library).target(program),
        Order::Before(library) => {
            let script = format!("LD_PRELOAD=\"{}:$LD_PRELOAD\" exec \"$0\" \"$@\"", library.display());
            run.targets(&["sh", "-c", &script]).target(program)
        }
    };
    run.targets(arguments).finish().expect_code(0)
}

/// The lines of leakscope's own that warn.
fn warnings(recording: &Recording) -> Vec<String> {
    recording.err().lines().filter(|line| line.contains("leakscope: warning:")).map(str::to_owned).collect()
}

fn bypassed_by(report: &Value) -> &Value {
    &report["target"]["bypassed_by"]
}

#[test]
fn an_allocator_that_the_user_preloads_serves_the_program_and_is_recorded_exactly() {
    for library in ALLOCATORS {
        // Without pvalloc: jemalloc has none, and does not take blocks of libc's.
        for (program, argument) in [("family", "no-pvalloc"), ("handed", "0"), ("storm", "2000")] {
            let sandbox = Sandbox::new();
            let library = installed(library);
            let recording = record(&sandbox, Order::After(&library), &programs::c(program), &[argument]);
            let report = sandbox.report_of(&recording);
            expect_exact(&recording, &recording.last(), &report);
            assert_eq!((bypassed_by(&report), warnings(&recording)), (&Value::Null, Vec::new()));
            assert!(!recording.err().contains("cannot be preloaded"), "{}", recording.err());
        }
    }
}

/// Their operators do not go through malloc.
#[test]
fn operators_of_a_preloaded_allocator_are_recorded_exactly() {
    for library in ALLOCATORS {
        // mimalloc, built as C, aborts where others throw.
        let programs = if library.contains("mimalloc") { &["news"][..] } else { &["news", "throws"] };
        for program in programs {
            let sandbox = Sandbox::new();
            let recording = record(&sandbox, Order::After(&installed(library)), &programs::cc(program), &[]);
            expect_exact(&recording, &recording.last(), &sandbox.report_of(&recording));
        }
    }
}

/// One sample for so many bytes, whichever form of `new` they are asked by: none is charged twice.
#[test]
fn operators_of_a_preloaded_allocator_are_sampled_without_bias() {
    for library in ALLOCATORS {
        let sandbox = Sandbox::new();
        let run = sandbox.run().args(&["--sample", "16k", "--seed", "1"]).env("LD_PRELOAD", installed(library));
        let recording = run.target(programs::cc("many_news")).finish().expect_code(0);
        let report = sandbox.report_of(&recording);
        for truth in truths(&recording) {
            let site = site_with(&report, &truth.function).expect("a site");
            let live = Estimate::of(&site["live_bytes"]);
            // Three times the 95 % interval: the seed is fixed, but addresses are not.
            let error = (live.estimate - truth.bytes as f64).abs() / (live.high - live.low);
            assert!(error < 1.5, "{library}: {truth:?}, but {live:?}");
        }
    }
}

#[test]
fn operators_that_fail_throw_as_ever_without_such_an_allocator() {
    let sandbox = Sandbox::new();
    let recording = sandbox.run().args(&["--sample", "1"]).target(programs::cc("throws")).finish().expect_code(0);
    expect_exact(&recording, &recording.last(), &sandbox.report_of(&recording));
}

#[test]
fn a_library_with_operators_of_its_own_that_is_opened_late_uses_them() {
    for options in [&[][..], &["-Wl,-Bsymbolic"]] {
        let sandbox = Sandbox::new();
        let library = programs::cc_library("plugin", options);
        let run = sandbox.run().args(&["--sample", "1"]).target(programs::c("opens_plugin")).target(library);
        let recording = run.finish().expect_code(0);
        expect_exact(&recording, &recording.last(), &sandbox.report_of(&recording));
    }
}

/// Nothing can be done about it from inside; so it must be said, wherever somebody may look.
#[test]
fn an_allocator_before_the_shim_is_told_at_the_start_and_in_the_report() {
    for library in ALLOCATORS {
        let sandbox = Sandbox::new();
        let library = installed(library).canonicalize().expect("a file");
        let recording = record(&sandbox, Order::Before(&library), &programs::c("family"), &["no-pvalloc"]);
        let told = warnings(&recording);
        let path = library.to_str().expect("a path of text");
        assert!(told.len() == 1 && told[0].contains("malloc is NOT recorded") && told[0].contains(path), "{told:?}");
        let profile = recording.last();
        assert_eq!(profile.target.bypassed_by, path);
        assert_eq!(observed(&profile, "by_malloc"), (0, 0));
        let text = sandbox.command("report").arg(recording.directory()).finish().expect_code(0).out();
        assert!(text.contains("malloc was not recorded") && text.contains(path), "{text}");
        assert_eq!(*bypassed_by(&sandbox.report_of(&recording)), path);
    }
}

#[test]
fn a_program_that_exports_its_own_malloc_is_told_at_the_start_and_in_the_report() {
    // An executable that is not position independent, too: there addresses of functions are not what they seem.
    for options in [&["-fPIE", "-pie"][..], &["-fno-PIE", "-no-pie"]] {
        let sandbox = Sandbox::new();
        let program = programs::c_with("exports", options);
        let recording = sandbox.run().args(&["--sample", "1"]).target(&program).finish().expect_code(0);
        assert_eq!(recording.out(), "done\n");
        let told = warnings(&recording);
        assert!(told.len() == 1 && told[0].contains("malloc is NOT recorded"), "{told:?}");
        assert!(told[0].contains("a malloc of its own"), "{told:?}");
        let report = sandbox.report_of(&recording);
        assert_eq!(*bypassed_by(&report), program.to_str().expect("a path of text"));
        assert!(sites(&report).iter().all(|site| site["kind"] != "malloc"), "{report}");
        let mapping = site_with(&report, "by_mmap").expect("mappings are recorded all the same");
        assert_eq!(mapping["live_bytes"]["estimate"], 12288);
    }
}

/// Its `malloc` has an address of its own, but leads to the shim.
#[test]
fn a_program_that_takes_mallocs_address_is_not_taken_for_one_with_its_own() {
    let sandbox = Sandbox::new();
    let program = programs::c_with("addressed", &["-fno-PIE", "-no-pie", "-fno-pic"]);
    let recording = sandbox.run().args(&["--sample", "1"]).target(program).finish().expect_code(0);
    let report = sandbox.report_of(&recording);
    expect_exact(&recording, &recording.last(), &report);
    assert_eq!((bypassed_by(&report), warnings(&recording)), (&Value::Null, Vec::new()));
}

#[test]
fn an_interposer_that_passes_calls_on_does_no_harm_on_either_side() {
    let library = programs::library("counting");
    for order in [Order::After(&library), Order::Before(&library)] {
        let sandbox = Sandbox::new();
        let recording = record(&sandbox, order, &programs::c("storm"), &["2000"]);
        assert!(recording.out().contains("counted"), "{}", recording.everything());
        let report = sandbox.report_of(&recording);
        expect_exact(&recording, &recording.last(), &report);
        assert_eq!((bypassed_by(&report), warnings(&recording)), (&Value::Null, Vec::new()));
    }
}

#[test]
fn other_peoples_interposers_do_no_harm_on_either_side() {
    for library in ["libeatmydata.so", "faketime/libfaketime.so.1", "faketime/libfaketimeMT.so.1"] {
        let library = installed(library);
        for order in [Order::After(&library), Order::Before(&library)] {
            let sandbox = Sandbox::new();
            let recording = record(&sandbox, order, &programs::c("storm"), &["2000"]);
            let report = sandbox.report_of(&recording);
            expect_exact(&recording, &recording.last(), &report);
            assert_eq!((bypassed_by(&report), warnings(&recording)), (&Value::Null, Vec::new()));
        }
    }
}

#[test]
fn an_allocator_that_is_linked_into_the_program_is_told() {
    let sandbox = Sandbox::new();
    let recording = sandbox.run().args(&["--sample", "1"]).target(programs::c("inside")).finish().expect_code(0);
    let told = warnings(&recording);
    assert!(told.len() == 1 && told[0].contains("jemalloc is linked into the program"), "{told:?}");
    let report = sandbox.report_of(&recording);
    assert_eq!(report["target"]["inner_allocators"], serde_json::json!(["jemalloc"]));
    expect_exact(&recording, &recording.last(), &report);
    let chunk = site_with(&report, "je_malloc").expect("the memory that it maps");
    assert_eq!((&chunk["kind"], &chunk["live_bytes"]["estimate"]), (&"mmap-anon".into(), &(1 << 20).into()));
}
