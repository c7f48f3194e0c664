//! The recording half: what `leakscope run` is made of, and each round of `leakscope check`.
//!
//! ```text
//!   Target: doctor::program > launch ────── target ──── shim
//!                          signals ───^            │ handshake
//!                                     front <──────┘
//!                          Recorder <── events of front, the target's end, a tick each 100 ms
//!                             └ Recorded (one for each process) > Folder > NNNN.prof, session.json
//!                                                             > Pace > timeline.jsonl
//! ```

pub mod cadence;
pub mod finished;
pub mod folder;
pub mod front;
pub mod heap;
pub mod launch;
pub mod messages;
pub mod native_memory;
pub mod oom;
pub mod output;
pub mod pace;
pub mod recorded;
pub mod recorder;
pub mod signals;
pub mod target;
pub mod thinning;
