//! A session in memory: from a base address and a length to views of its tables.
//!
//! The one place that turns raw shared memory into slices. The layout is computed from the tables' sizes alone, by
//! the same code on both sides, so there are no offsets that a hostile writer could bend: the reader checks that the
//! sizes give exactly the length of the file, and copies them before use.
#![allow(unsafe_code)] // shared memory is reached through a raw pointer; see `Session`

use crate::cost::Cost;
use crate::depot::{self, Depot};
use crate::header::{self, Count, Header, Word};
use crate::java::{self, JavaTable};
use crate::live::{BUCKET, LiveTable, MAX_SEGMENTS, Segment, VALUE_WORDS};
use crate::losses::Losses;
use crate::modules::{self, ModuleTable};
use crate::regions::{self, RegionTable};
use crate::ring::{self, Ring};
use crate::threads::{self, ThreadTable};
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Every table starts on a page.
const PAGE: u64 = 4096;
/// A session is never larger: a bound for hostile sizes.
pub const MOST_BYTES: u64 = 1 << 36;

/// Sizes of the tables, in entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Buckets of the live table's first segment.
    pub live_buckets: u64,
    /// Segments of the live table, each twice the one before.
    pub live_segments: u64,
    /// Slots of the index of nodes.
    pub node_index: u64,
    /// Nodes of the depot.
    pub nodes: u64,
    /// Slots of the index of stacks.
    pub stack_index: u64,
    /// Stacks of the depot.
    pub stacks: u64,
    /// Slots of the ring.
    pub ring: u64,
    /// Methods of the Java table.
    pub methods: u64,
    /// Lines of the Java table.
    pub lines: u64,
    /// Words of the Java table's names.
    pub names: u64,
    /// Modules.
    pub modules: u64,
    /// Slots of the region table.
    pub regions: u64,
    /// Slots of the thread table.
    pub threads: u64,
}

const SIZE_FIELDS: usize = 13;

impl Sizes {
    /// For the default interval and longer ones. What is touched stays below 24 MiB, whatever the target does: tables
    /// that are full are counted, and a live table that fills raises the interval.
    pub const SAMPLED: Sizes = Sizes {
        live_buckets: 512,
        live_segments: 6,
        node_index: 1 << 19,
        nodes: 1 << 18,
        stack_index: 1 << 16,
        stacks: 40_960,
        ring: 1 << 14,
        methods: 40_960,
        lines: 1 << 16,
        names: 1 << 19,
        modules: 2048,
        regions: 1 << 15,
        threads: 1 << 14,
    };

    /// For shorter intervals: about 150 MiB of address space.
    pub const FINE: Sizes = Sizes {
        live_buckets: 512,
        live_segments: 9,
        node_index: 1 << 20,
        nodes: 786_432,
        stack_index: 1 << 18,
        stacks: 1 << 17,
        ring: 1 << 14,
        methods: 1 << 17,
        lines: 1 << 18,
        names: 1 << 21,
        modules: 2048,
        regions: 1 << 16,
        threads: 1 << 15,
    };

    /// For exact mode: room for more than 10 million live blocks, in 3.3 GiB of address space.
    pub const EXACT: Sizes = Sizes {
        live_buckets: 8192,
        live_segments: 10,
        node_index: 1 << 23,
        nodes: 6_291_456,
        stack_index: 1 << 21,
        stacks: 1 << 20,
        ring: 1 << 16,
        ..Sizes::FINE
    };

    /// Where the address space or file size is limited: 20 MiB.
    pub const SMALL: Sizes = Sizes {
        live_buckets: 512,
        live_segments: 6,
        node_index: 1 << 17,
        nodes: 98_304,
        stack_index: 1 << 15,
        stacks: 1 << 14,
        ring: 1 << 12,
        methods: 1 << 15,
        lines: 1 << 16,
        names: 1 << 18,
        modules: 512,
        regions: 1 << 13,
        threads: 1 << 12,
    };

    fn to_words(self) -> [u64; SIZE_FIELDS] {
        [
            self.live_buckets,
            self.live_segments,
            self.node_index,
            self.nodes,
            self.stack_index,
            self.stacks,
            self.ring,
            self.methods,
            self.lines,
            self.names,
            self.modules,
            self.regions,
            self.threads,
        ]
    }

