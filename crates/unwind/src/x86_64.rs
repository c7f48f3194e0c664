//! Everything that depends on the processor: registers, code patterns, the signal frame, system calls, weak symbols.
//!
//! A port to another processor replaces this file; the rest speaks of sp, bp and pc only.

#![allow(unsafe_code)] // system calls, the thread register and weak symbols are reachable through assembly only

use core::arch::asm;

/// DWARF number of rbp.
pub const DWARF_BP: u16 = 6;
/// DWARF number of rsp.
pub const DWARF_SP: u16 = 7;
/// DWARF number of the return address column.
pub const DWARF_RA: u16 = 16;

/// `mov $15, %rax; syscall`: what a signal handler returns to, in glibc and in musl (x86-64 psABI, rt_sigreturn).
pub const RESTORE_RT: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];

/// Offsets from sp, as it is once the handler has returned, into `struct ucontext` (Linux, arch/x86 uapi):
/// uc_flags, uc_link and uc_stack are 40 bytes, then gregs: r8-r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip.
pub const UCONTEXT_BP: usize = 40 + 10 * 8;
/// Offset of the interrupted rsp; see [`UCONTEXT_BP`].
pub const UCONTEXT_SP: usize = 40 + 15 * 8;
/// Offset of the interrupted rip; see [`UCONTEXT_BP`].
pub const UCONTEXT_PC: usize = 40 + 16 * 8;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// Longest call instruction that [`ends_in_call`] knows.
pub const LONGEST_CALL: usize = 7;

/// Whether the bytes before a supposed return address end in a call instruction: `e8 rel32`, or `ff /2` with any
/// of its addressing forms. Used to judge a guess, so a rare false yes is tolerable.
pub fn ends_in_call(before: &[u8; LONGEST_CALL]) -> bool {
    let [b0, b1, b2, b3, b4, b5, b6] = *before;
    let call = |opcode: u8, modrm: u8| opcode == 0xff && (modrm >> 3) & 7 == 2;
    let sib = |modrm: u8| modrm & 7 == 4;
    b2 == 0xe8
        || (call(b5, b6) && (b6 >> 6 == 3 || (b6 >> 6 == 0 && !sib(b6) && b6 & 7 != 5)))
        || (call(b4, b5) && ((b5 >> 6 == 1 && !sib(b5)) || (b5 >> 6 == 0 && sib(b5))))
        || (call(b3, b4) && b4 >> 6 == 1 && sib(b4))
        || (call(b1, b2) && ((b2 >> 6 == 2 && !sib(b2)) || (b2 >> 6 == 0 && b2 & 7 == 5)))
        || (call(b0, b1) && b1 >> 6 == 2 && sib(b1))
}

/// Reads one word.
///
/// # Safety
/// `address` is 8-byte aligned and its 8 bytes are mapped and readable.
#[inline(always)]
pub unsafe fn read_word(address: usize) -> usize {
    // SAFETY: the caller's promise. Volatile, because other code owns this memory and may be changing it.
    unsafe { core::ptr::with_exposed_provenance::<usize>(address).read_volatile() }
}

/// The thread control block: on glibc and musl it lies above the stack of every thread but the main one.
pub fn thread_pointer() -> usize {
    let tcb: usize;
    // SAFETY: the psABI stores the thread pointer's own value at fs:0; reading it has no effect.
    unsafe { asm!("mov {}, qword ptr fs:[0]", out(reg) tcb, options(nostack, preserves_flags, readonly)) };
    tcb
}

/// Address of `_dl_find_object` (glibc 2.35 and later), 0 where there is none.
#[inline(always)]
pub fn dl_find_object_address() -> usize {
    let address: usize;
    // SAFETY: loads an entry of the global offset table; a weak symbol nobody defines resolves to null.
    unsafe {
        asm!(".weak _dl_find_object", "mov {}, qword ptr [rip + _dl_find_object@GOTPCREL]", out(reg) address,
             options(nostack, preserves_flags, pure, readonly));
    }
    address
}

/// Address of the variable `__libc_stack_end` (glibc's loader), 0 where there is none.
pub fn libc_stack_end_address() -> usize {
    let address: usize;
    // SAFETY: as in `dl_find_object_address`.
    unsafe {
        asm!(".weak __libc_stack_end", "mov {}, qword ptr [rip + __libc_stack_end@GOTPCREL]", out(reg) address,
             options(nostack, preserves_flags, pure, readonly));
    }
    address
}

/// Numbers of the system calls used (Linux, x86-64 table).
mod number {
    pub const READ: usize = 0;
    pub const OPEN: usize = 2;
    pub const CLOSE: usize = 3;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const PREAD64: usize = 17;
    pub const MINCORE: usize = 27;
    pub const SIGALTSTACK: usize = 131;
}

