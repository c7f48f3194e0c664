use super::segment::{NEVER_USED, USED_FIRST};
use super::*;
use std::collections::HashMap;

struct Memory {
    open: AtomicU32,
    segments: Vec<(Vec<AtomicU64>, Vec<AtomicU64>)>,
}

impl Memory {
    fn new(first_buckets: usize, segments: usize) -> Self {
        let zeros = |n: usize| (0..n).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        let segments = (0..segments)
            .map(|i| {
                let slots = (first_buckets << i) * BUCKET;
                (zeros(slots), zeros(slots * VALUE_WORDS))
            })
            .collect();
        Self { open: AtomicU32::new(1), segments }
    }
    fn table(&self) -> LiveTable<'_> {
        let mut segments = [Segment::NONE; MAX_SEGMENTS];
        for (view, (keys, values)) in segments.iter_mut().zip(&self.segments) {
            *view = Segment::new(keys, values);
        }
        LiveTable::new(segments, &self.open)
    }
}

fn entry(size: u64) -> Entry {
    Entry { size, birth_ms: size * 3, interval: (size % 7) as u16, stack: size as u32 ^ 0xABCD, epoch: 9 }
}

#[test]
fn agrees_with_a_map_over_random_histories() {
    let memory = Memory::new(4, 8);
    let table = memory.table();
    let mut model: HashMap<usize, Entry> = HashMap::new();
    let mut state = 42u64;
    let mut random = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state >> 33
    };
    for step in 0..200_000u64 {
        let address = 0x7f00_0000_0000 + (random() as usize % 3_000) * 16;
        match random() % 8 {
            0..4 => {
                let new = entry(step);
                let was = model.insert(address, new);
                match (table.insert(address, &new), was) {
                    (Inserted::Fresh, None) => {}
                    (Inserted::Replaced(old), Some(was)) => assert_eq!(old, was),
                    other => panic!("{other:?}"),
                }
            }
            4 => {
                if let Some(busy) = table.mark_busy(address) {
                    assert_eq!(Some(&busy.entry), model.get(&address));
                    assert_eq!(table.take(address), None, "a busy entry never matches");
                    if random() % 2 == 0 {
                        table.restore(busy);
                    } else {
                        table.drop_busy(&busy);
                        model.remove(&address);
                    }
                } else {
                    assert!(!model.contains_key(&address));
                }
            }
            _ => assert_eq!(table.take(address), model.remove(&address)),
        }
    }
    let mut seen = HashMap::new();
    table.scan(|address, entry| assert!(seen.insert(address as usize, entry).is_none()));
    assert_eq!(seen, model);
}

#[test]
fn grows_by_segments_and_says_when_it_is_full() {
    let memory = Memory::new(2, 3);
    let table = memory.table();
    let slots = (2 + 4 + 8) * BUCKET;
    let mut entered = 0;
    for i in 0..slots * 2 {
        let open = table.open_segments();
        if table.insert(0x1000 + i * 16, &entry(i as u64)) == Inserted::Fresh {
            entered += 1;
        }
        if table.open_segments() > open {
            // The first of its segment, which no other insertion has prepared for look-ups.
            assert_eq!(table.take(0x1000 + i * 16), Some(entry(i as u64)));
            table.insert(0x1000 + i * 16, &entry(i as u64));
        }
    }
    assert_eq!(table.open_segments(), 3);
    assert!(entered > slots * 6 / 10, "{entered} of {slots}");
    let mut scanned = 0;
    table.scan(|_, _| scanned += 1);
    assert_eq!(scanned, entered);
}

/// What look-ups rely on: they pass the second bucket over if one of the first six slots was never used.
#[test]
fn the_second_bucket_is_used_after_six_slots_of_the_first() {
    let memory = Memory::new(64, 1);
    let table = memory.table();
    let segment = table.segments[0];
    let mut live = std::collections::VecDeque::new();
    let mut in_second = 0;
    for i in 0..20_000_usize {
        let address = 0x7f00_0000_0000 + i * 48;
        assert_eq!(table.insert(address, &entry(i as u64)), Inserted::Fresh);
        live.push_back(address);
        // First few entries, then as many as make buckets overflow.
        if live.len() > if i < 2_000 { 100 } else { 330 } {
            let oldest = live.pop_front().unwrap();
            assert!(table.take(oldest).is_some(), "{oldest:#x}");
        }
        let number = address as u64;
        let [first, second] = segment.candidates(Hash::of(number));
        let holds =
            |bucket: usize| segment.buckets[bucket].iter().any(|key| key.load(Ordering::Relaxed) & ADDRESS == number);
        let used = segment.buckets[first].iter().filter(|key| key.load(Ordering::Relaxed) != NEVER_USED).count();
        assert_ne!(holds(first), holds(second));
        in_second += usize::from(holds(second));
        assert!(holds(first) || used >= USED_FIRST, "{used} slots of the first bucket");
    }
    assert!(in_second > 200, "{in_second}: few needed their second bucket");
}

