//! The few things the helper thread asks of the kernel: time, sleep, a futex, and files of `/proc`.
//!
//! Direct system calls only (see `machine`), nothing is allocated, and every failure is a plain value.
#![allow(unsafe_code)] // system calls

use core::sync::atomic::AtomicU32;

use crate::machine::{number, syscall4};

const NS_PER_SECOND: u64 = 1_000_000_000;
const CLOCK_MONOTONIC: usize = 1;
const AT_FDCWD: isize = -100;
const O_CLOEXEC: usize = 0o2000000;
const FUTEX_WAIT_PRIVATE: usize = 128;
const FUTEX_WAKE_PRIVATE: usize = 129;

/// The kernel's `struct timespec`.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

impl Timespec {
    fn from_ns(ns: u64) -> Self {
        Self { seconds: (ns / NS_PER_SECOND) as i64, nanoseconds: (ns % NS_PER_SECOND) as i64 }
    }
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    let mut time = Timespec::from_ns(0);
    // SAFETY: the kernel writes one timespec to the address of a local one.
    unsafe { syscall4(number::CLOCK_GETTIME, CLOCK_MONOTONIC, &raw mut time as usize, 0, 0) };
    (time.seconds as u64).wrapping_mul(NS_PER_SECOND).wrapping_add(time.nanoseconds as u64)
}

/// Sleeps; a signal may end it early.
pub(crate) fn sleep_ns(ns: u64) {
    let time = Timespec::from_ns(ns);
    // SAFETY: the kernel reads one timespec; no remainder is asked for.
    unsafe { syscall4(number::NANOSLEEP, &raw const time as usize, 0, 0, 0) };
}

/// Sleeps while `word` holds `expected`, at most `ns`. May wake without reason.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, ns: u64) {
    let time = Timespec::from_ns(ns);
    // SAFETY: the word is borrowed for the call and the timespec is a local.
    unsafe {
        syscall4(number::FUTEX, word.as_ptr() as usize, FUTEX_WAIT_PRIVATE, expected as usize, &raw const time as usize)
    };
}

/// Wakes everyone who sleeps on `word`.
pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: the kernel uses only the address of the word.
    unsafe { syscall4(number::FUTEX, word.as_ptr() as usize, FUTEX_WAKE_PRIVATE, i32::MAX as usize, 0) };
}

/// An open file, closed on drop.
pub(crate) struct File(usize);

impl File {
    /// Opens for reading; `path` ends with a zero byte, otherwise nothing is opened.
    pub(crate) fn open(path: &[u8]) -> Option<Self> {
        if path.last() != Some(&0) {
            return None;
        }
        // SAFETY: the path is a borrowed, terminated string.
        let fd = unsafe { syscall4(number::OPENAT, AT_FDCWD as usize, path.as_ptr() as usize, O_CLOEXEC, 0) };
        usize::try_from(fd).ok().map(Self)
    }

    /// Reads what one `read` gives; empty at the end and on failure.
    pub(crate) fn read<'b>(&self, buffer: &'b mut [u8]) -> &'b [u8] {
        self.fill(number::READ, buffer)
    }

    /// Reads the next directory entries (`struct linux_dirent64`); empty at the end and on failure.
    pub(crate) fn read_entries<'b>(&self, buffer: &'b mut [u8]) -> &'b [u8] {
        self.fill(number::GETDENTS64, buffer)
    }

    fn fill<'b>(&self, call: usize, buffer: &'b mut [u8]) -> &'b [u8] {
        // SAFETY: the kernel writes at most `len` bytes into the borrowed buffer.
        let count = unsafe { syscall4(call, self.0, buffer.as_mut_ptr() as usize, buffer.len(), 0) };
        usize::try_from(count).ok().and_then(|count| buffer.get(..count)).unwrap_or_default()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and is not used afterwards.
        unsafe { syscall4(number::CLOSE, self.0, 0, 0, 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_file_and_a_directory() {
        let mut buffer = [0u8; 64];
        let comm = File::open(b"/proc/self/comm\0").expect("/proc is mounted");
        assert!(comm.read(&mut buffer).ends_with(b"\n"));
        let tasks = File::open(b"/proc/self/task\0").expect("/proc is mounted");
        let mut buffer = [0u8; 1024];
        assert!(!tasks.read_entries(&mut buffer).is_empty());
    }

    #[test]
    fn refuses_what_cannot_be_opened() {
        assert!(File::open(b"/proc/self/no such file\0").is_none());
        assert!(File::open(b"/proc/self/comm").is_none(), "not terminated");
    }

    #[test]
    fn a_futex_with_another_value_does_not_sleep_and_time_passes() {
        let before = now_ns();
        futex_wait(&AtomicU32::new(1), 0, 3600 * NS_PER_SECOND);
        futex_wake(&AtomicU32::new(1));
        sleep_ns(1);
        assert!(now_ns() > before);
    }
}