    fn from_header(header: &Header<'_>) -> Self {
        let word = |i| header.get_at(Word::Sizes, i);
        Sizes {
            live_buckets: word(0),
            live_segments: word(1),
            node_index: word(2),
            nodes: word(3),
            stack_index: word(4),
            stacks: word(5),
            ring: word(6),
            methods: word(7),
            lines: word(8),
            names: word(9),
            modules: word(10),
            regions: word(11),
            threads: word(12),
        }
    }

    /// Bytes of a session with these tables; `None` if they are no sensible sizes.
    pub fn bytes(&self) -> Option<u64> {
        Layout::of(self).map(|layout| layout.bytes)
    }
}

/// An area of the session, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Area {
    start: u64,
    bytes: u64,
}

/// Where each table lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    keys: [Area; MAX_SEGMENTS],
    values: [Area; MAX_SEGMENTS],
    node_index: Area,
    nodes: Area,
    stack_index: Area,
    stacks: Area,
    ring: Area,
    methods: Area,
    lines: Area,
    names: Area,
    modules: Area,
    region_spans: Area,
    region_infos: Area,
    threads: Area,
    bytes: u64,
}

impl Layout {
    fn of(sizes: &Sizes) -> Option<Layout> {
        if sizes.live_segments == 0 || sizes.live_segments > MAX_SEGMENTS as u64 || sizes.live_buckets == 0 {
            return None;
        }
        let mut end = header::BYTES as u64;
        let mut area = |entries: u64, bytes_each: u64| -> Option<Area> {
            let start = end;
            let bytes = entries.checked_mul(bytes_each)?;
            end = start.checked_add(bytes)?.checked_next_multiple_of(PAGE)?;
            (end <= MOST_BYTES).then_some(Area { start, bytes })
        };
        let mut keys = [Area::default(); MAX_SEGMENTS];
        let mut values = [Area::default(); MAX_SEGMENTS];
        let mut slots = sizes.live_buckets.checked_mul(BUCKET as u64)?;
        for (k, v) in keys.iter_mut().zip(values.iter_mut()).take(sizes.live_segments as usize) {
            *k = area(slots, 8)?;
            *v = area(slots, VALUE_WORDS as u64 * 8)?;
            slots = slots.checked_mul(2)?;
        }
        Some(Layout {
            keys,
            values,
            node_index: area(sizes.node_index, 4)?,
            nodes: area(sizes.nodes, depot::NODE_WORDS as u64 * 8)?,
            stack_index: area(sizes.stack_index, 4)?,
            stacks: area(sizes.stacks, depot::STACK_WORDS as u64 * 8)?,
            ring: area(sizes.ring, ring::SLOT_WORDS as u64 * 8)?,
            methods: area(sizes.methods, java::METHOD_WORDS as u64 * 8)?,
            lines: area(sizes.lines, java::LINE_WORDS as u64 * 8)?,
            names: area(sizes.names, 8)?,
            modules: area(sizes.modules, modules::MODULE_WORDS as u64 * 8)?,
            region_spans: area(sizes.regions, regions::SPAN_WORDS as u64 * 8)?,
            region_infos: area(sizes.regions, regions::INFO_WORDS as u64 * 8)?,
            threads: area(sizes.threads, threads::THREAD_WORDS as u64 * 8)?,
            bytes: end,
        })
    }
}

/// Why memory is not a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadSession {
    /// Shorter than a header, or not aligned to a page.
    TooSmall,
    /// It does not start with the magic word.
    NotASession,
    /// Another version of the layout; here it is.
    OtherVersion(u64),
    /// The sizes of its tables do not give its length.
    BadSizes,
}

/// A session: views of every table over one stretch of shared memory.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The header.
    pub header: Header<'a>,
    /// Sampled live blocks.
    pub live: LiveTable<'a>,
    /// Stacks.
    pub depot: Depot<'a>,
    /// Events.
    pub ring: Ring<'a>,
    /// Names of Java methods and lines of frames.
    pub java: JavaTable<'a>,
    /// Files of native frames.
    pub modules: ModuleTable<'a>,
    /// Live mappings.
    pub regions: RegionTable<'a>,
    /// Live threads.
    pub threads: ThreadTable<'a>,
    /// What we did not get.
    pub losses: Losses<'a>,
    /// What sampling costs.
    pub cost: Cost<'a>,
}

/// Slices over the session's memory.
struct Memory<'a> {
    base: *const u8,
    bytes: u64,
    lifetime: core::marker::PhantomData<&'a AtomicU64>,
}

