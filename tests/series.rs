//! Long series of the tests' experiments: hundreds of runs, resumable, with totals. Run by scripts/series.
//!
//! ```text
//! series sizes [RUNS]    known live bytes at the default interval: coverage of the intervals, bias of the total
//! series kill [RUNS]     kill -9 of a JVM at spread moments
//! series starts [RUNS]   that many JVM starts of each JDK
//! series exits [RUNS]    medians of what recording adds to a JVM's exit
//! ```
//!
//! Each run is a line `NUMBER FIGURE...` in target/series/NAME; one that is there is not done again. A failing run ends
//! the series with its message, and is the first to be done next time. `--fresh` forgets what was done.
#![allow(missing_docs)]

mod experiments;
#[allow(dead_code)] // the door is shared with e2e.rs; a series needs only a part of it
mod support;

use experiments::{exits, kill, sizes, starts};
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use support::machine::{RELEASES, target};

fn main() -> ExitCode {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let is_fresh = arguments.iter().any(|argument| argument == "--fresh");
    arguments.retain(|argument| argument != "--fresh");
    let runs = arguments.get(1).map(|runs| runs.parse().expect("a number of runs"));
    let state = |name| State::open(name, is_fresh);
    let holds = match arguments.first().map(String::as_str) {
        Some("sizes") => sizes_series(state("sizes"), runs.unwrap_or(200)),
        Some("kill") => kill_series(state("kill"), runs.unwrap_or(100)),
        Some("starts") => starts_series(state("starts"), runs.unwrap_or(100)),
        Some("exits") => exits_series(state("exits"), runs.unwrap_or(15)),
        _ => {
            eprintln!("usage: scripts/series sizes|kill|starts|exits [RUNS] [--fresh]");
            return ExitCode::from(2);
        }
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What was done before: a file of lines of numbers.
struct State {
    path: PathBuf,
    lines: Vec<Vec<f64>>,
}

impl State {
    fn open(name: &str, is_fresh: bool) -> Self {
        let path = target().join("series").join(name);
        fs::create_dir_all(path.parent().expect("target/series")).expect("a folder for the state");
        let text = if is_fresh { String::new() } else { fs::read_to_string(&path).unwrap_or_default() };
        let mut complete: Vec<&str> = text.split('\n').collect();
        // What follows the last end of a line was cut off.
        complete.pop();
        let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("{}: no number: {word}", path.display()));
        let lines: Vec<Vec<f64>> = complete.iter().map(|line| line.split(' ').map(number).collect()).collect();
        fs::write(&path, complete.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("the state");
        if !lines.is_empty() {
            println!("{}: {} runs were done before (--fresh forgets them)", path.display(), lines.len());
        }
        Self { path, lines }
    }

    /// Does the runs 1 to `runs` that are missing; the figures of all.
    fn run(mut self, runs: u64, mut one: impl FnMut(u64) -> Vec<f64>) -> Vec<Vec<f64>> {
        for number in 1..=runs {
            if self.lines.iter().any(|line| line[0] == number as f64) {
                continue;
            }
            let mut line = vec![number as f64];
            line.extend(one(number));
            let text = line.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
            let mut file = File::options().append(true).open(&self.path).expect("the state");
            writeln!(file, "{text}").expect("the state can be written");
            println!("{text}");
            self.lines.push(line);
        }
        self.lines.retain(|line| line[0] <= runs as f64);
        self.lines
    }
}

/// At least 93 % of the sites inside their 95 % interval; the total within 4 standard errors.
fn sizes_series(state: State, runs: u64) -> bool {
    let lines = state.run(runs, |seed| {
        let outcome = sizes::run(seed);
        vec![outcome.sites as f64, outcome.inside as f64, outcome.truth, outcome.estimate, outcome.variance]
    });
    let outcome = |line: &Vec<f64>| sizes::Outcome {
        seed: line[0] as u64,
        sites: line[1] as u64,
        inside: line[2] as u64,
        truth: line[3],
        estimate: line[4],
        variance: line[5],
    };
    let totals = sizes::totals(&lines.iter().map(outcome).collect::<Vec<_>>());
    println!(
        "sizes: {} runs, {} sites, {:.2} % inside their 95 % interval (at least 93); total off by {:+.4} % = {:+.2} \
         standard errors (at most 4)",
        totals.runs,
        totals.sites,
        100.0 * totals.coverage,
        100.0 * totals.bias,
        totals.standard_errors
    );
    totals.coverage >= 0.93 && totals.standard_errors.abs() <= 4.0
}

/// Every run ends in a readable final profile: a run that does not, panics.
fn kill_series(state: State, runs: u64) -> bool {
    let lines = state.run(runs, |number| {
        let outcome = kill::run(number);
        vec![outcome.release.into(), outcome.moment_ms as f64, outcome.live_samples as f64, outcome.java_samples as f64]
    });
    for release in RELEASES {
        let of: Vec<_> = lines.iter().filter(|line| line[1] == f64::from(release)).collect();
        let with_java = of.iter().filter(|line| line[4] > 0.0).count();
        println!("kill: JDK {release}: {} killed, {} readable, {with_java} with Java frames", of.len(), of.len());
    }
    true
}

/// Neither a crash nor a hang: either panics.
fn starts_series(state: State, runs: u64) -> bool {
    let lines = state.run(runs, |_| RELEASES.iter().map(|release| starts::run(*release) as f64).collect());
    println!("starts: {} of each of JDK {RELEASES:?}, no crash, no hang", lines.len());
    true
}

/// A table; time is not judged here.
fn exits_series(state: State, runs: u64) -> bool {
    let cases = || RELEASES.into_iter().flat_map(|release| exits::WAYS.map(|way| (release, way)));
    let lines = state.run(runs, |_| {
        let delay = |(release, way)| [false, true].map(|recorded| exits::delay_us(release, way, recorded) as f64);
        cases().flat_map(delay).collect()
    });
    println!("exits: medians of {} runs, milliseconds from the last words to the parent's news", lines.len());
    println!("JDK  way      plain  recorded   added");
    for (i, (release, way)) in cases().enumerate() {
        let median = |column: usize| exits::median(lines.iter().map(|line| line[column] as u64).collect()) as f64 / 1e3;
        let (plain, recorded) = (median(1 + 2 * i), median(2 + 2 * i));
        println!("{release:>3}  {way:<6} {plain:>7.1} {recorded:>9.1} {:>+7.1}", recorded - plain);
    }
    true
}
