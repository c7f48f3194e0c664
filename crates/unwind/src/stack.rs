//! Where the stack of the running thread ends, and the only reads of it.
//!
//! A walk must not leave the stack, and what is a stack cannot be asked: `pthread_getattr_np` locks and allocates.
//! So the end is derived and then *verified* once, by asking the kernel whether everything up to it is mapped:
//!
//! | the thread | top of its stack |
//! |---|---|
//! | a pthread | its control block, `fs:0`, which glibc and musl put above the stack |
//! | the main thread | `__libc_stack_end` of glibc's loader, else the `[stack]` line of the maps file |
//! | in a signal handler on a sigaltstack | what sigaltstack(2) says |
//! | anything else (fibers, coroutines) | as far as 64 KiB upwards are readable, or a part of that |
//!
//! Verified is `[sp, top)`. Guard pages are mapped too, so mapped pages that are not resident are probed one by
//! one; a fiber's stack that happens to lie below the thread's is told from it by the guard between them.
//! The result is kept per thread ([`CachedBounds`]); system calls are made when a thread is seen first and when its sp
//! is lower than ever before. Only fibers pay for two at each walk, because their stacks come and go unnoticed.
//!
//! Two kinds of thread need no system call at all, which programs in a sandbox may not survive: the main thread, below
//! whose stack the kernel places nothing for 128 MiB (`mmap_base`, whatever the limit of the stack is), and a thread whose
//! stack was known when it was made ([`CachedBounds::of_stack`]).

#![allow(unsafe_code)] // reads stack memory

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::maps;
use crate::x86_64::{self, PAGE};

/// Furthest top that is believed, bytes above sp.
const FURTHEST_BYTES: usize = 64 << 20;
/// Pages asked about in one mincore: 512 KiB, deeper than most stacks are.
const PAGES_AT_ONCE: usize = 128;
/// Most pages probed in one verification (0.1-0.5 us each, once for each thread): 2 MiB of a stack may be buffers that
/// were never touched. Beyond that the stack counts as unknown.
const MOST_PROBES: usize = 512;
/// Largest part of an unknown stack that is used, pages.
const UNKNOWN_PAGES: usize = 16;

/// End of the main thread's stack from the maps file, 0 until [`note_main_stack`] was called.
static MAIN_STACK_END: AtomicUsize = AtomicUsize::new(0);

/// Looks up the end of the main thread's stack in `/proc/self/maps`; false if that cannot be read. To be called once
/// at start, outside of hooks; needed only where glibc's loader does not publish it.
pub fn note_main_stack() -> bool {
    maps::for_each(|mapping| {
        if mapping.path == b"[stack]" {
            MAIN_STACK_END.store(mapping.end, Relaxed);
        }
    }) && MAIN_STACK_END.load(Relaxed) != 0
}

/// What a thread remembers of its stacks between walks: 48 bytes of its thread-local block, zero at first.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct CachedBounds {
    own: Range,
    signal: Range,
    /// Where the stack that `own` is of ends at the bottom; 0 if that is not known.
    own_floor: usize,
    /// The same for `signal`.
    signal_floor: usize,
}

impl CachedBounds {
    /// Nothing known yet; all bytes zero.
    pub const fn new() -> CachedBounds {
        CachedBounds { own: Range::EMPTY, signal: Range::EMPTY, own_floor: 0, signal_floor: 0 }
    }

    /// The calling thread has the stack from `lowest` up to its control block.
    pub fn of_stack(lowest: usize) -> CachedBounds {
        let high = x86_64::thread_pointer() & !7;
        CachedBounds { own: Range { low: lowest.min(high), high }, own_floor: lowest, ..CachedBounds::new() }
    }

    /// The thread's own stack from `sp` up, if `sp` lies on what is known of it.
    #[inline]
    pub fn known(&self, sp: usize) -> Option<StackBounds> {
        let floor = self.own_floor.max(FLOOR_FAR);
        self.own.contains(sp).then(|| StackBounds { range: self.own.above(sp), floor })
    }

    /// Whether an address lies on the thread's own stack, as far as that is known.
    pub fn is_on_own_stack(&self, address: usize) -> bool {
        self.own.contains(address)
    }

