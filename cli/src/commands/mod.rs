//! One file for each command.

pub mod recover;
pub mod run;
pub mod snapshot;
