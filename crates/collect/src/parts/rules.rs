//! Which class anonymous memory belongs to, where nobody has recorded it.
//!
//! ```text
//!   rw-p nr                       what glibc's arenas and jemalloc map: they claim no memory beforehand
//!   rw-p behind a library's data  its uninitialised data
//!   ---p | rw-p                   guard and stack of a thread
//!   rw-p with a chunk's header    a large block of glibc: 0 | size + 2, page after page of them
//!   rw-p beside ---p nr           committed memory of something reserved: the JVM's metaspace, code, tables
//! ```
//! One mapping of the kernel may hold several of these, since it joins neighbours that look alike: [`Piece`]s.

use crate::parts::mapping::{Access, Backing, Mapping, Mappings, Named};
use crate::parts::memory::{PAGE, TargetMemory};
use leakscope_profile::timeline::Class;
use std::ops::Range;

/// A guard is not larger. HotSpot's are 16 to 20 KiB, pthread's a page unless the program wants more.
const MOST_GUARD: u64 = 1 << 20;
/// Sizes of stacks that are common: HotSpot's, pthread's, and multiples.
const STACKS: [u64; 5] = [1 << 20, 2 << 20, 4 << 20, 8 << 20, 16 << 20];
/// A larger one is a stack only if nothing speaks against it.
const MOST_STACK: u64 = 64 << 20;
/// Beyond this, data behind a library's is more than that library's.
const MOST_BSS: u64 = 16 << 20;
/// glibc maps a block of its own from this size on.
const LEAST_CHUNK: u64 = 128 << 10;
/// Blocks of glibc in one mapping that are followed.
const MOST_CHUNKS: usize = 100_000;
/// Committed mappings of one reservation that are passed over in search of its uncommitted rest.
const MOST_NEIGHBOURS: usize = 256;
/// A table of the garbage collector takes at most this share of the heap's range (mark bits: 1/64, two of them).
const HEAP_PER_TABLE: u64 = 32;
/// What the JVM may have beside.
const OTHER_JVM: u64 = 16 << 20;

/// A part of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) range: Range<u64>,
    pub(crate) class: Class,
}

/// What is known about the process beside its mappings.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) mappings: &'a Mappings,
    pub(crate) memory: &'a TargetMemory,
    /// Bytes of the range of the Java heap, as far as it is known.
    pub(crate) heap_bytes: u64,
    /// Whether all mappings that the program and the JVM made are known otherwise: what is left is the allocator's.
    pub(crate) is_recorded: bool,
}

