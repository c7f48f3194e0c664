//! `leakscope top` in a real terminal: what it shows of a program that leaks while it runs, and what its keys do.

use crate::support::invented::Invented;
use crate::support::leakscope::{Running, send_signal};
use crate::support::panes::Pane;
use crate::support::timelines::timeline;
use crate::support::{Sandbox, programs};
use std::fs;

/// A server that loses connections, recorded until somebody ends it.
fn leaking(sandbox: &Sandbox) -> (Running, u32) {
    let run = sandbox.run().args(&["--interval", "1s", "--sample", "16k"]).target(programs::corpus_c("connections"));
    let run = run.targets(&["leak", "600"]).start();
    let pid = run.recorded_pid();
    (run, pid)
}

fn end(run: Running) -> crate::support::Recording {
    run.signal(libc::SIGTERM);
    run.finish().expect_code(143)
}

/// The numbers of the rows in the order they are shown, and what is at the end of each.
fn rows(shown: &str) -> Vec<String> {
    let from_table = shown.lines().skip_while(|line| !line.trim_start().starts_with("#  verdict"));
    let rows = from_table.skip(1).take_while(|line| line.trim_start_matches(['▶', ' ']).starts_with(char::is_numeric));
    rows.map(str::to_owned).collect()
}

#[test]
fn a_program_that_leaks_is_watched_marked_and_left_alone() {
    let sandbox = Sandbox::new();
    let (run, pid) = leaking(&sandbox);
    let pane = Pane::start(&sandbox, (100, 30), "", &format!("top {pid}"));
    pane.sees(&format!("program (pid {pid})"));
    let shown = pane.sees("VERDICT  LEAK  accepted");
    assert!(pane.is_taken() && shown.contains("recording  after") && shown.contains("RSS over time"), "{shown}");
    assert!(rows(&shown).iter().any(|row| row.contains("LEAK") && row.contains("accepted")), "{shown}");
    assert!(shown.contains("[q]uit"), "{shown}");

    pane.keys(&["l"]);
    pane.sees("SUSPECTS  by live bytes");
    pane.keys(&["a"]);
    pane.sees("SUSPECTS  by age");
    pane.keys(&["g"]);
    pane.sees("SUSPECTS  by growth");

    pane.keys(&["/"]);
    pane.types("no such place");
    pane.sees("filter: no such place");
    let shown = pane.sees("0 of ");
    assert!(rows(&shown).is_empty(), "{shown}");
    pane.keys(&["C-u"]);
    pane.types("ACCEPTED");
    pane.until("the filtered table", |shown| !rows(shown).is_empty() && shown.contains("contain \"ACCEPTED\""));
    pane.keys(&["Enter"]);
    pane.sees("[/] filter");

    pane.keys(&["Enter"]);
    let shown = pane.sees("[esc] back");
    assert!(shown.contains("> accepted") && shown.contains("connections.c:") && shown.contains("freed by"), "{shown}");
    pane.keys(&["Escape"]);
    pane.sees("SUSPECTS  by growth");

    pane.keys(&["m"]);
    pane.types("task restart");
    pane.sees("mark: task restart");
    pane.keys(&["Enter"]);
    pane.sees(&format!("marked program (pid {pid})"));
    pane.sees("marks 1, last \"task restart\"");

    pane.keys(&["s"]);
    pane.sees(&format!("leakscope-{pid}-"));
    pane.until("the snapshot", |shown| shown.contains(" live (") || shown.contains("live\n"));
    let taken = || {
        let entries = fs::read_dir(sandbox.path()).expect("the folder").flatten();
        entries.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|extension| extension == "prof"))
    };
    assert!(!crate::support::profiles::read(&taken().expect("a file")).rows.is_empty());

    pane.keys(&["h"]);
    pane.sees("this moment in the timeline");
    pane.keys(&["q"]);
    let shown = pane.sees("terminal as before");
    assert!(shown.contains("code 0") && !shown.contains("VERDICT") && !pane.is_taken(), "{shown}");
    let recording = end(run);
    let marks: Vec<String> = timeline(&recording.folder()).marks.into_iter().map(|mark| mark.text).collect();
    assert_eq!(marks, ["task restart"]);
}

#[test]
fn the_end_of_a_recording_is_shown_and_what_it_was_stays() {
    let sandbox = Sandbox::new();
    let (run, pid) = leaking(&sandbox);
    let pane = Pane::start(&sandbox, (80, 24), "", "top out");
    pane.sees("recording  after");
    end(run);
    let shown = pane.sees("ended: signal 15");
    assert!(shown.contains(&format!("(pid {pid})")), "{shown}");
    pane.keys(&["m"]);
    pane.sees("the recording has ended");
}

