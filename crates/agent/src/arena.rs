//! The early arena: serves allocation calls that come before the real functions are found.
//!
//! dlsym itself may call calloc while we look for the real calloc. Blocks are cut from a static array and never given
//! back. Their addresses are put into the filter for ever, so that only frees which pass it have to ask
//! [`Arena::owns`].
#![allow(unsafe_code)] // hands out raw memory

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

const BYTES: usize = 64 * 1024;
/// Each block is preceded by its size, and aligned as malloc's are.
const ALIGN: usize = 16;

/// A bump allocator over static memory.
#[repr(C, align(64))]
pub struct Arena {
    memory: UnsafeCell<[u8; BYTES]>,
    used: AtomicUsize,
}

// SAFETY: blocks are handed out once each, by an atomic counter; the array itself is only reached through them.
unsafe impl Sync for Arena {}

impl Arena {
    /// An empty arena.
    pub const fn new() -> Self {
        Self { memory: UnsafeCell::new([0; BYTES]), used: AtomicUsize::new(0) }
    }

    /// A zeroed block aligned to `align` (a power of two), null when there is no room.
    pub fn allocate(&self, size: usize, align: usize) -> *mut u8 {
        let align = align.max(ALIGN);
        let Some(room) = size.checked_add(ALIGN + align).and_then(|n| n.checked_next_multiple_of(ALIGN)) else {
            return core::ptr::null_mut();
        };
        let start = self.used.fetch_add(room.min(BYTES), Ordering::Relaxed);
        if start.checked_add(room).is_none_or(|end| end > BYTES) {
            return core::ptr::null_mut();
        }
        let base = self.memory.get() as usize;
        let address = (base + start + ALIGN).wrapping_add(align - 1) & !(align - 1);
        // SAFETY: the block and the word before it lie in [start, start + room) of the array, which is ours alone.
        unsafe { *((address - ALIGN) as *mut usize) = size };
        address as *mut u8
    }

    /// Whether `address` is a block of this arena.
    pub fn owns(&self, address: usize) -> bool {
        address.wrapping_sub(self.memory.get() as usize) < BYTES
    }

    /// Size that was asked for; `address` must be a block of this arena.
    pub fn size_of(&self, address: usize) -> usize {
        if !self.owns(address) || !address.is_multiple_of(ALIGN) {
            return 0;
        }
        // SAFETY: blocks of this arena are preceded by their size (`allocate`).
        unsafe { *((address - ALIGN) as *const usize) }
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_aligned_and_know_their_size() {
        let arena = Box::new(Arena::new());
        let mut last = 0;
        for (size, align) in [(1, 16), (100, 16), (7, 4096), (0, 8), (33, 64)] {
            let block = arena.allocate(size, align) as usize;
            assert!(block >= last && block.is_multiple_of(align.max(16)), "{size} {align}");
            assert!(arena.owns(block));
            assert_eq!(arena.size_of(block), size);
            last = block + size;
        }
        assert!(!arena.owns(&last as *const _ as usize));
    }

    #[test]
    fn a_full_arena_gives_null_for_ever() {
        let arena = Box::new(Arena::new());
        assert!(arena.allocate(usize::MAX - 8, 16).is_null());
        while !arena.allocate(1000, 16).is_null() {}
        assert!(arena.allocate(1000, 16).is_null());
    }
}
