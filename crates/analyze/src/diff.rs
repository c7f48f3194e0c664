//! Growth between two profiles, site by site: the numbers of `leakscope diff`.
//!
//! Two snapshots of one session are *paired*: a block that lives through both is the same sample in both. From the
//! aggregated rows alone, with A taken at epoch i: new = B's rows born after i; gone = A's sums less those of B's
//! rows born up to i. That is what pairing by sample would give (`tests/pairing.rs`). Two sessions are *unpaired*:
//! everything in B is new, everything in A gone, and the variances add up.

use std::collections::{BTreeMap, HashMap};

use leakscope_profile::model::{Kind, Profile, Row};

use crate::change::{Change, Direction};
use crate::discovery::discoveries;
use crate::estimate::{ERROR_RATE, Estimate, Missable, Sums};
use crate::frames::FrameTable;
use crate::site::{Grouping, Place, Places, SiteId};

/// What makes a change count.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DiffOptions {
    /// How sites are made.
    pub grouping: Grouping,
    /// Growth that is put up with, bytes.
    pub tolerance_bytes: f64,
}

/// The change from a baseline to a candidate.
#[derive(Debug, Clone)]
pub struct Diff {
    /// The frames that the sites refer to.
    pub frames: FrameTable,
    /// Every site with live memory in either, most growth first.
    pub sites: Vec<Growth>,
    /// Whether both are snapshots of one session.
    pub paired: bool,
    /// Whether the candidate is older than the baseline: a warning is due.
    pub reversed: bool,
    /// From the baseline to the candidate, milliseconds, negative when reversed; `None` unless paired.
    pub elapsed_ms: Option<i64>,
    /// Data that either recording did not get, by name. The counters run on within a session, so for a pair they
    /// are the later profile's.
    pub losses: BTreeMap<String, u64>,
    /// Change of everything together.
    pub growth_bytes: Estimate,
    /// Live bytes of the baseline.
    pub baseline_bytes: Estimate,
    /// Live bytes of the candidate.
    pub candidate_bytes: Estimate,
}

/// The change of one site. Its estimates are made when they are asked for: of 100,000 sites twenty are printed.
#[derive(Debug, Clone)]
pub struct Growth {
    /// Which one; the candidate's, if both have it.
    pub place: Place,
    /// What happened, in a word.
    pub status: Status,
    /// Whether the change is beyond chance, all other sites considered.
    pub significant: bool,
    /// What was live before.
    pub baseline: Sums,
    /// What was live after.
    pub candidate: Sums,
    /// What came and what went: changes of disjoint sites add up.
    pub change: Change,
}

impl Growth {
    /// Change of its live bytes.
    pub fn growth_bytes(&self) -> Estimate {
        self.change.bytes_estimate(ERROR_RATE)
    }

    /// Change of its live objects.
    pub fn growth_objects(&self) -> Estimate {
        self.change.objects_estimate(ERROR_RATE)
    }

    /// Live bytes before.
    pub fn baseline_bytes(&self) -> Estimate {
        self.baseline.bytes_estimate(ERROR_RATE)
    }

    /// Live bytes after.
    pub fn candidate_bytes(&self) -> Estimate {
        self.candidate.bytes_estimate(ERROR_RATE)
    }
}

/// What happened to a site. All but `Same` are said only of significant changes: with sampling, a site of which the
/// baseline holds no sample need not have been absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It grew, and the baseline has no sample of it.
    New,
    /// It grew.
    Grown,
    /// No significant change.
    Same,
    /// It shrank.
    Shrunk,
    /// It shrank, and the candidate has no sample of it.
    Gone,
}

impl Status {
    /// The word used in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::New => "new",
            Status::Grown => "grown",
            Status::Same => "same",
            Status::Shrunk => "shrunk",
            Status::Gone => "gone",
        }
    }
}

/// The sums of one site in both profiles.
#[derive(Debug, Clone, Copy, Default)]
struct Sides {
    baseline: Sums,
    candidate: Sums,
    /// The earlier profile's blocks that are still in the later one.
    survived: Sums,
    /// The later profile's blocks that were born after the earlier one.
    born: Sums,
}

/// How the two profiles belong together.
#[derive(Debug, Clone, Copy)]
struct Pairing {
    paired: bool,
    reversed: bool,
    /// Epoch that the earlier profile closes.
    epoch: u32,
    /// Widest sampling intervals of the baseline and of the candidate, bytes; 0 if unknown.
    intervals: [u64; 2],
}

