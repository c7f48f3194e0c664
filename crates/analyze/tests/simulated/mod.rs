//! A simulated recording: places whose memory comes and goes by a known law, sampled, and snapshots of it.
//!
//! Blocks are sampled one by one with their own probability, which is what the counters of the target come to. Those
//! that are not sampled are only counted where a law needs it.
#![allow(dead_code)] // each test binary uses a part of it

#[path = "../program/mod.rs"]
mod program;

pub mod gate;

use leakscope_analyze::{Analysis, AnalysisOptions, SeriesBuilder, Suspect, VerdictId, judge};
use leakscope_profile::model::{Memory, Profile, Row, Settings, Snapshot, StackId, Totals};
use leakscope_profile::timeline::Timeline;
use leakscope_sampling::{Interval, Rng, Scaled, inclusion_probability};
use std::collections::BTreeMap;

/// How the memory of a place comes and goes. Times are parts of the recording's length, rates are blocks in all of it.
#[derive(Debug, Clone, Copy)]
pub enum Law {
    /// Blocks that stay: so many, at random moments or evenly.
    Leak { blocks: f64, evenly: bool },
    /// So many blocks that stay, at random moments of this part.
    Within { blocks: f64, from: f64, until: f64 },
    /// Blocks that live for a while: in balance from the start, so many at a time.
    Churn { live: f64, lifetime: f64 },
    /// A cache that takes so many blocks, and then replaces a random one for each that comes.
    Cache { capacity: usize, blocks: f64 },
    /// Grows evenly and falls to nothing, with this period.
    Sawtooth { most: f64, period: f64, by_gc: bool },
    /// A random walk between none and so many.
    Walk { most: i64, steps: f64 },
    /// So many equal jumps, evenly.
    Stairs { steps: usize, blocks: usize },
}

/// One place.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub law: Law,
    pub size: u64,
}

/// When snapshots are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Evenly.
    Even,
    /// More often at first, as `leakscope run` takes them.
    AsItAges,
}

/// A recording to be.
#[derive(Debug, Clone)]
pub struct Recording {
    pub places: Vec<Place>,
    /// Its length, in times of `between_ms`.
    pub snapshots: usize,
    pub between_ms: u64,
    pub pace: Pace,
    pub interval: Interval,
}

struct Block {
    epoch: u32,
    born_ms: u64,
    /// When it goes, as a part of the recording; what frees it.
    dies: f64,
    by_gc: bool,
    is_sampled: bool,
}

/// A place while it runs.
struct Running {
    place: Place,
    blocks: Vec<Block>,
    totals: Totals,
    probability: f64,
    /// Whole blocks owed by laws that come evenly.
    owed: f64,
    walk: i64,
    done: usize,
}

impl Recording {
    /// Runs it, and analyses its snapshots.
    pub fn analyse(&self, seed: u64) -> Analysis {
        self.analyse_with(&Timeline::default(), seed)
    }

    /// As [`Self::analyse`], beside a timeline.
    pub fn analyse_with(&self, timeline: &Timeline, seed: u64) -> Analysis {
        let mut series = SeriesBuilder::default();
        let mut newest = None;
        self.run(seed, |profile| {
            assert!(series.add(&profile));
            newest = Some(profile);
        });
        judge(series, newest.as_ref(), timeline, &AnalysisOptions::default())
    }

    fn run(&self, seed: u64, mut take: impl FnMut(Profile)) {
        let mut rng = Rng::seeded(seed);
        let mut places: Vec<Running> = self.places.iter().map(|place| self.start(*place, &mut rng)).collect();
        let mut from_ms = 0;
        for (epoch, to_ms) in (0..).zip(self.moments()) {
            let part = |ms: u64| ms as f64 / self.length_ms();
            for place in &mut places {
                place.advance(part(from_ms), part(to_ms), epoch, self, &mut rng);
            }
            take(self.snapshot(&places, epoch, to_ms));
            from_ms = to_ms;
        }
    }

    /// When snapshots are taken, milliseconds.
    fn moments(&self) -> Vec<u64> {
        let length_ms = self.length_ms() as u64;
        let pause = |age_ms: u64| match self.pace {
            Pace::Even => self.between_ms,
            Pace::AsItAges => self.between_ms.min((age_ms / 8).max(5000)),
        };
        std::iter::successors(Some(pause(0)), |age| Some(age + pause(*age)))
            .take_while(|age| *age <= length_ms)
            .collect()
    }

