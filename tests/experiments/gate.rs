//! One run of tests/gate/Loop.java under `leakscope check`, with all the noise of a JVM: without a leak it passes, with one
//! of twice what it says it would have seen it fails, and names the line.

use crate::support::{Sandbox, machine, programs};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

const ITERATIONS: &str = "400";
/// What else happens in an iteration: compression, classes, threads, buffers, compilation, garbage.
const NOISE: &str = "2";
/// The source of the program, and what its leaking line bears.
const SOURCE: &str = "tests/gate/Loop.java";
const MARK: &str = "// THE LEAK";

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The exit code of `check`.
    pub code: i32,
    /// Bytes an iteration that would have been seen.
    pub minimum_detectable: f64,
    /// Whether a site that is called a leak has the marked line.
    pub names_the_line: bool,
    /// Wall time.
    pub took: Duration,
    /// What was said, for messages.
    pub text: String,
}

/// The release for a run with this number.
pub fn release(number: u64) -> u32 {
    machine::RELEASES[number as usize % machine::RELEASES.len()]
}

/// Twice what would have been seen, bytes an iteration.
pub fn twice(minimum_detectable: f64) -> u64 {
    (2.0 * minimum_detectable).ceil().max(1.0) as u64
}

/// A run that loses so many bytes at each iteration; its noise is that of the number.
pub fn run(number: u64, lost_bytes: u64) -> Outcome {
    let sandbox = Sandbox::new();
    let check = sandbox.command("check").args(&["--json", "--iterations", ITERATIONS]);
    let check = check.target(machine::java(release(number))).target("-cp").target(programs::gate());
    let check = check.target("Loop").targets(&[ITERATIONS, &lost_bytes.to_string(), NOISE, &number.to_string()]);
    let began = Instant::now();
    let answer = check.finish();
    let took = began.elapsed();
    let gate: Value = serde_json::from_slice(&answer.stdout).unwrap_or(Value::Null);
    Outcome {
        code: answer.code(),
        minimum_detectable: gate["minimum_detectable"].as_f64().unwrap_or(f64::NAN),
        names_the_line: names_the_line(&gate),
        took,
        text: answer.everything(),
    }
}

fn names_the_line(gate: &Value) -> bool {
    let path = machine::repository().join(SOURCE);
    let text = fs::read_to_string(&path).expect("the source");
    let line = 1 + text.lines().position(|line| line.ends_with(MARK)).expect("a marked line");
    let sites = gate["sites"].as_array().map_or(&[][..], Vec::as_slice);
    let is_it = |frame: &Value| frame["line"] == line && frame["function"] == "Loop$Registry.open";
    let leaks = sites.iter().filter(|site| site["status"] == "leak");
    leaks.into_iter().any(|site| site["frames"].as_array().is_some_and(|frames| frames.iter().any(is_it)))
}
