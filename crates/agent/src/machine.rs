//! Everything of this crate that depends on the processor: the thread block's storage, system calls, and the
//! addresses of libc functions that may be absent.
//!
//! The thread block is an *initial-exec* thread-local, defined in assembly: stable Rust's `thread_local!` in a shared
//! library compiles to a call of `__tls_get_addr`, which can itself allocate and recurse (docs/decisions.md).
#![allow(unsafe_code)] // inline assembly is the purpose of this file

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_pointer_width = "64")))]
compile_error!("leakscope records on Linux x86-64 only so far; another processor needs its own machine.rs");

use crate::thread::ThreadBlock;
use core::arch::{asm, global_asm, naked_asm};

global_asm!(
    ".section .tbss.leakscope_thread_block,\"awT\",@nobits",
    ".balign 64",
    ".hidden leakscope_thread_block",
    ".globl leakscope_thread_block",
    ".type leakscope_thread_block, @object",
    ".size leakscope_thread_block, 128",
    "leakscope_thread_block:",
    ".zero 128",
    ".text",
);

const _: () = assert!(size_of::<ThreadBlock>() <= 128 && align_of::<ThreadBlock>() <= 64);

/// The calling thread's block; zeroes in a new thread.
///
/// # Hot path
/// Two loads; no allocation, lock, system call or panic; safe in signal handlers.
#[inline(always)]
pub fn thread_block() -> *mut ThreadBlock {
    let block: *mut ThreadBlock;
    // SAFETY: reads the thread pointer and the link-time offset of the symbol above; touches no memory otherwise.
    unsafe {
        asm!(
            "mov {block}, qword ptr fs:[0]",
            "add {block}, qword ptr [rip + leakscope_thread_block@GOTTPOFF]",
            block = out(reg) block,
            options(nostack, readonly, preserves_flags)
        );
    }
    block
}

/// The address of the calling thread's control block.
#[inline(always)]
pub(crate) fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: the psABI stores the thread pointer's own value at fs:0.
    unsafe { asm!("mov {}, qword ptr fs:[0]", out(reg) pointer, options(nostack, readonly, preserves_flags)) };
    pointer
}

/// The stack pointer, about here.
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let sp: usize;
    // SAFETY: copies a register.
    unsafe { asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

/// The processor's time-stamp counter.
///
/// # Hot path
/// Some 20 cycles; no memory is touched.
#[inline(always)]
pub(crate) fn cycles() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Has the processor fetch a cache line that will be needed soon.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: every x86-64 processor has the instruction, which faults nowhere.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(place).cast()) };
}

/// The state of whoever called an exported function, as its naked entry saw it.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// rsp at entry: it points to the return address.
    pub sp: usize,
    /// rbp at entry: still the caller's own.
    pub bp: usize,
}

impl Caller {
    /// The same, unless the call came from the allocator's own code.
    pub fn outside_allocator(self) -> Option<Self> {
        (!crate::real_map::is_allocator(self.registers().pc)).then_some(self)
    }

    /// The caller's registers after the call has returned.
    pub(crate) fn registers(self) -> leakscope_unwind::Registers {
        // SAFETY: `sp` is the stack pointer at the entry of a called function, so it points to its return address,
        // on the stack that is in use.
        let pc = unsafe { *(self.sp as *const usize) };
        leakscope_unwind::Registers { pc, sp: self.sp.wrapping_add(8), bp: self.bp }
    }
}

/// A direct system call; the result is negative for an error. Does not touch errno and is no cancellation point.
///
/// # Safety
/// As the system call itself: pointers in `args` must be valid for what it does.
pub(crate) unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's calling convention; the caller answers for the arguments.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// Where recorded threads begin: says who they are, then jumps to the program's routine. See
/// [`crate::thread_wrap`].
///
/// # Safety
/// Only as the routine of a thread whose argument is the number of a taken place.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn thread_trampoline(place: *mut core::ffi::c_void) -> *mut core::ffi::c_void {
    naked_asm!(
        ".cfi_startproc",
        "sub rsp, 24",
        ".cfi_adjust_cfa_offset 24",
        "mov rsi, rsp",
        "call {start}",
        "pop rax", // the routine
        "pop rdi", // its argument
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -24",
        "jmp rax",
        ".cfi_endproc",
        start = sym crate::thread_wrap::start,
    )
}

/// This library's own symbol table, as the loader uses it.
pub(crate) struct OwnSymbols {
    /// Address of the first entry.
    pub symbols: usize,
    /// How many there are.
    pub count: usize,
    /// Address of the string table.
    pub strings: usize,
}

/// Finds the symbol table through the dynamic section. `None` without the old hash table, which alone says how many
/// symbols there are.
pub(crate) fn own_symbols() -> Option<OwnSymbols> {
    const DT_HASH: usize = 4;
    const DT_STRTAB: usize = 5;
    const DT_SYMTAB: usize = 6;
    let (mut dynamic, base): (*const [usize; 2], usize);
    // SAFETY: two addresses that the linker defines in every file it makes.
    unsafe {
        asm!(
            "lea {dynamic}, [rip + _DYNAMIC]",
            "lea {base}, [rip + __ehdr_start]",
            dynamic = out(reg) dynamic,
            base = out(reg) base,
            options(nostack, nomem, preserves_flags)
        );
    }
    let (mut hash, mut strings, mut symbols) = (0, 0, 0);
    // SAFETY: the section is mapped with the library, and ends with an entry of zeroes.
    while let [tag, value] = unsafe { *dynamic }
        && tag != 0
    {
        // glibc replaces these by addresses in the process; musl leaves them as they are in the file.
        let address = if value < base { base.wrapping_add(value) } else { value };
        match tag {
            DT_HASH => hash = address,
            DT_STRTAB => strings = address,
            DT_SYMTAB => symbols = address,
            _ => {}
        }
        // SAFETY: not the last entry.
        dynamic = unsafe { dynamic.add(1) };
    }
    if hash == 0 || strings == 0 || symbols == 0 {
        return None;
    }
    // SAFETY: the hash table begins with the numbers of its buckets and of the symbols.
    let count = unsafe { *(hash as *const u32).add(1) } as usize;
    Some(OwnSymbols { symbols, count, strings })
}

/// The address of a function as the program sees it: the first in its search order, which may be the shim's.
macro_rules! program {
    ($name:literal) => {{
        let address: *mut core::ffi::c_void;
        // SAFETY: loads the symbol's entry of the global offset table.
        unsafe {
            core::arch::asm!(
                concat!("mov {a}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                a = out(reg) address,
                options(nostack, readonly, preserves_flags)
            );
        }
        address
    }};
}
pub(crate) use program;

/// The address of a libc symbol, null where the program has none of that name.
macro_rules! weak {
    ($name:literal) => {{
        let address: *mut core::ffi::c_void;
        // SAFETY: loads the symbol's entry of the global offset table.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $name),
                concat!("mov {a}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                a = out(reg) address,
                options(nostack, readonly, preserves_flags)
            );
        }
        address
    }};
}
pub(crate) use weak;
