//! Simulated growth at length: coverage, power, false alarms. Run by `scripts/series growth [RUNS]`.
#![allow(missing_docs)]

#[path = "../tests/simulated/mod.rs"]
mod simulated;

use simulated::{Pace, alarms, clean_run, leak_run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let runs: u64 = std::env::args().nth(1).map_or(1000, |runs| runs.parse().expect("a number of runs"));
    let leaks: Vec<_> = (0..runs).map(leak_run).collect();
    let covered = leaks.iter().filter(|run| run.covered).count() as f64 / runs as f64;
    for (from, to) in [(5, 8), (8, 13), (13, 30), (30, 80), (80, 241)] {
        let of: Vec<_> = leaks.iter().filter(|run| (from..to).contains(&run.snapshots)).collect();
        let part = |test: &dyn Fn(&&simulated::LeakRun) -> bool| {
            100.0 * of.iter().copied().filter(|run| test(run)).count() as f64 / of.len().max(1) as f64
        };
        println!(
            "{from:>3} to {:>3} snapshots: {:>4} runs, covered {:.1} %, called a leak {:.1} %",
            to - 1,
            of.len(),
            part(&|run| run.covered),
            part(&|run| run.found),
        );
    }
    for pace in [Pace::Even, Pace::AsItAges] {
        let of: Vec<_> = leaks.iter().filter(|run| run.pace == pace).collect();
        let part = of.iter().filter(|run| run.covered).count() as f64 / of.len().max(1) as f64;
        println!("{pace:?}: {} runs, covered {:.1} %", of.len(), 100.0 * part);
    }
    println!("growth: {runs} leaks, {:.2} % of their rates inside the 95 % interval (at least 93)", 100.0 * covered);
    let late = leaks.iter().filter(|run| run.began_late).count() as f64 / runs as f64;
    println!("growth: {:.2} % of them are said to have begun late, which none did", 100.0 * late);
    let mut wrong = Vec::new();
    for seed in 0..runs {
        let (recording, analysis) = clean_run(seed);
        if !alarms(&analysis).is_empty() {
            let about: Vec<_> = analysis
                .verdicts
                .iter()
                .filter_map(|verdict| {
                    let suspect = &analysis.suspects[verdict.suspect?];
                    let function = &analysis.frames.resolve(&suspect.place.frames).next()?.function;
                    let place: usize = function.strip_prefix("com.acme.Site")?.strip_suffix(".run")?.parse().ok()?;
                    Some(format!("{:?} of {:?}", verdict.id, recording.places[place]))
                })
                .collect();
            println!(
                "alarm in run {seed}: {about:?}, {:?}, {} minutes, R {}",
                recording.pace,
                recording.snapshots,
                recording.interval.bytes()
            );
            wrong.push(seed);
        }
    }
    let share = wrong.len() as f64 / runs as f64;
    println!("growth: {runs} clean programs, {:.2} % with an alarm (at most 1)", 100.0 * share);
    if covered >= 0.93 && share <= 0.01 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