/// Addresses first find no room at load 0.65-0.73 (docs/decisions.md).
#[test]
fn a_segment_takes_two_thirds_before_the_next_is_opened() {
    let memory = Memory::new(512, 2);
    let table = memory.table();
    let mut i = 0;
    while table.open_segments() == 1 {
        i += 1;
        table.insert(0x7f00_0000_0000 + i * 4096, &entry(1));
    }
    assert!(i > 512 * BUCKET * 60 / 100, "first overflow at {i}");
}

#[test]
fn a_busy_entry_stands_beside_its_successor_of_the_same_address() {
    let memory = Memory::new(2, 1);
    let table = memory.table();
    table.insert(0x1000, &entry(1));
    let busy = table.mark_busy(0x1000).unwrap();
    // The real realloc moved the block and another thread was given the old address.
    assert_eq!(table.insert(0x1000, &entry(2)), Inserted::Fresh);
    table.drop_busy(&busy);
    assert_eq!(table.take(0x1000), Some(entry(2)));
}

#[test]
fn strange_addresses_are_refused() {
    let memory = Memory::new(2, 1);
    let table = memory.table();
    for address in [0, 0x1001, 0x1004, 1 << 47, usize::MAX] {
        assert!(!LiveTable::fits(address));
        assert_eq!(table.insert(address, &entry(1)), Inserted::Odd);
        assert_eq!(table.take(address), None);
        assert!(table.mark_busy(address).is_none(), "an empty slot is no entry of {address:#x}");
    }
    assert!(LiveTable::fits(0x1008));
}

/// The count of open segments lies in memory that the collector can write, too.
#[test]
fn a_count_of_segments_that_is_nonsense_does_not_hang_the_target() {
    let memory = Memory::new(1, 2);
    let table = memory.table();
    for i in 0..BUCKET {
        table.insert(0x1000 + i * 16, &entry(1));
    }
    for nonsense in [0, 7, u32::MAX] {
        memory.open.store(nonsense, Ordering::Relaxed);
        let _ = table.insert(0x9000, &entry(1));
    }
}

/// A reader beside four writers: each entry it sees must be one that some writer wrote whole.
#[test]
fn a_scan_beside_writers_never_sees_a_torn_entry() {
    let memory = Memory::new(8, 2);
    let table = memory.table();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4usize)
            .map(|t| {
                scope.spawn(move || {
                    for i in 0..100_000usize {
                        let address = 0x10_0000 + t * 0x1000 + (i % 7) * 16;
                        let size = (i as u64) << 3 | t as u64;
                        assert_eq!(table.insert(address, &entry(size)), Inserted::Fresh);
                        assert_eq!(table.take(address), Some(entry(size)));
                    }
                })
            })
            .collect();
        while writers.iter().any(|w| !w.is_finished()) {
            table.scan(|address, e| {
                assert_eq!(e, entry(e.size));
                assert_eq!((address >> 12) & 0xF, e.size & 7);
            });
        }
    });
}

/// A look-up ends at a key of 0: none of a used slot may become that, however often it is filled.
#[test]
fn a_slot_that_was_filled_many_times_is_never_taken_for_an_unused_one() {
    let memory = Memory::new(1, 1);
    let table = memory.table();
    // Both lie in the one bucket; the first slot is filled again and again while the second keeps its entry.
    let (first, second) = (0x7f00_0000_0010, 0x7f00_0000_0020);
    assert_eq!(table.insert(first, &entry(1)), Inserted::Fresh);
    assert_eq!(table.insert(second, &entry(2)), Inserted::Fresh);
    for round in 0..(1 << 16) + 2 {
        assert!(table.take(first).is_some());
        assert_eq!(table.insert(second, &entry(2)), Inserted::Replaced(entry(2)), "round {round}");
        assert_eq!(table.insert(first, &entry(1)), Inserted::Fresh);
    }
    assert!(table.take(first).is_some() && table.take(second).is_some());
}
