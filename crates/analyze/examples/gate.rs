//! Simulated gates at length: false alarms, power at twice the minimum that is said to be detectable. Run by
//! `scripts/series gate-simulated [RUNS]`.
#![allow(missing_docs)]

#[path = "../tests/simulated/mod.rs"]
mod simulated;

use leakscope_analyze::gate::{Gate, Outcome};
use leakscope_sampling::Interval;
use simulated::gate::{How, judged, names_the_leak, program};
use std::process::ExitCode;

fn main() -> ExitCode {
    let runs: u64 = std::env::args().nth(1).map_or(1000, |runs| runs.parse().expect("a number of runs"));
    let mut is_good = true;
    let sampled = How { rounds: 1, interval: Interval::from_bytes(8 << 10) };
    for how in [How::exact(1), How::exact(3), sampled] {
        let (mut failed, mut unclear, mut found, mut printed) = (0, 0, [0, 0], Vec::new());
        for seed in 0..runs {
            let program = program(seed);
            let clean = judged(&program, None, how, seed);
            printed.push(clean.minimum_detectable);
            match clean.outcome {
                Outcome::Pass => {}
                Outcome::Inconclusive => unclear += 1,
                Outcome::Fail => {
                    failed += 1;
                    println!("false alarm in run {seed} of {how:?}: {}", first(&clean, &program));
                }
            }
            for (at, evenly) in [true, false].into_iter().enumerate() {
                let leak = Some((2.0 * clean.minimum_detectable, evenly));
                let gate = judged(&program, leak, how, seed ^ 0x1EAC);
                found[at] += u64::from(names_the_leak(&gate, program.len()));
            }
        }
        printed.sort_by(f64::total_cmp);
        let part = |n: u64| 100.0 * n as f64 / runs as f64;
        println!(
            "{} rounds, a sample per {} B, {runs} programs: {:.2} % false alarms (at most 0.5), {:.1} % inconclusive; minimum detectable \
             median {:.0}, nine of ten below {:.0} B/iter; leaks of twice that found: {:.1} % even, {:.1} % at random (at \
             least 95)",
            how.rounds,
            how.interval.bytes(),
            part(failed),
            part(unclear),
            printed[printed.len() / 2],
            printed[printed.len() * 9 / 10],
            part(found[0]),
            part(found[1]),
        );
        is_good &= part(failed) <= 0.5 && found.iter().all(|found| part(*found) >= 95.0);
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn first(gate: &Gate, program: &[simulated::Place]) -> String {
    let Some(leak) = gate.leaks().next() else { return "the total".to_owned() };
    let name = gate.frames.resolve(&leak.place.frames).next().map_or("", |frame| frame.function.as_str());
    let place =
        name.strip_prefix("com.acme.Site").and_then(|rest| rest.strip_suffix(".run")).and_then(|n| n.parse().ok());
    let law = place.and_then(|place: usize| program.get(place));
    format!("{law:?} {:?}", leak.judged)
}
