//! Bounds of stacks of every kind: threads, small ones, signal stacks, fibers. The main thread: `main_thread.rs`.

#![allow(unsafe_code)] // makes threads and fibers by hand

use std::ffi::c_void;

use leakscope_unwind::{CachedBounds, End, Registers, RuleCache, StackBounds, walk};
use support::{Capture, Request, capture};

mod support;

/// An address on the stack of the caller's caller, roughly.
#[inline(never)]
fn here() -> usize {
    let local = 0_u64;
    std::hint::black_box(&raw const local as usize)
}

fn captured() -> Capture {
    let mut request = Request::new(256);
    capture(request.as_argument());
    request.finish()
}

#[test]
fn the_bounds_of_a_thread_end_above_its_frames_and_are_remembered() {
    let mut cached = CachedBounds::new();
    let sp = here();
    let first = StackBounds::locate(sp, &mut cached);
    assert_eq!(first.low(), sp);
    assert!(first.high() > sp && first.high() - sp < 64 << 20);
    let again = StackBounds::locate(sp + 64, &mut cached);
    assert_eq!((again.low(), again.high()), (sp + 64, first.high()));
    #[inline(never)]
    fn deeper(cached: &mut CachedBounds, room: usize) -> StackBounds {
        let local = [room; 4096];
        std::hint::black_box(&local);
        StackBounds::locate(here(), cached)
    }
    let extended = deeper(&mut cached, 1);
    assert_eq!(extended.high(), first.high());
    assert!(extended.low() < first.low() - 4096);
}

#[test]
fn threads_of_all_sizes() {
    for size in [16 << 10, 64 << 10, 256 << 10, 8 << 20] {
        // Unwinding by libgcc and the test's own frames need more than the smallest stack has: walk only.
        let thread = std::thread::Builder::new().stack_size(size).spawn(move || {
            let mut cached = CachedBounds::new();
            let bounds = StackBounds::locate(here(), &mut cached);
            (bounds.low(), bounds.high(), size)
        });
        let (low, high, size) = thread.unwrap().join().unwrap();
        assert!(high - low < size.max(64 << 10) + 16384, "{size}: {:#x}", high - low);
        assert!(high > low + 64, "{size}");
    }
    let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(|| captured().assert_complete());
    thread.unwrap().join().unwrap();
}

/// A stack given by the application: the control block is at its top, as on stacks that the library allocates.
#[test]
fn a_thread_on_a_stack_of_the_applications_own() {
    extern "C" fn body(_: *mut c_void) -> *mut c_void {
        captured().assert_complete();
        std::ptr::null_mut()
    }
    let stack = vec![0_u8; 512 << 10];
    // SAFETY: the stack outlives the thread, which is joined.
    unsafe {
        let mut attributes = std::mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&raw mut attributes), 0);
        let low = (stack.as_ptr() as usize).next_multiple_of(4096);
        assert_eq!(libc::pthread_attr_setstack(&raw mut attributes, low as *mut c_void, 256 << 10), 0);
        let mut thread = std::mem::zeroed();
        assert_eq!(libc::pthread_create(&raw mut thread, &raw const attributes, body, std::ptr::null_mut()), 0);
        assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
    }
}

thread_local! {
    static CONTEXTS: std::cell::Cell<*mut [libc::ucontext_t; 2]> = const { std::cell::Cell::new(std::ptr::null_mut()) };
    static SEEN: std::cell::RefCell<Option<(Capture, usize, usize)>> = const { std::cell::RefCell::new(None) };
}

extern "C" fn fiber() {
    let mut cached = CachedBounds::new();
    let bounds = StackBounds::locate(here(), &mut cached);
    SEEN.set(Some((captured(), bounds.low(), bounds.high())));
}

/// Runs `fiber` on the memory `low..low + bytes` and gives what it saw.
fn on_fiber(low: usize, bytes: usize) -> (Capture, usize, usize) {
    // SAFETY: ucontexts filled by getcontext, a stack that is mapped and in nobody's use.
    unsafe {
        let mut contexts: [libc::ucontext_t; 2] = std::mem::zeroed();
        let [outer, inner] = &mut contexts;
        assert_eq!(libc::getcontext(inner), 0);
        inner.uc_stack.ss_sp = low as *mut c_void;
        inner.uc_stack.ss_size = bytes;
        inner.uc_link = outer;
        libc::makecontext(inner, fiber, 0);
        assert_eq!(libc::swapcontext(outer, inner), 0);
    }
    SEEN.take().expect("the fiber did not run")
}

