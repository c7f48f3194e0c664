//! The profile model and its pprof file format.
//!
//! [`model`] is the one data type that both halves of the desk share. `collect` fills it through
//! [`ProfileBuilder`] and stores it with [`save`]; `symbolize`, `analyze` and `report` get it back from [`load`].
//! The file is gzipped pprof, so `go tool pprof`, speedscope, Pyroscope and Parca open it; what pprof has no
//! field for travels in one private field that they skip. docs/profile-format.md describes it field by field.
//!
//! ```text
//! collectors -> ProfileBuilder -> Profile -> check -> encode -> gzip -> file
//! file -> gunzip -> layout -> decode | foreign -> check -> Profile
//! ```
//!
//! What this crate does not do: estimate, compare or judge (`analyze`), find symbols (`symbolize`), or decide how
//! likely a block was to be sampled (`sampling`; the builder is told).
//!
//! A file is hostile until proven otherwise: whatever the bytes, reading ends in a [`Profile`] that passes
//! [`Profile::check`] or in a [`ReadError`], within the memory that [`Limits`] states, and never in a panic.
#![forbid(unsafe_code)]

mod builder;
mod changes;
mod check;
mod columns;
mod decode;
mod encode;
mod error;
mod extension;
mod fields;
mod file;
mod foreign;
mod index;
mod jvms_own;
mod labels;
mod layout;
pub mod model;
mod proto;
mod redact;
mod save;
mod strings;
pub mod timeline;
mod unsymbolized;
mod wire;

pub use builder::{Block, ProfileBuilder};
pub use error::{Inconsistent, ReadError, WriteError};
pub use file::{Limits, load, read, read_with, write};
pub use jvms_own::{JvmsOwnRows, is_jvms_library};
pub use labels::{Age, FreedBy};
pub use model::*;
pub use redact::redact;
pub use save::save;
