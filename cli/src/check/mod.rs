//! What `leakscope check` is made of.
//!
//! ```text
//!   CheckArgs, leakscope.toml > Settings > Round ×N ─ Control ──── lines ──── target
//!                                            │ Schedule: a checkpoint is due   │
//!                                            ├ Collecting: full collections ───┤
//!                                            └ Recorder: a snapshot ───────────┘
//!                                          Observed > obstacle? > judging > Gate > answer, exit code
//! ```

pub mod against;
pub mod answer;
pub mod collecting;
pub mod control;
pub mod judged;
pub mod judging;
pub mod obstacle;
pub mod round;
pub mod schedule;
pub mod selftest;
pub mod settings;
pub mod sources;
