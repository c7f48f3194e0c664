//! Models of the lock-free protocols, checked by loom over every interleaving that the C11 memory model allows.
//!
//! Run by `scripts/loom` (a build of its own: `RUSTFLAGS="--cfg leakscope_loom"`). What is modelled: the ring with
//! producers that die between reserve and publish; the live table's take, busy entries, growth, and a reader beside
//! writers; the filter in front of the table; the region table's cuts beside each other and a reader. Tables are tiny, so that each bucket is contended.
#![cfg(leakscope_loom)]

use leakscope_session::depot::{Depot, NODE_WORDS, STACK_WORDS};
use leakscope_session::filter::Filter;
use leakscope_session::frame::FrameWord;
use leakscope_session::live::{BUCKET, Entry, Inserted, LiveTable, MAX_SEGMENTS, Segment, VALUE_WORDS};
use leakscope_session::regions::{Cut, INFO_WORDS, Region, RegionKind, RegionTable, SPAN_WORDS};
use leakscope_session::ring::{Popped, Ring, SLOT_WORDS};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use loom::thread;

fn words(n: usize) -> Vec<AtomicU64> {
    (0..n).map(|_| AtomicU64::new(0)).collect()
}

struct RingMemory {
    head: AtomicU64,
    tail: AtomicU64,
    slots: Vec<AtomicU64>,
}

impl RingMemory {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { head: AtomicU64::new(0), tail: AtomicU64::new(0), slots: words(capacity * SLOT_WORDS) })
    }
    fn ring(&self) -> Ring<'_> {
        Ring::new(&self.head, &self.tail, &self.slots)
    }
}

struct TableMemory {
    open: AtomicU32,
    segments: Vec<(Vec<AtomicU64>, Vec<AtomicU64>)>,
}

impl TableMemory {
    fn new(segments: usize) -> Arc<Self> {
        Self::with_buckets(1, segments)
    }
    /// The first segment has so many buckets, each further one twice as many.
    fn with_buckets(buckets: usize, segments: usize) -> Arc<Self> {
        let slots = |i: usize| BUCKET * buckets << i;
        let segments = (0..segments).map(|i| (words(slots(i)), words(slots(i) * VALUE_WORDS))).collect();
        Arc::new(Self { open: AtomicU32::new(1), segments })
    }
    fn table(&self) -> LiveTable<'_> {
        let mut views = [Segment::NONE; MAX_SEGMENTS];
        for (view, (keys, values)) in views.iter_mut().zip(&self.segments) {
            *view = Segment::new(keys, values);
        }
        LiveTable::new(views, &self.open)
    }
}

fn entry(size: u64) -> Entry {
    Entry { size, birth_ms: size + 1, interval: 0, stack: size as u32 + 2, epoch: size as u32 + 3 }
}

