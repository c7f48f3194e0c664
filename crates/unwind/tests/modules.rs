//! Which module an address is in: the two sources agree, closed libraries are forgotten, JIT code ends a walk.

#![allow(unsafe_code)] // maps code pages and opens libraries

use std::ffi::c_void;
use std::os::unix::ffi::OsStrExt;

use leakscope_unwind::{End, ModuleSource, find_module, note_main_stack, refresh_modules};
use support::{Library, Request, capture, compile, hex};

mod support;

/// Tests that open, close and list libraries do not run at the same time.
static LIBRARIES: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn path(pc: usize, source: ModuleSource) -> Vec<u8> {
    let mut path = [0; 512];
    let length = source.find(pc).unwrap().copy_path(&mut path);
    path[..length].to_vec()
}

#[test]
fn both_sources_agree_on_every_module() {
    let _alone = LIBRARIES.lock();
    refresh_modules();
    assert!(note_main_stack());
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut compared = 0;
    for line in maps.lines().filter(|line| line.contains(" r-xp ") && line.contains('/')) {
        let pc = usize::from_str_radix(line.split('-').next().unwrap(), 16).unwrap() + 16;
        let (loader, snapshot) = (find_module(pc).unwrap(), ModuleSource::Snapshot.find(pc).unwrap());
        assert_eq!((loader.start, loader.bias), (snapshot.start, snapshot.bias), "{line}");
        assert_eq!(loader.eh_frame_hdr, snapshot.eh_frame_hdr, "{line}");
        assert!(loader.contains(pc) && snapshot.contains(pc), "{line}");
        let file = &line.as_bytes()[line.find('/').unwrap()..];
        assert_eq!(path(pc, ModuleSource::Snapshot), file);
        let loaders = path(pc, ModuleSource::Loader);
        let named = std::fs::canonicalize(std::ffi::OsStr::from_bytes(&loaders));
        assert!(loaders.is_empty() || named.is_ok_and(|path| path.as_os_str().as_bytes() == file), "{line}");
        compared += 1;
    }
    println!("{compared} modules compared");
    assert!(compared >= 3);
}

#[test]
fn a_path_is_cut_to_the_room_there_is() {
    let _alone = LIBRARIES.lock();
    refresh_modules();
    let pc = libc::qsort as *const () as usize;
    for source in [ModuleSource::Loader, ModuleSource::Snapshot] {
        let whole = path(pc, source);
        let mut room = [0xff; 5];
        assert_eq!(source.find(pc).unwrap().copy_path(&mut room), 5);
        assert_eq!(room, whole[..5]);
        assert_eq!(source.find(pc).unwrap().copy_path(&mut []), 0);
    }
}

#[test]
fn heap_stack_and_nowhere_are_in_no_module() {
    let heap = Box::new(1);
    for address in [0, 1, usize::MAX, &raw const *heap as usize, &raw const heap as usize] {
        assert!(find_module(address).is_none(), "{address:#x}");
        assert!(ModuleSource::Snapshot.find(address).is_none(), "{address:#x}");
    }
}

/// Libraries of the same layout, with frames of different sizes at the same pcs.
#[test]
fn another_library_at_the_same_address_is_walked_by_its_own_rules() {
    let _alone = LIBRARIES.lock();
    let source = |room: usize| {
        format!(
            "void entry(int depth, void (*callback)(void *), void *argument) {{
                 volatile char room[{room}];
                 room[0] = 1;
                 if (depth) entry(depth - 1, callback, argument); else callback(argument);
                 room[1] = 2;
             }}"
        )
    };
    let rooms = [40, 56, 72, 88, 104];
    let files = rooms.map(|room| compile(&format!("same{room:03}"), &source(room), &[]));
    let mut reused = 0;
    let mut last = 0;
    for round in 0..40 {
        let library = Library::open(&files[round % files.len()]);
        let entry = library.symbol("entry");
        reused += usize::from(entry == last);
        last = entry;
        refresh_modules();
        for source in [ModuleSource::Loader, ModuleSource::Snapshot] {
            let mut request = Request::with_source(256, source);
            library.call("entry", 3, &mut request);
            request.finish().assert_complete();
        }
    }
    println!("the same address in {reused} of 39 reloads");
    assert!(reused > 10, "the loader never used an address again: nothing was tested");
}

/// Without a refresh the snapshot still lists the closed library; it must not be believed.
#[test]
fn a_stale_snapshot_is_found_out() {
    let _alone = LIBRARIES.lock();
    let text = |room: usize| {
        format!(
            "void entry(int n, void (*f)(void *), void *p) {{ volatile char r[{room}]; r[0] = n; f(p); r[1] = 1; }}"
        )
    };
    // The old rule would lead astray: the second frame is larger.
    let (first, second) = (compile("stale1", &text(200), &[]), compile("stale2", &text(400), &[]));
    // A new thread of the harness may take the room of the closed library: then again.
    let library = (0..50).find_map(|_| {
        let library = Library::open(&first);
        let entry = library.symbol("entry");
        refresh_modules();
        drop(library);
        let library = Library::open(&second);
        (library.symbol("entry") == entry).then_some(library)
    });
    let library = library.expect("the loader never used the address again: nothing is tested");
    let mut request = Request::with_source(256, ModuleSource::Snapshot);
    library.call("entry", 0, &mut request);
    let seen = request.finish();
    assert_eq!(hex(&seen.frames[..2]), hex(&seen.oracle[..2]));
    // Past the frame of the unknown library only the frame pointer can lead, and that is admitted.
    assert!(seen.walk.end == End::NoRule || seen.walk.guessed, "{:?}", seen.walk);
    refresh_modules();
    let mut request = Request::with_source(256, ModuleSource::Snapshot);
    library.call("entry", 0, &mut request);
    request.finish().assert_complete();
}

/// A page of machine code that calls a function: what a JIT compiler's code looks like from below.
struct JitPage(*mut u8);

impl JitPage {
    /// `push rbp; mov rbp, rsp; mov rax, rdi; mov rdi, rsi; call rax; pop rbp; ret`
    const CODE: [u8; 14] = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0xff, 0xd0, 0x5d, 0xc3];
    /// Where the call returns to.
    const RETURN: usize = 12;

    fn new() -> JitPage {
        let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, and the code fits into it.
        unsafe {
            let page = libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0);
            assert_ne!(page, libc::MAP_FAILED);
            std::ptr::copy_nonoverlapping(Self::CODE.as_ptr(), page.cast(), Self::CODE.len());
            JitPage(page.cast())
        }
    }

    fn call(&self, function: extern "C" fn(*mut c_void), argument: *mut c_void) {
        type Code = extern "C" fn(extern "C" fn(*mut c_void), *mut c_void);
        // SAFETY: the page holds a function of this type.
        unsafe { std::mem::transmute::<*mut u8, Code>(self.0)(function, argument) }
    }
}

#[test]
fn a_walk_ends_where_jit_code_called() {
    let _alone = LIBRARIES.lock();
    refresh_modules();
    let page = JitPage::new();
    for source in [ModuleSource::Loader, ModuleSource::Snapshot] {
        let mut request = Request::with_source(256, source);
        page.call(capture, request.as_argument());
        let capture = request.finish();
        assert_eq!(capture.walk.end, End::LeftModules);
        assert!(!capture.walk.is_truncated());
        // Only the frame of `capture`; the page's pc, which the oracle saw next, is not written.
        assert_eq!(capture.walk.frames, 1);
        assert_eq!(capture.oracle.get(1), Some(&(page.0 as usize + JitPage::RETURN)));
    }
}