    fn start(&self, place: Place, rng: &mut Rng) -> Running {
        let probability = inclusion_probability(place.size, self.interval);
        let mut running =
            Running { place, blocks: Vec::new(), totals: Totals::default(), probability, owed: 0.0, walk: 0, done: 0 };
        match place.law {
            Law::Churn { live, lifetime } => {
                for _ in 0..poisson(live, rng) {
                    let dies = -lifetime * rng.next_unit().ln();
                    running.allocate(0.0, 0, dies, false, self, rng);
                }
            }
            Law::Walk { most, .. } => {
                running.walk = most / 2;
                (0..most / 2).for_each(|_| running.allocate(0.0, 0, f64::INFINITY, false, self, rng));
            }
            _ => {}
        }
        running
    }

    fn length_ms(&self) -> f64 {
        (self.snapshots as u64 * self.between_ms) as f64
    }

    fn snapshot(&self, places: &[Running], epoch: u32, uptime_ms: u64) -> Profile {
        let mut profile = program::code(places.len() as u32);
        for (stack, place) in places.iter().enumerate() {
            let mut rows: BTreeMap<u32, Row> = BTreeMap::new();
            for block in place.blocks.iter().filter(|block| block.is_sampled) {
                let row = rows.entry(block.epoch).or_insert_with(|| Row {
                    stack: StackId(stack as u32),
                    oldest_ms: u64::MAX,
                    ..program::empty_row(0, block.epoch, self.interval)
                });
                program::add(row, place.place.size, self.interval);
                row.oldest_ms = row.oldest_ms.min(block.born_ms);
            }
            profile.rows.extend(rows.into_values());
            profile.stacks[stack].totals = place.totals;
        }
        profile.snapshot = Snapshot {
            session: [7; 16],
            index: epoch,
            epoch,
            time_unix_ns: uptime_ms as i64 * 1_000_000,
            uptime_ms,
            ..Snapshot::default()
        };
        profile.settings = Settings { interval_bytes: self.interval.bytes(), ..Settings::default() };
        profile.memory = Memory { rss_bytes: 200 << 20, ..Memory::default() };
        profile
    }
}

impl Running {
    fn allocate(&mut self, at: f64, epoch: u32, dies: f64, by_gc: bool, recording: &Recording, rng: &mut Rng) {
        let is_sampled = rng.next_unit() <= self.probability;
        if is_sampled {
            let scaled = Scaled::sample(self.place.size, recording.interval);
            self.totals.samples += 1;
            self.totals.bytes += scaled.bytes;
            self.totals.bytes_variance += scaled.bytes_variance;
            self.totals.bytes_observed += self.place.size;
            self.totals.objects += scaled.objects;
        }
        // Unsampled blocks matter only where they take room.
        if is_sampled || matches!(self.place.law, Law::Cache { .. } | Law::Walk { .. }) {
            let born_ms = (at * recording.length_ms()) as u64;
            self.blocks.push(Block { epoch, born_ms, dies, by_gc, is_sampled });
        }
    }

    fn free(&mut self, at: usize) {
        let block = self.blocks.swap_remove(at);
        if block.is_sampled {
            match block.by_gc {
                true => self.totals.frees_gc += 1,
                false => self.totals.frees_app += 1,
            }
        }
    }

