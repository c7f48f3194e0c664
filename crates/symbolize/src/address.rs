//! The address to look up, which for a caller's frame is not the address on the stack.
//!
//! A return address is the instruction *after* the call: often on the next line, and past the end of the function
//! where the call is its last instruction (a call of a function that never returns). Looking up one byte less lands
//! inside the call. A type of its own makes it impossible to subtract twice or never.

/// An ELF virtual address inside the instruction that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupAddress(u64);

impl LookupAddress {
    /// For a return address in the process, and the bias of its module (`Module::bias`).
    pub fn of_return(return_address: u64, bias: u64) -> LookupAddress {
        LookupAddress(return_address.wrapping_sub(1).wrapping_sub(bias))
    }

    /// For the address of an instruction in the process (an interrupted pc, a function's entry), and the bias of its
    /// module.
    pub fn of_instruction(address: u64, bias: u64) -> LookupAddress {
        LookupAddress(address.wrapping_sub(bias))
    }

    /// The ELF virtual address to look up.
    pub fn svma(self) -> u64 {
        self.0
    }
}
