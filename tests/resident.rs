//! What of mappings and stacks is in memory, beside what is reserved.

use crate::support::json::site_with;
use crate::support::{Sandbox, profiles, programs};
use leakscope_profile::{Kind, Profile};

const PAGE: u64 = 4096;

/// Bytes in memory of a function's rows, and bytes reserved.
fn of(profile: &Profile, function: &str) -> (u64, u64) {
    let rows = profile.rows.iter().filter(|row| row.kind != Kind::Malloc);
    let ours: Vec<_> = rows.filter(|row| profiles::functions(profile, row).any(|name| name == function)).collect();
    assert!(!ours.is_empty(), "nothing of {function}");
    let known = ours.iter().map(|row| row.resident_bytes.unwrap_or_else(|| panic!("{function}: not known")));
    (known.sum(), ours.iter().map(|row| row.bytes_observed).sum())
}

#[test]
fn pages_that_were_touched_are_resident_and_no_others() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().target(programs::c("resident")).start();
    let pid = run.recorded_pid();
    assert_eq!(run.line(), "ready");
    let file = sandbox.path().join("asked.prof");
    sandbox.command("snapshot").arg(pid.to_string()).arg("-o").arg(&file).finish().expect_code(0);
    let profile = profiles::read(&file);
    let reserved = 10 * 64 * PAGE;
    assert_eq!(of(&profile, "whole"), (reserved, reserved));
    assert_eq!(of(&profile, "half"), (reserved / 2, reserved));
    assert_eq!(of(&profile, "never"), (0, reserved));
    let (stacks, reserved) = of(&profile, "workers");
    assert_eq!(reserved, 10 << 20);
    // Beside the room that is used: the thread's own data, and the frames of libc.
    assert!((10 * (256 << 10)..10 * (320 << 10)).contains(&stacks), "{stacks}");
    let report = sandbox.report(&file);
    let site = site_with(&report, "workers").filter(|site| site["kind"] == "thread").expect("a site of threads");
    assert_eq!(site["resident_bytes"].as_u64(), Some(stacks));
    assert_eq!((site["samples"].as_u64(), site["exited"].as_u64()), (Some(10), Some(3)));
    let text = sandbox.command("report").args(&["--kind", "thread"]).arg(&file).finish().expect_code(0).out();
    assert!(
        text.contains("10 threads live, 10.0 MiB") && text.contains(" resident") && text.contains("3 exited"),
        "{text}"
    );
    // The last snapshot is taken when nothing is left of the process: what was seen before stands.
    let last = run.finish().expect_code(0).last();
    assert_eq!(of(&last, "workers"), (stacks, reserved));
    assert_eq!(of(&last, "never").0, 0);
}
