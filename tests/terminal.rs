//! On a terminal: what is typed goes to the whole foreground process group, leakscope and the target.

use crate::support::leakscope::{Running, send_signal};
use crate::support::{Sandbox, programs};
use std::fs;

/// Reads what the terminal shows up to a line with `text`.
fn read_until(run: &mut Running, text: &str) -> String {
    loop {
        let line = run.line();
        if line.contains(text) {
            return line;
        }
    }
}

fn parent_of(pid: &str) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("its parent");
    parent.trim().parse().expect("a number")
}

#[test]
fn ctrl_c_reaches_the_target_exactly_once() {
    let sandbox = Sandbox::new();
    let terminal = programs::c_with("terminal", &["-lutil"]);
    let run = sandbox.run().through(&[terminal.to_str().expect("a path of text")]);
    let mut run = run.args(&["--sample", "1"]).target(programs::c("interrupts")).start();
    // In either order.
    let mut shown = Vec::new();
    while !["ready", "handshake ok"].iter().all(|text| shown.iter().any(|line: &String| line.contains(text))) {
        shown.push(run.line());
    }
    let said = shown.iter().find_map(|line| line.split_once("handshake ok")?.1.split_once("(pid "));
    let pid = said.and_then(|(_, rest)| rest.split_once(')')).expect("a process id").0.to_owned();
    let leakscope = parent_of(&pid);
    for _ in 0..3 {
        // Stopped meanwhile: a second signal would be lost in the first, as long as that has not been dealt with.
        send_signal(leakscope, libc::SIGSTOP);
        run.tell("\x03");
        read_until(&mut run, "caught");
        send_signal(leakscope, libc::SIGCONT);
    }
    // Passed on by the thread that would have passed SIGINT on before it: whatever it sent has come by then.
    send_signal(leakscope, libc::SIGTERM);
    assert_eq!(read_until(&mut run, " interrupts"), "3 interrupts");
    let recording = run.ended().expect_code(0);
    assert_eq!(crate::support::profiles::observed(&recording.last(), "main").0, 4242, "{}", recording.everything());
}