impl Surroundings<'_> {
    /// Divides a stretch of mapping number `at` into its pieces, by address.
    pub(crate) fn divide(&self, at: usize, range: Range<u64>) -> Vec<Piece> {
        let Some(mapping) = self.mappings.all.get(at) else { return Vec::new() };
        let whole = |class| vec![Piece { range: range.clone(), class }];
        if mapping.backing != Backing::Anonymous {
            return whole(Class::Unexplained);
        }
        match mapping.access {
            _ if mapping.rss == 0 => whole(Class::Unexplained),
            Access::Code => whole(if self.is_jvm() { Class::Jvm } else { Class::Unexplained }),
            Access::Data if mapping.no_reserve => whole(Class::Allocator),
            Access::Data => self.divide_data(at, range),
            Access::None | Access::Other => whole(if self.is_jvm() { Class::Jvm } else { Class::Unexplained }),
        }
    }

    fn is_jvm(&self) -> bool {
        self.mappings.libjvm.is_some()
    }

    /// Where the uninitialised data of a library ends, and whose it is: it follows the initialised data. Blocks that
    /// were mapped behind it later may have been joined to it.
    fn end_of_bss(&self, at: usize, range: &Range<u64>) -> Option<(u64, Class)> {
        let before = self.mappings.before(at).filter(|before| before.range.end == range.start)?;
        let is_data = before.backing == Backing::PrivateFile && before.access == Access::Data;
        let class = if before.named == Named::Is(Class::Leakscope) { Class::Leakscope } else { Class::Files };
        let most = range.end.min(range.start + MOST_BSS);
        let end = if most - range.start < LEAST_CHUNK {
            most
        } else {
            let mut pages = self.memory.pages_in_memory(range.start..most).into_iter().flatten();
            pages.find(|page| self.chunk(*page, range.end).is_some()).unwrap_or(most)
        };
        is_data.then_some((end, class))
    }

    /// Readable and writable memory: a library's data or a stack first, blocks of glibc next, then the rest.
    fn divide_data(&self, at: usize, range: Range<u64>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut from = range.start;
        let mut add = |from: &mut u64, to: u64, class| {
            if *from < to {
                pieces.push(Piece { range: *from..to, class });
                *from = to;
            }
        };
        if let Some((end, class)) = self.end_of_bss(at, &range) {
            add(&mut from, end, class);
        } else if let Some(end) = self.end_of_stack(at, &range) {
            add(&mut from, end, Class::Stacks);
        }
        let end = self.end_of_chunks(from, range.end);
        add(&mut from, end, Class::Allocator);
        let class = self.rest(at, range.end - from);
        add(&mut from, range.end, class);
        pieces
    }

    /// Where the stack at the beginning of a mapping ends, if one is there.
    fn end_of_stack(&self, at: usize, range: &Range<u64>) -> Option<u64> {
        let mapping = self.mappings.all.get(at).filter(|mapping| mapping.range.start == range.start)?;
        let guard = self.mappings.before(at).filter(|guard| guard.is_guard() && guard.bytes() <= MOST_GUARD)?;
        // A block that was mapped later lies below an older stack, and may have been joined to it.
        let ends = STACKS.iter().flat_map(|size| [guard.range.start + size, mapping.range.start + size]);
        let mut ends = ends.filter(|end| range.start < *end && *end < range.end);
        let joined = ends.find(|end| self.chunk(*end, range.end).is_some());
        joined.or_else(|| (mapping.bytes() <= MOST_STACK).then_some(range.end))
    }

    /// Where the blocks of glibc that begin at `from` end.
    fn end_of_chunks(&self, from: u64, end: u64) -> u64 {
        let mut at = from;
        for _ in 0..MOST_CHUNKS {
            match self.chunk(at, end) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// The end of a large block of glibc at this address: its header is 0 and its size, in whole pages, marked by 2.
    fn chunk(&self, at: u64, end: u64) -> Option<u64> {
        const MAPPED: u64 = 2;
        let mut header = [0; 16];
        if at >= end || !self.memory.read(at, &mut header) {
            return None;
        }
        let word = u128::from_le_bytes(header);
        let (before, size) = (word as u64, (word >> 64) as u64);
        let next = at.checked_add(size & !7)?;
        let is_one = before == 0 && size & 7 == MAPPED && size >= PAGE && next.is_multiple_of(PAGE);
        (is_one && next <= end).then_some(next)
    }

    /// What is neither stack nor a block of glibc.
    fn rest(&self, at: usize, bytes: u64) -> Class {
        let is_table = || bytes <= self.heap_bytes / HEAP_PER_TABLE + OTHER_JVM;
        match () {
            () if self.is_recorded => Class::Allocator,
            () if self.is_jvm() && self.is_committed(at) => Class::Jvm,
            () if self.mappings.has_plain_allocator() => Class::Allocator,
            () if self.is_jvm() && self.memory.is_readable() && is_table() => Class::Jvm,
            () => Class::Unexplained,
        }
    }

    /// Whether a mapping is what is in use of a larger reservation: in an unbroken row with memory that is reserved.
    fn is_committed(&self, at: usize) -> bool {
        let is_row = |mapping: &Mapping| mapping.is_plain() && !(mapping.access == Access::Data && mapping.no_reserve);
        let upwards = || {
            let mut row =
                (at..).take(MOST_NEIGHBOURS).map_while(|at| self.mappings.after(at)).take_while(|m| is_row(m));
            row.any(Mapping::is_reserved)
        };
        let downwards = || {
            let numbers = (0..=at).rev().take(MOST_NEIGHBOURS);
            let mut row = numbers.map_while(|at| Some((at, self.mappings.before(at)?))).take_while(|(_, m)| is_row(m));
            // The unused end of an arena is none of it.
            let is_arena = |at: usize| {
                let before = at.checked_sub(1).and_then(|at| self.mappings.before(at));
                before.is_some_and(|before| before.access == Access::Data && before.no_reserve)
            };
            row.any(|(at, mapping)| mapping.is_reserved() && !is_arena(at))
        };
        upwards() || downwards()
    }
}
