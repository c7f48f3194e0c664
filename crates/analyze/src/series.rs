//! Many snapshots of one session, one after the other: what came and went at each stack between them.
//!
//! Snapshots are given oldest first and are not kept; what stays is, for each stack and kind, its live bytes and its
//! paired increments:
//!
//! ```text
//! new at k    rows of snapshot k born after the epoch that snapshot k-1 closed
//! gone at k   what was live at k-1, less the rows of k born up to that epoch       (see diff.rs)
//! ```
//!
//! Snapshots in between may be missing (recordings are thinned): increments then span them.

use leakscope_profile::JvmsOwnRows;
use leakscope_profile::model::{Exit, Kind, Memory, Profile, Totals};

use crate::analysis::Instant;
use crate::estimate::{Missable, Sums};
use crate::raw_stacks::{RawStackId, RawStacks};

/// What is known of the snapshots of one session; see the head of this file.
#[derive(Debug, Clone, Default)]
pub struct SeriesBuilder {
    pub(crate) stacks: RawStacks,
    pub(crate) tracks: Vec<Track>,
    /// By stack and place in [`KINDS`], the track.
    by_stack: Vec<[Option<u32>; KINDS.len()]>,
    pub(crate) snapshots: Vec<SnapshotFacts>,
    session: Option<[u8; 16]>,
    /// Stacks of the newest profile, in its order.
    pub(crate) newest: Vec<RawStackId>,
}

/// What a snapshot says besides its rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct SnapshotFacts {
    pub instant: Instant,
    /// Epoch that it closed.
    pub epoch: u32,
    pub exit: Option<Exit>,
    pub memory: Memory,
    pub is_jvm: bool,
    /// Frees that bypassed the recording, since its start.
    pub missed_frees: u64,
    /// Mean bytes between samples.
    pub interval_bytes: u64,
}

/// One stack and kind through all snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    pub stack: RawStackId,
    pub kind: Kind,
    /// Where something changed, in order.
    pub changes: Vec<TrackChange>,
    /// What is live now, and what was in the snapshot before.
    pub live: [Sums; 2],
    /// By birth, newest snapshot and the one before.
    pub cohorts: [Vec<Cohort>; 2],
    /// Ever allocated and freed, newest snapshot and the one before; with the first of a stack's kinds.
    pub totals: [Totals; 2],
    /// What the snapshot that is being added has of it.
    gathered: Gathered,
}

/// What came and went between two snapshots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrackChange {
    /// Index of the later snapshot.
    pub snapshot: u32,
    pub new: Flow,
    pub gone: Flow,
    /// What is live at it.
    pub live: Flow,
}

/// The sums of a set of blocks, as far as trends need them: there is one for each site and snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Flow {
    pub samples: u32,
    pub bytes: f64,
    pub variance: f64,
    pub observed: u64,
}

impl Flow {
    pub(crate) fn of(sums: &Sums) -> Flow {
        Flow {
            samples: u32::try_from(sums.samples).unwrap_or(u32::MAX),
            bytes: sums.bytes,
            variance: sums.bytes_variance,
            observed: sums.bytes_observed,
        }
    }

    pub(crate) fn add(&mut self, other: &Flow) {
        self.samples = self.samples.saturating_add(other.samples);
        self.bytes += other.bytes;
        self.variance += other.variance;
        self.observed = self.observed.saturating_add(other.observed);
    }

    /// The same as sums of bytes; objects are not known.
    pub(crate) fn sums(&self, missable: Missable) -> Sums {
        Sums {
            samples: u64::from(self.samples),
            bytes: self.bytes,
            bytes_variance: self.variance,
            bytes_observed: self.observed,
            missable,
            ..Sums::default()
        }
    }
}

/// Live blocks that were born in one epoch; one epoch may have several of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cohort {
    pub epoch: u32,
    pub live: Flow,
    /// Birth of the oldest.
    pub oldest_ms: u64,
}

/// The rows of one snapshot at one track.
#[derive(Debug, Clone, Default)]
struct Gathered {
    live: Sums,
    born: Sums,
    survived: Sums,
    cohorts: Vec<Cohort>,
    totals: Totals,
}

/// Every kind of memory.
const KINDS: [Kind; 4] = [Kind::Malloc, Kind::MmapAnon, Kind::MmapFile, Kind::Thread];

/// Newest, in the pairs of a [`Track`].
pub(crate) const NEWEST: usize = 0;
/// The one before.
pub(crate) const BEFORE: usize = 1;