#[test]
fn every_way_out_gives_the_terminal_back() {
    let sandbox = Sandbox::new();
    Invented::default().write(sandbox.path());
    for (signal, code) in [(libc::SIGTERM, "code 143"), (libc::SIGINT, "code 130")] {
        let pane = Pane::start(&sandbox, (80, 24), "echo $$ > shell;", "top . --no-debug-info");
        pane.sees("SUSPECTS  by growth");
        send_signal(top_of(&sandbox), signal);
        let shown = pane.sees("terminal as before");
        assert!(shown.contains(code) && !pane.is_taken(), "{shown}");
    }
    let pane = Pane::start(&sandbox, (80, 24), "echo $$ > shell;", "top . --no-debug-info");
    pane.sees("SUSPECTS  by growth");
    pane.keys(&["C-c"]);
    assert!(pane.sees("terminal as before").contains("code 0"));
}

/// The process that the pane's shell has started.
fn top_of(sandbox: &Sandbox) -> u32 {
    let shell = fs::read_to_string(sandbox.path().join("shell")).expect("the shell's process id");
    let shell = shell.trim();
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).expect("its children");
    children.split_whitespace().last().and_then(|pid| pid.parse().ok()).expect("a child")
}

fn state_of(pid: u32) -> char {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its state");
    status.rsplit(") ").next().and_then(|rest| rest.chars().next()).expect("a letter")
}

#[test]
fn it_stops_with_the_terminal_given_back_and_goes_on() {
    let sandbox = Sandbox::new();
    Invented::default().write(sandbox.path());
    let pane = Pane::start(&sandbox, (80, 24), "echo $$ > shell;", "top . --no-debug-info");
    pane.sees("SUSPECTS  by growth");
    let pid = top_of(&sandbox);
    for by_key in [true, false] {
        if by_key {
            pane.keys(&["C-z"])
        } else {
            send_signal(pid, libc::SIGTSTP)
        };
        pane.until("the stop", |_| state_of(pid) == 'T');
        assert!(!pane.is_taken());
        send_signal(pid, libc::SIGCONT);
        pane.sees("SUSPECTS  by growth");
        assert!(pane.is_taken());
    }
    pane.keys(&["q"]);
    pane.sees("terminal as before");
}

#[test]
fn sizes_change_and_colour_is_left_out_where_nobody_wants_it() {
    let sandbox = Sandbox::new();
    Invented::default().write(sandbox.path());
    let pane = Pane::start(&sandbox, (80, 24), "NO_COLOR=1", "top . --no-debug-info");
    pane.sees("SUSPECTS  by growth");
    pane.sees("b Java heap");
    // Bold and reverse stay; 30 to 38 and 90 to 97 are colours.
    let painted = pane.painted();
    let codes = painted.split('\u{1b}').skip(1).filter_map(|text| text.strip_prefix('[')?.split_once('m'));
    let colours: Vec<&str> = codes.map(|(codes, _)| codes).filter(|codes| is_colour(codes)).collect();
    assert_eq!(colours, [""; 0], "{painted}");
    pane.resize(160, 50);
    let shown = pane.until("the wide screen", |shown| shown.contains("live over time") && shown.lines().count() == 50);
    assert!(shown.lines().last().is_some_and(|line| line.contains("[q]uit")), "{shown}");
    pane.resize(40, 8);
    pane.until("the small screen", |shown| shown.lines().count() == 8 && shown.contains("[g]rowth"));
}

fn is_colour(codes: &str) -> bool {
    codes.split(';').filter_map(|code| code.parse::<u32>().ok()).any(|code| matches!(code, 30..=38 | 90..=97))
}

#[test]
fn scripts_get_one_frame_and_no_terminal_is_no_place_for_more() {
    let sandbox = Sandbox::new();
    Invented::default().write(sandbox.path());
    let once = sandbox.command("top").args(&[".", "--once", "--no-debug-info"]).finish().expect_code(0);
    let (out, report) = (once.out(), sandbox.command("report").args(&[".", "--no-debug-info"]).finish().out());
    assert!(!out.contains('\u{1b}') && out.contains("java (pid 41)"), "{out}");
    let verdict = report.lines().next().and_then(|line| line.strip_prefix("VERDICT  ")).expect("a verdict");
    let said = out.split_whitespace().collect::<Vec<_>>().join(" ");
    let verdict = verdict.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(&verdict), "top says as report does:\n{verdict}\n{out}");
    let refused = sandbox.command("top").arg(".").finish().expect_code(2);
    assert!(refused.err().contains("--once"), "{}", refused.everything());
    sandbox.command("top").args(&["nowhere", "--once"]).finish().expect_code(4);
    let not_recorded = sandbox.command("top").args(&[&std::process::id().to_string(), "--once"]).finish();
    assert!(not_recorded.expect_code(3).err().contains("is not recorded"));
}
