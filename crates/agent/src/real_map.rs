//! The real functions that map memory, and who calls them.
//!
//! Calls that come before the functions are found, and programs whose libc lacks one, are served by the system call
//! itself, with errno set as libc does.
#![allow(unsafe_code)] // calls through pointers that dlsym gave

use crate::kernel::{self, MapCall};
use crate::libc_symbols::set_errno;
use crate::real::{MALLOC, MLOCKALL, MMAP, MREMAP, MUNMAP, RealFunction, SHMAT, SHMDT};
use core::ffi::{c_int, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use leakscope_unwind::find_module;

type Mmap = unsafe extern "C" fn(usize, usize, c_int, c_int, c_int, i64) -> usize;
type Munmap = unsafe extern "C" fn(usize, usize) -> c_int;
type Mremap = unsafe extern "C" fn(usize, usize, usize, c_int, usize) -> usize;
type Shmat = unsafe extern "C" fn(c_int, usize, c_int) -> usize;
type Shmdt = unsafe extern "C" fn(usize) -> c_int;

fn pointer(function: &RealFunction) -> *mut c_void {
    function.load(Ordering::Relaxed)
}

/// Calls the real mmap.
///
/// # Safety
/// As mmap.
pub unsafe fn mmap(at: usize, length: usize, protection: c_int, flags: c_int, fd: c_int, offset: i64) -> usize {
    // SAFETY: the pointer is that function's, or its bootstrap's, of the same signature. So in all functions below.
    unsafe { transmute::<*mut c_void, Mmap>(pointer(&MMAP))(at, length, protection, flags, fd, offset) }
}

/// Calls the real munmap.
///
/// # Safety
/// As munmap.
pub unsafe fn munmap(address: usize, length: usize) -> c_int {
    // SAFETY: as above.
    unsafe { transmute::<*mut c_void, Munmap>(pointer(&MUNMAP))(address, length) }
}

/// Calls the real mremap, which reads its fifth argument only with the flags that need it.
///
/// # Safety
/// As mremap.
pub unsafe fn mremap(address: usize, old: usize, new: usize, flags: c_int, to: usize) -> usize {
    // SAFETY: as above. The real one is variadic: on x86-64 a caller of fixed arguments of these types passes them the
    // same way, but for al, which says how many vector registers are used; it is read only by code that saves those.
    unsafe { transmute::<*mut c_void, Mremap>(pointer(&MREMAP))(address, old, new, flags, to) }
}

/// Calls the real shmat.
///
/// # Safety
/// As shmat.
pub unsafe fn shmat(id: c_int, at: usize, flags: c_int) -> usize {
    // SAFETY: as above.
    unsafe { transmute::<*mut c_void, Shmat>(pointer(&SHMAT))(id, at, flags) }
}

/// Calls the real shmdt.
///
/// # Safety
/// As shmdt.
pub unsafe fn shmdt(address: usize) -> c_int {
    // SAFETY: as above.
    unsafe { transmute::<*mut c_void, Shmdt>(pointer(&SHMDT))(address) }
}

/// Calls the real mlockall.
pub(crate) fn mlockall(flags: c_int) -> c_int {
    type Mlockall = extern "C" fn(c_int) -> c_int;
    // SAFETY: as above.
    let mlockall = unsafe { transmute::<*mut c_void, Mlockall>(pointer(&MLOCKALL)) };
    mlockall(flags)
}

/// libc's way to answer: -1 and errno for an error.
fn answer(result: isize) -> isize {
    const MOST_ERRNO: isize = 4095;
    if (-MOST_ERRNO..0).contains(&result) {
        set_errno(-result as c_int);
        return -1;
    }
    result
}

pub(crate) unsafe extern "C" fn bootstrap_mmap(
    at: usize,
    length: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> usize {
    let args = [at, length, protection as usize, flags as usize, fd as usize, offset as usize];
    // SAFETY: passed on to our caller. So in all functions below.
    answer(unsafe { kernel::map_call(MapCall::Map, args) }) as usize
}

pub(crate) unsafe extern "C" fn bootstrap_munmap(address: usize, length: usize) -> c_int {
    // SAFETY: as above.
    answer(unsafe { kernel::map_call(MapCall::Unmap, [address, length, 0, 0, 0, 0]) }) as c_int
}

pub(crate) unsafe extern "C" fn bootstrap_mremap(
    address: usize,
    old: usize,
    new: usize,
    flags: c_int,
    to: usize,
) -> usize {
    // SAFETY: as above.
    answer(unsafe { kernel::map_call(MapCall::Remap, [address, old, new, flags as usize, to, 0]) }) as usize
}

pub(crate) unsafe extern "C" fn bootstrap_shmat(id: c_int, at: usize, flags: c_int) -> usize {
    // SAFETY: as above.
    answer(unsafe { kernel::map_call(MapCall::Attach, [id as usize, at, flags as usize, 0, 0, 0]) }) as usize
}

pub(crate) unsafe extern "C" fn bootstrap_shmdt(address: usize) -> c_int {
    // SAFETY: as above.
    answer(unsafe { kernel::map_call(MapCall::Detach, [address, 0, 0, 0, 0, 0]) }) as c_int
}

pub(crate) extern "C" fn bootstrap_mlockall(flags: c_int) -> c_int {
    answer(kernel::lock_all(flags)) as c_int
}

/// Where the allocator's code lies. libc's own calls of these functions never come here, but those of a preloaded
/// jemalloc or tcmalloc do: it maps its heap through them.
struct Allocator {
    start: AtomicUsize,
    end: AtomicUsize,
    looks: AtomicU32,
}

static ALLOCATOR: Allocator =
    Allocator { start: AtomicUsize::new(0), end: AtomicUsize::new(0), looks: AtomicU32::new(0) };
/// The loader does not know every allocator (one in a JIT's memory); it is asked so often.
const MOST_LOOKS: u32 = 8;

/// Whether code at `address` belongs to the library that the real malloc lies in. False before that is known: then
/// nothing is recorded yet.
pub fn is_allocator(address: usize) -> bool {
    let mut end = ALLOCATOR.end.load(Ordering::Acquire);
    if end == 0 && ALLOCATOR.looks.load(Ordering::Relaxed) < MOST_LOOKS {
        if !crate::real::resolved() {
            return false;
        }
        match find_module(MALLOC.load(Ordering::Relaxed) as usize) {
            Some(module) => {
                ALLOCATOR.start.store(module.start, Ordering::Relaxed);
                // Release: pairs with the Acquire above.
                ALLOCATOR.end.store(module.end, Ordering::Release);
                end = module.end;
            }
            None => {
                ALLOCATOR.looks.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    (ALLOCATOR.start.load(Ordering::Relaxed)..end).contains(&address)
}
