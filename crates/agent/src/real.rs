//! The real functions, found behind us in the search order (`RTLD_NEXT`), so that a preloaded jemalloc or tcmalloc
//! keeps working.
//!
//! Each pointer starts at a bootstrap function, so a call needs no null test. Calls that come while the functions are
//! being looked for (dlsym itself may call calloc) are served from the early arena. A function that the program's
//! allocator does not have is replaced by what it means in terms of those it has.
#![allow(unsafe_code)] // calls through pointers that dlsym gave

use crate::arena::Arena;
use crate::libc_symbols::{PthreadCreate, libc_malloc_family, loaded_symbol, next_symbol};
use crate::recorder::FILTER;
use core::ffi::{CStr, c_int, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Blocks handed out before the real functions were found.
pub static ARENA: Arena = Arena::new();

/// A pointer to a real function, or to its bootstrap.
pub type RealFunction = AtomicPtr<c_void>;

/// malloc.
pub static MALLOC: RealFunction = AtomicPtr::new(bootstrap_malloc as *mut c_void);
/// free.
pub static FREE: RealFunction = AtomicPtr::new(bootstrap_free as *mut c_void);
/// calloc.
pub static CALLOC: RealFunction = AtomicPtr::new(bootstrap_calloc as *mut c_void);
/// realloc.
pub static REALLOC: RealFunction = AtomicPtr::new(bootstrap_realloc as *mut c_void);
/// memalign.
pub static MEMALIGN: RealFunction = AtomicPtr::new(bootstrap_memalign as *mut c_void);
/// posix_memalign.
pub static POSIX_MEMALIGN: RealFunction = AtomicPtr::new(bootstrap_posix_memalign as *mut c_void);
/// aligned_alloc.
pub static ALIGNED_ALLOC: RealFunction = AtomicPtr::new(bootstrap_memalign as *mut c_void);
/// valloc.
pub static VALLOC: RealFunction = AtomicPtr::new(fallback_valloc as *mut c_void);
/// pvalloc.
pub static PVALLOC: RealFunction = AtomicPtr::new(fallback_pvalloc as *mut c_void);
/// malloc_usable_size.
pub static USABLE_SIZE: RealFunction = AtomicPtr::new(bootstrap_usable_size as *mut c_void);
/// free_sized.
pub static FREE_SIZED: RealFunction = AtomicPtr::new(fallback_free_sized as *mut c_void);
/// free_aligned_sized.
pub static FREE_ALIGNED_SIZED: RealFunction = AtomicPtr::new(fallback_free_aligned_sized as *mut c_void);
/// pthread_create.
pub static PTHREAD_CREATE: RealFunction = AtomicPtr::new(bootstrap_pthread_create as *mut c_void);

/// mmap, which is also mmap64.
pub static MMAP: RealFunction = AtomicPtr::new(crate::real_map::bootstrap_mmap as *mut c_void);
/// munmap.
pub static MUNMAP: RealFunction = AtomicPtr::new(crate::real_map::bootstrap_munmap as *mut c_void);
/// mremap.
pub static MREMAP: RealFunction = AtomicPtr::new(crate::real_map::bootstrap_mremap as *mut c_void);
/// shmat.
pub static SHMAT: RealFunction = AtomicPtr::new(crate::real_map::bootstrap_shmat as *mut c_void);
/// shmdt.
pub static SHMDT: RealFunction = AtomicPtr::new(crate::real_map::bootstrap_shmdt as *mut c_void);
/// mlockall.
pub static MLOCKALL: RealFunction = AtomicPtr::new(crate::real_map::bootstrap_mlockall as *mut c_void);

const UNKNOWN: u32 = 0;
const LOOKING: u32 = 1;
const KNOWN: u32 = 2;
static STATE: AtomicU32 = AtomicU32::new(UNKNOWN);

/// Looks for the real functions once; false while that is under way (by this thread, further up its stack).
pub fn resolve() -> bool {
    match STATE.compare_exchange(UNKNOWN, LOOKING, Ordering::Acquire, Ordering::Acquire) {
        Ok(_) => {}
        Err(state) => return state == KNOWN,
    }
    let wanted: [(&RealFunction, &CStr); 19] = [
        (&CALLOC, c"calloc"),
        (&MALLOC, c"malloc"),
        (&FREE, c"free"),
        (&REALLOC, c"realloc"),
        (&MEMALIGN, c"memalign"),
        (&POSIX_MEMALIGN, c"posix_memalign"),
        (&ALIGNED_ALLOC, c"aligned_alloc"),
        (&VALLOC, c"valloc"),
        (&PVALLOC, c"pvalloc"),
        (&USABLE_SIZE, c"malloc_usable_size"),
        (&FREE_SIZED, c"free_sized"),
        (&FREE_ALIGNED_SIZED, c"free_aligned_sized"),
        (&PTHREAD_CREATE, c"pthread_create"),
        (&MMAP, c"mmap"),
        (&MUNMAP, c"munmap"),
        (&MREMAP, c"mremap"),
        (&SHMAT, c"shmat"),
        (&SHMDT, c"shmdt"),
        (&MLOCKALL, c"mlockall"),
    ];
    for (function, name) in wanted {
        set(function, next_symbol(name));
    }
    if MALLOC.load(Ordering::Relaxed) == bootstrap_malloc as *mut c_void {
        let functions = [&MALLOC, &FREE, &CALLOC, &REALLOC, &MEMALIGN];
        functions.into_iter().zip(libc_malloc_family()).for_each(|(function, found)| set(function, found));
    }
    crate::comes_back::find();
    crate::operators::resolve();
    STATE.store(KNOWN, Ordering::Release);
    true
}

/// Whether the real functions were found. Does not look for them: dlsym allocates, and an allocator that comes before us
/// may be inside its own lock (jemalloc maps memory while it starts, and deadlocked).
pub fn resolved() -> bool {
    STATE.load(Ordering::Acquire) == KNOWN
}

fn set(function: &RealFunction, found: *mut c_void) {
    if !found.is_null() {
        function.store(found, Ordering::Release);
    }
}

/// A block from the early arena, marked in the filter for ever so that its free asks who owns it.
fn early(size: usize, align: usize) -> *mut c_void {
    let block = ARENA.allocate(size, align);
    if !block.is_null() {
        FILTER.hold_for_ever(block as usize);
    }
    block.cast()
}

type Malloc = unsafe extern "C" fn(usize) -> *mut c_void;
type Two = unsafe extern "C" fn(usize, usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);
type Realloc = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
type PosixMemalign = unsafe extern "C" fn(*mut *mut c_void, usize, usize) -> c_int;

/// Calls the real malloc.
#[inline(always)]
pub fn malloc(size: usize) -> *mut c_void {
    // SAFETY: the pointer is that function's, or its bootstrap's, of the same signature. So in all callers below.
    unsafe { transmute::<*mut c_void, Malloc>(MALLOC.load(Ordering::Relaxed))(size) }
}

/// Calls the real free.
///
/// # Safety
/// As free.
#[inline(always)]
pub unsafe fn free(address: *mut c_void) {
    // SAFETY: as in `malloc`; the address is the caller's to free.
    unsafe { transmute::<*mut c_void, Free>(FREE.load(Ordering::Relaxed))(address) }
}

/// Calls a real function of two sizes: calloc, memalign, aligned_alloc.
pub fn call_two(function: &RealFunction, first: usize, second: usize) -> *mut c_void {
    // SAFETY: as in `malloc`.
    unsafe { transmute::<*mut c_void, Two>(function.load(Ordering::Relaxed))(first, second) }
}

/// Calls a real function of one size: malloc, valloc, pvalloc.
pub fn call_one(function: &RealFunction, size: usize) -> *mut c_void {
    // SAFETY: as in `malloc`.
    unsafe { transmute::<*mut c_void, Malloc>(function.load(Ordering::Relaxed))(size) }
}

/// Calls the real realloc.
///
/// # Safety
/// As realloc.
pub unsafe fn realloc(address: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: as in `malloc`; the address is the caller's to reallocate.
    unsafe { transmute::<*mut c_void, Realloc>(REALLOC.load(Ordering::Relaxed))(address, size) }
}

/// Calls the real posix_memalign.
///
/// # Safety
/// As posix_memalign: `out` must be writable.
pub unsafe fn posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    // SAFETY: as in `malloc`; the place is the caller's.
    unsafe { transmute::<*mut c_void, PosixMemalign>(POSIX_MEMALIGN.load(Ordering::Relaxed))(out, align, size) }
}

