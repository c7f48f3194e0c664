//! The index of a table: where to find the id of what has a given hash. Open addressing over words of 32 bits.
//!
//! It is as large as the fullest table needs, and most tables stay small. So its slots are used in regions, one after the
//! other, each four times as large as all before it: few entries touch few pages, and stay in the processor's caches.
//!
//! ```text
//!   slots    region 0: 16,384 | region 1: 49,152 | region 2: 196,608 | ...      the last one ends with the index
//!   probes   16 slots side by side (one cache line) in each region, 64 in the last
//!   slot     tag: the upper bits, of the hash | id: as many bits as ids need     0 = empty
//! ```
//! An entry lies in the first slot of its sequence of probes that was empty, and none is ever taken out: a look-up ends at
//! the first empty slot. The tag spares nearly all looks at the entries of others.

use crate::sync::{AtomicU32, Ordering};

/// Slots of the first region.
const FIRST_REGION: usize = 1 << 14;
/// Each region ends at so many times the end of the one before.
const GROWTH: usize = 4;
/// Slots that are looked at in each region: a cache line.
const LINE: usize = 16;
/// Slots that are looked at in the last region.
const LAST_PROBES: usize = 64;

/// A view of an index.
#[derive(Clone, Copy)]
pub struct Index<'a> {
    slots: &'a [AtomicU32],
    id_mask: u32,
}

/// Where a look-up ended.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// At the id that was looked for.
    Found(u32),
    /// At an empty slot: it is not in the index.
    Empty(Vacancy<'a>),
    /// There is neither it nor a slot for it.
    Full,
}

/// An empty slot, for one hash.
#[derive(Clone, Copy)]
pub struct Vacancy<'a> {
    probes: Probes<'a>,
    slot: &'a AtomicU32,
    tag: u32,
}

impl<'a> Index<'a> {
    /// A view over `slots`, of a table whose ids are below `ids`.
    pub fn new(slots: &'a [AtomicU32], ids: usize) -> Self {
        let most = u32::try_from(ids.saturating_sub(1)).unwrap_or(u32::MAX);
        Self { slots, id_mask: u32::MAX.checked_shr(most.leading_zeros()).unwrap_or(0) }
    }

    /// Looks for the id of `hash` that `is_it`.
    ///
    /// # Hot path
    /// Sampled calls only. No allocation, lock, system call or panic; safe in signal handlers.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Place<'a> {
        let tag = self.tag(hash);
        let mut probes = Probes::new(self.slots, hash);
        while let Some(slot) = probes.next() {
            // Acquire: pairs with the Release in `enter`: whoever sees the id sees the words behind it.
            match slot.load(Ordering::Acquire) {
                0 => return Place::Empty(Vacancy { probes, slot, tag }),
                word if word & !self.id_mask == tag && is_it(word & self.id_mask) => {
                    return Place::Found(word & self.id_mask);
                }
                _ => {}
            }
        }
        Place::Full
    }

    /// Puts `id` into the vacancy that a look-up of its hash ended at, or into one after it; the id that is there in the
    /// end (another thread's where it was first and `is_it`), `None` if there is no room left.
    ///
    /// # Hot path
    /// As [`Index::find`].
    pub fn enter(&self, vacancy: Vacancy<'a>, id: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let Vacancy { mut probes, mut slot, tag } = vacancy;
        loop {
            // Release: pairs with the Acquire in `find`. Acquire: as there.
            match slot.compare_exchange(0, tag | id, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(id),
                Err(word) if word & !self.id_mask == tag && is_it(word & self.id_mask) => {
                    return Some(word & self.id_mask);
                }
                Err(_) => slot = probes.next()?,
            }
        }
    }

    fn tag(&self, hash: u64) -> u32 {
        hash as u32 & !self.id_mask
    }
}

/// The slots at which an entry may lie, in their order.
#[derive(Clone, Copy)]
struct Probes<'a> {
    slots: &'a [AtomicU32],
    /// Of the hash; the tag is made of the other half.
    spread: u32,
    region: Region,
    /// Slot of the region that is next, and how many are left of it.
    at: usize,
    left: usize,
}

#[derive(Clone, Copy)]
struct Region {
    start: usize,
    slots: usize,
}

