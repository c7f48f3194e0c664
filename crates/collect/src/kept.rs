//! Which stacks of a session a profile keeps apart.
//!
//! A service that churns fills the depot over the days: 131,072 stacks, most of which allocated a few blocks long ago;
//! in exact mode a million. Writing them all at each snapshot would take hundreds of MiB beside the target and more disk
//! than the budget. So of the stacks of which something is live those with most live bytes are kept apart, and of the
//! others those that allocated most. The rest is added up under `[other stacks]`, which keeps all sums right, and
//! counted.

use crate::shared::SharedSession;
use crate::stacks::totals;
use leakscope_profile::Totals;
use leakscope_session::depot::{Counter, FULL_STACK, MAX_DEPTH};
use std::ops::RangeInclusive;

/// Stacks looked at: what exact mode has room for.
const MOST_STACKS: u32 = 1 << 20;
/// Stacks kept apart.
const MOST_KEPT: usize = 20 << 10;
/// Frames of all stacks that are kept apart: 77 each, 6 MiB.
pub(crate) const MOST_FRAMES: usize = 3 << 19;
/// Stacks of which nothing is live: at most so many are kept apart, and at least so many where they exist.
const IDLE: RangeInclusive<usize> = (1 << 12)..=(1 << 14);
/// Stacks looked at before it is seen whether pages are to be given back.
const CHUNK: u32 = 64;

/// Which stacks are kept apart.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// A bit for each stack; `None`: all are.
    bits: Option<Vec<u64>>,
    /// What was ever allocated from the others.
    pub(crate) others: Option<Totals>,
    /// How many those are.
    pub(crate) merged: u64,
}

/// A stack of the depot that may be kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    bytes: u64,
    id: u32,
    depth: u32,
}

impl Kept {
    /// Chooses. `scan` calls its argument with the stack and the bytes of everything that is live; it is only called
    /// where there are too many stacks to keep all.
    pub(crate) fn choose(shared: &SharedSession, scan: impl FnOnce(&mut dyn FnMut(u32, u64))) -> Self {
        if !is_crowded(shared) {
            return Self::default();
        }
        let mut live = vec![0u64; ids(shared) as usize + 1];
        scan(&mut |stack, bytes| {
            if let Some(sum) = live.get_mut(stack as usize) {
                // A block of no bytes lives as well.
                *sum = sum.saturating_add(bytes.max(1));
            }
        });
        // Room for all at once is a mapping of its own, of which only what is used becomes memory; a list that grows would
        // leave a hole in the heap.
        let (mut with_live, mut idle) = (Vec::with_capacity(live.len()), Vec::with_capacity(live.len()));
        for (id, live) in (FULL_STACK..).zip(&live) {
            let depth = depth(shared, id);
            match *live {
                0 if has_allocated(shared, id) => {
                    let bytes = shared.session().depot.allocated(id);
                    idle.push(Candidate { bytes, id, depth });
                }
                0 => {}
                bytes => with_live.push(Candidate { bytes, id, depth }),
            }
            ease(shared, id);
        }
        let mut kept = Self::of(live.len(), with_live, idle);
        // In the order of the depot, so that pages are read one after another.
        for (id, live) in (FULL_STACK..).zip(&live) {
            if !kept.contains(id) && (*live > 0 || has_allocated(shared, id)) {
                kept.others.get_or_insert_default().add(&totals(shared, id));
                kept.merged += 1;
            }
            ease(shared, id);
        }
        shared.release();
        kept
    }

    /// Whether a stack is kept apart.
    pub(crate) fn contains(&self, id: u32) -> bool {
        let Some(bits) = &self.bits else { return id <= MOST_STACKS };
        bits.get(id as usize / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// The stacks to be read, in the order of the depot: those that are kept and either live or ever allocated.
    pub(crate) fn ids(&self, shared: &SharedSession, is_live: impl Fn(u32) -> bool) -> Vec<u32> {
        let has_allocated = |id| {
            ease(shared, id);
            has_allocated(shared, id)
        };
        (FULL_STACK..=ids(shared)).filter(|id| self.contains(*id) && (is_live(*id) || has_allocated(*id))).collect()
    }

    /// Those with most bytes of both; `ids`: one more than the largest id.
    fn of(ids: usize, with_live: Vec<Candidate>, idle: Vec<Candidate>) -> Self {
        let most_live = MOST_KEPT - idle.len().min(*IDLE.start());
        let most_idle = MOST_KEPT.saturating_sub(with_live.len()).clamp(*IDLE.start(), *IDLE.end());
        let mut bits = vec![0u64; ids / 64 + 1];
        let mut frames = 0;
        for (mut candidates, most, most_frames) in
            [(with_live, most_live, MOST_FRAMES / 8 * 7), (idle, most_idle, MOST_FRAMES)]
        {
            candidates.sort_unstable_by(|a, b| b.cmp(a));
            for Candidate { id, depth, .. } in candidates.into_iter().take(most) {
                frames += depth as usize;
                if frames > most_frames {
                    break;
                }
                if let Some(word) = bits.get_mut(id as usize / 64) {
                    *word |= 1 << (id % 64);
                }
            }
        }
        Self { bits: Some(bits), ..Self::default() }
    }
}

/// Gives pages back now and then.
fn ease(shared: &SharedSession, id: u32) {
    if id.is_multiple_of(CHUNK) {
        shared.ease();
    }
}

fn ids(shared: &SharedSession) -> u32 {
    shared.session().depot.stack_ids().min(MOST_STACKS)
}

fn depth(shared: &SharedSession, id: u32) -> u32 {
    shared.session().depot.depth(id).min(MAX_DEPTH as u32)
}

/// Whether the depot holds more than can be kept.
fn is_crowded(shared: &SharedSession) -> bool {
    let ids = ids(shared);
    if ids as usize > *IDLE.end() {
        return true;
    }
    let frames: usize = (FULL_STACK..=ids).map(|id| depth(shared, id) as usize).sum();
    shared.release();
    frames > MOST_FRAMES
}

/// Whether a stack ever allocated from malloc. A profile does not say of what kind totals were: without anything live,
/// mappings would pass for malloc.
fn has_allocated(shared: &SharedSession, id: u32) -> bool {
    let depot = shared.session().depot;
    depot.counter(id, Counter::Samples) > depot.counter(id, Counter::Mapped)
}
