//! Everything end to end: real programs and real JVMs under the real leakscope, judged by its decoded profiles.
//!
//! One binary, one file for each theme; `support` is the door that all go through, `programs/` are the targets. The
//! long series (hundreds of runs) use the same experiments: see series.rs and scripts/series.

mod experiments;
mod support;

mod adaptive;
mod baseline;
mod check;
mod containers;
mod corpus;
mod daemons;
mod demo;
mod diff;
mod doctor;
mod estimates;
mod exact;
mod explain;
mod exports;
mod faults;
mod habits;
mod html;
mod instructions;
mod java;
mod killed;
mod mapped;
mod musl;
mod neighbours;
mod obstacles;
mod probe;
mod processes;
mod proofs;
mod resident;
mod run;
mod small;
mod stacks;
mod suppressions;
mod terminal;
mod threads;
mod timeline;
mod tools;
mod top;
mod users;
mod verdicts;
