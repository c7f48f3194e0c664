//! A segment of the live table: a hash table of fixed size, in which each address has two candidate buckets of eight keys.
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

use super::Entry;
use crate::sync::{AtomicU64, Ordering, fence};

/// Keys in a bucket: one cache line.
pub const BUCKET: usize = 8;
/// Words of a value.
pub const VALUE_WORDS: usize = 3;
const RESERVED: u64 = 1;
const BUSY: u64 = 2;
const FLAGS: u64 = 7;
pub(super) const ADDRESS: u64 = ((1 << 47) - 1) & !FLAGS;
const GENERATION_SHIFT: u32 = 48;
const GENERATION: u64 = u64::MAX << GENERATION_SHIFT;
/// The first empty slot of a bucket is what is taken, so behind a key that never was any none ever was.
pub(super) const NEVER_USED: u64 = 0;
/// Slots of the first bucket that are used before any of the second. With more of them a segment is less full when an address finds
/// no room in it, with fewer churn uses them up sooner (docs/decisions.md).
pub(super) const USED_FIRST: usize = 6;

type Bucket = [AtomicU64; BUCKET];

/// One segment: keys and values of a power of two of buckets.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    pub(super) buckets: &'a [Bucket],
    values: &'a [[AtomicU64; VALUE_WORDS]],
}

/// What a segment has of an address.
pub(super) enum Survey {
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
pub(super) struct Hash(u64);

impl Hash {
    #[inline(always)]
    pub(super) fn of(address: u64) -> Self {
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

    pub(super) fn keys(&self) -> &'a [AtomicU64] {
        self.buckets.as_flattened()
    }

    fn key(&self, slot: usize) -> Option<&'a AtomicU64> {
        self.buckets.get(slot / BUCKET)?.get(slot % BUCKET)
    }

    /// The two candidate buckets.
    #[inline(always)]
    pub(super) fn candidates(&self, hash: Hash) -> [usize; 2] {
        let mask = self.buckets.len().wrapping_sub(1);
        let first = (hash.0 >> 32) as usize & mask;
        let second = (hash.0 >> 11) as usize & mask;
        // One bucket twice would halve the room of this address.
        [first, if second == first { second.wrapping_add(1) & mask } else { second }]
    }

    #[inline(always)]
    pub(super) fn find(&self, address: u64, hash: Hash) -> Option<(usize, u64)> {
        match self.survey(address, hash) {
            Survey::Standing { slot, key } => Some((slot, key)),
            Survey::Absent { .. } => None,
        }
    }

