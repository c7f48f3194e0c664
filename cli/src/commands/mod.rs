//! One file for each command.

pub mod baseline;
pub mod check;
pub mod completions;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod export;
pub mod flame;
pub mod man;
pub mod mark;
pub mod probe;
pub mod recover;
pub mod report;
pub mod report_html;
pub mod run;
pub mod snapshot;
pub mod top;
