//! What the exports of the operators jump to where the allocator behind the shim has operators of its own.

use super::{OPERATORS, REALS, delete, new_nothrow};
use crate::Caller;
use crate::real::ARENA;
use crate::recorder::{FILTER, RECORDER};
use crate::wrap::charge;
use core::arch::naked_asm;
use core::ffi::c_void;

/// The entry of each operator.
pub(super) fn all() -> [*mut c_void; OPERATORS] {
    [
        new::<0> as *mut c_void,
        new::<1> as *mut c_void,
        new::<2> as *mut c_void,
        new::<3> as *mut c_void,
        nothrow::<4> as *mut c_void,
        nothrow::<5> as *mut c_void,
        nothrow::<6> as *mut c_void,
        nothrow::<7> as *mut c_void,
        release::<8> as *mut c_void,
        release::<9> as *mut c_void,
        release::<10> as *mut c_void,
        release::<11> as *mut c_void,
        release::<12> as *mut c_void,
        release::<13> as *mut c_void,
        release::<14> as *mut c_void,
        release::<15> as *mut c_void,
        release::<16> as *mut c_void,
        release::<17> as *mut c_void,
        release::<18> as *mut c_void,
        release::<19> as *mut c_void,
    ]
}

/// A throwing `new`: as the shim's malloc, but for a block that is chosen the nothrow form is asked; if that fails, or
/// the block is not recorded, the caller is handed on to the real one.
#[unsafe(naked)]
extern "C" fn new<const OPERATOR: usize>(size: usize, align: usize) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, qword ptr [rip + leakscope_thread_block@GOTTPOFF]",
        "mov rcx, rdi",
        "cmp rcx, 1",
        "adc rcx, 0", // max(size, 1)
        "sub qword ptr fs:[rax], rcx",
        "jbe 2f", // used up: exactly, or by less or more than 2^63
        "js 2f",  // was used up before
        "3:",
        "jmp qword ptr [rip + {reals} + 8 * {operator}]",
        "2:",
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 24",
        "lea rdx, [rsp + 24]",
        "mov rcx, rbp",
        "mov r8d, {operator}",
        "call {chosen}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        ".cfi_adjust_cfa_offset -24",
        "test rax, rax",
        "jz 3b",
        "ret",
        ".cfi_endproc",
        reals = sym REALS,
        operator = const OPERATOR,
        chosen = sym chosen,
    )
}

extern "C" fn chosen(size: usize, align: usize, sp: usize, bp: usize, operator: usize) -> *mut c_void {
    RECORDER.allocate(size, Caller { sp, bp }, || new_nothrow(operator, size, align))
}

#[unsafe(naked)]
extern "C" fn nothrow<const OPERATOR: usize>(size: usize, second: usize) -> *mut c_void {
    naked_asm!(
        "mov rdx, rsp",
        "mov rcx, rbp",
        "mov r8d, {operator}",
        "jmp {body}",
        operator = const OPERATOR,
        body = sym nothrow_body,
    )
}

/// `second` is the alignment, for the forms that take one.
extern "C" fn nothrow_body(size: usize, second: usize, sp: usize, bp: usize, operator: usize) -> *mut c_void {
    if charge(size) { chosen(size, second, sp, bp, operator) } else { new_nothrow(operator, size, second) }
}

#[unsafe(naked)]
extern "C" fn release<const OPERATOR: usize>(address: *mut c_void, second: usize, third: usize) {
    naked_asm!("mov ecx, {operator}", "jmp {body}", operator = const OPERATOR, body = sym release_body)
}

extern "C" fn release_body(address: *mut c_void, second: usize, third: usize, operator: usize) {
    if FILTER.may_hold(address as usize) && !RECORDER.release(&ARENA, address) {
        return;
    }
    // SAFETY: passed on to our caller.
    unsafe { delete(operator, address, second, third) }
}
