use super::*;
use crate::kernel::OpenFile;
use crate::place::NewPlace;
use crate::recorder::Memory;
use leakscope_sampling::{Ladder, Scaled};
use leakscope_session::filter::Filter;
use leakscope_session::header::{Count, INTERVALS, Word};
use leakscope_session::live::Entry;
use leakscope_session::losses::Loss;
use leakscope_session::view::{Session, Sizes};
use leakscope_unwind::RuleCache;
use std::sync::atomic::Ordering;

/// A recorder with a session of its own, leaked: the recorder keeps it for ever.
pub(crate) fn recorder(interval_bytes: u64) -> (&'static Recorder, Session<'static>) {
    seeded_recorder(interval_bytes, 7)
}

fn seeded_recorder(interval_bytes: u64, seed: u64) -> (&'static Recorder, Session<'static>) {
    let bytes = Sizes::SMALL.bytes().unwrap();
    let heap = std::alloc::Layout::from_size_align(bytes as usize, 4096).unwrap();
    // SAFETY: zeroed memory of that length, page-aligned, leaked and used by nobody else.
    let session = unsafe { Session::create(std::alloc::alloc_zeroed(heap), bytes, &Sizes::SMALL) }.ok().unwrap();
    let ladder = Ladder::from(Interval::from_bytes(interval_bytes));
    session.header.set(Word::NativeDepth, 32);
    session.header.count(Count::LiveSegments).unwrap().store(1, Ordering::Relaxed);
    let filter: &'static Filter = Box::leak(Box::new(Filter::new()));
    let recorder = Box::leak(Box::new(Recorder::new(filter, Box::leak(Box::new(RuleCache::new())))));
    let memory = Memory { base: 0, bytes: 0, file: OpenFile::NONE };
    let published = Published {
        session,
        start_ms: 0,
        seed,
        process_name: [0; 16],
        ladder,
        memory,
        pid: 0,
        seccomp_filters: u32::MAX,
    };
    recorder.begin(published, NewPlace::new().unwrap());
    thread::current().reset();
    (recorder, session)
}

static NO_ARENA: Arena = Arena::new();

/// A stack that looks like the caller's: one return address into nowhere.
pub(crate) fn with_caller<R>(call: impl FnOnce(Caller) -> R) -> R {
    let stack = [0usize; 8];
    call(Caller { sp: stack.as_ptr() as usize, bp: 0 })
}

fn live(session: &Session<'_>) -> Vec<(u64, Entry)> {
    let mut all = Vec::new();
    session.live.scan(|address, entry| all.push((address, entry)));
    all.sort_by_key(|(address, _)| *address);
    all
}

fn sizes(session: &Session<'_>) -> Vec<(u64, u64)> {
    live(session).into_iter().map(|(address, entry)| (address, entry.size)).collect()
}

fn malloc(recorder: &Recorder, size: usize, result: usize) -> Pointer {
    assert!(charge(size), "exact mode chooses every call");
    with_caller(|caller| recorder.allocate(size, caller, || result as Pointer))
}

fn realloc(recorder: &Recorder, old: usize, size: usize, real: impl FnOnce() -> usize) -> Pointer {
    with_caller(|caller| {
        recorder.reallocate(&NO_ARENA, old as Pointer, size, charge(size), caller, |_, _| real() as Pointer)
    })
}

#[test]
fn an_allocation_that_fails_leaves_nothing() {
    let (recorder, session) = recorder(1);
    assert!(malloc(recorder, 100, 0).is_null());
    assert_eq!(live(&session), []);
}

/// In exact mode only some calls are measured.
#[test]
fn what_recording_costs_is_measured() {
    let (recorder, session) = recorder(1);
    for _ in 0..40 {
        malloc(recorder, 100, 0x10_0000);
    }
    assert!(session.cost.sums().cycles > 0);
}

#[test]
fn the_entry_is_gone_before_the_real_free() {
    let (recorder, session) = recorder(1);
    let block = malloc(recorder, 100, 0x10_0000);
    assert_eq!(sizes(&session), [(0x10_0000, 100)]);
    assert!(recorder.may_hold(block));
    assert!(recorder.release(&NO_ARENA, block));
    assert_eq!(live(&session), [], "what the real free would see");
    // The same address at once again, as allocators do.
    malloc(recorder, 50, 0x10_0000);
    assert_eq!(sizes(&session), [(0x10_0000, 50)]);
    assert_eq!(session.losses.get(Loss::MissedFrees), 0);
}

