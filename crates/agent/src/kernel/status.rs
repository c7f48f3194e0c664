//! What /proc says about this process.
#![allow(unsafe_code)] // system calls

use super::{Fd, checked, number};
use crate::machine::syscall;

/// Whether the calling thread is the only one left: the main thread has ended (pthread_exit), and all others.
pub(crate) fn is_last_thread() -> bool {
    let mut text = [0u8; 512];
    let bytes = read_file(c"/proc/self/stat", &mut text);
    is_zombie_with_one_thread(text.get(..bytes).unwrap_or(&[]))
}

/// `PID (NAME) STATE ...`, of which the 18th field from STATE on is the number of threads, the dead first one included.
fn is_zombie_with_one_thread(stat: &[u8]) -> bool {
    let fields = stat.rsplit(|&byte| byte == b')').next().unwrap_or(&[]);
    let mut fields = fields.split(|&byte| byte == b' ').skip(1);
    fields.next() == Some(b"Z") && fields.nth(16) == Some(b"2")
}

/// Number of seccomp filters of this process.
pub(crate) fn seccomp_filters() -> u32 {
    const PR_GET_SECCOMP: usize = 21;
    // SAFETY: takes no pointer.
    if unsafe { syscall(number::PRCTL, [PR_GET_SECCOMP, 0, 0, 0, 0, 0]) } <= 0 {
        return 0;
    }
    let mut text = [0u8; 4096];
    let bytes = read_file(c"/proc/self/status", &mut text);
    filters_in(text.get(..bytes).unwrap_or(&[])).unwrap_or(1)
}

/// `Seccomp_filters:\tN` of /proc/PID/status.
fn filters_in(status: &[u8]) -> Option<u32> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Seccomp_filters:\t"))?;
    line.iter().try_fold(0u32, |n, &digit| {
        let digit = u32::from(digit.checked_sub(b'0').filter(|d| *d < 10)?);
        n.checked_mul(10)?.checked_add(digit)
    })
}

/// Reads the beginning of a file; the number of bytes, 0 where it cannot be read.
fn read_file(path: &core::ffi::CStr, text: &mut [u8]) -> usize {
    const O_CLOEXEC: usize = 0o2000000;
    const AT_FDCWD: usize = -100isize as usize;
    // SAFETY: the kernel reads the terminated path.
    let opened = unsafe { syscall(number::OPENAT, [AT_FDCWD, path.as_ptr() as usize, O_CLOEXEC, 0, 0, 0]) };
    let Ok(fd) = checked(opened).map(Fd) else {
        return 0;
    };
    // SAFETY: the kernel writes at most the buffer.
    checked(unsafe { syscall(number::READ, [fd.0, text.as_mut_ptr() as usize, text.len(), 0, 0, 0]) }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_counted() {
        assert_eq!(filters_in(b"Seccomp:\t2\nSeccomp_filters:\t13\nSpec"), Some(13));
        assert_eq!(filters_in(b"Seccomp:\t2\n"), None, "before 5.9");
        assert_eq!(filters_in(b"Seccomp_filters:\tx\n"), None);
    }

    #[test]
    fn the_last_thread_is_told_by_the_process_status() {
        let stat = |state: &str, threads: u32| {
            format!("41 (a ) b) {state} 1 41 41 0 -1 4194368 5 0 0 0 0 0 0 0 20 0 {threads} 0 77 0 0\n").into_bytes()
        };
        assert!(is_zombie_with_one_thread(&stat("Z", 2)));
        assert!(!is_zombie_with_one_thread(&stat("S", 2)));
        assert!(!is_zombie_with_one_thread(&stat("Z", 3)));
        assert!(!is_zombie_with_one_thread(b""));
        assert!(!is_last_thread());
    }
}
