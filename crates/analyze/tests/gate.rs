//! Gates over simulated programs whose truth is known: how often one that does not leak fails, and how often a leak of
//! twice the printed minimum is named. `scripts/series gate-simulated` does the same at length.

mod simulated;

use leakscope_analyze::gate::{FEWEST_CHECKPOINTS, Gate, GateOptions, Outcome, Per, Reason, RoundBuilder, judge_gate};
use leakscope_sampling::Interval;
use simulated::gate::{How, judged, names_the_leak, program};

#[test]
fn programs_that_do_not_leak_do_not_fail() {
    let sampled = How { rounds: 1, interval: Interval::from_bytes(8 << 10) };
    for (how, runs) in [(How::exact(1), 120), (How::exact(3), 40), (sampled, 120)] {
        let failed: Vec<u64> =
            (0..runs).filter(|seed| judged(&program(*seed), None, how, *seed).outcome == Outcome::Fail).collect();
        println!("{how:?}: {} of {runs} fail", failed.len());
        // One in a thousand; one of them may show by chance.
        assert!(failed.len() <= 1, "{how:?}: {failed:?}");
    }
}

#[test]
fn a_leak_of_twice_the_minimum_is_named() {
    let sampled = How { rounds: 1, interval: Interval::from_bytes(8 << 10) };
    for how in [How::exact(1), How::exact(3), sampled] {
        let runs = 40;
        let found = |evenly: bool| {
            let is_found = |seed: &u64| {
                let program = program(*seed);
                let clean = judged(&program, None, how, *seed);
                let leak = (2.0 * clean.minimum_detectable, evenly);
                names_the_leak(&judged(&program, Some(leak), how, seed ^ 0x1EAC), program.len())
            };
            (500..500 + runs).filter(is_found).count()
        };
        let found = [found(true), found(false)];
        println!("{how:?}: {found:?} of {runs} found");
        // 95 %, and what 40 runs may show of it by chance in one case of a thousand.
        assert!(found.iter().all(|found| *found >= 32), "{how:?}: {found:?}");
    }
}

#[test]
fn nothing_passes_that_was_not_looked_at() {
    let options = GateOptions::new(Per::Iteration, 0);
    let short = RoundBuilder::default().finish(None, &[]);
    for rounds in [vec![], vec![short]] {
        let gate: Gate = judge_gate(&rounds, &options);
        assert_eq!(gate.outcome, Outcome::Inconclusive);
        assert_eq!(gate.reasons, [Reason::TooFewCheckpoints { have: 0, need: FEWEST_CHECKPOINTS }]);
    }
}