/// Calls the real malloc_usable_size, or knows the size of an early block.
///
/// # Safety
/// As malloc_usable_size.
pub unsafe fn usable_size(address: *mut c_void) -> usize {
    if ARENA.owns(address as usize) {
        return ARENA.size_of(address as usize);
    }
    type UsableSize = unsafe extern "C" fn(*mut c_void) -> usize;
    // SAFETY: as in `malloc`; the block is the caller's.
    unsafe { transmute::<*mut c_void, UsableSize>(USABLE_SIZE.load(Ordering::Relaxed))(address) }
}

/// Calls the real free_sized, or free where there is none.
///
/// # Safety
/// As free_sized.
pub unsafe fn free_sized(address: *mut c_void, size: usize) {
    type FreeSized = unsafe extern "C" fn(*mut c_void, usize);
    // SAFETY: as in `malloc`; the block is the caller's.
    unsafe { transmute::<*mut c_void, FreeSized>(FREE_SIZED.load(Ordering::Relaxed))(address, size) }
}

/// Calls the real free_aligned_sized, or free where there is none.
///
/// # Safety
/// As free_aligned_sized.
pub unsafe fn free_aligned_sized(address: *mut c_void, align: usize, size: usize) {
    type FreeAlignedSized = unsafe extern "C" fn(*mut c_void, usize, usize);
    // SAFETY: as in `malloc`; the block is the caller's.
    unsafe {
        transmute::<*mut c_void, FreeAlignedSized>(FREE_ALIGNED_SIZED.load(Ordering::Relaxed))(address, align, size)
    }
}

