//! The thread block: what each thread of the target keeps for itself, 128 bytes of initial-exec thread-local storage.
//!
//! It starts as zeroes: the first allocation of a new thread takes the counter below 1 and so enters the slow path,
//! which sets the thread up. It has no destructor: it may be used until the thread's last instruction.
#![allow(unsafe_code)] // a thread-local reached through a raw pointer

use crate::Caller;
use crate::exact_state::{self, ExactState, Own};
use crate::kernel;
use crate::libc_symbols::{NewStack, thread_id_of_libc};
use crate::machine::thread_pointer;
use crate::stopwatch::Stopwatch;
use core::cell::Cell;
use core::sync::atomic::{Ordering, compiler_fence};
use leakscope_sampling::{Interval, Rng, Sampler};
use leakscope_session::jvm_threads::handles_references;
use leakscope_session::losses::{Loss, Losses};
use leakscope_unwind::{CachedBounds, StackBounds};

/// Bytes that a thread allocates between two looks at whether recording has begun.
pub const IDLE_GAP_BYTES: i64 = 1 << 20;

/// Who a thread is, judged by its kernel name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Any thread that is none of the JVM's.
    App = 0,
    /// One of the JVM's reference-handling threads: what it frees was found unreachable by the garbage collector.
    Gc = 1,
}

/// State of one thread. The sampler's counter must stay at offset 0: the naked entries subtract from it.
#[repr(C, align(64))]
pub struct ThreadBlock {
    /// Counter, interval and random numbers.
    pub sampler: Cell<Sampler>,
    guard: Cell<usize>,
    /// The return address of the call that has the guard.
    guard_return: Cell<usize>,
    tid: Cell<u32>,
    class: Cell<u8>,
    class_looks: Cell<u8>,
    /// Calls until the next that is measured, itself included; 0 before the first.
    measured: Cell<u8>,
    bounds: Cell<CachedBounds>,
    own: Cell<Own>,
}

/// Values of the guard besides the place of the return address of the call that entered.
const OUTSIDE: usize = 0;
const IGNORED: usize = usize::MAX;

const CLASS_UNKNOWN: u8 = 0;
/// A thread that still bears the process's name after so many looks keeps it.
const MOST_CLASS_LOOKS: u8 = 64;

/// The calling thread's block.
///
/// # Hot path
/// Two loads; no allocation, lock, system call or panic; safe in signal handlers.
#[inline(always)]
pub fn current() -> &'static ThreadBlock {
    // SAFETY: thread-local storage of the size and alignment asserted in `machine`, zero-initialised, for which zeroes
    // are a valid value; it lives as long as the thread, and the reference cannot leave it (cells are not Sync).
    unsafe { &*crate::machine::thread_block() }
}

/// Whether a call comes to the shim: what the shim does first is to charge the thread for the bytes. Only before
/// recording has begun.
pub(crate) fn is_charged(call: impl FnOnce()) -> bool {
    // Far from used up, so that the shim only subtracts.
    const COUNTER: i64 = 1 << 40;
    let sampler = &current().sampler;
    let before = sampler.replace(Sampler { counter: COUNTER, ..Sampler::UNSTARTED });
    call();
    let after = sampler.replace(before);
    after.counter != COUNTER
}

/// While it lives, the thread is inside leakscope: nested allocations are not sampled.
pub struct Guard {
    thread: &'static ThreadBlock,
    sp: usize,
}

impl ThreadBlock {
    /// Enters leakscope, or `None` if the thread is inside already.
    ///
    /// A signal handler may have left the hook by longjmp, past the guard's drop: see `is_inside`.
    #[inline]
    pub fn enter(&'static self, caller: Caller) -> Option<Guard> {
        if self.guard.get() != OUTSIDE && self.is_inside(caller.sp) {
            return None;
        }
        self.guard_return.set(caller.registers().pc);
        self.guard.set(caller.sp);
        // A signal handler on this thread must see the guard before anything that it protects.
        compiler_fence(Ordering::SeqCst);
        Some(Guard { thread: self, sp: caller.sp })
    }

