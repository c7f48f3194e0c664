//! The few libc functions the agent calls, found through weak symbols so that the shim links no library.
#![allow(unsafe_code)] // C functions

use crate::machine::weak;
use core::ffi::{c_char, c_int, c_void};

/// `dlsym(RTLD_NEXT, name)`; null if there is none.
pub(crate) fn next_symbol(name: &core::ffi::CStr) -> *mut c_void {
    const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;
    let dlsym = weak!("dlsym");
    if dlsym.is_null() {
        return core::ptr::null_mut();
    }
    // SAFETY: the symbol is dlsym's, with dlsym's signature.
    let dlsym: extern "C" fn(*mut c_void, *const c_char) -> *mut c_void = unsafe { core::mem::transmute(dlsym) };
    dlsym(RTLD_NEXT, name.as_ptr())
}

/// The address of the calling thread's errno; null where libc has none.
fn errno_location() -> *mut c_int {
    let location = weak!("__errno_location");
    if location.is_null() {
        return core::ptr::null_mut();
    }
    // SAFETY: the symbol is __errno_location's, with its signature.
    let location: extern "C" fn() -> *mut c_int = unsafe { core::mem::transmute(location) };
    location()
}

/// Keeps errno as it was for whoever called us.
pub(crate) struct KeepErrno {
    location: *mut c_int,
    value: c_int,
}

impl KeepErrno {
    pub(crate) fn new() -> Self {
        let location = errno_location();
        // SAFETY: libc's own address of this thread's errno, or null, which is checked.
        let value = if location.is_null() { 0 } else { unsafe { *location } };
        Self { location, value }
    }
}

impl Drop for KeepErrno {
    fn drop(&mut self) {
        if !self.location.is_null() {
            // SAFETY: as in `new`.
            unsafe { *self.location = self.value };
        }
    }
}

/// Sets errno.
pub(crate) fn set_errno(value: c_int) {
    let location = errno_location();
    if !location.is_null() {
        // SAFETY: libc's own address of this thread's errno.
        unsafe { *location = value };
    }
}

/// Milliseconds of the coarse monotonic clock, through libc's vDSO call: no system call, resolution 1-10 ms.
pub(crate) fn now_ms() -> u64 {
    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanoseconds: i64,
    }
    const CLOCK_MONOTONIC_COARSE: c_int = 6;
    let clock = weak!("clock_gettime");
    if clock.is_null() {
        return 0;
    }
    // SAFETY: the symbol is clock_gettime's, with its signature.
    let clock: extern "C" fn(c_int, *mut Timespec) -> c_int = unsafe { core::mem::transmute(clock) };
    let mut now = Timespec { seconds: 0, nanoseconds: 0 };
    clock(CLOCK_MONOTONIC_COARSE, &mut now);
    (now.seconds as u64).wrapping_mul(1000).wrapping_add(now.nanoseconds as u64 / 1_000_000)
}

/// Calls `visit` with each `NAME=value` of the environment until it returns true.
pub(crate) fn find_in_environment(mut visit: impl FnMut(&[u8]) -> bool) {
    let environ: *mut *const *const c_char = weak!("environ").cast();
    if environ.is_null() {
        return;
    }
    // SAFETY: libc's `environ`: a null-terminated array of strings (or null), not changed by anyone while the
    // constructors run on the only thread.
    unsafe {
        let mut entry = *environ;
        while !entry.is_null() && !(*entry).is_null() {
            if visit(core::ffi::CStr::from_ptr(*entry).to_bytes()) {
                return;
            }
            entry = entry.add(1);
        }
    }
}

/// The attributes of a thread, as glibc and musl lay them out (56 bytes on x86-64), with room to spare.
#[repr(C, align(16))]
struct ThreadAttributes([u8; 128]);

/// The function that a thread runs.
pub type StartRoutine = Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>;

/// Signature of `pthread_create`.
pub type PthreadCreate = unsafe extern "C" fn(*mut usize, *const c_void, StartRoutine, *mut c_void) -> c_int;

/// Starts a detached thread with a stack of `stack_bytes`; false if that fails.
pub(crate) fn start_thread(
    create: PthreadCreate,
    stack_bytes: usize,
    body: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
) -> bool {
    type Init = extern "C" fn(*mut ThreadAttributes) -> c_int;
    type SetSize = extern "C" fn(*mut ThreadAttributes, usize) -> c_int;
    type SetDetach = extern "C" fn(*mut ThreadAttributes, c_int) -> c_int;
    const PTHREAD_CREATE_DETACHED: c_int = 1;
    let init = weak!("pthread_attr_init");
    let set_size = weak!("pthread_attr_setstacksize");
    let set_detach = weak!("pthread_attr_setdetachstate");
    if init.is_null() || set_size.is_null() || set_detach.is_null() {
        return false;
    }
    let mut attributes = ThreadAttributes([0; 128]);
    // SAFETY: the symbols are those functions, with their signatures; the attributes have room for either libc.
    unsafe {
        core::mem::transmute::<*mut c_void, Init>(init)(&mut attributes);
        core::mem::transmute::<*mut c_void, SetSize>(set_size)(&mut attributes, stack_bytes);
        core::mem::transmute::<*mut c_void, SetDetach>(set_detach)(&mut attributes, PTHREAD_CREATE_DETACHED);
        let mut thread = 0;
        create(&mut thread, (&raw const attributes).cast(), Some(body), core::ptr::null_mut()) == 0
    }
}
