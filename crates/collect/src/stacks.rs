//! Stacks of the depot, read into lists of frame numbers.
//!
//! Frames are numbered as they are met, so a stack costs four bytes for each frame; what the numbers stand for is
//! looked up once for each, later, in batches.

use crate::kept::MOST_FRAMES;
use crate::shared::SharedSession;
use leakscope_profile::{FrameId, Totals};
use leakscope_session::depot::Counter;
use leakscope_session::frame::{FrameWord, Marker};
use std::collections::HashMap;

/// Stacks read before pages are given back: each may lie in pages of its own.
const CHUNK: usize = 128;

/// A stack of the depot.
pub(crate) struct DepotStack {
    /// Its id in the depot.
    pub(crate) id: u32,
    /// Its frames, leaf first, by their numbers.
    frames: Vec<u32>,
    /// What was ever allocated from it.
    pub(crate) totals: Totals,
}

/// Stacks of a session.
#[derive(Default)]
pub(crate) struct Stacks {
    /// Every frame met, once.
    pub(crate) words: Vec<FrameWord>,
    /// The stacks, in the order of the depot.
    pub(crate) stacks: Vec<DepotStack>,
    /// Frames of all stacks.
    frames: usize,
}

impl Stacks {
    /// Reads these stacks.
    pub(crate) fn read(shared: &SharedSession, ids: &[u32]) -> Self {
        let mut stacks = Self::default();
        let mut numbers = Numbers::default();
        stacks.stacks.reserve_exact(ids.len());
        for chunk in ids.chunks(CHUNK) {
            for id in chunk {
                stacks.read_one(shared, &mut numbers, *id);
            }
            shared.release();
        }
        stacks
    }

    fn read_one(&mut self, shared: &SharedSession, numbers: &mut Numbers, id: u32) {
        numbers.list.clear();
        let fits = self.frames < MOST_FRAMES;
        if !(fits && shared.session().depot.frames(id, |word| numbers.push(&mut self.words, word))) {
            numbers.list.clear();
            numbers.push(&mut self.words, FrameWord::marker(Marker::DepotFull));
        }
        self.frames += numbers.list.len();
        // A copy is as long as it must be; the list has room for the longest.
        self.stacks.push(DepotStack { id, frames: numbers.list.clone(), totals: totals(shared, id) });
    }
}

impl DepotStack {
    /// Its frames, leaf first; `ids` are those of the frames by number. In place: nothing is copied.
    pub(crate) fn into_frames(self, ids: &[FrameId]) -> Vec<FrameId> {
        self.frames.into_iter().map(|number| ids[number as usize]).collect()
    }
}

/// Numbers frames.
#[derive(Default)]
struct Numbers {
    index: HashMap<u64, u32>,
    /// Numbers of one stack.
    list: Vec<u32>,
}

impl Numbers {
    fn push(&mut self, words: &mut Vec<FrameWord>, word: FrameWord) {
        let next = words.len() as u32;
        let number = *self.index.entry(word.0).or_insert(next);
        if number == next {
            words.push(word);
        }
        self.list.push(number);
    }
}

/// The cumulative counters of a stack, in the units of the model.
pub(crate) fn totals(shared: &SharedSession, id: u32) -> Totals {
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
