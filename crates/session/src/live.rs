//! The live table: every sampled block that is not freed yet. It is the truth about what is live.
//!
//! Each address has two candidate buckets of eight keys (one cache line each) in every segment; no probe chains, no
//! tombstones, so the worst case is bounded, whatever the churn. When both buckets of all segments are full
//! the next segment, twice as large, is opened by one atomic store: the address space is reserved at the start in a
//! sparse file, and pages cost only once they are touched.
//!
//! What a slot holds, and how it is found, is [`Segment`]'s.
//!
//! Rules that keep it true:
//! - an entry leaves **before** the real free, or another thread may be handed the address, and insert it, first.
//! - a busy entry never matches an address. The old block may be handed out and inserted again while the busy entry
//!   stands, so [`LiveTable::drop_busy`] and [`LiveTable::restore`] act on the slot.
//! - an address that is inserted while an entry of it stands means that a free bypassed us: the entry is replaced,
//!   and the caller counts a missed free.

mod segment;

use crate::sync::{AtomicU32, AtomicU64, Ordering};
use core::ops::Range;
use segment::{ADDRESS, Hash, Survey};
pub use segment::{BUCKET, Segment, VALUE_WORDS};

/// Most segments of a table.
pub const MAX_SEGMENTS: usize = 12;

/// A sampled live block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry {
    /// Requested size, bytes.
    pub size: u64,
    /// Birth, milliseconds since recording started.
    pub birth_ms: u64,
    /// Which sampling interval was in force when it was drawn: an index into the header's table.
    pub interval: u16,
    /// Id of its stack in the depot.
    pub stack: u32,
    /// Epoch of its birth.
    pub epoch: u32,
}

impl Entry {
    fn pack(&self) -> [u64; VALUE_WORDS] {
        [self.size, self.birth_ms << 16 | u64::from(self.interval), u64::from(self.stack) << 32 | u64::from(self.epoch)]
    }

    fn unpack(words: [u64; VALUE_WORDS]) -> Self {
        Self {
            size: words[0],
            birth_ms: words[1] >> 16,
            interval: words[1] as u16,
            stack: (words[2] >> 32) as u32,
            epoch: words[2] as u32,
        }
    }
}

/// A view of the live table.
#[derive(Clone, Copy)]
pub struct LiveTable<'a> {
    segments: [Segment<'a>; MAX_SEGMENTS],
    open: &'a AtomicU32,
}

/// What [`LiveTable::insert`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// A new entry.
    Fresh,
    /// An entry of the same address stood there: its free bypassed us. Here it is.
    Replaced(Entry),
    /// No room in any segment.
    Full,
    /// The address does not fit a key, see [`LiveTable::fits`].
    Odd,
}

/// An entry whose block is being reallocated; see [`LiveTable::mark_busy`].
#[derive(Debug)]
#[must_use = "a busy entry must be dropped or restored"]
pub struct Busy {
    segment: usize,
    slot: usize,
    key: u64,
    /// The entry itself.
    pub entry: Entry,
}

