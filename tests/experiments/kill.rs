//! kill -9 of a busy JVM at a moment that a seed chooses: the final profile is readable and passes its own checks.

use crate::support::leakscope::send_signal;
use crate::support::{Sandbox, machine, profiles, programs};
use leakscope_profile::Exit;
use std::thread;
use std::time::Duration;

/// Latest moment of death after recording began, milliseconds.
const LATEST_MS: u64 = 4000;

/// What was in the final profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub release: u32,
    /// Moment of death after recording began, milliseconds.
    pub moment_ms: u64,
    pub live_samples: u64,
    /// Samples with Java frames, live or not.
    pub java_samples: u64,
}

/// Kills the JVM of run number `number`, whose release and moment follow from it.
pub fn run(number: u64) -> Outcome {
    let release = machine::RELEASES[number as usize % machine::RELEASES.len()];
    // Multiples of the golden ratio spread evenly, whatever the count.
    let moment_ms = (number as f64 * 0.618_034 % 1.0 * LATEST_MS as f64) as u64;
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "16k", "--interval", "1s"]);
    let running = run
        .target(machine::java(release))
        .targets(&["-Xmx128m", "-cp"])
        .target(programs::java())
        .targets(&["Busy", "60000"])
        .start();
    let pid = running.recorded_pid();
    thread::sleep(Duration::from_millis(moment_ms));
    send_signal(pid, 9);
    let recording = running.ended().expect_code(128 + 9);
    let last = recording.last();
    assert_eq!(last.snapshot.reason, "final", "{}", recording.everything());
    assert_eq!(last.target.exit, Some(Exit::Signal(9)), "{}", recording.everything());
    let live_samples = last.rows.iter().map(|row| row.samples).sum();
    assert!(live_samples > 0, "an empty profile\n{}", recording.everything());
    Outcome { release, moment_ms, live_samples, java_samples: profiles::java_samples(&last).0 }
}