    fn advance(&mut self, from: f64, to: f64, epoch: u32, recording: &Recording, rng: &mut Rng) {
        let length = to - from;
        let moment = |rng: &mut Rng| from + length * (1.0 - rng.next_unit());
        match self.place.law {
            Law::Leak { blocks, evenly } => {
                let count = if evenly { self.whole(blocks * length) } else { poisson(blocks * length, rng) };
                (0..count).for_each(|_| self.allocate(moment(rng), epoch, f64::INFINITY, false, recording, rng));
            }
            Law::Within { blocks, from: begins, until } => {
                let part = (to.min(until) - from.max(begins)).max(0.0) / (until - begins);
                (0..poisson(blocks * part, rng))
                    .for_each(|_| self.allocate(moment(rng), epoch, f64::INFINITY, false, recording, rng));
            }
            Law::Churn { live, lifetime } => {
                for _ in 0..poisson(live * length / lifetime, rng) {
                    let at = moment(rng);
                    let dies = at - lifetime * rng.next_unit().ln();
                    self.allocate(at, epoch, dies, false, recording, rng);
                }
            }
            Law::Cache { capacity, blocks } => {
                for _ in 0..poisson(blocks * length, rng) {
                    if self.blocks.len() >= capacity {
                        let at = (rng.next_u64() % self.blocks.len() as u64) as usize;
                        self.free(at);
                    }
                    self.allocate(moment(rng), epoch, f64::INFINITY, false, recording, rng);
                }
            }
            Law::Sawtooth { most, period, by_gc } => {
                for _ in 0..poisson(most * length / period, rng) {
                    let at = moment(rng);
                    let dies = ((at / period).floor() + 1.0) * period;
                    self.allocate(at, epoch, dies, by_gc, recording, rng);
                }
            }
            Law::Walk { most, steps } => {
                for _ in 0..poisson(steps * length, rng) {
                    let up = rng.next_u64().is_multiple_of(2);
                    if up && self.walk < most {
                        self.walk += 1;
                        self.allocate(moment(rng), epoch, f64::INFINITY, false, recording, rng);
                    } else if !up && self.walk > 0 {
                        self.walk -= 1;
                        let at = (rng.next_u64() % self.blocks.len() as u64) as usize;
                        self.free(at);
                    }
                }
            }
            Law::Stairs { steps, blocks } => {
                while self.done < steps && (self.done as f64 + 0.5) / steps as f64 <= to {
                    self.done += 1;
                    (0..blocks).for_each(|_| self.allocate(moment(rng), epoch, f64::INFINITY, false, recording, rng));
                }
            }
        }
        for at in (0..self.blocks.len()).rev() {
            if self.blocks[at].dies <= to {
                self.free(at);
            }
        }
    }

    fn whole(&mut self, blocks: f64) -> usize {
        self.owed += blocks;
        let whole = self.owed.floor();
        self.owed -= whole;
        whole as usize
    }
}

/// The suspect that holds a place.
pub fn suspect(analysis: &Analysis, place: usize) -> Option<&Suspect> {
    let name = format!("com.acme.Site{place}.run");
    analysis.suspects.iter().find(|s| analysis.frames.resolve(&s.place.frames).any(|f| f.function == name))
}

/// When what the primary verdict accuses began, if that was late.
pub fn began_ms(analysis: &Analysis) -> Option<u64> {
    analysis.verdicts.first()?.began_ms()
}

/// What must not be said of a program that is clean.
pub fn alarms(analysis: &Analysis) -> Vec<VerdictId> {
    let is_alarm = |id: &VerdictId| matches!(id, VerdictId::Leak | VerdictId::GcBound | VerdictId::Staircase);
    analysis.verdicts.iter().map(|verdict| verdict.id).filter(is_alarm).collect()
}

/// A Poisson number; by halves where the mean is large.
pub fn poisson(mean: f64, rng: &mut Rng) -> usize {
    if mean > 30.0 {
        return poisson(mean / 2.0, rng) + poisson(mean - mean / 2.0, rng);
    }
    let (mut product, mut count) = (rng.next_unit(), 0);
    while product > (-mean).exp() {
        product *= rng.next_unit();
        count += 1;
    }
    count
}

/// A number between two, on a logarithmic scale.
pub fn between(rng: &mut Rng, low: f64, high: f64) -> f64 {
    low * (high / low).powf(rng.next_unit())
}

/// One of several.
pub fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[(rng.next_u64() % of.len() as u64) as usize]
}

/// Outcome of one simulated leak.
#[derive(Debug, Clone, Copy)]
pub struct LeakRun {
    pub pace: Pace,
    /// Bytes per hour.
    pub truth: f64,
    pub covered: bool,
    /// LEAK, GC-BOUND or STAIRCASE was said of it.
    pub found: bool,
    /// It was said to have begun late.
    pub began_late: bool,
    /// Samples expected of it in the recording.
    pub samples: f64,
    pub snapshots: usize,
    pub width: f64,
}

const HOUR_MS: f64 = 3_600_000.0;

