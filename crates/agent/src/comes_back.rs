//! Calls that come to the shim twice: which they are is found at the start, so that they are charged once.
#![allow(unsafe_code)] // calls the real functions

use crate::libc_symbols::file_of;
use crate::real::{
    ALIGNED_ALLOC, CALLOC, MALLOC, MEMALIGN, POSIX_MEMALIGN, PVALLOC, RealFunction, VALLOC, call_one, call_two, free,
    posix_memalign,
};
use crate::thread;
use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering};

/// A call that some allocators serve by calling another of the family, which comes to the shim again: musl's calloc calls
/// malloc, and its memalign calls aligned_alloc. It is to be charged once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)] // the calls of these names
pub enum Call {
    Calloc = 1,
    Memalign = 2,
    PosixMemalign = 4,
    AlignedAlloc = 8,
    Valloc = 16,
    Pvalloc = 32,
}

/// The [`Call`]s that come back; zero with nearly all allocators.
pub static COME_BACK: AtomicU32 = AtomicU32::new(0);

/// Whether a call comes to the shim once more.
///
/// # Hot path
/// One load.
#[inline(always)]
pub fn comes_back(call: Call) -> bool {
    COME_BACK.load(Ordering::Relaxed) & call as u32 != 0
}

/// Whether a function lies in the same file as the real malloc: they belong together, and take each other's blocks.
pub(crate) fn is_beside_malloc(function: *mut c_void) -> bool {
    let malloc = file_of(MALLOC.load(Ordering::Relaxed));
    malloc.is_some() && malloc == file_of(function)
}

/// Finds out by calling each. Not those of another file (libc's pvalloc beside jemalloc), whose blocks nobody would take.
pub(crate) fn find() {
    const BYTES: usize = 64;
    let by_posix_memalign = || {
        let mut block = core::ptr::null_mut();
        // SAFETY: the place is a local one.
        unsafe { posix_memalign(&mut block, BYTES, BYTES) };
        block
    };
    let calls: [(Call, &RealFunction, &dyn Fn() -> *mut c_void); 6] = [
        (Call::Calloc, &CALLOC, &|| call_two(&CALLOC, 1, BYTES)),
        (Call::Memalign, &MEMALIGN, &|| call_two(&MEMALIGN, BYTES, BYTES)),
        (Call::PosixMemalign, &POSIX_MEMALIGN, &by_posix_memalign),
        (Call::AlignedAlloc, &ALIGNED_ALLOC, &|| call_two(&ALIGNED_ALLOC, BYTES, BYTES)),
        (Call::Valloc, &VALLOC, &|| call_one(&VALLOC, BYTES)),
        (Call::Pvalloc, &PVALLOC, &|| call_one(&PVALLOC, BYTES)),
    ];
    for (call, function, make) in calls {
        if !is_beside_malloc(function.load(Ordering::Relaxed)) {
            continue;
        }
        let mut block = core::ptr::null_mut();
        if thread::is_charged(|| block = make()) {
            COME_BACK.fetch_or(call as u32, Ordering::Relaxed);
        }
        // SAFETY: just made, by this family.
        unsafe { free(block) };
    }
}
