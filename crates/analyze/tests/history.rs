//! The history of a recording against its profiles: the same live sums at every snapshot, the same growth between any
//! two, in simulated programs that allocate, free and change their interval, with snapshots that were not kept.

mod program;

use leakscope_analyze::{DiffOptions, Grouping, History, HistoryBuilder, SiteHistory, Sums, diff, sites};
use leakscope_profile::model::{Kind, Profile};
use leakscope_sampling::Interval;
use program::Program;

const SITES: u32 = 5;

fn recording(seed: u64) -> Vec<Profile> {
    let mut program = Program::new(seed, Interval::from_bytes(1 << 12));
    let mut profiles = Vec::new();
    for at in 0..9 {
        for site in 0..SITES {
            for _ in 0..program.rng.next_u64() % 200 {
                let size = 1 + program.rng.next_u64() % (64 << (2 * site));
                program.allocate(site, size);
            }
            let count = program.rng.next_u64() % 150;
            program.free(site, count as usize);
        }
        if at == 4 {
            program.interval = Interval::from_bytes(1 << 10);
        }
        let profile = program.snapshot();
        // Every third snapshot was thinned out.
        if at % 3 != 2 {
            profiles.push(profile);
        }
    }
    profiles
}

fn history(profiles: &[Profile]) -> History {
    let mut builder = HistoryBuilder::default();
    profiles.iter().for_each(|profile| builder.add(profile));
    builder.finish(profiles.last().expect("profiles"), &Grouping::default())
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs()))
}

#[test]
fn live_sums_are_those_of_the_profiles() {
    for seed in 0..20 {
        let profiles = recording(seed);
        let history = history(&profiles);
        assert_eq!(history.instants.len(), profiles.len());
        for (at, profile) in profiles.iter().enumerate() {
            let report = sites(profile, &Grouping::default());
            let mut live = 0;
            for site in &report.sites {
                let sums = history.site(site.place.id).expect("known").live(at as u32, 0..=u32::MAX);
                assert_eq!(sums.samples, site.live.samples, "seed {seed}, snapshot {at}");
                assert!(close(sums.bytes, site.live.bytes), "{sums:?} {:?}", site.live);
                assert!(close(sums.bytes_variance, site.live.bytes_variance), "{sums:?} {:?}", site.live);
                live += sums.samples;
            }
            let all: u64 = history.sites.iter().map(|site| site.live(at as u32, 0..=u32::MAX).samples).sum();
            assert_eq!(all, live, "nothing else is live");
        }
    }
}

