//! One connection: messages of fixed length, descriptors, credentials. Nothing here waits.
#![allow(unsafe_code)] // credentials and descriptors come through socket calls of libc

use leakscope_session::handshake::{MESSAGE_BYTES, Message, Words};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Who is at the other end, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Process id, as we see it; 0 if it is not in our PID namespace.
    pub pid: u32,
    /// Effective user when it connected.
    pub uid: u32,
}

/// What came from a peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Nothing whole yet.
    Nothing,
    /// A message.
    Message(Message),
    /// It has closed its end.
    Closed,
    /// Something that is no message of this version, or an error of the socket.
    Garbage,
}

/// A connection to a peer that may be broken or hostile.
#[derive(Debug)]
pub struct Peer {
    stream: UnixStream,
    credentials: Credentials,
    buffer: [u8; MESSAGE_BYTES],
    filled: usize,
    descriptor: Option<OwnedFd>,
    text: Vec<u8>,
    out: VecDeque<u8>,
}

impl Peer {
    /// Takes a connection over.
    ///
    /// # Errors
    /// Where the socket cannot be made non-blocking or its peer is not known.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let credentials = credentials(&stream)?;
        Ok(Self {
            stream,
            credentials,
            buffer: [0; MESSAGE_BYTES],
            filled: 0,
            descriptor: None,
            text: Vec::new(),
            out: VecDeque::new(),
        })
    }

    /// Who it is.
    pub fn credentials(&self) -> Credentials {
        self.credentials
    }

    /// For poll.
    pub fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Whether there is something that could not be sent yet.
    pub fn wants_to_send(&self) -> bool {
        !self.out.is_empty()
    }

    /// Reads on. At most one message for each call.
    pub fn receive(&mut self) -> Received {
        match self.read_some() {
            Ok(0) => Received::Closed,
            Ok(read) => {
                self.filled += read;
                if self.filled < MESSAGE_BYTES {
                    return Received::Nothing;
                }
                self.filled = 0;
                let mut words: Words = Default::default();
                for (word, bytes) in words.iter_mut().zip(self.buffer.chunks_exact(8)) {
                    *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
                }
                Message::decode(&words).map_or(Received::Garbage, Received::Message)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Received::Nothing
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Received::Closed,
            Err(_) => Received::Garbage,
        }
    }

    /// Reads on for the text of `length` bytes that follows a message; `None` until it is whole. No message may be on its
    /// way in part.
    ///
    /// # Errors
    /// The peer has closed its end, or the socket fails.
    pub fn receive_text(&mut self, length: usize) -> io::Result<Option<String>> {
        let mut part = [0; 256];
        while self.text.len() < length {
            let most = part.len().min(length - self.text.len());
            match self.stream.read(&mut part[..most]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.text.extend(part.iter().take(read)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned()))
    }

    /// The descriptor that came last.
    pub fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptor.take()
    }

    /// Queues a message, and sends what can be sent at once.
    pub fn send(&mut self, message: &Message) {
        let bytes: Vec<u8> = message.encode().iter().flat_map(|word| word.to_le_bytes()).collect();
        self.send_bytes(&bytes);
    }

    /// Queues bytes, and sends what can be sent at once.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
        self.flush();
    }

    /// Sends what can be sent at once. A peer that is gone gets nothing: the next receive says so.
    pub fn flush(&mut self) {
        while !self.out.is_empty() {
            match self.stream.write(self.out.as_slices().0) {
                Ok(sent) if sent > 0 => drop(self.out.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => self.out.clear(),
            }
        }
        self.out.shrink_to(1 << 10);
    }

    /// Reads into the buffer, and keeps a descriptor that comes along; any more are closed.
    fn read_some(&mut self) -> io::Result<usize> {
        let mut control = Control([0; 64]);
        let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let mut part = libc::iovec { iov_base: free.as_mut_ptr().cast(), iov_len: free.len() };
        // SAFETY: an all-zero msghdr is valid.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = control.0.len();
        // SAFETY: the header refers to one buffer and one control area, both alive and of the lengths given.
        let read = unsafe {
            libc::recvmsg(self.stream.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT)
        };
        let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: recvmsg has filled the header, whose control area is still alive.
        for descriptor in unsafe { descriptors(&header) } {
            self.descriptor = Some(descriptor);
        }
        Ok(read)
    }
}

/// Room for the control messages, aligned as their headers need it.
#[repr(align(8))]
struct Control([u8; 64]);

/// The descriptors in a received header, each owned.
///
/// # Safety
/// `header` was filled by recvmsg, and its control area is alive.
unsafe fn descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    // SAFETY: the kernel has set msg_controllen to what it wrote; the macros stay within it.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so it points to a whole control message header inside the control area.
        let libc::cmsghdr { cmsg_len, cmsg_level, cmsg_type, .. } = unsafe { *message };
        if cmsg_level == libc::SOL_SOCKET && cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: pure arithmetic.
            let header_bytes = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = cmsg_len.saturating_sub(header_bytes) / size_of::<RawFd>();
            for i in 0..count {
                // SAFETY: `count` descriptors lie behind the header; they may be unaligned; each is new and ours.
                found.push(unsafe {
                    OwnedFd::from_raw_fd(libc::CMSG_DATA(message).cast::<RawFd>().add(i).read_unaligned())
                });
            }
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    found
}

pub(crate) fn credentials(stream: &UnixStream) -> io::Result<Credentials> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into a ucred.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Credentials { pid: u32::try_from(peer.pid).unwrap_or(0), uid: peer.uid })
}
