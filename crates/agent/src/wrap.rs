//! The rules of order around each allocation call. The real call is a parameter.
//!
//! - An allocation is entered after the real call and before its address is returned.
//! - An entry leaves **before** the real free: afterwards another thread may be handed the address, and enter it,
//!   first.
//! - A reallocation marks the entry busy before the real call, restores it on failure, and treats the result as a new
//!   allocation of the new size.
//! - Removal is not gated by the re-entrancy guard: a block that is freed inside leakscope is gone all the same.
#![allow(unsafe_code)] // the counter is changed in place, as the naked entries do

use crate::Caller;
use crate::recorder::{Published, Recorder, SampledBlock};
use crate::thread::{self, IDLE_GAP_BYTES, ThreadBlock};
use crate::{arena::Arena, libc_symbols::KeepErrno};
use core::ffi::c_void;
use leakscope_sampling::{Interval, Sampler};

/// A pointer as the C functions hand it out.
pub type Pointer = *mut c_void;

/// Charges an allocation to the calling thread; true when its sampler chooses it (or the thread is new).
///
/// # Hot path
/// A subtraction on the thread's own cache line. No allocation, lock, system call or panic; signal-safe.
#[inline(always)]
pub fn charge(size: usize) -> bool {
    let sampler = thread::current().sampler.as_ptr();
    // A size that is no i64 would be added, and the thread not sampled for exabytes.
    let bytes = i64::try_from(size.max(1)).unwrap_or(i64::MAX);
    // SAFETY: the thread's own sampler; no reference to it is held across this statement.
    unsafe {
        (*sampler).counter = (*sampler).counter.saturating_sub(bytes);
        (*sampler).counter <= 0
    }
}

/// Makes a real call that comes to the shim again with the same size (see [`crate::comes_back::Call`]), so that it is charged
/// once: the second charge is given back beforehand, and does not use the counter up.
#[inline(never)]
pub fn charged_again(size: usize, real: impl FnOnce() -> Pointer) -> Pointer {
    let sampler = thread::current().sampler.as_ptr();
    let bytes = i64::try_from(size.max(1)).unwrap_or(i64::MAX);
    // SAFETY: the thread's own sampler; no reference to it is held across these statements. So below.
    unsafe { (*sampler).counter = (*sampler).counter.saturating_add(bytes) };
    let address = real();
    if address.is_null() {
        // It may have failed before it came.
        // SAFETY: as above.
        unsafe { (*sampler).counter = (*sampler).counter.saturating_sub(bytes) };
    }
    address
}

impl Recorder {
    /// An allocation that [`charge`] (or the naked entry) chose: makes the real call and enters the block.
    #[inline(never)]
    pub fn allocate(&self, size: usize, caller: Caller, real: impl FnOnce() -> Pointer) -> Pointer {
        let thread = thread::current();
        let Some(published) = self.recording().or_else(|| self.after_fork(thread)) else {
            self.idle(thread);
            return real();
        };
        let Some(interval) = self.choose(published, thread, size) else {
            return real();
        };
        let Some(_guard) = thread.enter(caller) else {
            let address = real();
            if !address.is_null() {
                thread.count_skipped(&published.session.losses);
            }
            return address;
        };
        let address = real();
        if !address.is_null() {
            let _errno = KeepErrno::new();
            self.enter(published, thread, SampledBlock { address: address as usize, size, interval }, caller);
        }
        address
    }

    /// Whether `address` may have to be taken out before it is freed. `false` is certain.
    #[inline(always)]
    pub fn may_hold(&self, address: Pointer) -> bool {
        self.filter.may_hold(address as usize)
    }

    /// Takes a block out that passed the filter; false if it must not reach the real free (an early block).
    #[inline(never)]
    pub fn release(&self, arena: &Arena, address: Pointer) -> bool {
        if arena.owns(address as usize) {
            return false;
        }
        if let Some(published) = self.recording() {
            self.leave(published, thread::current(), address as usize);
        }
        true
    }