fn map(bytes: usize) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    at as usize
}

/// Down to makecontext's trampoline, of which glibc 2.36 has no tables: libgcc ends there too.
#[track_caller]
fn assert_is_whole(seen: &Capture) {
    assert!(matches!(seen.walk.end, End::Outermost | End::NoRule), "{:?}", seen.walk);
    assert_eq!(seen.frames, seen.oracle);
    assert!(seen.frames.len() >= 2);
}

#[test]
fn a_fiber_between_guard_pages() {
    const STACK: usize = 256 << 10;
    let low = map(STACK + 8192) + 4096;
    for guard in [low - 4096, low + STACK] {
        // SAFETY: pages of this test's own mapping.
        assert_eq!(unsafe { libc::mprotect(guard as *mut c_void, 4096, libc::PROT_NONE) }, 0);
    }
    for _ in 0..3 {
        let (seen, from, to) = on_fiber(low, STACK);
        assert!(low <= from && to <= low + STACK, "the bounds {from:#x}..{to:#x} reach over the guard");
        assert!(to - from > 64);
        assert_is_whole(&seen);
    }
}

#[test]
fn a_fiber_below_unmapped_memory() {
    const STACK: usize = 64 << 10;
    let low = map(STACK + (1 << 20));
    // SAFETY: a part of this test's own mapping.
    assert_eq!(unsafe { libc::munmap((low + STACK) as *mut c_void, 1 << 20) }, 0);
    let (seen, from, to) = on_fiber(low, STACK);
    assert!(low <= from && to <= low + STACK);
    assert_is_whole(&seen);
}

/// A thread whose lower half is a fiber's, with a guard between: one is not taken for the other.
#[test]
fn a_fiber_right_below_a_threads_stack() {
    extern "C" fn body(low: *mut c_void) -> *mut c_void {
        let low = low as usize;
        captured().assert_complete();
        let (_, from, to) = on_fiber(low, 256 << 10);
        assert!(low <= from && to <= low + (256 << 10), "{from:#x}..{to:#x} reaches into the guard or the thread");
        captured().assert_complete();
        std::ptr::null_mut()
    }
    let low = map(1 << 20);
    let guard = low + (256 << 10);
    // SAFETY: one mapping, divided into the fiber's stack, a guard page and the thread's stack.
    unsafe {
        assert_eq!(libc::mprotect(guard as *mut c_void, 4096, libc::PROT_NONE), 0);
        let mut attributes = std::mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&raw mut attributes), 0);
        let top_half = low + (512 << 10);
        assert_eq!(libc::mprotect(top_half as *mut c_void, 512 << 10, libc::PROT_READ | libc::PROT_WRITE), 0);
        assert_eq!(libc::pthread_attr_setstack(&raw mut attributes, top_half as *mut c_void, 512 << 10), 0);
        let mut thread = std::mem::zeroed();
        let argument = low as *mut c_void;
        assert_eq!(libc::pthread_create(&raw mut thread, &raw const attributes, body, argument), 0);
        assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
    }
}

#[test]
fn a_stack_pointer_that_leads_nowhere_gives_empty_bounds() {
    static CACHE: RuleCache = RuleCache::new();
    for sp in [0, 8, 0x1000, usize::MAX - 7, 1 << 63, 0xffff_8000_0000_0000] {
        let mut cached = CachedBounds::new();
        let bounds = StackBounds::locate(sp, &mut cached);
        assert_eq!(bounds.low(), bounds.high(), "{sp:#x}");
        let start = Registers { pc: libc::qsort as *const () as usize + 1, sp, bp: sp };
        let seen = walk(start, bounds, &CACHE, &mut [0; 8].as_mut_slice());
        assert_eq!(seen.frames, 1);
        assert!(matches!(seen.end, End::BadCfa | End::NoRule));
    }
}

#[test]
fn a_misaligned_stack_pointer_is_not_followed() {
    static CACHE: RuleCache = RuleCache::new();
    let mut cached = CachedBounds::new();
    let sp = here() | 1;
    let bounds = StackBounds::locate(sp, &mut cached);
    let start = Registers { pc: libc::qsort as *const () as usize + 1, sp, bp: sp };
    assert_eq!(walk(start, bounds, &CACHE, &mut [0; 8].as_mut_slice()).frames, 1);
}
