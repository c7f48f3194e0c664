//! How long a JVM takes to end once it has begun to, plain and recorded. No assertion: time depends on the machine.

use crate::support::{Sandbox, machine, programs};
use std::ffi::OsString;
use std::process::Command;

/// The ways to end.
pub const WAYS: [&str; 3] = ["return", "exit", "halt"];

/// Microseconds from a Java program's last words to the instant at which its parent, a shell, is told that it ended.
pub fn delay_us(release: u32, way: &str, is_recorded: bool) -> u64 {
    let line = r#""$0" -cp "$1" Exits "$2" 700 && date +%s%N"#;
    let java: [OsString; 3] = [machine::java(release).into(), programs::java().into(), way.into()];
    let out = if is_recorded {
        let sandbox = Sandbox::new();
        let mut run = sandbox.run().target("sh").target("-c").target(line);
        for part in &java {
            run = run.target(part);
        }
        run.finish().expect_code(0).out()
    } else {
        let output = Command::new("sh").arg("-c").arg(line).args(&java).output().expect("sh starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let mut lines = out.lines().map(|line| line.parse::<u64>().expect("a time"));
    let mut next = || lines.next().unwrap_or_else(|| panic!("two times expected: {out}"));
    let (began_us, ended_ns) = (next(), next());
    (ended_ns / 1000).saturating_sub(began_us)
}

/// The median.
pub fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}
