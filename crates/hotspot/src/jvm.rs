//! The JVM of this process, as the hook, the helper thread and JVMTI's callbacks share it.
//!
//! All fields are atomics, so it can be a `static`. Two of them are protocols:
//!
//! **The gate** is the JavaVM pointer that a capture starts from: null while there must be no captures. The helper
//! opens it when the method ids exist, VMDeath closes it.
//!
//! **The farewell** lets the helper resolve the last frames, and leave, before the JVM is gone, without holding up
//! the exit for more than [`FAREWELL_NS`]. The JVM calls VMDeath on the exiting thread and goes on when that returns:
//!
//! ```text
//! SERVING --VMDeath: close the gate, wake the helper, wait--> DYING --helper: last tick--> LEAVING --detached--> LEFT
//!                                                               \--VMDeath waited long enough--> ABANDONED
//! ```
//!
//! GAVE_UP (from SERVING) means that the helper never got as far as ticking, so there is nobody to wait for.
//! In LEFT the helper is an ordinary thread again, with which the dying JVM has no business. In ABANDONED it parks for
//! ever in RawMonitorWait, which the JVM's exit does not wait for either.

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::anchor::Anchor;
use crate::counters::{Counters, Tally};
use crate::events::METHOD_ID_CAP;
use crate::kernel;
use crate::state::{State, StateCell};

/// The longest that VMDeath waits for the helper.
pub(crate) const FAREWELL_NS: u64 = 30_000_000;

const SERVING: u32 = 0;
const DYING: u32 = 1;
const LEAVING: u32 = 2;
const LEFT: u32 = 3;
const ABANDONED: u32 = 4;
const GAVE_UP: u32 = 5;

/// The JVM of this process; make it a `static`.
pub struct Jvm {
    /// The gate: a JavaVM pointer while captures may be made. Written last, with release.
    pub(crate) gate: AtomicPtr<c_void>,
    /// AsyncGetCallTrace; valid once the gate is open.
    pub(crate) call_trace: AtomicPtr<c_void>,
    /// The monitor in which the helper waits; valid once VMDeath is enabled.
    pub(crate) monitor: AtomicPtr<c_void>,
    /// Where threads keep their frame anchors; valid once the gate is open.
    pub(crate) anchor: Anchor,
    pub(crate) farewell: Farewell,
    /// Whether a helper thread is in `serve`.
    pub(crate) is_served: AtomicBool,
    pub(crate) state: StateCell,
    pub(crate) tally: Tally,
    /// 0: [`METHOD_ID_CAP`]. Zeroes take no room in the library's file.
    method_id_cap: AtomicU64,
}

impl Jvm {
    /// Nothing known yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            gate: AtomicPtr::new(null_mut()),
            call_trace: AtomicPtr::new(null_mut()),
            monitor: AtomicPtr::new(null_mut()),
            anchor: Anchor::new(),
            farewell: Farewell(AtomicU32::new(SERVING)),
            is_served: AtomicBool::new(false),
            state: StateCell::new(),
            tally: Tally::new(),
            method_id_cap: AtomicU64::new(0),
        }
    }

    /// How far we have come.
    #[must_use]
    pub fn state(&self) -> State {
        if self.farewell.is_of_the_jvm() { State::Dead } else { self.state.get() }
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.tally.read()
    }

    /// Method ids that we had the JVM create: memory which it never gives back (20-27 bytes each).
    #[must_use]
    pub fn method_ids(&self) -> u64 {
        self.tally.method_ids.get()
    }

    /// Has another cap on them than [`METHOD_ID_CAP`]; 0: that one. To be called before the helper serves.
    pub fn set_method_id_cap(&self, cap: u64) {
        self.method_id_cap.store(cap, Ordering::Relaxed);
    }

    /// Whether no more method ids are created.
    pub(crate) fn has_enough_method_ids(&self) -> bool {
        let cap = match self.method_id_cap.load(Ordering::Relaxed) {
            0 => METHOD_ID_CAP,
            cap => cap,
        };
        self.method_ids() >= cap
    }

    /// For a forked child, which has none of its parent's threads, neither the JVM's nor our helper. A JVM that was there
    /// is dead in it: only its memory has been copied. Where there was none, one may come.
    ///
    /// To be called before the child captures anything. The counters stay.
    pub fn after_fork(&self) {
        self.close();
        match self.state() {
            State::Ready | State::Dead => self.farewell.has_left(),
            State::Absent | State::Waiting | State::Unsupported(_) => {
                self.farewell.reset();
                self.state.set(State::Absent);
            }
        }
        self.is_served.store(false, Ordering::SeqCst);
    }

    /// Opens the gate, unless the JVM is dying already.
    pub(crate) fn open(&self, vm: *mut c_void, call_trace: *mut c_void) {
        self.call_trace.store(call_trace, Ordering::Relaxed);
        // Release: a capture that sees the pointer (Acquire) also sees AsyncGetCallTrace. SeqCst, here and in
        // `Farewell::begin` and `close`: either this store comes before VMDeath's, or we see that it has begun.
        self.gate.store(vm, Ordering::SeqCst);
        if self.farewell.has_begun() {
            self.close();
        }
    }

    /// Closes the gate. A capture already behind it ends undisturbed: libjvm is never unloaded.
    pub(crate) fn close(&self) {
        self.gate.store(null_mut(), Ordering::SeqCst);
    }
}

