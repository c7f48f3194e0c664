//! Talks to a HotSpot JVM in the same process: Java stacks in the allocation hook, names in the helper thread.
//!
//! Nothing is asked of the JVM's command line. The helper thread waits until the JVM is complete, attaches itself as
//! a daemon, has the JVM create its method ids, and then opens the gate ([`Jvm::serve`]); from then on a hook may
//! ask for the Java frames below an allocation ([`Jvm::capture`]), which are pairs of method id and bytecode index.
//! The helper turns those into class, method, file and line soon afterwards ([`Resolver`]), because classes get
//! unloaded.
//!
//! | side | calls | which are |
//! |---|---|---|
//! | hook | `GetEnv`, `AsyncGetCallTrace` | free of locks, allocation and changes of the thread's state (but see `anchor`) |
//! | helper, JVMTI's callbacks | JNI and JVMTI | ordinary calls into the JVM |
//!
//! What is deliberately absent: signals, `-agentpath`, JVMTI in the hook (it crashed JDK 25 when every allocation was
//! sampled), attaching before the JVM is live (it crashed JDK 11), and any wait of the attached helper outside
//! `RawMonitorWait` (it delays the JVM's exit by 300 ms).
//!
//! No allocation, no libc crate, no panic: the crate is carried into other people's processes.
#![cfg_attr(not(test), no_std)]

mod anchor;
mod attach;
mod capture;
mod counters;
mod events;
mod jni;
mod jvm;
mod jvmti;
mod kernel;
mod libjvm;
mod loads;
mod machine;
mod resolve;
mod serve;
mod slot;
mod state;
mod threads;
mod vm_structs;

pub use capture::{Capture, JavaFrame};
pub use counters::Counters;
pub use events::METHOD_ID_CAP;
pub use jvm::Jvm;
pub use libjvm::libjvm_is_mapped;
pub use loads::MOST_LOADS;
pub use resolve::{MethodNames, Resolver};
pub use serve::{Served, Sink, TICK_MS};
pub use state::{Reason, State};
