//! The rules of order around the calls that map memory. The real call is a parameter, as in [`crate::wrap`].
//!
//! - A mapping is entered after the real call. What it was laid over on purpose (MAP_FIXED) leaves then, too.
//! - A range leaves **before** the real munmap, for afterwards the kernel may hand it to another thread; it is put
//!   back if the call fails.
//! - mremap that shrinks in place cuts the tail off and leaves the rest what it was. One that may move takes the old
//!   range out before the real call, and treats the result as a new mapping by whoever called mremap (as realloc is
//!   treated). One that keeps the old range (DONTUNMAP, or size 0) only adds.
//! - Removal is not gated by the re-entrancy guard.
//! - What an allocator maps for its heap is not recorded: its blocks are.
//!
//! Lengths are rounded up to pages, as the kernel does. What cannot succeed (an odd address, no length) goes straight
//! to the real call.
#![allow(unsafe_code)] // the wipe flag is tested through the recorder

use crate::Caller;
use crate::kernel;
use crate::libc_symbols::KeepErrno;
use crate::recorder::{Published, Recorder};
use crate::regions::{Mapped, Removed};
use crate::thread;
use core::ffi::c_int;
use leakscope_session::regions::{FIXED, NO_ACCESS, Region, RegionKind};
use leakscope_unwind::CachedBounds;

/// What mmap, mremap and shmat answer when they fail.
pub const FAILED: usize = usize::MAX;

const PAGE: usize = 4096;
const MAP_FIXED: c_int = 0x10;
const MAP_ANONYMOUS: c_int = 0x20;
const MAP_HUGETLB: c_int = 0x4_0000;
const MAP_HUGE_SHIFT: u32 = 26;
const MREMAP_MAYMOVE: c_int = 1;
const MREMAP_FIXED: c_int = 2;
const MREMAP_DONTUNMAP: c_int = 4;
const SHM_REMAP: c_int = 0o40000;

/// The arguments of mmap that matter.
#[derive(Debug, Clone, Copy)]
pub struct MapArguments {
    /// Bytes.
    pub length: usize,
    /// `PROT_*`.
    pub protection: c_int,
    /// `MAP_*`.
    pub flags: c_int,
}

/// The arguments of mremap.
#[derive(Debug, Clone, Copy)]
pub struct RemapArguments {
    /// Where the old mapping begins.
    pub address: usize,
    /// Its bytes; 0: a second mapping of the same memory is asked for.
    pub old_length: usize,
    /// Bytes of the new one.
    pub new_length: usize,
    /// `MREMAP_*`.
    pub flags: c_int,
}

/// Bytes rounded up to whole units (a power of two); `None` for none, and for more than there are.
fn whole(length: usize, unit: usize) -> Option<usize> {
    length.checked_next_multiple_of(unit).filter(|&bytes| bytes > 0 && bytes < isize::MAX as usize)
}

impl MapArguments {
    fn bytes(&self) -> Option<usize> {
        let huge_bits = (self.flags as u32) >> MAP_HUGE_SHIFT & 63;
        match self.flags & MAP_HUGETLB {
            0 => whole(self.length, PAGE),
            // Without a size the system's default: 2 MiB on x86-64.
            _ => whole(self.length, 1 << if huge_bits == 0 { 21 } else { huge_bits.min(40) }),
        }
    }

    /// Whether the pages lie on the calling thread's own stack, as HotSpot's guards do. They are in the thread table with
    /// the rest of the stack, and libc unmaps them with it, unseen.
    fn is_of_own_stack(&self, start: usize, bytes: usize) -> bool {
        // The first page is where what is known of the stack may be a page short.
        let first = start.wrapping_add(bytes.saturating_sub(1).min(PAGE));
        let is_inside = |bounds: &mut CachedBounds| {
            bounds.is_on_own_stack(first) && bounds.is_on_own_stack(start.wrapping_add(bytes).wrapping_sub(1))
        };
        self.flags & MAP_FIXED != 0 && self.flags & MAP_ANONYMOUS != 0 && thread::current().with_bounds(is_inside)
    }

    fn mapped(&self, start: usize, bytes: usize) -> Mapped {
        let kind = if self.flags & MAP_ANONYMOUS != 0 { RegionKind::Anonymous } else { RegionKind::File };
        let no_access = if self.protection == 0 { NO_ACCESS } else { 0 };
        let fixed = if self.flags & MAP_FIXED != 0 { FIXED } else { 0 };
        Mapped { start, bytes, kind, flags: no_access | fixed }
    }
}

