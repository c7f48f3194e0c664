//! Sites: identity, grouping, matching across builds, sums.

mod program;

use leakscope_analyze::{By, DiffOptions, Estimate, Grouping, Status, diff, sites};
use leakscope_profile::model::{
    Code, Frame, FrameId, Function, FunctionId, Kind, Module, ModuleId, Profile, Row, Settings, Stack, StackId, Totals,
};
use leakscope_sampling::Interval;

/// A profile of exactly recorded blocks, written as text: one line for each stack, leaf first,
/// `kind bytes frame frame ...`; a frame is `library!function:line` or `function:line` for Java.
fn exact(text: &str) -> Profile {
    let mut profile = Profile { settings: Settings { interval_bytes: 1, ..Settings::default() }, ..Profile::default() };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let kind = match words.next() {
            Some("malloc") => Kind::Malloc,
            Some("mmap-file") => Kind::MmapFile,
            other => panic!("kind {other:?}"),
        };
        let size: u64 = words.next().and_then(|w| w.parse().ok()).expect("bytes");
        let frames = words.map(|word| frame(&mut profile, word)).collect();
        let stack = StackId(profile.stacks.len() as u32);
        let totals = Totals { samples: 1, bytes: size as f64, bytes_observed: size, objects: 1.0, ..Totals::default() };
        profile.stacks.push(Stack { frames, totals });
        let mut row = Row { kind, ..program::empty_row(stack.0, 0, Interval::EXACT) };
        program::add(&mut row, size, Interval::EXACT);
        profile.rows.push(row);
    }
    profile
}

fn frame(profile: &mut Profile, word: &str) -> FrameId {
    let (library, rest) = word.split_once('!').map_or((None, word), |(l, r)| (Some(l), r));
    let (name, line) = rest.rsplit_once(':').expect("function:line");
    let code = match library {
        None => Code::Java,
        Some(library) => {
            profile.modules.push(Module { path: format!("/lib/{library}"), ..Module::default() });
            let address = 0x1000 + profile.frames.len() as u64;
            Code::Native { module: Some(ModuleId(profile.modules.len() as u32 - 1)), address }
        }
    };
    profile.functions.push(Function { name: name.to_owned(), ..Function::default() });
    let function = FunctionId(profile.functions.len() as u32 - 1);
    profile.frames.push(Frame { code, function, line: line.parse().expect("line"), inlined: false });
    FrameId(profile.frames.len() as u32 - 1)
}

fn by(by: By) -> Grouping {
    Grouping { by, packages: Vec::new() }
}

const PROGRAM: &str = "
    malloc 1000 libz.so.1!deflateInit2_:0 java.util.zip.Deflater.init:5 com.acme.Log.write:88
    malloc  500 libz.so.1!deflateInit2_:0 java.util.zip.Deflater.init:5 com.acme.Log.write:90
    malloc  200 libc.so.6!strdup:0 librocksdbjni1323.so!Open:0 com.acme.Store.open:7
    mmap-file 50 libc.so.6!strdup:0 librocksdbjni1323.so!Open:0 com.acme.Store.open:7
";