/// Most preemptions per execution: bugs of lock-free code need few (Musuvathi and Qadeer, 2007).
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound =
        Some(std::env::var("LOOM_MAX_PREEMPTIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(2));
    builder.max_branches = 20_000;
    let executions = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = executions.clone();
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    // loom looks for other orders of the threads' accesses; of a model in which it sees none it shows nothing.
    let executions = executions.load(std::sync::atomic::Ordering::Relaxed);
    assert!(executions > 1, "only one interleaving");
}

#[test]
fn ring_two_producers_one_consumer() {
    check(|| {
        let memory = RingMemory::new(2);
        let producers: Vec<_> = (1..=2u64)
            .map(|id| {
                let memory = memory.clone();
                thread::spawn(move || memory.ring().push(&[id; 6]))
            })
            .collect();
        let mut seen = Vec::new();
        for _ in 0..2 {
            match memory.ring().pop() {
                Popped::Record(record) => seen.push(record),
                Popped::Torn => panic!("torn without a skip"),
                Popped::Empty | Popped::Pending => {}
            }
        }
        assert!(producers.into_iter().all(|p| p.join().unwrap()));
        while let Popped::Record(record) = memory.ring().pop() {
            seen.push(record);
        }
        seen.sort();
        assert_eq!(seen, [[1; 6], [2; 6]]);
    });
}

#[test]
fn ring_a_producer_dies_between_reserve_and_publish() {
    check(|| {
        let memory = RingMemory::new(2);
        let dead = memory.ring().reserve();
        assert!(dead.is_some());
        let live = {
            let memory = memory.clone();
            thread::spawn(move || memory.ring().push(&[7; 6]))
        };
        memory.ring().skip();
        assert!(live.join().unwrap());
        assert_eq!(memory.ring().pop(), Popped::Record([7; 6]));
        assert!(memory.ring().push(&[8; 6]), "the ring goes on");
    });
}

/// The producer was only slow: either its record is read, or it learns that it was given up. Nobody else's record
/// is ever read wrong.
#[test]
fn ring_a_slow_producer_is_skipped_while_it_publishes() {
    check(|| {
        let memory = RingMemory::new(1);
        let position = memory.ring().reserve().unwrap();
        let slow = {
            let memory = memory.clone();
            thread::spawn(move || memory.ring().publish(position, &[5; 6]))
        };
        memory.ring().skip();
        let next = memory.ring().push(&[6; 6]);
        let popped = memory.ring().pop();
        let published = slow.join().unwrap();
        match popped {
            Popped::Record(record) if record == [5; 6] => assert!(published),
            Popped::Record(record) => assert!(record == [6; 6] && next && !published),
            Popped::Torn => assert!(!published),
            Popped::Empty | Popped::Pending => {}
        }
    });
}

#[test]
fn table_only_one_of_two_frees_takes_the_entry() {
    check(|| {
        let memory = TableMemory::new(1);
        assert_eq!(memory.table().insert(0x1000, &entry(1)), Inserted::Fresh);
        let other = {
            let memory = memory.clone();
            thread::spawn(move || memory.table().take(0x1000))
        };
        let mine = memory.table().take(0x1000);
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some());
        assert_eq!(mine.or(theirs), Some(entry(1)));
    });
}

/// realloc: the real call frees the old address, another thread is handed it and enters it, while the busy entry
/// still stands. Then the busy entry is dropped. The other thread's entry must survive.
#[test]
fn table_a_busy_entry_never_hides_or_takes_its_successor() {
    check(|| {
        let memory = TableMemory::new(1);
        memory.table().insert(0x1000, &entry(1));
        let busy = memory.table().mark_busy(0x1000).unwrap();
        let other = {
            let memory = memory.clone();
            thread::spawn(move || {
                assert_eq!(memory.table().insert(0x1000, &entry(2)), Inserted::Fresh);
                memory.table().take(0x1000)
            })
        };
        memory.table().drop_busy(&busy);
        assert_eq!(other.join().unwrap(), Some(entry(2)));
        assert_eq!(memory.table().take(0x1000), None);
    });
}

/// A realloc that fails restores the entry, against a (wrong, but possible) concurrent free of the same block.
#[test]
fn table_restore_against_a_concurrent_free() {
    check(|| {
        let memory = TableMemory::new(1);
        memory.table().insert(0x1000, &entry(1));
        let other = {
            let memory = memory.clone();
            thread::spawn(move || memory.table().take(0x1000).is_some())
        };
        let restored = match memory.table().mark_busy(0x1000) {
            Some(busy) => {
                memory.table().restore(busy);
                true
            }
            None => false,
        };
        let taken = other.join().unwrap();
        let left = memory.table().take(0x1000).is_some();
        assert!(taken != left && (taken || restored));
    });
}

/// Two threads find the first segment full: one opens the second, both enter.
#[test]
fn table_growth_by_two_threads_at_once() {
    check(|| {
        let memory = TableMemory::new(2);
        for i in 0..BUCKET {
            assert_eq!(memory.table().insert(0x2000 + i * 16, &entry(1)), Inserted::Fresh);
        }
        let other = {
            let memory = memory.clone();
            thread::spawn(move || memory.table().insert(0x3000, &entry(2)))
        };
        assert_eq!(memory.table().insert(0x4000, &entry(3)), Inserted::Fresh);
        assert_eq!(other.join().unwrap(), Inserted::Fresh);
        assert_eq!(memory.table().open_segments(), 2);
        assert_eq!(memory.table().take(0x3000), Some(entry(2)));
        assert_eq!(memory.table().take(0x4000), Some(entry(3)));
    });
}