impl<'a> Probes<'a> {
    fn new(slots: &'a [AtomicU32], hash: u64) -> Self {
        let mut probes =
            Self { slots, spread: (hash >> 32) as u32, region: Region { start: 0, slots: 0 }, at: 0, left: 0 };
        probes.begin(0, FIRST_REGION);
        probes
    }

    fn begin(&mut self, start: usize, end: usize) {
        // A rest that is smaller than the region before it belongs to that one.
        let end = if end.saturating_mul(2) > self.slots.len() { self.slots.len() } else { end };
        let slots = end.saturating_sub(start);
        let at = (slots as u64).wrapping_mul(u64::from(self.spread)) >> 32;
        self.region = Region { start, slots };
        self.at = at as usize & !(LINE - 1);
        self.left = if end == self.slots.len() { LAST_PROBES.min(slots) } else { LINE };
    }

    #[inline]
    fn next(&mut self) -> Option<&'a AtomicU32> {
        if self.left == 0 {
            let end = self.region.start.wrapping_add(self.region.slots);
            if end >= self.slots.len() {
                return None;
            }
            self.begin(end, end.saturating_mul(GROWTH));
        }
        self.left = self.left.saturating_sub(1);
        let slot = self.slots.get(self.region.start.wrapping_add(self.at));
        self.at = self.at.wrapping_add(1);
        if self.at >= self.region.slots {
            self.at = 0;
        }
        slot
    }
}

#[cfg(all(test, not(leakscope_loom)))]
mod tests {
    use super::*;

    fn slots(count: usize) -> Vec<AtomicU32> {
        (0..count).map(|_| AtomicU32::new(0)).collect()
    }

    fn hash(n: u32) -> u64 {
        (u64::from(n) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Enters `n` under its own hash; false where there is no room.
    fn enter(index: Index<'_>, n: u32) -> bool {
        match index.find(hash(n), |id| id == n) {
            Place::Empty(vacancy) => index.enter(vacancy, n, |id| id == n) == Some(n),
            Place::Found(_) => panic!("{n} is there already"),
            Place::Full => false,
        }
    }

    #[test]
    fn what_was_entered_is_found_through_all_regions() {
        for (length, ids) in [(1 << 19, 1 << 18), (1 << 16, 40_960), (100_000, 50_000), (64, 40), (3, 3)] {
            let slots = slots(length);
            let index = Index::new(&slots, ids);
            let entered: Vec<u32> = (1..ids as u32).filter(|n| enter(index, *n)).collect();
            assert!(entered.len() * 1000 >= (ids - 1) * 999, "{length}: only {} of {ids}", entered.len());
            for n in entered {
                assert!(matches!(index.find(hash(n), |id| id == n), Place::Found(found) if found == n));
            }
            assert!(!matches!(index.find(hash(1 << 30), |_| false), Place::Found(_)));
        }
    }

    #[test]
    fn few_entries_touch_few_pages() {
        let slots = slots(1 << 23);
        let index = Index::new(&slots, 6 << 20);
        assert!((1..10_000).all(|n| enter(index, n)));
        let pages = slots.chunks(1024).filter(|page| page.iter().any(|slot| slot.load(Ordering::Relaxed) != 0)).count();
        assert!(pages <= 20, "{pages}");
    }

    #[test]
    fn a_tag_spares_looks_at_others() {
        let slots = slots(1 << 16);
        let index = Index::new(&slots, 40_960);
        let looks = std::cell::Cell::new(0);
        for n in 1..30_000 {
            let is_it = |id| {
                looks.set(looks.get() + 1);
                id == n
            };
            let Place::Empty(vacancy) = index.find(hash(n), is_it) else { panic!("no room for {n}") };
            index.enter(vacancy, n, is_it);
        }
        assert!(looks.get() < 3_000, "{}", looks.get());
    }

    #[test]
    fn no_slots_have_no_room() {
        assert!(matches!(Index::new(&[], 0).find(7, |_| true), Place::Full));
        assert!(matches!(Index::new(&[], 100).find(7, |_| true), Place::Full));
    }

    /// Whatever another process writes into it: a look-up ends, and asks only for ids that fit.
    #[test]
    fn nonsense_in_the_slots_is_passed_over() {
        let slots: Vec<_> = (0..100).map(|_| AtomicU32::new(u32::MAX)).collect();
        let index = Index::new(&slots, 10);
        let place = index.find(u64::MAX, |id| {
            assert!(id < 16);
            false
        });
        assert!(matches!(place, Place::Full));
    }
}