    /// Whether the call that has the guard is still under way, seen from a call whose return address lies at `sp`.
    ///
    /// A handler that interrupted it calls from further down the same stack, or from a signal stack; and the place where it
    /// is to return to still holds that address. Where the call was left by longjmp, its frames are gone, and sooner or
    /// later others lie there. On stacks that are not the thread's own nothing is read: they may be unmapped.
    #[cold]
    #[inline(never)]
    fn is_inside(&self, sp: usize) -> bool {
        let holder = self.guard.get();
        if holder == IGNORED {
            return true;
        }
        let bounds = self.bounds.get();
        if !bounds.is_on_own_stack(holder) {
            return sp < holder || kernel::on_signal_stack();
        }
        // SAFETY: an aligned word of this thread's own stack, which stays mapped where it was once in use.
        let is_there = unsafe { *(holder as *const usize) } == self.guard_return.get();
        // A signal stack may be a part of the thread's own. (The kernel is asked last: a sandbox may not allow that.)
        let is_elsewhere = || !bounds.is_on_own_stack(sp) || kernel::on_signal_stack();
        is_there && sp != holder && (sp < holder || is_elsewhere())
    }

    /// The thread belongs to leakscope: none of its allocations is sampled.
    pub fn ignore_for_ever(&self) {
        self.guard.set(IGNORED);
    }

    /// Counts a call that is not recorded because the thread is inside. What leakscope's own thread allocates (through
    /// the JVM: method ids, names) belongs to nobody's sum, and nothing of the target's is missing for it.
    #[cold]
    pub fn count_skipped(&self, losses: &Losses<'_>) {
        if self.guard.get() != IGNORED {
            losses.add(Loss::GuardSkipped, 1);
        }
    }

    /// Measures a sampled call, or one of several.
    #[inline]
    pub(crate) fn stopwatch(&self, interval: Interval) -> Stopwatch {
        Stopwatch::start(&self.measured, self.tid(), interval)
    }

    /// Kernel id of the thread; where libc does not tell it, one system call at the first use.
    pub fn tid(&self) -> u32 {
        if self.tid.get() == 0 {
            self.tid.set(thread_id_of_libc().unwrap_or_else(kernel::tid));
        }
        self.tid.get()
    }

