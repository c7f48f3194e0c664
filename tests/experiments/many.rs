//! Very many live blocks in exact mode: each is counted, and none finds the table full.

use crate::support::truth::expect_exact;
use crate::support::{Sandbox, programs};

/// Keeps `blocks` blocks, and fails unless all of them are there.
pub fn run(blocks: u64) {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1"]).target(programs::c("many")).target(blocks.to_string());
    let recording = run.finish().expect_code(0);
    expect_exact(&recording, &recording.last(), &sandbox.report_of(&recording));
}
