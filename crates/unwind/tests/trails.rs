//! Walks along the trail of the last one come to what walks without it do, wherever the stacks part.

#![allow(unsafe_code)] // calls the tests' own C code

use std::ffi::c_void;

use leakscope_unwind::TRAIL_FROM;
use support::{Library, Request, capture, compile, hex};

mod support;

/// Walks of at most `limit` frames: how many there were, and how many went beyond what a trail holds.
struct Wanderer {
    request: Request,
    limit: usize,
    deep: usize,
    all: usize,
}

/// `capture` compares walks along trails with those without; this one with the oracle's, too.
extern "C" fn check(argument: *mut c_void) {
    // SAFETY: the wanderer that was passed to `wander`.
    let wanderer = unsafe { &mut *argument.cast::<Wanderer>() };
    capture(wanderer.request.as_argument());
    let seen = std::mem::replace(&mut wanderer.request, Request::new(wanderer.limit)).finish();
    let expected = &seen.oracle[..seen.oracle.len().min(wanderer.limit)];
    // `capture` is called from here, of which the oracle knows; both begin with it.
    assert_eq!(hex(&seen.frames), hex(expected));
    wanderer.deep += usize::from(seen.frames.len() > TRAIL_FROM + 64);
    wanderer.all += 1;
}

#[test]
fn whatever_way_the_stack_goes() {
    type Wander = extern "C" fn(i32, i32, i32, i32, extern "C" fn(*mut c_void), *mut c_void);
    let library = Library::open(&compile("wander", include_str!("support/wander.c"), &[]));
    // SAFETY: the function's type.
    let wander = unsafe { std::mem::transmute::<usize, Wander>(library.symbol("wander")) };
    for (seed, deepest, far, limit) in
        [(1, 6, 0, 256), (2, 12, 0, 256), (3, 6, 0, 256), (4, 100, 1, 256), (5, 100, 0, 70), (6, 20, 0, 20)]
    {
        let mut wanderer = Wanderer { request: Request::new(limit), limit, deep: 0, all: 0 };
        wander(seed, deepest, far, 5000, check, (&raw mut wanderer).cast());
        assert_eq!(wanderer.all, 5000);
        assert!(far == 0 || wanderer.deep > 1000, "stacks beyond what a trail has: {}", wanderer.deep);
    }
}
