//! The exports of C++'s `operator new` and `operator delete`: each jumps to what its slot holds, see
//! `leakscope_agent::operators`. No frame of ours is left behind, so exceptions pass as ever.
#![allow(non_snake_case)] // the names that C++ gives them

use core::arch::naked_asm;
use leakscope_agent::operators::{SLOTS, fallback_new, fallback_new_aligned, look};

/// Jumps to the slot; where it is empty, after a look for the definitions, and else to the fallback.
macro_rules! through_slot {
    ($operator:literal, $fallback:path) => {
        naked_asm!(
            ".cfi_startproc",
            "mov rax, qword ptr [rip + {slots} + 8 * {operator}]",
            "test rax, rax",
            "jz 2f",
            "jmp rax",
            "2:",
            "push rdi",
            "push rsi",
            "push rdx",
            ".cfi_adjust_cfa_offset 24",
            "call {look}",
            "pop rdx",
            "pop rsi",
            "pop rdi",
            ".cfi_adjust_cfa_offset -24",
            "mov rax, qword ptr [rip + {slots} + 8 * {operator}]",
            "test rax, rax",
            "jz {fallback}",
            "jmp rax",
            ".cfi_endproc",
            slots = sym SLOTS,
            operator = const $operator,
            look = sym look,
            fallback = sym $fallback,
        )
    };
}

/// The fallback of every `delete`.
#[unsafe(naked)]
extern "C" fn fallback_delete() {
    naked_asm!("jmp qword ptr [rip + free@GOTPCREL]")
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _Znwm() {
    through_slot!(0, fallback_new)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _Znam() {
    through_slot!(1, fallback_new)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZnwmSt11align_val_t() {
    through_slot!(2, fallback_new_aligned)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZnamSt11align_val_t() {
    through_slot!(3, fallback_new_aligned)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZnwmRKSt9nothrow_t() {
    through_slot!(4, fallback_new)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZnamRKSt9nothrow_t() {
    through_slot!(5, fallback_new)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZnwmSt11align_val_tRKSt9nothrow_t() {
    through_slot!(6, fallback_new_aligned)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZnamSt11align_val_tRKSt9nothrow_t() {
    through_slot!(7, fallback_new_aligned)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdlPv() {
    through_slot!(8, fallback_delete)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdaPv() {
    through_slot!(9, fallback_delete)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdlPvm() {
    through_slot!(10, fallback_delete)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdaPvm() {
    through_slot!(11, fallback_delete)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdlPvRKSt9nothrow_t() {
    through_slot!(12, fallback_delete)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdaPvRKSt9nothrow_t() {
    through_slot!(13, fallback_delete)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdlPvSt11align_val_t() {
    through_slot!(14, fallback_delete)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdaPvSt11align_val_t() {
    through_slot!(15, fallback_delete)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdlPvmSt11align_val_t() {
    through_slot!(16, fallback_delete)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdaPvmSt11align_val_t() {
    through_slot!(17, fallback_delete)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdlPvSt11align_val_tRKSt9nothrow_t() {
    through_slot!(18, fallback_delete)
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZdaPvSt11align_val_tRKSt9nothrow_t() {
    through_slot!(19, fallback_delete)
}
