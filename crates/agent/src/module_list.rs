//! Keeps the unwinder's list of modules fresh where the loader does not answer questions without a lock: musl, and glibc
//! before 2.35. Elsewhere nothing here does anything.
//!
//! The list is read anew at the start, at pthread_create and by the helper when libraries have come or gone, and, at most
//! once a second, inside a hook whose stack leads out of all known modules: a library was opened since.
#![allow(unsafe_code)] // calls dl_iterate_phdr

use crate::libc_symbols::now_ms;
use crate::machine::weak;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering};
use leakscope_unwind::{ModuleSource, note_main_stack, refresh_modules};

/// Milliseconds between two looks from inside of hooks.
const PAUSE_MS: u64 = 1000;
/// Stack that a look takes, with something to spare.
const ROOM_BYTES: usize = 24 << 10;

/// Whether there is a list to keep.
pub(crate) fn is_needed() -> bool {
    ModuleSource::current() == ModuleSource::Snapshot
}

/// The first look, before anything is recorded.
pub(crate) fn begin() {
    if is_needed() {
        refresh_modules();
    }
    if weak!("__libc_stack_end").is_null() {
        note_main_stack();
    }
}

/// A look where libraries have come or gone since the last one. Takes the loader's lock: not in hooks.
pub(crate) fn keep_up() {
    static KNOWN: AtomicU64 = AtomicU64::new(0);
    if !is_needed() {
        return;
    }
    let changes = changes();
    if KNOWN.swap(changes, Ordering::Relaxed) != changes {
        refresh_modules();
    }
}

/// A look from inside a hook, with so many bytes of stack left; false if it is too early for another, or too narrow.
pub(crate) fn look_again(room: usize) -> bool {
    static LAST_MS: AtomicU64 = AtomicU64::new(0);
    let (now, last) = (now_ms(), LAST_MS.load(Ordering::Relaxed));
    if !is_needed() || room < ROOM_BYTES || now.saturating_sub(last) < PAUSE_MS {
        return false;
    }
    let is_ours = LAST_MS.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if is_ours {
        refresh_modules();
    }
    is_ours
}

/// `struct dl_phdr_info`, of which the counts of libraries loaded and unloaded so far are wanted.
#[repr(C)]
struct Information {
    address: usize,
    name: *const c_void,
    headers: *const c_void,
    count: u16,
    adds: u64,
    subs: u64,
}

/// Libraries that were ever loaded or unloaded; 0 where libc does not tell.
fn changes() -> u64 {
    type Visit = extern "C" fn(*const Information, usize, *mut u64) -> c_int;
    type Iterate = extern "C" fn(Visit, *mut u64) -> c_int;
    extern "C" fn visit(information: *const Information, bytes: usize, changes: *mut u64) -> c_int {
        if bytes >= size_of::<Information>() {
            // SAFETY: libc's structure of at least that size, and our own number.
            unsafe { *changes = (*information).adds.wrapping_add((*information).subs) };
        }
        1
    }
    let iterate = weak!("dl_iterate_phdr");
    if iterate.is_null() {
        return 0;
    }
    // SAFETY: the symbol is dl_iterate_phdr's, with its signature.
    let iterate: Iterate = unsafe { core::mem::transmute(iterate) };
    let mut changes = 0;
    iterate(visit, &mut changes);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_the_loaders_list_are_seen() {
        let before = changes();
        assert!(before > 0, "libc itself was loaded");
        // SAFETY: opens and closes a library of libc's own.
        unsafe { libc::dlclose(libc::dlopen(c"libanl.so.1".as_ptr(), libc::RTLD_NOW)) };
        assert!(changes() > before);
    }
}
