//! Growth over many snapshots, of simulated programs whose truth is known: how often the interval holds it, how often a
//! leak is seen, and how often one is cried where there is none. `scripts/series growth` does the same at length.

mod simulated;

use leakscope_analyze::{Shape, VerdictId};
use leakscope_sampling::{Interval, Rng};
use simulated::{Law, Place, Recording, alarms, clean_run, leak_run, suspect};

#[test]
fn the_interval_covers_the_true_rate_in_at_least_93_percent() {
    let runs: Vec<_> = (0..200).map(leak_run).collect();
    let covered = runs.iter().filter(|run| run.covered).count();
    println!("covered: {covered} of 200");
    assert!(covered >= 186, "{covered} of 200");
}

#[test]
fn clear_leaks_are_seen() {
    let strong: Vec<_> = (1000..1120)
        .map(leak_run)
        .filter(|run| run.samples >= 60.0 && run.snapshots >= 12 && run.width < 0.4)
        .collect();
    let found = strong.iter().filter(|run| run.found).count();
    println!("found: {found} of {} clear leaks", strong.len());
    assert!(strong.len() >= 20 && found as f64 >= 0.9 * strong.len() as f64, "{found} of {}", strong.len());
}

#[test]
fn clean_programs_raise_an_alarm_in_at_most_1_percent() {
    let runs = 100;
    let wrong: Vec<_> = (0..runs).filter(|seed| !alarms(&clean_run(*seed).1).is_empty()).collect();
    println!("alarms: {} of {runs} clean runs: {wrong:?}", wrong.len());
    // 1 %, and what 100 runs of it may show by chance in one case of fifty.
    assert!(wrong.len() <= 3, "{wrong:?}");
}
