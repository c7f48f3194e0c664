//! The modules that were loaded together with the program: they are never unloaded, so where they lie is noted once, at
//! the start, and most frames of most stacks need not be asked of the loader.
//!
//! Written once, by the constructor; from then on only read.

#![allow(unsafe_code)] // follows the loader's list

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::module::{self, ModuleSource, Span};

/// Most modules that are noted; those beyond are asked for like any other.
const MOST: usize = 16;

static MODULES: [Row; MOST] = [const { Row::empty() }; MOST];

struct Row {
    start: AtomicUsize,
    bytes: AtomicUsize,
    identity: AtomicU64,
}

impl Row {
    const fn empty() -> Row {
        Row { start: AtomicUsize::new(0), bytes: AtomicUsize::new(0), identity: AtomicU64::new(0) }
    }
}

/// Notes the modules up to the one that contains `last`, in the order in which they were loaded. To be called once, by a
/// constructor of a library that was loaded with the program; `last` is a function of libc: constructors that ran before may
/// have opened further libraries, which come behind it and can be closed again. Where the loader cannot be asked without a
/// lock, nothing is noted.
pub fn note_first_modules(last: usize) {
    if ModuleSource::current() == ModuleSource::Snapshot {
        return;
    }
    let mut rows = MODULES.iter();
    module::for_each_loaded(|module| {
        let is_last = module.contains(last);
        if let Some(row) = rows.next() {
            let Span { start, bytes, identity, .. } = module.span();
            row.start.store(start, Relaxed);
            row.identity.store(identity, Relaxed);
            // Last: a row without bytes contains nothing.
            row.bytes.store(bytes, Relaxed);
        }
        !is_last
    });
}

/// The module that contains `address`, if it was loaded with the program.
///
/// # Hot path
/// Some loads from six cache lines at most. No allocation, lock, system call or panic; signal-safe.
#[inline]
pub(crate) fn find(address: usize) -> Option<Span> {
    for row in &MODULES {
        let span = Span { start: row.start.load(Relaxed), bytes: row.bytes.load(Relaxed), identity: 0, stays: true };
        if span.bytes == 0 {
            return None;
        }
        if span.contains(address) {
            return Some(Span { identity: row.identity.load(Relaxed), ..span });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::find_module;

    #[test]
    fn what_was_loaded_with_the_program_is_found_and_nothing_else() {
        assert_eq!(ModuleSource::current(), ModuleSource::Loader, "this test needs glibc 2.35 or later");
        note_first_modules(libc::__errno_location as *const () as usize);
        let own = what_was_loaded_with_the_program_is_found_and_nothing_else as *const () as usize;
        for address in [own, libc::__errno_location as *const () as usize] {
            let (found, asked) = (find(address).unwrap(), find_module(address).unwrap().span());
            assert_eq!((found.start, found.bytes, found.identity), (asked.start, asked.bytes, asked.identity));
        }
        // SAFETY: a terminated name; the library has no constructors that do harm.
        let later = unsafe { libc::dlopen(c"libm.so.6".as_ptr(), libc::RTLD_NOW) };
        // SAFETY: an open library, or null.
        let function = unsafe { libc::dlsym(later, c"lgamma".as_ptr()) }.addr();
        let elsewhere = [0, function, &raw const later as usize];
        assert_eq!(elsewhere.map(|address| find(address).is_none()), [true; 3], "{elsewhere:x?}");
    }
}