/// Two threads are given the same slot of a bucket that was hardly used: who loses it must stay in that bucket, where look-ups
/// stop at a slot that never was used.
#[test]
fn table_a_lost_slot_is_replaced_in_the_same_bucket() {
    check(|| {
        let memory = TableMemory::with_buckets(2, 1);
        // As `Hash` and `Segment::candidates` have it.
        let is_first = |address: &usize| (*address as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 & 1 == 0;
        let mut addresses = (1..).map(|i: usize| i * 16).filter(is_first);
        for address in addresses.by_ref().take(4) {
            assert_eq!(memory.table().insert(address, &entry(1)), Inserted::Fresh);
        }
        let (own, others) = (addresses.next().unwrap(), addresses.next().unwrap());
        let other = {
            let memory = memory.clone();
            thread::spawn(move || memory.table().insert(others, &entry(2)))
        };
        assert_eq!(memory.table().insert(own, &entry(3)), Inserted::Fresh);
        assert_eq!(other.join().unwrap(), Inserted::Fresh);
        assert_eq!(memory.table().take(others), Some(entry(2)));
        assert_eq!(memory.table().take(own), Some(entry(3)));
    });
}

/// The collector scans while a block is freed and its address entered again: whatever it sees was written whole.
#[test]
fn table_a_reader_never_sees_a_torn_entry() {
    check(|| {
        let memory = TableMemory::new(1);
        memory.table().insert(0x1000, &entry(10));
        let reader = {
            let memory = memory.clone();
            thread::spawn(move || {
                memory.table().scan(|address, seen| {
                    assert_eq!(address, 0x1000);
                    assert!(seen == entry(10) || seen == entry(20), "{seen:?}");
                });
            })
        };
        memory.table().take(0x1000);
        memory.table().insert(0x1000, &entry(20));
        reader.join().unwrap();
    });
}

/// A block is sampled in one thread, handed over, and freed in another: the filter must let the free through.
#[test]
fn filter_a_block_handed_to_another_thread_is_found() {
    check(|| {
        let memory = TableMemory::new(1);
        let filter = Arc::new(Filter::for_model());
        let mailbox = Arc::new(AtomicUsize::new(0));
        let consumer = {
            let (memory, filter, mailbox) = (memory.clone(), filter.clone(), mailbox.clone());
            thread::spawn(move || {
                // Acquire: however the program hands a pointer over, it synchronizes.
                let address = mailbox.load(Ordering::Acquire);
                if address != 0 {
                    assert!(filter.may_hold(address), "the filter denies a live sample");
                    assert_eq!(memory.table().take(address), Some(entry(4)));
                    filter.remove(address);
                }
                address != 0
            })
        };
        memory.table().insert(0x1000, &entry(4));
        filter.add(0x1000);
        mailbox.store(0x1000, Ordering::Release);
        let freed = consumer.join().unwrap();
        assert_eq!(filter.may_hold(0x1000), !freed);
    });
}

/// Two threads enter the same new stack: they get one id, and its frames are whole.
#[test]
fn depot_two_threads_enter_the_same_stack() {
    struct Memory {
        node_index: Vec<AtomicU32>,
        nodes: Vec<AtomicU64>,
        node_count: AtomicU32,
        stack_index: Vec<AtomicU32>,
        stacks: Vec<AtomicU64>,
        stack_count: AtomicU32,
    }
    fn depot(m: &Memory) -> Depot<'_> {
        Depot {
            node_index: &m.node_index,
            nodes: &m.nodes,
            node_count: &m.node_count,
            stack_index: &m.stack_index,
            stacks: &m.stacks,
            stack_count: &m.stack_count,
        }
    }
    check(|| {
        let ids = |n: usize| (0..n).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
        let memory = Arc::new(Memory {
            node_index: ids(4),
            nodes: words(5 * NODE_WORDS),
            node_count: AtomicU32::new(0),
            stack_index: ids(4),
            stacks: words(4 * STACK_WORDS),
            stack_count: AtomicU32::new(0),
        });
        let frames = [FrameWord(11), FrameWord(12)];
        let other = {
            let memory = memory.clone();
            thread::spawn(move || depot(&memory).intern(&frames))
        };
        let mine = depot(&memory).intern(&frames);
        let theirs = other.join().unwrap();
        assert_eq!(mine.stack, theirs.stack);
        assert_ne!(mine.stack, 0);
        let mut seen = Vec::new();
        assert!(depot(&memory).frames(mine.stack, |f| seen.push(f)));
        assert_eq!(seen, frames);
    });
}

