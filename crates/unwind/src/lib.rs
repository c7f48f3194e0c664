//! The native stack walker: from inside an allocation hook to a list of return addresses.
//!
//! It runs in somebody's production process, in the middle of `malloc`, so everything it must not do is the
//! design: it does not allocate, lock, log or panic, it calls nothing of the C library but `_dl_find_object`
//! (lock-free), and it makes no system call per walk. Where a table is missing or corrupt the walk ends early
//! and says why ([`End`]); it never guesses silently and never reads outside what it was told is mapped.
//!
//! The life of one walk, file by file:
//!
//! 1. The hook knows its caller's [`Registers`] and asks `stack` for the [`StackBounds`] of the running thread.
//! 2. `walk` looks up the module of the pc (`first`, else `module`, through the loader or the snapshot in `maps`).
//! 3. `cache` holds one word for each pc seen before: a packed `rule`. A hit costs one load.
//! 4. On a miss `learn` finds the module's tables (`elf`), searches them (`eh_frame`), runs the call frame
//!    program (`cfa`) and reduces the row to a rule.
//! 5. The rule is applied to the registers; reads of the stack go through [`StackBounds`].
//! 6. Where every call is walked, `trail` remembers the last walks of the thread: callers that recur are compared, not
//!    looked up.
//!
//! Tracked are the canonical frame address, the return address and rbp: enough for what compilers emit at call
//! sites. Deliberately absent: other registers, a DWARF expression machine (three shapes are recognised instead),
//! personality routines, inlined frames, symbols, and `dl_iterate_phdr` (its lock deadlocks in hooks).
//!
//! `elf`, `eh_frame`, `cfa`, `reader` and `rule` are pure functions over byte slices and forbid unsafe code; they
//! are public for the tests and the fuzzer.

#![cfg_attr(not(test), no_std)]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_pointer_width = "64")))]
compile_error!(
    "leakscope-unwind knows only 64-bit x86 Linux: port crates/unwind/src/x86_64.rs to this processor first"
);

mod cache;
pub mod cfa;
pub mod eh_frame;
pub mod elf;
mod first;
mod identity;
mod learn;
mod maps;
mod module;
pub mod reader;
pub mod rule;
mod snapshot;
mod stack;
mod trail;
mod walk;
mod x86_64;

pub use cache::RuleCache;
pub use first::note_first_modules;
pub use maps::{Mapping, for_each as for_each_mapping};
pub use module::{LoadedModule, ModuleSource, find_module, refresh_modules};
pub use snapshot::Refresh;
pub use stack::{CachedBounds, StackBounds, note_main_stack};
pub use trail::Trails;
pub use walk::{End, Frames, Registers, Walk, recall, walk, walk_along, walk_with};
