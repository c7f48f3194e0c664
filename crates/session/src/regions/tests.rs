//! The region table against a naive map of pages, full tables, and threads beside a reader.

use super::*;
use std::collections::BTreeMap;

struct Memory {
    spans: Vec<AtomicU64>,
    infos: Vec<AtomicU64>,
    used: AtomicU32,
    hint: AtomicU32,
}

impl Memory {
    fn new(slots: usize) -> Self {
        let zeros = |n: usize| (0..n).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        Self {
            spans: zeros(slots * SPAN_WORDS),
            infos: zeros(slots * INFO_WORDS),
            used: AtomicU32::new(0),
            hint: AtomicU32::new(0),
        }
    }

    fn table(&self) -> RegionTable<'_> {
        RegionTable { spans: &self.spans, infos: &self.infos, used: &self.used, hint: &self.hint }
    }
}

fn region(start: u64, end: u64, stack: u32) -> Region {
    Region { start, end, stack, epoch: stack ^ 5, birth_ms: u64::from(stack) * 3, kind: RegionKind::File, flags: FIXED }
}

fn all(table: &RegionTable<'_>) -> Vec<Region> {
    let mut all = Vec::new();
    table.scan(|region| all.push(region));
    all.sort_by_key(|region| region.start);
    all
}

fn spans(table: &RegionTable<'_>) -> Vec<(u64, u64, u32)> {
    all(table).into_iter().map(|r| (r.start, r.end, r.stack)).collect()
}

#[test]
fn agrees_with_a_map_of_pages_over_random_histories() {
    const PAGES: u64 = 400;
    let memory = Memory::new(512);
    let table = memory.table();
    let mut model: BTreeMap<u64, u32> = BTreeMap::new();
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    for step in 1..60_000u32 {
        let start = 1 + random(PAGES);
        let end = start + 1 + random(if step % 3 == 0 { 60 } else { 8 });
        // Pages that the table says it took out, by stack: exactly those of the model.
        let mut taken = BTreeMap::new();
        let cut = table.cut(start, end, |r| taken.extend((r.start..r.end).map(|page| (page, r.stack))));
        assert_eq!(cut, Cut::default());
        let gone: BTreeMap<u64, u32> = model.range(start..end).map(|(page, stack)| (*page, *stack)).collect();
        assert_eq!(taken, gone, "step {step}");
        model.retain(|page, _| !(start..end).contains(page));
        if random(2) == 0 {
            assert!(table.insert(&region(start, end, step)));
            model.extend((start..end).map(|page| (page, step)));
        }
        if step % 500 == 0 {
            let regions = all(&table);
            assert!(regions.windows(2).all(|pair| pair[0].end <= pair[1].start), "apart");
            let pages: BTreeMap<u64, u32> =
                regions.iter().flat_map(|r| (r.start..r.end).map(|page| (page, r.stack))).collect();
            assert_eq!(pages, model, "step {step}");
            assert!(regions.iter().all(|r| *r == region(r.start, r.end, r.stack)), "each keeps what it was");
            let probe = 1 + random(PAGES);
            assert_eq!(table.find(probe).map(|r| r.stack), model.get(&probe).copied());
        }
    }
    assert!(table.used() <= 402, "emptied slots are used again: {}", table.used());
}

#[test]
fn each_way_to_cut_a_region() {
    let memory = Memory::new(4);
    let table = memory.table();
    table.insert(&region(10, 20, 1));
    table.cut(13, 15, drop);
    assert_eq!(spans(&table), [(10, 13, 1), (15, 20, 1)]);
    table.cut(12, 16, drop);
    assert_eq!(spans(&table), [(10, 12, 1), (16, 20, 1)]);
    table.cut(1, 11, drop);
    table.cut(19, 30, drop);
    assert_eq!(spans(&table), [(11, 12, 1), (16, 19, 1)]);
    table.cut(0, u64::MAX, drop);
    assert_eq!(spans(&table), []);
    assert_eq!(table.find(11), None);
}

#[test]
fn a_full_table_says_what_it_lost() {
    let memory = Memory::new(2);
    let table = memory.table();
    assert!(table.insert(&region(10, 20, 1)) && table.insert(&region(30, 40, 2)));
    assert!(!table.insert(&region(50, 60, 3)));
    let cut = table.cut(33, 35, drop);
    assert_eq!(cut, Cut { contended: 0, lost_bytes: 5 });
    assert_eq!(spans(&table), [(10, 20, 1), (30, 33, 2)], "the upper part found no room");
    table.cut(10, 20, drop);
    assert!(table.insert(&region(50, 60, 3)), "there is room again");
}

/// As a thread leaves it that was torn out of a cut for ever.
#[test]
fn a_slot_that_stays_busy_is_given_up_and_still_read() {
    let memory = Memory::new(2);
    let table = memory.table();
    table.insert(&region(10, 20, 1));
    assert!(matches!(table.hold(0, 0, u64::MAX), Some(Ok(_))));
    assert_eq!(table.cut(10, 20, drop).contended, 1);
    assert_eq!(spans(&table), [(10, 20, 1)]);
}

#[test]
fn nonsense_in_shared_memory_ends() {
    let memory = Memory::new(3);
    for word in memory.spans.iter().chain(&memory.infos) {
        word.store(u64::MAX, Ordering::Relaxed);
    }
    memory.used.store(u32::MAX, Ordering::Relaxed);
    memory.hint.store(u32::MAX, Ordering::Relaxed);
    let table = memory.table();
    table.scan(|_| {});
    table.cut(0, u64::MAX, drop);
    assert!(!table.insert(&region(1, 2, 3)));
    assert_eq!(table.find(5), None);
}

/// Four threads map, cut and unmap ranges of their own in one table: a reader never sees a region that none has made.
#[test]
fn a_scan_beside_writers_sees_only_what_was_there() {
    let memory = Memory::new(64);
    let table = memory.table();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4u64)
            .map(|t| {
                scope.spawn(move || {
                    let base = t * 1000 + 10;
                    for i in 0..30_000u32 {
                        let stack = i << 2 | t as u32;
                        assert!(table.insert(&region(base, base + 100, stack)));
                        let mut bytes = 0;
                        for (from, to) in [(40, 60), (0, 10), (90, 100), (0, 100)] {
                            // Whoever meets the slot of a thread that is suspended gives up, and says so.
                            loop {
                                let cut = table.cut(base + from, base + to, |r| {
                                    assert_eq!(r.stack, stack);
                                    bytes += r.bytes();
                                });
                                assert_eq!(cut.lost_bytes, 0);
                                if cut.contended == 0 {
                                    break;
                                }
                                std::thread::yield_now();
                            }
                        }
                        assert_eq!(bytes, 100);
                    }
                })
            })
            .collect();
        while writers.iter().any(|w| !w.is_finished()) {
            table.scan(|r| {
                let t = u64::from(r.stack & 3);
                assert!(r.start >= t * 1000 + 10 && r.end <= t * 1000 + 110, "{r:?}");
                assert_eq!(r, region(r.start, r.end, r.stack));
            });
        }
    });
    assert_eq!(spans(&table), []);
}
