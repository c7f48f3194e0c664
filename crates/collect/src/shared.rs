//! A session's memory on this side: verified, mapped, scanned page by page.
//!
//! Two properties of a memfd matter. It can be sealed, so that the target cannot cut it short under us (SIGBUS); and
//! it is sparse: hundreds of MB are reserved, few are touched. A read of a hole through a shared mapping *fills* it,
//! so scans ask the kernel for the next data (SEEK_DATA) first; and pages that we have read count as ours until they
//! are given back, so scans do that after each [`CHUNK_BYTES`].
#![allow(unsafe_code)] // the session is memory that another process writes; the views need a raw pointer

use crate::error::CollectError;
use leakscope_session::header::Word;
use leakscope_session::live::Entry;
use leakscope_session::view::Session;
use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};
use std::cell::Cell;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};

/// A larger file is refused: twice what exact mode reserves.
const MOST_BYTES: u64 = 8 << 30;
/// Bytes of keys scanned before pages are given back; their values take three times as much.
const CHUNK_BYTES: u64 = 1 << 20;
const PAGE: u64 = 4096;
/// Pages that may count as ours before they are given back in [`SharedSession::ease`]: 2 MiB.
const MOST_EASE_PAGES: u64 = 512;

/// A session of another process, or of one that is dead: the mapping keeps the memory alive.
pub struct SharedSession {
    file: File,
    map: MmapRaw,
    /// Views into `map`, whose address never changes; handed out only with the lifetime of `self`.
    session: Session<'static>,
    /// The collector's own count of epochs: the header's copy is for the target to read.
    epoch: u32,
    inode: u64,
    /// /proc/self/statm, where it can be read.
    statm: Option<File>,
    /// Pages of files that were resident when pages were last given back.
    resident: Cell<u64>,
}

impl SharedSession {
    /// Verifies that `descriptor` is a sealed memfd holding a session (of `announced` bytes, where a length was
    /// announced), and maps it.
    ///
    /// # Errors
    /// Anything else than a sealed memfd of sensible length with a session of this version in it.
    pub fn open(descriptor: OwnedFd, announced: Option<u64>) -> Result<Self, CollectError> {
        let file = File::from(descriptor);
        verify_seals(&file)?;
        let metadata =
            file.metadata().map_err(|source| CollectError::Io { what: "cannot examine the session's file", source })?;
        let bytes = metadata.len();
        if bytes > MOST_BYTES {
            return Err(CollectError::TooLarge(bytes));
        }
        if let Some(announced) = announced.filter(|announced| *announced != bytes) {
            return Err(CollectError::OtherLength { found: bytes, announced });
        }
        // `len` keeps memmap2 from asking the file again.
        let map = MmapOptions::new()
            .len(bytes as usize)
            .map_raw(&file)
            .map_err(|source| CollectError::Io { what: "cannot map the session", source })?;
        // SAFETY: the mapping is readable, writable, page-aligned and `bytes` long; the seal keeps the file from
        // shrinking; it lives as long as `self`, and `session` hands the views out with that lifetime only.
        let session: Session<'static> = unsafe { Session::attach(map.as_ptr(), bytes) }.map_err(CollectError::Bad)?;
        let epoch = session.header.get(Word::Epoch);
        // A count that high was not reached by counting.
        let epoch = u32::try_from(epoch).ok().filter(|epoch| *epoch < u32::MAX / 2).unwrap_or(0);
        let statm = File::open("/proc/self/statm").ok();
        Ok(Self { file, map, session, epoch, inode: metadata.ino(), statm, resident: Cell::new(0) })
    }