#[test]
fn samples_that_come_and_go_are_counted() {
    // Of 50 times the interval all are sampled, and each is measured.
    let (recorder, session) = recorder(2);
    let block = malloc(recorder, 100, 0x10_0000);
    assert!(recorder.release(&NO_ARENA, block));
    malloc(recorder, 100, 0x10_0000);
    let cost = session.cost.sums();
    assert_eq!((cost.entered, cost.left, cost.live()), (2, 1, 1));
    realloc(recorder, 0x10_0000, 200, || 0x20_0000);
    malloc(recorder, 150, 0x20_0000);
    assert_eq!(session.cost.sums().live(), 1, "one more, moved, and one that takes the place of another");
    assert_eq!(session.header.get(Word::RingHead), 6, "three allocations, a free, and a reallocation, which is both");
}

/// Of the calls of exact mode some stand for all, in what they cost and in the history.
#[test]
fn in_exact_mode_one_call_of_seventeen_is_told() {
    const PAIRS: u64 = 10_000;
    let (recorder, session) = recorder(1);
    for _ in 0..PAIRS {
        let block = malloc(recorder, 100, 0x10_0000);
        assert!(recorder.release(&NO_ARENA, block));
    }
    let cost = session.cost.sums();
    // The standard deviation is 2.3 % of either.
    for (what, count) in
        [("entered", cost.entered), ("left", cost.left), ("told", 17 * session.header.get(Word::RingHead) / 2)]
    {
        assert!(count.abs_diff(PAIRS) < PAIRS / 8, "{what}: {count}");
    }
}

#[test]
fn realloc_that_fails_shrinks_grows_moves_frees_or_starts_from_null() {
    let (recorder, session) = recorder(1);
    malloc(recorder, 100, 0x10_0000);
    assert!(realloc(recorder, 0x10_0000, 1 << 40, || 0).is_null());
    assert_eq!(sizes(&session), [(0x10_0000, 100)], "failed: the old block lives on");
    realloc(recorder, 0x10_0000, 60, || 0x10_0000);
    assert_eq!(sizes(&session), [(0x10_0000, 60)], "shrunk in place");
    realloc(recorder, 0x10_0000, 600, || 0x10_0000);
    assert_eq!(sizes(&session), [(0x10_0000, 600)], "grown in place");
    realloc(recorder, 0x10_0000, 6000, || 0x20_0000);
    assert_eq!(sizes(&session), [(0x20_0000, 6000)], "moved");
    realloc(recorder, 0x20_0000, 0, || 0);
    assert_eq!(sizes(&session), [], "freed by size 0");
    realloc(recorder, 0, 77, || 0x30_0000);
    assert_eq!(sizes(&session), [(0x30_0000, 77)], "from NULL");
    assert_eq!(session.losses.get(Loss::MissedFrees), 0);
}

/// Null hashes to a counter of the filter, too: that of some other block.
#[test]
fn realloc_from_null_touches_no_other_block() {
    let (recorder, session) = recorder(1000);
    // Not exact mode, where the filter's counters are stuck: an address that shares its counter with null.
    let neighbour = (1usize..).map(|i| i * 0x4000_0000).find(|&a| {
        let filter = Box::new(Filter::new());
        filter.add(a);
        filter.may_hold(core::ptr::null_mut::<u8>() as usize)
    });
    let neighbour = neighbour.unwrap();
    let allocate = |size, result: usize| {
        charge(size);
        with_caller(|caller| recorder.allocate(size, caller, || result as Pointer))
    };
    allocate(1 << 30, neighbour);
    assert_eq!(sizes(&session), [(neighbour as u64, 1 << 30)], "30 bits at an interval of 1000 is certain");
    realloc(recorder, 0, 1 << 30, || 0x30_0000);
    assert!(recorder.may_hold(neighbour as Pointer), "its free would not be seen");
    assert!(realloc(recorder, 0, 1 << 30, || 0).is_null());
    assert_eq!(session.ring.len(), 2, "two allocations, and no free");
}