    /// `realloc(address, size)`, of which the size is charged and `chosen` or not.
    pub fn reallocate(
        &self,
        arena: &Arena,
        address: Pointer,
        size: usize,
        chosen: bool,
        caller: Caller,
        real: impl FnOnce(Pointer, usize) -> Pointer,
    ) -> Pointer {
        let held = !address.is_null() && self.may_hold(address);
        if !chosen && !held {
            return real(address, size);
        }
        if held && arena.owns(address as usize) {
            return self.move_out(arena, address, size, real);
        }
        let thread = thread::current();
        match self.recording().or_else(|| if chosen { self.after_fork(thread) } else { None }) {
            Some(published) => self.reallocate_recorded(published, address, size, chosen, caller, real),
            None => {
                if chosen {
                    self.idle(thread);
                }
                real(address, size)
            }
        }
    }

    #[inline(never)]
    fn reallocate_recorded(
        &self,
        published: &Published,
        address: Pointer,
        size: usize,
        chosen: bool,
        caller: Caller,
        real: impl FnOnce(Pointer, usize) -> Pointer,
    ) -> Pointer {
        let thread = thread::current();
        let interval = if chosen { self.choose(published, thread, size) } else { None };
        let guard = thread.enter(caller);
        let busy = published.session.live.mark_busy(address as usize);
        let result = real(address, size);
        let _errno = KeepErrno::new();
        // A forked child (see `enter`) must not touch its parent's entry.
        if let Some(busy) = busy.filter(|_| self.is_current(published)) {
            // With size 0 null means that the block was freed.
            if result.is_null() && size != 0 {
                published.session.live.restore(busy);
            } else {
                self.leave_busy(published, thread, address as usize, &busy);
            }
        }
        match (interval, guard.is_some(), result.is_null()) {
            (Some(interval), true, false) => {
                self.enter(published, thread, SampledBlock { address: result as usize, size, interval }, caller);
            }
            (Some(_), false, _) => thread.count_skipped(&published.session.losses),
            _ => {}
        }
        result
    }

    /// Moves an early block to the real heap.
    fn move_out(
        &self,
        arena: &Arena,
        address: Pointer,
        size: usize,
        real: impl FnOnce(Pointer, usize) -> Pointer,
    ) -> Pointer {
        let result = real(core::ptr::null_mut(), size);
        if !result.is_null() {
            let bytes = arena.size_of(address as usize).min(size);
            // SAFETY: the early block holds at least its own size, the new one at least `size`; they are apart.
            unsafe { core::ptr::copy_nonoverlapping(address.cast::<u8>(), result.cast::<u8>(), bytes) };
        }
        result
    }

    /// The sampler's verdict on an allocation whose charge brought the counter below 1.
    #[inline(always)]
    fn choose(&self, published: &Published, thread: &ThreadBlock, size: usize) -> Option<Interval> {
        let current = published.interval();
        if current.is_exact() && thread.crosses_always() {
            return Some(current);
        }
        self.draw(published, thread, size, current)
    }

    #[inline(never)]
    fn draw(&self, published: &Published, thread: &ThreadBlock, size: usize, current: Interval) -> Option<Interval> {
        let mut sampler = thread.sampler();
        let chosen = if sampler.is_started() {
            Some(sampler.after_crossing(current))
        } else {
            // A new thread, or one that was idle: draw first, then charge this allocation.
            sampler.start(self.next_seed(published), current);
            sampler.on_allocation(size as u64, current)
        };
        thread.sampler.set(sampler);
        chosen
    }

    /// Nothing is recorded (yet): look again after some more bytes, or at what would be the next sample.
    fn idle(&self, thread: &ThreadBlock) {
        let mut sampler = thread.sampler.get();
        match sampler.interval.filter(|_| self.place.inherited().is_some()) {
            Some(interval) => drop(sampler.after_crossing(interval)),
            None => sampler = Sampler { counter: IDLE_GAP_BYTES, ..Sampler::UNSTARTED },
        }
        thread.sampler.set(sampler);
    }
}

#[cfg(test)]
#[path = "wrap/tests.rs"]
pub(crate) mod tests;