    /// The calling thread is the process's first.
    pub fn of_main_thread() -> CachedBounds {
        let high = main_stack_end();
        CachedBounds { own: Range { low: high.saturating_sub(FURTHEST_BYTES), high }, ..CachedBounds::new() }
    }
}

/// Addresses from `low` to below `high`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
struct Range {
    low: usize,
    high: usize,
}

impl Range {
    const EMPTY: Range = Range { low: 0, high: 0 };

    #[inline(always)]
    fn contains(self, address: usize) -> bool {
        address.wrapping_sub(self.low) < self.high.wrapping_sub(self.low)
    }

    #[inline(always)]
    fn above(self, sp: usize) -> Range {
        Range { low: sp, high: self.high }
    }
}

/// The part of a stack that a walk may read.
#[derive(Debug, Clone, Copy)]
pub struct StackBounds {
    range: Range,
    /// Where the stack ends at the bottom; 0 if that is not known, 1 if it grows.
    floor: usize,
}

const FLOOR_UNKNOWN: usize = 0;
const FLOOR_FAR: usize = 1;
/// How much room is taken to be on a stack of which nothing is known.
const UNKNOWN_ROOM: usize = 4 << 10;

impl StackBounds {
    /// The stack from `sp` up to its end, for the running thread.
    ///
    /// # Hot path
    /// A comparison, once the thread is known. No allocation, lock or panic; signal-safe; system calls as the top of
    /// this file says.
    #[inline]
    pub fn locate(sp: usize, cached: &mut CachedBounds) -> StackBounds {
        cached.known(sp).unwrap_or_else(|| StackBounds::locate_anew(sp, cached))
    }

    /// Bytes of the stack below `sp`: exactly where that is known, of a fiber's stack as many as nearly all have.
    pub fn room_below(&self, sp: usize) -> usize {
        match self.floor {
            FLOOR_UNKNOWN => UNKNOWN_ROOM,
            FLOOR_FAR => usize::MAX,
            floor => sp.saturating_sub(floor),
        }
    }

    /// Bounds that are known otherwise.
    ///
    /// # Safety
    /// `low..high` is mapped and readable as long as walks use these bounds.
    pub const unsafe fn known(low: usize, high: usize) -> StackBounds {
        StackBounds { range: Range { low, high }, floor: FLOOR_UNKNOWN }
    }

    /// Of words that stay where they are while these bounds are used.
    #[cfg(test)]
    pub(crate) fn of_words(words: &[usize]) -> StackBounds {
        let range = words.as_ptr_range();
        // SAFETY: the caller holds the words.
        unsafe { StackBounds::known(range.start.expose_provenance(), range.end.expose_provenance()) }
    }

    /// First address that may be read.
    pub const fn low(&self) -> usize {
        self.range.low
    }

    /// One past the last address that may be read.
    pub const fn high(&self) -> usize {
        self.range.high
    }

    #[cold]
    #[inline(never)]
    fn locate_anew(sp: usize, cached: &mut CachedBounds) -> StackBounds {
        // First the sigaltstack: it may lie right below the thread's stack and must not be taken for a part of it.
        if cached.signal.contains(sp) || find_signal_stack(sp, cached) {
            return StackBounds { range: cached.signal.above(sp), floor: cached.signal_floor };
        }
        if let Some(own) = own_stack(sp, cached.own) {
            cached.own = Range { low: page_of(sp), high: own.high };
            return StackBounds { range: own, floor: cached.own_floor.max(FLOOR_FAR) };
        }
        StackBounds { range: unknown_stack(sp), floor: FLOOR_UNKNOWN }
    }

    /// The word at `address`; `None` if that is not aligned or not in bounds.
    #[inline(always)]
    pub(crate) fn word(&self, address: usize) -> Option<usize> {
        let size = self.range.high.wrapping_sub(self.range.low);
        if address & 7 != 0 || address.wrapping_sub(self.range.low) >= size.saturating_sub(7) {
            return None;
        }
        // SAFETY: aligned, and inside of what was found to be mapped and readable (or was promised to be, `known`):
        // the part of a live stack above sp, which cannot be unmapped while it is in use.
        Some(unsafe { x86_64::read_word(address) })
    }