impl<'a> LiveTable<'a> {
    /// A view over `segments` (the first [`Segment::NONE`] ends them) and the count of open segments (at least 1 is used).
    pub fn new(segments: [Segment<'a>; MAX_SEGMENTS], open: &'a AtomicU32) -> Self {
        Self { segments, open }
    }

    /// Whether `address` can be a key: aligned to 8 and in the lower half of the address space.
    pub fn fits(address: usize) -> bool {
        address != 0 && address as u64 & !ADDRESS == 0
    }

    /// Enters a block. Must happen before the allocation call returns its address.
    ///
    /// # Hot path
    /// Sampled calls only. No allocation, lock, system call or panic; safe in signal handlers.
    pub fn insert(&self, address: usize, entry: &Entry) -> Inserted {
        if !Self::fits(address) {
            return Inserted::Odd;
        }
        let address = address as u64;
        let hash = Hash::of(address);
        let mut segments = self.newest_first(self.open_segments());
        let Some(newest) = segments.next() else { return Inserted::Full };
        let (standing, vacancy) = match newest.survey(address, hash) {
            Survey::Standing { slot, key } => (Some((newest, slot, key)), None),
            Survey::Absent { vacancy } => {
                let in_older = |segment| Segment::find(segment, address, hash).map(|(slot, key)| (segment, slot, key));
                (segments.find_map(in_older), vacancy)
            }
        };
        if let Some((segment, slot, key)) = standing
            && let Some(old) = segment.replace(slot, key, address, entry)
        {
            return Inserted::Replaced(old);
        }
        if vacancy.is_some_and(|slot| newest.enter_at(slot, address, entry)) {
            return Inserted::Fresh;
        }
        self.insert_anywhere(address, hash, entry)
    }

    /// Where the newest segment has no room, or another thread has just taken that, or the entry that stood.
    #[cold]
    #[inline(never)]
    fn insert_anywhere(&self, address: u64, hash: Hash, entry: &Entry) -> Inserted {
        // Bounded, although each turn opens a segment: the count of open ones lies in shared memory.
        for _ in 0..=MAX_SEGMENTS {
            let open = self.open_segments();
            if self.newest_first(open).any(|segment| segment.enter_anywhere(address, hash, entry)) {
                return Inserted::Fresh;
            }
            if !self.open_next(open) {
                break;
            }
        }
        Inserted::Full
    }

    /// Calls `visit` for the places where `address` will lie, most probably, so that the processor can be told beforehand: those that
    /// most insertions need, or `all`.
    #[inline(always)]
    pub fn for_each_likely_place(&self, address: usize, all: bool, visit: impl Fn(&'a AtomicU64)) {
        let open = self.open_segments();
        if let Some(segment) = self.newest_first(open).next() {
            // A table that has grown is fuller, and needs its second buckets more often.
            segment.for_each_likely_place(Hash::of(address as u64), all || open > 1, all, visit);
        }
    }

    /// The newest is the largest.
    #[inline(always)]
    fn newest_first(&self, open: usize) -> impl Iterator<Item = &Segment<'a>> {
        self.segments.get(..open).unwrap_or(&[]).iter().rev()
    }

    /// Takes the entry of `address` out; exactly one caller gets it.
    ///
    /// # Hot path
    /// Frees that pass the filter. No allocation, lock, system call or panic; safe in signal handlers.
    pub fn take(&self, address: usize) -> Option<Entry> {
        let (_, segment, slot, key) = self.find_address(address)?;
        segment.take(slot, key)
    }

    /// Marks the entry of `address` busy: its block is about to be reallocated.
    #[inline(never)]
    pub fn mark_busy(&self, address: usize) -> Option<Busy> {
        let (index, segment, slot, key) = self.find_address(address)?;
        segment.mark_busy(slot, key).map(|entry| Busy { segment: index, slot, key, entry })
    }

    /// The reallocation succeeded: the old block is gone.
    pub fn drop_busy(&self, busy: &Busy) {
        if let Some(segment) = self.segment(busy.segment) {
            segment.clear(busy.slot);
        }
    }

    /// The reallocation failed: the old block lives on.
    pub fn restore(&self, busy: Busy) {
        if let Some(segment) = self.segment(busy.segment) {
            segment.restore(busy.slot, busy.key);
        }
    }

    /// Segments in use.
    pub fn open_segments(&self) -> usize {
        (self.open.load(Ordering::Acquire) as usize).clamp(1, MAX_SEGMENTS)
    }

    /// Slots of the open segments.
    pub fn capacity(&self) -> usize {
        self.segments.iter().take(self.open_segments()).map(|s| s.keys().len()).sum()
    }

    /// Slots of all segments, open or not.
    pub fn most_slots(&self) -> usize {
        self.segments.iter().map(|s| s.keys().len()).sum()
    }

    /// Calls `visit` for each live entry, while the target goes on inserting and taking. An entry that is live
    /// during the whole scan is visited once; one that comes or goes meanwhile at most once. Busy entries are live.
    /// For readers, which believe nothing: an entry whose slot changed under the read is tried again, then left out.
    pub fn scan(&self, mut visit: impl FnMut(u64, Entry)) {
        for segment in 0..self.open_segments() {
            self.scan_slots(segment, 0..usize::MAX, &mut visit);
        }
    }

    /// As [`LiveTable::scan`], for some slots of one segment: a reader of a large table gives its pages back in
    /// between. Slots beyond the segment are passed over.
    pub fn scan_slots(&self, segment: usize, slots: Range<usize>, mut visit: impl FnMut(u64, Entry)) {
        let Some(segment) = self.segment(segment) else { return };
        for slot in slots.start..slots.end.min(segment.keys().len()) {
            if let Some((address, entry)) = segment.read_stable(slot) {
                visit(address, entry);
            }
        }
    }

    /// The keys of a segment, for readers that skip those which lie in a hole of the file; empty if there is none.
    pub fn keys(&self, segment: usize) -> &'a [AtomicU64] {
        self.segment(segment).map_or(&[], Segment::keys)
    }

    fn segment(&self, index: usize) -> Option<&Segment<'a>> {
        self.segments.get(index)
    }

    #[inline(always)]
    fn find_address(&self, address: usize) -> Option<(usize, &Segment<'a>, usize, u64)> {
        // Null would match an empty slot, an odd address the flags of another block's key.
        if !Self::fits(address) {
            return None;
        }
        self.find(address as u64, Hash::of(address as u64))
    }

    #[inline(always)]
    fn find(&self, address: u64, hash: Hash) -> Option<(usize, &Segment<'a>, usize, u64)> {
        let mut index = self.open_segments();
        for segment in self.newest_first(index) {
            index = index.wrapping_sub(1);
            if let Some((slot, key)) = segment.find(address, hash) {
                return Some((index, segment, slot, key));
            }
        }
        None
    }

    /// Opens the segment after the `open` ones; `false` if there is none.
    fn open_next(&self, open: usize) -> bool {
        if self.segments.get(open).is_none_or(|segment| segment.buckets.is_empty()) {
            return false;
        }
        // Another thread may have opened it: then there is room as well.
        let _ = self.open.compare_exchange(open as u32, open as u32 + 1, Ordering::AcqRel, Ordering::Acquire);
        true
    }
}

#[cfg(all(test, not(leakscope_loom)))]
mod tests;