#[test]
fn a_size_beyond_63_bits_does_not_silence_the_thread() {
    let (recorder, session) = recorder(1000);
    for size in [usize::MAX, 1 << 63, 3 << 62] {
        charge(1 << 30);
        with_caller(|caller| recorder.allocate(1 << 30, caller, || 0 as Pointer));
        if charge(size) {
            with_caller(|caller| recorder.allocate(size, caller, || 0 as Pointer));
        }
        assert!(charge(1 << 40), "{size:#x}: the next terabyte is a sample");
    }
    assert_eq!(live(&session), []);
}

/// A signal handler forks inside of the real call, and the child comes back into the hook.
#[test]
fn a_forked_child_leaves_its_parents_tables_alone() {
    let (recorder, session) = recorder(1);
    malloc(recorder, 100, 0x10_0000);
    let records = session.ring.len();
    realloc(recorder, 0x10_0000, 200, || {
        recorder.place.wipe();
        0x20_0000
    });
    assert_eq!(sizes(&session), [(0x10_0000, 100)], "the parent's entry, which is busy");
    assert_eq!(session.ring.len(), records);
}

#[test]
fn a_block_larger_than_the_address_space_is_not_believed() {
    let (recorder, session) = recorder(1);
    malloc(recorder, usize::MAX, 0x10_0000);
    assert_eq!(live(&session), []);
}

#[test]
fn an_address_that_fits_no_key_is_counted_as_such() {
    let (recorder, session) = recorder(1);
    malloc(recorder, 8, 0x10_0004);
    assert_eq!((session.losses.get(Loss::AddressOdd), session.losses.get(Loss::TableFull)), (1, 0));
}

/// Another thread is handed the old address while realloc is still on its way back.
#[test]
fn realloc_that_moves_while_its_old_address_is_handed_out_again() {
    let (recorder, session) = recorder(1);
    malloc(recorder, 100, 0x10_0000);
    realloc(recorder, 0x10_0000, 200, || {
        std::thread::spawn(move || malloc(recorder, 300, 0x10_0000) as usize).join().unwrap();
        0x20_0000
    });
    assert_eq!(sizes(&session), [(0x10_0000, 300), (0x20_0000, 200)]);
    assert_eq!(session.losses.get(Loss::MissedFrees), 0);
}

#[test]
fn a_free_that_bypassed_us_is_counted_and_the_block_replaced() {
    let (recorder, session) = recorder(1);
    malloc(recorder, 100, 0x10_0000);
    malloc(recorder, 200, 0x10_0000);
    assert_eq!(sizes(&session), [(0x10_0000, 200)]);
    assert_eq!(session.losses.get(Loss::MissedFrees), 1);
}

#[test]
fn inside_leakscope_nothing_is_sampled_but_frees_are_seen() {
    let (recorder, session) = recorder(1);
    malloc(recorder, 100, 0x10_0000);
    let slot = 0_usize;
    let guard = thread::current().enter(Caller { sp: &raw const slot as usize, bp: 0 }).unwrap();
    malloc(recorder, 200, 0x20_0000);
    recorder.release(&NO_ARENA, 0x10_0000 as Pointer);
    drop(guard);
    assert_eq!(live(&session), []);
    assert_eq!(session.losses.get(Loss::GuardSkipped), 1);
}

#[test]
fn what_the_helper_allocates_is_no_loss_of_the_target() {
    let (recorder, session) = recorder(1);
    std::thread::spawn(move || {
        thread::current().ignore_for_ever();
        malloc(recorder, 200, 0x20_0000);
    })
    .join()
    .unwrap();
    assert_eq!(live(&session), []);
    assert_eq!(session.losses.get(Loss::GuardSkipped), 0);
}

