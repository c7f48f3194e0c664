//! The rules of order, with real calls that fail, move, cover, or are interrupted.

use super::*;
use crate::wrap::tests::{recorder, with_caller};
use leakscope_session::depot::Counter;
use leakscope_session::header::Word;
use leakscope_session::losses::Loss;
use leakscope_session::view::Session;

const ANON: MapArguments = MapArguments { length: 0, protection: 3, flags: MAP_ANONYMOUS | 2 };
const P: usize = PAGE;

fn map(recorder: &Recorder, arguments: MapArguments, result: usize) -> usize {
    with_caller(|caller| recorder.map(arguments, caller, || result))
}

fn remap(recorder: &Recorder, old: (usize, usize), new: usize, flags: c_int, real: impl FnOnce() -> usize) -> usize {
    let arguments = RemapArguments { address: old.0, old_length: old.1, new_length: new, flags };
    with_caller(|caller| recorder.remap(arguments, caller, real))
}

/// Start and pages of what is live.
fn live(session: &Session<'_>) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    session.regions.scan(|r| all.push((r.start as usize, r.bytes() as usize / P)));
    all.sort();
    all
}

fn one(session: &Session<'_>) -> Region {
    let mut all = Vec::new();
    session.regions.scan(|r| all.push(r));
    assert_eq!(all.len(), 1, "{all:?}");
    all[0]
}

#[test]
fn a_mapping_is_entered_in_whole_pages_with_its_kind() {
    let (recorder, session) = recorder(1);
    session.header.set(Word::Epoch, 4);
    assert_eq!(map(recorder, MapArguments { length: 1, ..ANON }, 0x10_0000), 0x10_0000);
    let region = one(&session);
    assert_eq!((region.kind, region.flags, region.epoch, region.bytes()), (RegionKind::Anonymous, 0, 4, 4096));
    assert_eq!(session.depot.counter(region.stack, Counter::Observed), 4096);
    recorder.unmap(0x10_0000, 1, || 0);
    assert_eq!(session.depot.counter(region.stack, Counter::FreedApp), 4096);
    map(recorder, MapArguments { length: 5000, protection: 0, flags: 1 }, 0x10_0000);
    let region = one(&session);
    assert_eq!((region.kind, region.flags, region.bytes()), (RegionKind::File, NO_ACCESS, 8192));
    recorder.unmap(0x10_0000, 8192, || 0);
    map(recorder, MapArguments { length: 1, flags: ANON.flags | MAP_HUGETLB, ..ANON }, 0x20_0000);
    assert_eq!(one(&session).bytes(), 2 << 20);
}

/// As the JVM does for each of its threads; libc unmaps them with the stack, without asking anybody.
#[test]
fn guard_pages_on_a_threads_own_stack_are_a_part_of_the_stack() {
    let (recorder, session) = recorder(1);
    std::thread::spawn(move || {
        let top = &raw const session as usize;
        let lowest = (top - (1 << 20)) & !(P - 1);
        thread::current().with_bounds(|bounds| *bounds = CachedBounds::of_stack(lowest + P));
        let fixed = MapArguments { flags: ANON.flags | MAP_FIXED, ..ANON };
        map(recorder, MapArguments { length: 4 * P, ..fixed }, lowest);
        assert_eq!(live(&session), []);
        map(recorder, MapArguments { length: 4 * P, ..fixed }, lowest - 3 * P);
        assert_eq!(live(&session), [(lowest - 3 * P, 4)], "not all of it on the stack");
    })
    .join()
    .unwrap();
}

#[test]
fn calls_that_fail_change_nothing() {
    let (recorder, session) = recorder(1);
    assert_eq!(map(recorder, MapArguments { length: P, ..ANON }, FAILED), FAILED);
    assert_eq!(live(&session), []);
    map(recorder, MapArguments { length: 4 * P, ..ANON }, 0x10_0000);
    let before = one(&session);
    assert_eq!(recorder.unmap(0x10_1000, P, || -1), -1);
    assert_eq!(live(&session), [(0x10_0000, 1), (0x10_1000, 1), (0x10_2000, 2)], "put back, in parts");
    session.regions.scan(|r| assert_eq!((r.stack, r.birth_ms, r.epoch), (before.stack, before.birth_ms, before.epoch)));
    // What cannot succeed never reaches the table.
    for (address, length) in [(0x10_0001, P), (0x10_0000, 0), (0x10_0000, usize::MAX), (usize::MAX & !(P - 1), 2 * P)] {
        assert_eq!(recorder.unmap(address, length, || -1), -1);
    }
    for flags in [0, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_DONTUNMAP] {
        assert_eq!(remap(recorder, (0x10_2000, 2 * P), 8 * P, flags, || FAILED), FAILED);
        assert_eq!(remap(recorder, (0x10_2000, 2 * P), P, flags, || FAILED), FAILED);
    }
    assert_eq!(live(&session).iter().map(|r| r.1).sum::<usize>(), 4);
    assert_eq!(session.losses.get(Loss::MissedUnmaps), 0);
}

