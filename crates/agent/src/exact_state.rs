//! What a thread keeps for itself where every block is recorded: there the same stacks are taken thousands of times a second, so
//! the trails of its last walks are worth their 23 KiB.
//!
//! They would be too large for the thread blocks, whose room libc takes from the threads' stacks. So there are some for all
//! threads, in a static. A thread takes one at its first record and has it until its end, which is noticed by whoever finds
//! none that is free: it asks the kernel for two owners. Threads that get none walk without.
//!
//! A forked child has the one thread that forked, so all are given back ([`after_fork`]).
#![allow(unsafe_code)] // hands out what lies in a static

use crate::kernel;
use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::{AtomicU32, Ordering};
use leakscope_unwind::Trails;

const STATES: usize = 128;
/// Owners that are asked for where none is free.
const LOOKS: usize = 2;
/// Calls until a thread that got none tries again.
const PATIENCE: u16 = 4096;

static STATES_OF_THREADS: [ExactState; STATES] =
    [const { ExactState { owner: AtomicU32::new(NOBODY), trails: UnsafeCell::new(Trails::new()) } }; STATES];
static HAND: AtomicU32 = AtomicU32::new(0);

const NOBODY: u32 = 0;

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
    let state = find(pid, tid);
    own.set(Own { state, calls: PATIENCE });
    state
}

fn find(pid: u32, tid: u32) -> Option<&'static ExactState> {
    // One whose owner had the caller's id before it: that thread has ended.
    let is_free = |state: &&ExactState| match state.owner.load(Ordering::Relaxed) {
        owner if owner == NOBODY || owner == tid => state.take(owner, tid),
        _ => false,
    };
    STATES_OF_THREADS.iter().find(is_free).or_else(|| {
        (0..LOOKS).find_map(|_| {
            let state = STATES_OF_THREADS.get(HAND.fetch_add(1, Ordering::Relaxed) as usize % STATES)?;
            let owner = state.owner.load(Ordering::Relaxed);
            (!kernel::thread_exists(pid, owner) && state.take(owner, tid)).then_some(state)
        })
    })
}

/// A forked child has one thread, which has not asked yet.
pub(crate) fn after_fork() {
    // Release: pairs with the Acquire in `take`.
    STATES_OF_THREADS.iter().for_each(|state| state.owner.store(NOBODY, Ordering::Release));
}
