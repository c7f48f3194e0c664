//! The thread table: every thread that is live, each recorded exactly, with the stack of whoever created it.
//!
//! ```text
//!   slot (6 words):  generation (62) state (2) | stack (32) epoch (32) | stack bytes | birth_ms | kernel id | first sp
//!   state:           EMPTY > RESERVED (by the creator, until pthread_create has succeeded) > LIVE > EMPTY
//! ```
//! The creator claims a slot before it creates the thread and publishes it afterwards; a thread that could not be made
//! leaves nothing. The new thread itself writes its kernel id and where its stack begins. That a thread has ended is noticed by its id: whoever
//! asks the kernel and hears that there is no such thread retires the slot ([`ThreadTable::retire`]).

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// Words of a slot.
pub const THREAD_WORDS: usize = 6;

const STATE: u64 = 3;
const EMPTY: u64 = 0;
const RESERVED: u64 = 1;
const LIVE: u64 = 2;
const GENERATION: u64 = 4;

/// A thread that was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thread {
    /// Id of its creator's stack in the depot.
    pub stack: u32,
    /// Epoch of its birth.
    pub epoch: u32,
    /// Bytes reserved for its own stack.
    pub stack_bytes: u64,
    /// Birth, milliseconds since recording started.
    pub birth_ms: u64,
    /// Its kernel id as the target sees it; 0 until it has run.
    pub tid: u32,
    /// Its stack pointer at its start, near the upper end of its stack; 0 until it has run.
    pub first_sp: u64,
}

/// One life of a slot: what a reader may remember about a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThreadKey {
    /// The slot.
    pub slot: u32,
    state: u64,
}

/// A view of the table.
#[derive(Clone, Copy)]
pub struct ThreadTable<'a> {
    /// [`THREAD_WORDS`] for each slot.
    pub slots: &'a [AtomicU64],
    /// High-water mark: slots ever used.
    pub used: &'a AtomicU32,
    /// Where the next look for threads that have ended begins.
    pub hand: &'a AtomicU32,
}

impl<'a> ThreadTable<'a> {
    /// Slots ever used; for readers, not beyond the table.
    pub fn used(&self) -> usize {
        (self.used.load(Ordering::Acquire) as usize).min(self.slots.len() / THREAD_WORDS)
    }

