//! The hook's side: the Java frames below the current call.
#![allow(unsafe_code)] // calls GetEnv and AsyncGetCallTrace

use core::ffi::c_void;
use core::mem::{MaybeUninit, transmute};
use core::ptr::null_mut;
use core::sync::atomic::Ordering;

use crate::anchor::Attempt;
use crate::jni::{self, JavaVm};
use crate::jvm::Jvm;

/// One Java frame, as AsyncGetCallTrace writes it (`ASGCT_CallFrame`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct JavaFrame {
    /// Bytecode index in the method; negative in a native method.
    pub bci: i32,
    /// The method's `jmethodID`; 0 where the JVM has none (a class that was skipped or is being loaded).
    pub method: usize,
}

/// What came of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// No JVM is ready: there is none, or it is starting or ending.
    NotReady,
    /// This thread is not one of the JVM's Java threads.
    NotJavaThread,
    /// The frames are in the buffer.
    Frames {
        /// How many, leaf first; 0 on a Java thread that runs no Java code.
        count: usize,
        /// The buffer is full, there may be more.
        truncated: bool,
    },
    /// A Java thread, which was not asked for its frames ([`Jvm::capture_nothing`]).
    NoRoom,
    /// AsyncGetCallTrace refused with this code (`forte.cpp`): -2 a GC is running, -3 the thread has no anchor that
    /// can be walked, -4 and -6 its frames cannot be walked, -5 it runs Java code whose frame cannot be found from
    /// here, -7 its state is unknown (a virtual thread that is being mounted), -8 it is ending, -9 deoptimization.
    ///
    /// -3 is left only where this JVM's anchors are unknown or implausible ([`Counters`](crate::Counters) tells):
    /// otherwise the anchor is completed, or the thread has no Java frames. -4 is what remains of runtime calls: a few
    /// stubs of the C1 compiler, which AsyncGetCallTrace does not walk. -8 has no Java frames any more.
    Refused(i32),
}

/// AsyncGetCallTrace's code for a thread whose anchor cannot be walked.
const NO_ANCHOR: i32 = -3;

/// `ASGCT_CallTrace`.
#[repr(C)]
struct CallTrace {
    env: *mut c_void,
    count: i32,
    frames: *mut JavaFrame,
}

type AsyncGetCallTrace = unsafe extern "C" fn(*mut CallTrace, i32, *mut c_void);

impl Jvm {
    /// Writes the Java frames of this thread into `out`, leaf first: those that [`Capture::Frames`] counts.
    ///
    /// # Hot path
    /// Only for sampled calls. Allocates nothing, takes no lock of ours, makes no system call, does not panic. While
    /// no JVM is ready it costs one load; else `GetEnv` (25-40 ns), on Java threads also `AsyncGetCallTrace` (0.2-0.7
    /// us at depth 5-8), and once more where the thread's anchor had to be completed for it (`anchor`). Neither changes
    /// the thread's state. `errno` is not touched.
    #[inline]
    pub fn capture(&self, out: &mut [MaybeUninit<JavaFrame>]) -> Capture {
        // Acquire: pairs with the store in `open`, which follows that of `call_trace`.
        let vm = self.gate.load(Ordering::Acquire);
        if vm.is_null() { Capture::NotReady } else { self.capture_of(JavaVm(vm), out) }
    }

    /// What [`Jvm::capture`] takes of the stack is not there: tells the threads apart that have Java frames from the others.
    ///
    /// # Hot path
    /// As [`Jvm::capture`], and takes some hundred bytes of stack.
    pub fn capture_nothing(&self) -> Capture {
        // Acquire: as in `capture`.
        let vm = self.gate.load(Ordering::Acquire);
        if vm.is_null() {
            return Capture::NotReady;
        }
        // SAFETY: the gate holds the pointer of a JVM that is complete.
        match unsafe { JavaVm(vm).env(jni::VERSION) } {
            Ok(_) => Capture::NoRoom,
            Err(_) => Capture::NotJavaThread,
        }
    }

    fn capture_of(&self, vm: JavaVm, out: &mut [MaybeUninit<JavaFrame>]) -> Capture {
        let function = self.call_trace.load(Ordering::Relaxed);
        if function.is_null() {
            return Capture::NotReady;
        }
        // SAFETY: the gate holds the pointer of a JVM that is complete.
        let Ok(env) = (unsafe { vm.env(jni::VERSION) }) else { return Capture::NotJavaThread };
        // SAFETY: the address came from libjvm under this name; libjvm is never unloaded.
        let async_get_call_trace: AsyncGetCallTrace = unsafe { transmute(function) };
        let mut attempt = || {
            let depth = i32::try_from(out.len()).unwrap_or(i32::MAX);
            let mut trace = CallTrace { env, count: 0, frames: out.as_mut_ptr().cast() };
            // SAFETY: `env` is this thread's; at most `depth` frames are written to `out`. A null context is allowed:
            // we are called from native or VM code, where the JVM starts from the thread's own anchor.
            unsafe { async_get_call_trace(&mut trace, depth, null_mut()) };
            match usize::try_from(trace.count) {
                Ok(count) => Capture::Frames { count: count.min(out.len()), truncated: count >= out.len() },
                Err(_) => Capture::Refused(trace.count),
            }
        };
        match attempt() {
            Capture::Refused(NO_ANCHOR) => self.capture_anchored(env, attempt),
            capture => capture,
        }
    }

