//! A library to preload into a JVM: it captures the Java stack of every Nth `malloc`, and when the JVM ends it writes
//! down what it saw. The integration tests run real JVMs with it; it is also the smallest complete user of this crate.
//!
//! `PROBE_OUT` names the file to write; its presence switches the probe on. `PROBE_EVERY` is N (default 1).
//! `PROBE_METHOD_IDS` is the cap on method ids. `PROBE_READY` names a file that is made when captures have begun, so that a program can wait for that.
#![allow(unsafe_code)] // interposed C functions

mod ring;
mod sink;

use std::arch::{asm, global_asm};
use std::ffi::{c_int, c_void};
use std::mem::{MaybeUninit, transmute};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use leakscope_hotspot::{Capture, JavaFrame, Jvm, Served, libjvm_is_mapped};

/// The JVM of this process.
pub static JVM: Jvm = Jvm::new();

/// N; 0 while the probe is off.
static EVERY: AtomicU32 = AtomicU32::new(0);
static HELPER_STARTED: AtomicBool = AtomicBool::new(false);

// One zeroed block for each thread in the initial-exec model: `thread_local!` would call malloc.
global_asm!(
    ".section .tbss.probe_thread,\"awT\",@nobits",
    ".globl probe_thread",
    ".hidden probe_thread",
    ".type probe_thread, @object",
    ".size probe_thread, 8",
    ".balign 8",
    "probe_thread: .zero 8",
    ".text",
);

/// Per thread.
#[repr(C)]
struct Thread {
    /// Not 0 while the thread's own allocations are ours.
    guard: u32,
    calls: u32,
}

fn thread() -> *mut Thread {
    let thread;
    // SAFETY: the address of this thread's block: thread pointer plus the offset that the dynamic linker filled in.
    unsafe {
        asm!("mov {0}, qword ptr fs:[0]", "add {0}, qword ptr [rip + probe_thread@GOTTPOFF]", out(reg) thread,
             options(nostack, readonly));
    }
    thread
}

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
}

/// libc's malloc, and every Nth time a capture.
///
/// # Safety
/// As malloc(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: glibc's own malloc; the thread's block is only ours.
    unsafe {
        let block = __libc_malloc(size);
        let thread = &mut *thread();
        let every = EVERY.load(Ordering::Relaxed);
        if every != 0 && thread.guard == 0 {
            thread.calls = thread.calls.wrapping_add(1);
            if thread.calls.is_multiple_of(every) {
                thread.guard = 1;
                capture();
                thread.guard = 0;
            }
        }
        block
    }
}

fn capture() {
    let mut frames = [MaybeUninit::new(JavaFrame::default()); ring::DEPTH];
    match JVM.capture(&mut frames) {
        Capture::NotReady => ring::NOT_READY.fetch_add(1, Ordering::Relaxed),
        Capture::NotJavaThread | Capture::NoRoom => ring::NOT_JAVA.fetch_add(1, Ordering::Relaxed),
        Capture::Frames { count: 0, .. } => ring::NO_FRAMES.fetch_add(1, Ordering::Relaxed),
        Capture::Frames { count, .. } => {
            let frames = frames.map(|frame| {
                // SAFETY: every frame was written at the start, and some by the JVM since.
                unsafe { frame.assume_init() }
            });
            ring::push(&frames[..count]);
            ring::WITH_FRAMES.fetch_add(1, Ordering::Relaxed)
        }
        Capture::Refused(code) => {
            let index = usize::try_from(-code).unwrap_or(0).min(ring::REFUSED.len() - 1);
            ring::REFUSED[index].fetch_add(1, Ordering::Relaxed)
        }
    };
}

type Body = extern "C" fn(*mut c_void) -> *mut c_void;
type PthreadCreate =
    unsafe extern "C" fn(*mut libc::pthread_t, *const libc::pthread_attr_t, Body, *mut c_void) -> c_int;

fn real_pthread_create() -> PthreadCreate {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    let mut real = REAL.load(Ordering::Relaxed);
    if real.is_null() {
        // SAFETY: a terminated name.
        real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()) };
        REAL.store(real, Ordering::Relaxed);
    }
    // SAFETY: libc always has it, and this is its signature.
    unsafe { transmute(real) }
}

/// libc's pthread_create; the first one after libjvm was loaded starts the helper before it.
///
/// # Safety
/// As pthread_create(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    body: Body,
    argument: *mut c_void,
) -> c_int {
    if EVERY.load(Ordering::Relaxed) != 0 && libjvm_is_mapped() && !HELPER_STARTED.swap(true, Ordering::Relaxed) {
        start_helper();
    }
    // SAFETY: the caller's arguments, passed on.
    unsafe { real_pthread_create()(thread, attributes, body, argument) }
}

fn start_helper() {
    // SAFETY: plain libc calls on locals. 32 and 33 stay open: glibc's setuid() needs them.
    unsafe {
        let (mut all, mut old) = (MaybeUninit::<[u64; 16]>::zeroed(), MaybeUninit::<[u64; 16]>::zeroed());
        all.as_mut_ptr().write([!(3 << 31), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr().cast(), old.as_mut_ptr().cast());
        let mut attributes = MaybeUninit::zeroed();
        libc::pthread_attr_init(attributes.as_mut_ptr());
        libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), 256 * 1024);
        libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
        let mut helper = 0;
        real_pthread_create()(&mut helper, attributes.as_ptr(), helper_body, null_mut());
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr().cast(), null_mut());
    }
}

extern "C" fn helper_body(_: *mut c_void) -> *mut c_void {
    // SAFETY: this thread's own block.
    unsafe { (*thread()).guard = 1 };
    let mut sink = sink::Recorder::new();
    let served = JVM.serve(&mut sink);
    if served != Served::Dead {
        sink.write(&format!("{served:?}"));
    }
    null_mut()
}

/// Switches the probe on. The environment is read without std, which is not up yet.
extern "C" fn start() {
    // SAFETY: terminated names; getenv's result is read at once.
    unsafe {
        if libc::getenv(c"PROBE_OUT".as_ptr()).is_null() {
            return;
        }
        let every = libc::getenv(c"PROBE_EVERY".as_ptr());
        let every = if every.is_null() { 1 } else { libc::atoi(every) };
        EVERY.store(every.unsigned_abs().max(1), Ordering::Relaxed);
        let cap = libc::getenv(c"PROBE_METHOD_IDS".as_ptr());
        if !cap.is_null() {
            JVM.set_method_id_cap(libc::atoi(cap).unsigned_abs().into());
        }
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;