impl Pairing {
    fn of(a: &Profile, b: &Profile) -> Pairing {
        let (before, after) = (&a.snapshot, &b.snapshot);
        let paired = before.session == after.session && before.session != [0; 16];
        let reversed = if paired { after.epoch < before.epoch } else { after.time_unix_ns < before.time_unix_ns };
        Pairing { paired, reversed, epoch: before.epoch.min(after.epoch), intervals: [a, b].map(widest_interval) }
    }

    /// Whether the later of both profiles is the one at hand.
    fn is_later(&self, candidate: bool) -> bool {
        candidate != self.reversed
    }

    fn add_row(&self, sides: &mut Sides, row: &Row, candidate: bool) {
        let side = if candidate { &mut sides.candidate } else { &mut sides.baseline };
        side.add_row(row);
        if self.paired && self.is_later(candidate) {
            let part = if row.epoch > self.epoch { &mut sides.born } else { &mut sides.survived };
            part.add_row(row);
        }
    }

    /// What came and went.
    fn change(&self, sides: &Sides, kind: Kind) -> Change {
        let missable = |own: &Sums, other: &Sums, interval: u64| match own.samples {
            0 => unseen(other, kind, interval),
            _ => own.missable,
        };
        let baseline = missable(&sides.baseline, &sides.candidate, self.intervals[0]);
        let candidate = missable(&sides.candidate, &sides.baseline, self.intervals[1]);
        let (mut new, mut gone) = match (self.paired, self.reversed) {
            (false, _) => (sides.candidate, sides.baseline),
            (true, false) => (sides.born, sides.baseline.without(&sides.survived)),
            (true, true) => (sides.candidate.without(&sides.survived), sides.born),
        };
        // Both ends could miss blocks of the smallest size seen at either.
        new.missable = Missable { interval_bytes: candidate.interval_bytes, ..candidate.or(baseline) };
        gone.missable = Missable { interval_bytes: baseline.interval_bytes, ..candidate.or(baseline) };
        Change { new, gone }
    }
}

/// What a profile without samples of a site could have missed there: what its own sampling can miss, whatever the
/// other profile recorded. Only malloc is sampled; every mapping and thread is recorded.
fn unseen(other: &Sums, kind: Kind, interval_bytes: u64) -> Missable {
    match (kind, interval_bytes) {
        (Kind::MmapAnon | Kind::MmapFile | Kind::Thread, _) => Missable::default(),
        // Unknown, as in a profile of another tool: supposed to be the other's.
        (Kind::Malloc, 0) => other.missable,
        (Kind::Malloc, interval) => {
            let mean_bytes = other.bytes_observed / other.samples.max(1);
            let smallest_bytes =
                if other.missable.smallest_bytes > 0 { other.missable.smallest_bytes } else { mean_bytes };
            match Missable::unseen(interval) {
                none if none.interval_bytes == 0 => none,
                some => Missable { smallest_bytes, ..some },
            }
        }
    }
}

/// The widest sampling interval of a profile, bytes; 0 if unknown.
fn widest_interval(profile: &Profile) -> u64 {
    let malloc = profile.rows.iter().filter(|row| row.kind == Kind::Malloc);
    malloc.map(|row| row.interval_bytes).fold(profile.settings.interval_bytes, u64::max)
}

impl Sides {
    fn add(&mut self, other: &Sides) {
        self.baseline.add(&other.baseline);
        self.candidate.add(&other.candidate);
        self.survived.add(&other.survived);
        self.born.add(&other.born);
    }
}

