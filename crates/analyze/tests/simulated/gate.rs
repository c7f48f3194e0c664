//! A gate over simulated rounds of an invented JVM: classes that are loaded late, pools, caches that fill, buffers that come
//! and go; with and without a leak.

use super::{Law, Pace, Place, Recording, Running, between, pick};
use leakscope_analyze::gate::{Gate, GateOptions, Outcome, Per, Round, RoundBuilder, judge_gate};
use leakscope_sampling::{Interval, Rng};

/// Checkpoints that are judged, and those of the warm-up before.
const CHECKPOINTS: usize = 11;
const WARM_UP: usize = 4;
/// Iterations between two.
const ITERATIONS: f64 = 20.0;

/// How a program is run under a gate.
#[derive(Debug, Clone, Copy)]
pub struct How {
    pub rounds: usize,
    pub interval: Interval,
}

impl How {
    /// So many rounds, every block recorded.
    pub fn exact(rounds: usize) -> How {
        How { rounds, interval: Interval::EXACT }
    }
}

/// A program of this seed, the same however often it runs.
pub fn program(seed: u64) -> Vec<Place> {
    let mut rng = Rng::seeded(seed ^ 0x6A7E);
    (0..pick(&mut rng, &[8, 20, 40])).map(|_| place(&mut rng)).collect()
}

fn place(rng: &mut Rng) -> Place {
    let size = pick(rng, &[48u64, 256, 4 << 10]);
    let live = between(rng, 3.0, 300.0);
    let law = match rng.next_u64() % 10 {
        // Blocks of requests that are under way: they live for less than an iteration.
        0 | 1 => Law::Churn { live: live.min(8.0), lifetime: 0.005 },
        // One that is full before the middle: what fills all the time is no clean program.
        2 => Law::Cache { capacity: live as usize + 1, blocks: live * between(rng, 2.5, 40.0) },
        3 => Law::Within { blocks: live, from: 0.0, until: between(rng, 0.02, 0.4) },
        // A class or a thread, once.
        4..=7 => Law::Stairs { steps: 1, blocks: live as usize },
        8 => Law::Sawtooth { most: live.min(50.0), period: between(rng, 0.01, 0.15), by_gc: false },
        _ => Law::Walk { most: 8, steps: 40.0 },
    };
    Place { law, size }
}

/// Judges runs of a program, a round each; the last place is a leak of so many bytes an iteration, if there is one.
pub fn judged(program: &[Place], leak: Option<(f64, bool)>, how: How, seed: u64) -> Gate {
    let mut places = program.to_vec();
    if let Some((bytes, evenly)) = leak {
        // Blocks of 64 bytes up to 4 KiB, so that there are some in every iteration and not too many.
        let size = ((bytes / 4.0) as u64).clamp(16, 4 << 10);
        let blocks = bytes * ITERATIONS * (CHECKPOINTS + WARM_UP) as f64 / size as f64;
        places.push(Place { law: Law::Leak { blocks, evenly }, size });
    }
    let rounds: Vec<Round> =
        (0..how.rounds).map(|round| run(&places, how.interval, seed ^ (round as u64 + 1) << 32)).collect();
    judge_gate(&rounds, &GateOptions::new(Per::Iteration, 0))
}

fn run(places: &[Place], interval: Interval, seed: u64) -> Round {
    let recording = Recording {
        places: places.to_vec(),
        snapshots: CHECKPOINTS + WARM_UP,
        between_ms: 1000,
        pace: Pace::Even,
        interval,
    };
    let mut rng = Rng::seeded(seed);
    let mut running: Vec<Running> = places.iter().map(|place| recording.start(*place, &mut rng)).collect();
    let mut builder = RoundBuilder::default();
    let mut before = 0.0;
    for at in 0..recording.snapshots {
        // Not evenly, as `check` has it: what comes and goes with a period must not look like growth.
        let uneven = if at + 1 < recording.snapshots { 0.6 * (rng.next_unit() - 0.5) } else { 0.0 };
        let now = (at as f64 + 1.0 + uneven) / recording.snapshots as f64;
        running.iter_mut().for_each(|place| place.advance(before, now, at as u32, &recording, &mut rng));
        before = now;
        if at >= WARM_UP {
            let iterations = now * recording.snapshots as f64 * ITERATIONS;
            assert!(
                builder
                    .add(&recording.snapshot(&running, at as u32, (at as u64 + 1) * recording.between_ms), iterations)
            );
        }
    }
    builder.finish(None, &[])
}

/// Whether the gate fails, and names the leak alone.
pub fn names_the_leak(gate: &Gate, place: usize) -> bool {
    let name = format!("com.acme.Site{place}.run");
    let leaks: Vec<_> = gate.leaks().collect();
    let is_it = |id| gate.frames.resolve(id).any(|frame| frame.function == name);
    gate.outcome == Outcome::Fail && leaks.len() == 1 && is_it(&leaks[0].place.frames)
}
