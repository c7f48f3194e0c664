//! What the hot path costs, in instructions: a figure that a noisy machine does not change. Times are for benches/.

use crate::support::{Sandbox, machine, programs};
use std::path::Path;
use std::process::Command;

/// What callgrind counted of a program and what it calls.
fn collected(stderr: &str) -> f64 {
    let line = stderr.lines().find_map(|line| line.split("Collected :").nth(1));
    line.and_then(|total| total.trim().parse().ok()).unwrap_or_else(|| panic!("callgrind printed no total:\n{stderr}"))
}

fn callgrind(out: &Path, call: &str, count: u32) -> Vec<String> {
    let options =
        ["valgrind", "--tool=callgrind", &format!("--callgrind-out-file={}", out.display())].map(String::from);
    let program = [programs::c("pairs").display().to_string(), call.to_owned(), count.to_string()];
    [&options[..], &program].concat()
}

/// Instructions that leakscope adds to one allocation and its free, neither of them sampled. Two lengths, so that starting
/// cancels; a sample interval so long that 60,000 blocks of 64 bytes have one with a probability of 3.5e-6.
fn added(call: &str) -> f64 {
    const LENGTHS: [u32; 2] = [20_000, 60_000];
    let sandbox = Sandbox::new();
    let out = sandbox.path().join("callgrind");
    let plain = LENGTHS.map(|count| {
        let line = callgrind(&out, call, count);
        let output = Command::new(&line[0]).args(&line[1..]).output().expect("valgrind starts");
        collected(&String::from_utf8_lossy(&output.stderr))
    });
    let recorded = LENGTHS.map(|count| {
        let line = callgrind(&out, call, count);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let recording = Sandbox::new().run().args(&["--sample", "1024g"]).targets(&line).finish().expect_code(0);
        collected(&recording.err())
    });
    let [plain, recorded] = [plain, recorded].map(|[short, long]| (long - short) / f64::from(LENGTHS[1] - LENGTHS[0]));
    assert!(recorded > plain, "{call}: the shim was not there: {recorded} instructions, {plain} without it");
    println!("{call}: {plain:.1} instructions plain, {:.1} added", recorded - plain);
    recorded - plain
}

#[test]
fn an_allocation_that_is_not_sampled_costs_a_few_instructions() {
    machine::need("valgrind");
    // Some slack for compilers; when this was written: 12, 17, 17, 23.
    for (call, most) in [("malloc", 13.0), ("calloc", 19.0), ("realloc", 19.0), ("grow", 26.0)] {
        let added = added(call);
        assert!(added <= most, "{call}: {added:.1} instructions added, at most {most}");
    }
}
