//! Stacks of the depot, read into lists of frame numbers.
//!
//! Frames are numbered as they are met, so a stack costs four bytes for each frame; what the numbers stand for is
//! looked up once for each, later, in batches.

use crate::branches::Branches;
use crate::kept::MOST_FRAMES;
use crate::shared::SharedSession;
use leakscope_profile::{FrameId, Totals};
use leakscope_session::depot::{Counter, MAX_DEPTH};
use leakscope_session::frame::{FrameWord, Marker};
use std::collections::HashMap;

/// Different frames: seven times those of a Spark job.
const MOST_WORDS: usize = 1 << 17;
/// Stacks looked at before it is seen whether pages are to be given back.
const CHUNK: usize = 64;

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
    /// Nodes of the depot whose frames found no room among the words: there they are [`Marker::Truncated`].
    pub(crate) nameless: u64,
}

impl Stacks {
    /// Reads these stacks.
    pub(crate) fn read(shared: &SharedSession, ids: &[u32]) -> Self {
        let mut stacks = Self::default();
        stacks.stacks.reserve_exact(ids.len());
        let mut leaves = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            leaves.extend(chunk.iter().map(|id| shared.session().depot.leaf(*id)));
            stacks.stacks.extend(chunk.iter().map(|id| DepotStack {
                id: *id,
                frames: Vec::new(),
                totals: totals(shared, *id),
            }));
            shared.ease();
        }
        let mut index = HashMap::new();
        let branches = Branches::read(shared, &leaves, |word| stacks.number(&mut index, word));
        let full = stacks.number(&mut index, FrameWord::marker(Marker::DepotFull));
        drop(index);
        let mut left = MOST_FRAMES;
        let mut list = Vec::new();
        for (stack, leaf) in stacks.stacks.iter_mut().zip(leaves) {
            list.clear();
            branches.walk(leaf, MAX_DEPTH.min(left), |number| list.push(number));
            if list.is_empty() {
                list.push(full);
            }
            left = left.saturating_sub(list.len());
            // A copy is as long as it must be; the list has room for the longest.
            stack.frames = list.clone();
        }
        stacks
    }

    fn number(&mut self, index: &mut HashMap<u64, u32>, word: FrameWord) -> u32 {
        if let Some(number) = index.get(&word.0) {
            return *number;
        }
        let known = match self.words.len() {
            0..MOST_WORDS => word,
            _ => {
                self.nameless += 1;
                FrameWord::marker(Marker::Truncated)
            }
        };
        let next = self.words.len() as u32;
        let number = *index.entry(known.0).or_insert(next);
        if number == next {
            self.words.push(known);
        }
        number
    }
}

impl DepotStack {
    /// Its frames, leaf first; `ids` are those of the frames by number. In place: nothing is copied.
    pub(crate) fn into_frames(self, ids: &[FrameId]) -> Vec<FrameId> {
        self.frames.into_iter().map(|number| ids[number as usize]).collect()
    }
}

/// The cumulative counters of a stack, in the units of the model.
pub(crate) fn totals(shared: &SharedSession, id: u32) -> Totals {
    let depot = shared.session().depot;
    let counter = |counter| depot.counter(id, counter);
    Totals {
        samples: counter(Counter::Samples),
        bytes: depot.allocated(id) as f64,
        bytes_variance: counter(Counter::Variance) as f64 * f64::from(1u32 << 20),
        bytes_observed: counter(Counter::Observed),
        objects: counter(Counter::Samples) as f64 + counter(Counter::UnseenObjects) as f64 / f64::from(1u32 << 16),
        freed_by_app: counter(Counter::FreedApp) as f64,
        freed_by_gc: counter(Counter::FreedGc) as f64,
        frees_app: counter(Counter::FreesApp),
        frees_gc: counter(Counter::FreesGc),
    }
}
