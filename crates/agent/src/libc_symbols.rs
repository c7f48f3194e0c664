//! The few libc functions the agent calls, found through weak symbols so that the shim links no library.
#![allow(unsafe_code)] // C functions

use crate::machine::weak;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};

const RTLD_LAZY: c_int = 1;
const RTLD_NOLOAD: c_int = 4;
const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;

type Dlopen = extern "C" fn(*const c_char, c_int) -> *mut c_void;
type Dlsym = extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// `dlsym(RTLD_NEXT, name)`; null if there is none.
pub(crate) fn next_symbol(name: &CStr) -> *mut c_void {
    symbol_of(RTLD_NEXT, name)
}

/// `dlsym` in a library, if that is loaded; null if it is not. Takes the dynamic linker's lock: not in hooks.
pub(crate) fn loaded_symbol(library: &CStr, name: &CStr) -> *mut c_void {
    let dlopen = weak!("dlopen");
    if dlopen.is_null() {
        return core::ptr::null_mut();
    }
    // SAFETY: the symbol is dlopen's, with dlopen's signature.
    let dlopen: Dlopen = unsafe { core::mem::transmute(dlopen) };
    let handle = dlopen(library.as_ptr(), RTLD_LAZY | RTLD_NOLOAD);
    if handle.is_null() { handle } else { symbol_of(handle, name) }
}

fn symbol_of(handle: *mut c_void, name: &CStr) -> *mut c_void {
    let mut dlsym = weak!("dlsym");
    if dlsym.is_null() {
        dlsym = dlsym_of_libdl();
    }
    if dlsym.is_null() {
        return dlsym;
    }
    // SAFETY: the symbol is dlsym's, with dlsym's signature.
    let dlsym: Dlsym = unsafe { core::mem::transmute(dlsym) };
    dlsym(handle, name.as_ptr())
}

/// dlsym of a program that is not linked with libdl, where that is a library of its own (glibc before 2.34): libc
/// has an entry of its own to the loader, for its plug-ins. Null where there is none.
fn dlsym_of_libdl() -> *mut c_void {
    static FOUND: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
    /// The flag by which libc's own calls are told from the program's.
    const RTLD_DLOPEN: c_int = -0x8000_0000;
    let found = FOUND.load(Ordering::Relaxed);
    let (open, symbol) = (weak!("__libc_dlopen_mode"), weak!("__libc_dlsym"));
    if !found.is_null() || open.is_null() || symbol.is_null() {
        return found;
    }
    // SAFETY: the symbol is that function, with its signature.
    let open: Dlopen = unsafe { core::mem::transmute(open) };
    // SAFETY: likewise.
    let symbol: Dlsym = unsafe { core::mem::transmute(symbol) };
    let libdl = open(c"libdl.so.2".as_ptr(), RTLD_LAZY | RTLD_DLOPEN);
    if !libdl.is_null() {
        FOUND.store(symbol(libdl, c"dlsym".as_ptr()), Ordering::Relaxed);
    }
    FOUND.load(Ordering::Relaxed)
}

/// The address at which the file begins that holds this address. Takes the dynamic linker's lock: not in hooks.
pub(crate) fn file_of(address: *mut c_void) -> Option<usize> {
    /// `Dl_info`: path and first address of the file, name and address of the nearest symbol.
    #[repr(C)]
    struct Information {
        path: *const c_char,
        start: usize,
        name: *const c_char,
        address: usize,
    }
    let dladdr = weak!("dladdr");
    if dladdr.is_null() {
        return leakscope_unwind::find_module(address as usize).map(|module| module.start);
    }
    // SAFETY: the symbol is dladdr's, with its signature.
    let dladdr: extern "C" fn(*mut c_void, *mut Information) -> c_int = unsafe { core::mem::transmute(dladdr) };
    let mut found = Information { path: core::ptr::null(), start: 0, name: core::ptr::null(), address: 0 };
    (!address.is_null() && dladdr(address, &mut found) != 0).then_some(found.start)
}

/// libc's own malloc, free, calloc, realloc and memalign, for programs without any dlsym; null in musl.
pub(crate) fn libc_malloc_family() -> [*mut c_void; 5] {
    [
        weak!("__libc_malloc"),
        weak!("__libc_free"),
        weak!("__libc_calloc"),
        weak!("__libc_realloc"),
        weak!("__libc_memalign"),
    ]
}