impl SeriesBuilder {
    /// Adds the next snapshot. Answers whether it belongs here: to the session of the others, and after them.
    pub fn add(&mut self, profile: &Profile) -> bool {
        let session = profile.snapshot.session;
        let is_later = self.snapshots.last().is_none_or(|last| profile.snapshot.epoch > last.epoch);
        if session == [0; 16] || *self.session.get_or_insert(session) != session || !is_later {
            return false;
        }
        let stacks = self.stacks.add(profile);
        self.by_stack.resize(self.stacks.count(), [None; KINDS.len()]);
        self.add_rows(profile, &stacks);
        self.add_totals(profile, &stacks);
        let at = self.snapshots.len() as u32;
        self.tracks.iter_mut().for_each(|track| track.advance(at));
        self.snapshots.push(facts(profile));
        self.newest = stacks;
        true
    }

    /// How many snapshots there are.
    pub fn snapshots(&self) -> usize {
        self.snapshots.len()
    }

    fn add_rows(&mut self, profile: &Profile, stacks: &[RawStackId]) {
        let own = JvmsOwnRows::of(profile);
        let before = self.snapshots.last().map(|last| last.epoch);
        for row in profile.rows.iter().filter(|row| row.samples > 0 && !own.contains(profile, row)) {
            let Some(stack) = stacks.get(row.stack.0 as usize) else { continue };
            let sums = &mut self.track(*stack, row.kind).gathered;
            let mut one = Sums::default();
            one.add_row(row);
            sums.live.add(&one);
            match before {
                Some(epoch) if row.epoch > epoch => sums.born.add(&one),
                Some(_) => sums.survived.add(&one),
                None => {}
            }
            sums.cohorts.push(Cohort { epoch: row.epoch, live: Flow::of(&one), oldest_ms: row.oldest_ms });
        }
    }

    /// Totals do not say of which kind they were: they count for the first kind of the stack that is known.
    fn add_totals(&mut self, profile: &Profile, stacks: &[RawStackId]) {
        for (stack, id) in profile.stacks.iter().zip(stacks) {
            if stack.totals.samples == 0 {
                continue;
            }
            // Nothing of it was ever live in a snapshot: nothing that could grow.
            let Some(track) = self.by_stack[id.0 as usize].iter().flatten().next() else { continue };
            self.tracks[*track as usize].gathered.totals = stack.totals;
        }
    }

    fn track(&mut self, stack: RawStackId, kind: Kind) -> &mut Track {
        let place = KINDS.iter().position(|known| *known == kind).unwrap_or_default();
        let known = &mut self.by_stack[stack.0 as usize][place];
        let at = *known.get_or_insert_with(|| {
            self.tracks.push(Track::new(stack, kind));
            self.tracks.len() as u32 - 1
        });
        &mut self.tracks[at as usize]
    }
}

impl Track {
    fn new(stack: RawStackId, kind: Kind) -> Track {
        Track {
            stack,
            kind,
            changes: Vec::new(),
            live: Default::default(),
            cohorts: Default::default(),
            totals: Default::default(),
            gathered: Gathered::default(),
        }
    }

    fn advance(&mut self, snapshot: u32) {
        let now = std::mem::take(&mut self.gathered);
        let gone = self.live[NEWEST].without(&now.survived);
        let new = if snapshot == 0 { Sums::default() } else { now.born };
        let is_first = snapshot == 0 && now.live.samples > 0;
        if is_first || new.samples > 0 || gone.samples > 0 {
            let [new, gone, live] = [&new, &gone, &now.live].map(Flow::of);
            if self.changes.len() == self.changes.capacity() {
                // They are most of what a long recording takes here: by a quarter, not to the double.
                self.changes.reserve_exact(self.changes.len() / 4 + 4);
            }
            self.changes.push(TrackChange { snapshot, new, gone, live });
        }
        self.live = [now.live, self.live[NEWEST]];
        // Of three lists one is always empty: it keeps its room for the next snapshot.
        let newest = std::mem::replace(&mut self.cohorts[NEWEST], now.cohorts);
        self.gathered.cohorts = std::mem::replace(&mut self.cohorts[BEFORE], newest);
        self.gathered.cohorts.clear();
        self.totals = [now.totals, self.totals[NEWEST]];
    }
}

fn facts(profile: &Profile) -> SnapshotFacts {
    let snapshot = &profile.snapshot;
    SnapshotFacts {
        instant: Instant { index: snapshot.index, uptime_ms: snapshot.uptime_ms, time_unix_ns: snapshot.time_unix_ns },
        epoch: snapshot.epoch,
        exit: profile.target.exit,
        memory: profile.memory,
        is_jvm: !profile.target.jvm.is_empty()
            || profile.modules.iter().any(|module| module.path.ends_with("/libjvm.so")),
        missed_frees: profile.losses.get("missed_frees").copied().unwrap_or(0),
        interval_bytes: profile.settings.interval_bytes,
    }
}