#[test]
fn the_range_is_gone_before_the_real_unmap() {
    let (recorder, session) = recorder(1);
    map(recorder, MapArguments { length: 3 * P, ..ANON }, 0x10_0000);
    recorder.unmap(0x10_1000, P, || {
        assert_eq!(live(&session), [(0x10_0000, 1), (0x10_2000, 1)]);
        // The kernel hands it to another thread at once.
        std::thread::spawn(|| map(recorder, MapArguments { length: P, ..ANON }, 0x10_1000)).join().unwrap();
        0
    });
    assert_eq!(live(&session), [(0x10_0000, 1), (0x10_1000, 1), (0x10_2000, 1)]);
    recorder.unmap(0x10_0000, 3 * P, || 0);
    assert_eq!(live(&session), [], "one call for three mappings");
    assert_eq!(session.losses.get(Loss::MissedUnmaps), 0);
}

#[test]
fn what_is_mapped_over_on_purpose_is_no_missed_unmap() {
    let (recorder, session) = recorder(1);
    map(recorder, MapArguments { length: 10 * P, protection: 0, ..ANON }, 0x10_0000);
    map(recorder, MapArguments { length: 2 * P, flags: ANON.flags | MAP_FIXED, ..ANON }, 0x10_4000);
    assert_eq!(live(&session), [(0x10_0000, 4), (0x10_4000, 2), (0x10_6000, 4)]);
    assert_eq!(session.losses.get(Loss::MissedUnmaps), 0);
    map(recorder, MapArguments { length: 2 * P, ..ANON }, 0x10_5000);
    assert_eq!(live(&session), [(0x10_0000, 4), (0x10_4000, 1), (0x10_5000, 2), (0x10_7000, 3)]);
    assert_eq!(session.losses.get(Loss::MissedUnmaps), 2, "of two regions a part");
}

#[test]
fn mremap_in_all_its_ways() {
    let (recorder, session) = recorder(1);
    map(recorder, MapArguments { length: 8 * P, flags: 1, ..ANON }, 0x10_0000);
    let first = one(&session);
    remap(recorder, (0x10_0000, 8 * P), 6 * P, 0, || 0x10_0000);
    assert_eq!(live(&session), [(0x10_0000, 6)], "shrunk");
    assert_eq!(one(&session).stack, first.stack, "and still whose it was");
    remap(recorder, (0x10_0000, 6 * P), 7 * P, 0, || 0x10_0000);
    assert_eq!(live(&session), [(0x10_0000, 7)], "grown in place");
    remap(recorder, (0x10_0000, 7 * P), 9 * P, MREMAP_MAYMOVE, || {
        assert_eq!(live(&session), [], "gone before the call: the old range may be handed out");
        0x20_0000
    });
    assert_eq!(live(&session), [(0x20_0000, 9)], "moved");
    assert_eq!(one(&session).kind, RegionKind::File, "what it maps goes with it");
    map(recorder, MapArguments { length: 4 * P, ..ANON }, 0x30_0000);
    remap(recorder, (0x20_0000, 9 * P), 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, || 0x30_1000);
    assert_eq!(live(&session), [(0x30_0000, 1), (0x30_1000, 2), (0x30_3000, 1)], "over another");
    remap(recorder, (0x30_1000, P), P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, || 0x40_0000);
    remap(recorder, (0x30_1000, 0), P, MREMAP_MAYMOVE, || 0x50_0000);
    let all = [(0x30_0000, 1), (0x30_1000, 2), (0x30_3000, 1), (0x40_0000, 1), (0x50_0000, 1)];
    assert_eq!(live(&session), all, "the old range stays");
    remap(recorder, (0x30_2000, P), 3 * P, MREMAP_MAYMOVE, || 0x60_0000);
    let all = [(0x30_0000, 1), (0x30_1000, 1), (0x30_3000, 1), (0x40_0000, 1), (0x50_0000, 1), (0x60_0000, 3)];
    assert_eq!(live(&session), all, "a part of a mapping moves");
    assert_eq!(session.losses.get(Loss::MissedUnmaps), 0);
}

