//! The shim: the C symbols that the target sees, and nothing else. Each is a few lines; the rules are in
//! `leakscope_agent::wrap`, `map_wrap` and `thread_wrap`.
//!
//! The entries that need the caller's registers are naked: they hand their exact rsp and rbp on, so that there is no
//! frame of ours for the unwinder to skip. malloc subtracts from the thread's counter and tail-jumps to the real
//! function unless the counter has run out.
//!
//! The four that programs call most stand in a section of their own, which begins at a cache line: what malloc and free run
//! lies in one, to its last bytes (tests/artefact.rs). Split over two, pairs cost more (docs/decisions.md).
#![cfg_attr(panic = "abort", no_std)] // the shim profile; others (clippy, cargo build) unwind, which needs std
#![allow(unsafe_code)] // exported C functions
#![allow(missing_docs, clippy::missing_safety_doc)] // their documentation is the C standard's

mod operators;

use core::arch::naked_asm;
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use leakscope_agent::comes_back::{COME_BACK, Call, comes_back};
use leakscope_agent::libc_symbols::{PthreadCreate, StartRoutine};
use leakscope_agent::map_wrap::{MapArguments, RemapArguments};
use leakscope_agent::real::{self, ARENA};
use leakscope_agent::real_map;
use leakscope_agent::recorder::{FILTER, RECORDER};
use leakscope_agent::wrap::{Pointer, charge, charged_again};
use leakscope_agent::{Caller, Filter, lock_wrap, start, thread_wrap};

/// Cannot happen: a test holds that the artefact contains no panic.
#[cfg(panic = "abort")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = {
    extern "C" fn constructor() {
        start::constructor();
    }
    constructor
};

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = {
    extern "C" fn destructor() {
        thread_wrap::at_exit();
    }
    destructor
};

#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.entries")]
pub unsafe extern "C" fn malloc(size: usize) -> Pointer {
    naked_asm!(
        "mov rax, qword ptr [rip + leakscope_thread_block@GOTTPOFF]",
        "cmp rdi, 1", // carries for a size of 0, so that max(size, 1) is taken off
        "sbb qword ptr fs:[rax], rdi",
        "jbe 2f", // used up: exactly, or by less or more than 2^63
        "js 2f",  // was used up before
        "jmp qword ptr [rip + {real}]",
        "2:",
        "mov rsi, rsp",
        "mov rdx, rbp",
        "jmp {chosen}",
        ".balign 64", // which the section takes over
        real = sym real::MALLOC,
        chosen = sym malloc_chosen,
    )
}

extern "C" fn malloc_chosen(size: usize, sp: usize, bp: usize) -> Pointer {
    RECORDER.allocate(size, Caller { sp, bp }, || real::malloc(size))
}