impl Default for Jvm {
    fn default() -> Self {
        Self::new()
    }
}

/// The protocol between VMDeath and the helper; see the top of this file.
pub(crate) struct Farewell(AtomicU32);

impl Farewell {
    /// Whether the JVM is dying or dead, or the helper has given up.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::SeqCst) != SERVING
    }

    /// Whether the JVM is dying or dead, as opposed to the helper having given up.
    pub(crate) fn is_of_the_jvm(&self) -> bool {
        !matches!(self.0.load(Ordering::SeqCst), SERVING | GAVE_UP)
    }

    /// VMDeath's first step; false if there is nobody to wait for.
    pub(crate) fn begin(&self) -> bool {
        self.step(SERVING, DYING)
    }

    /// VMDeath's last step: waits for the helper, but not for long. Returns whether the helper is gone.
    pub(crate) fn await_helper(&self, patience_ns: u64) -> bool {
        let deadline = kernel::now_ns().wrapping_add(patience_ns);
        loop {
            let word = self.0.load(Ordering::SeqCst);
            if word != DYING && word != LEAVING {
                return word == LEFT;
            }
            let left = deadline.saturating_sub(kernel::now_ns());
            if left == 0 {
                // A helper that is leaving already does no harm: it ends or is stopped with the other threads.
                return !self.step(DYING, ABANDONED);
            }
            kernel::futex_wait(&self.0, word, left);
        }
    }

    /// The helper's first step, after its last tick; false if VMDeath no longer waits, so that the JVM may be gone.
    pub(crate) fn may_leave(&self) -> bool {
        self.step(DYING, LEAVING)
    }

    /// The helper's last step: it has nothing to do with the JVM any more.
    pub(crate) fn has_left(&self) {
        self.0.store(LEFT, Ordering::SeqCst);
        kernel::futex_wake(&self.0);
    }

    /// The helper gives up before it served, so nobody will wait for it; false if VMDeath came first.
    pub(crate) fn give_up(&self) -> bool {
        self.step(SERVING, GAVE_UP)
    }

    /// Back to the beginning, in a forked child.
    fn reset(&self) {
        self.0.store(SERVING, Ordering::SeqCst);
    }

    fn step(&self, from: u32, to: u32) -> bool {
        self.0.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: u64 = 3_600_000_000_000;

    #[test]
    fn the_exit_waits_for_a_helper_that_leaves() {
        let jvm = Jvm::new();
        std::thread::scope(|scope| {
            assert!(jvm.farewell.begin());
            let exit = scope.spawn(|| jvm.farewell.await_helper(HOUR_NS));
            assert!(jvm.farewell.may_leave());
            jvm.farewell.has_left();
            assert!(exit.join().expect("no panic"));
        });
        assert_eq!(jvm.state(), State::Dead);
    }

    #[test]
    fn the_exit_does_not_wait_for_a_helper_that_does_not_come() {
        let jvm = Jvm::new();
        assert!(jvm.farewell.begin());
        assert!(!jvm.farewell.await_helper(1));
        assert!(!jvm.farewell.may_leave(), "too late: the JVM may be gone");
    }

    #[test]
    fn nobody_waits_for_a_helper_that_gave_up() {
        let jvm = Jvm::new();
        assert!(jvm.farewell.give_up());
        assert!(!jvm.farewell.begin());
        assert_ne!(jvm.state(), State::Dead);
    }

    #[test]
    fn a_forked_child_has_a_dead_jvm_or_none() {
        for (before, dying, after) in [
            (State::Absent, false, State::Absent),
            (State::Waiting, false, State::Absent),
            (State::Ready, false, State::Dead),
            (State::Ready, true, State::Dead),
        ] {
            let jvm = Jvm::new();
            let vm = core::ptr::without_provenance_mut(8);
            jvm.is_served.store(true, Ordering::SeqCst);
            jvm.state.set(before);
            jvm.open(vm, vm);
            assert!(!dying || jvm.farewell.begin());
            jvm.after_fork();
            assert!(jvm.gate.load(Ordering::Acquire).is_null());
            assert!(!jvm.is_served.load(Ordering::SeqCst));
            assert_eq!(jvm.state(), after);
        }
    }

    #[test]
    fn the_gate_stays_shut_once_the_jvm_is_dying() {
        let jvm = Jvm::new();
        let vm = core::ptr::without_provenance_mut(8);
        jvm.open(vm, vm);
        assert_eq!(jvm.gate.load(Ordering::Acquire), vm);
        assert!(jvm.farewell.begin());
        jvm.open(vm, vm);
        assert!(jvm.gate.load(Ordering::Acquire).is_null());
    }
}
