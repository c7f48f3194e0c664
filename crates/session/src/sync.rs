//! Atomics of `core`, or loom's where a model is checked (`--cfg leakscope_loom`).

#[cfg(not(leakscope_loom))]
pub(crate) use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(leakscope_loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
