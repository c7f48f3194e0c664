//! Profiles of other tools: what can be known of them, and plain words where nothing can.

use leakscope_profile::{Code, Kind, Profile, ReadError, read};

use crate::round_trip::bytes;
use crate::wire::Message;

const STRINGS: [&str; 14] = [
    "",
    "alloc_objects",
    "count",
    "alloc_space",
    "bytes",
    "inuse_objects",
    "inuse_space",
    "space",
    "/bin/server",
    "main.leak",
    "main.go",
    "main.main",
    "runtime.main",
    "cpu",
];

fn value_type(kind: i64, unit: i64) -> Message {
    Message::default().number(1, kind).number(2, unit)
}

fn with_strings(mut message: Message) -> Vec<u8> {
    for text in STRINGS {
        message = message.bytes(6, text.as_bytes());
    }
    message.0
}

/// As Go writes it: ids with gaps, an inlined function, one location without a symbol, labels without meaning to us.
fn go_heap() -> Message {
    let line = |function, line| Message::default().number(1, function).number(2, line);
    let function = |id, name| Message::default().number(1, id).number(2, name).number(3, name).number(4, 10);
    let location = |id, address| Message::default().number(1, id).number(2, 9).number(3, address);
    let label = Message::default().number(1, 4).number(3, 4096);
    let mapping = Message::default().number(1, 9).number(2, 0x40_0000).number(3, 0x50_0000).number(5, 8);
    Message::default()
        .message(1, value_type(1, 2))
        .message(1, value_type(3, 4))
        .message(1, value_type(5, 2))
        .message(1, value_type(6, 4))
        .message(2, Message::default().packed(1, &[70, 30]).packed(2, &[40, 163_840, 20, 81_920]).message(3, label))
        .message(2, Message::default().packed(1, &[30]).packed(2, &[5, 500, 0, 0]))
        .message(3, mapping)
        .message(4, location(70, 0x40_1000).message(4, line(5, 12)).message(4, line(6, 34)))
        .message(4, location(30, 0x40_2000))
        .message(5, function(5, 9))
        .message(5, function(6, 11))
        .number(9, 1_234)
        .message(11, value_type(7, 4))
        .number(12, 524_288)
}

fn live(profile: &Profile) -> f64 {
    profile.rows.iter().map(|row| row.bytes).sum()
}

#[test]
fn a_go_heap_profile_becomes_rows() {
    let profile = read(&with_strings(go_heap())).expect("readable");
    assert_eq!(profile.snapshot.session, [0; 16], "never paired");
    assert_eq!(profile.snapshot.time_unix_ns, 1_234);
    assert_eq!(profile.settings.interval_bytes, 524_288);
    assert_eq!(profile.target.exe, "/bin/server");
    let [row] = profile.rows[..] else { panic!("{:?}", profile.rows) };
    assert_eq!((row.bytes, row.objects, row.kind, row.interval_bytes), (81_920.0, 20.0, Kind::Malloc, 524_288));
    assert_eq!(row.samples, 1, "20 blocks of 4 KiB at 512 KiB: 0.16 expected, and at least one was seen");
    assert!(row.bytes_variance > 0.0);
    let names = |stack: usize| {
        let frames = profile.stacks[stack].frames.iter().map(|frame| profile.frames[frame.0 as usize]);
        frames.map(|f| (profile.functions[f.function.0 as usize].name.clone(), f.line, f.inlined)).collect::<Vec<_>>()
    };
    let named = |name: &str, line, inlined| (name.to_owned(), line, inlined);
    let root = named("server+0x2001", 0, false);
    assert_eq!(names(0), [named("main.leak", 12, true), named("main.main", 34, false), root.clone()]);
    assert_eq!(names(1), [root]);
    assert_eq!(profile.stacks[1].totals.bytes, 500.0);
    let code = profile.frames[0].code;
    assert!(matches!(code, Code::Native { module: Some(_), address: 0x40_1001 }), "{code:?}");
}

#[test]
fn a_foreign_profile_can_be_written_and_stays_as_it_was_read() {
    let profile = read(&with_strings(go_heap())).unwrap();
    assert_eq!(read(&bytes(&profile)).unwrap(), profile);
}

#[test]
fn a_live_heap_alone_is_enough_and_may_be_called_space() {
    let file = Message::default()
        .message(1, value_type(7, 4))
        .message(2, Message::default().packed(1, &[]).packed(2, &[100]))
        .message(2, Message::default().packed(1, &[]).packed(2, &[11]));
    let profile = read(&with_strings(file)).unwrap();
    assert_eq!(live(&profile), 111.0);
    assert_eq!((profile.stacks.len(), profile.rows.len()), (1, 1), "equal stacks become one");
}

#[test]
fn other_profiles_are_named() {
    let file = Message::default().message(1, value_type(13, 2)).message(1, value_type(6, 2));
    match read(&with_strings(file)) {
        Err(error @ ReadError::NotAHeapProfile { .. }) => {
            let message = error.to_string();
            assert!(message.contains("cpu/count, inuse_space/count"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_difference_is_no_profile() {
    let file = Message::default().message(1, value_type(6, 4)).message(2, Message::default().packed(2, &[-5]));
    let error = read(&with_strings(file)).expect_err("negative").to_string();
    assert!(error.contains("-5") && error.contains("difference"), "{error}");
}

#[test]
fn wrong_references_are_refused() {
    let space = || Message::default().message(1, value_type(6, 4));
    let sample = |location| Message::default().packed(1, &[location]).packed(2, &[1]);
    let location = Message::default().number(1, 1);
    for (what, file) in [
        ("no location 8", space().message(2, sample(8))),
        ("one value for each", space().message(2, Message::default().packed(2, &[1, 2]))),
        ("no mapping 3", space().message(4, location.clone().number(2, 3))),
        ("no function 4", space().message(4, location.clone().message(4, Message::default().number(1, 4)))),
        (
            "no string 99",
            space()
                .message(5, Message::default().number(1, 1).number(2, 99))
                .message(4, location.clone().message(4, Message::default().number(1, 1))),
        ),
        ("two locations", space().message(4, location.clone()).message(4, location.clone())),
    ] {
        let error = read(&with_strings(file)).expect_err(what).to_string();
        assert!(error.contains(what), "{error:?} does not mention {what:?}");
    }
}
