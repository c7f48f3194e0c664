//! mlockall: what leakscope has reserved, and hardly ever touches, is not made resident by it.
//!
//! The session takes 30 MiB of address space at the default interval, 130 MiB at shorter ones and 3.3 GiB in exact mode, of which only what is
//! used is memory. A target that locks all it has would get the rest as well. So everything is locked *on fault* first;
//! then our reservations are let go, and every other mapping is locked as the program wants it.
//!
//! mlockall through `syscall(2)` does not come here.
#![allow(unsafe_code)] // a system call on ranges of /proc/self/maps

use crate::exact_state;
use crate::helper;
use crate::kernel;
use crate::libc_symbols::KeepErrno;
use crate::real_map;
use crate::recorder::RECORDER;
use core::ffi::c_int;
use core::ops::Range;
use leakscope_unwind::for_each_mapping;

const MCL_CURRENT: c_int = 1;
const MCL_FUTURE: c_int = 2;
const MCL_ONFAULT: c_int = 4;

/// Ranges of ours that stay as they are: the session, the threads' states, and the helper's three tables.
const RESERVED: usize = 5;

/// mlockall.
pub fn lock_all(flags: c_int) -> c_int {
    let wants_pages = flags & MCL_CURRENT != 0 && flags & MCL_ONFAULT == 0;
    let memory = RECORDER.recording().filter(|_| wants_pages).map(|published| published.memory);
    let Some(memory) = memory else {
        return real_map::mlockall(flags);
    };
    let [first, second, third] = helper::tables();
    let session = memory.base..memory.base.saturating_add(memory.bytes as usize);
    let reserved = [session, exact_state::range(), first, second, third];
    if lock_others(flags, &reserved) {
        return 0;
    }
    // Whatever the kernel has against it, it is to tell the program itself.
    real_map::mlockall(flags)
}

/// Locks all but the reserved ranges; false if that is not possible.
fn lock_others(flags: c_int, reserved: &[Range<usize>; RESERVED]) -> bool {
    let _errno = KeepErrno::new();
    // Fails before Linux 4.4, and where what is reserved is more than may be locked.
    if real_map::mlockall(flags | MCL_ONFAULT) == 0 {
        reserved.iter().for_each(|range| kernel::unlock(range.start, range.len()));
    }
    let mut is_locked = true;
    let is_read = for_each_mapping(|mapping| {
        // The kernel's own page outside of the address space.
        if mapping.path != b"[vsyscall]" {
            for_each_other(mapping.start..mapping.end, reserved, &mut |part| {
                is_locked &= kernel::lock_pages(part.start, part.end - part.start) || !mapping.readable;
            });
        }
    });
    is_read && is_locked && (flags & MCL_FUTURE == 0 || real_map::mlockall(flags & !MCL_CURRENT) == 0)
}

/// The parts of a range outside of the reserved ones.
#[inline(never)]
fn for_each_other(range: Range<usize>, reserved: &[Range<usize>], visit: &mut dyn FnMut(Range<usize>)) {
    let mut start = range.start;
    while start < range.end {
        let is_inside = |r: &&Range<usize>| r.contains(&start);
        if let Some(inside) = reserved.iter().find(is_inside) {
            start = inside.end;
            continue;
        }
        let next = reserved.iter().map(|r| r.start).filter(|at| *at > start).min().unwrap_or(usize::MAX);
        let end = next.min(range.end);
        visit(start..end);
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_cut_out() {
        let reserved = [10..20, 40..50, 50..60, 50..60, 0..0];
        let others = |start, end| {
            let mut parts = Vec::new();
            for_each_other(start..end, &reserved, &mut |part| parts.push((part.start, part.end)));
            parts
        };
        assert_eq!(others(0, 100), [(0, 10), (20, 40), (60, 100)]);
        assert_eq!(others(12, 18), []);
        assert_eq!(others(0, 5), [(0, 5)]);
        assert_eq!(others(15, 45), [(20, 40)]);
        assert_eq!(others(10, 20), []);
    }
}
