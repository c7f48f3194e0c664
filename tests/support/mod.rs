//! The one door of the tests: target programs, a leakscope that runs them, and its decoded answers.
//!
//! ```text
//! programs.rs    tests/programs/NAME.c, .java   > compiled once for each content, under target/
//! plain.rs       a command without leakscope      > what it says
//! leakscope.rs   options and a command          > Running, Recording (stdout, stderr, code, folders)
//! profiles.rs    a recording                    > profiles that passed their own checks
//! json.rs        report --json, diff --json     > sites, estimates
//! timelines.rs  timeline.jsonl                > its points, and waiting for one
//! cgroups.rs    a limit                       > a memory cgroup of the test's own
//! invented.rs    recordings of programs that never ran
//! signals.rs    a command                   > one that heeds signals
//! panes.rs      a terminal of tmux          > what it shows, keys for it
//! truth.rs       `live FUNCTION BYTES OBJECTS`  > compared with either
//! ```
//!
//! What a machine lacks is a failure that says what to install, never a skip.

pub mod cgroups;
pub mod invented;
pub mod json;
pub mod leakscope;
pub mod machine;
pub mod panes;
pub mod plain;
pub mod profiles;
pub mod programs;
pub mod signals;
pub mod timelines;
pub mod truth;

pub use leakscope::{Recording, Sandbox};