/// Goes to label 3 if the address in rdi may be a live sample: [`Filter::may_hold`] in five instructions.
macro_rules! filter_rdi {
    () => {
        concat!(
            "imul eax, edi, {multiplier}\n shr eax, {shift}\n",
            "lea rcx, [rip + {filter}]\n cmp byte ptr [rax + rcx], 0\n jne 3f"
        )
    };
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.entries")]
pub unsafe extern "C" fn free(address: Pointer) {
    naked_asm!(
        filter_rdi!(),
        "jmp qword ptr [rip + {real}]",
        "3:",
        "jmp {held}",
        multiplier = const Filter::MULTIPLIER,
        shift = const Filter::SHIFT,
        filter = sym FILTER,
        real = sym real::FREE,
        held = sym free_held,
    )
}

extern "C" fn free_held(address: Pointer) {
    if RECORDER.release(&ARENA, address) {
        // SAFETY: passed on to our caller. So in all functions below.
        unsafe { real::free(address) }
    }
}

// Through the program's own free, see `reallocarray`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfree(address: Pointer) {
    naked_asm!("jmp qword ptr [rip + free@GOTPCREL]")
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(address: Pointer, size: usize) {
    if FILTER.may_hold(address as usize) && !RECORDER.release(&ARENA, address) {
        return;
    }
    // SAFETY: as above.
    unsafe { real::free_sized(address, size) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(address: Pointer, align: usize, size: usize) {
    if FILTER.may_hold(address as usize) && !RECORDER.release(&ARENA, address) {
        return;
    }
    // SAFETY: as above.
    unsafe { real::free_aligned_sized(address, align, size) }
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.entries")]
pub unsafe extern "C" fn calloc(count: usize, size: usize) -> Pointer {
    naked_asm!(
        "mov rax, rdi",
        "mul rsi",
        "jo 3f",
        "cmp dword ptr [rip + {come_back}], 0",
        "jne 3f",
        "mov rcx, qword ptr [rip + leakscope_thread_block@GOTTPOFF]",
        "cmp rax, 1",
        "sbb qword ptr fs:[rcx], rax",
        "jbe 2f",
        "js 2f",
        "jmp qword ptr [rip + {real}]",
        "2:",
        "mov rdx, rsp",
        "mov rcx, rbp",
        "jmp {chosen}",
        "3:",
        "mov rdx, rsp",
        "mov rcx, rbp",
        "jmp {rare}",
        ".balign 64",
        come_back = sym COME_BACK,
        real = sym real::CALLOC,
        chosen = sym calloc_chosen,
        rare = sym calloc_rare,
    )
}

extern "C" fn calloc_chosen(count: usize, size: usize, sp: usize, bp: usize) -> Pointer {
    let real = || real::call_two(&real::CALLOC, count, size);
    RECORDER.allocate(count.wrapping_mul(size), Caller { sp, bp }, real)
}

/// Not charged yet: more than there can be, or an allocator that comes back.
extern "C" fn calloc_rare(count: usize, size: usize, sp: usize, bp: usize) -> Pointer {
    let real = || real::call_two(&real::CALLOC, count, size);
    match count.checked_mul(size) {
        Some(bytes) => allocate(Call::Calloc, bytes, Caller { sp, bp }, real),
        None => real(),
    }
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.entries")]
pub unsafe extern "C" fn realloc(address: Pointer, size: usize) -> Pointer {
    naked_asm!(
        "mov rax, qword ptr [rip + leakscope_thread_block@GOTTPOFF]",
        "cmp rsi, 1",
        "sbb qword ptr fs:[rax], rsi",
        "jbe 2f",
        "js 2f",
        filter_rdi!(),
        "jmp qword ptr [rip + {real}]",
        "2:",
        "mov r8d, 1",
        "jmp 4f",
        "3:",
        "xor r8d, r8d",
        "4:",
        "mov rdx, rsp",
        "mov rcx, rbp",
        "jmp {charged}",
        ".balign 64",
        multiplier = const Filter::MULTIPLIER,
        shift = const Filter::SHIFT,
        filter = sym FILTER,
        real = sym real::REALLOC,
        charged = sym realloc_charged,
    )
}

extern "C" fn realloc_charged(address: Pointer, size: usize, sp: usize, bp: usize, chosen: usize) -> Pointer {
    // SAFETY: as above.
    let real = |address, size| unsafe { real::realloc(address, size) };
    RECORDER.reallocate(&ARENA, address, size, chosen != 0, Caller { sp, bp }, real)
}

// Through the program's own realloc, as libc does it: a program that brings its own malloc rarely has this one.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(address: Pointer, count: usize, size: usize) -> Pointer {
    naked_asm!(
        "mov rax, rsi",
        "mul rdx",
        "jo 2f",
        "mov rsi, rax",
        "jmp qword ptr [rip + realloc@GOTPCREL]",
        "2:",
        "jmp {overflow}",
        overflow = sym reallocarray_overflow,
    )
}

extern "C" fn reallocarray_overflow() -> Pointer {
    real::out_of_memory()
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memalign(align: usize, size: usize) -> Pointer {
    naked_asm!("mov rdx, rsp", "mov rcx, rbp", "jmp {body}", body = sym memalign_body)
}

extern "C" fn memalign_body(align: usize, size: usize, sp: usize, bp: usize) -> Pointer {
    allocate(Call::Memalign, size, Caller { sp, bp }, || real::call_two(&real::MEMALIGN, align, size))
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> Pointer {
    naked_asm!("mov rdx, rsp", "mov rcx, rbp", "jmp {body}", body = sym aligned_alloc_body)
}

extern "C" fn aligned_alloc_body(align: usize, size: usize, sp: usize, bp: usize) -> Pointer {
    allocate(Call::AlignedAlloc, size, Caller { sp, bp }, || real::call_two(&real::ALIGNED_ALLOC, align, size))
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn valloc(size: usize) -> Pointer {
    naked_asm!("mov rsi, rsp", "mov rdx, rbp", "jmp {body}", body = sym valloc_body)
}

extern "C" fn valloc_body(size: usize, sp: usize, bp: usize) -> Pointer {
    allocate(Call::Valloc, size, Caller { sp, bp }, || real::call_one(&real::VALLOC, size))
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pvalloc(size: usize) -> Pointer {
    naked_asm!("mov rsi, rsp", "mov rdx, rbp", "jmp {body}", body = sym pvalloc_body)
}

extern "C" fn pvalloc_body(size: usize, sp: usize, bp: usize) -> Pointer {
    allocate(Call::Pvalloc, size, Caller { sp, bp }, || real::call_one(&real::PVALLOC, size))
}

#[inline(always)]
fn allocate(call: Call, size: usize, caller: Caller, real: impl Fn() -> Pointer) -> Pointer {
    match (charge(size), comes_back(call)) {
        (false, false) => real(),
        (is_chosen, comes_back) => allocate_with_care(is_chosen, comes_back, size, caller, &real),
    }
}

#[cold]
#[inline(never)]
fn allocate_with_care(
    is_chosen: bool,
    comes_back: bool,
    size: usize,
    caller: Caller,
    real: &dyn Fn() -> Pointer,
) -> Pointer {
    let real = || if comes_back { charged_again(size, real) } else { real() };
    if is_chosen { RECORDER.allocate(size, caller, real) } else { real() }
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(out: *mut Pointer, align: usize, size: usize) -> c_int {
    naked_asm!("mov rcx, rsp", "mov r8, rbp", "jmp {body}", body = sym posix_memalign_body)
}

extern "C" fn posix_memalign_body(out: *mut Pointer, align: usize, size: usize, sp: usize, bp: usize) -> c_int {
    let result = Cell::new(0);
    allocate(Call::PosixMemalign, size, Caller { sp, bp }, || {
        // SAFETY: as above; on success the place holds the block.
        unsafe {
            result.set(real::posix_memalign(out, align, size));
            if result.get() == 0 { *out } else { core::ptr::null_mut() }
        }
    });
    result.get()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(address: *mut c_void) -> usize {
    // SAFETY: as above.
    unsafe { real::usable_size(address) }
}

// The functions that map memory have so many arguments that the caller's registers need room on the stack: these
// entries have a frame, and say so to unwinders.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap(at: usize, length: usize, prot: c_int, flags: c_int, fd: c_int, offset: i64) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, rsp",
        "sub rsp, 8",
        "push rbp",
        "push rax",
        ".cfi_adjust_cfa_offset 24",
        "call {body}",
        "add rsp, 24",
        ".cfi_adjust_cfa_offset -24",
        "ret",
        ".cfi_endproc",
        body = sym mmap_body,
    )
}

// The same function: files are 64 bits wide here.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap64(at: usize, length: usize, prot: c_int, flags: c_int, fd: c_int, offset: i64) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, rsp",
        "sub rsp, 8",
        "push rbp",
        "push rax",
        ".cfi_adjust_cfa_offset 24",
        "call {body}",
        "add rsp, 24",
        ".cfi_adjust_cfa_offset -24",
        "ret",
        ".cfi_endproc",
        body = sym mmap_body,
    )
}

#[allow(clippy::too_many_arguments)] // mmap's, and the caller
extern "C" fn mmap_body(
    at: usize,
    length: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
    sp: usize,
    bp: usize,
) -> usize {
    // SAFETY: as above.
    let real = || unsafe { real_map::mmap(at, length, protection, flags, fd, offset) };
    match (Caller { sp, bp }).outside_allocator() {
        Some(caller) => RECORDER.map(MapArguments { length, protection, flags }, caller, real),
        None => real(),
    }
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(address: usize, length: usize) -> c_int {
    naked_asm!("mov rdx, rsp", "jmp {body}", body = sym munmap_body)
}

extern "C" fn munmap_body(address: usize, length: usize, sp: usize) -> c_int {
    // SAFETY: as above.
    let real = || unsafe { real_map::munmap(address, length) };
    match (Caller { sp, bp: 0 }).outside_allocator() {
        Some(_) => RECORDER.unmap(address, length, real),
        None => real(),
    }
}

// Variadic: the fifth argument is there only with some flags, and else whatever the register holds.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mremap(address: usize, old: usize, new: usize, flags: c_int, to: usize) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "mov r9, rsp",
        "sub rsp, 16",
        "push rbp",
        ".cfi_adjust_cfa_offset 24",
        "call {body}",
        "add rsp, 24",
        ".cfi_adjust_cfa_offset -24",
        "ret",
        ".cfi_endproc",
        body = sym mremap_body,
    )
}

extern "C" fn mremap_body(
    address: usize,
    old: usize,
    new: usize,
    flags: c_int,
    to: usize,
    sp: usize,
    bp: usize,
) -> usize {
    // SAFETY: as above.
    let real = || unsafe { real_map::mremap(address, old, new, flags, to) };
    let arguments = RemapArguments { address, old_length: old, new_length: new, flags };
    match (Caller { sp, bp }).outside_allocator() {
        Some(caller) => RECORDER.remap(arguments, caller, real),
        None => real(),
    }
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmat(id: c_int, at: usize, flags: c_int) -> usize {
    naked_asm!("mov rcx, rsp", "mov r8, rbp", "jmp {body}", body = sym shmat_body)
}

extern "C" fn shmat_body(id: c_int, at: usize, flags: c_int, sp: usize, bp: usize) -> usize {
    // SAFETY: as above.
    RECORDER.attach_segment(id, flags, Caller { sp, bp }, || unsafe { real_map::shmat(id, at, flags) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmdt(address: usize) -> c_int {
    // SAFETY: as above.
    RECORDER.detach_segment(address, || unsafe { real_map::shmdt(address) })
}

#[unsafe(no_mangle)]
pub extern "C" fn mlockall(flags: c_int) -> c_int {
    lock_wrap::lock_all(flags)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut usize,
    attributes: *const c_void,
    body: StartRoutine,
    argument: *mut c_void,
) -> c_int {
    naked_asm!("mov r8, rsp", "mov r9, rbp", "jmp {body}", body = sym pthread_create_body)
}

extern "C" fn pthread_create_body(
    thread: *mut usize,
    attributes: *const c_void,
    body: StartRoutine,
    argument: *mut c_void,
    sp: usize,
    bp: usize,
) -> c_int {
    let create: PthreadCreate = real::pthread_create();
    start::before_thread(create);
    RECORDER.create_thread(attributes, body, argument, Caller { sp, bp }, |body, argument| {
        // SAFETY: as above.
        unsafe { create(thread, attributes, body, argument) }
    })
}
