//! Walks along the trail of the last one come to what walks without it do, wherever the stacks part; and no stack is recalled for
//! another.

#![allow(unsafe_code)] // calls the tests' own C code

use std::ffi::c_void;

use support::{Library, Request, capture, compile, hex};

mod support;

/// Places that a trail holds.
const MOST_PLACES: usize = 64;

/// Walks of at most `limit` frames: how many there were, how many went beyond what a trail holds, and how many stacks were
/// recalled.
struct Wanderer {
    request: Request,
    limit: usize,
    deep: usize,
    recalled: usize,
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
    wanderer.deep += usize::from(seen.frames.len() > MOST_PLACES);
    wanderer.recalled += seen.recalled;
    wanderer.all += 1;
}

#[test]
fn whatever_way_the_stack_goes() {
    type Wander = extern "C" fn(i32, i32, i32, i32, extern "C" fn(*mut c_void), *mut c_void);
    let library = Library::open(&compile("wander", include_str!("support/wander.c"), &[]));
    // SAFETY: the function's type.
    let wander = unsafe { std::mem::transmute::<usize, Wander>(library.symbol("wander")) };
    let mut recalled = 0;
    for (seed, deepest, far, limit) in
        [(1, 6, 0, 256), (2, 12, 0, 256), (3, 6, 0, 256), (4, 100, 1, 256), (5, 100, 0, 70), (6, 20, 0, 20)]
    {
        let mut wanderer = Wanderer { request: Request::new(limit), limit, deep: 0, recalled: 0, all: 0 };
        wander(seed, deepest, far, 5000, check, (&raw mut wanderer).cast());
        assert_eq!(wanderer.all, 5000);
        recalled += wanderer.recalled;
        assert!(far == 0 || wanderer.deep > 1000, "stacks beyond what a trail has: {}", wanderer.deep);
    }
    // Not where a frame is found through memory, nor where stacks are cut.
    assert!(recalled > 5_000, "{recalled}");
}