    /// What the thread keeps for itself in exact mode, see [`exact_state::of_thread`].
    #[inline(always)]
    pub(crate) fn exact_state(&self) -> Option<&'static ExactState> {
        exact_state::of_thread(&self.own)
    }

    /// Class of the thread; a system call until its name is known to be its own. A new thread still bears the
    /// process's name at its first calls, so the class is kept only once the name differs.
    pub fn class(&self, process_name: &[u8; 16]) -> Class {
        match self.class.get() {
            CLASS_UNKNOWN => {}
            known => return if known == 1 + Class::Gc as u8 { Class::Gc } else { Class::App },
        }
        let name = kernel::thread_name();
        let class = class_of(&name);
        let looks = self.class_looks.get().saturating_add(1);
        self.class_looks.set(looks);
        if name != *process_name || looks >= MOST_CLASS_LOOKS {
            self.class.set(1 + class as u8);
        }
        class
    }

    /// The thread has just been made, on this stack.
    pub(crate) fn has_stack(&self, stack: NewStack) {
        let top = thread_pointer();
        // The control block lies at the top of a stack that libc has made, and counts as a part of it.
        const MOST_ABOVE: usize = 4096;
        let lowest = match stack {
            NewStack { given_at: 0, bytes: 0 } => return,
            NewStack { given_at: 0, bytes } => top.saturating_sub(bytes).saturating_add(MOST_ABOVE),
            NewStack { given_at, .. } => given_at,
        };
        if lowest < top {
            self.bounds.set(CachedBounds::of_stack(lowest));
        }
    }

    /// The thread is the process's first.
    pub(crate) fn is_main(&self) {
        self.bounds.set(CachedBounds::of_main_thread());
    }

    /// The stack from `sp` up.
    #[inline]
    pub(crate) fn stack_from(&self, sp: usize) -> StackBounds {
        let known = self.bounds.get().known(sp);
        known.unwrap_or_else(|| self.with_bounds(|cached| StackBounds::locate(sp, cached)))
    }

    /// A copy of the sampler: counter, interval and random numbers one by one. The entry has just written the counter, and a
    /// read of two words at once waits for that.
    #[inline]
    pub(crate) fn sampler(&self) -> Sampler {
        let sampler = self.sampler.as_ptr();
        // SAFETY: the thread's own; no reference to it is held.
        let (counter, interval, rng) = unsafe { (&raw const (*sampler).counter, (*sampler).interval, (*sampler).rng) };
        // SAFETY: as above; volatile, so that it is not joined with its neighbour.
        Sampler { counter: unsafe { counter.read_volatile() }, interval, rng }
    }

    /// Whether the sample at hand was drawn in exact mode; the next one is as well then, without drawing.
    #[inline]
    pub(crate) fn crosses_always(&self) -> bool {
        let sampler = self.sampler.as_ptr();
        // SAFETY: as in `sampler`.
        let interval = unsafe { (*sampler).interval };
        let is_exact = interval.is_some_and(Interval::is_exact);
        if is_exact {
            // SAFETY: as above. The next allocation takes at least 1 off.
            unsafe { (*sampler).counter = 1 };
        }
        is_exact
    }

    /// Uses the thread's cached stack bounds.
    pub fn with_bounds<R>(&self, use_them: impl FnOnce(&mut CachedBounds) -> R) -> R {
        let mut bounds = self.bounds.get();
        let result = use_them(&mut bounds);
        self.bounds.set(bounds);
        result
    }

    /// Lets the thread be set up again.
    pub fn reset(&self) {
        self.sampler.set(Sampler::UNSTARTED);
        self.forget();
    }

    /// The calling thread is the copy of one of the parent's, in a forked child.
    ///
    /// Its gap stays, for an exponential gap has no memory: the allocation that uses it up is a fair sample, and none
    /// before it is lost for want of a session. Later gaps are the child's own; brothers forked one after the other would
    /// else sample in step for ever.
    pub fn after_fork(&self, seed: u64, current: Interval) {
        let mut sampler = self.sampler.get();
        if sampler.interval == Some(current) {
            sampler.rng = Rng::seeded(seed);
            self.sampler.set(sampler);
        } else {
            self.sampler.set(Sampler::UNSTARTED);
        }
        self.forget();
    }

    /// What the thread knows of itself is asked for anew.
    fn forget(&self) {
        self.tid.set(0);
        self.class.set(CLASS_UNKNOWN);
        self.class_looks.set(0);
        self.own.set(Own::UNKNOWN);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        if self.thread.guard.get() == self.sp {
            self.thread.guard.set(OUTSIDE);
        }
    }
}