/// The address of the calling thread's errno; null where libc has none.
fn errno_location() -> *mut c_int {
    let location = weak!("__errno_location");
    if location.is_null() {
        return core::ptr::null_mut();
    }
    // SAFETY: the symbol is __errno_location's, with its signature.
    let location: extern "C" fn() -> *mut c_int = unsafe { core::mem::transmute(location) };
    location()
}

/// Keeps errno as it was for whoever called us.
pub(crate) struct KeepErrno {
    location: *mut c_int,
    value: c_int,
}

impl KeepErrno {
    pub(crate) fn new() -> Self {
        let location = errno_location();
        // SAFETY: libc's own address of this thread's errno, or null, which is checked.
        let value = if location.is_null() { 0 } else { unsafe { *location } };
        Self { location, value }
    }
}

impl Drop for KeepErrno {
    fn drop(&mut self) {
        if !self.location.is_null() {
            // SAFETY: as in `new`.
            unsafe { *self.location = self.value };
        }
    }
}

/// Sets errno.
pub(crate) fn set_errno(value: c_int) {
    let location = errno_location();
    if !location.is_null() {
        // SAFETY: libc's own address of this thread's errno.
        unsafe { *location = value };
    }
}

/// Milliseconds of the coarse monotonic clock, through libc's vDSO call: no system call, resolution 1-10 ms.
pub(crate) fn now_ms() -> u64 {
    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanoseconds: i64,
    }
    const CLOCK_MONOTONIC_COARSE: c_int = 6;
    let clock = weak!("clock_gettime");
    if clock.is_null() {
        return 0;
    }
    // SAFETY: the symbol is clock_gettime's, with its signature.
    let clock: extern "C" fn(c_int, *mut Timespec) -> c_int = unsafe { core::mem::transmute(clock) };
    let mut now = Timespec { seconds: 0, nanoseconds: 0 };
    clock(CLOCK_MONOTONIC_COARSE, &mut now);
    (now.seconds as u64).wrapping_mul(1000).wrapping_add(now.nanoseconds as u64 / 1_000_000)
}

/// Calls `visit` with each `NAME=value` of the environment until it returns true.
pub(crate) fn find_in_environment(mut visit: impl FnMut(&[u8]) -> bool) {
    let environ: *mut *const *const c_char = weak!("environ").cast();
    if environ.is_null() {
        return;
    }
    // SAFETY: libc's `environ`: a null-terminated array of strings (or null), not changed by anyone while the
    // constructors run on the only thread.
    unsafe {
        let mut entry = *environ;
        while !entry.is_null() && !(*entry).is_null() {
            if visit(CStr::from_ptr(*entry).to_bytes()) {
                return;
            }
            entry = entry.add(1);
        }
    }
}

/// Has libc run a function in each child that it forks, before fork returns there; not in one by vfork or `_Fork`.
pub(crate) fn run_in_forked_children(run: extern "C" fn()) {
    type Handler = Option<extern "C" fn()>;
    type Register = extern "C" fn(Handler, Handler, Handler, *mut c_void) -> c_int;
    type AtFork = extern "C" fn(Handler, Handler, Handler) -> c_int;
    let (register, at_fork) = (weak!("__register_atfork"), weak!("pthread_atfork"));
    // SAFETY: the symbols are those functions, with their signatures: glibc's, of which pthread_atfork is no symbol of the
    // library, and musl's. A null handle is the program's: it is never unregistered. A failure means a child less.
    unsafe {
        if !register.is_null() {
            core::mem::transmute::<*mut c_void, Register>(register)(None, None, Some(run), core::ptr::null_mut());
        } else if !at_fork.is_null() {
            core::mem::transmute::<*mut c_void, AtFork>(at_fork)(None, None, Some(run));
        }
    }
}

/// The calling thread's kernel id as libc noted it when it made the thread, or when it forked the process: without a
/// system call. `None` where libc does not tell.
pub(crate) fn thread_id_of_libc() -> Option<u32> {
    type Current = extern "C" fn() -> usize;
    type GetClock = extern "C" fn(usize, *mut c_int) -> c_int;
    let (current, get_clock) = (weak!("pthread_self"), weak!("pthread_getcpuclockid"));
    if current.is_null() || get_clock.is_null() {
        return None;
    }
    let mut clock = 0;
    // SAFETY: the symbols are those functions, with their signatures.
    let given = unsafe {
        let current = core::mem::transmute::<*mut c_void, Current>(current);
        core::mem::transmute::<*mut c_void, GetClock>(get_clock)(current(), &mut clock)
    };
    // The kernel's clocks of threads: the id, inverted, above three bits.
    (given == 0).then_some(!(clock >> 3) as u32)
}

