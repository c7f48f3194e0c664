//! What the helper knows already: a set of words with a number each, in memory that is reserved and not touched before
//! it is needed.
//!
//! Segments of which each is twice the one before, as in the live table: a small set lies in a few pages, though the
//! largest may have half a million words.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Slots of the first segment.
const FIRST: usize = 1 << 12;
/// Slots looked at in each segment.
const MOST_PROBES: usize = 64;

/// A set of words other than 0 with a number each (plus 1; 0 = none), used by the helper alone.
pub(crate) struct Known<const SLOTS: usize> {
    keys: [AtomicU64; SLOTS],
    values: [AtomicU32; SLOTS],
    /// The newest segment, and how many words it holds.
    newest: AtomicU32,
    held: AtomicU32,
}

/// Where a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) slot: usize,
    pub(crate) was_there: bool,
}

/// A segment: its first slot, and how many it has.
fn segment(number: usize) -> (usize, usize) {
    (FIRST * ((1 << number) - 1), FIRST << number)
}

impl<const SLOTS: usize> Known<SLOTS> {
    pub(crate) const fn new() -> Self {
        Self {
            keys: [const { AtomicU64::new(0) }; SLOTS],
            values: [const { AtomicU32::new(0) }; SLOTS],
            newest: AtomicU32::new(0),
            held: AtomicU32::new(0),
        }
    }

    /// Finds a word, or enters it; `None` if there is no room.
    pub(crate) fn find_or_claim(&self, key: u64) -> Option<Place> {
        let newest = self.newest.load(Ordering::Relaxed) as usize;
        let mut vacant = None;
        for number in (0..=newest).rev() {
            match self.probe(number, key) {
                Ok(slot) => return Some(Place { slot, was_there: true }),
                Err(slot) if number == newest => vacant = slot,
                Err(_) => {}
            }
        }
        let (start, slots) = segment(newest);
        let is_full = self.held.load(Ordering::Relaxed) as usize >= slots / 8 * 5 || vacant.is_none();
        let (next, more) = segment(newest + 1);
        if is_full && next + more <= SLOTS {
            debug_assert_eq!(next, start + slots);
            self.newest.store(newest as u32 + 1, Ordering::Relaxed);
            self.held.store(0, Ordering::Relaxed);
            vacant = self.probe(newest + 1, key).err().flatten();
        }
        let slot = vacant?;
        self.keys.get(slot)?.store(key, Ordering::Relaxed);
        self.held.fetch_add(1, Ordering::Relaxed);
        Some(Place { slot, was_there: false })
    }

    /// The slot of a word in a segment, or else an empty one for it.
    fn probe(&self, number: usize, key: u64) -> Result<usize, Option<usize>> {
        let (start, slots) = segment(number);
        let from = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize;
        for i in 0..MOST_PROBES {
            let slot = start + (from.wrapping_add(i) & (slots - 1));
            match self.keys.get(slot).map(|word| word.load(Ordering::Relaxed)) {
                Some(0) => return Err(Some(slot)),
                Some(there) if there == key => return Ok(slot),
                Some(_) => {}
                None => return Err(None),
            }
        }
        Err(None)
    }

    /// The number of a word; `None` if it got none, because the table of the session was full.
    pub(crate) fn value(&self, slot: usize) -> Option<u32> {
        self.values.get(slot)?.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Gives a word its number.
    pub(crate) fn set_value(&self, slot: usize, value: u32) {
        if let Some(v) = self.values.get(slot) {
            v.store(value.saturating_add(1), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_key_without_a_number_is_not_number_0() {
        static KNOWN: Known<{ 1 << 12 }> = Known::new();
        let place = KNOWN.find_or_claim(77).unwrap();
        assert!(!place.was_there);
        let again = KNOWN.find_or_claim(77).unwrap();
        assert_eq!(again, Place { was_there: true, ..place });
        assert_eq!(KNOWN.value(again.slot), None, "the session's table was full");
        KNOWN.set_value(place.slot, 0);
        assert_eq!(KNOWN.value(again.slot), Some(0));
    }

    #[test]
    fn agrees_with_a_map_until_it_is_full() {
        static KNOWN: Known<{ 1 << 15 }> = Known::new();
        let mut model = HashMap::new();
        let mut lost = 0;
        for i in 0..60_000u64 {
            // Each comes twice, as aligned pointers do.
            let key = (1 + i % 30_000) * 48;
            let known = model.get(&key).copied();
            match KNOWN.find_or_claim(key) {
                Some(place) => {
                    assert_eq!(place.was_there, known.is_some());
                    match known {
                        Some(value) => assert_eq!(KNOWN.value(place.slot), Some(value)),
                        None => {
                            KNOWN.set_value(place.slot, i as u32);
                            model.insert(key, i as u32);
                        }
                    }
                }
                None => lost += 1,
            }
        }
        // Three segments of 4096, 8192 and 16384; the last one up to what its probes find.
        assert!(model.len() > 20_000, "{} held, {lost} lost", model.len());
        assert!(lost > 0 && model.len() <= 28_672);
    }

    #[test]
    fn a_small_set_lies_in_the_first_segment() {
        static KNOWN: Known<{ 1 << 15 }> = Known::new();
        for key in 1..=2000u64 {
            assert!(KNOWN.find_or_claim(key << 7).is_some_and(|place| place.slot < FIRST));
        }
    }
}
