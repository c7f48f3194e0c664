//! What of this crate depends on the processor: its time-stamp counter.
#![allow(unsafe_code)] // an instruction

/// The time-stamp counter: the same that the target reads.
pub(crate) fn cycles() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}
