use super::*;
use leakscope_analyze::{AnalysisOptions, analyze};
use leakscope_profile::{
    Code, Frame, FrameId, Function, FunctionId, Kind, Profile, Row, Snapshot, Stack, StackId, Totals,
};

/// Three places with these names and live bytes; the first listed is the oldest.
fn findings(places: &[(&str, f64)]) -> Findings {
    let mut profile = Profile {
        snapshot: Snapshot { session: [1; 16], epoch: 9, uptime_ms: 60_000, ..Snapshot::default() },
        ..Profile::default()
    };
    for (at, (name, bytes)) in places.iter().enumerate() {
        let id = at as u32;
        let function = Function { name: (*name).to_owned(), ..Function::default() };
        profile.functions.push(function);
        profile.frames.push(Frame { code: Code::Java, function: FunctionId(id), line: 7, inlined: false });
        profile.stacks.push(Stack { frames: vec![FrameId(id)], totals: Totals::default() });
        profile.rows.push(Row {
            stack: StackId(id),
            kind: Kind::Malloc,
            epoch: 1,
            interval_bytes: 1,
            samples: 1,
            bytes: *bytes,
            bytes_variance: 0.0,
            bytes_observed: *bytes as u64,
            objects: 1.0,
            objects_variance: 0.0,
            smallest_bytes: *bytes as u64,
            oldest_ms: u64::from(id) * 1000,
            resident_bytes: None,
        });
    }
    Findings::of(analyze(&[profile], &Default::default(), &AnalysisOptions::default()))
}

fn state() -> State {
    let mut state = State::default();
    state.set_findings(findings(&[("com.acme.Old.keep", 2e6), ("com.acme.Big.fill", 9e6), ("org.other.Small.x", 1e6)]));
    state
}

fn names(state: &State) -> Vec<String> {
    let name = |at: usize| {
        let analysis = &state.findings.as_ref().unwrap().analysis;
        analysis.frames.resolve(&state.suspect(at).place.frames).next().unwrap().function.clone()
    };
    state.order().into_iter().map(name).collect()
}

fn typed(state: &mut State, text: &str) {
    for c in text.chars() {
        assert_eq!(state.apply(Action::Type(c)), Effect::None);
    }
}

#[test]
fn the_table_is_sorted_by_what_is_asked_for() {
    let mut state = state();
    state.apply(Action::Sort(Sort::Live));
    assert_eq!(names(&state), ["com.acme.Big.fill", "com.acme.Old.keep", "org.other.Small.x"]);
    state.apply(Action::Sort(Sort::Age));
    assert_eq!(names(&state), ["com.acme.Old.keep", "com.acme.Big.fill", "org.other.Small.x"]);
}

#[test]
fn the_selection_stays_on_its_place_when_new_findings_come() {
    let mut state = state();
    state.apply(Action::Sort(Sort::Live));
    state.apply(Action::Down(1));
    assert_eq!(state.row(&state.order()), 1);
    state.set_findings(findings(&[("com.acme.Old.keep", 90e6), ("com.acme.Big.fill", 9e6)]));
    assert_eq!(names(&state)[0], "com.acme.Old.keep");
    assert_eq!(state.row(&state.order()), 0, "it leads now");
    state.apply(Action::Down(usize::MAX));
    assert_eq!(state.row(&state.order()), 1);
    state.apply(Action::Up(usize::MAX));
    assert_eq!(state.row(&state.order()), 0);
}

#[test]
fn a_filter_applies_as_it_is_typed() {
    let mut state = state();
    state.apply(Action::Filter);
    typed(&mut state, "ACME");
    assert_eq!(names(&state).len(), 2, "whatever the case");
    typed(&mut state, ".big");
    assert_eq!(names(&state), ["com.acme.Big.fill"]);
    state.apply(Action::Accept);
    assert_eq!((&state.mode, state.filter.as_str()), (&Mode::Table, "ACME.big"));
    state.apply(Action::Accept);
    assert_eq!(state.mode, Mode::Stack);
    state.apply(Action::Cancel);
    assert_eq!((&state.mode, names(&state).len()), (&Mode::Table, 1), "the filter stays");
    state.apply(Action::Cancel);
    assert_eq!(names(&state).len(), 3);
    state.apply(Action::Filter);
    typed(&mut state, "nothing like it");
    assert!(names(&state).is_empty());
    assert_eq!(state.apply(Action::Down(1)), Effect::None);
    state.apply(Action::Accept);
    state.apply(Action::Accept);
    assert_eq!(state.mode, Mode::Table, "there is nothing to show");
}

#[test]
fn a_mark_is_asked_for_once_it_has_words() {
    let mut state = state();
    state.apply(Action::Mark);
    assert_eq!(state.apply(Action::Accept), Effect::None);
    state.apply(Action::Mark);
    typed(&mut state, " task resz");
    state.apply(Action::Erase);
    typed(&mut state, "tart ");
    assert_eq!(state.apply(Action::Accept), Effect::Ask(Wish::Mark("task restart".into())));
    assert_eq!(state.mode, Mode::Table);
    state.apply(Action::Mark);
    typed(&mut state, &"ü".repeat(MOST_MARK_BYTES as usize));
    let Mode::Mark(text) = &state.mode else { panic!("{:?}", state.mode) };
    assert!(text.len() as u64 <= MOST_MARK_BYTES);
    state.apply(Action::EraseAll);
    assert_eq!(state.mode, Mode::Mark(String::new()));
    state.apply(Action::Cancel);
    assert_eq!(state.mode, Mode::Table);
}

#[test]
fn nothing_is_asked_of_a_recording_that_has_ended() {
    let mut state = state();
    assert_eq!(state.apply(Action::Snapshot), Effect::Ask(Wish::Snapshot));
    state.figures.ended = Some("ended: code 0".into());
    for action in [Action::Snapshot, Action::Mark] {
        assert_eq!(state.apply(action), Effect::None);
        assert!(state.message.as_ref().unwrap().contains("has ended") && state.mode == Mode::Table);
    }
    state.apply(Action::Down(1));
    assert_eq!(state.message, None, "the next key takes the message away");
}