/// A leak of random size, strength and sampling, alone or under churn at the same place.
pub fn leak_run(seed: u64) -> LeakRun {
    let mut rng = Rng::seeded(seed);
    let size = pick(&mut rng, &[64u64, 1024, 16 << 10, 268 << 10, 1 << 20]);
    let interval = pick(&mut rng, &[Interval::from_bytes(16 << 10), Interval::from_bytes(64 << 10), Interval::DEFAULT]);
    let snapshots = between(&mut rng, shortest(seed, 5.0), 240.0).round() as usize;
    let samples = between(&mut rng, 10.0, 400.0);
    let probability = inclusion_probability(size, interval);
    let blocks = samples / probability;
    let evenly = rng.next_u64().is_multiple_of(2);
    let mut places = vec![Place { law: Law::Leak { blocks, evenly }, size }];
    let churn = pick(&mut rng, &[0.0, 0.2, 1.0, 4.0]);
    let lifetime = between(&mut rng, 0.001, 0.05).max(churn * blocks / 50_000.0).min(0.05);
    // Blocks that are not sampled cost time and change nothing.
    if churn > 0.0 && churn * blocks / lifetime < 200_000.0 {
        places.push(Place { law: Law::Churn { live: churn * blocks, lifetime }, size });
    }
    let recording = Recording { places, snapshots, between_ms: 60_000, pace: pace(seed), interval };
    let analysis = recording.analyse_together(seed);
    let truth = blocks * size as f64 / (recording.length_ms() / HOUR_MS);
    let suspect = suspect(&analysis, 0).expect("something was sampled");
    let rate = suspect.trend.map(|trend| trend.rate).unwrap_or_default();
    LeakRun {
        pace: recording.pace,
        truth,
        covered: suspect.trend.is_some() && rate.low <= truth && truth <= rate.high,
        found: !alarms(&analysis).is_empty(),
        began_late: began_ms(&analysis).is_some(),
        samples,
        snapshots: recording.moments().len(),
        width: rate.half_width() / truth,
    }
}

impl Recording {
    /// As [`Recording::analyse`], with all places at one stack.
    pub fn analyse_together(&self, seed: u64) -> Analysis {
        let mut series = SeriesBuilder::default();
        let mut newest = None;
        self.run(seed, |mut profile| {
            let mut totals = Totals::default();
            profile.stacks.iter().for_each(|stack| totals.add(&stack.totals));
            profile.stacks[0].totals = totals;
            profile.stacks[1..].iter_mut().for_each(|stack| stack.totals = Totals::default());
            profile.rows.iter_mut().for_each(|row| row.stack = StackId(0));
            assert!(series.add(&profile));
            newest = Some(profile);
        });
        judge(series, newest.as_ref(), &Timeline::default(), &AnalysisOptions::default())
    }
}

/// Of two runs one is taken evenly.
fn pace(seed: u64) -> Pace {
    if seed.is_multiple_of(2) { Pace::Even } else { Pace::AsItAges }
}

/// The shortest recording: a minute where that has snapshots enough.
fn shortest(seed: u64, even: f64) -> f64 {
    match pace(seed) {
        Pace::Even => even,
        Pace::AsItAges => 1.0,
    }
}

/// A clean program of many places.
pub fn clean_run(seed: u64) -> (Recording, Analysis) {
    let mut rng = Rng::seeded(seed ^ 0xC1EA);
    let interval = pick(&mut rng, &[Interval::EXACT, Interval::from_bytes(64 << 10), Interval::DEFAULT]);
    let snapshots = between(&mut rng, shortest(seed, 8.0), 120.0).round() as usize;
    let places = (0..pick(&mut rng, &[5, 20, 60])).map(|_| clean_place(&mut rng, interval)).collect();
    let recording = Recording { places, snapshots, between_ms: 60_000, pace: pace(seed), interval };
    let analysis = recording.analyse(seed);
    (recording, analysis)
}

fn clean_place(rng: &mut Rng, interval: Interval) -> Place {
    let size = pick(rng, &[256u64, 4 << 10, 64 << 10]);
    let probability = inclusion_probability(size, interval);
    // Between 3 and 100 samples of it are live.
    let live = between(rng, 3.0, 100.0) / probability.max(1e-6);
    let live = live.min(1500.0);
    let law = match rng.next_u64() % 6 {
        0 => Law::Churn { live, lifetime: between(rng, 0.002, 0.2).max(live / 20_000.0) },
        1 => Law::Cache { capacity: live.max(1.0) as usize, blocks: live * between(rng, 2.0, 20.0) },
        2 => Law::Sawtooth { most: live, period: between(rng, 0.03, 0.3), by_gc: false },
        3 => Law::Within { blocks: live, from: 0.0, until: between(rng, 0.01, 0.15) },
        4 => Law::Walk { most: live.max(2.0) as i64, steps: live * between(rng, 1.0, 30.0) },
        _ => Law::Churn { live, lifetime: (live / 20_000.0).max(0.005) },
    };
    Place { law, size }
}