#[test]
fn growth_between_any_two_snapshots_is_that_of_diff() {
    for seed in 0..10 {
        let profiles = recording(seed);
        let history = history(&profiles);
        for before in 0..profiles.len() {
            for after in before + 1..profiles.len() {
                let expected = diff(&profiles[before], &profiles[after], &DiffOptions::default());
                for growth in &expected.sites {
                    let site = history.site(growth.place.id).expect("known");
                    let (i, j) = (before as u32, after as u32);
                    let new = site.live(j, i + 1..=j);
                    let gone = site.live(i, 0..=i).without(&site.live(j, 0..=i));
                    for (ours, theirs) in [(new, growth.change.new), (gone, growth.change.gone)] {
                        assert_eq!(ours.samples, theirs.samples, "seed {seed}, {before} to {after}");
                        assert!(close(ours.bytes, theirs.bytes), "{ours:?} {theirs:?}");
                        assert!(close(ours.bytes_variance, theirs.bytes_variance), "{ours:?} {theirs:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn changes_are_kept_and_nothing_else() {
    let profiles = recording(3);
    for site in history(&profiles).sites {
        for cells in site.cells.chunk_by(|a, b| a.born == b.born) {
            assert!(cells[0].at >= cells[0].born && cells[0].samples > 0, "{cells:?}");
            assert!(cells.windows(2).all(|two| two[0].at < two[1].at && two[0].samples != two[1].samples), "{cells:?}");
        }
        assert!(site.allocated.windows(2).all(|two| two[0].at < two[1].at && two[0].bytes < two[1].bytes));
    }
}

#[test]
fn sites_together_are_their_sums() {
    let profiles = recording(6);
    let history = history(&profiles);
    let all: Vec<_> = history.sites.iter().collect();
    let together = SiteHistory::together(&all).expect("sites");
    for at in 0..profiles.len() as u32 {
        for born in [0..=at, at..=at, 1..=3] {
            let sums = together.live(at, born.clone());
            let parts = all.iter().map(|site| site.live(at, born.clone()));
            let (samples, bytes) = parts.fold((0, 0.0), |(n, t), part| (n + part.samples, t + part.bytes));
            assert!(sums.samples == samples && close(sums.bytes, bytes), "{sums:?} {samples} {bytes}");
        }
        let until = |site: &SiteHistory| {
            let now = site.allocated.iter().rfind(|step| step.at <= at).copied().unwrap_or_default();
            (now.bytes, now.bytes_variance)
        };
        let expected = all.iter().map(|site| until(site)).fold((0.0, 0.0), |(t, v), (u, w)| (t + u, v + w));
        let got = until(&together);
        assert!(close(got.0, expected.0) && close(got.1, expected.1), "{got:?} {expected:?}");
    }
    assert!(SiteHistory::together(&[]).is_none());
}

/// Mappings that are all gone take their stack out of later profiles.
#[test]
fn a_stack_that_the_last_profile_does_not_hold_keeps_its_name() {
    let mut profiles = recording(7);
    let last = profiles.last_mut().expect("profiles");
    let gone = last.stacks.len() - 1;
    last.stacks.pop();
    last.rows.retain(|row| (row.stack.0 as usize) < gone);
    let before = &profiles[profiles.len() - 2];
    let expected = sites(before, &Grouping::default());
    let history = history(&profiles);
    let at = profiles.len() as u32 - 2;
    for site in &expected.sites {
        let known = history.site(site.place.id).expect("known");
        assert_eq!(known.live(at, 0..=u32::MAX).samples, site.live.samples);
        let names = |table: &leakscope_analyze::FrameTable, place: &leakscope_analyze::Place| {
            table.resolve(&place.frames).map(|frame| frame.function.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&history.frames, &known.place), names(&expected.frames, &site.place));
    }
}

/// The same stack twice under other numbers, as after names were resolved: one site.
#[test]
fn stacks_of_one_site_are_put_together() {
    let mut profiles = recording(5);
    for profile in &mut profiles {
        let again = profile.stacks[0].clone();
        // Another address of the same function and line.
        let mut frame = profile.frames[again.frames[0].0 as usize];
        if let leakscope_profile::model::Code::Native { address, .. } = &mut frame.code {
            *address += 4;
        }
        profile.frames.push(frame);
        let id = leakscope_profile::model::FrameId(profile.frames.len() as u32 - 1);
        let mut frames = again.frames.clone();
        frames[0] = id;
        profile.stacks.push(leakscope_profile::model::Stack { frames, totals: again.totals });
        let stack = leakscope_profile::model::StackId(profile.stacks.len() as u32 - 1);
        let first = leakscope_profile::model::StackId(0);
        let rows: Vec<_> = profile.rows.iter().filter(|row| row.stack == first).copied().collect();
        profile.rows.extend(rows.into_iter().map(|row| leakscope_profile::model::Row { stack, ..row }));
    }
    let history = history(&profiles);
    for (at, profile) in profiles.iter().enumerate() {
        for site in sites(profile, &Grouping::default()).sites {
            let sums: Sums = history.site(site.place.id).expect("known").live(at as u32, 0..=u32::MAX);
            assert_eq!((sums.samples, site.place.kind), (site.live.samples, Kind::Malloc));
            assert!(close(sums.bytes, site.live.bytes));
        }
    }
}
