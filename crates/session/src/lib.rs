//! The session: the shared memory in which the target keeps what is live, and from which the collector reads it.
//!
//! ```text
//!   target: agent ── insert/take ──> LiveTable ─┐
//!                 ── intern ───────> Depot      ├── one sealed memfd ──> collector: scan, resolve, drain
//!                 ── push ─────────> Ring       │
//!                 ── insert/cut ───> RegionTable│
//!                 ── claim/publish ─> ThreadTable
//!   target: helper ─ names ────────> JavaTable ─┘
//! ```
//!
//! This crate holds the byte layout ([`header`], [`view`]) and the only lock-free code of leakscope: [`filter`],
//! [`live`], [`depot`], [`ring`], [`regions`], [`threads`]. Every structure is a *view* over slices of atomics, so that loom can model it on
//! its own atomics and the fuzzer can aim it at arbitrary bytes. The writer never blocks and never fails: what does
//! not fit is counted in [`losses`]. The reader believes nothing: offsets are checked once when a view is made
//! ([`view::Session::attach`]) and every index again when it is used.
//!
//! And the few things besides that target and collector must agree on ([`handshake`], [`jvm_threads`]).
//!
//! Deliberately absent: allocation, locks, system calls, panics.
#![cfg_attr(not(any(test, leakscope_loom)), no_std)]

pub mod cost;
pub mod depot;
pub mod filter;
pub mod frame;
pub mod handshake;
#[cfg(not(leakscope_loom))]
pub mod header;
mod index;
pub mod java;
pub mod jvm_threads;
pub mod live;
pub mod losses;
pub mod modules;
pub mod regions;
pub mod ring;
mod sync;
pub mod threads;
#[cfg(not(leakscope_loom))]
pub mod view;
