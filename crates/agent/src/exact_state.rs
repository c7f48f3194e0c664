//! What a thread keeps for itself where every block is recorded: there the same stacks are taken thousands of times a second, so
//! the trails of its last walks are worth their memory.
//!
//! They would be too large for the thread blocks, whose room libc takes from the threads' stacks. So a recording that begins
//! exactly reserves some for all threads. A thread takes one at its first record and has it until its end; threads that get none
//! walk without. That a thread has ended is noticed as for the table of threads: at each pthread_create two owners are asked for.
//!
//! A forked child has the one thread that forked, and another session: so all are given back before it is recorded ([`reserve`]), and who had one
//! sees by its owner that it has it no more.
#![allow(unsafe_code)] // hands out parts of a mapping

use crate::kernel;
use crate::libc_symbols::thread_id_of_libc;
use core::cell::{Cell, UnsafeCell};
use core::ops::Range;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use leakscope_unwind::Trails;

const STATES: usize = 128;
/// Owners that are asked for at each pthread_create.
const LOOKS: usize = 2;
/// Calls until a thread that got none tries again.
const PATIENCE: u16 = 4096;
const BYTES: usize = size_of::<[ExactState; STATES]>();

/// Those of all threads; null before a recording has begun exactly.
static STATES_OF_THREADS: AtomicPtr<[ExactState; STATES]> = AtomicPtr::new(core::ptr::null_mut());
/// Turn (32) and kernel id of the thread that has each (32), 0 if it is nobody's. The turn grows with each change.
static OWNERS: Owners = [const { AtomicU64::new(0) }; STATES];
type Owners = [AtomicU64; STATES];
static HAND: AtomicUsize = AtomicUsize::new(0);

/// Reserves the memory, of which only what is used becomes resident; where it lies. Not where memory of the process's own is
/// limited: it would be missing to the target.
pub(crate) fn reserve() -> Range<usize> {
    if all().is_some() {
        give_all_back(&OWNERS); // a forked child's copy: it has another session
    } else if [kernel::ADDRESS_SPACE, kernel::DATA].map(kernel::soft_limit) == [u64::MAX; 2]
        && let Ok(base) = kernel::map_private(BYTES as u64)
    {
        // Release: pairs with the Acquire in `all`.
        STATES_OF_THREADS.store(base.cast(), Ordering::Release);
    }
    range()
}

/// Where they lie.
pub(crate) fn range() -> Range<usize> {
    let start = STATES_OF_THREADS.load(Ordering::Acquire) as usize;
    start..start + if start == 0 { 0 } else { BYTES }
}

fn all() -> Option<&'static [ExactState; STATES]> {
    // SAFETY: null, or a mapping of that size, aligned to a page, which is never undone. Zeroes are valid states, and they are
    // reached by shared references only.
    unsafe { STATES_OF_THREADS.load(Ordering::Acquire).as_ref() }
}

/// The state of one thread.
#[repr(align(64))]
pub(crate) struct ExactState {
    trails: UnsafeCell<Trails>,
}

// SAFETY: the trails are reached by the owner only, see `trails`.
unsafe impl Sync for ExactState {}

impl ExactState {
    /// # Safety
    /// By the owner, while it holds its guard, and not while it has them already: calls nested in signal handlers find the
    /// guard taken. (Where a handler left a hook by longjmp the guard is forgotten, and so is what that hook had. Should a nested
    /// call be let in, on a stack of which nothing is known, then the walk that it interrupted sees it at its end.)
    #[expect(clippy::mut_from_ref, reason = "the owner's alone")]
    #[inline(always)]
    pub unsafe fn trails(&self) -> &mut Trails {
        // SAFETY: by the caller's promise nobody else has a reference.
        unsafe { &mut *self.trails.get() }
    }
}

/// Makes a state that of `tid`, or nobody's; the owner's new word, unless it is no longer `before`.
fn change(owner: &AtomicU64, before: u64, tid: u32) -> Option<u64> {
    let now = (before >> 32).wrapping_add(1) << 32 | u64::from(tid);
    // AcqRel: what was written before it was given back is there for who takes it. (What its owner wrote last is there since
    // the kernel said that the owner has ended, or has given its id to another.)
    owner.compare_exchange(before, now, Ordering::AcqRel, Ordering::Relaxed).ok().map(|_| now)
}

/// What a thread knows of its own state. All bytes zero at first.
#[derive(Clone, Copy)]
pub(crate) struct Own {
    state: Option<&'static ExactState>,
    /// What the word of its owner is for as long as it is its own, and which word that is.
    owner: u64,
    number: u16,
    /// Without a state it asks after so many calls.
    calls: u16,
}

impl Own {
    /// A new thread's.
    pub const UNKNOWN: Own = Own { state: None, owner: 0, number: 0, calls: 0 };

    fn is_still(&self) -> bool {
        OWNERS.get(usize::from(self.number)).is_some_and(|owner| owner.load(Ordering::Relaxed) == self.owner)
    }
}

