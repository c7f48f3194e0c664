//! The helper thread's life: wait for the JVM, attach, tick until it dies.
//!
//! Before it is attached the helper polls, without entering the JVM and with growing pauses. Once attached it waits
//! only in `RawMonitorWait`: at its exit the JVM gives threads that are in native code up to 300 ms to come back, and
//! does not count those that wait in a raw monitor.
#![allow(unsafe_code)] // JVMTI calls on the helper thread

use core::sync::atomic::Ordering;

use crate::attach::{self, Attached, Failure};
use crate::jni::JavaVm;
use crate::jvm::Jvm;
use crate::jvmti;
use crate::kernel;
use crate::libjvm::{Libjvm, libjvm_is_mapped};
use crate::resolve::Resolver;
use crate::state::{Reason, State};
use crate::threads;

/// Time between two ticks, milliseconds.
pub const TICK_MS: i64 = 100;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
/// Without a JVM the helper ends after this time.
const NO_JVM: u64 = 60 * SECOND;
/// A JVM whose threads have not appeared by then is reported as unsupported ...
const NO_THREADS_REPORTED: u64 = 60 * SECOND;
/// ... and looked for until then: touching hundreds of gigabytes of heap in advance takes minutes.
const NO_THREADS: u64 = 600 * SECOND;
/// Attempts to attach go on for this long.
const ATTACHING: u64 = 30 * SECOND;

/// What the helper thread does for others.
pub trait Sink {
    /// About every 100 ms while the JVM lives: resolve what was captured. Once more, with
    /// [`Resolver::is_last`], when it ends.
    ///
    /// The thread is attached to the JVM and not waiting: do not sleep here, it would delay the JVM's exit.
    fn tick(&mut self, names: &Resolver<'_>);

    /// Every 2-1000 ms until there is a live JVM.
    fn idle(&mut self) {}
}

/// Why the helper's work is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// No libjvm.so was loaded within 60 seconds; call again when [`libjvm_is_mapped`] says so.
    NoJvm,
    /// There is a JVM, but no Java frames can be had from it.
    Unsupported(Reason),
    /// The JVM has ended, or is about to. The thread is detached from it and may do as it likes.
    Dead,
    /// Another thread is serving.
    Busy,
}

impl Jvm {
    /// The body of the helper thread, from the first libjvm.so to the JVM's end.
    ///
    /// The thread should have all signals blocked except 32 and 33 and 256 KiB of stack. It does not return at all if
    /// the JVM's exit had to be let go before the last tick was done: then it parks for ever, as the JVM's own daemon
    /// threads do.
    pub fn serve(&'static self, sink: &mut dyn Sink) -> Served {
        if self.farewell.is_of_the_jvm() {
            return Served::Dead;
        }
        if self.farewell.has_begun() {
            return Served::Unsupported(Reason::JvmtiRefused);
        }
        if self.is_served.swap(true, Ordering::Acquire) {
            return Served::Busy;
        }
        let served = self.serve_alone(sink);
        match served {
            Served::Unsupported(reason) => self.state.set(State::Unsupported(reason)),
            Served::Dead => self.state.set(State::Dead),
            Served::NoJvm | Served::Busy => self.state.set(State::Absent),
        }
        self.is_served.store(false, Ordering::Release);
        served
    }

    fn serve_alone(&'static self, sink: &mut dyn Sink) -> Served {
        let mut pause = Pause::new(NO_JVM);
        while !libjvm_is_mapped() {
            if !pause.take(sink) {
                return Served::NoJvm;
            }
        }
        self.state.set(State::Waiting);
        let Some(libjvm) = Libjvm::find() else { return Served::Unsupported(Reason::NoDynamicLinker) };
        if libjvm.async_get_call_trace.is_null() {
            return Served::Unsupported(Reason::NoAsyncGetCallTrace);
        }
        let Some(vm) = self.complete_vm(&libjvm, sink) else { return Served::Unsupported(Reason::NoVmThreads) };
        match self.attach(vm, sink) {
            Ok(attached) => attached.run(&libjvm, sink),
            Err(Failure::Dead) => Served::Dead,
            Err(Failure::Early) => Served::Unsupported(Reason::NotAttached),
            Err(Failure::Refused) => Served::Unsupported(Reason::JvmtiRefused),
        }
    }

    /// Waits until the JVM has started its last thread and admits that it is created.
    fn complete_vm(&self, libjvm: &Libjvm, sink: &mut dyn Sink) -> Option<JavaVm> {
        let mut pause = Pause::new(NO_THREADS);
        loop {
            if threads::all_run(&threads::OF_A_COMPLETE_JVM) {
                // SAFETY: libjvm's own function.
                let vm = unsafe { Attached::created_vm(libjvm.get_created_java_vms) };
                if vm.is_some() {
                    self.state.set(State::Waiting);
                    return vm;
                }
            }
            if pause.elapsed_ns() > NO_THREADS_REPORTED {
                self.state.set(State::Unsupported(Reason::NoVmThreads));
            }
            if !pause.take(sink) {
                return None;
            }
        }
    }

    fn attach(&'static self, vm: JavaVm, sink: &mut dyn Sink) -> Result<Attached, Failure> {
        let mut pause = Pause::new(ATTACHING);
        let mut environment = None;
        loop {
            // SAFETY: the JVM is complete; an attempt that failed has detached this thread.
            match unsafe { attach::attempt(self, vm, &mut environment) } {
                Err(Failure::Early) if pause.take(sink) => {}
                result => return result,
            }
        }
    }
}

