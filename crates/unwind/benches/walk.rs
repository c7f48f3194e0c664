//! What a walk costs: 40 frames of C code without frame pointers, called back through qsort. Prints, asserts nothing.
//!
//! `cargo bench -p leakscope-unwind`. Warm is the median of many walks from one place; cold is a first walk with an
//! empty cache. The rival is the `backtrace` crate (libgcc's unwinder) on the same stack.

#![allow(unsafe_code)] // calls C code compiled on the spot

use std::ffi::c_void;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use leakscope_unwind::{
    CachedBounds, ModuleSource, Registers, RuleCache, StackBounds, Trails, recall, refresh_modules, walk_with,
};
use support::{Library, compile};

#[path = "../tests/support/mod.rs"]
mod support;

const FRAMES: usize = 40;
const ROUNDS: usize = 2_000;
const WALKS: u32 = 50;

/// The median time of one call.
fn median(mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..WALKS).for_each(|_| call());
            start.elapsed()
        })
        .collect();
    rounds.sort();
    rounds[ROUNDS / 2].as_nanos() as f64 / f64::from(WALKS)
}

extern "C" fn measure(registers: &Registers, _argument: *mut c_void) {
    static CACHE: RuleCache = RuleCache::new();
    static COLD: [RuleCache; 2] = [const { RuleCache::new() }; 2];
    let mut cached = CachedBounds::new();
    let mut out = [0; FRAMES];
    for (source, cold) in [ModuleSource::Loader, ModuleSource::Snapshot].into_iter().zip(&COLD) {
        let stack = StackBounds::locate(registers.sp, &mut cached);
        let start = Instant::now();
        let first = walk_with(source, *registers, stack, cold, None, &mut out.as_mut_slice());
        println!("{source:?}: cold {:6.0} ns, {} frames, {:?}", start.elapsed().as_nanos(), first.frames, first.end);
        let warm = median(|| {
            let stack = StackBounds::locate(black_box(registers.sp), &mut cached);
            black_box(walk_with(source, *registers, stack, &CACHE, None, &mut out.as_mut_slice()));
        });
        println!("{source:?}: warm {warm:6.1} ns, {:.2} ns a frame", warm / first.frames as f64);
        static TRAILS: Mutex<Trails> = Mutex::new(Trails::new());
        let mut trails = TRAILS.lock().expect("nobody panics");
        let along = median(|| {
            let stack = StackBounds::locate(black_box(registers.sp), &mut cached);
            black_box(walk_with(source, *registers, stack, &CACHE, Some(&mut trails), &mut out.as_mut_slice()));
        });
        println!("{source:?}: along the last walk {along:6.1} ns, {:.2} ns a frame", along / first.frames as f64);
        trails.name(*registers, NonZeroU32::MIN);
        let recalled = median(|| {
            let stack = StackBounds::locate(black_box(registers.sp), &mut cached);
            black_box(recall(&trails, *registers, stack));
        });
        println!("{source:?}: recalled {recalled:6.1} ns, {:.2} ns a frame", recalled / first.frames as f64);
    }
    let rival = median(|| {
        let mut left = FRAMES;
        // SAFETY: one thread, so nobody else is using the unsynchronized tracer.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                black_box(frame.ip());
                left -= 1;
                left > 0
            });
        }
    });
    println!("backtrace crate: {rival:6.1} ns for {FRAMES} frames");
}

extern "C" fn at_the_leaf(argument: *mut c_void) {
    // SAFETY: `with_registers` keeps the calling convention.
    unsafe { support::with_registers(measure, argument) };
    black_box(());
}

fn main() {
    let library = Library::open(&compile("bench", include_str!("../tests/support/nested.c"), &[]));
    refresh_modules();
    for (function, depth) in [("recurse", FRAMES as i32), ("recurse_through_qsort", 10)] {
        println!("{function}");
        // SAFETY: the C code has this signature.
        let function = unsafe {
            std::mem::transmute::<usize, extern "C" fn(i32, extern "C" fn(*mut c_void), *mut c_void)>(
                library.symbol(function),
            )
        };
        function(depth, at_the_leaf, std::ptr::null_mut());
    }
}
