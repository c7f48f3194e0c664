//! What the hook leaves for the helper: stacks in a fixed array, and counters.
#![allow(unsafe_code)] // a static array, handed over by a state word for each slot

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use leakscope_hotspot::JavaFrame;

/// Most frames of a stack.
pub const DEPTH: usize = 64;
const SLOTS: usize = 8192;

pub static NOT_READY: AtomicU64 = AtomicU64::new(0);
pub static NOT_JAVA: AtomicU64 = AtomicU64::new(0);
pub static NO_FRAMES: AtomicU64 = AtomicU64::new(0);
pub static WITH_FRAMES: AtomicU64 = AtomicU64::new(0);
pub static FULL: AtomicU64 = AtomicU64::new(0);
/// By the negated code.
pub static REFUSED: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

const FREE: u8 = 0;
const WRITING: u8 = 1;
const WRITTEN: u8 = 2;

struct Slot {
    state: AtomicU8,
    stack: UnsafeCell<(usize, [JavaFrame; DEPTH])>,
}

// SAFETY: the stack is touched only by whoever moved the state to WRITING, or by the one reader while WRITTEN.
unsafe impl Sync for Slot {}

static RING: [Slot; SLOTS] = [const {
    Slot { state: AtomicU8::new(FREE), stack: UnsafeCell::new((0, [JavaFrame { bci: 0, method: 0 }; DEPTH])) }
}; SLOTS];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Leaves a stack of at most `DEPTH` frames; counts it if the ring is full.
pub fn push(frames: &[JavaFrame]) {
    let slot = &RING[NEXT.fetch_add(1, Ordering::Relaxed) % SLOTS];
    if slot.state.compare_exchange(FREE, WRITING, Ordering::Acquire, Ordering::Relaxed).is_err() {
        FULL.fetch_add(1, Ordering::Relaxed);
        return;
    }
    // SAFETY: WRITING is ours.
    let stack = unsafe { &mut *slot.stack.get() };
    stack.0 = frames.len();
    stack.1[..frames.len()].copy_from_slice(frames);
    slot.state.store(WRITTEN, Ordering::Release);
}

/// Takes everything that was left; one reader.
pub fn drain(f: &mut dyn FnMut(&[JavaFrame])) {
    for slot in &RING {
        if slot.state.load(Ordering::Acquire) == WRITTEN {
            // SAFETY: WRITTEN belongs to the reader.
            let stack = unsafe { &*slot.stack.get() };
            f(&stack.1[..stack.0]);
            slot.state.store(FREE, Ordering::Release);
        }
    }
}