/// What an allocation call answers to a size that overflows: null and ENOMEM.
pub fn out_of_memory() -> *mut c_void {
    const ENOMEM: c_int = 12;
    crate::libc_symbols::set_errno(ENOMEM);
    core::ptr::null_mut()
}

/// The real pthread_create. Before glibc 2.34 it lies in a library of its own, which a plug-in may have loaded only
/// now, and out of the reach of `RTLD_NEXT`: so it is looked for again until it is found.
pub fn pthread_create() -> PthreadCreate {
    resolve();
    let is_unknown = || PTHREAD_CREATE.load(Ordering::Relaxed) == bootstrap_pthread_create as *mut c_void;
    if is_unknown() {
        set(&PTHREAD_CREATE, next_symbol(c"pthread_create"));
    }
    if is_unknown() {
        set(&PTHREAD_CREATE, loaded_symbol(c"libpthread.so.0", c"pthread_create"));
    }
    // SAFETY: the pointer is pthread_create's, or its bootstrap's, of the same signature.
    unsafe { transmute::<*mut c_void, PthreadCreate>(PTHREAD_CREATE.load(Ordering::Relaxed)) }
}

unsafe extern "C" fn bootstrap_malloc(size: usize) -> *mut c_void {
    if resolve() { found(&MALLOC, bootstrap_malloc as *mut c_void, |f| call_one(f, size)) } else { early(size, 16) }
}

unsafe extern "C" fn bootstrap_calloc(count: usize, size: usize) -> *mut c_void {
    if resolve() {
        found(&CALLOC, bootstrap_calloc as *mut c_void, |f| call_two(f, count, size))
    } else {
        count.checked_mul(size).map_or(core::ptr::null_mut(), |bytes| early(bytes, 16))
    }
}

