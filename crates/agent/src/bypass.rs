//! Whether the program's calls of malloc come to the shim at all.
//!
//! They do not where somebody stands before it in the loader's search order: an allocator that was preloaded before the
//! shim, or a program that has its own malloc and exports it. Everything else would seem to work, so it must be told.
//!
//! An address says too little: a program that is not position independent and takes malloc's address has an entry of
//! its own for it, which then *is* malloc's address for everybody, and leads to the shim. So malloc is called, and what
//! the shim does first is looked for: the size is gone from the thread's counter.
#![allow(unsafe_code)] // calls malloc and free as the program would

use crate::machine::program;
use crate::thread;
use core::ffi::c_void;
use core::hint::black_box;
use core::mem::transmute;
use core::sync::atomic::{AtomicUsize, Ordering};
use leakscope_unwind::find_module;

/// Bytes of the block that is asked for.
const PROBE_BYTES: usize = 1;

/// The address of the malloc that the program calls, if that is not the shim's. Found once, before recording has begun; a
/// forked child, which asks inside a hook, knows it from its parent.
pub(crate) fn other_malloc() -> Option<usize> {
    static FOUND: AtomicUsize = AtomicUsize::new(UNKNOWN);
    if FOUND.load(Ordering::Relaxed) == UNKNOWN {
        FOUND.store(if malloc_comes_here() { OURS } else { other_address() }, Ordering::Relaxed);
    }
    Some(FOUND.load(Ordering::Relaxed)).filter(|found| *found != OURS)
}

const UNKNOWN: usize = 0;
const OURS: usize = 1;

fn malloc_comes_here() -> bool {
    type Malloc = unsafe extern "C" fn(usize) -> *mut c_void;
    type Free = unsafe extern "C" fn(*mut c_void);
    let (malloc, free) = (program!("malloc"), program!("free"));
    thread::is_charged(|| {
        // SAFETY: the symbols are those functions, with their signatures; the block is freed by the family that gave it.
        unsafe {
            let block = black_box(transmute::<*mut c_void, Malloc>(malloc)(PROBE_BYTES));
            transmute::<*mut c_void, Free>(free)(block);
        }
    })
}

/// An address in the file whose functions are called in our place. That of malloc itself may be the program's own entry
/// for it (see above); such entries for the functions that are rarely used by address are hardly ever there.
fn other_address() -> usize {
    let own = find_module(other_malloc as *const () as usize).map(|module| module.start);
    let entry = entry_point();
    let program = find_module(entry).map(|module| module.start);
    let functions = [program!("malloc"), program!("calloc"), program!("realloc"), program!("posix_memalign")];
    let is_library = |address: &usize| {
        let start = find_module(*address).map(|module| module.start);
        start.is_some() && start != own && start != program
    };
    let mut addresses = functions.map(|function| function as usize).into_iter();
    addresses.find(is_library).unwrap_or(program!("malloc") as usize)
}

/// Where the program's own code begins; 0 if that is not known.
fn entry_point() -> usize {
    const AT_ENTRY: usize = 9;
    let getauxval = crate::machine::weak!("getauxval");
    if getauxval.is_null() {
        return 0;
    }
    // SAFETY: the symbol is getauxval's, with its signature.
    let getauxval: extern "C" fn(usize) -> usize = unsafe { transmute(getauxval) };
    getauxval(AT_ENTRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing interposes malloc in this test's own process.
    #[test]
    fn libcs_own_malloc_is_told_from_the_shims() {
        let counter = thread::current().sampler.get();
        let libc = find_module(libc::malloc as *const () as usize).unwrap();
        let found = other_malloc().unwrap();
        assert!((libc.start..libc.end).contains(&found), "{found:#x}");
        assert_eq!(thread::current().sampler.get(), counter, "as if nothing had been");
    }
}
