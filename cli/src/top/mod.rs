//! `leakscope top`: a recording on a screen, while it grows.
//!
//! ```text
//!  timeline.jsonl ──> tail.rs ──> Figures  ─┐  each second
//!  NNNN.prof ───────> findings.rs Findings ─┤  each snapshot, on a thread of its own
//!  keyboard ────────> keys.rs     Action   ─┼──> state.rs ──> view.rs ──> screen.rs
//!  signals ─────────> screen.rs             │
//!  mark, snapshot <── asking.rs <───────────┘
//! ```
//! The state is a function of what came in and the view one of the state, so both are tested without a terminal; only
//! `screen.rs` knows one. Nothing here measures: `leakscope run` does, and writes what is shown to disk, so a recording
//! that has ended is shown in the same way.

mod asking;
mod figures;
mod findings;
mod keys;
mod screen;
mod source;
mod state;
mod tail;
mod view;
mod watch;

pub use source::Source;
pub use watch::{once, watch};
