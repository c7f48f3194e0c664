//! How often growth is cried where there is none, and how much of it is needed to be seen.

mod program;

use leakscope_analyze::{DiffOptions, Status, diff};
use leakscope_sampling::Interval;
use program::Program;

const R: Interval = Interval::from_bytes(1 << 14);

/// A program in balance: each epoch `churn` blocks of 512 bytes come and as many go; then `leak` more come.
fn statuses(seed: u64, sites: u32, churn: usize, leak_intervals: u64) -> Vec<(u32, Status)> {
    let mut program = Program::new(seed, R);
    for site in 0..sites {
        (0..4 * churn).for_each(|_| program.allocate(site, 512));
    }
    let a = program.snapshot();
    for site in 0..sites {
        (0..churn).for_each(|_| program.allocate(site, 512));
        program.free(site, churn);
    }
    (0..leak_intervals * R.bytes() / 512).for_each(|_| program.allocate(0, 512));
    let b = program.snapshot();
    let diff = diff(&a, &b, &DiffOptions::default());
    diff.sites
        .iter()
        .map(|growth| {
            let function = &diff.frames.resolve(&growth.place.frames).next().expect("a frame").function;
            (program::site_number(function), growth.status)
        })
        .collect()
}

/// Part of `runs` in which the chosen site is called grown or new.
fn found(runs: u64, churn: usize, leak_intervals: u64) -> f64 {
    let grown = (0..runs).filter(|seed| {
        let found = statuses(seed * 7 + churn as u64, 1, churn, leak_intervals);
        found.iter().any(|(site, status)| *site == 0 && matches!(status, Status::Grown | Status::New))
    });
    grown.count() as f64 / runs as f64
}

#[test]
fn balance_is_called_a_change_in_at_most_5_percent() {
    for churn in [100, 400, 1600] {
        let runs = 400;
        let wrong =
            (0..runs).filter(|seed| statuses(seed + 1000, 1, churn, 0).iter().any(|(_, s)| *s != Status::Same)).count();
        let share = wrong as f64 / runs as f64;
        // 5 % and three standard errors of 400 runs.
        assert!(share <= 0.05 + 3.0 * (0.05f64 * 0.95 / 400.0).sqrt(), "churn {churn}: {share}");
    }
}

#[test]
fn among_many_sites_at_most_5_percent_of_the_found_are_false() {
    let (mut found, mut wrong, mut runs_with_false) = (0, 0, 0);
    for seed in 0..40 {
        let changed: Vec<(u32, Status)> =
            statuses(seed, 40, 400, 60).into_iter().filter(|(_, s)| *s != Status::Same).collect();
        let false_here = changed.iter().filter(|(site, _)| *site != 0).count();
        found += changed.len();
        wrong += false_here;
        runs_with_false += usize::from(false_here > 0);
    }
    assert!(found >= 40, "the leak itself is found in each of 40 runs: {found}");
    assert!(wrong as f64 <= 0.10 * found as f64, "{wrong} of {found}, in {runs_with_false} runs");
}

#[test]
fn twenty_intervals_of_growth_are_seen_and_one_is_not() {
    assert!(found(100, 0, 20) >= 0.95, "{}", found(100, 0, 20));
    assert!(found(100, 0, 1) <= 0.02, "{}", found(100, 0, 1));
    // Beside churn of its own (25 intervals come and go) it takes more.
    assert!(found(100, 800, 60) >= 0.95, "{}", found(100, 800, 60));
}

/// Snapshots of one program recorded twice, with another sampling interval each.
fn recorded_twice(seed: u64, intervals: [Interval; 2]) -> [leakscope_profile::model::Profile; 2] {
    let mut session = 0;
    intervals.map(|interval| {
        let mut program = Program::new(seed + session, interval);
        // From an eighth of an interval to eight of them.
        for site in 0..40u32 {
            (0..u64::from(site % 7 + 1).pow(2) * R.bytes() / 8 / 256).for_each(|_| program.allocate(site, 256));
        }
        session += 1;
        let mut profile = program.snapshot();
        profile.snapshot.session = [session as u8; 16];
        profile
    })
}

#[test]
fn another_interval_is_no_change() {
    let coarse = Interval::from_bytes(4 * R.bytes());
    for intervals in [[Interval::EXACT, R], [R, Interval::EXACT], [R, coarse], [coarse, R]] {
        let runs = 40;
        let runs_with_false = (0..runs)
            .filter(|seed| {
                let [a, b] = recorded_twice(100 * seed, intervals);
                diff(&a, &b, &DiffOptions::default()).sites.iter().any(|g| g.significant)
            })
            .count();
        // Nothing changed, so whatever is found is false: 5 % of the runs and three standard errors.
        assert!(runs_with_false <= 6, "{intervals:?}: {runs_with_false} of {runs}");
    }
}

#[test]
fn a_side_without_samples_is_unsure_by_its_own_interval() {
    for (intervals, wide) in [([Interval::EXACT, R], true), ([R, Interval::EXACT], false)] {
        let [mut a, b] = recorded_twice(1, intervals);
        let mut b = b;
        let empty = if wide { &mut b } else { &mut a };
        empty.rows.clear();
        let diff = diff(&a, &b, &DiffOptions::default());
        for growth in &diff.sites {
            let unseen = if wide { growth.candidate_bytes() } else { growth.baseline_bytes() };
            assert!((unseen.high / R.bytes() as f64 - 3.689).abs() < 1e-3, "{unseen:?}");
        }
    }
}