    /// Whether all words from `from` to below `to` are in bounds.
    #[inline(always)]
    pub(crate) fn covers(&self, from: usize, to: usize) -> bool {
        self.range.low <= from && from <= to && to <= self.range.high
    }

    /// The word at `address`.
    ///
    /// # Safety
    /// It is aligned, and in a part of the stack that these bounds cover.
    #[inline(always)]
    pub(crate) unsafe fn covered_word(&self, address: usize) -> usize {
        // SAFETY: as in `word`, by the caller's promise.
        unsafe { x86_64::read_word(address) }
    }

    /// Whether the stack goes on at `sp`.
    pub(crate) fn contains(&self, sp: usize) -> bool {
        self.range.contains(sp)
    }

    /// The thread's own stack from the `sp` that a signal interrupted while the walk was on a sigaltstack. Asks the
    /// kernel: it is not known how much of that stack was verified before, and hooks hardly run in such handlers.
    pub(crate) fn interrupted(sp: usize) -> Option<StackBounds> {
        own_stack(sp, Range::EMPTY).map(|range| StackBounds { range, floor: FLOOR_FAR })
    }
}

const fn page_of(address: usize) -> usize {
    address & !(PAGE.wrapping_sub(1))
}

fn main_stack_end() -> usize {
    let variable = x86_64::libc_stack_end_address();
    if variable == 0 {
        return MAIN_STACK_END.load(Relaxed);
    }
    // SAFETY: the loader's variable of that name, an aligned word that is set before any code of the program runs.
    let end = unsafe { x86_64::read_word(variable) };
    // It points at argc; the frames of `_start` end there, and the rest of that page is mapped.
    page_of(end.wrapping_add(PAGE.wrapping_sub(1)))
}

/// The part above `sp` of the stack of this thread, verified as far as `known` does not reach.
fn own_stack(sp: usize, known: Range) -> Option<Range> {
    let tops = [x86_64::thread_pointer() & !7, main_stack_end()];
    let fits = |top: &usize| sp < *top && top.wrapping_sub(sp) <= FURTHEST_BYTES;
    tops.into_iter().filter(fits).find_map(|top| {
        let verified = if known.high == top { known.low } else { top };
        is_readable(Range { low: sp, high: verified }).then_some(Range { low: sp, high: top })
    })
}

/// Whether sp is on the thread's alternative signal stack; remembers it if so.
fn find_signal_stack(sp: usize, cached: &mut CachedBounds) -> bool {
    let Some((low, high)) = x86_64::signal_stack() else { return false };
    let range = Range { low, high };
    if !range.contains(sp) || !is_readable(range.above(sp)) {
        return false;
    }
    cached.signal = Range { low: sp, high };
    cached.signal_floor = low;
    true
}

/// Whether every page of the range can be read: mapped, and either resident or found readable by a probe.
fn is_readable(range: Range) -> bool {
    let mut page = page_of(range.low);
    let mut probes = 0_usize;
    let mut residency = [0_u8; PAGES_AT_ONCE];
    while page < range.high {
        let pages = range.high.wrapping_sub(page).div_ceil(PAGE).min(PAGES_AT_ONCE);
        let Some(asked) = residency.get_mut(..pages) else { return false };
        if !x86_64::mincore(page, asked) {
            return false;
        }
        for resident in asked {
            if *resident & 1 == 0 {
                probes = probes.wrapping_add(1);
                if probes > MOST_PROBES || !x86_64::is_readable(page) {
                    return false;
                }
            }
            page = page.wrapping_add(PAGE);
        }
    }
    true
}

/// The part of an unknown stack that is certainly readable: sp's page, and more if the pages above are there too.
fn unknown_stack(sp: usize) -> Range {
    let mut pages = UNKNOWN_PAGES;
    while pages > 0 {
        let high = page_of(sp).wrapping_add(pages.wrapping_mul(PAGE));
        if high > sp && is_readable(Range { low: sp, high }) {
            return Range { low: sp, high };
        }
        pages = pages.wrapping_shr(1);
    }
    Range { low: sp, high: sp }
}
