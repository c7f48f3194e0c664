//! The live table: every sampled block that is not freed yet. It is the truth about what is live.
//!
//! Each address has two candidate buckets of eight keys (one cache line each) in every segment; no probe chains, no
//! tombstones, so the worst case is bounded and churn leaves no scars. When both buckets of all segments are full
//! the next segment, twice as large, is opened by one atomic store: the address space is reserved at the start in a
//! sparse file, and pages cost only once they are touched.
//!
//! ```text
//!   key:    generation (16) | address (47, bits 3-46 of it) | flags (3)      no address = empty
//!   value:  size | birth_ms (48) interval code (16) | stack (32) epoch (32)
//! ```
//! The first six slots of an address's first bucket have all been used before its second is thought of. So whoever finds a key
//! among them that never was used has seen all: one line instead of two, until six were in use at once some time.
//!
//! Flags: `RESERVED` while a value is being written, or read by whoever has just taken the entry; `BUSY` while a
//! realloc of the block is under way. The generation tells a reader that a slot was emptied and filled again with the
//! same address between its two looks: it grows each time the slot is filled, and stays while it is empty. So a key of 0 is one that
//! never was used, and a look-up of a bucket ends there: its slots are used one after the other.
//!
//! Rules that keep it true:
//! - an entry leaves **before** the real free, or another thread may be handed the address, and insert it, first.
//! - a busy entry never matches an address. The old block may be handed out and inserted again while the busy entry
//!   stands, so [`LiveTable::drop_busy`] and [`LiveTable::restore`] act on the slot.
//! - an address that is inserted while an entry of it stands means that a free bypassed us: the entry is replaced,
//!   and the caller counts a missed free.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};
use core::ops::Range;

/// Keys in a bucket: one cache line.
pub const BUCKET: usize = 8;
/// Words of a value.
pub const VALUE_WORDS: usize = 3;
/// Most segments of a table.
pub const MAX_SEGMENTS: usize = 12;

const RESERVED: u64 = 1;
const BUSY: u64 = 2;
const FLAGS: u64 = 7;
const ADDRESS: u64 = ((1 << 47) - 1) & !FLAGS;
const GENERATION_SHIFT: u32 = 48;
const GENERATION: u64 = u64::MAX << GENERATION_SHIFT;
/// The first empty slot of a bucket is what is taken, so behind a key that never was any none ever was.
const NEVER_USED: u64 = 0;
/// Slots of the first bucket that are used before any of the second. With more of them a segment is less full when an address finds
/// no room in it, with fewer churn uses them up sooner (docs/decisions.md).
const USED_FIRST: usize = 6;

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

type Bucket = [AtomicU64; BUCKET];

/// One segment: keys and values of a power of two of buckets.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    buckets: &'a [Bucket],
    values: &'a [[AtomicU64; VALUE_WORDS]],
}

/// What a segment has of an address.
enum Survey {
    /// Its entry, and the key of that.
    Standing { slot: usize, key: u64 },
    /// No entry; the empty slot that it would be given, unless there is none.
    Absent { vacancy: Option<usize> },
}

/// What a bucket has of an address.
struct Look {
    /// The key of its entry.
    key: Option<u64>,
    /// Where that is, or else the first empty slot; [`BUCKET`] without one.
    at: usize,
    /// How many slots were used ever; without an entry.
    used: usize,
}

