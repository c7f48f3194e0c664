//! From a session to snapshots: the desk side of the shared memory, while the target runs and after its death.
//!
//! ```text
//!   Reception ── handshake ──> SharedSession ──> Collector ── snapshot ──> Profile
//!   (socket)                   (sealed memfd)    ├ JavaNames    methods and lines, read as they come
//!   ProcessFacts (/proc, cgroup) ───────────────>├ Modules      files of native frames, opened as they come
//!   NativeNames (the caller's symbolizer) ──────>├ NativeCache  names by module and address
//!                              interval <── raise ─└ Governor     what sampling costs and loses, once a second
//! ```
//!
//! The live table is the truth, so a snapshot is one scan of it, and works the same when the target was killed: the
//! mapping keeps the memory alive. What would be gone with the target (/proc, deleted libraries) is gathered while it
//! lives.
//!
//! A session is written by another process, which may be broken or hostile: nothing here panics, hangs or takes
//! memory without bound, whatever it holds. The collector shares the target's memory limit, so pages of the session
//! are given back while it is scanned, and holes of the file are never touched: reading one would fill it.
//!
//! Deliberately absent: threads, output files, and symbol tables: [`NativeNames`] is a trait, because `symbolize`
//! stands on the same floor.

mod attach;
mod branches;
mod cgroup;
mod clock;
mod collection;
mod collector;
mod drain;
mod error;
mod facts;
mod governor;
mod interval;
mod java;
mod jvm;
mod jvm_counters;
mod kept;
mod liveness;
mod losses;
mod machine;
mod meter;
mod modules;
mod native;
mod nmt;
mod parts;
mod peer;
mod perf_data;
mod reception;
mod regions;
mod residence;
mod root;
mod rows;
mod shared;
mod smaps;
mod stacks;
mod status;
mod survey;
mod threads;
mod throttle;
mod tracked;
mod vm_structs;

pub use attach::{AttachError, Attachment};
pub use cgroup::CgroupMemory;
pub use collection::Collections;
pub use collector::{Collector, Occasion};
pub use drain::{Churn, Drain};
pub use error::CollectError;
pub use facts::{ProcessFacts, process_name};
pub use governor::Governor;
pub use java::class_name;
pub use jvm::JvmFacts;
pub use liveness::{Liveness, parent_of};
pub use losses::DeskLoss;
pub use meter::Meter;
pub use modules::KnownModule;
pub use native::{NativeName, NativeNames, NoNames};
pub use nmt::{native_memory, parse_native_memory};
pub use parts::PartsReader;
pub use peer::{Credentials, Peer, Received};
pub use reception::{Decide, Event, PeerId, Reception};
pub use root::ProcessRoot;
pub use shared::SharedSession;
pub use smaps::{Figures, SmapsEntry, parse_smaps, read_smaps};
pub use survey::Survey;