/// What libc does when the last thread of a process ends: `exit(0)`.
pub(crate) fn exit_as_last_thread() {
    let exit = weak!("exit");
    if !exit.is_null() {
        // SAFETY: the symbol is exit's, with its signature.
        let exit: extern "C" fn(c_int) -> ! = unsafe { core::mem::transmute(exit) };
        exit(0);
    }
}

/// The attributes of a thread, as glibc and musl lay them out (56 bytes on x86-64), with room to spare.
#[repr(C, align(16))]
struct ThreadAttributes([u8; 128]);

/// The stack of a thread that is to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NewStack {
    /// Its bytes; 0 where the program provides the stack itself, whose memory is recorded as whatever it is, or where
    /// libc does not tell.
    pub bytes: usize,
    /// Its lowest address, where the program provides it; else 0.
    pub given_at: usize,
}

/// The stack of a thread that is created with these attributes.
pub(crate) fn new_stack(attributes: *const c_void) -> NewStack {
    type Init = extern "C" fn(*mut ThreadAttributes) -> c_int;
    type GetSize = extern "C" fn(*const c_void, *mut usize) -> c_int;
    type GetStack = extern "C" fn(*const c_void, *mut usize, *mut usize) -> c_int;
    let (init, get_size, get_stack) =
        (weak!("pthread_attr_init"), weak!("pthread_attr_getstacksize"), weak!("pthread_attr_getstack"));
    if init.is_null() || get_size.is_null() || get_stack.is_null() {
        return NewStack::default();
    }
    // SAFETY: the symbols are those functions, with their signatures; fresh attributes have room for either libc, and
    // hold no memory in either.
    unsafe {
        let get_size = core::mem::transmute::<*mut c_void, GetSize>(get_size);
        let (mut address, mut size) = (0, 0);
        if attributes.is_null() {
            let mut fresh = ThreadAttributes([0; 128]);
            core::mem::transmute::<*mut c_void, Init>(init)(&mut fresh);
            get_size((&raw const fresh).cast(), &mut size);
            return NewStack { bytes: size, given_at: 0 };
        }
        let given = core::mem::transmute::<*mut c_void, GetStack>(get_stack)(attributes, &mut address, &mut size);
        // glibc answers the same without a stack: one that ends at address 0.
        if given == 0 && address.wrapping_add(size) != 0 {
            return NewStack { bytes: 0, given_at: address };
        }
        get_size(attributes, &mut size);
        NewStack { bytes: size, given_at: 0 }
    }
}

/// The function that a thread runs.
pub type StartRoutine = Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>;

/// Signature of `pthread_create`.
pub type PthreadCreate = unsafe extern "C" fn(*mut usize, *const c_void, StartRoutine, *mut c_void) -> c_int;

/// Starts a detached thread with a stack of `stack_bytes`; false if that fails.
pub(crate) fn start_thread(
    create: PthreadCreate,
    stack_bytes: usize,
    body: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
) -> bool {
    type Init = extern "C" fn(*mut ThreadAttributes) -> c_int;
    type SetSize = extern "C" fn(*mut ThreadAttributes, usize) -> c_int;
    type SetDetach = extern "C" fn(*mut ThreadAttributes, c_int) -> c_int;
    const PTHREAD_CREATE_DETACHED: c_int = 1;
    let init = weak!("pthread_attr_init");
    let set_size = weak!("pthread_attr_setstacksize");
    let set_detach = weak!("pthread_attr_setdetachstate");
    if init.is_null() || set_size.is_null() || set_detach.is_null() {
        return false;
    }
    let mut attributes = ThreadAttributes([0; 128]);
    // SAFETY: the symbols are those functions, with their signatures; the attributes have room for either libc.
    unsafe {
        core::mem::transmute::<*mut c_void, Init>(init)(&mut attributes);
        core::mem::transmute::<*mut c_void, SetSize>(set_size)(&mut attributes, stack_bytes);
        core::mem::transmute::<*mut c_void, SetDetach>(set_detach)(&mut attributes, PTHREAD_CREATE_DETACHED);
        let mut thread = 0;
        create(&mut thread, (&raw const attributes).cast(), Some(body), core::ptr::null_mut()) == 0
    }
}
