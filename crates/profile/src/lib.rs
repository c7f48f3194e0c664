//! (essay to be written) The profile model and its pprof file format.
#![forbid(unsafe_code)]
pub mod model;
