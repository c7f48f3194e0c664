//! One start of a JVM under leakscope: it must say hello and end with 0, neither crash nor hang.

use crate::support::{Sandbox, machine, programs};

/// Starts a JVM; how many snapshots were taken.
pub fn run(release: u32) -> usize {
    let sandbox = Sandbox::new();
    let run = sandbox.run().target(machine::java(release)).target("-cp").target(programs::java()).target("Hello");
    let recording = run.finish().expect_code(0);
    assert_eq!(recording.out(), "hello\n", "{}", recording.everything());
    recording.profiles().len()
}
