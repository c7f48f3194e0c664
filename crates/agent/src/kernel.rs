//! The system calls of the agent, made directly: nothing here touches errno or allocates.
#![allow(unsafe_code)] // system calls

mod lock;
mod socket;
mod status;

pub(crate) use lock::{lock_all, lock_pages, unlock};
pub(crate) use socket::{connect_abstract, receive, send};
pub(crate) use status::{is_last_thread, seccomp_filters};

use crate::machine::syscall;

mod number {
    pub const READ: usize = 0;
    pub const CLOSE: usize = 3;
    pub const FSTAT: usize = 5;
    pub const POLL: usize = 7;
    pub const MMAP: usize = 9;
    pub const MPROTECT: usize = 10;
    pub const MUNMAP: usize = 11;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const MADVISE: usize = 28;
    pub const SHMAT: usize = 30;
    pub const SHMCTL: usize = 31;
    pub const SHMDT: usize = 67;
    pub const MREMAP: usize = 25;
    pub const TGKILL: usize = 234;
    pub const GETPID: usize = 39;
    pub const SOCKET: usize = 41;
    pub const CONNECT: usize = 42;
    pub const SENDMSG: usize = 46;
    pub const SETSOCKOPT: usize = 54;
    pub const FCNTL: usize = 72;
    pub const FTRUNCATE: usize = 77;
    pub const GETPPID: usize = 110;
    pub const PRCTL: usize = 157;
    pub const GETTID: usize = 186;
    pub const OPENAT: usize = 257;
    pub const CLOCK_GETTIME: usize = 228;
    pub const SIGALTSTACK: usize = 131;
    pub const PRLIMIT: usize = 302;
    pub const MEMFD_CREATE: usize = 319;
}

/// An error number of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub u64);

fn checked(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno(result.unsigned_abs() as u64))
}

/// A descriptor, closed on drop.
#[derive(Debug)]
pub(crate) struct Fd(usize);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and is not used afterwards.
        unsafe { syscall(number::CLOSE, [self.0, 0, 0, 0, 0, 0]) };
    }
}

const F_DUPFD_CLOEXEC: usize = 1030;
const F_ADD_SEALS: usize = 1033;

/// A file that was opened, by its number and by what it is: the number may be closed and given away behind our back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenFile {
    fd: usize,
    device: u64,
    inode: u64,
}

impl OpenFile {
    /// No file.
    pub(crate) const NONE: OpenFile = OpenFile { fd: usize::MAX, device: 0, inode: 0 };

    fn at(fd: usize) -> Option<OpenFile> {
        // struct stat: 144 bytes, which begin with the device and the inode.
        let mut status = [0u64; 18];
        // SAFETY: the kernel writes one struct stat.
        checked(unsafe { syscall(number::FSTAT, [fd, status.as_mut_ptr() as usize, 0, 0, 0, 0]) }).ok()?;
        Some(OpenFile { fd, device: status[0], inode: status[1] })
    }

    /// Closes it, if its number still stands for it.
    pub(crate) fn close(self) {
        if Self::at(self.fd) == Some(self) {
            drop(Fd(self.fd));
        }
    }
}

impl Fd {
    /// Gives the descriptor up without closing it.
    pub(crate) fn leak(self) -> OpenFile {
        let file = OpenFile::at(self.0).unwrap_or(OpenFile::NONE);
        core::mem::forget(self);
        file
    }

    /// Moves the descriptor out of the way of programs that expect the lowest numbers, and where it can be of those that try all
    /// numbers they may use: beyond the soft limit, which is raised for a moment if no other thread is there to see it.
    pub(crate) fn put_away(self, is_only_thread: bool) -> Fd {
        const ROOM: u64 = 16;
        /// The kernel's table grows with the largest number.
        const FEW: u64 = 4096;
        let [soft, hard] = limits(OPEN_FILES);
        if is_only_thread && soft <= FEW && hard >= soft + ROOM && set_limits(OPEN_FILES, [soft + ROOM, hard]) {
            let moved = self.move_up(soft as usize);
            set_limits(OPEN_FILES, [soft, hard]);
            return moved;
        }
        self.move_up(soft.min(1024).saturating_sub(ROOM) as usize)
    }

    /// Moves the descriptor to the first free number from `lowest` on; it stays where it is when there is no room.
    fn move_up(self, lowest: usize) -> Fd {
        // SAFETY: duplicates a descriptor of ours.
        match checked(unsafe { syscall(number::FCNTL, [self.0, F_DUPFD_CLOEXEC, lowest, 0, 0, 0]) }) {
            Ok(fd) => Fd(fd),
            Err(_) => self,
        }
    }
}