    /// Claims a slot for a thread that is about to be created; `None` if there is no room.
    ///
    /// # Hot path
    /// No allocation, lock, system call or panic; safe in signal handlers. Reads slots until one is empty.
    pub fn claim(&self) -> Option<u32> {
        let slot = (0..self.slots.len() / THREAD_WORDS).find(|&slot| {
            let Some([state, ..]) = self.words(slot as u32) else { return false };
            let word = state.load(Ordering::Relaxed);
            word & STATE == EMPTY
                // Acquire: pairs with the Release that emptied the slot.
                && state.compare_exchange(word, word | RESERVED, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })? as u32;
        // Release fence: who sees the words of the new life also sees the RESERVED state; pairs with `read`.
        fence(Ordering::Release);
        if let Some([.., tid, first_sp]) = self.words(slot) {
            tid.store(0, Ordering::Relaxed);
            first_sp.store(0, Ordering::Relaxed);
        }
        self.used.fetch_max(slot + 1, Ordering::AcqRel);
        Some(slot)
    }

    /// The thread of a claimed slot exists: publishes it. What the thread itself has written stays.
    pub fn publish(&self, slot: u32, thread: &Thread) {
        let Some([state, stack, bytes, birth, ..]) = self.words(slot) else { return };
        stack.store(u64::from(thread.stack) << 32 | u64::from(thread.epoch), Ordering::Relaxed);
        bytes.store(thread.stack_bytes, Ordering::Relaxed);
        birth.store(thread.birth_ms, Ordering::Relaxed);
        let generation = state.load(Ordering::Relaxed) & !STATE;
        // Release: pairs with the Acquire in `read`.
        state.store(generation.wrapping_add(GENERATION) | LIVE, Ordering::Release);
    }

    /// The thread of a claimed slot could not be created.
    pub fn abandon(&self, slot: u32) {
        if let Some([state, ..]) = self.words(slot) {
            // Release: pairs with the Acquire in `claim`.
            state.store((state.load(Ordering::Relaxed) & !STATE).wrapping_add(GENERATION) | EMPTY, Ordering::Release);
        }
    }

    /// The new thread runs, and says its kernel id and its stack pointer.
    pub fn started(&self, slot: u32, tid: u32, sp: u64) {
        if let Some([.., id, first_sp]) = self.words(slot) {
            first_sp.store(sp, Ordering::Relaxed);
            // Release: pairs with the Acquire in `read`.
            id.store(u64::from(tid), Ordering::Release);
        }
    }

    /// The thread in a slot, if one is live there.
    pub fn read(&self, slot: u32) -> Option<(ThreadKey, Thread)> {
        let [state, stack, bytes, birth, tid, first_sp] = self.words(slot)?;
        let before = state.load(Ordering::Acquire);
        if before & STATE != LIVE {
            return None;
        }
        let word = stack.load(Ordering::Relaxed);
        let thread = Thread {
            stack: (word >> 32) as u32,
            epoch: word as u32,
            stack_bytes: bytes.load(Ordering::Relaxed),
            birth_ms: birth.load(Ordering::Relaxed),
            tid: tid.load(Ordering::Acquire) as u32,
            first_sp: first_sp.load(Ordering::Relaxed),
        };
        // Acquire fence: pairs with the Release fence in `claim`.
        fence(Ordering::Acquire);
        // A slot that changed under the read holds a thread that ended, or that is younger than this look.
        (state.load(Ordering::Relaxed) == before).then_some((ThreadKey { slot, state: before }, thread))
    }

    /// Empties the slot of a thread that has ended; exactly one caller is told so.
    pub fn retire(&self, key: ThreadKey) -> bool {
        let Some([state, ..]) = self.words(key.slot) else { return false };
        let next = (key.state & !STATE).wrapping_add(GENERATION) | EMPTY;
        // Release: pairs with the Acquire in `claim`.
        state.compare_exchange(key.state, next, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Calls `visit` for each live thread, while the target goes on.
    pub fn scan(&self, mut visit: impl FnMut(ThreadKey, Thread)) {
        for slot in 0..self.used() as u32 {
            if let Some((key, thread)) = self.read(slot) {
                visit(key, thread);
            }
        }
    }

    /// The next slot to be looked at, in turn.
    pub fn next_in_turn(&self) -> Option<u32> {
        let used = self.used() as u32;
        self.hand.fetch_add(1, Ordering::Relaxed).checked_rem(used)
    }

    fn words(&self, slot: u32) -> Option<&'a [AtomicU64; THREAD_WORDS]> {
        self.slots.get(slot as usize * THREAD_WORDS..)?.first_chunk()
    }
}

#[cfg(all(test, not(leakscope_loom)))]
mod tests {
    use super::*;

    fn with_table(slots: usize, check: impl FnOnce(ThreadTable<'_>)) {
        let words: Vec<_> = (0..slots * THREAD_WORDS).map(|_| AtomicU64::new(0)).collect();
        let (used, hand) = (AtomicU32::new(0), AtomicU32::new(0));
        check(ThreadTable { slots: &words, used: &used, hand: &hand });
    }

    fn thread(n: u32) -> Thread {
        Thread {
            stack: n,
            epoch: n + 1,
            stack_bytes: u64::from(n) << 20,
            birth_ms: u64::from(n) * 7,
            tid: n + 100,
            first_sp: u64::from(n) << 12,
        }
    }

    fn create(table: &ThreadTable<'_>, n: u32) -> Option<u32> {
        let slot = table.claim()?;
        table.started(slot, n + 100, u64::from(n) << 12);
        table.publish(slot, &thread(n));
        Some(slot)
    }

    #[test]
    fn a_thread_is_there_from_its_creation_to_its_end() {
        with_table(2, |table| {
            let slot = table.claim().unwrap();
            assert_eq!(table.read(slot), None, "not created yet");
            table.abandon(slot);
            let slot = create(&table, 1).unwrap();
            assert_eq!(slot, 0, "a failed creation leaves nothing");
            create(&table, 2).unwrap();
            assert_eq!(create(&table, 3), None, "full");
            let (key, seen) = table.read(slot).unwrap();
            assert_eq!(seen, thread(1));
            assert!(table.retire(key) && !table.retire(key));
            assert_eq!(create(&table, 4), Some(slot));
            assert!(!table.retire(key), "another life of the slot");
            let mut live = Vec::new();
            table.scan(|_, thread| live.push(thread));
            assert_eq!(live, [thread(4), thread(2)]);
            assert_eq!([table.next_in_turn(), table.next_in_turn(), table.next_in_turn()], [Some(0), Some(1), Some(0)]);
        });
    }

    #[test]
    fn nonsense_in_shared_memory_ends() {
        with_table(2, |table| {
            table.used.store(u32::MAX, Ordering::Relaxed);
            table.slots.iter().for_each(|word| word.store(u64::MAX, Ordering::Relaxed));
            table.scan(|_, _| {});
            assert_eq!(table.claim(), None);
            assert_eq!(table.read(u32::MAX), None);
            table.publish(77, &thread(1));
        });
    }

    #[test]
    fn threads_that_create_and_retire_at_once_lose_none() {
        with_table(16, |table| {
            std::thread::scope(|scope| {
                for t in 0..4u32 {
                    scope.spawn(move || {
                        for i in 0..20_000 {
                            let n = i << 2 | t;
                            let slot = create(&table, n).expect("room for all");
                            let (key, seen) = table.read(slot).expect("live");
                            assert_eq!(seen, thread(n));
                            assert!(table.retire(key));
                        }
                    });
                }
            });
            table.scan(|_, thread| panic!("{thread:?} is left"));
        });
    }
}
