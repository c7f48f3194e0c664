//! Trails of the threads' last walks, for recordings of every block: there the same callers are walked through thousands of
//! times a second.
//!
//! They would be too large for the thread blocks, whose room libc takes from the threads' stacks. So there are some for all
//! threads; one that is in use is passed by. Whoever left a hook by longjmp keeps its own for ever, and so does, in a forked
//! child, a thread that was in a hook: then those who share it walk without.
#![allow(unsafe_code)] // lends out what lies in a static

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use leakscope_unwind::Trail;

const SLOTS: usize = 64;

static TRAILS: [Slot; SLOTS] =
    [const { Slot { is_lent: AtomicBool::new(false), trail: UnsafeCell::new(Trail::new()) } }; SLOTS];

#[repr(align(64))]
struct Slot {
    is_lent: AtomicBool,
    trail: UnsafeCell<Trail>,
}

// SAFETY: the trail is reached through `Lent` only, of which there is one at a time.
unsafe impl Sync for Slot {}

/// A trail, for as long as this lives.
pub(crate) struct Lent(&'static Slot);

impl Lent {
    /// That of the last walk of the thread with this id, if nobody has it.
    ///
    /// # Hot path
    /// Sampled calls only. One atomic exchange. No allocation, lock, system call or panic; safe in signal handlers.
    #[inline]
    pub fn to_thread(tid: u32) -> Option<Lent> {
        let slot = TRAILS.get(tid as usize % SLOTS)?;
        // Acquire: pairs with the Release in `drop`, in the thread that had it before.
        // One that is made is given back when it is dropped: none may be made where the flag was another's.
        (!slot.is_lent.swap(true, Ordering::Acquire)).then(|| Lent(slot))
    }
}

impl AsMut<Trail> for Lent {
    #[inline(always)]
    fn as_mut(&mut self) -> &mut Trail {
        // SAFETY: whoever set the flag has the trail alone until it is cleared, which is when this is dropped.
        unsafe { &mut *self.0.trail.get() }
    }
}

impl Drop for Lent {
    #[inline]
    fn drop(&mut self) {
        self.0.is_lent.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_is_lent_to_one_at_a_time() {
        let outer = Lent::to_thread(7);
        let refused = [(); 3].map(|()| Lent::to_thread(7 + SLOTS as u32).is_none());
        assert!(outer.is_some() && refused == [true; 3] && Lent::to_thread(8).is_some());
        drop(outer);
        assert!(Lent::to_thread(7).is_some());
    }
}
