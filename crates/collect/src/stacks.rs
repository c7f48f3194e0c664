//! Stacks of the depot, read into lists of frame numbers.
//!
//! Frames are numbered as they are met, so a stack costs four bytes for each frame; what the numbers stand for is
//! looked up once for each, later, in batches.
//!
//! A service that churns fills the depot over the days: 131,072 stacks, most of which allocated a few blocks long ago.
//! Writing them all at each snapshot would take hundreds of MiB beside the target and more disk than the budget. So of
//! the stacks without anything live (and of those with, where there are tens of thousands) only those that allocated
//! most are kept apart; the others are added up under `[other stacks]`, which keeps all sums right, and counted.

use crate::shared::SharedSession;
use leakscope_profile::Totals;
use leakscope_session::depot::{Counter, FULL_STACK};
use leakscope_session::frame::{FrameWord, Marker};
use std::collections::{HashMap, HashSet};
use std::ops::{Range, RangeInclusive};

/// Stacks looked at: what exact mode has room for.
const MOST_STACKS: u32 = 1 << 20;
/// Stacks kept apart: a profile of so many, 48 frames deep, takes the collector about 64 MiB to make (measured).
const MOST_KEPT: usize = 20 << 10;
/// Of these, stacks of which nothing is live: at most so many, and at least so many where they exist.
const IDLE: RangeInclusive<usize> = (1 << 12)..=(1 << 14);
/// Frames of all stacks together: a bound for hostile sessions.
const MOST_FRAMES: usize = 1 << 25;
/// Stacks read before pages are given back.
const CHUNK: usize = 4096;

/// A stack of the depot.
pub(crate) struct DepotStack {
    /// Its id in the depot.
    pub(crate) id: u32,
    /// Its frames, leaf first: a range of [`Stacks::numbers`].
    frames: Range<u32>,
    /// What was ever allocated from it.
    pub(crate) totals: Totals,
}

/// The stacks of a session that matter.
#[derive(Default)]
pub(crate) struct Stacks {
    /// Every frame met, once.
    pub(crate) words: Vec<FrameWord>,
    /// The stacks that are kept apart.
    pub(crate) stacks: Vec<DepotStack>,
    /// What was ever allocated from the others.
    pub(crate) others: Option<Totals>,
    /// How many those are.
    pub(crate) merged: u64,
    /// Frame numbers of all stacks, one after another.
    numbers: Vec<u32>,
    index: HashMap<u64, u32>,
}

impl Stacks {
    /// Reads every stack that ever allocated, and those in `live`.
    pub(crate) fn read(shared: &SharedSession, live: &HashSet<u32>) -> Self {
        let mut stacks = Self::default();
        let mut kept = stacks.select(shared, live);
        // In the order of the depot, so that pages are read one after another.
        kept.sort_unstable();
        for (n, id) in kept.into_iter().enumerate() {
            stacks.read_one(shared, id);
            if n % CHUNK == CHUNK - 1 {
                shared.release();
            }
        }
        stacks.index = HashMap::new();
        shared.release();
        stacks
    }

    /// Ids of the stacks that are kept apart; the others are added up.
    fn select(&mut self, shared: &SharedSession, live: &HashSet<u32>) -> Vec<u32> {
        let (mut with_live, mut idle) = (Vec::new(), Vec::new());
        for id in FULL_STACK..=shared.session().depot.stack_ids().min(MOST_STACKS) {
            let depot = shared.session().depot;
            let bytes = depot.counter(id, Counter::Bytes);
            match live.contains(&id) {
                true => with_live.push((bytes, id)),
                // A profile does not say of what kind totals were: without anything live, mappings would pass for malloc.
                false if depot.counter(id, Counter::Samples) > depot.counter(id, Counter::Mapped) => {
                    idle.push((bytes, id));
                }
                false => {}
            }
            if id as usize % CHUNK == CHUNK - 1 {
                shared.release();
            }
        }
        let most_live = MOST_KEPT - idle.len().min(*IDLE.start());
        let most_idle = MOST_KEPT.saturating_sub(with_live.len()).clamp(*IDLE.start(), *IDLE.end());
        let mut kept = Vec::new();
        for (mut candidates, most) in [(with_live, most_live), (idle, most_idle)] {
            candidates.sort_unstable_by(|a, b| b.cmp(a));
            for (_, id) in candidates.split_off(candidates.len().min(most)) {
                self.others.get_or_insert_default().add(&totals(shared, id));
                self.merged = self.merged.saturating_add(1);
            }
            kept.extend(candidates.into_iter().map(|(_, id)| id));
        }
        kept
    }

    /// The frame numbers of a stack, leaf first.
    pub(crate) fn frames(&self, stack: &DepotStack) -> &[u32] {
        self.numbers.get(stack.frames.start as usize..stack.frames.end as usize).unwrap_or(&[])
    }

    fn read_one(&mut self, shared: &SharedSession, id: u32) {
        let start = self.numbers.len();
        let known = start < MOST_FRAMES && shared.session().depot.frames(id, |word| self.push(word));
        if !known {
            self.numbers.truncate(start);
            self.push(FrameWord::marker(Marker::DepotFull));
        }
        let frames = start as u32..self.numbers.len() as u32;
        self.stacks.push(DepotStack { id, frames, totals: totals(shared, id) });
    }

    fn push(&mut self, word: FrameWord) {
        let next = self.words.len() as u32;
        let number = *self.index.entry(word.0).or_insert(next);
        if number == next {
            self.words.push(word);
        }
        self.numbers.push(number);
    }
}

/// The cumulative counters of a stack, in the units of the model.
fn totals(shared: &SharedSession, id: u32) -> Totals {
    let depot = shared.session().depot;
    let counter = |counter| depot.counter(id, counter);
    Totals {
        samples: counter(Counter::Samples),
        bytes: counter(Counter::Bytes) as f64,
        bytes_variance: counter(Counter::Variance) as f64 * f64::from(1u32 << 20),
        bytes_observed: counter(Counter::Observed),
        objects: counter(Counter::Objects) as f64 / f64::from(1u32 << 16),
        freed_by_app: counter(Counter::FreedApp) as f64,
        freed_by_gc: counter(Counter::FreedGc) as f64,
        frees_app: counter(Counter::FreesApp),
        frees_gc: counter(Counter::FreesGc),
    }
}