unsafe extern "C" fn bootstrap_memalign(align: usize, size: usize) -> *mut c_void {
    if resolve() {
        found(&MEMALIGN, bootstrap_memalign as *mut c_void, |f| call_two(f, align, size))
    } else if align.is_power_of_two() {
        early(size, align)
    } else {
        core::ptr::null_mut()
    }
}

unsafe extern "C" fn bootstrap_realloc(address: *mut c_void, size: usize) -> *mut c_void {
    if resolve() && REALLOC.load(Ordering::Relaxed) != bootstrap_realloc as *mut c_void {
        // SAFETY: passed on to our caller.
        return unsafe { realloc(address, size) };
    }
    let block = early(size, 16);
    if !block.is_null() && ARENA.owns(address as usize) {
        let bytes = ARENA.size_of(address as usize).min(size);
        // SAFETY: both blocks are the arena's, of at least `bytes`, and apart.
        unsafe { core::ptr::copy_nonoverlapping(address.cast::<u8>(), block.cast::<u8>(), bytes) };
    }
    block
}

unsafe extern "C" fn bootstrap_free(address: *mut c_void) {
    if resolve() && FREE.load(Ordering::Relaxed) != bootstrap_free as *mut c_void {
        // SAFETY: passed on to our caller.
        unsafe { free(address) }
    }
}

unsafe extern "C" fn bootstrap_posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    const ENOMEM: c_int = 12;
    const EINVAL: c_int = 22;
    let is_known = resolve();
    if is_known && POSIX_MEMALIGN.load(Ordering::Relaxed) != bootstrap_posix_memalign as *mut c_void {
        // SAFETY: passed on to our caller.
        return unsafe { posix_memalign(out, align, size) };
    }
    if !align.is_power_of_two() || align < size_of::<usize>() {
        return EINVAL;
    }
    let block = if is_known { call_two(&MEMALIGN, align, size) } else { early(size, align) };
    if block.is_null() {
        return ENOMEM;
    }
    // SAFETY: the place is the caller's.
    unsafe { *out = block };
    0
}

unsafe extern "C" fn bootstrap_usable_size(address: *mut c_void) -> usize {
    if resolve() && USABLE_SIZE.load(Ordering::Relaxed) != bootstrap_usable_size as *mut c_void {
        // SAFETY: passed on to our caller.
        return unsafe { usable_size(address) };
    }
    0
}

unsafe extern "C" fn bootstrap_pthread_create(
    _thread: *mut usize,
    _attributes: *const c_void,
    _body: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
    _argument: *mut c_void,
) -> c_int {
    const EAGAIN: c_int = 11;
    EAGAIN
}

unsafe extern "C" fn fallback_valloc(size: usize) -> *mut c_void {
    call_two(&MEMALIGN, 4096, size)
}

unsafe extern "C" fn fallback_pvalloc(size: usize) -> *mut c_void {
    size.checked_next_multiple_of(4096).map_or(core::ptr::null_mut(), |size| call_two(&MEMALIGN, 4096, size))
}

unsafe extern "C" fn fallback_free_sized(address: *mut c_void, _size: usize) {
    // SAFETY: passed on to our caller.
    unsafe { program_free(address) }
}

unsafe extern "C" fn fallback_free_aligned_sized(address: *mut c_void, _align: usize, _size: usize) {
    // SAFETY: passed on to our caller.
    unsafe { program_free(address) }
}

/// Calls `free` as the program sees it: ours, unless the program brings its own malloc. It rarely brings free_sized
/// too, so the block may be of either.
unsafe fn program_free(address: *mut c_void) {
    let free = crate::machine::program!("free");
    // SAFETY: the symbol is free's, with its signature; the block is our caller's to free.
    unsafe { transmute::<*mut c_void, Free>(free)(address) }
}

/// Calls a function that has been looked for; null where it still is its own bootstrap (there is none).
fn found(
    function: &RealFunction,
    bootstrap: *mut c_void,
    call: impl FnOnce(&RealFunction) -> *mut c_void,
) -> *mut c_void {
    if function.load(Ordering::Relaxed) == bootstrap { core::ptr::null_mut() } else { call(function) }
}
