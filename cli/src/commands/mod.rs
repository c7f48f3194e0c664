//! One file for each command.

pub mod demo;
pub mod diff;
pub mod flame;
pub mod recover;
pub mod report;
pub mod run;
pub mod snapshot;