/// Where an address may lie, in segments of any size.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    #[inline(always)]
    fn of(address: u64) -> Self {
        Self((address >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

impl<'a> Segment<'a> {
    /// None: without buckets.
    pub const NONE: Segment<'a> = Segment { buckets: &[], values: &[] };

    /// A view; `keys.len()` is `BUCKET` times a power of two, `values.len()` is `VALUE_WORDS` times that.
    pub fn new(keys: &'a [AtomicU64], values: &'a [AtomicU64]) -> Self {
        let (buckets, _) = keys.as_chunks();
        let count = buckets.len().checked_ilog2().map_or(0, |log| 1 << log);
        Self { buckets: buckets.get(..count).unwrap_or(&[]), values: values.as_chunks().0 }
    }

    fn keys(&self) -> &'a [AtomicU64] {
        self.buckets.as_flattened()
    }

    fn key(&self, slot: usize) -> Option<&'a AtomicU64> {
        self.buckets.get(slot / BUCKET)?.get(slot % BUCKET)
    }

    /// The two candidate buckets.
    #[inline(always)]
    fn candidates(&self, hash: Hash) -> [usize; 2] {
        let mask = self.buckets.len().wrapping_sub(1);
        let first = (hash.0 >> 32) as usize & mask;
        let second = (hash.0 >> 11) as usize & mask;
        // One bucket twice would halve the room of this address.
        [first, if second == first { second.wrapping_add(1) & mask } else { second }]
    }

    #[inline(always)]
    fn find(&self, address: u64, hash: Hash) -> Option<(usize, u64)> {
        match self.survey(address, hash) {
            Survey::Standing { slot, key } => Some((slot, key)),
            Survey::Absent { .. } => None,
        }
    }

    /// Looks for the entry of an address, and for the slot that it would be given.
    #[inline(always)]
    fn survey(&self, address: u64, hash: Hash) -> Survey {
        let [first, second] = self.candidates(hash);
        let (Some(first_keys), Some(second_keys)) = (self.buckets.get(first), self.buckets.get(second)) else {
            return Survey::Absent { vacancy: None };
        };
        let slot = |number: usize, at: usize| number.wrapping_mul(BUCKET).wrapping_add(at);
        let in_first = look(first_keys, address);
        if let Some(key) = in_first.key {
            return Survey::Standing { slot: slot(first, in_first.at), key };
        }
        if in_first.used < USED_FIRST {
            return Survey::Absent { vacancy: Some(slot(first, in_first.at)) };
        }
        let in_second = look(second_keys, address);
        if let Some(key) = in_second.key {
            return Survey::Standing { slot: slot(second, in_second.at), key };
        }
        // The emptier one: whose first empty slot comes earlier.
        let (number, at) = if in_first.at <= in_second.at { (first, in_first.at) } else { (second, in_second.at) };
        Survey::Absent { vacancy: (at < BUCKET).then(|| slot(number, at)) }
    }

    #[inline]
    fn write(&self, slot: usize, entry: &Entry) {
        if let Some(words) = self.values.get(slot) {
            for (word, value) in words.iter().zip(entry.pack()) {
                word.store(value, Ordering::Relaxed);
            }
        }
    }

    #[inline]
    fn read(&self, slot: usize) -> Entry {
        let read = |words: &[AtomicU64; VALUE_WORDS]| {
            let [first, second, third] = words;
            Entry::unpack([first, second, third].map(|word| word.load(Ordering::Relaxed)))
        };
        self.values.get(slot).map_or(Entry::default(), read)
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
            && let Some(old) = claim(segment, slot, key)
        {
            fill(segment, slot, key, address, entry);
            return Inserted::Replaced(old);
        }
        if vacancy.is_some_and(|slot| enter_at(newest, slot, address, entry)) {
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
            for segment in self.newest_first(open) {
                let mut buckets = segment.candidates(hash).into_iter();
                if buckets.any(|number| enter_bucket(segment, number, address, entry)) {
                    return Inserted::Fresh;
                }
            }
            if !self.open_next(open) {
                break;
            }
        }
        Inserted::Full
    }

    /// Calls `visit` for the places where `address` will lie, most probably, so that the processor can be told beforehand:
    /// the keys, and where `with_values` the value of the slot that is filled first.
    #[inline(always)]
    pub fn for_each_likely_place(&self, address: usize, with_values: bool, visit: impl Fn(&'a AtomicU64)) {
        let hash = Hash::of(address as u64);
        let open = self.open_segments();
        if let Some(segment) = self.newest_first(open).next() {
            let [first, second] = segment.candidates(hash);
            // A table that has grown is fuller, and needs its second buckets more often.
            let needs_second = with_values || open > 1;
            for number in [Some(first), needs_second.then_some(second)].into_iter().flatten() {
                if let Some([key, ..]) = segment.buckets.get(number) {
                    visit(key);
                }
            }
            if with_values && let Some([value, ..]) = segment.values.get(first.wrapping_mul(BUCKET)) {
                visit(value);
            }
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
        let entry = segment.read(slot);
        // Nobody writes the value of an entry that stands, and a slot that was filled anew has another generation.
        // AcqRel: the value was read before, and its last owner has finished when the next one enters its own.
        let empty = key & GENERATION;
        segment.key(slot)?.compare_exchange(key, empty, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        Some(entry)
    }

    /// Marks the entry of `address` busy: its block is about to be reallocated.
    #[inline(never)]
    pub fn mark_busy(&self, address: usize) -> Option<Busy> {
        let (index, segment, slot, key) = self.find_address(address)?;
        // Acquire: as in `look`. AcqRel because the entry is read after it.
        segment.key(slot)?.compare_exchange(key, key | BUSY, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        Some(Busy { segment: index, slot, key, entry: segment.read(slot) })
    }

    /// The reallocation succeeded: the old block is gone.
    pub fn drop_busy(&self, busy: &Busy) {
        if let Some(segment) = self.segment(busy.segment) {
            self.clear(segment, busy.slot);
        }
    }

    /// The reallocation failed: the old block lives on.
    pub fn restore(&self, busy: Busy) {
        if let Some(key) = self.segment(busy.segment).and_then(|s| s.key(busy.slot)) {
            // Release: pairs with the Acquire loads in `look` and `read_stable`.
            key.store(busy.key, Ordering::Release);
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
            if let Some((address, entry)) = read_stable(segment, slot) {
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

    fn clear(&self, segment: &Segment<'a>, slot: usize) {
        if let Some(key) = segment.key(slot) {
            let generation = key.load(Ordering::Relaxed) & GENERATION;
            // Release: pairs with the Acquire of the next `enter_at`.
            key.store(generation, Ordering::Release);
        }
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

fn is_empty(key: u64) -> bool {
    key & !GENERATION == 0
}

/// Wins an entry by reserving its slot, and reads it.
fn claim(segment: &Segment<'_>, slot: usize, key: u64) -> Option<Entry> {
    segment.key(slot)?.compare_exchange(key, key | RESERVED, Ordering::AcqRel, Ordering::Relaxed).ok()?;
    Some(segment.read(slot))
}

/// Looks through a bucket, up to the first key that never was used.
#[inline(always)]
fn look(bucket: &Bucket, address: u64) -> Look {
    let mut empty = BUCKET;
    for (at, key) in bucket.iter().enumerate() {
        // Acquire: pairs with the Release store that published the entry.
        let word = key.load(Ordering::Acquire);
        // All but the generation.
        if (word ^ address) << (u64::BITS - GENERATION_SHIFT) == 0 {
            return Look { key: Some(word), at, used: BUCKET };
        }
        if word == NEVER_USED {
            return Look { key: None, at: empty.min(at), used: at };
        }
        if is_empty(word) {
            empty = empty.min(at);
        }
    }
    Look { key: None, at: empty, used: BUCKET }
}

/// Fills any free slot of a bucket.
#[inline(never)]
fn enter_bucket(segment: &Segment<'_>, number: usize, address: u64, entry: &Entry) -> bool {
    let first = number.wrapping_mul(BUCKET);
    // The compiler would repeat the whole for each slot.
    let slots = core::hint::black_box(BUCKET);
    (0..slots).any(|i| enter_at(segment, first.wrapping_add(i), address, entry))
}

/// Fills a slot, unless it is not empty.
#[inline(always)]
fn enter_at(segment: &Segment<'_>, slot: usize, address: u64, entry: &Entry) -> bool {
    let Some(key) = segment.key(slot) else { return false };
    let empty = key.load(Ordering::Relaxed);
    // Acquire: pairs with the Release that emptied it: the last owner has finished reading the value. Not the weak exchange: a slot
    // is passed over only if it was used.
    let is_ours = is_empty(empty)
        && key.compare_exchange(empty, empty | address | RESERVED, Ordering::Acquire, Ordering::Relaxed).is_ok();
    if is_ours {
        fill(segment, slot, empty, address, entry);
    }
    is_ours
}

/// Writes the value of a slot that we hold RESERVED, and publishes it. `key` is what the slot had before.
#[inline]
fn fill(segment: &Segment<'_>, slot: usize, key: u64, address: u64, entry: &Entry) {
    // Release fence: a reader that sees any of the new words below also sees the RESERVED key; pairs with the
    // Acquire fence in `read_stable`.
    fence(Ordering::Release);
    segment.write(slot, entry);
    if let Some(word) = segment.key(slot) {
        let next = (key & GENERATION).wrapping_add(1 << GENERATION_SHIFT);
        let generation = if next == NEVER_USED { 1 << GENERATION_SHIFT } else { next };
        // Release: pairs with the Acquire loads in `look` and `read_stable`.
        word.store(generation | address, Ordering::Release);
    }
}

fn read_stable(segment: &Segment<'_>, slot: usize) -> Option<(u64, Entry)> {
    let key = segment.key(slot)?;
    for _ in 0..4 {
        let before = key.load(Ordering::Acquire);
        if before & ADDRESS == 0 || before & RESERVED != 0 {
            return None;
        }
        let entry = segment.read(slot);
        // Acquire fence: pairs with the Release fence in `fill`.
        fence(Ordering::Acquire);
        let after = key.load(Ordering::Relaxed);
        if before & !BUSY == after & !BUSY {
            return Some((before & ADDRESS, entry));
        }
    }
    None
}

#[cfg(all(test, not(leakscope_loom)))]
mod tests;
