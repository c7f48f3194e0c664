//! What a thread keeps for itself where every block is recorded: there the same stacks are taken thousands of times a second, so
//! the trails of its last walks are worth their memory.
//!
//! They would be too large for the thread blocks, whose room libc takes from the threads' stacks. So a recording that begins
//! exactly reserves some for all threads. A thread takes one at its first record and has it until its end, which is noticed by
//! whoever finds none that is free: it asks the kernel for two owners. Threads that get none walk without.
//!
//! A forked child has the one thread that forked, so all are given back ([`after_fork`]).
#![allow(unsafe_code)] // hands out parts of a mapping

use crate::kernel;
use core::cell::{Cell, UnsafeCell};
use core::ops::Range;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use leakscope_unwind::Trails;

const STATES: usize = 128;
/// Owners that are asked for where none is free.
const LOOKS: usize = 2;
/// Calls until a thread that got none tries again.
const PATIENCE: u16 = 4096;
const BYTES: usize = size_of::<[ExactState; STATES]>();

/// Those of all threads; null before a recording has begun exactly.
static STATES_OF_THREADS: AtomicPtr<[ExactState; STATES]> = AtomicPtr::new(core::ptr::null_mut());
static HAND: AtomicU32 = AtomicU32::new(0);

const NOBODY: u32 = 0;

/// Reserves the memory, of which only what is used becomes resident. Where the kernel has none, threads go without.
pub(crate) fn reserve() {
    if all().is_some() {
        return; // a forked child has a copy
    }
    if let Ok(base) = kernel::map_private(BYTES as u64) {
        // Release: pairs with the Acquire in `all`.
        STATES_OF_THREADS.store(base.cast(), Ordering::Release);
    }
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
    /// Kernel id of the thread.
    owner: AtomicU32,
    trails: UnsafeCell<Trails>,
}

// SAFETY: the trails are reached by the owner only, see `trails`; the rest is atomic.
unsafe impl Sync for ExactState {}

impl ExactState {
    /// # Safety
    /// By the owner, while it holds its guard, and not while it has them already: calls nested in signal handlers find the
    /// guard taken. (Where a handler left a hook by longjmp the guard is forgotten, and so is what that hook had.)
    #[expect(clippy::mut_from_ref, reason = "the owner's alone")]
    #[inline(always)]
    pub unsafe fn trails(&self) -> &mut Trails {
        // SAFETY: by the caller's promise nobody else has a reference.
        unsafe { &mut *self.trails.get() }
    }

    fn take(&self, from: u32, tid: u32) -> bool {
        // Acquire: pairs with the Release of the one who had it before, or gave it back.
        let is_taken = self.owner.compare_exchange(from, tid, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if is_taken {
            // SAFETY: it is the caller's own now, who has just begun.
            unsafe { self.trails() }.forget();
        }
        is_taken
    }
}

/// What a thread knows of its own state. All bytes zero at first.
#[derive(Clone, Copy)]
pub(crate) struct Own {
    /// Its own until it ends.
    state: Option<&'static ExactState>,
    /// Without one it asks after so many calls.
    calls: u16,
}

impl Own {
    /// A new thread's.
    pub const UNKNOWN: Own = Own { state: None, calls: 0 };
}

/// The state of the calling thread, of which `ids` are the process's and its own. To be called while it holds its guard.
///
/// # Hot path
/// Calls in exact mode. A comparison; where there is no state yet, at times up to [`LOOKS`] system calls. No allocation, lock
/// or panic.
#[inline(always)]
pub(crate) fn of_thread(own: &Cell<Own>, ids: impl FnOnce() -> (u32, u32)) -> Option<&'static ExactState> {
    own.get().state.or_else(|| ask(own, ids()))
}

#[cold]
#[inline(never)]
fn ask(own: &Cell<Own>, (pid, tid): (u32, u32)) -> Option<&'static ExactState> {
    let calls = own.get().calls;
    if calls > 0 {
        own.set(Own { state: None, calls: calls.saturating_sub(1) });
        return None;
    }
    let state = all().and_then(|all| find(all, pid, tid));
    own.set(Own { state, calls: PATIENCE });
    state
}

fn find(all: &'static [ExactState; STATES], pid: u32, tid: u32) -> Option<&'static ExactState> {
    // One whose owner had the caller's id before it: that thread has ended.
    let is_free = |state: &&ExactState| match state.owner.load(Ordering::Relaxed) {
        owner if owner == NOBODY || owner == tid => state.take(owner, tid),
        _ => false,
    };
    all.iter().find(is_free).or_else(|| {
        (0..LOOKS).find_map(|_| {
            let state = all.get(HAND.fetch_add(1, Ordering::Relaxed) as usize % STATES)?;
            let owner = state.owner.load(Ordering::Relaxed);
            (!kernel::thread_exists(pid, owner) && state.take(owner, tid)).then_some(state)
        })
    })
}

/// A forked child has one thread, which has not asked yet.
pub(crate) fn after_fork() {
    // Release: pairs with the Acquire in `take`.
    all().into_iter().flatten().for_each(|state| state.owner.store(NOBODY, Ordering::Release));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(state: &ExactState) -> usize {
        core::ptr::from_ref(state).addr()
    }

    #[test]
    fn each_thread_has_one_to_itself_until_it_ends() {
        // SAFETY: zeroes that stay.
        let all = unsafe { &*kernel::map_private(BYTES as u64).unwrap().cast::<[ExactState; STATES]>() };
        let find = |tid| find(all, kernel::pid() as u32, tid).map(address);
        let living = kernel::tid();
        let state = find(living).expect("one is free");
        assert_eq!(find(living), Some(state), "who has the same id comes after it");
        // Ids that no thread of this process has.
        let mut taken: Vec<_> = (0..STATES as u32 - 1).map(|n| find(0x7000_0000 + n).expect("one is free")).collect();
        taken.push(state);
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), STATES, "each to itself");
        // None is free: those of threads that have ended are taken, never that of a living one.
        let late: Vec<_> = (0..10 * STATES as u32).filter_map(|n| find(0x7100_0000 + n)).collect();
        assert!(late.len() > 9 * STATES && !late.contains(&state), "{}", late.len());
        all.iter().for_each(|state| state.owner.store(living, Ordering::Relaxed));
        assert_eq!(find(1), None, "all owners live");
    }

    #[test]
    fn who_has_none_asks_at_times() {
        let own = Cell::new(Own { state: None, calls: PATIENCE });
        for left in (0..PATIENCE).rev() {
            assert!(ask(&own, (1, 1)).is_none());
            assert_eq!(own.get().calls, left);
        }
    }

    #[test]
    fn memory_is_reserved_once() {
        reserve();
        let reserved = range();
        reserve();
        assert_eq!((range(), reserved.len()), (reserved.clone(), BYTES));
        let own = Cell::new(Own::UNKNOWN);
        let first = of_thread(&own, || (kernel::pid() as u32, kernel::tid())).map(address).expect("one is free");
        assert!(reserved.contains(&first));
        assert_eq!(of_thread(&own, || panic!("it knows")).map(address), Some(first));
    }

    #[test]
    fn zeroes_are_a_thread_that_does_not_know() {
        // SAFETY: what is claimed: a thread block begins as zeroes.
        let own: Own = unsafe { core::mem::zeroed() };
        assert!(own.state.is_none() && own.calls == 0);
    }
}
