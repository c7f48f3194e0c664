//! Files that are cut, damaged or made to harm: every one is refused in words, none takes the reader down.

use leakscope_profile::{Limits, Profile, ReadError, read, read_with};

use crate::random::{self, Random};
use crate::round_trip::bytes;
use crate::wire::{Message, gunzip, gzip};

/// A profile with something of everything.
fn rich() -> Profile {
    let mut candidates = (0..).map(random::profile);
    candidates
        .find(|p| p.rows.len() > 20 && p.stacks.len() > 5 && p.losses.len() > 1)
        .expect("among the first hundreds")
}

/// What must hold of whatever could be read: it is sound, and it survives writing.
fn is_harmless(bytes_read: &[u8]) -> bool {
    let Ok(profile) = read(bytes_read) else { return false };
    assert_eq!(profile.check(), Ok(()));
    assert_eq!(read(&bytes(&profile)).expect("what was written is readable"), profile);
    true
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = bytes(&rich());
    assert!(matches!(read(&[]), Err(ReadError::Empty)));
    for len in 1..whole.len() {
        match read(&whole[..len]) {
            Err(ReadError::Truncated) => {}
            Err(ReadError::NotGzipOrPprof) if len == 1 => {}
            other => panic!("cut to {len} of {}: {other:?}", whole.len()),
        }
    }
}

#[test]
fn an_unpacked_file_cut_anywhere_does_no_harm() {
    let whole = gunzip(&bytes(&rich()));
    let read = (0..whole.len()).filter(|&len| is_harmless(&whole[..len])).count();
    // Cut exactly between two fields it can be a smaller profile, as protobuf has no end.
    assert!(read < 100, "{read} of {}", whole.len());
}

#[test]
fn random_damage_to_the_contents_does_no_harm() {
    let whole = gunzip(&bytes(&rich()));
    let random = &mut Random(7);
    let mut survived = 0;
    for _ in 0..10_000 {
        let mut damaged = whole.clone();
        for _ in 0..=random.below(4) {
            damage(&mut damaged, random);
        }
        survived += usize::from(is_harmless(&damaged));
    }
    assert!((1..10_000).contains(&survived), "damage must be neither always nor never noticed: {survived}");
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    let len = random.below(9).min(bytes.len() - at);
    match random.below(5) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => drop(bytes.drain(at..at + len)),
        3 => {
            let copy = bytes[at..at + len].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        _ => bytes.extend((0..len).map(|_| random.next() as u8)),
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
}

#[test]
fn random_damage_to_the_compressed_file_is_noticed_or_without_effect() {
    let profile = rich();
    let whole = bytes(&profile);
    let random = &mut Random(8);
    for _ in 0..3_000 {
        let mut damaged = whole.clone();
        // Past the header, whose time and system fields mean nothing; to the checksum at the end.
        let at = 10 + random.below(whole.len() - 10);
        damaged[at] ^= 1 << random.below(8);
        match read(&damaged) {
            Err(ReadError::Inconsistent(_) | ReadError::Truncated | ReadError::TooLarge { .. }) => {}
            // The last bits before the checksum are padding.
            Ok(read) => assert_eq!(read, profile, "byte {at}"),
            other => panic!("byte {at}: {other:?}"),
        }
    }
}

#[test]
fn noise_is_no_profile() {
    let random = &mut Random(9);
    for _ in 0..2_000 {
        let noise: Vec<u8> = (0..random.below(200)).map(|_| random.next() as u8).collect();
        assert!(!is_harmless(&noise));
        assert!(!is_harmless(&gzip(&noise)));
    }
    assert!(matches!(read(&gzip(b"")), Err(ReadError::Empty)));
    assert!(matches!(read(&gzip(b"hello, world")), Err(ReadError::NotGzipOrPprof)));
    assert!(matches!(read(b"hello, world"), Err(ReadError::NotGzipOrPprof)));
}

#[test]
fn a_gzip_bomb_is_not_unpacked() {
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let limits = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
    match read_with(&bomb, &limits) {
        Err(ReadError::TooLarge { limit_bytes, .. }) => assert_eq!(limit_bytes, 1 << 20),
        other => panic!("{other:?}"),
    }
    let limits = Limits { unpacked_bytes: 10, ..Limits::default() };
    assert!(matches!(read_with(&[0; 11], &limits), Err(ReadError::TooLarge { .. })));
}

fn space(strings: &[&[u8]]) -> Message {
    let mut message = Message::default().message(1, Message::default().number(1, 1).number(2, 2));
    for text in [b"", b"inuse_space".as_slice(), b"bytes"].iter().chain(strings) {
        message = message.bytes(6, text);
    }
    message
}

#[test]
fn small_inputs_do_not_become_large_structures() {
    let limits = Limits { unpacked_bytes: 64 << 20, decoded_bytes: 16 << 20 };
    let too_large = |message: Message| match read_with(&message.0, &limits) {
        Err(ReadError::TooLarge { .. }) => {}
        other => panic!("{:?}", other.map(|_| "read")),
    };
    // Empty messages, at the top and inside others.
    for field in [2, 3, 4, 5] {
        let mut message = space(&[]);
        message.0.extend(Message::default().bytes(field, &[]).0.repeat(1 << 20));
        too_large(message);
    }
    too_large(space(&[]).bytes(2, &Message::default().bytes(3, &[]).0.repeat(1 << 20)));
    too_large(space(&[]).bytes(4, &Message::default().bytes(4, &[]).0.repeat(1 << 20)));
    // One long name for many functions.
    let mut message = space(&[&vec![b'x'; 1 << 20]]);
    let line = Message::default().number(1, 1);
    message = message.message(5, Message::default().number(1, 1).number(2, 3));
    for id in 1..100 {
        message = message.message(4, Message::default().number(1, id).message(4, line.clone()));
    }
    too_large(message);
}

#[test]
fn one_location_of_many_lines_in_one_stack_of_many_frames_is_too_large() {
    let line = Message::default().message(4, Message::default().number(1, 1)).0;
    let mut location = Message::default().number(1, 1);
    location.0.extend(line.repeat(10_000));
    let function = Message::default().number(1, 1).number(2, 1);
    let sample = Message::default().packed(1, &[1; 10_000]).packed(2, &[1]);
    let message = space(&[]).message(5, function).message(4, location).message(2, sample);
    match read(&message.0) {
        Err(ReadError::TooLarge { what, .. }) => assert_eq!(what, "its stacks"),
        other => panic!("{:?}", other.map(|_| "read")),
    }
}

#[test]
fn a_newer_format_is_named() {
    let newer = space(&[]).message(58_237, Message::default().number(1, 2).bytes(2, b"not what it was"));
    match read(&newer.0) {
        Err(error @ ReadError::NewerVersion { found: 2, supported: 1 }) => {
            assert_eq!(error.to_string(), "written by a newer leakscope: format 2, this one reads up to 1");
        }
        other => panic!("{other:?}"),
    }
    let none = space(&[]).message(58_237, Message::default());
    assert!(matches!(read(&none.0), Err(ReadError::Inconsistent(_))));
}