fn class_of(name: &[u8; 16]) -> Class {
    let name = name.split(|byte| *byte == 0).next().unwrap_or(&[]);
    if handles_references(name) { Class::Gc } else { Class::App }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU32;

    /// A call whose return address lies in this word.
    fn call_at(slot: &usize) -> Caller {
        Caller { sp: std::ptr::from_ref(slot) as usize, bp: 0 }
    }

    #[test]
    fn a_new_thread_is_unset_and_the_guard_nests_not() {
        std::thread::spawn(|| {
            let block = current();
            // The nested call is further down.
            let slots = [1, 2];
            let (nested, outer) = (call_at(&slots[0]), call_at(&slots[1]));
            assert!(!block.sampler.get().is_started());
            let guard = block.enter(outer).unwrap();
            assert!(block.enter(nested).is_none());
            drop(guard);
            assert!(block.enter(nested).is_some());
            let guard = block.enter(outer);
            block.ignore_for_ever();
            assert!(block.enter(nested).is_none());
            drop(guard);
            assert!(block.enter(outer).is_none(), "for ever");
        })
        .join()
        .unwrap();
    }

    /// As after a longjmp out of a signal handler that interrupted the hook.
    #[test]
    fn a_guard_that_was_jumped_over_is_forgotten() {
        std::thread::spawn(|| {
            let block = current();
            let mut slots = [1, 2, 3];
            let leave_by_jump = |slots: &[usize; 3]| std::mem::forget(block.enter(call_at(&slots[1])).unwrap());
            leave_by_jump(&slots);
            assert!(block.enter(call_at(&slots[2])).is_some(), "further up the stack");
            leave_by_jump(&slots);
            assert!(block.enter(call_at(&slots[1])).is_some(), "from the same place");
            block.with_bounds(|bounds| StackBounds::locate(slots.as_ptr() as usize, bounds));
            leave_by_jump(&slots);
            assert!(block.enter(call_at(&slots[0])).is_none(), "still inside, for all that is known");
            slots[1] = 7;
            assert!(block.enter(call_at(&slots[0])).is_some(), "other calls have used the stack since");
        })
        .join()
        .unwrap();
    }

    static NESTED: AtomicU32 = AtomicU32::new(0);

    /// Whether a call from the handler is one from inside: 1 or 2.
    extern "C" fn on_signal(_signal: libc::c_int) {
        let slot = 0_usize;
        let is_inside = current().enter(call_at(&slot)).is_none();
        NESTED.store(1 + u32::from(is_inside), Ordering::Relaxed);
    }

    /// A signal stack that lies on the thread's own stack, above the call that was interrupted.
    #[test]
    fn a_handler_on_a_part_of_the_threads_stack_is_inside() {
        #[inline(never)]
        fn deeper(block: &'static ThreadBlock, signal: libc::c_int) {
            let slot = 0_usize;
            block.with_bounds(|bounds| StackBounds::locate(&raw const slot as usize - 4096, bounds));
            let guard = block.enter(call_at(&slot)).expect("outside");
            // SAFETY: its handler does nothing that must not be done there.
            unsafe { libc::raise(signal) };
            drop(guard);
        }
        std::thread::spawn(|| {
            let signal = libc::SIGRTMIN() + 5;
            let mut memory = [0_u8; 64 << 10];
            let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() };
            // SAFETY: zeroes are a valid sigaction; memory and handler stay until the stack is disabled again.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = on_signal as *const () as usize;
                action.sa_flags = libc::SA_ONSTACK;
                assert_eq!(libc::sigaction(signal, &raw const action, std::ptr::null_mut()), 0);
                assert_eq!(libc::sigaltstack(&raw const stack, std::ptr::null_mut()), 0);
            }
            deeper(current(), signal);
            let none = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: nobody is on it.
            unsafe { libc::sigaltstack(&raw const none, std::ptr::null_mut()) };
            std::hint::black_box(&memory);
            assert_eq!(NESTED.load(Ordering::Relaxed), 2, "1: it was let in");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_forked_thread_keeps_its_gap_and_draws_later_ones_of_its_own() {
        let interval = Interval::from_bytes(1000);
        let after = |seed, current| {
            let block = current_with(Sampler::started(1, interval));
            block.after_fork(seed, current);
            let mut sampler = block.sampler.get();
            let gap = sampler.counter;
            sampler.after_crossing(current);
            (gap, sampler.counter)
        };
        let parent = Sampler::started(1, interval).counter;
        let (first, second) = (after(7, interval), after(8, interval));
        assert_eq!((first.0, second.0), (parent, parent));
        assert_ne!(first.1, second.1);
        let block = current_with(Sampler::started(1, interval));
        block.after_fork(7, Interval::EXACT);
        assert!(!block.sampler.get().is_started(), "a gap of another interval");
    }

    fn current_with(sampler: Sampler) -> &'static ThreadBlock {
        current().sampler.set(sampler);
        current()
    }

    #[test]
    fn classes_follow_the_kernel_names_of_hotspot() {
        let pad = |s: &str| {
            let mut name = [0u8; 16];
            name[..s.len()].copy_from_slice(s.as_bytes());
            name
        };
        for (name, class) in [
            ("Reference Handl", Class::Gc),
            ("Referen..andler", Class::Gc),
            ("Finalizer", Class::Gc),
            ("Secondary final", Class::Gc),
            ("Seconda..alizer", Class::Gc),
            ("Common-Cleaner", Class::Gc),
            ("Cleaner-0", Class::Gc),
            ("Finalizer-pool", Class::App),
            ("main", Class::App),
        ] {
            assert_eq!(class_of(&pad(name)), class, "{name}");
        }
    }

    #[test]
    fn the_class_is_kept_only_once_the_name_is_the_threads_own() {
        std::thread::spawn(|| {
            let block = current();
            let process = kernel::thread_name();
            assert_eq!(block.class(&process), Class::App);
            kernel::set_thread_name(c"Common-Cleaner");
            assert_eq!(block.class(&process), Class::Gc);
            kernel::set_thread_name(c"other");
            assert_eq!(block.class(&process), Class::Gc, "kept");
        })
        .join()
        .unwrap();
    }
}
