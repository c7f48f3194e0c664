//! From addresses to functions, files and lines, at the desk.
//!
//! Two depths. While the target lives, the recording CLI asks for names only ([`Depth::Symtab`]): symbol tables are
//! scanned in blocks and nothing is kept, because the CLI shares the target's memory limit. When a report is made
//! ([`Depth::Full`]), [`refine`] goes over the finished profile once more with DWARF: inlined functions become frames,
//! frames get files and lines.
//!
//! ```text
//! ObjectRef (path, build id, open file) --believable?--> Elf --symtab--> name     \
//!                                           |                                      > Symbol --refine--> Profile
//!                                           +--debug file--> DWARF--> inlines     /
//! ```
//!
//! Symbolization never fails a run: what cannot be resolved stays unknown, and [`Symbolizer::warnings`] says why.
//! Every file is treated as hostile: lengths are bounded where they are read, and what `addr2line` would build from
//! a file's DWARF is counted before it may build it.
//!
//! What this crate does not do: it opens no process (callers pass open files), downloads nothing, and knows nothing of
//! Java.

#![forbid(unsafe_code)]

mod address;
mod cache;
mod census;
mod debug_file;
mod defines;
mod demangle;
mod dwarf;
mod elf;
mod file_note;
mod identity;
mod image;
mod library;
mod minidebug;
mod names;
mod packed;
mod plt;
mod refine;
mod streamed;
mod symbolizer;
mod symtab;
mod warnings;
mod whole;

pub use address::LookupAddress;
pub use defines::defined_functions;
pub use demangle::demangle;
pub use elf::{Segment, SegmentKind};
pub use identity::{bias, build_id, build_id_in_memory, executable_segments};
pub use image::ReadAt;
pub use library::{library_name, unsymbolized_name};
pub use refine::refine;
pub use symbolizer::{Depth, ObjectRef, Options, Symbol, Symbolizer};