impl Recorder {
    /// mmap.
    pub fn map(&self, arguments: MapArguments, caller: Caller, real: impl FnOnce() -> usize) -> usize {
        let address = real();
        if address != FAILED
            && let Some(bytes) = arguments.bytes()
            && !arguments.is_of_own_stack(address, bytes)
        {
            self.enter_mapped(arguments.mapped(address, bytes), caller);
        }
        address
    }

    /// munmap.
    pub fn unmap(&self, address: usize, length: usize, real: impl FnOnce() -> c_int) -> c_int {
        let Some((published, bytes)) = self.recording().zip(whole(length, PAGE)) else {
            return real();
        };
        if !address.is_multiple_of(PAGE) || address.checked_add(bytes).is_none() {
            return real();
        }
        let removed = self.take_out(published, address, bytes);
        self.finish_unmap(published, &removed, real)
    }

    /// mremap.
    pub fn remap(&self, arguments: RemapArguments, caller: Caller, real: impl FnOnce() -> usize) -> usize {
        let RemapArguments { address, old_length, new_length, flags } = arguments;
        let (Some(published), Some(new)) = (self.recording(), whole(new_length, PAGE)) else {
            return real();
        };
        let old = whole(old_length, PAGE).unwrap_or(0);
        let fixed = if flags & MREMAP_FIXED != 0 { FIXED } else { 0 };
        if !address.is_multiple_of(PAGE) || address.checked_add(old).is_none() {
            return real();
        }
        let enter = |result: usize, was: Option<Region>| {
            if result != FAILED {
                let kind = was.map_or(RegionKind::Anonymous, |region| region.kind);
                self.enter_mapped(Mapped { start: result, bytes: new, kind, flags: fixed }, caller);
            }
            result
        };
        if old == 0 || flags & MREMAP_DONTUNMAP != 0 {
            let was = published.session.regions.find(address as u64);
            return enter(real(), was);
        }
        if new <= old && fixed == 0 {
            // It stays where it is.
            let removed = self.take_out(published, address + new, old - new);
            let mut result = FAILED;
            self.finish_unmap(published, &removed, || {
                result = real();
                if result == FAILED { -1 } else { 0 }
            });
            return result;
        }
        if flags & (MREMAP_MAYMOVE | MREMAP_FIXED) == 0 {
            // It grows where it is, or not at all: nothing leaves before it is certain.
            let was = published.session.regions.find(address as u64);
            let result = real();
            if result != FAILED && self.is_current(published) {
                let _errno = KeepErrno::new();
                self.take_out(published, address, old);
            }
            return enter(result, was);
        }
        let removed = self.take_out(published, address, old);
        let result = real();
        if result == FAILED {
            self.put_back(published, &removed);
        }
        enter(result, removed.first())
    }

    /// shmat.
    pub fn attach_segment(&self, id: c_int, flags: c_int, caller: Caller, real: impl FnOnce() -> usize) -> usize {
        let address = real();
        if address != FAILED && self.recording().is_some() {
            let bytes = kernel::segment_bytes(id).and_then(|bytes| whole(bytes, PAGE));
            let fixed = if flags & SHM_REMAP != 0 { FIXED } else { 0 };
            if let Some(bytes) = bytes {
                self.enter_mapped(Mapped { start: address, bytes, kind: RegionKind::Segment, flags: fixed }, caller);
            }
        }
        address
    }

    /// shmdt.
    pub fn detach_segment(&self, address: usize, real: impl FnOnce() -> c_int) -> c_int {
        let Some(published) = self.recording() else {
            return real();
        };
        let segment = published.session.regions.find(address as u64);
        let Some(segment) = segment.filter(|r| r.kind == RegionKind::Segment && r.start == address as u64) else {
            return real();
        };
        let removed = self.take_out(published, address, segment.bytes() as usize);
        self.finish_unmap(published, &removed, real)
    }

    /// Makes the call by which a range that was taken out is unmapped.
    fn finish_unmap(&self, published: &Published, removed: &Removed, real: impl FnOnce() -> c_int) -> c_int {
        let result = real();
        // A forked child (see `Recorder::enter`) must not touch its parent's table.
        if self.is_current(published) {
            let _errno = KeepErrno::new();
            match result {
                0 => self.count_unmapped(published, removed),
                _ => self.put_back(published, removed),
            }
        }
        result
    }

    fn enter_mapped(&self, mapped: Mapped, caller: Caller) {
        let thread = thread::current();
        let Some(published) = self.recording().or_else(|| self.after_fork(thread)) else {
            return;
        };
        let Some(_guard) = thread.enter(caller) else {
            return thread.count_skipped(&published.session.losses);
        };
        let _errno = KeepErrno::new();
        self.enter_region(published, thread, mapped, caller);
    }
}

#[cfg(test)]
#[path = "map_wrap/tests.rs"]
mod tests;