#[test]
fn each_sample_keeps_the_interval_its_gap_was_drawn_with() {
    let (recorder, session) = recorder(1);
    malloc(recorder, 10, 0x10_0000);
    session.header.set(Word::CurrentInterval, 1);
    malloc(recorder, 10, 0x20_0000);
    let step_of = |i: usize| live(&session)[i].1.interval;
    assert_eq!((step_of(0), step_of(1)), (0, 0), "drawn before the change");
    charge(1 << 20);
    with_caller(|caller| recorder.allocate(1 << 20, caller, || 0x30_0000 as Pointer));
    assert_eq!(step_of(2), 1);
}

/// The session is written by another process: what is no step of the ladder changes nothing.
#[test]
fn a_wild_interval_in_the_session_is_not_believed() {
    let (recorder, session) = recorder(1);
    for at in 0..INTERVALS {
        session.header.set_at(Word::Intervals, at, 0);
    }
    for (n, wild) in [INTERVALS as u64, 1 << 16, u64::MAX].into_iter().enumerate() {
        session.header.set(Word::CurrentInterval, wild);
        malloc(recorder, 10, 0x10_0000 + n * 16);
    }
    assert_eq!(live(&session).iter().map(|(_, entry)| entry.interval).collect::<Vec<_>>(), [0, 0, 0]);
}

/// Known live bytes while the interval doubles several times: the estimate has no bias, because each sample is
/// scaled with the interval that its gap was drawn with.
#[test]
fn estimates_stay_unbiased_while_the_interval_rises() {
    const RUNS: u64 = 60;
    const BLOCKS: usize = 400;
    const SIZE: usize = 3000;
    let (mut sum, mut variance, mut naive) = (0.0, 0.0, 0.0);
    for run in 0..RUNS {
        let (recorder, session) = seeded_recorder(4096, run * 77 + 5);
        let ladder = Ladder::from(Interval::from_bytes(4096));
        for n in 0..BLOCKS {
            // Four doublings, at moments that have nothing to do with the samples.
            session.header.set(Word::CurrentInterval, (n * 5 / BLOCKS) as u64);
            if charge(SIZE) {
                with_caller(|caller| recorder.allocate(SIZE, caller, || (0x10_0000 + n * 4096) as Pointer));
            }
        }
        for (_, entry) in live(&session) {
            let scaled = Scaled::sample(entry.size, ladder.step(entry.interval));
            sum += scaled.bytes;
            variance += scaled.bytes_variance;
            naive += Scaled::sample(entry.size, published_interval(recorder)).bytes;
        }
    }
    let truth = (RUNS as usize * BLOCKS * SIZE) as f64;
    let error = variance.sqrt();
    assert!((sum - truth).abs() < 4.0 * error, "{sum} of {truth}, standard error {error}");
    assert!((naive - truth).abs() > 20.0 * error, "the test would notice: {naive} with the last interval");
}

fn published_interval(recorder: &Recorder) -> Interval {
    recorder.recording().unwrap().interval()
}

#[test]
fn a_process_that_does_not_record_looks_again_after_a_while() {
    let filter: &'static Filter = Box::leak(Box::new(Filter::new()));
    let idle = Box::leak(Box::new(Recorder::new(filter, Box::leak(Box::new(RuleCache::new())))));
    std::thread::spawn(|| {
        assert!(charge(8), "a new thread enters the slow path");
        with_caller(|caller| idle.allocate(8, caller, || 0x10_0000 as Pointer));
        assert!(!charge(8));
        assert!(charge(IDLE_GAP_BYTES as usize));
    })
    .join()
    .unwrap();
}

#[test]
fn an_early_block_is_never_freed_and_moves_out_when_it_grows() {
    let (recorder, _) = recorder(1);
    let arena: &'static Arena = Box::leak(Box::new(Arena::new()));
    let early = arena.allocate(5, 16);
    // SAFETY: the block has five bytes.
    unsafe { early.copy_from(b"early".as_ptr(), 5) };
    recorder.filter.hold_for_ever(early as usize);
    assert!(!recorder.release(arena, early.cast()), "must not reach the real free");
    let mut room = [0u8; 10];
    let moved = with_caller(|caller| {
        recorder.reallocate(arena, early.cast(), 10, charge(10), caller, |old, _| {
            assert!(old.is_null());
            room.as_mut_ptr().cast()
        })
    });
    assert_eq!(moved, room.as_mut_ptr().cast());
    assert_eq!(&room[..5], b"early");
}
