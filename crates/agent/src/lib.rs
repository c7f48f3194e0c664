//! The agent: everything in the target that can be tested without interposing.
//!
//! ```text
//!   shim (C symbols) ── wrap ── sampler ── capture ── recorder ══ session
//!                        │                  ├ unwind    │
//!                        └ the real call    └ hotspot   └ live table, depot, ring, filter
//!   shim (constructor, pthread_create), forked ── start ── handshake with the collector
//!                                      └─ helper ── names of Java methods
//! ```
//! [`wrap`], [`map_wrap`] and [`thread_wrap`] hold the rules of order (what is recorded before, what after the real
//! call); each takes the real call as
//! a parameter, so that tests pass allocators that fail, move or hand out the same address again.
//!
//! The contract (DESIGN 3): never prevent, change or delay without bound an allocation call. Between `wrap` and the
//! session nothing allocates, takes a lock, logs, panics or makes a system call, except on sampled calls the few that
//! docs/limits.md lists. `errno` is preserved. Pointers are never altered.
#![cfg_attr(not(test), no_std)]

pub mod arena;
mod bypass;
pub mod capture;
pub mod comes_back;
mod exact_state;
mod forked;
pub mod helper;
mod kernel;
mod known;
pub mod libc_symbols;
pub mod lock_wrap;
mod machine;
pub mod map_wrap;
mod module_list;
mod modules;
pub mod operators;
mod place;
pub mod real;
pub mod real_map;
pub mod recorder;
pub mod records;
mod regions;
pub mod start;
mod stopwatch;
pub mod thread;
pub mod thread_wrap;
pub mod wrap;

pub use leakscope_session::filter::Filter;
pub use machine::Caller;
