//! Stacks of the depot, read into lists of frame numbers.
//!
//! Frames are numbered as they are met, so a stack costs four bytes for each frame; what the numbers stand for is
//! looked up once for each, later, in batches.

use crate::shared::SharedSession;
use leakscope_profile::Totals;
use leakscope_session::depot::{Counter, FULL_STACK};
use leakscope_session::frame::{FrameWord, Marker};
use std::collections::{HashMap, HashSet};

/// Stacks read from one session: what exact mode has room for.
const MOST_STACKS: u32 = 1 << 20;
/// Frames of all stacks together: a bound for hostile sessions.
const MOST_FRAMES: usize = 1 << 25;
/// Stacks read before pages are given back.
const CHUNK: u32 = 4096;

/// A stack of the depot.
pub(crate) struct DepotStack {
    /// Its id in the depot.
    pub(crate) id: u32,
    /// Its frames, leaf first: indices into [`Stacks::words`].
    pub(crate) frames: std::ops::Range<u32>,
    /// What was ever allocated from it.
    pub(crate) totals: Totals,
}

/// The stacks of a session that matter.
#[derive(Default)]
pub(crate) struct Stacks {
    /// Every frame met, once.
    pub(crate) words: Vec<FrameWord>,
    /// The stacks.
    pub(crate) stacks: Vec<DepotStack>,
    /// Frame numbers of all stacks, one after another.
    numbers: Vec<u32>,
    index: HashMap<u64, u32>,
}

impl Stacks {
    /// Reads every stack that ever allocated, and those in `live`.
    pub(crate) fn read(shared: &SharedSession, live: &HashSet<u32>) -> Self {
        let depot = shared.session().depot;
        let mut stacks = Self::default();
        for id in FULL_STACK..=depot.stack_ids().min(MOST_STACKS) {
            let totals = totals(shared, id);
            if totals.samples > 0 || live.contains(&id) {
                stacks.read_one(shared, id, totals);
            }
            if id % CHUNK == CHUNK - 1 {
                shared.release();
            }
        }
        shared.release();
        stacks
    }

    /// The frame numbers of a stack, leaf first.
    pub(crate) fn frames(&self, stack: &DepotStack) -> &[u32] {
        self.numbers.get(stack.frames.start as usize..stack.frames.end as usize).unwrap_or(&[])
    }

    fn read_one(&mut self, shared: &SharedSession, id: u32, totals: Totals) {
        let start = self.numbers.len();
        let known = start < MOST_FRAMES && shared.session().depot.frames(id, |word| self.push(word));
        if !known {
            self.numbers.truncate(start);
            self.push(FrameWord::marker(Marker::DepotFull));
        }
        let frames = start as u32..self.numbers.len() as u32;
        self.stacks.push(DepotStack { id, frames, totals });
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
