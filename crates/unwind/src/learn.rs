//! The slow way to a rule: from the tables of the module, for a pc that the cache does not know.
//!
//! About 2 us, once for each call site of the target.

#![allow(unsafe_code)] // reads code and tables of loaded modules

use crate::cache::RuleCache;
use crate::eh_frame::{Tables, eh_frame_address};
use crate::module::LoadedModule;
use crate::rule::Rule;
use crate::x86_64::{LONGEST_CALL, RESTORE_RT, ends_in_call};

/// Finds the rule for `pc`, which lies in `module`, and remembers it. `within` is the address to look up: inside the
/// call instruction for a return address, `pc` itself for an interrupted one.
#[cold]
#[inline(never)]
pub fn learn(module: &LoadedModule, pc: usize, within: usize, cache: &RuleCache) -> Rule {
    if !module.is_current() {
        return Rule::Unknown; // not remembered: the next refresh brings the truth
    }
    let rule = read_rule(module, pc, within).unwrap_or(Rule::Unknown);
    cache.put(within, module.identity, rule);
    rule
}

fn read_rule(module: &LoadedModule, pc: usize, within: usize) -> Option<Rule> {
    // SAFETY: found to be loaded just now, and `pc` is on the stack being walked.
    let code = unsafe { module.region(pc) };
    if code.and_then(|code| code.reader_at(pc)?.bytes(RESTORE_RT.len())) == Some(&RESTORE_RT) {
        return Some(Rule::Signal);
    }
    // SAFETY: as above.
    let header = unsafe { module.region(module.eh_frame_hdr)? };
    // SAFETY: as above.
    let frames = unsafe { module.region(eh_frame_address(header)?)? };
    let tables = Tables { header, frames };
    if tables.find(within)?.is_signal_frame() {
        return Some(Rule::Signal);
    }
    Some(Rule::from_row(&tables.row(within).ok()?, within))
}

/// Whether the code before `pc` is a call, so that `pc` may be a return address. Used to judge guesses.
#[cold]
pub fn follows_call(module: &LoadedModule, pc: usize) -> bool {
    let before = pc.wrapping_sub(LONGEST_CALL);
    if !module.is_current() {
        return false;
    }
    // SAFETY: found to be loaded just now; a guess that leads to a library which another thread is closing this
    // very moment is the one case in which this is only nearly true.
    let code = unsafe { module.region(before) };
    let bytes = code.and_then(|code| code.reader_at(before)?.bytes(LONGEST_CALL)?.first_chunk());
    bytes.is_some_and(ends_in_call)
}
