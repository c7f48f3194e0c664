//! Walks compared, frame by frame, with those of libgcc's unwinder, for both sources of modules.

#![allow(unsafe_code)] // calls the C library's qsort and the tests' own C code

use std::ffi::c_void;
use std::sync::{Barrier, LazyLock};

use leakscope_unwind::{End, ModuleSource, Refresh, refresh_modules};
use support::{Capture, Library, Request, capture, compile, hex};

mod support;

static NESTED: LazyLock<Library> = LazyLock::new(|| {
    let library = Library::open(&compile("nested", include_str!("support/nested.c"), &["-pthread"]));
    assert!(matches!(refresh_modules(), Refresh::Done { modules: 4.., dropped: 0 }));
    library
});

/// Runs one C function with each source of modules.
fn each_source(function: &str, depth: i32, limit: usize, mut check: impl FnMut(Capture)) {
    let library = &*NESTED;
    assert_eq!(ModuleSource::current(), ModuleSource::Loader, "these tests expect glibc 2.35 or later");
    for source in [ModuleSource::Loader, ModuleSource::Snapshot] {
        let mut request = Request::with_source(limit, source);
        library.call(function, depth, &mut request);
        check(request.finish());
    }
}

#[test]
fn nested_calls_of_rust_code() {
    #[inline(never)]
    fn down(depth: usize, request: &mut Request) {
        match depth {
            0 => capture(request.as_argument()),
            _ => down(depth - 1, request),
        }
        std::hint::black_box(depth);
    }
    let mut request = Request::new(256);
    down(20, &mut request);
    let capture = request.finish();
    capture.assert_complete();
    assert!(capture.frames.len() > 22);
}

#[test]
fn qsort_of_the_c_library_calls_back() {
    extern "C" fn compare(left: *const c_void, _right: *const c_void) -> i32 {
        // SAFETY: the elements hold pointers to requests.
        let request = unsafe { &mut **left.cast::<*mut Request>() };
        if request.finished() {
            return 0;
        }
        capture(request.as_argument());
        std::hint::black_box(0)
    }
    let mut request = Request::new(256);
    let mut elements = [&raw mut request; 4];
    // SAFETY: four elements of this size, and a comparison of the right type.
    unsafe { libc::qsort(elements.as_mut_ptr().cast(), 4, size_of::<*mut Request>(), Some(compare)) };
    request.finish().assert_complete();
}

#[test]
fn c_code_without_frame_pointers_through_ten_qsorts() {
    each_source("recurse_through_qsort", 10, 256, |capture| {
        capture.assert_complete();
        assert!(capture.frames.len() > 30, "{:?}", hex(&capture.frames));
    });
}

#[test]
fn realigned_and_dynamic_frames() {
    for depth in 0..6 {
        each_source("every_shape", depth, 256, |capture| capture.assert_complete());
    }
}

#[test]
fn a_frame_of_more_than_a_mebibyte() {
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    thread.spawn(|| each_source("large_frame", 0, 256, |capture| capture.assert_complete())).unwrap().join().unwrap();
}

#[test]
fn rbp_as_a_general_register() {
    each_source("busy_registers", 7, 256, |capture| capture.assert_complete());
}

#[test]
fn deep_recursion_ends_at_the_limit() {
    each_source("recurse", 500, 1024, |capture| {
        capture.assert_complete();
        assert!(capture.frames.len() > 500);
    });
    each_source("recurse", 500, 64, |capture| {
        assert_eq!((capture.walk.frames, capture.walk.end), (64, End::DepthLimit));
        assert!(capture.walk.is_truncated());
        assert_eq!(hex(&capture.frames), hex(&capture.oracle[..64]));
    });
}

#[test]
fn a_limit_of_exactly_the_depth_is_no_truncation() {
    let walk = |limit| {
        let mut request = Request::new(limit);
        NESTED.call("recurse", 5, &mut request);
        request.finish()
    };
    let depth = walk(256).frames.len();
    walk(depth).assert_complete();
    assert_eq!(walk(depth - 1).walk.end, End::DepthLimit);
    let nothing = walk(0).walk;
    assert_eq!((nothing.frames, nothing.end), (0, End::DepthLimit));
}

#[test]
fn many_threads_walk_at_once() {
    const THREADS: usize = 8;
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let start = &start;
            scope.spawn(move || {
                let library = &*NESTED;
                start.wait();
                for round in 0..50 {
                    let mut request = Request::new(256);
                    let function = ["every_shape", "recurse", "busy_registers"][(thread + round) % 3];
                    library.call(function, (round % 7) as i32, &mut request);
                    request.finish().assert_complete();
                }
            });
        }
    });
}

#[test]
fn walks_go_on_while_the_snapshot_is_refreshed() {
    let library = &*NESTED;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_ne!(refresh_modules(), Refresh::Failed);
                }
            });
        }
        for _ in 0..200 {
            let mut request = Request::with_source(256, ModuleSource::Snapshot);
            library.call("recurse", 9, &mut request);
            let seen = request.finish();
            assert_eq!(hex(&seen.frames), hex(&seen.oracle[..seen.frames.len()]));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
