//! The ring: a lock-free multi-producer, single-consumer queue of fixed 64-byte records.
//!
//! Contract:
//! - a producer reserves a position by CAS on `head`, fills the slot, and publishes it; it never waits. Full means
//!   drop and count.
//! - a slot is valid for position `p` only when its stamp says so, and the stamp is published with release after the
//!   payload: stale bytes never look valid.
//! - the one consumer reads in order and frees slots by moving `tail`.
//! - a producer may die between reserve and publish (SIGKILL, or a thread torn down). The consumer may then `skip`
//!   the position; should the producer only have been slow, its publish fails, and where its stores have torn the
//!   payload of the next generation the checksum shows it.
//!
//! ```text
//!   slot:  stamp | word 0 .. word 5 | check          stamp = p + 1 when published, | SKIPPED when skipped
//! ```
//! The ring carries what the tables cannot: order, lifetimes, churn. It is never the source of the live set.

use crate::sync::{AtomicU64, Ordering};

/// 64-bit words of a slot.
pub const SLOT_WORDS: usize = 8;
/// 64-bit words of a record's payload.
pub const PAYLOAD_WORDS: usize = 6;
const SKIPPED: u64 = 1 << 63;

/// The payload of a record.
pub type Payload = [u64; PAYLOAD_WORDS];

/// A view of a ring. `slots.len()` is `SLOT_WORDS` times a power of two.
#[derive(Clone, Copy)]
pub struct Ring<'a> {
    head: &'a AtomicU64,
    tail: &'a AtomicU64,
    slots: &'a [AtomicU64],
    capacity: u64,
}

/// What the consumer found at the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Popped {
    /// A record.
    Record(Payload),
    /// A published record whose payload was torn by a producer that had been skipped.
    Torn,
    /// Nothing is reserved.
    Empty,
    /// The next position is reserved and not published yet: try again later, or [`Ring::skip`].
    Pending,
}

impl<'a> Ring<'a> {
    /// A view over `head`, `tail` and the slots' words. The capacity is rounded down to a power of two; with less
    /// than one slot every push is dropped.
    pub fn new(head: &'a AtomicU64, tail: &'a AtomicU64, slots: &'a [AtomicU64]) -> Self {
        let count = slots.len() / SLOT_WORDS;
        let capacity = if count == 0 { 0 } else { 1 << count.ilog2() };
        Self { head, tail, slots, capacity }
    }

    /// Appends a record; `false` if the ring is full and it was dropped.
    ///
    /// # Hot path
    /// Sampled calls only. No allocation, lock, system call or panic; safe in signal handlers.
    pub fn push(&self, payload: &Payload) -> bool {
        let Some(position) = self.reserve() else {
            return false;
        };
        self.publish(position, payload)
    }