impl Attached {
    /// Opens the gate, ticks until the JVM dies, and takes leave of it.
    fn run(self, libjvm: &Libjvm, sink: &mut dyn Sink) -> Served {
        self.learn_anchor(libjvm);
        self.jvm.open(self.vm.0, libjvm.async_get_call_trace);
        self.jvm.state.set(State::Ready);
        loop {
            self.wait_for_tick();
            // Read before the tick: the one after the farewell began is the last.
            let is_last = self.jvm.farewell.has_begun();
            // SAFETY: this thread is attached, and the resolver ends with the statement.
            sink.tick(&unsafe { Resolver::new(self.jvmti, self.jni, is_last) });
            if is_last {
                return self.leave();
            }
            // SAFETY: a live environment; callable in every phase. We get here if the JVM died so early that
            // it did not tell us.
            if unsafe { self.jvmti.phase() } != Ok(jvmti::PHASE_LIVE) && !self.jvm.farewell.has_begun() {
                self.jvm.farewell.give_up();
                self.jvm.state.set(State::Dead);
                self.jvm.close();
                self.park();
            }
        }
    }

    fn wait_for_tick(&self) {
        // SAFETY: our monitor and environment; the thread is attached.
        let waited = unsafe {
            self.jvmti.enter(self.monitor).and_then(|()| {
                // VMDeath begins the farewell before it enters the monitor to wake us.
                let waited =
                    if self.jvm.farewell.has_begun() { Ok(()) } else { self.jvmti.wait(self.monitor, TICK_MS) };
                self.jvmti.exit(self.monitor).and(waited)
            })
        };
        if waited.is_err() {
            // Someone interrupted our Java thread, or worse: do not spin.
            self.jvm.tally.wait_failures.add(1);
            kernel::sleep_ns(10 * MS);
        }
    }

    /// Detaches, while VMDeath holds the JVM's exit up for us.
    fn leave(self) -> Served {
        if !self.jvm.farewell.may_leave() {
            self.park();
        }
        // SAFETY: attached, no Java frames, nothing of the thread's is used afterwards.
        unsafe { self.vm.detach() };
        self.jvm.farewell.has_left();
        Served::Dead
    }

    /// Waits for ever, in the way that the JVM's exit does not wait for.
    fn park(&self) -> ! {
        loop {
            // SAFETY: our monitor; these may be called in every phase. A JVM that has ended stops us inside.
            let _ = unsafe {
                self.jvmti
                    .enter(self.monitor)
                    .and_then(|()| self.jvmti.wait(self.monitor, 0).and(self.jvmti.exit(self.monitor)))
            };
            kernel::sleep_ns(SECOND);
        }
    }
}

/// Growing pauses up to a deadline: 2 to 10 ms in the first two seconds, when a JVM starts, then 100 ms, after a
/// minute a second.
struct Pause {
    start_ns: u64,
    limit_ns: u64,
    next_ns: u64,
}

impl Pause {
    fn new(limit_ns: u64) -> Self {
        Self { start_ns: kernel::now_ns(), limit_ns, next_ns: 2 * MS }
    }

    fn elapsed_ns(&self) -> u64 {
        kernel::now_ns().saturating_sub(self.start_ns)
    }

    /// Pauses; false, at once, when the time is up.
    fn take(&mut self, sink: &mut dyn Sink) -> bool {
        let elapsed = self.elapsed_ns();
        if elapsed >= self.limit_ns {
            return false;
        }
        sink.idle();
        kernel::sleep_ns(self.step(elapsed));
        true
    }

    /// Length of this pause.
    fn step(&mut self, elapsed_ns: u64) -> u64 {
        let step = self.next_ns;
        let most = match elapsed_ns {
            0..TWO_SECONDS => 10 * MS,
            TWO_SECONDS..NO_JVM => 100 * MS,
            _ => SECOND,
        };
        self.next_ns = step.wrapping_add(step / 2).min(most);
        step
    }
}

const TWO_SECONDS: u64 = 2 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_that_grows_too() {
        let mut pause = Pause::new(0);
        let steps: Vec<u64> = (0..8).map(|_| pause.step(0) / MS).collect();
        assert_eq!(steps, [2, 3, 4, 6, 10, 10, 10, 10]);
        let later: Vec<u64> = (0..8).map(|_| pause.step(3 * SECOND) / MS).collect();
        assert_eq!(later.last(), Some(&100));
        let late: Vec<u64> = (0..8).map(|_| pause.step(61 * SECOND) / MS).collect();
        assert_eq!(late.last(), Some(&1000));
    }

    #[test]
    fn a_pause_ends_when_its_time_is_up() {
        struct Idle(u32);
        impl Sink for Idle {
            fn tick(&mut self, _: &Resolver<'_>) {}
            fn idle(&mut self) {
                self.0 += 1;
            }
        }
        let mut sink = Idle(0);
        assert!(!Pause::new(0).take(&mut sink));
        assert_eq!(sink.0, 0);
        assert!(Pause::new(u64::MAX).take(&mut sink));
        assert_eq!(sink.0, 1);
    }

    #[test]
    fn a_dead_jvm_is_not_served_again() {
        static JVM: Jvm = Jvm::new();
        struct Nothing;
        impl Sink for Nothing {
            fn tick(&mut self, _: &Resolver<'_>) {}
        }
        assert!(JVM.farewell.begin());
        assert_eq!(JVM.serve(&mut Nothing), Served::Dead);
    }
}
