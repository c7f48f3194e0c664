//! A session made in the test as the shim makes it: a sealed memfd, and views for writing into it.
#![allow(unsafe_code, dead_code)] // stands in for the target; each test file uses a part of it

use leakscope_collect::SharedSession;
use leakscope_session::depot::Counter;
use leakscope_session::frame::FrameWord;
use leakscope_session::header::Word;
use leakscope_session::live::Entry;
use leakscope_session::regions::Region;
use leakscope_session::threads::Thread;
use leakscope_session::view::{Session, Sizes};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub const ALL_SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// The target's side of a session.
pub struct Writer {
    pub file: File,
    map: MmapRaw,
}

pub fn memfd(bytes: u64, seals: i32) -> File {
    // SAFETY: the name is a C string; the descriptor is new and ours.
    let file = unsafe {
        let raw = libc::memfd_create(c"leakscope".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
        assert!(raw >= 0);
        File::from_raw_fd(raw)
    };
    file.set_len(bytes).unwrap();
    // SAFETY: this command takes an integer.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }, 0);
    file
}

impl Writer {
    pub fn new(sizes: &Sizes) -> Self {
        let bytes = sizes.bytes().unwrap();
        let file = memfd(bytes, ALL_SEALS);
        let map = MmapOptions::new().len(bytes as usize).map_raw(&file).unwrap();
        // SAFETY: fresh zeroed memory of that length that only this test knows.
        let session = unsafe { Session::create(map.as_ptr(), bytes, sizes) }.ok().unwrap();
        session.header.set(Word::SessionLow, 7);
        session.header.set(Word::NativeDepth, 64);
        session.header.set(Word::JavaDepth, 128);
        session.header.set_at(Word::Intervals, 0, 1);
        session.header.set_at(Word::Intervals, 1, 524_288);
        Self { file, map }
    }

    pub fn session(&self) -> Session<'_> {
        // SAFETY: mapped for as long as `self`, accessed through atomics only.
        unsafe { Session::attach(self.map.as_ptr(), self.map.len() as u64) }.ok().unwrap()
    }

    /// All bytes of the session as words.
    pub fn words(&self) -> &[std::sync::atomic::AtomicU64] {
        // SAFETY: as above; any bits are a valid atomic.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.map.len() / 8) }
    }

    pub fn descriptor(&self) -> OwnedFd {
        self.file.try_clone().unwrap().into()
    }

    pub fn shared(&self) -> SharedSession {
        SharedSession::open(self.descriptor(), None).unwrap()
    }

    /// A mapping and a thread, as the hooks enter them.
    pub fn map(&self, start: u64, end: u64, stack: u32) {
        let region = Region { start, end, stack, birth_ms: 3, ..Region::default() };
        self.session().regions.insert(&region);
        if let Some(slot) = self.session().threads.claim() {
            self.session().threads.started(slot, stack, end);
            self.session().threads.publish(slot, &Thread { stack, stack_bytes: end, ..Thread::default() });
        }
    }

    /// What the hook does for a sampled allocation.
    pub fn allocate(&self, address: usize, size: u64, interval: u16, frames: &[FrameWord]) -> u32 {
        let session = self.session();
        let stack = session.depot.intern(frames).stack;
        let epoch = session.header.get(Word::Epoch) as u32;
        session.depot.count(stack, Counter::Samples, 1);
        session.depot.count(stack, Counter::Observed, size);
        session.live.insert(address, &Entry { size, birth_ms: size, interval, stack, epoch });
        stack
    }
}
