//! The recorder's side of mapped memory: enters regions into the session, takes ranges out, puts them back.
//!
//! The rules of when are in [`crate::map_wrap`]. Every mapping is recorded, with probability 1, so that what it counts
//! needs no scaling.

use crate::Caller;
use crate::recorder::{Published, Recorder};
use crate::thread::{self, Class, ThreadBlock};
use leakscope_session::depot::Counter;
use leakscope_session::header::Word;
use leakscope_session::losses::Loss;
use leakscope_session::regions::{FIXED, Region, RegionKind};
use leakscope_session::view::Session;

/// A mapping that was just made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapped {
    pub start: usize,
    pub bytes: usize,
    pub kind: RegionKind,
    pub flags: u8,
}

/// Parts of regions that can be put back. An unmap that covers more fails hardly ever.
const MOST_PARTS: usize = 12;

/// What was taken out of the table for a call that may still fail.
pub(crate) struct Removed {
    parts: [Region; MOST_PARTS],
    count: usize,
    /// Parts beyond those, and their bytes: not to be put back.
    more: u64,
    more_bytes: u64,
}

impl Removed {
    fn new() -> Self {
        Self { parts: [Region::default(); MOST_PARTS], count: 0, more: 0, more_bytes: 0 }
    }

    fn push(&mut self, part: Region) {
        match self.parts.get_mut(self.count) {
            Some(slot) => {
                *slot = part;
                self.count += 1;
            }
            None => {
                self.more += 1;
                self.more_bytes = self.more_bytes.saturating_add(part.bytes());
            }
        }
    }

    fn parts(&self) -> &[Region] {
        self.parts.get(..self.count).unwrap_or(&[])
    }

    /// The first part.
    pub(crate) fn first(&self) -> Option<Region> {
        self.parts().first().copied()
    }
}

impl Recorder {
    /// Enters a mapping, with its stack, and takes out what it was laid over. The caller holds the thread's guard.
    pub(crate) fn enter_region(&self, published: &Published, thread: &ThreadBlock, mapped: Mapped, caller: Caller) {
        let session = &published.session;
        let Some(stack) = self.stack_of(published, thread, caller) else {
            return;
        };
        let (start, end) = (mapped.start as u64, (mapped.start as u64).saturating_add(mapped.bytes as u64));
        let mut covered = Removed::new();
        let cut = session.regions.cut(start, end, |part| covered.push(part));
        count_cut(session, cut.contended, cut.lost_bytes);
        if mapped.flags & FIXED == 0 {
            // The kernel found the range free: somebody has unmapped it behind our back.
            session.losses.add(Loss::MissedUnmaps, covered.count as u64 + covered.more);
        }
        count_freed(session, &covered, Class::App);
        let region = Region {
            start,
            end,
            stack,
            epoch: session.header.get(Word::Epoch) as u32,
            birth_ms: published.age_ms(),
            kind: mapped.kind,
            flags: mapped.flags,
        };
        count_exactly(session, stack, region.bytes());
        enter_slot(session, &region);
    }

    /// Takes a range out that is about to be unmapped.
    pub(crate) fn take_out(&self, published: &Published, start: usize, bytes: usize) -> Removed {
        let session = &published.session;
        let mut removed = Removed::new();
        if bytes > 0 {
            let start = start as u64;
            let cut = session.regions.cut(start, start.saturating_add(bytes as u64), |part| removed.push(part));
            count_cut(session, cut.contended, cut.lost_bytes);
        }
        removed
    }

    /// The call failed: everything is still mapped.
    pub(crate) fn put_back(&self, published: &Published, removed: &Removed) {
        // A forked child (see `Recorder::enter`) must not touch its parent's table.
        if !self.is_current(published) {
            return;
        }
        let session = &published.session;
        removed.parts().iter().for_each(|part| enter_slot(session, part));
        session.losses.add(Loss::RegionsFull, removed.more);
        session.losses.add(Loss::RegionsFullBytes, removed.more_bytes);
    }

    /// The call succeeded.
    pub(crate) fn count_unmapped(&self, published: &Published, removed: &Removed) {
        if removed.count > 0 {
            let class = published.class_of(thread::current());
            count_freed(&published.session, removed, class);
        }
    }
}

fn enter_slot(session: &Session<'_>, region: &Region) {
    if !session.regions.insert(region) {
        session.losses.add(Loss::RegionsFull, 1);
        session.losses.add(Loss::RegionsFullBytes, region.bytes());
    }
}

fn count_cut(session: &Session<'_>, contended: u64, lost_bytes: u64) {
    if contended > 0 {
        session.losses.add(Loss::RegionsContended, contended);
    }
    if lost_bytes > 0 {
        session.losses.add(Loss::RegionsFull, 1);
        session.losses.add(Loss::RegionsFullBytes, lost_bytes);
    }
}

/// Counts one allocation that was recorded with probability 1.
pub(crate) fn count_exactly(session: &Session<'_>, stack: u32, bytes: u64) {
    let depot = &session.depot;
    depot.count(stack, Counter::Samples, 1);
    depot.count(stack, Counter::Observed, bytes);
    depot.count(stack, Counter::Mapped, 1);
}

/// Counts one end of what was recorded with probability 1.
pub(crate) fn count_end(session: &Session<'_>, stack: u32, bytes: u64, class: Class) {
    let (frees, freed) = match class {
        Class::App => (Counter::FreesApp, Counter::FreedApp),
        Class::Gc => (Counter::FreesGc, Counter::FreedGc),
    };
    session.depot.count(stack, frees, 1);
    session.depot.count(stack, freed, bytes);
}

fn count_freed(session: &Session<'_>, removed: &Removed, class: Class) {
    for part in removed.parts() {
        count_end(session, part.stack, part.bytes(), class);
    }
}
