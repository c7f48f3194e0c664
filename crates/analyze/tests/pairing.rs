//! Growth from two aggregated profiles of one session equals growth from the single samples, matched by their ids:
//! in every one of 200 simulated programs, forwards and backwards.

mod program;

use std::collections::{HashMap, HashSet};

use leakscope_analyze::{Change, Diff, DiffOptions, ERROR_RATE, Estimate, Missable, Sums, diff};
use leakscope_profile::model::Profile;
use leakscope_sampling::Interval;
use program::{Block, Program, site_number};

const SITES: u32 = 6;

/// Change of each site by matching samples.
fn by_sample_id(before: &[Block], after: &[Block]) -> HashMap<u32, Change> {
    let ids = |blocks: &[Block]| blocks.iter().map(|b| b.id).collect::<HashSet<u64>>();
    let (old, new) = (ids(before), ids(after));
    let mut changes: HashMap<u32, Change> = HashMap::new();
    for (blocks, other, is_new) in [(after, &old, true), (before, &new, false)] {
        for block in blocks {
            let Some(drawn) = block.drawn else { continue };
            let change = changes.entry(block.site).or_default();
            if !other.contains(&block.id) {
                let side = if is_new { &mut change.new } else { &mut change.gone };
                side.add_sample(block.size, drawn);
            }
        }
    }
    changes
}

/// A program that allocates and frees over some epochs, its interval changing now and then.
fn live(program: &mut Program) {
    for _ in 0..program.rng.next_u64() % 3 {
        for site in 0..SITES {
            for _ in 0..program.rng.next_u64() % 150 {
                let size = 1 + program.rng.next_u64() % (100 << (2 * site));
                program.allocate(site, size);
            }
            let count = program.rng.next_u64() % 120;
            program.free(site, count as usize);
        }
        if program.rng.next_u64().is_multiple_of(2) {
            program.interval = Interval::from_bytes(1 << (program.rng.next_u64() % 14));
        }
        program.snapshot();
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

/// The same sums; what could have been missed is a property of the whole site, so it is taken over.
fn assert_equal(expected: &HashMap<u32, Change>, got: &Diff, missable: &HashMap<u32, (Missable, Missable)>) {
    assert!(got.paired);
    assert_eq!(expected.len(), got.sites.len());
    for growth in &got.sites {
        let function = &got.frames.resolve(&growth.place.frames).next().expect("a frame").function;
        let site = site_number(function);
        let mut change = expected[&site];
        (change.new.missable, change.gone.missable) = missable[&site];
        assert_eq!((change.new.samples, change.gone.samples), (growth.change.new.samples, growth.change.gone.samples));
        for (e, g) in [
            (change.bytes_estimate(ERROR_RATE), growth.growth_bytes()),
            (change.objects_estimate(ERROR_RATE), growth.growth_objects()),
        ] {
            let ends = |e: Estimate| [e.estimate, e.low, e.high];
            assert!(ends(e).iter().zip(ends(g)).all(|(a, b)| close_width(*a, b, e)), "{e:?} {g:?}");
        }
    }
}

/// Subtracting sums leaves rounding errors; they are measured against the size of the numbers involved.
fn close_width(a: f64, b: f64, e: Estimate) -> bool {
    close(a, b) || (a - b).abs() <= 1e-6 * (e.high - e.low).max(e.estimate.abs())
}

/// What each side of each site could have missed: the widest interval of the side (of its whole profile
/// if it has no sample), the smallest block of both.
fn missable(before: &[Block], after: &[Block], intervals: [u64; 2]) -> HashMap<u32, (Missable, Missable)> {
    (0..SITES)
        .map(|site| {
            let sums = |blocks: &[Block]| {
                let mut sums = Sums::default();
                for block in blocks.iter().filter(|b| b.site == site) {
                    if let Some(drawn) = block.drawn {
                        sums.add_sample(block.size, drawn);
                    }
                }
                sums
            };
            let (a, b) = (sums(before), sums(after));
            let side = |own: &Sums, other: &Sums, interval: u64| {
                let both = own.missable.or(other.missable);
                if own.samples > 0 {
                    return Missable { interval_bytes: own.missable.interval_bytes, ..both };
                }
                // Where every block was recorded, their mean size stands for the smallest.
                let mean_bytes = other.bytes_observed / other.samples.max(1);
                match (Missable::unseen(interval).interval_bytes, both.smallest_bytes) {
                    (0, _) => Missable { interval_bytes: 0, ..both },
                    (interval_bytes, 0) => Missable { interval_bytes, smallest_bytes: mean_bytes },
                    (interval_bytes, smallest_bytes) => Missable { interval_bytes, smallest_bytes },
                }
            };
            (site, (side(&b, &a, intervals[1]), side(&a, &b, intervals[0])))
        })
        .collect()
}

#[test]
fn aggregated_growth_equals_growth_by_sample_id() {
    for seed in 0..200 {
        let mut program = Program::new(seed, Interval::from_bytes(512));
        program.snapshot();
        live(&mut program);
        let (before, a) = (program.live.clone(), program.snapshot());
        live(&mut program);
        let (after, b) = (program.live.clone(), program.snapshot());
        let widest = |profile: &Profile| {
            profile.rows.iter().map(|row| row.interval_bytes).fold(profile.settings.interval_bytes, u64::max)
        };
        let intervals = [&a, &b].map(widest);

        let forwards = diff(&a, &b, &DiffOptions::default());
        assert!(!forwards.reversed);
        assert_equal(&by_sample_id(&before, &after), &forwards, &missable(&before, &after, intervals));

        let backwards = diff(&b, &a, &DiffOptions::default());
        assert_eq!(backwards.reversed, b.snapshot.epoch != a.snapshot.epoch);
        let intervals = [intervals[1], intervals[0]];
        assert_equal(&by_sample_id(&after, &before), &backwards, &missable(&after, &before, intervals));
    }
}

#[test]
fn survivors_cancel_however_large_the_site_is() {
    let mut program = Program::new(1, Interval::from_bytes(1 << 16));
    (0..20_000).for_each(|_| program.allocate(0, 4096));
    let a = program.snapshot();
    let b = program.snapshot();
    let nothing = diff(&a, &b, &DiffOptions::default());
    let growth = &nothing.sites[0];
    assert_eq!((growth.growth_bytes().estimate, growth.change.new.samples, growth.change.gone.samples), (0.0, 0, 0));
    // What remains is what could have come and gone unseen: 3.69 intervals each way.
    assert!((growth.growth_bytes().high / 65_536.0 - 3.689).abs() < 0.01, "{:?}", growth.growth_bytes());
    assert!(growth.baseline_bytes().half_width() > 2.0 * growth.growth_bytes().half_width());
}