/// The state of the calling thread. To be called while it holds its guard.
///
/// # Hot path
/// Calls in exact mode. Two comparisons; where there is no state yet, at times a look at all. No allocation, lock, system call
/// (where libc tells the thread's id) or panic.
#[inline(always)]
pub(crate) fn of_thread(own: &Cell<Own>) -> Option<&'static ExactState> {
    let known = own.get();
    known.state.filter(|_| known.is_still()).or_else(|| ask(own))
}

#[cold]
#[inline(never)]
fn ask(own: &Cell<Own>) -> Option<&'static ExactState> {
    let Own { state, calls, .. } = own.get();
    if state.is_none() && calls > 0 {
        own.set(Own { calls: calls.saturating_sub(1), ..Own::UNKNOWN });
        return None;
    }
    // Not the id that the thread block has: in a forked child it may be the parent's still. What libc does not know may be a
    // process of its own that shares our memory, and whose end we would not hear of.
    let is_first = || Some(kernel::tid()).filter(|tid| u64::from(*tid) == kernel::pid());
    let taken = all().and_then(|all| {
        let (number, owner) = take_one(&OWNERS, thread_id_of_libc().or_else(is_first)?)?;
        let state = all.get(number)?;
        // SAFETY: it is the caller's own now, who has just begun.
        unsafe { state.trails() }.forget();
        Some(Own { state: Some(state), owner, number: number as u16, calls: 0 })
    });
    let now = taken.unwrap_or(Own { calls: PATIENCE, ..Own::UNKNOWN });
    own.set(now);
    now.state
}

/// Takes one that is nobody's, or whose owner had the caller's id before it: that thread has ended. Its number, and its owner's
/// word from now on.
fn take_one(owners: &Owners, tid: u32) -> Option<(usize, u64)> {
    owners.iter().enumerate().find_map(|(number, owner)| {
        let before = owner.load(Ordering::Relaxed);
        let is_free = before as u32 == 0 || before as u32 == tid;
        Some((number, if is_free { change(owner, before, tid) } else { None }?))
    })
}

/// Gives those back whose owners have ended, if they are among the next that are looked at.
pub(crate) fn look_for_ended(pid: u32) {
    if all().is_none() {
        return;
    }
    for _ in 0..LOOKS {
        let Some(owner) = OWNERS.get(HAND.fetch_add(1, Ordering::Relaxed) % STATES) else { return };
        let before = owner.load(Ordering::Relaxed);
        let tid = before as u32;
        if tid != 0 && !kernel::thread_exists(pid, tid) {
            change(owner, before, 0);
        }
    }
}

fn give_all_back(owners: &Owners) {
    for owner in owners {
        change(owner, owner.load(Ordering::Relaxed), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(state: &ExactState) -> usize {
        core::ptr::from_ref(state).addr()
    }

    /// Ids from here on belong to no thread of this process.
    const ENDED: u32 = 0x7000_0000;

    #[test]
    fn each_thread_has_one_to_itself() {
        let owners: Owners = [const { AtomicU64::new(0) }; STATES];
        let take = |tid| take_one(&owners, tid).map(|(number, _)| number);
        assert_eq!([take(7), take(7)], [Some(0); 2], "who has the same id comes after it");
        let others: Vec<_> = (0..STATES as u32 - 1).map(|n| take(ENDED + n)).collect();
        assert_eq!(others, (1..STATES).map(Some).collect::<Vec<_>>());
        assert_eq!(take(1), None);
        give_all_back(&owners);
        assert_eq!(take(1), Some(0));
    }

    /// One test, for these look at what all threads of the process have.
    #[test]
    fn a_thread_has_one_until_it_ends() {
        let reserved = reserve();
        assert_eq!(reserved.len(), BYTES);
        let pid = kernel::pid() as u32;
        let own = Cell::new(Own::UNKNOWN);
        let first = of_thread(&own).map(address).expect("one is free");
        assert!(reserved.contains(&first));
        assert_eq!(of_thread(&own).map(address), Some(first));
        let (ended, word) = take_one(&OWNERS, ENDED).expect("one is free");
        (0..STATES).for_each(|_| look_for_ended(pid));
        assert_ne!(OWNERS[ended].load(Ordering::Relaxed), word, "given back");
        assert_eq!(change(&OWNERS[ended], word, 1), None, "by whoever saw it first alone");
        assert_eq!(of_thread(&own).map(address), Some(first), "the owner lives");
        // As in a forked child.
        let before = own.get();
        assert!(before.is_still() && change(&OWNERS[usize::from(before.number)], before.owner, 0).is_some());
        assert!(!before.is_still());
        assert!(of_thread(&own).is_some() && own.get().owner != before.owner, "asked anew");
    }

    #[test]
    fn who_has_none_asks_at_times() {
        let own = Cell::new(Own { calls: PATIENCE, ..Own::UNKNOWN });
        for left in (0..PATIENCE).rev() {
            assert!(of_thread(&own).is_none());
            assert_eq!(own.get().calls, left);
        }
    }

    #[test]
    fn zeroes_are_a_thread_that_does_not_know() {
        // SAFETY: what is claimed: a thread block begins as zeroes.
        let own: Own = unsafe { core::mem::zeroed() };
        assert!(own.state.is_none() && (own.owner, own.calls) == (0, 0));
    }
}
