//! Everything of this crate that depends on the processor: raw system calls, the addresses of libc functions that may
//! be absent, and where a call leaves its return address.
//!
//! The shim that carries this crate links no library. A libc function is therefore named by a weak symbol: the
//! dynamic linker fills in its address where the program has one, and leaves null where it has not (a static musl
//! program, an old glibc without libdl). System calls are made directly, because the wrappers of libc set `errno`
//! and some of them are cancellation points.
#![allow(unsafe_code)] // inline assembly is the purpose of this file

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_pointer_width = "64")))]
compile_error!(
    "leakscope records on Linux x86-64 only so far; another processor needs its own crates/hotspot/src/machine.rs"
);

use core::arch::asm;
use core::ffi::c_void;

/// `read`, `close`, `nanosleep`, ... of the x86-64 system call table.
pub(crate) mod number {
    pub(crate) const READ: usize = 0;
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const NANOSLEEP: usize = 35;
    pub(crate) const FUTEX: usize = 202;
    pub(crate) const GETDENTS64: usize = 217;
    pub(crate) const CLOCK_GETTIME: usize = 228;
    pub(crate) const OPENAT: usize = 257;
}

/// Makes a system call of up to four arguments; a negative result is `-errno`.
///
/// # Safety
/// The arguments are what this system call expects: pointers among them are valid for it.
pub(crate) unsafe fn syscall4(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the kernel clobbers rcx and r11 only; what it reads and writes is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Address of the word in which a call out of Java code, made at this stack pointer, has left its return address.
///
/// HotSpot relies on the same (`JavaFrameAnchor::make_walkable` of its x86 port).
pub(crate) fn return_address_slot(sp: usize) -> usize {
    sp.wrapping_sub(size_of::<usize>())
}

/// Address of a libc function, or null if the process has none. The name is a literal, so that the assembler sees it.
macro_rules! weak_address {
    ($name:literal) => {{
        let address: *const c_void;
        // SAFETY: reads one word of the global offset table, which the dynamic linker has filled in.
        unsafe {
            asm!(
                concat!(".weak ", $name),
                concat!("mov {}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address,
                options(nostack, preserves_flags, readonly),
            );
        }
        address
    }};
}

/// Address of `dlopen`, or null.
pub(crate) fn dlopen() -> *const c_void {
    weak_address!("dlopen")
}

/// Address of `dlsym`, or null.
pub(crate) fn dlsym() -> *const c_void {
    weak_address!("dlsym")
}

/// Address of `dl_iterate_phdr`, or null.
pub(crate) fn dl_iterate_phdr() -> *const c_void {
    weak_address!("dl_iterate_phdr")
}
