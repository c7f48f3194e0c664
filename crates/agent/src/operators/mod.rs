//! C++'s `operator new` and `operator delete`, where an allocator brings its own.
//!
//! libstdc++'s call malloc and free, which the shim sees. jemalloc, tcmalloc and mimalloc define the operators as well,
//! and theirs call nothing: preloaded behind the shim, they would serve all of C++ unseen. So the shim exports the
//! operators, too, and each export jumps to what its slot holds:
//!
//! | the next definition in the search order | the slot holds | later look-ups find the export |
//! |---|---|---|
//! | in the same file as the real malloc | an entry that records, and calls that definition | yes |
//! | in another file (libstdc++, the program's own) | that definition itself | no: `hide` |
//! | nowhere | the fallback: malloc and free | no |
//!
//! Hiding keeps the shim out of programs that load C++ later: a library loaded without RTLD_GLOBAL may bring its own
//! operators, which no look-up of ours would find. Whatever was bound before has its definition in the global scope.
//!
//! The throwing forms are recorded by calling the nothrow one; if that fails, the export jumps to the throwing one as
//! if nothing had been. So no exception passes a frame of ours.
#![allow(unsafe_code)] // calls through pointers that dlsym gave, and changes this library's own symbol table

mod entries;

use crate::comes_back::is_beside_malloc;
use crate::kernel;
use crate::libc_symbols::next_symbol;
use crate::machine;
use crate::thread;
use core::ffi::{CStr, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// How many operators there are.
pub const OPERATORS: usize = 20;
/// Forms of `new` that throw, and as many that do not.
const THROWING: usize = 4;
/// The first form of `delete`.
const DELETE: usize = 8;
/// For each throwing `new`, the form of `delete` that undoes it.
const DELETES: [usize; THROWING] = [8, 9, 14, 15];

/// Their names for the linker. An operator is known by its place in this list: 0 to 3 throw, each has its nothrow form
/// four places behind it, and the rest are forms of `delete`.
const NAMES: [&CStr; OPERATORS] = [
    c"_Znwm",
    c"_Znam",
    c"_ZnwmSt11align_val_t",
    c"_ZnamSt11align_val_t",
    c"_ZnwmRKSt9nothrow_t",
    c"_ZnamRKSt9nothrow_t",
    c"_ZnwmSt11align_val_tRKSt9nothrow_t",
    c"_ZnamSt11align_val_tRKSt9nothrow_t",
    c"_ZdlPv",
    c"_ZdaPv",
    c"_ZdlPvm",
    c"_ZdaPvm",
    c"_ZdlPvRKSt9nothrow_t",
    c"_ZdaPvRKSt9nothrow_t",
    c"_ZdlPvSt11align_val_t",
    c"_ZdaPvSt11align_val_t",
    c"_ZdlPvmSt11align_val_t",
    c"_ZdaPvmSt11align_val_t",
    c"_ZdlPvSt11align_val_tRKSt9nothrow_t",
    c"_ZdaPvSt11align_val_tRKSt9nothrow_t",
];

/// Pointers to functions, by operator; null where there is none.
pub type Table = [AtomicPtr<c_void>; OPERATORS];

/// Where each export jumps to; null until that is known, and where nothing is.
pub static SLOTS: Table = [const { AtomicPtr::new(core::ptr::null_mut()) }; OPERATORS];
/// The definitions behind us.
pub static REALS: Table = [const { AtomicPtr::new(core::ptr::null_mut()) }; OPERATORS];

/// Fills the tables. Called once, when the real malloc is known.
pub(crate) fn resolve() {
    for (real, name) in REALS.iter().zip(NAMES) {
        real.store(next_symbol(name), Ordering::Relaxed);
    }
    let mut records = false;
    for (operator, ((slot, real), entry)) in SLOTS.iter().zip(&REALS).zip(entries::all()).enumerate() {
        let real = real.load(Ordering::Relaxed);
        let is_recorded = if operator < DELETE { is_recorded(operator % THROWING) } else { records };
        records |= is_recorded;
        // Release: the entry that records reads REALS.
        slot.store(if is_recorded && is_beside_malloc(real) { entry } else { real }, Ordering::Release);
    }
    if !records {
        hide();
    }
}

/// Whether both forms of a `new` are the allocator's own, and do not come to the shim by way of malloc.
fn is_recorded(form: usize) -> bool {
    const BYTES: usize = 64;
    let is_own = [form, THROWING + form].into_iter().all(|operator| is_beside_malloc(real(operator)));
    is_own
        && !thread::is_charged(|| {
            let block = new_nothrow(form, BYTES, BYTES);
            // SAFETY: the form of `delete` that belongs to this `new`.
            unsafe { delete(DELETES[form], block, BYTES, 0) }
        })
}

/// The definition behind us.
fn real(operator: usize) -> *mut c_void {
    REALS.get(operator).map_or(core::ptr::null_mut(), |real| real.load(Ordering::Relaxed))
}

/// Calls the real nothrow form of a `new`; null where there is none.
fn new_nothrow(operator: usize, size: usize, align: usize) -> *mut c_void {
    /// `std::nothrow`: an object of an empty class, whose address means nothing.
    static NOTHROW: u8 = 0;
    let tag = (&raw const NOTHROW) as usize;
    let form = operator % THROWING;
    let is_aligned = form >= 2;
    let (second, third) = if is_aligned { (align, tag) } else { (tag, 0) };
    type New = unsafe extern "C" fn(usize, usize, usize) -> *mut c_void;
    let function = real(THROWING + form);
    if function.is_null() {
        return function;
    }
    // SAFETY: the pointer is that form's; what it does not take, it does not look at.
    unsafe { transmute::<*mut c_void, New>(function)(size, second, third) }
}

/// Calls the real form of a `delete`.
///
/// # Safety
/// As that operator.
unsafe fn delete(operator: usize, address: *mut c_void, second: usize, third: usize) {
    type Delete = unsafe extern "C" fn(*mut c_void, usize, usize);
    let function = real(operator);
    if !function.is_null() {
        // SAFETY: the pointer is that form's; what it does not take, it does not look at.
        unsafe { transmute::<*mut c_void, Delete>(function)(address, second, third) }
    }
}

/// What the exports call where no definition is known: a program that only asks whether there is one, or a call while the
/// definitions are being looked for.
pub extern "C" fn fallback_new(size: usize) -> *mut c_void {
    let malloc = machine::program!("malloc");
    // SAFETY: the symbol is malloc's, with its signature.
    unsafe { transmute::<*mut c_void, extern "C" fn(usize) -> *mut c_void>(malloc)(size.max(1)) }
}

/// The same with an alignment.
pub extern "C" fn fallback_new_aligned(size: usize, align: usize) -> *mut c_void {
    let memalign = machine::program!("memalign");
    // SAFETY: the symbol is memalign's, with its signature.
    unsafe { transmute::<*mut c_void, extern "C" fn(usize, usize) -> *mut c_void>(memalign)(align, size.max(1)) }
}

/// Looks for the definitions, unless that is under way or done.
pub extern "C" fn look() {
    crate::real::resolve();
}

/// An entry of the symbol table.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: AtomicU64,
    size: u64,
}

/// Takes the value of our operators out of this library's own symbol table: the loader passes over symbols without one.
fn hide() {
    let Some(table) = machine::own_symbols() else {
        return;
    };
    let (start, bytes) = (table.symbols & !(kernel::PAGE as usize - 1), table.count * size_of::<Symbol>());
    let pages = table.symbols + bytes - start;
    if !kernel::protect(start, pages, kernel::Access::Write) {
        return;
    }
    for index in 0..table.count {
        // SAFETY: the table has so many entries, mapped with the library, which is never unloaded, and writable now.
        let symbol = unsafe { &*(table.symbols as *const Symbol).add(index) };
        // SAFETY: the offset of a terminated string in the library's own string table.
        let name = unsafe { CStr::from_ptr((table.strings + symbol.name as usize) as *const _) };
        if symbol.section != 0 && NAMES.contains(&name) {
            // One store: another thread may be looking names up.
            symbol.value.store(0, Ordering::Relaxed);
        }
    }
    kernel::protect(start, pages, kernel::Access::Read);
}
