//! Long series of the tests' experiments: hundreds of runs, resumable, with totals. Run by scripts/series.
//!
//! ```text
//! series sizes [RUNS]    known live bytes at the default interval: coverage of the intervals, bias of the total
//! series kill [RUNS]     kill -9 of a JVM at spread moments
//! series starts [RUNS]   that many JVM starts of each JDK
//! series many [BLOCKS]   so many live blocks in exact mode: each is counted
//! series exits [RUNS]    medians of what recording adds to a JVM's exit
//! series gate [RUNS]     that many programs with noise under check, each without a leak and with one
//! series rates [RUNS]    growth at a known rate: coverage of the intervals
//! series corpus [RUNS]   that many runs of each program with a known verdict: the confusion matrix
//! ```
//!
//! Each run is a line `NUMBER FIGURE...` in target/series/NAME; one that is there is not done again. A failing run ends
//! the series with its message, and is the first to be done next time. `--fresh` forgets what was done.
#![allow(missing_docs)]

mod experiments;
#[allow(dead_code)] // the door is shared with e2e.rs; a series needs only a part of it
mod support;

use experiments::corpus::{ACCUSATIONS, CASES, Case, Form};
use experiments::{exits, gate, kill, many, rates, sizes, starts};
use parking_lot::Mutex;
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
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
        Some("many") => many_series(runs.unwrap_or(10_500_000)),
        Some("exits") => exits_series(state("exits"), runs.unwrap_or(15)),
        Some("gate") => gate_series(state("gate"), runs.unwrap_or(200)),
        Some("rates") => rates_series(state("rates"), runs.unwrap_or(30)),
        Some("corpus") => corpus_series(runs.unwrap_or(20), is_fresh),
        _ => {
            eprintln!("usage: scripts/series sizes|kill|starts|many|exits|gate|rates|corpus [RUNS] [--fresh]");
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
        for number in self.missing(runs) {
            let figures = one(number);
            self.note(number, figures);
        }
        self.finish(runs)
    }

    /// The same, several at a time.
    fn run_at_once(self, at_once: usize, runs: u64, one: impl Fn(u64) -> Vec<f64> + Sync) -> Vec<Vec<f64>> {
        let missing = Mutex::new(self.missing(runs).into_iter());
        let state = Mutex::new(self);
        thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    let next = || missing.lock().next();
                    while let Some(number) = next() {
                        let figures = one(number);
                        state.lock().note(number, figures);
                    }
                });
            }
        });
        state.into_inner().finish(runs)
    }

    fn missing(&self, runs: u64) -> Vec<u64> {
        (1..=runs).filter(|number| !self.lines.iter().any(|line| line[0] == *number as f64)).collect()
    }

    fn note(&mut self, number: u64, figures: Vec<f64>) {
        let mut line = vec![number as f64];
        line.extend(figures);
        let text = line.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
        let mut file = File::options().append(true).open(&self.path).expect("the state");
        writeln!(file, "{text}").expect("the state can be written");
        println!("{text}");
        self.lines.push(line);
    }

    fn finish(mut self, runs: u64) -> Vec<Vec<f64>> {
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

/// One run, of which nothing is kept.
fn many_series(blocks: u64) -> bool {
    many::run(blocks);
    println!("many: {blocks} live blocks, each counted");
    true
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

/// Gates that run at once: one for each core.
const GATES_AT_ONCE: usize = 2;
/// Longest run of a gate.
const GATE_SECONDS: f64 = 10.0;

/// Without a leak at most 1 run in 200 fails; with one of twice what the run without says it would have seen, at least
/// 190 in 200 do, and name the line. What went wrong is kept in target/series/gate-wrong.
fn gate_series(state: State, runs: u64) -> bool {
    let lines = state.run_at_once(GATES_AT_ONCE, runs, gate_run);
    let count = |column: usize, value: f64| lines.iter().filter(|line| line[column] == value).count();
    let longest = |column: usize| lines.iter().map(|line| line[column]).fold(0.0, f64::max);
    let (failed, caught) = (count(1, 1.0), count(4, 1.0));
    let named = lines.iter().filter(|line| line[4] == 1.0 && line[6] == 1.0).count();
    let unfinished = lines.iter().filter(|line| [line[1], line[4]].iter().any(|code| ![0.0, 1.0, 3.0].contains(code)));
    let (unfinished, runs) = (unfinished.count(), lines.len());
    let (clean_s, leak_s) = (longest(3), longest(7));
    println!(
        "gate: {runs} runs without a leak: {} pass, {failed} FAIL, {} cannot be told; the longest took {clean_s:.1} s",
        count(1, 0.0),
        count(1, 3.0)
    );
    println!(
        "gate: {runs} runs with a leak of twice what would have been seen: {caught} FAIL, {named} of them name the line, \
              {} cannot be told, {} pass; the longest took {leak_s:.1} s",
        count(4, 3.0),
        count(4, 0.0)
    );
    println!(
        "gate: the leaks: {:.0} to {:.0} bytes an iteration; {unfinished} runs ended otherwise",
        lines.iter().map(|line| line[5]).fold(f64::MAX, f64::min),
        longest(5)
    );
    failed * 200 <= runs && named * 200 >= runs * 190 && unfinished == 0 && clean_s.max(leak_s) <= GATE_SECONDS
}

/// Both runs of a number: code, minimum detectable and seconds of the one without; code, bytes lost, whether the line is
/// named, and seconds of the one with a leak.
fn gate_run(number: u64) -> Vec<f64> {
    let clean = gate::run(number, 0);
    let lost = gate::twice(clean.minimum_detectable);
    let leak = gate::run(number, lost);
    if clean.code != 0 {
        keep_gate(number, "clean", &clean);
    }
    if leak.code != 1 || !leak.names_the_line {
        keep_gate(number, "leak", &leak);
    }
    let is_named = f64::from(u8::from(leak.names_the_line));
    let (clean_s, leak_s) = (clean.took.as_secs_f64(), leak.took.as_secs_f64());
    vec![clean.code.into(), clean.minimum_detectable, clean_s, leak.code.into(), lost as f64, is_named, leak_s]
}

fn keep_gate(number: u64, what: &str, outcome: &gate::Outcome) {
    println!("run {number}, JDK {}, {what}: exit code {}", gate::release(number), outcome.code);
    let folder = target().join("series/gate-wrong");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(format!("{number}-{what}.txt")), &outcome.text).expect("what was said is kept");
}

/// At least 93 % of the rates inside their 95 % interval. A run that reports no rate counts as outside.
fn rates_series(state: State, runs: u64) -> bool {
    let lines = state.run_at_once(AT_ONCE, runs, |number| match rates::run(number) {
        Some(outcome) => {
            let inside = f64::from(u8::from(outcome.is_inside()));
            vec![inside, outcome.truth, outcome.estimate, outcome.low, outcome.high]
        }
        None => vec![0.0; 5],
    });
    let inside = lines.iter().filter(|line| line[1] == 1.0).count();
    let told: Vec<_> = lines.iter().filter(|line| line[2] > 0.0).collect();
    let mean = |of: &dyn Fn(&[f64]) -> f64| told.iter().map(|line| of(line)).sum::<f64>() / told.len() as f64;
    println!(
        "rates: {inside} of {} true rates inside their 95 % interval (at least 93 %); {} runs told no rate; mean error {:+.1} %, \
         mean half width {:.1} %",
        lines.len(),
        lines.len() - told.len(),
        100.0 * mean(&|line| line[3] / line[2] - 1.0),
        100.0 * mean(&|line| (line[5] - line[4]) / 2.0 / line[2])
    );
    inside * 100 >= lines.len() * 93
}

/// Programs of the corpus that run at once: most of their time they sleep.
const AT_ONCE: usize = 5;
/// Length of a run of the corpus, seconds.
const CORPUS_SECONDS: u32 = 8;

/// Each case right in 19 of 20 runs, and no accusation of a program without its fault in any.
fn corpus_series(runs: u64, is_fresh: bool) -> bool {
    let lines = State::open("corpus", is_fresh).run(runs, corpus_run);
    let mut holds = true;
    println!("{:<20} {:>7}  verdicts that came first, in {} runs", "program", "right", lines.len());
    for (at, case) in CASES.iter().enumerate() {
        let (mut right, mut said) = (0, [0u32; VERDICTS.len()]);
        for line in &lines {
            let code = line[1 + at] as usize;
            right += code % 2;
            said[code / 2] += 1;
        }
        let counts = VERDICTS.iter().zip(said).filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts.map(|(word, count)| format!("{word} {count}")).collect();
        println!("{:<20} {right:>3}/{:<3}  {}", case.name(), lines.len(), counts.join(", "));
        let accused =
            VERDICTS.iter().zip(said).filter(|(word, count)| ACCUSATIONS.contains(word) && *count > 0).count();
        holds &= right * 20 >= lines.len() * 19 && (case.form == Form::Leak || accused == 0);
    }
    holds
}

/// The words of DESIGN 7, and that there was none.
const VERDICTS: [&str; 12] = [
    "-",
    "LEAK",
    "GC-BOUND",
    "STAIRCASE",
    "THREADS",
    "ALLOCATOR",
    "JVM",
    "HEAP",
    "FILES",
    "BOUNDED",
    "STARTUP",
    "UNKNOWN",
];

/// Runs every case once, on another JDK each time; for each twice the number of its first verdict, one more if it is
/// right. What was said wrongly is kept in target/series/corpus-wrong.
fn corpus_run(number: u64) -> Vec<f64> {
    let release = RELEASES[number as usize % RELEASES.len()];
    let next = AtomicUsize::new(0);
    let codes: Vec<AtomicUsize> = CASES.iter().map(|_| AtomicUsize::new(0)).collect();
    let work = || {
        while let Some((at, case)) = CASES.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
            codes[at].store(corpus_case(case, number, release), Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    codes.into_iter().map(|code| code.into_inner() as f64).collect()
}

fn corpus_case(case: &Case, number: u64, release: u32) -> usize {
    let outcome = case.run(CORPUS_SECONDS, release);
    if !outcome.is_right {
        println!("run {number}, JDK {release}: {} is called {}", case.name(), outcome.said.join(" "));
        let folder = target().join("series/corpus-wrong");
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join(format!("{number}-{}.txt", case.name().replace(' ', "-")));
        fs::write(file, &outcome.text).expect("the report is kept");
    }
    let first = outcome.said.first().map_or("-", String::as_str);
    let word = VERDICTS.iter().position(|word| *word == first).unwrap_or_else(|| panic!("no verdict: {first}"));
    2 * word + usize::from(outcome.is_right)
}
