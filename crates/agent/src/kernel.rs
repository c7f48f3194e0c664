//! The system calls of the agent, made directly: nothing here touches errno or allocates.
#![allow(unsafe_code)] // system calls

use crate::machine::syscall;
use core::ffi::c_void;

mod number {
    pub const READ: usize = 0;
    pub const OPEN: usize = 2;
    pub const CLOSE: usize = 3;
    pub const POLL: usize = 7;
    pub const MMAP: usize = 9;
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

impl Fd {
    /// Gives the descriptor up without closing it.
    pub(crate) fn leak(self) {
        core::mem::forget(self);
    }

    /// Moves the descriptor to the highest free number below `limit`'s end, out of the way of programs that expect
    /// the lowest ones; stays where it is when there is no room.
    pub(crate) fn move_up(self, limit: usize) -> Fd {
        let lowest = limit.min(1024).saturating_sub(16);
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

/// Whether the calling thread is the only one left: the main thread has ended (pthread_exit), and all others.
pub(crate) fn is_last_thread() -> bool {
    const O_CLOEXEC: usize = 0o2000000;
    let path = c"/proc/self/stat".as_ptr() as usize;
    // SAFETY: the kernel reads the terminated path.
    let Ok(fd) = checked(unsafe { syscall(number::OPEN, [path, O_CLOEXEC, 0, 0, 0, 0]) }).map(Fd) else {
        return false;
    };
    let mut text = [0u8; 512];
    // SAFETY: the kernel writes at most the buffer.
    let read = checked(unsafe { syscall(number::READ, [fd.0, text.as_mut_ptr() as usize, text.len(), 0, 0, 0]) });
    read.is_ok_and(|bytes| is_zombie_with_one_thread(text.get(..bytes).unwrap_or(&[])))
}

/// `PID (NAME) STATE ...`, of which the 18th field from STATE on is the number of threads, the dead first one included.
fn is_zombie_with_one_thread(stat: &[u8]) -> bool {
    let fields = stat.rsplit(|&byte| byte == b')').next().unwrap_or(&[]);
    let mut fields = fields.split(|&byte| byte == b' ').skip(1);
    fields.next() == Some(b"Z") && fields.nth(16) == Some(b"2")
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
    let mut limits = [u64::MAX; 2];
    // SAFETY: the kernel writes one rlimit: two 64-bit words.
    unsafe { syscall(number::PRLIMIT, [0, resource, 0, limits.as_mut_ptr() as usize, 0, 0]) };
    limits[0]
}

/// RLIMIT_FSIZE: ftruncate beyond it would raise SIGXFSZ.
pub(crate) const FILE_SIZE: usize = 1;
/// RLIMIT_AS.
pub(crate) const ADDRESS_SPACE: usize = 9;
/// RLIMIT_NOFILE.
pub(crate) const OPEN_FILES: usize = 7;

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

const PROT_READ_WRITE: usize = 3;
/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;

/// Maps a whole file, shared. Not part of core dumps.
pub(crate) fn map_shared(fd: &Fd, bytes: u64) -> Result<*mut u8, Errno> {
    const MAP_SHARED: usize = 1;
    const MADV_DONTDUMP: usize = 16;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let base = checked(unsafe { syscall(number::MMAP, [0, bytes as usize, PROT_READ_WRITE, MAP_SHARED, fd.0, 0]) })?;
    // SAFETY: advice on our own mapping. It stays inherited by forked children: one that was forked by a signal
    // handler inside a hook comes back into the hook, and must find the memory there.
    unsafe { syscall(number::MADVISE, [base, bytes as usize, MADV_DONTDUMP, 0, 0, 0]) };
    Ok(base as *mut u8)
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

/// Whether a thread of this process exists; true where the kernel does not say.
pub(crate) fn thread_exists(tid: u32) -> bool {
    const ESRCH: Errno = Errno(3);
    // SAFETY: signal 0 is none; no memory is involved.
    checked(unsafe { syscall(number::TGKILL, [pid() as usize, tid as usize, 0, 0, 0, 0]) }) != Err(ESRCH)
}

/// Undoes [`map_shared`].
pub(crate) fn unmap(base: *mut u8, bytes: u64) {
    // SAFETY: the caller's own mapping, which nothing refers to any more.
    unsafe { syscall(number::MUNMAP, [base as usize, bytes as usize, 0, 0, 0, 0]) };
}

/// A page that reads as zeroes in a forked child (not in a vforked one, which shares it).
pub(crate) fn wiped_on_fork() -> Result<*mut u8, Errno> {
    const MAP_PRIVATE_ANONYMOUS: usize = 0x22;
    const MADV_WIPEONFORK: usize = 18;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let page =
        checked(unsafe { syscall(number::MMAP, [0, 4096, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0]) })?;
    // SAFETY: advice on our own mapping.
    match checked(unsafe { syscall(number::MADVISE, [page, 4096, MADV_WIPEONFORK, 0, 0, 0]) }) {
        Ok(_) => Ok(page as *mut u8),
        Err(errno) => {
            unmap(page as *mut u8, PAGE);
            Err(errno)
        }
    }
}

/// Connects to an abstract Unix socket within `ms`, or not at all.
pub(crate) fn connect_abstract(name: &[u8], ms: u64) -> Result<Fd, Errno> {
    const AF_UNIX: u16 = 1;
    const SOCK_STREAM_CLOEXEC: usize = 1 | 0o2000000;
    const SOL_SOCKET: usize = 1;
    const SO_SNDTIMEO: usize = 21;
    let mut address = [0u8; 110];
    address[..2].copy_from_slice(&AF_UNIX.to_ne_bytes());
    // An abstract name begins with a zero byte.
    let Some(room) = address.get_mut(3..3 + name.len()) else {
        return Err(Errno(36));
    };
    room.copy_from_slice(name);
    // SAFETY: no memory is involved.
    let fd = Fd(checked(unsafe { syscall(number::SOCKET, [AF_UNIX as usize, SOCK_STREAM_CLOEXEC, 0, 0, 0, 0]) })?);
    let timeout = [(ms / 1000) as i64, (ms % 1000 * 1000) as i64];
    let timeout_at = timeout.as_ptr() as usize;
    // SAFETY: the kernel reads one timeval: two 64-bit words. It bounds connect and sendmsg.
    checked(unsafe { syscall(number::SETSOCKOPT, [fd.0, SOL_SOCKET, SO_SNDTIMEO, timeout_at, 16, 0]) })?;
    // SAFETY: the kernel reads the address, whose length is given.
    checked(unsafe { syscall(number::CONNECT, [fd.0, address.as_ptr() as usize, 3 + name.len(), 0, 0, 0]) })?;
    Ok(fd)
}

#[repr(C)]
struct IoVec {
    base: *const u8,
    bytes: usize,
}

#[repr(C)]
struct MessageHeader {
    name: *const c_void,
    name_bytes: u32,
    io: *const IoVec,
    io_count: usize,
    control: *const c_void,
    control_bytes: usize,
    flags: i32,
}

/// One descriptor to pass, as the kernel wants it.
#[repr(C, align(8))]
struct Rights {
    bytes: usize,
    level: i32,
    kind: i32,
    fd: i32,
    padding: i32,
}

/// Sends `bytes`, with a descriptor beside it if one is given. Never raises SIGPIPE.
pub(crate) fn send(socket: &Fd, bytes: &[u8], passed: Option<&Fd>) -> Result<(), Errno> {
    const SOL_SOCKET: i32 = 1;
    const SCM_RIGHTS: i32 = 1;
    const MSG_NOSIGNAL: usize = 0x4000;
    let io = IoVec { base: bytes.as_ptr(), bytes: bytes.len() };
    let fd = passed.map_or(-1, |fd| fd.0 as i32);
    let rights = Rights { bytes: 20, level: SOL_SOCKET, kind: SCM_RIGHTS, fd, padding: 0 };
    let (control, control_bytes) = match passed {
        Some(_) => ((&raw const rights).cast::<c_void>(), size_of::<Rights>()),
        None => (core::ptr::null(), 0),
    };
    let header = MessageHeader {
        name: core::ptr::null(),
        name_bytes: 0,
        io: &raw const io,
        io_count: 1,
        control,
        control_bytes,
        flags: 0,
    };
    // SAFETY: the kernel reads the header and what it points to, all of it local.
    let sent =
        checked(unsafe { syscall(number::SENDMSG, [socket.0, &raw const header as usize, MSG_NOSIGNAL, 0, 0, 0]) })?;
    if sent == bytes.len() { Ok(()) } else { Err(Errno(5)) }
}

/// Fills `buffer` from the socket before the monotonic clock stands at `deadline_ns`; an error if the peer is silent
/// or gone.
pub(crate) fn receive(socket: &Fd, buffer: &mut [u8], deadline_ns: u64) -> Result<(), Errno> {
    const POLLIN: u64 = 1;
    const EINTR: u64 = 4;
    const ETIMEDOUT: u64 = 110;
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let left = deadline_ns.saturating_sub(clock_ns(MONOTONIC)) / 1_000_000;
        let mut poll = socket.0 as u64 | POLLIN << 32;
        // SAFETY: the kernel reads and writes one pollfd: one 64-bit word.
        match checked(unsafe { syscall(number::POLL, [&raw mut poll as usize, 1, left as usize, 0, 0, 0]) }) {
            Ok(0) => return Err(Errno(ETIMEDOUT)),
            Err(Errno(EINTR)) if left > 0 => continue,
            Err(errno) => return Err(errno),
            Ok(_) => {}
        }
        // SAFETY: the kernel writes at most the rest of the buffer.
        match checked(unsafe { syscall(number::READ, [socket.0, rest.as_mut_ptr() as usize, rest.len(), 0, 0, 0]) }) {
            Ok(0) => return Err(Errno(5)),
            Ok(n) => filled += n,
            Err(Errno(EINTR)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
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