fn program_text() -> String {
    PROGRAM.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn each_grouping_adds_up_to_the_same_total() {
    let profile = exact(&program_text());
    for (by_what, expected) in [
        (By::Stack, vec![1000.0, 500.0, 200.0, 50.0]),
        (By::Java, vec![1500.0, 200.0, 50.0]),
        (By::Library, vec![1500.0, 200.0, 50.0]),
        (By::Kind, vec![1700.0, 50.0]),
    ] {
        let sites = sites(&profile, &by(by_what));
        let live: Vec<f64> = sites.sites.iter().map(|s| s.amounts.live_bytes.estimate).collect();
        assert_eq!(live, expected, "{}", by_what.as_str());
        assert_eq!(sites.total.live_bytes, Estimate::exact(1750.0));
        assert_eq!(sites.total.allocated_bytes, Estimate::exact(1750.0));
        assert_eq!(sites.total.live_objects, Estimate::exact(4.0));
        assert!((sites.sites.iter().map(|s| s.share).sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn the_names_of_groups_are_what_the_reader_looks_for() {
    let profile = exact(&program_text());
    let name = |by_what: By, at: usize| {
        let sites = sites(&profile, &by(by_what));
        sites.frames.resolve(&sites.sites[at].place.frames).next().expect("a frame").function.clone()
    };
    assert_eq!(name(By::Java, 0), "com.acme.Log.write");
    assert_eq!(name(By::Library, 0), "libz.so.1");
    assert_eq!(name(By::Library, 1), "librocksdbjni*.so");
    let stacks = sites(&profile, &by(By::Stack));
    assert_eq!(stacks.sites[0].place.application, Some(2));
}

#[test]
fn stacks_without_java_are_counted_by_library_among_java_methods() {
    let profile = exact(
        "malloc 100 libc.so.6!strdup:0 libjvm.so!os::strdup:0 libjvm.so!init:0\n\
         malloc 20 libjvm.so!os::malloc:0 libjvm.so!grow:0\n\
         malloc 3 libjvm.so!os::malloc:0 com.acme.Log.write:90",
    );
    let java = sites(&profile, &by(By::Java));
    let names: Vec<&str> =
        java.sites.iter().flat_map(|s| java.frames.resolve(&s.place.frames)).map(|f| f.function.as_str()).collect();
    assert_eq!(names, ["libjvm.so (no Java frame)", "com.acme.Log.write"]);
    let own: Vec<bool> = sites(&profile, &by(By::Stack)).sites.iter().map(|s| s.place.is_jvms_own).collect();
    assert_eq!(own, [true, true, false]);
    assert!(java.sites.iter().all(|s| !s.place.is_jvms_own));
}

#[test]
fn no_less_was_allocated_than_is_live() {
    let mut profile = exact("malloc 1000 app!fill:3");
    profile.stacks[0].totals.bytes = 997.0;
    let sites = sites(&profile, &by(By::Stack));
    assert_eq!(sites.sites[0].amounts.allocated_bytes, Estimate::exact(1000.0));
    assert_eq!(sites.total.allocated_bytes, Estimate::exact(1000.0));
}

#[test]
fn an_id_is_stable_across_runs_and_a_key_across_edits() {
    let id = |text: &str| {
        let sites = sites(&exact(text), &Grouping::default());
        (sites.sites[0].place.id, sites.sites[0].place.key)
    };
    let first = id("malloc 10 librocksdbjni1323.so!Open:3 com.acme.Foo$$Lambda$14/0x0800c8.run:0");
    let again = id("malloc 99 librocksdbjni987654.so!Open:3 com.acme.Foo$$Lambda$20/0x0912ff.run:0");
    assert_eq!(first, again);
    let edited = id("malloc 10 librocksdbjni1323.so!Open:4 com.acme.Foo$$Lambda$14/0x0800c8.run:0");
    assert_ne!(first.0, edited.0);
    assert_eq!(first.1, edited.1);
    let other_kind = id("mmap-file 10 librocksdbjni1323.so!Open:3 com.acme.Foo$$Lambda$14/0x0800c8.run:0");
    assert_ne!(first, other_kind);
    // Baselines store these: a changed value is a broken promise, not a golden file to bless.
    assert_eq!(first.0.to_string(), "a0850102343fa1b4");
    assert_eq!(first.1.to_string(), "5dad97c57af16b39");
}

#[test]
fn two_addresses_of_one_line_are_one_site() {
    let profile = exact("malloc 10 app!fill:3 app!main:9\nmalloc 20 app!fill:3 app!main:9");
    let sites = sites(&profile, &Grouping::default());
    assert_eq!(sites.sites.len(), 1);
    assert_eq!(sites.sites[0].amounts.live_bytes, Estimate::exact(30.0));
}

#[test]
fn exact_runs_are_compared_exactly() {
    let a = exact("malloc 100 app!grow:1\nmalloc 70 app!same:1\nmalloc 50 app!shrink:1\nmalloc 9 app!gone:1");
    let b = exact("malloc 300 app!grow:1\nmalloc 70 app!same:1\nmalloc 20 app!shrink:1\nmalloc 8 app!new:1");
    let diff = diff(&a, &b, &DiffOptions::default());
    assert!(!diff.paired && !diff.reversed);
    let found: Vec<(f64, Status)> = diff.sites.iter().map(|g| (g.growth_bytes().estimate, g.status)).collect();
    let expected = [
        (200.0, Status::Grown),
        (8.0, Status::New),
        (0.0, Status::Same),
        (-9.0, Status::Gone),
        (-30.0, Status::Shrunk),
    ];
    assert_eq!(found, expected);
    assert!(diff.sites.iter().all(|g| g.growth_bytes().is_exact() && g.baseline_bytes().is_exact()));
    assert_eq!(diff.growth_bytes, Estimate::exact(169.0));
}

#[test]
fn a_tolerance_is_put_up_with() {
    let (a, b) = (exact("malloc 100 app!grow:1"), exact("malloc 300 app!grow:1"));
    for (tolerance_bytes, status) in [(199.0, Status::Grown), (200.0, Status::Same)] {
        let options = DiffOptions { tolerance_bytes, ..DiffOptions::default() };
        assert_eq!(diff(&a, &b, &options).sites[0].status, status);
    }
}

#[test]
fn lines_that_moved_between_builds_are_matched_by_function() {
    let a = exact("malloc 100 app!grow:10 app!main:1");
    let b = exact("malloc 300 app!grow:12 app!main:1");
    let moved = diff(&a, &b, &DiffOptions::default());
    assert_eq!(moved.sites.len(), 1);
    assert_eq!(moved.sites[0].growth_bytes(), Estimate::exact(200.0));
    let shown = moved.frames.resolve(&moved.sites[0].place.frames).next().expect("a frame");
    assert_eq!(shown.line, 12, "the candidate's place is shown");

    // One line of the function is where it was: then the others are different places.
    let a = exact("malloc 100 app!grow:10 app!main:1\nmalloc 5 app!grow:20 app!main:1");
    let b = exact("malloc 300 app!grow:10 app!main:1\nmalloc 7 app!grow:30 app!main:1");
    assert_eq!(diff(&a, &b, &DiffOptions::default()).sites.len(), 3);
}

#[test]
fn snapshots_of_one_session_never_match_by_function() {
    let with_session = |text: &str, epoch: u32| {
        let mut profile = exact(text);
        profile.snapshot.session = [1; 16];
        profile.snapshot.epoch = epoch;
        profile.rows.iter_mut().for_each(|row| row.epoch = epoch);
        profile
    };
    let a = with_session("malloc 100 app!grow:10", 0);
    let b = with_session("malloc 300 app!grow:12", 1);
    let diff = diff(&a, &b, &DiffOptions::default());
    let statuses: Vec<Status> = diff.sites.iter().map(|g| g.status).collect();
    assert_eq!(statuses, [Status::New, Status::Gone]);
}

#[test]
fn a_profile_with_wild_indexes_is_survived() {
    let mut profile = exact("malloc 100 app!grow:10");
    profile.rows[0].stack = StackId(99);
    profile.stacks[0].frames.push(FrameId(1234));
    profile.frames[0].function = FunctionId(77);
    let sites = sites(&profile, &Grouping::default());
    assert_eq!(sites.total.live_bytes.estimate, 100.0);
    assert_eq!(diff(&profile, &profile, &DiffOptions::default()).sites.len(), 1);
}

#[test]
fn no_sample_is_no_proof_of_nothing() {
    let sampled = Settings { interval_bytes: 1000, ..Settings::default() };
    let empty = Profile { settings: sampled, ..Profile::default() };
    let live = sites(&empty, &Grouping::default()).total.live_bytes;
    assert_eq!((live.estimate, live.low, live.high.round()), (0.0, 0.0, 3689.0));
    let exact = Profile { settings: Settings { interval_bytes: 1, ..Settings::default() }, ..Profile::default() };
    assert_eq!(sites(&exact, &Grouping::default()).total.live_bytes, Estimate::exact(0.0));
}

#[test]
fn nothing_live_is_nothing_reported() {
    let empty = Profile::default();
    let nothing = sites(&empty, &Grouping::default());
    assert!(nothing.sites.is_empty());
    assert_eq!(nothing.total.live_bytes, Estimate::default());
    assert!(diff(&empty, &empty, &DiffOptions::default()).sites.is_empty());
}
