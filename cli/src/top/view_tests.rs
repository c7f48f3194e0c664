//! Whole screens against frames/: `LEAKSCOPE_BLESS=1 cargo test -p leakscope --bin leakscope top::view` writes them
//! anew; read the difference before it is committed.

use super::*;
use crate::reading::Symbols;
use crate::recording;
use crate::session_file::SessionFile;
use crate::top::figures::Figures;
use crate::top::findings::Judge;
use crate::top::state::Action;
use leakscope_analyze::AnalysisOptions;
use leakscope_profile::timeline::{Mark, Timeline};
use std::path::PathBuf;

#[path = "../../../tests/support/invented.rs"]
mod invented;

const COLORFUL: Look = Look { ascii: false, color: true };
const PLAIN: Look = Look { ascii: true, color: false };

fn state() -> State {
    let directory = tempfile::tempdir().unwrap();
    let folder = invented::Invented { snapshots: 20, others: 12, ..Default::default() }.write(directory.path());
    let mut process = recording::processes(&folder).unwrap().remove(0);
    process.session.end = None; // it is still recorded
    let mut timeline = Timeline::read(&std::fs::read(folder.join("timeline.jsonl")).unwrap());
    timeline.marks.push(Mark { time_ms: 0, uptime_ms: 9, text: "task restart".into() });
    let mut state = State::default();
    state.set_figures(Figures::of(&timeline, &process.session, false));
    let mut judge = Judge::new(Symbols::none(), AnalysisOptions::default());
    state.set_findings(judge.look(&process, &timeline).unwrap());
    assert!(judge.look(&process, &timeline).is_none(), "nothing is new");
    state
}

fn screen(state: &State, look: &Look, width: u16, height: u16) -> String {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| draw(frame, state, look));
    text_of(terminal.backend().buffer()).join("\n") + "\n"
}

fn check(name: &str, got: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/top/frames").join(name);
    if std::env::var_os("LEAKSCOPE_BLESS").is_some() {
        std::fs::write(&path, got).expect("the folder of frames is writable");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(expected, got, "{name}: if it is meant to be so, LEAKSCOPE_BLESS=1 writes it anew");
}

#[test]
fn the_table() {
    let mut state = state();
    check("table-80x24.txt", &screen(&state, &COLORFUL, 80, 24));
    check("table-140x40.txt", &screen(&state, &COLORFUL, 140, 40));
    let plain = screen(&state, &PLAIN, 80, 24);
    assert!(plain.is_ascii(), "{plain}");
    check("table-ascii.txt", &plain);
    state.apply(Action::Sort(Sort::Live));
    state.apply(Action::Filter);
    "rocksdb".chars().for_each(|c| {
        state.apply(Action::Type(c));
    });
    check("filter.txt", &screen(&state, &COLORFUL, 100, 24));
}

#[test]
fn a_suspect_in_full_and_the_help() {
    let mut state = state();
    state.apply(Action::Accept);
    let whole = screen(&state, &COLORFUL, 100, 30);
    check("stack.txt", &whole);
    state.apply(Action::Down(usize::MAX));
    assert!(screen(&state, &COLORFUL, 80, 12).lines().count() == 12);
    state.apply(Action::Help);
    check("help.txt", &screen(&state, &COLORFUL, 120, 30));
}

#[test]
fn a_frame_for_scripts_has_every_line_but_that_of_the_keyboard() {
    let frame = plain(&state(), &Look { color: false, ..COLORFUL }, 120);
    check("once.txt", &frame);
    assert!(!frame.contains("[q]uit") && !frame.contains('\u{1b}'));
}

#[test]
fn the_selected_row_is_on_the_screen_wherever_it_is() {
    let mut state = state();
    let rows = state.order().len();
    assert!(rows > 8, "more than there is room for: {rows}");
    for row in 0..rows {
        let shown = screen(&state, &PLAIN, 80, 20);
        let selected = shown.lines().find(|line| line.starts_with('>')).expect("a selected row");
        assert_eq!(selected.split_whitespace().nth(1), Some((row + 1).to_string().as_str()), "{shown}");
        state.apply(Action::Down(1));
    }
}

#[test]
fn every_size_of_a_terminal_is_survived() {
    let mut state = state();
    for action in [Action::Redraw, Action::Accept, Action::Help, Action::Cancel, Action::Mark] {
        state.apply(action);
        for (width, height) in [(1, 1), (2, 40), (300, 1), (20, 5), (40, 10), (79, 15), (500, 200)] {
            screen(&state, &COLORFUL, width, height);
            screen(&state, &PLAIN, width, height);
        }
    }
}

#[test]
fn before_anything_is_known_the_screen_says_so() {
    let mut state = State::default();
    let session = SessionFile { name: "java".into(), pid: 7, ..SessionFile::default() };
    state.set_figures(Figures::of(&Timeline::default(), &session, false));
    let shown = screen(&state, &COLORFUL, 80, 24);
    for words in ["java (pid 7)", "VERDICT  none yet", "not measured yet", "waiting for the first snapshot", "[q]uit"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    state.figures.target = "evil \u{1b}[2J\u{7}".to_owned();
    assert!(!screen(&state, &COLORFUL, 80, 24).contains('\u{1b}'));
}