impl<'a> Memory<'a> {
    fn words(&self, area: Area) -> &'a [AtomicU64] {
        if !area.start.is_multiple_of(8) || area.start.checked_add(area.bytes).is_none_or(|end| end > self.bytes) {
            return &[];
        }
        // SAFETY: `Session::attach` requires `bytes` bytes at `base`, page-aligned, valid for 'a and only accessed
        // through atomics; the range was checked above, and any bit pattern is a valid atomic.
        unsafe { core::slice::from_raw_parts(self.base.add(area.start as usize).cast(), (area.bytes / 8) as usize) }
    }

    fn halves(&self, area: Area) -> &'a [AtomicU32] {
        let words = self.words(area);
        // SAFETY: same memory, each 64-bit word seen as two 32-bit atomics. No table is accessed in both widths at
        // once: the header's counts are only used as halves, everything else in it only as words.
        unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), words.len() * 2) }
    }
}

impl<'a> Session<'a> {
    /// Views of the session at `base`. Never reads beyond `bytes`, whatever the memory holds.
    ///
    /// # Safety
    /// `bytes` bytes at `base`, aligned to a page, must stay mapped for reading and writing during `'a`, and be
    /// accessed only through atomics on this side. (Another process may write anything at any time.)
    pub unsafe fn attach(base: *const u8, bytes: u64) -> Result<Session<'a>, BadSession> {
        let memory = Memory { base, bytes, lifetime: core::marker::PhantomData };
        if bytes < header::BYTES as u64 || !(base as u64).is_multiple_of(PAGE) {
            return Err(BadSession::TooSmall);
        }
        let header = memory.header();
        if header.get(Word::Magic) != header::MAGIC {
            return Err(BadSession::NotASession);
        }
        match header.get(Word::Version) {
            header::VERSION => {}
            other => return Err(BadSession::OtherVersion(other)),
        }
        let layout = Layout::of(&Sizes::from_header(&header)).ok_or(BadSession::BadSizes)?;
        if layout.bytes != bytes {
            return Err(BadSession::BadSizes);
        }
        memory.views(header, &layout).ok_or(BadSession::BadSizes)
    }

    /// Makes a session in zeroed memory: writes the header's constant part, then attaches.
    ///
    /// # Safety
    /// As [`Session::attach`]; nobody else may use the memory yet.
    pub unsafe fn create(base: *const u8, bytes: u64, sizes: &Sizes) -> Result<Session<'a>, BadSession> {
        let memory = Memory { base, bytes, lifetime: core::marker::PhantomData };
        if bytes < header::BYTES as u64 || sizes.bytes() != Some(bytes) {
            return Err(BadSession::BadSizes);
        }
        let header = memory.header();
        for (i, size) in sizes.to_words().into_iter().enumerate() {
            header.set_at(Word::Sizes, i, size);
        }
        header.set(Word::Version, header::VERSION);
        header.set(Word::Magic, header::MAGIC);
        // SAFETY: passed on to our caller.
        unsafe { Self::attach(base, bytes) }
    }
}