/// Process id.
pub(crate) fn pid() -> u64 {
    // SAFETY: no arguments.
    unsafe { syscall(number::GETPID, [0; 6]) as u64 }
}

/// Process id of the parent.
pub(crate) fn parent_pid() -> u64 {
    // SAFETY: no arguments.
    unsafe { syscall(number::GETPPID, [0; 6]) as u64 }
}

/// Thread id.
pub(crate) fn tid() -> u32 {
    // SAFETY: no arguments.
    unsafe { syscall(number::GETTID, [0; 6]) as u32 }
}

/// The calling thread's name, up to 15 bytes and zeroes.
pub(crate) fn thread_name() -> [u8; 16] {
    const PR_GET_NAME: usize = 16;
    let mut name = [0; 16];
    // SAFETY: the kernel writes at most 16 bytes.
    unsafe { syscall(number::PRCTL, [PR_GET_NAME, name.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    name
}

/// Names the calling thread; `name` is zero-terminated.
pub(crate) fn set_thread_name(name: &core::ffi::CStr) {
    const PR_SET_NAME: usize = 15;
    // SAFETY: the kernel reads the terminated string.
    unsafe { syscall(number::PRCTL, [PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0, 0]) };
}

/// Whether the calling thread is on its alternative signal stack.
pub(crate) fn on_signal_stack() -> bool {
    const SS_ONSTACK: usize = 1;
    // stack_t: address, flags (32 bits) and padding, size.
    let mut now = [0usize; 3];
    // SAFETY: null asks only; the kernel writes one stack_t.
    unsafe { syscall(number::SIGALTSTACK, [0, now.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    now[1] & SS_ONSTACK != 0
}

/// A clock, nanoseconds.
pub(crate) fn clock_ns(clock: usize) -> u64 {
    let mut time = [0i64; 2];
    // SAFETY: the kernel writes one timespec: two 64-bit words.
    unsafe { syscall(number::CLOCK_GETTIME, [clock, time.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    (time[0] as u64).wrapping_mul(1_000_000_000).wrapping_add(time[1] as u64)
}

/// CLOCK_REALTIME.
pub(crate) const REALTIME: usize = 0;
/// CLOCK_MONOTONIC.
pub(crate) const MONOTONIC: usize = 1;

/// The soft limit of a resource; the largest number if there is none.
pub(crate) fn soft_limit(resource: usize) -> u64 {
    limits(resource)[0]
}

/// The soft and the hard limit of a resource.
fn limits(resource: usize) -> [u64; 2] {
    let mut limits = [u64::MAX; 2];
    // SAFETY: the kernel writes one rlimit: two 64-bit words.
    unsafe { syscall(number::PRLIMIT, [0, resource, 0, limits.as_mut_ptr() as usize, 0, 0]) };
    limits
}

/// Whether the limits of a resource could be set.
fn set_limits(resource: usize, limits: [u64; 2]) -> bool {
    // SAFETY: the kernel reads one rlimit.
    unsafe { syscall(number::PRLIMIT, [0, resource, limits.as_ptr() as usize, 0, 0, 0]) == 0 }
}

/// RLIMIT_FSIZE: ftruncate beyond it would raise SIGXFSZ.
pub(crate) const FILE_SIZE: usize = 1;
/// RLIMIT_AS.
pub(crate) const ADDRESS_SPACE: usize = 9;
/// RLIMIT_NOFILE.
pub(crate) const OPEN_FILES: usize = 7;
/// Limit of private writable memory, bytes.
pub(crate) const DATA: usize = 2;

/// A sealable memfd.
pub(crate) fn memfd(name: &core::ffi::CStr) -> Result<Fd, Errno> {
    const MFD_CLOEXEC: usize = 1;
    const MFD_ALLOW_SEALING: usize = 2;
    const MFD_NOEXEC_SEAL: usize = 8;
    let flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    // SAFETY: the kernel reads the terminated name.
    let create = |flags| checked(unsafe { syscall(number::MEMFD_CREATE, [name.as_ptr() as usize, flags, 0, 0, 0, 0]) });
    // Newer kernels can be told to refuse executable ones; older ones do not know the flag.
    create(flags | MFD_NOEXEC_SEAL).or_else(|_| create(flags)).map(Fd)
}

/// Gives a file its length.
pub(crate) fn set_length(fd: &Fd, bytes: u64) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    checked(unsafe { syscall(number::FTRUNCATE, [fd.0, bytes as usize, 0, 0, 0, 0]) }).map(drop)
}

/// Seals a memfd: nobody can shrink or grow it, nor take the seals back.
pub(crate) fn seal(fd: &Fd) -> Result<(), Errno> {
    const F_SEAL_SEAL: usize = 1;
    const F_SEAL_SHRINK: usize = 2;
    const F_SEAL_GROW: usize = 4;
    let seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
    // SAFETY: no memory is involved.
    checked(unsafe { syscall(number::FCNTL, [fd.0, F_ADD_SEALS, seals, 0, 0, 0]) }).map(drop)
}

/// Locks a whole file for this process alone: unlike a descriptor, such a lock is not inherited by forked children, and
/// it ends with exec, with the process, or when the process closes the file.
pub(crate) fn lock(fd: &Fd) {
    const F_SETLK: usize = 6;
    const F_WRLCK: u64 = 1;
    // struct flock: kind and whence (16 bits each), start, length (0: to the end), process.
    let lock = [F_WRLCK, 0, 0, 0];
    // SAFETY: the kernel reads one struct flock, 32 bytes. Where it fails the collector looks at our mappings instead.
    unsafe { syscall(number::FCNTL, [fd.0, F_SETLK, lock.as_ptr() as usize, 0, 0, 0]) };
}

const PROT_READ_WRITE: usize = 3;
/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;

/// Maps a whole file, shared. Not part of core dumps.
pub(crate) fn map_shared(fd: &Fd, bytes: u64) -> Result<*mut u8, Errno> {
    const MAP_SHARED: usize = 1;
    map_unlocked(MAP_SHARED, fd.0, bytes)
}

/// Maps memory of the process's own, of which little will be touched: no huge pages. Not part of core dumps.
pub(crate) fn map_private(bytes: u64) -> Result<*mut u8, Errno> {
    const MADV_NOHUGEPAGE: usize = 15;
    let base = map_unlocked(MAP_PRIVATE_ANONYMOUS, usize::MAX, bytes)?;
    // SAFETY: advice on our own mapping.
    unsafe { syscall(number::MADVISE, [base as usize, bytes as usize, MADV_NOHUGEPAGE, 0, 0, 0]) };
    Ok(base)
}

fn map_unlocked(flags: usize, fd: usize, bytes: u64) -> Result<*mut u8, Errno> {
    const MADV_DONTDUMP: usize = 16;
    const PROT_NONE: usize = 0;
    // A process that locks all its future mappings would get every page of it: so it is out of reach until it is unlocked.
    // SAFETY: a new mapping at an address of the kernel's choice.
    let base = checked(unsafe { syscall(number::MMAP, [0, bytes as usize, PROT_NONE, flags, fd, 0]) })?;
    unlock(base, bytes as usize);
    // SAFETY: our own mapping.
    let opened = checked(unsafe { syscall(number::MPROTECT, [base, bytes as usize, PROT_READ_WRITE, 0, 0, 0]) });
    if let Err(errno) = opened {
        unmap(base as *mut u8, bytes);
        return Err(errno);
    }
    // SAFETY: advice on our own mapping. It stays inherited by forked children: one that was forked by a signal
    // handler inside a hook comes back into the hook, and must find the memory there.
    unsafe { syscall(number::MADVISE, [base, bytes as usize, MADV_DONTDUMP, 0, 0, 0]) };
    Ok(base as *mut u8)
}

/// What may be done with memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access {
    /// Reading.
    Read = 1,
    /// Reading and writing.
    Write = 3,
}

/// Changes what may be done with whole pages of our own library's data; false if the kernel refuses.
pub(crate) fn protect(start: usize, bytes: usize, access: Access) -> bool {
    // SAFETY: the pages stay readable, and nobody relies on a write to them failing.
    checked(unsafe { syscall(number::MPROTECT, [start, bytes, access as usize, 0, 0, 0]) }).is_ok()
}

/// The system calls that map memory, for programs whose libc does not have them; as the kernel answers, negative for an
/// error.
///
/// # Safety
/// As the calls of these names.
pub(crate) unsafe fn map_call(call: MapCall, args: [usize; 6]) -> isize {
    let number = match call {
        MapCall::Map => number::MMAP,
        MapCall::Unmap => number::MUNMAP,
        MapCall::Remap => number::MREMAP,
        MapCall::Attach => number::SHMAT,
        MapCall::Detach => number::SHMDT,
    };
    // SAFETY: passed on to our caller.
    unsafe { syscall(number, args) }
}

/// A system call that maps memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MapCall {
    /// mmap.
    Map,
    /// munmap.
    Unmap,
    /// mremap.
    Remap,
    /// shmat.
    Attach,
    /// shmdt.
    Detach,
}

/// Bytes of a System V shared memory segment.
pub(crate) fn segment_bytes(id: i32) -> Option<usize> {
    const IPC_STAT: usize = 2;
    // struct shmid64_ds: 48 bytes of permissions, then the size.
    const SIZE_WORD: usize = 6;
    let mut status = [0usize; 16];
    // SAFETY: the kernel writes one shmid64_ds, 112 bytes.
    checked(unsafe { syscall(number::SHMCTL, [id as usize, IPC_STAT, status.as_mut_ptr() as usize, 0, 0, 0]) }).ok()?;
    status.get(SIZE_WORD).copied()
}

/// Whether a thread of process `pid`, this one, exists; true where the kernel does not say.
pub(crate) fn thread_exists(pid: u32, tid: u32) -> bool {
    const ESRCH: Errno = Errno(3);
    // SAFETY: signal 0 is none; no memory is involved.
    checked(unsafe { syscall(number::TGKILL, [pid as usize, tid as usize, 0, 0, 0, 0]) }) != Err(ESRCH)
}

/// Undoes [`map_shared`] and [`map_private`].
pub(crate) fn unmap(base: *mut u8, bytes: u64) {
    // SAFETY: the caller's own mapping, which nothing refers to any more.
    unsafe { syscall(number::MUNMAP, [base as usize, bytes as usize, 0, 0, 0, 0]) };
}

const MAP_PRIVATE_ANONYMOUS: usize = 0x22;

/// Two pages, of which the first reads as zeroes in a forked child (not in a vforked one, which shares it).
pub(crate) fn wiped_on_fork() -> Result<*mut u8, Errno> {
    const MADV_WIPEONFORK: usize = 18;
    let bytes = 2 * PAGE as usize;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let pages =
        checked(unsafe { syscall(number::MMAP, [0, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0]) })?;
    // SAFETY: advice on our own mapping.
    match checked(unsafe { syscall(number::MADVISE, [pages, PAGE as usize, MADV_WIPEONFORK, 0, 0, 0]) }) {
        Ok(_) => Ok(pages as *mut u8),
        Err(errno) => {
            unmap(pages as *mut u8, 2 * PAGE);
            Err(errno)
        }
    }
}

/// Puts memory of this process's own, all zeroes, in the place of a mapping of ours.
pub(crate) fn cover(base: usize, bytes: u64) {
    const MAP_FIXED_NORESERVE: usize = 0x4010;
    let flags = MAP_PRIVATE_ANONYMOUS | MAP_FIXED_NORESERVE;
    // SAFETY: replaces a mapping of ours; what is read there from now on is zeroes, which is a valid value of all that
    // lies in it. Where it fails the mapping stays.
    unsafe { syscall(number::MMAP, [base, bytes as usize, PROT_READ_WRITE, flags, usize::MAX, 0]) };
}

/// Masks every signal except 32 and 33 (glibc's own: setuid() in a threaded program signals each thread and waits);
/// gives the mask that was.
pub(crate) fn mask_signals() -> u64 {
    const SIG_SETMASK: usize = 2;
    let all: u64 = !(1 << 31 | 1 << 32);
    let mut before = 0u64;
    // SAFETY: the kernel reads and writes one 64-bit mask each.
    unsafe {
        syscall(number::RT_SIGPROCMASK, [SIG_SETMASK, &raw const all as usize, &raw mut before as usize, 8, 0, 0])
    };
    before
}

/// Restores what [`mask_signals`] gave.
pub(crate) fn restore_signals(mask: u64) {
    const SIG_SETMASK: usize = 2;
    // SAFETY: the kernel reads one 64-bit mask.
    unsafe { syscall(number::RT_SIGPROCMASK, [SIG_SETMASK, &raw const mask as usize, 0, 8, 0, 0]) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_away_lies_beyond_what_a_program_tries() {
        // As a shell sets it; the other tests of this process need few.
        let [before, hard] = limits(OPEN_FILES);
        assert!(set_limits(OPEN_FILES, [1000, hard]) && hard >= 1016, "{hard}");
        let [alone, not_alone] = [true, false].map(|is_only_thread| memfd(c"file").unwrap().put_away(is_only_thread));
        assert_eq!(limits(OPEN_FILES), [1000, hard]);
        assert!(set_limits(OPEN_FILES, [before, hard]));
        assert!(alone.0 >= 1000 && not_alone.0 < 1000, "{} {}", alone.0, not_alone.0);
    }

    #[test]
    fn a_number_that_was_given_away_is_not_closed() {
        // Up there no other test of this process opens or closes anything meanwhile.
        const HIGH: usize = 500;
        let first = memfd(c"first").unwrap().move_up(HIGH);
        let number = first.0;
        let file = first.leak();
        drop(Fd(number));
        let second = memfd(c"second").unwrap().move_up(HIGH);
        assert_eq!(second.0, number, "the lowest that is free");
        file.close();
        assert!(OpenFile::at(number).is_some(), "the second was closed");
        second.leak().close();
        assert!(OpenFile::at(number).is_none());
    }
}