#[test]
fn a_segment_is_detached_as_a_whole_and_only_from_its_start() {
    let (recorder, session) = recorder(1);
    // SAFETY: creates and removes a segment of the test's own.
    let id = unsafe { libc::shmget(libc::IPC_PRIVATE, 10_000, 0o600 | libc::IPC_CREAT) };
    assert!(id >= 0);
    with_caller(|caller| recorder.attach_segment(id, 0, caller, || 0x10_0000));
    // SAFETY: as above.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
    assert_eq!((one(&session).kind, live(&session)), (RegionKind::Segment, vec![(0x10_0000, 3)]));
    assert_eq!(recorder.detach_segment(0x10_1000, || -1), -1);
    assert_eq!(recorder.detach_segment(0x10_0000, || -1), -1);
    assert_eq!(live(&session), [(0x10_0000, 3)]);
    assert_eq!(recorder.detach_segment(0x10_0000, || 0), 0);
    assert_eq!(live(&session), []);
    with_caller(|caller| recorder.attach_segment(-1, 0, caller, || FAILED));
    assert_eq!(live(&session), []);
}

#[test]
fn inside_leakscope_nothing_is_entered_but_unmaps_are_seen() {
    let (recorder, session) = recorder(1);
    map(recorder, MapArguments { length: P, ..ANON }, 0x10_0000);
    let slot = 0_usize;
    let guard = crate::thread::current().enter(Caller { sp: &raw const slot as usize, bp: 0 }).unwrap();
    map(recorder, MapArguments { length: P, ..ANON }, 0x20_0000);
    recorder.unmap(0x10_0000, P, || 0);
    drop(guard);
    assert_eq!(live(&session), []);
    assert_eq!(session.losses.get(Loss::GuardSkipped), 1);
}

/// A child that was forked while the call was under way comes back from it, and must leave its parent's table alone.
#[test]
fn a_forked_child_changes_nothing() {
    let (recorder, session) = recorder(1);
    map(recorder, MapArguments { length: 4 * P, ..ANON }, 0x10_0000);
    recorder.unmap(0x10_0000, P, || {
        recorder.place.wipe();
        -1
    });
    assert_eq!(live(&session), [(0x10_1000, 3)], "not put back by the child");
    map(recorder, MapArguments { length: P, ..ANON }, 0x20_0000);
    recorder.unmap(0x10_1000, P, || 0);
    assert_eq!(live(&session), [(0x10_1000, 3)]);
}

#[test]
fn errno_is_the_real_calls() {
    let (recorder, _) = recorder(1);
    map(recorder, MapArguments { length: P, ..ANON }, 0x10_0000);
    // SAFETY: libc's own address of this thread's errno.
    let errno = || unsafe { &mut *libc::__errno_location() };
    let failing = || {
        *errno() = 12;
        -1
    };
    recorder.unmap(0x10_0000, P, failing);
    assert_eq!(*errno(), 12);
    *errno() = 77;
    map(recorder, MapArguments { length: P, ..ANON }, 0x20_0000);
    recorder.unmap(0x20_0000, P, || 0);
    assert_eq!(*errno(), 77);
}

#[test]
fn a_full_table_counts_what_it_lost() {
    let (recorder, session) = recorder(1);
    let slots = session.regions.capacity();
    (0..slots).for_each(|i| {
        assert!(session.regions.insert(&Region {
            start: (i as u64 + 1) << 30,
            end: ((i as u64 + 1) << 30) + 4096,
            ..Region::default()
        }))
    });
    map(recorder, MapArguments { length: 3 * P, ..ANON }, 0x10_0000);
    assert_eq!(session.losses.get(Loss::RegionsFull), 1);
    assert_eq!(session.losses.get(Loss::RegionsFullBytes), 3 * 4096);
}