impl<'a> Memory<'a> {
    fn header(&self) -> Header<'a> {
        let area = Area { start: 0, bytes: header::BYTES as u64 };
        Header::new(self.words(area), self.halves(area))
    }

    fn views(&self, header: Header<'a>, layout: &Layout) -> Option<Session<'a>> {
        let mut segments = [Segment::NONE; MAX_SEGMENTS];
        for ((view, keys), values) in segments.iter_mut().zip(layout.keys).zip(layout.values) {
            if keys.bytes > 0 {
                *view = Segment::new(self.words(keys), self.words(values));
            }
        }
        Some(Session {
            header,
            live: LiveTable::new(segments, header.count(Count::LiveSegments)?),
            depot: Depot {
                node_index: self.halves(layout.node_index),
                nodes: self.words(layout.nodes),
                node_count: header.count(Count::Nodes)?,
                stack_index: self.halves(layout.stack_index),
                stacks: self.words(layout.stacks),
                stack_count: header.count(Count::Stacks)?,
            },
            ring: Ring::new(header.atomic(Word::RingHead)?, header.atomic(Word::RingTail)?, self.words(layout.ring)),
            java: JavaTable {
                methods: self.words(layout.methods),
                method_count: header.count(Count::Methods)?,
                lines: self.words(layout.lines),
                line_count: header.count(Count::Lines)?,
                names: self.words(layout.names),
                names_used: header.count(Count::Names)?,
            },
            modules: ModuleTable { words: self.words(layout.modules), count: header.count(Count::Modules)? },
            regions: RegionTable {
                spans: self.words(layout.region_spans),
                infos: self.words(layout.region_infos),
                used: header.count(Count::Regions)?,
                hint: header.count(Count::RegionHint)?,
            },
            threads: ThreadTable {
                slots: self.words(layout.threads),
                used: header.count(Count::Threads)?,
                hand: header.count(Count::ThreadHand)?,
            },
            losses: header.losses(),
            cost: header.cost(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{Entry, Inserted};
    use std::alloc::{Layout as Heap, alloc_zeroed, dealloc};

    struct Zeroed {
        base: *mut u8,
        heap: Heap,
    }

    impl Zeroed {
        fn new(bytes: u64) -> Self {
            let heap = Heap::from_size_align(bytes as usize, 4096).unwrap();
            // SAFETY: the size is not 0.
            Self { base: unsafe { alloc_zeroed(heap) }, heap }
        }
    }

    impl Drop for Zeroed {
        fn drop(&mut self) {
            // SAFETY: allocated with this layout in `new`.
            unsafe { dealloc(self.base, self.heap) }
        }
    }

    #[test]
    fn what_the_writer_enters_the_reader_finds() {
        let bytes = Sizes::SMALL.bytes().unwrap();
        let memory = Zeroed::new(bytes);
        // SAFETY: the memory is ours, of that length and zeroed.
        let writer = unsafe { Session::create(memory.base, bytes, &Sizes::SMALL) }.ok().unwrap();
        let entry = Entry { size: 77, birth_ms: 5, interval: 1, stack: 3, epoch: 2 };
        assert_eq!(writer.live.insert(0x7000_0000_0010, &entry), Inserted::Fresh);
        writer.header.set_at(Word::Intervals, 1, 524_288);
        // SAFETY: as above.
        let reader = unsafe { Session::attach(memory.base, bytes) }.ok().unwrap();
        let mut seen = Vec::new();
        reader.live.scan(|address, entry| seen.push((address, entry)));
        assert_eq!(seen, [(0x7000_0000_0010, entry)]);
        assert_eq!(reader.header.interval(1), 524_288);
        assert_eq!(reader.header.interval(60_000), 1);
    }

    #[test]
    fn foreign_memory_is_refused() {
        let bytes = Sizes::SMALL.bytes().unwrap();
        let memory = Zeroed::new(bytes);
        // SAFETY: as above, throughout this test.
        let attach = |length| unsafe { Session::attach(memory.base, length) }.err();
        assert_eq!(attach(100), Some(BadSession::TooSmall));
        assert_eq!(attach(bytes), Some(BadSession::NotASession));
        // SAFETY: as above.
        let session = unsafe { Session::create(memory.base, bytes, &Sizes::SMALL) }.ok().unwrap();
        assert_eq!(attach(bytes - 4096), Some(BadSession::BadSizes));
        session.header.set_at(Word::Sizes, 3, u64::MAX);
        assert_eq!(attach(bytes), Some(BadSession::BadSizes));
        session.header.set(Word::Version, 99);
        assert_eq!(attach(bytes), Some(BadSession::OtherVersion(99)));
    }

    #[test]
    fn the_sizes_are_what_the_design_says() {
        let mib = |s: Sizes| s.bytes().unwrap() >> 20;
        assert!(mib(Sizes::SMALL) <= 24, "{}", mib(Sizes::SMALL));
        assert!(mib(Sizes::FINE) <= 200, "{}", mib(Sizes::FINE));
        // A live table of which a tenth is used.
        let live = (0..Sizes::SAMPLED.live_segments).map(|i| (Sizes::SAMPLED.live_buckets << i) * 8 * 32).sum::<u64>();
        let touched = Sizes::SAMPLED.bytes().unwrap() - live * 9 / 10;
        assert!(touched <= 23 << 20, "{} KiB", touched >> 10);
        let slots: u64 = (0..Sizes::EXACT.live_segments).map(|i| (Sizes::EXACT.live_buckets << i) * 8).sum();
        assert!(slots * 68 / 100 > 10_000_000);
    }
}