    /// Views of the session's tables.
    pub fn session(&self) -> Session<'_> {
        self.session
    }

    /// The inode of the memfd, as in /proc/PID/maps.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Whether the process that made the session still holds it open: it does until it ends, executes another program
    /// or closes all of its descriptors. What its forked children hold is not counted.
    pub fn is_held(&self) -> bool {
        // SAFETY: all fields of flock are integers; zero is a valid value of each.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_WRLCK as libc::c_short;
        // SAFETY: asks only; the kernel reads and writes one flock.
        let result = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
        result == 0 && lock.l_type != libc::F_UNLCK as libc::c_short
    }

    /// Bytes of address space that the session takes.
    pub fn bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// Ends the current epoch and begins the next; the one that ended. Blocks that are born from now on carry the
    /// next one.
    pub fn close_epoch(&mut self) -> u32 {
        let closed = self.epoch;
        self.epoch = self.epoch.saturating_add(1);
        self.session.header.set(Word::Epoch, u64::from(self.epoch));
        closed
    }

    /// Calls `visit` for each live entry, as [`leakscope_session::live::LiveTable::scan`] does, passing over the holes
    /// of the file and giving pages back on the way.
    pub fn scan_live(&self, mut visit: impl FnMut(u64, Entry)) {
        let live = self.session().live;
        for segment in 0..live.open_segments() {
            let keys = live.keys(segment);
            let start = (keys.as_ptr() as u64).wrapping_sub(self.map.as_ptr() as u64);
            let end = start.saturating_add(size_of_val(keys) as u64);
            let mut at = start;
            while let Some(data) = self.next_data(at..end) {
                let chunk = data.start..data.end.min(data.start.saturating_add(CHUNK_BYTES));
                let slots = slot(chunk.start, start)..slot(chunk.end, start);
                live.scan_slots(segment, slots, &mut visit);
                self.release();
                at = chunk.end;
            }
        }
    }

    /// Gives pages back once 2 MiB of them count as ours. To be called every few look-ups: the kernel maps sixteen
    /// pages around each that is read.
    pub fn ease(&self) {
        let resident = self.resident_pages();
        if resident.is_none_or(|pages| pages > self.resident.get() + MOST_EASE_PAGES) {
            self.release();
        }
    }

    /// Pages of files, and of shared memory, that count as ours.
    fn resident_pages(&self) -> Option<u64> {
        let mut text = [0; 128];
        let read = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        std::str::from_utf8(text.get(..read)?).ok()?.split(' ').nth(2)?.parse().ok()
    }

    /// Gives the pages that were read back to the system: they stay in the file, and no longer count as ours.
    pub fn release(&self) {
        // SAFETY: on a shared file mapping this only drops page table entries; the next access finds the same bytes.
        let result = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, 0, self.map.len()) };
        // Without it the memory counts as ours a little longer; nothing else depends on it.
        let _ = result;
        self.resident.set(self.resident_pages().unwrap_or(0));
    }

    /// The next stretch of the file within `range` that is no hole; whole pages, cut to the range.
    fn next_data(&self, range: Range<u64>) -> Option<Range<u64>> {
        if range.is_empty() {
            return None;
        }
        let seek = |from: u64, whence| {
            // SAFETY: lseek reads no memory of ours.
            let at = unsafe { libc::lseek(self.file.as_raw_fd(), from as libc::off_t, whence) };
            u64::try_from(at).ok()
        };
        let Some(data) = seek(range.start, libc::SEEK_DATA) else {
            // ENXIO: only holes follow. (Every kernel that has memfd_create knows SEEK_DATA on one.)
            return None;
        };
        let hole = seek(data, libc::SEEK_HOLE).unwrap_or(range.end);
        let start = data.max(range.start);
        // The end grows to a whole page at least, so that a scan always gets on.
        let end = hole.max(start.saturating_add(PAGE)).min(range.end);
        (start < range.end).then_some(start..end)
    }
}

/// Index of the slot whose key lies at `offset` of the file, in a segment whose keys begin at `start`.
fn slot(offset: u64, start: u64) -> usize {
    (offset.saturating_sub(start) / 8) as usize
}

fn verify_seals(file: &File) -> Result<(), CollectError> {
    // SAFETY: a zeroed statfs is valid, and the kernel fills it.
    let mut system: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `system` is writable and of the right type.
    if unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut system) } != 0 {
        return Err(CollectError::last("cannot examine the session's file"));
    }
    // Not hugetlbfs either, where touching a page can fail with SIGBUS.
    if system.f_type != libc::TMPFS_MAGIC {
        return Err(CollectError::NotInMemory);
    }
    // SAFETY: this command takes no pointer.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    let needed = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    if seals < 0 || seals & needed != needed {
        return Err(CollectError::NotSealed);
    }
    Ok(())
}