    /// Calls `visit` for the slot of the next record, most probably, so that the processor can be told beforehand.
    #[inline(always)]
    pub fn for_next_place(&self, visit: impl Fn(&'a AtomicU64)) {
        if let Some(stamp) = self.slot(self.head.load(Ordering::Relaxed)).and_then(<[_]>::first) {
            visit(stamp);
        }
    }

    /// Takes a position, or `None` if the ring is full.
    pub fn reserve(&self) -> Option<u64> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // Acquire: pairs with the Release store of `tail` in `advance`: the consumer has finished reading the
            // slot before we write into it.
            let tail = self.tail.load(Ordering::Acquire);
            if head.wrapping_sub(tail) >= self.capacity {
                return None;
            }
            match self.head.compare_exchange_weak(head, head.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(head),
                Err(now) => head = now,
            }
        }
    }

    /// Fills and publishes a reserved position; `false` if the consumer has given it up meanwhile.
    pub fn publish(&self, position: u64, payload: &Payload) -> bool {
        let Some(slot) = self.slot(position) else {
            return false;
        };
        let Some((stamp, words)) = slot.split_first() else {
            return false;
        };
        let before = stamp.load(Ordering::Relaxed);
        if before & !SKIPPED > position {
            return false; // skipped already
        }
        for (word, value) in words.iter().zip(payload.iter().chain([&check(position, payload)])) {
            word.store(*value, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire load in `pop`: whoever sees the stamp sees the payload.
        stamp.compare_exchange(before, position.wrapping_add(1), Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Takes the record at the tail. One consumer only.
    pub fn pop(&self) -> Popped {
        let tail = self.tail.load(Ordering::Relaxed);
        let head = self.head.load(Ordering::Acquire);
        if tail == head {
            return Popped::Empty;
        }
        let Some((stamp, words)) = self.slot(tail).and_then(|slot| slot.split_first()) else {
            return Popped::Empty;
        };
        // Acquire: pairs with the Release in `publish`.
        let stamp = stamp.load(Ordering::Acquire);
        if stamp == tail.wrapping_add(1) | SKIPPED {
            self.advance(tail);
            return Popped::Torn;
        }
        if stamp != tail.wrapping_add(1) {
            return Popped::Pending;
        }
        let mut payload = [0; PAYLOAD_WORDS];
        for (value, word) in payload.iter_mut().zip(words) {
            *value = word.load(Ordering::Relaxed);
        }
        let stored = words.get(PAYLOAD_WORDS).map_or(0, |word| word.load(Ordering::Relaxed));
        self.advance(tail);
        if stored == check(tail, &payload) { Popped::Record(payload) } else { Popped::Torn }
    }

    /// Gives up the position at the tail, whose producer seems dead. One consumer only.
    pub fn skip(&self) {
        let tail = self.tail.load(Ordering::Relaxed);
        if tail == self.head.load(Ordering::Acquire) {
            return;
        }
        let Some((stamp, _)) = self.slot(tail).and_then(|slot| slot.split_first()) else {
            return;
        };
        let before = stamp.load(Ordering::Relaxed);
        if before == tail.wrapping_add(1) {
            return; // published meanwhile: pop it
        }
        // A producer that publishes from here on fails its own compare-exchange.
        let mark = tail.wrapping_add(1) | SKIPPED;
        if stamp.compare_exchange(before, mark, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.advance(tail);
        }
    }

    /// Records reserved and not yet taken.
    pub fn len(&self) -> u64 {
        self.head.load(Ordering::Relaxed).wrapping_sub(self.tail.load(Ordering::Relaxed))
    }

    /// Whether nothing is reserved.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records that fit.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    fn advance(&self, tail: u64) {
        // Release: pairs with the Acquire load in `reserve`.
        self.tail.store(tail.wrapping_add(1), Ordering::Release);
    }

    fn slot(&self, position: u64) -> Option<&'a [AtomicU64]> {
        let index = (position & self.capacity.wrapping_sub(1)) as usize;
        let start = index.checked_mul(SLOT_WORDS)?;
        self.slots.get(start..start.checked_add(SLOT_WORDS)?)
    }
}

/// Mixes position and payload so that a torn record is not taken for a whole one.
fn check(position: u64, payload: &Payload) -> u64 {
    let mut sum = position ^ 0x9E37_79B9_7F4A_7C15;
    for word in payload {
        sum = (sum ^ word).wrapping_mul(0xBF58_476D_1CE4_E5B9).rotate_left(29);
    }
    sum
}

#[cfg(all(test, not(leakscope_loom)))]
mod tests {
    use super::*;

    struct Memory {
        head: AtomicU64,
        tail: AtomicU64,
        slots: Vec<AtomicU64>,
    }

    impl Memory {
        fn new(capacity: usize) -> Self {
            let slots = (0..capacity * SLOT_WORDS).map(|_| AtomicU64::new(0)).collect();
            Self { head: AtomicU64::new(0), tail: AtomicU64::new(0), slots }
        }
        fn ring(&self) -> Ring<'_> {
            Ring::new(&self.head, &self.tail, &self.slots)
        }
    }

    #[test]
    fn keeps_order_through_many_generations() {
        let memory = Memory::new(8);
        let ring = memory.ring();
        let mut next = 0;
        for i in 0..100u64 {
            assert!(ring.push(&[i, 0, 0, 0, 0, 0]));
            if i % 3 != 0 {
                while let Popped::Record(record) = ring.pop() {
                    assert_eq!(record[0], next);
                    next += 1;
                }
            }
        }
        assert!(next >= 98, "{next}");
    }

    #[test]
    fn drops_when_full_and_goes_on() {
        let memory = Memory::new(4);
        let ring = memory.ring();
        let accepted = (0..10).filter(|&i| ring.push(&[i; 6])).count();
        assert_eq!(accepted, 4);
        assert_eq!(ring.pop(), Popped::Record([0; 6]));
        assert!(ring.push(&[77; 6]));
    }

    #[test]
    fn a_dead_producer_is_skipped_and_a_slow_one_is_refused() {
        let memory = Memory::new(4);
        let ring = memory.ring();
        let slow = ring.reserve().unwrap();
        assert!(ring.push(&[1; 6]));
        assert_eq!(ring.pop(), Popped::Pending);
        ring.skip();
        assert_eq!(ring.pop(), Popped::Record([1; 6]));
        assert!(!ring.publish(slow, &[9; 6]), "the consumer gave it up");
        for i in 2..6 {
            assert!(ring.push(&[i; 6]));
        }
        for i in 2..6 {
            assert_eq!(ring.pop(), Popped::Record([i; 6]));
        }
        assert_eq!(ring.pop(), Popped::Empty);
    }

    #[test]
    fn many_producers_lose_nothing_that_was_accepted() {
        let memory = Memory::new(64);
        let ring = memory.ring();
        let (accepted, taken) = std::thread::scope(|scope| {
            let producers: Vec<_> = (0..4u64)
                .map(|t| scope.spawn(move || (0..20_000u64).filter(|&i| ring.push(&[t, i, t ^ i, 0, 0, 0])).count()))
                .collect();
            let mut taken = 0;
            let mut last = [None; 4];
            loop {
                let done = producers.iter().all(|p| p.is_finished());
                match ring.pop() {
                    Popped::Record([t, i, x, ..]) => {
                        assert_eq!(x, t ^ i);
                        assert!(last[t as usize] < Some(i), "order of one producer");
                        last[t as usize] = Some(i);
                        taken += 1;
                    }
                    Popped::Torn => panic!("torn without a skip"),
                    _ if done && ring.is_empty() => break,
                    _ => std::thread::yield_now(),
                }
            }
            (producers.into_iter().map(|p| p.join().unwrap()).sum::<usize>(), taken)
        });
        assert_eq!(accepted, taken);
    }
}