    /// The second attempt, with the thread's anchor completed if that is what it lacks.
    #[cold]
    fn capture_anchored(&self, env: *mut c_void, attempt: impl FnOnce() -> Capture) -> Capture {
        // SAFETY: `env` is this thread's; the layout was published with the gate. AsyncGetCallTrace never changes the
        // thread's state: it is made for signal handlers.
        let capture = match unsafe { self.anchor.with_walkable(env, attempt) } {
            Attempt::Unknown => return Capture::Refused(NO_ANCHOR),
            Attempt::NoJavaFrames => return Capture::Frames { count: 0, truncated: false },
            Attempt::Refused => Capture::Refused(NO_ANCHOR),
            Attempt::Made(capture) => capture,
        };
        match capture {
            Capture::Frames { .. } => self.tally.completed_anchors.add(1),
            _ => self.tally.failed_anchors.add(1),
        }
        capture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A JavaVM whose `GetEnv` answers this code.
    fn fake_vm(get_env: unsafe extern "C" fn(*mut c_void, *mut *mut c_void, i32) -> i32) -> *mut c_void {
        let table: &'static mut [*const c_void; 8] = Box::leak(Box::new([core::ptr::null(); 8]));
        table[crate::slot::vm::GET_ENV] = get_env as *const c_void;
        (Box::leak(Box::new(table.as_ptr())) as *mut *const *const c_void).cast()
    }

    unsafe extern "C" fn attached(_: *mut c_void, env: *mut *mut c_void, version: i32) -> i32 {
        assert_eq!(version, jni::VERSION);
        // SAFETY: called with the address of a local.
        unsafe { *env = core::ptr::without_provenance_mut(0x5150) };
        0
    }

    unsafe extern "C" fn detached(_: *mut c_void, _: *mut *mut c_void, _: i32) -> i32 {
        -2
    }

    /// Fills the buffer.
    unsafe extern "C" fn deep(trace: *mut CallTrace, depth: i32, context: *mut c_void) {
        assert!(context.is_null());
        // SAFETY: called with a valid trace and room for `depth` frames.
        unsafe {
            assert_eq!((*trace).env.addr(), 0x5150);
            for index in 0..depth {
                *(*trace).frames.add(index as usize) = JavaFrame { bci: index, method: 7 };
            }
            (*trace).count = depth;
        }
    }

    unsafe extern "C" fn refusing(trace: *mut CallTrace, _: i32, _: *mut c_void) {
        // SAFETY: called with a valid trace.
        unsafe { (*trace).count = -5 };
    }

    #[test]
    fn nothing_is_captured_before_the_gate_opens() {
        assert_eq!(Jvm::new().capture(&mut [MaybeUninit::uninit(); 4]), Capture::NotReady);
        assert_eq!(Jvm::new().capture_nothing(), Capture::NotReady);
    }

    #[test]
    fn other_threads_and_refusals_are_told_apart() {
        let mut out = [MaybeUninit::uninit(); 4];
        let jvm = Jvm::new();
        jvm.open(fake_vm(detached), deep as *mut c_void);
        assert_eq!(jvm.capture(&mut out), Capture::NotJavaThread);
        assert_eq!(jvm.capture_nothing(), Capture::NotJavaThread);
        let jvm = Jvm::new();
        jvm.open(fake_vm(attached), refusing as *mut c_void);
        assert_eq!(jvm.capture(&mut out), Capture::Refused(-5));
        assert_eq!(jvm.capture_nothing(), Capture::NoRoom);
    }

    #[test]
    fn frames_land_in_the_callers_buffer() {
        let jvm = Jvm::new();
        jvm.open(fake_vm(attached), deep as *mut c_void);
        let mut out = [MaybeUninit::uninit(); 4];
        assert_eq!(jvm.capture(&mut out), Capture::Frames { count: 4, truncated: true });
        // SAFETY: four frames were written.
        assert_eq!(unsafe { out[3].assume_init() }, JavaFrame { bci: 3, method: 7 });
        jvm.close();
        assert_eq!(jvm.capture(&mut out), Capture::NotReady);
    }
}
