//! Very many live blocks in exact mode: each is counted, and none finds the table full.

use crate::support::json::{Estimate, site_with};
use crate::support::{Sandbox, programs};

/// What the recording says of the blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Live objects of the function that keeps them.
    pub objects: Estimate,
    /// Their bytes.
    pub bytes: Estimate,
    /// Blocks for which the live table had no room.
    pub lost: u64,
}

impl Outcome {
    /// All of them are there, and nothing else is.
    pub fn expect_all(&self, blocks: u64) {
        let exactly = |value: u64| Estimate { estimate: value as f64, low: value as f64, high: value as f64 };
        let all = Outcome { objects: exactly(blocks), bytes: exactly(24 * blocks), lost: 0 };
        assert_eq!(*self, all);
    }
}

/// Keeps `blocks` blocks of 24 bytes.
pub fn run(blocks: u64) -> Outcome {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1"]).target(programs::c("many")).target(blocks.to_string());
    let recording = run.finish().expect_code(0);
    let report = sandbox.report_of(&recording);
    let site = site_with(&report, "keep").unwrap_or_else(|| panic!("no site\n{}", recording.everything()));
    let lost = report["losses"]["table_full"].as_u64().unwrap_or(0);
    Outcome { objects: Estimate::of(&site["live_objects"]), bytes: Estimate::of(&site["live_bytes"]), lost }
}