/// A raw system call: the result or minus the error number; errno stays as it is.
///
/// # Safety
/// As for the call itself: pointers among the arguments are valid for what the kernel does with them.
unsafe fn syscall(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the kernel's convention: number in rax, arguments in rdi, rsi, rdx, r10; it clobbers rcx and r11.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c,
             in("r10") d, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// mincore(2) over as many pages as `residency` has bytes; each becomes odd where the page is resident. False if
/// any of the pages is not mapped.
pub fn mincore(page: usize, residency: &mut [u8]) -> bool {
    let bytes = residency.len().wrapping_mul(PAGE);
    // SAFETY: the kernel writes one byte for each page into `residency`, and reads nothing through `page`.
    unsafe { syscall(number::MINCORE, page, bytes, residency.as_mut_ptr() as usize, 0) == 0 }
}

/// Whether 8 bytes at `address` can be read. rt_sigprocmask with an impossible `how` copies the set first (EFAULT)
/// and refuses after that (EINVAL), so nothing changes either way.
pub fn is_readable(address: usize) -> bool {
    const EINVAL: isize = 22;
    // SAFETY: an invalid `how` never changes the mask; the kernel checks the pointer.
    unsafe { syscall(number::RT_SIGPROCMASK, usize::MAX, address, 0, 8) == EINVAL.wrapping_neg() }
}

/// The alternative signal stack of this thread as (lowest address, one past the highest), if it has one.
pub fn signal_stack() -> Option<(usize, usize)> {
    const SS_DISABLE: i32 = 2;
    #[repr(C)]
    struct SignalStack {
        lowest: usize,
        flags: i32,
        size: usize,
    }
    let mut now = SignalStack { lowest: 0, flags: SS_DISABLE, size: 0 };
    // SAFETY: a null new stack only asks; the kernel writes one `stack_t`, whose layout `SignalStack` repeats.
    let failed = unsafe { syscall(number::SIGALTSTACK, 0, &raw mut now as usize, 0, 0) != 0 };
    if failed || now.flags & SS_DISABLE != 0 {
        return None;
    }
    Some((now.lowest, now.lowest.checked_add(now.size)?))
}

/// A file open for reading through raw system calls; closed when dropped.
pub struct File(usize);

impl File {
    /// Opens `path` for reading; `None` on any error.
    pub fn open(path: &core::ffi::CStr) -> Option<File> {
        const O_CLOEXEC: usize = 0o2000000;
        // SAFETY: a null-terminated path.
        let descriptor = unsafe { syscall(number::OPEN, path.as_ptr() as usize, O_CLOEXEC, 0, 0) };
        usize::try_from(descriptor).ok().map(File)
    }

    /// Reads on from the present position; 0 at the end, `None` on error.
    pub fn read(&self, into: &mut [u8]) -> Option<usize> {
        // SAFETY: the kernel writes at most `into.len()` bytes into `into`.
        let read = unsafe { syscall(number::READ, self.0, into.as_mut_ptr() as usize, into.len(), 0) };
        usize::try_from(read).ok()
    }

    /// Reads at `offset`; the bytes read, `None` on error.
    pub fn read_at(&self, into: &mut [u8], offset: usize) -> Option<usize> {
        // SAFETY: as in `read`.
        let read = unsafe { syscall(number::PREAD64, self.0, into.as_mut_ptr() as usize, into.len(), offset) };
        usize::try_from(read).ok()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: this value owns the descriptor.
        unsafe { syscall(number::CLOSE, self.0, 0, 0, 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_call_is_recognised_and_other_code_is_not() {
        let calls: [&[u8]; 9] = [
            &[0xe8, 1, 2, 3, 4],                         // call rel32
            &[0xff, 0xd0],                               // call *%rax
            &[0x41, 0xff, 0xd4],                         // call *%r12
            &[0xff, 0x10],                               // call *(%rax)
            &[0xff, 0x50, 0x18],                         // call *0x18(%rax)
            &[0xff, 0x14, 0xc8],                         // call *(%rax,%rcx,8)
            &[0xff, 0x54, 0x24, 0x08],                   // call *8(%rsp)
            &[0xff, 0x15, 1, 2, 3, 4],                   // call *x(%rip)
            &[0xff, 0x94, 0x24, 0x00, 0x01, 0x00, 0x00], // call *0x100(%rsp)
        ];
        for call in calls {
            let mut before = [0x90; LONGEST_CALL];
            before[LONGEST_CALL - call.len()..].copy_from_slice(call);
            assert!(ends_in_call(&before), "{call:x?}");
        }
        assert!(!ends_in_call(&[0x90; LONGEST_CALL]));
        assert!(!ends_in_call(&[0x48, 0x89, 0xe5, 0x5d, 0xc3, 0x66, 0x90]));
    }

    #[test]
    fn readability_is_told_without_a_fault() {
        let word = 7_u64;
        assert!(is_readable(&raw const word as usize));
        assert!(!is_readable(0));
        assert!(!is_readable(PAGE));
    }
}
