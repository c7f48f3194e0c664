//! Memory that stays resident.
#![allow(unsafe_code)] // system calls

use super::checked;
use crate::machine::syscall;

mod number {
    pub const MLOCK: usize = 149;
    pub const MUNLOCK: usize = 150;
    pub const MLOCKALL: usize = 151;
}

/// Makes a range of memory resident and keeps it so; false if that fails.
pub(crate) fn lock_pages(start: usize, bytes: usize) -> bool {
    // SAFETY: changes no content.
    checked(unsafe { syscall(number::MLOCK, [start, bytes, 0, 0, 0, 0]) }).is_ok()
}

/// Undoes [`lock_pages`].
pub(crate) fn unlock(start: usize, bytes: usize) {
    // SAFETY: changes no content.
    unsafe { syscall(number::MUNLOCK, [start, bytes, 0, 0, 0, 0]) };
}

/// mlockall, as the kernel answers.
pub(crate) fn lock_all(flags: i32) -> isize {
    // SAFETY: changes no content.
    unsafe { syscall(number::MLOCKALL, [flags as usize, 0, 0, 0, 0, 0]) }
}