struct RegionMemory {
    spans: Vec<AtomicU64>,
    infos: Vec<AtomicU64>,
    used: AtomicU32,
    hint: AtomicU32,
}

impl RegionMemory {
    fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self {
            spans: words(slots * SPAN_WORDS),
            infos: words(slots * INFO_WORDS),
            used: AtomicU32::new(0),
            hint: AtomicU32::new(0),
        })
    }
    fn table(&self) -> RegionTable<'_> {
        RegionTable { spans: &self.spans, infos: &self.infos, used: &self.used, hint: &self.hint }
    }
}

fn region(start: u64, end: u64, stack: u32) -> Region {
    Region { start, end, stack, epoch: stack + 1, birth_ms: 7, kind: RegionKind::File, flags: stack as u8 }
}

fn regions(memory: &RegionMemory) -> Vec<Region> {
    let mut all = Vec::new();
    memory.table().scan(|region| all.push(region));
    all.sort_by_key(|region| region.start);
    all
}

/// One thread unmaps and maps again while another does so next to it: each gets its own slot, whole.
/// (With a slot to spare: that the other has emptied one need not be visible yet.)
#[test]
fn regions_unmap_and_map_beside_a_neighbour() {
    check(|| {
        let memory = RegionMemory::new(3);
        assert!(memory.table().insert(&region(10, 20, 1)) && memory.table().insert(&region(20, 30, 2)));
        let other = {
            let memory = memory.clone();
            thread::spawn(move || {
                assert_eq!(memory.table().cut(20, 30, |_| {}), Cut::default());
                assert!(memory.table().insert(&region(20, 30, 4)));
            })
        };
        assert_eq!(memory.table().cut(10, 20, |_| {}), Cut::default());
        assert!(memory.table().insert(&region(10, 20, 3)));
        other.join().unwrap();
        assert_eq!(regions(&memory), [region(10, 20, 3), region(20, 30, 4)]);
    });
}

/// Two threads unmap different ends of one region: what neither could take out stays, and is said.
#[test]
fn regions_both_ends_of_one_region_are_unmapped_at_once() {
    check(|| {
        let memory = RegionMemory::new(2);
        assert!(memory.table().insert(&region(10, 20, 1)));
        let cut = |memory: &RegionMemory, start, end| {
            let mut bytes = 0;
            let cut = memory.table().cut(start, end, |part| bytes += part.bytes());
            assert_eq!(cut.contended == 0, bytes == end - start);
            bytes
        };
        let other = {
            let memory = memory.clone();
            thread::spawn(move || cut(&memory, 10, 13))
        };
        let mine = cut(&memory, 17, 20);
        let theirs = other.join().unwrap();
        assert_eq!(regions(&memory), [region(10 + theirs, 20 - mine, 1)]);
    });
}

/// The collector scans while a region is split and its upper part unmapped and mapped again: it never misses what
/// stayed mapped, and whatever it sees was written whole.
#[test]
fn regions_a_reader_sees_what_stays_and_nothing_torn() {
    check(|| {
        let memory = RegionMemory::new(2);
        assert!(memory.table().insert(&region(10, 40, 1)));
        let reader = {
            let memory = memory.clone();
            thread::spawn(move || regions(&memory))
        };
        memory.table().cut(20, 30, |_| {});
        memory.table().cut(30, 40, |_| {});
        assert!(memory.table().insert(&region(50, 60, 2)));
        let seen = reader.join().unwrap();
        for one in &seen {
            let known = [(10, 40, 1), (10, 20, 1), (30, 40, 1), (50, 60, 2)];
            assert!(known.map(|(start, end, stack)| region(start, end, stack)).contains(one), "{one:?}");
        }
        assert!(seen.iter().any(|one| (one.start, one.stack) == (10, 1)), "what stays was missed: {seen:?}");
    });
}
