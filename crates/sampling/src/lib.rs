//! The probability formula of leakscope, once: for choosing a sample and for scaling it up.
//!
//! An allocation of `size` bytes is recorded with the *inclusion probability*
//!
//! ```text
//! p = 1 - e^(-max(size, 1) / interval)
//! ```
//!
//! and every recorded one stands for `1/p` of its kind (its *weight*). [`Sampler`] makes the choice in the target,
//! [`Scaled`] undoes it at the desk; both call [`inclusion_probability`], so they cannot disagree. What makes the
//! estimates unbiased, and what other profilers got wrong (`tests/known_bugs.rs` has each of them):
//!
//! - the interval is the one in force *when the gap was drawn*, not the one of now;
//! - each sample is scaled by its own p before anything is summed;
//! - one allocation is one sample at most, however many gaps it spans;
//! - the size that goes into p is the one that was subtracted from the counter.
//!
//! Deliberately absent: threads, clocks, memory, unsafe code, anything that can panic. The hook owns the thread's
//! state and may do the subtraction itself (see [`Sampler::after_crossing`]).
//!
//! # Hot path
//! Nothing here allocates, locks, makes a system call or panics; all of it is signal-safe.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod interval;
mod ladder;
mod probability;
mod rng;
mod sampler;

pub use interval::Interval;
pub use ladder::{Ladder, STEPS};
pub use probability::{Scaled, inclusion_probability, weight};
pub use rng::Rng;
pub use sampler::{Sampler, draw_gap};
