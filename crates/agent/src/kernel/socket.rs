//! The socket to the collector.
#![allow(unsafe_code)] // system calls

use super::{Errno, Fd, MONOTONIC, checked, clock_ns, number};
use crate::machine::syscall;
use core::ffi::c_void;

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