/// The change from `a`, the baseline, to `b`, the candidate.
pub fn diff(a: &Profile, b: &Profile, options: &DiffOptions) -> Diff {
    let pairing = Pairing::of(a, b);
    let mut places = Places::new(&options.grouping);
    let mut sides: Vec<Sides> = Vec::new();
    for (profile, candidate) in [(a, false), (b, true)] {
        let mut stacks = places.of_profile(profile);
        for row in profile.rows.iter().filter(|row| row.samples > 0) {
            let at = stacks.place(&mut places, row.stack, row.kind);
            if sides.len() <= at {
                sides.resize(at + 1, Sides::default());
            }
            pairing.add_row(&mut sides[at], row, candidate);
        }
    }
    let mut total = Sides::default();
    sides.iter().for_each(|s| total.add(s));
    let total_change = pairing.change(&total, Kind::Malloc);
    let mut matched: Vec<(Place, Sides)> = places.places.into_iter().zip(sides).collect();
    if !pairing.paired {
        matched = match_by_key(matched);
    }
    let elapsed = b.snapshot.uptime_ms as i64 - a.snapshot.uptime_ms as i64;
    Diff {
        frames: places.table,
        sites: growths(matched, &pairing, options.tolerance_bytes),
        paired: pairing.paired,
        reversed: pairing.reversed,
        elapsed_ms: pairing.paired.then_some(elapsed),
        losses: losses(a, b, &pairing),
        growth_bytes: total_change.bytes_estimate(ERROR_RATE),
        baseline_bytes: total.baseline.bytes_estimate(ERROR_RATE),
        candidate_bytes: total.candidate.bytes_estimate(ERROR_RATE),
    }
}

fn losses(a: &Profile, b: &Profile, pairing: &Pairing) -> BTreeMap<String, u64> {
    let mut losses = if pairing.paired && pairing.reversed { a.losses.clone() } else { b.losses.clone() };
    if !pairing.paired {
        for (name, count) in &a.losses {
            let sum = losses.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
    losses
}

/// Puts sites of two builds together whose lines have moved: those of one key, if not one of them was found in both
/// profiles by its id. Where one was, lines have not moved there, and the others are different places.
fn match_by_key(sites: Vec<(Place, Sides)>) -> Vec<(Place, Sides)> {
    #[derive(Default)]
    struct Seen {
        in_both: bool,
        in_baseline: bool,
        in_candidate: bool,
    }
    let mut seen: HashMap<SiteId, Seen> = HashMap::new();
    for (place, sides) in &sites {
        let (before, after) = (sides.baseline.samples > 0, sides.candidate.samples > 0);
        let seen = seen.entry(place.key).or_default();
        seen.in_both |= before && after;
        seen.in_baseline |= before;
        seen.in_candidate |= after;
    }
    let mut matched: Vec<(Place, Sides)> = Vec::new();
    let mut moved: HashMap<SiteId, usize> = HashMap::new();
    for (place, sides) in sites {
        let seen = &seen[&place.key];
        if seen.in_both || !seen.in_baseline || !seen.in_candidate {
            matched.push((place, sides));
            continue;
        }
        match moved.get(&place.key) {
            None => {
                moved.insert(place.key, matched.len());
                matched.push((place, sides));
            }
            Some(at) => {
                let (shown, sum) = &mut matched[*at];
                if sum.candidate.samples == 0 && sides.candidate.samples > 0 {
                    *shown = place;
                }
                sum.add(&sides);
            }
        }
    }
    matched
}

fn growths(sites: Vec<(Place, Sides)>, pairing: &Pairing, tolerance_bytes: f64) -> Vec<Growth> {
    let changes: Vec<Change> = sites.iter().map(|(place, sides)| pairing.change(sides, place.kind)).collect();
    let directions = discoveries(&changes, ERROR_RATE, tolerance_bytes);
    let mut growths: Vec<Growth> = sites
        .into_iter()
        .zip(changes)
        .zip(directions)
        .map(|(((place, sides), change), direction)| growth(place, &sides, change, direction))
        .collect();
    let bytes = |growth: &Growth| growth.change.new.bytes - growth.change.gone.bytes;
    growths.sort_by(|a, b| bytes(b).total_cmp(&bytes(a)).then_with(|| a.place.id.cmp(&b.place.id)));
    growths
}

fn growth(place: Place, sides: &Sides, change: Change, direction: Option<Direction>) -> Growth {
    let status = match direction {
        Some(Direction::Up) if sides.baseline.samples == 0 => Status::New,
        Some(Direction::Up) => Status::Grown,
        Some(Direction::Down) if sides.candidate.samples == 0 => Status::Gone,
        Some(Direction::Down) => Status::Shrunk,
        None => Status::Same,
    };
    Growth {
        place,
        status,
        significant: direction.is_some(),
        baseline: Sums { missable: change.gone.missable, ..sides.baseline },
        candidate: Sums { missable: change.new.missable, ..sides.candidate },
        change,
    }
}