    /// Looks for the entry of an address, and for the slot that it would be given.
    #[inline(always)]
    pub(super) fn survey(&self, address: u64, hash: Hash) -> Survey {
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

    /// Takes an entry out, unless its key has changed.
    #[inline(always)]
    pub(super) fn take(&self, slot: usize, key: u64) -> Option<Entry> {
        let entry = self.read(slot);
        // Nobody writes the value of an entry that stands, and a slot that was filled anew has another generation.
        // AcqRel: the value was read before, and its last owner has finished when the next one enters its own.
        let empty = key & GENERATION;
        self.key(slot)?.compare_exchange(key, empty, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        Some(entry)
    }

    /// Marks an entry busy, and reads it, unless its key has changed.
    #[inline(always)]
    pub(super) fn mark_busy(&self, slot: usize, key: u64) -> Option<Entry> {
        // Acquire: as in `look`. AcqRel because the entry is read after it.
        self.key(slot)?.compare_exchange(key, key | BUSY, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        Some(self.read(slot))
    }

    /// Gives a slot that is marked busy the key that it had.
    pub(super) fn restore(&self, slot: usize, key: u64) {
        if let Some(word) = self.key(slot) {
            // Release: pairs with the Acquire loads in `look` and `read_stable`.
            word.store(key, Ordering::Release);
        }
    }

    /// Empties a slot that is the caller's.
    pub(super) fn clear(&self, slot: usize) {
        if let Some(key) = self.key(slot) {
            let generation = key.load(Ordering::Relaxed) & GENERATION;
            // Release: pairs with the Acquire of the next `enter_at`.
            key.store(generation, Ordering::Release);
        }
    }

    /// Writes another value into the slot of an entry, and gives what it had, unless its key has changed.
    #[inline(always)]
    pub(super) fn replace(&self, slot: usize, key: u64, address: u64, entry: &Entry) -> Option<Entry> {
        self.key(slot)?.compare_exchange(key, key | RESERVED, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        let old = self.read(slot);
        self.fill(slot, key, address, entry);
        Some(old)
    }

    /// Fills any free slot of the candidates, the first one's before the second's.
    pub(super) fn enter_anywhere(&self, address: u64, hash: Hash, entry: &Entry) -> bool {
        self.candidates(hash).into_iter().any(|number| self.enter_bucket(number, address, entry))
    }

    /// Fills any free slot of a bucket.
    #[inline(never)]
    fn enter_bucket(&self, number: usize, address: u64, entry: &Entry) -> bool {
        let first = number.wrapping_mul(BUCKET);
        // The compiler would repeat the whole for each slot.
        let slots = core::hint::black_box(BUCKET);
        (0..slots).any(|i| self.enter_at(first.wrapping_add(i), address, entry))
    }

    /// Fills a slot, unless it is not empty.
    #[inline(always)]
    pub(super) fn enter_at(&self, slot: usize, address: u64, entry: &Entry) -> bool {
        let Some(key) = self.key(slot) else { return false };
        let empty = key.load(Ordering::Relaxed);
        // Acquire: pairs with the Release that emptied it: the last owner has finished reading the value. Not the weak exchange:
        // a slot is passed over only if it was used.
        let is_ours = is_empty(empty)
            && key.compare_exchange(empty, empty | address | RESERVED, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if is_ours {
            self.fill(slot, empty, address, entry);
        }
        is_ours
    }

    /// Writes the value of a slot that we hold RESERVED, and publishes it. `key` is what the slot had before.
    #[inline]
    fn fill(&self, slot: usize, key: u64, address: u64, entry: &Entry) {
        // Release fence: a reader that sees any of the new words below also sees the RESERVED key; pairs with the
        // Acquire fence in `read_stable`.
        fence(Ordering::Release);
        self.write(slot, entry);
        if let Some(word) = self.key(slot) {
            let next = (key & GENERATION).wrapping_add(1 << GENERATION_SHIFT);
            let generation = if next == NEVER_USED { 1 << GENERATION_SHIFT } else { next };
            // Release: pairs with the Acquire loads in `look` and `read_stable`.
            word.store(generation | address, Ordering::Release);
        }
    }

    /// The entry of a slot, with its address, for readers: tried again where it changes meanwhile, then left out.
    pub(super) fn read_stable(&self, slot: usize) -> Option<(u64, Entry)> {
        let key = self.key(slot)?;
        for _ in 0..4 {
            let before = key.load(Ordering::Acquire);
            if before & ADDRESS == 0 || before & RESERVED != 0 {
                return None;
            }
            let entry = self.read(slot);
            // Acquire fence: pairs with the Release fence in `fill`.
            fence(Ordering::Acquire);
            let after = key.load(Ordering::Relaxed);
            if before & !BUSY == after & !BUSY {
                return Some((before & ADDRESS, entry));
            }
        }
        None
    }

    /// Calls `visit` for the first key of one candidate or of `both`; and where `with_value` for the value that is filled first.
    #[inline(always)]
    pub(super) fn for_each_likely_place(
        &self,
        hash: Hash,
        both: bool,
        with_value: bool,
        visit: impl Fn(&'a AtomicU64),
    ) {
        let candidates = self.candidates(hash);
        for number in candidates.into_iter().take(if both { 2 } else { 1 }) {
            if let Some([key, ..]) = self.buckets.get(number) {
                visit(key);
            }
        }
        let value = self.values.get(candidates[0].wrapping_mul(BUCKET));
        if with_value && let Some([value, ..]) = value {
            visit(value);
        }
    }
}

fn is_empty(key: u64) -> bool {
    key & !GENERATION == 0
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
