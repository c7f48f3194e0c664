//! A number that tells one loaded library from another that is loaded at the same address later.
//!
//! The rule cache outlives the libraries it describes: plugins are closed, JNI libraries are unpacked under random
//! names and mapped where another one was. Nothing that the loader publishes without a lock counts such events, so
//! the identity is made of what a successor hardly shares: where it lies and how large it is, its `link_map`, its
//! dynamic section, its unwind tables, and 8 bytes of its build id, which differ even between two libraries of the
//! same shape. Where the build id lies is remembered in a small table, so that a warm look-up reads no headers.

#![allow(unsafe_code)] // reads the first page of a loaded module

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::elf::FirstPage;
use crate::x86_64::PAGE;

/// Offsets of build ids: one word for each slot, tag in the high 52 bits, offset in the first page in the low 12.
static BUILD_ID_AT: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];
const OFFSET_MASK: u64 = 0xfff;
/// Without a build id: e_shoff of the file header, which follows from the size of the whole file.
const SECTION_TABLE_OFFSET: usize = 0x28;

/// Folds one more word into a hash (multiply and fold, as in wyhash).
#[inline(always)]
pub fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ 0xA076_1D64_78BD_642F).wrapping_mul(u128::from(word ^ 0xE703_7ED1_A0B4_28DB));
    (product as u64) ^ (product.wrapping_shr(64) as u64)
}

/// Identity of the module that starts at `start`, from a hash of what is known about it.
///
/// # Safety
/// The page at `start` is mapped and readable.
#[inline]
pub unsafe fn of_module(start: usize, known: u64) -> u64 {
    let slot = BUILD_ID_AT.get((known & 0xff) as usize);
    let stored = slot.map_or(0, |word| word.load(Relaxed));
    let offset = if stored & !OFFSET_MASK == known & !OFFSET_MASK && stored & OFFSET_MASK != 0 {
        (stored & OFFSET_MASK) as usize
    } else {
        // SAFETY: the caller's promise.
        let offset = unsafe { find_build_id(start) };
        if let Some(word) = slot {
            word.store(known & !OFFSET_MASK | offset as u64, Relaxed);
        }
        offset
    };
    // SAFETY: `find_build_id` gives only offsets whose 8 bytes lie in the first page, even if it found them for
    // another module that lay here before.
    let bytes = unsafe { core::ptr::with_exposed_provenance::<u64>(start.wrapping_add(offset)).read_unaligned() };
    mix(known, bytes)
}

/// Offset in the first page of 8 bytes that tell files apart.
///
/// # Safety
/// As [`of_module`].
#[cold]
unsafe fn find_build_id(start: usize) -> usize {
    // SAFETY: the caller's promise; nothing writes to the headers of a loaded file.
    let page = unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(start), PAGE) };
    let found = FirstPage::parse(page).and_then(FirstPage::build_id);
    found.filter(|at| *at <= PAGE.wrapping_sub(8)).unwrap_or(SECTION_TABLE_OFFSET)
}

/// Hash of the first KiB of a file's first page: headers, and the build id of nearly all files.
pub fn of_first_page(page: &[u8]) -> u64 {
    let words = page.as_chunks::<8>().0.iter().take(128);
    words.fold(0, |hash, word| mix(hash, u64::from_le_bytes(*word)))
}
