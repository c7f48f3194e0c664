//! The main thread, whose stack the kernel made: a test program without a harness, since harnesses run tests in threads.

use leakscope_unwind::{CachedBounds, StackBounds, note_main_stack};
use support::{Request, capture};

mod support;

fn main() {
    let listing = std::env::args().any(|argument| argument == "--list");
    if listing {
        println!("the_main_thread: test");
        return;
    }
    assert!(note_main_stack());
    let mut request = Request::new(256);
    capture(request.as_argument());
    let seen = request.finish();
    seen.assert_complete();
    assert!(seen.frames.len() >= 4);
    let local = 0_usize;
    let sp = &raw const local as usize & !7;
    let mut cached = CachedBounds::new();
    let bounds = StackBounds::locate(sp, &mut cached);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("[stack]")).expect("no [stack] line");
    let mut ends = line.split([' ', '-']).take(2).map(|end| usize::from_str_radix(end, 16).unwrap());
    let (low, high) = (ends.next().unwrap(), ends.next().unwrap());
    assert!(low <= bounds.low() && bounds.high() <= high, "{:#x}..{:#x}: {line}", bounds.low(), bounds.high());
    // A buffer that is never touched, as large as many a C function's.
    deep(&mut cached, 300);
    println!("test the_main_thread ... ok");
}

/// Every level is walked with the bounds remembered from above it.
fn deep(cached: &mut CachedBounds, depth: usize) {
    let room = std::mem::MaybeUninit::<[u8; 5000]>::uninit();
    std::hint::black_box(&room);
    let sp = &raw const room as usize & !7;
    let bounds = StackBounds::locate(sp, cached);
    assert!(bounds.low() == sp && bounds.high() - sp > 64);
    if depth > 0 {
        deep(cached, depth - 1);
    } else {
        let mut request = Request::new(512);
        capture(request.as_argument());
        request.finish().assert_complete();
    }
    std::hint::black_box(&room);
}
