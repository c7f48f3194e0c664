//! The handshake with targets that behave, stall, lie or vanish.

mod support;

use leakscope_collect::{Credentials, Decide, Event, Reception};
use leakscope_session::handshake::{MESSAGE_BYTES, Message, Settings, Why, Words};
use leakscope_session::view::Sizes;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use support::Writer;

const SETTINGS: Settings =
    Settings { interval_bytes: 1, native_depth: 64, java_depth: 128, session_id: [1, 2], method_ids: 0 };

struct Always(Option<Settings>);

impl Decide for Always {
    fn decide(&mut self, _: Credentials, _: Why) -> Option<Settings> {
        self.0
    }
}

fn connect(reception: &Reception) -> UnixStream {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(reception.name()).unwrap()).unwrap()
}

fn bytes(message: &Message) -> Vec<u8> {
    message.encode().iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn read(stream: &mut UnixStream) -> Message {
    let mut bytes = [0; MESSAGE_BYTES];
    stream.read_exact(&mut bytes).unwrap();
    let mut words: Words = Default::default();
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(chunk.try_into().unwrap());
    }
    Message::decode(&words).unwrap()
}

/// Sends a message with a descriptor, as the shim does.
#[allow(unsafe_code)]
fn send_with(stream: &UnixStream, message: &Message, descriptor: RawFd) {
    let mut payload = bytes(message);
    let mut part = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
    let mut control = [0u64; 3];
    // SAFETY: the header refers to live buffers of the lengths given; CMSG_SPACE of one descriptor is 24 bytes.
    unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = libc::CMSG_SPACE(4) as usize;
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        (*message).cmsg_level = libc::SOL_SOCKET;
        (*message).cmsg_type = libc::SCM_RIGHTS;
        (*message).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(message).cast::<RawFd>().write_unaligned(descriptor);
        assert_eq!(libc::sendmsg(stream.as_raw_fd(), &raw const header, 0), payload.len() as isize);
    }
}

#[test]
fn a_target_is_recorded_and_let_go() {
    let mut reception = Reception::open().unwrap();
    let mut target = connect(&reception);
    target.write_all(&bytes(&Message::Hello { pid: 1, why: Why::Jvm })).unwrap();
    assert!(reception.serve(&mut Always(Some(SETTINGS))).is_empty());
    assert_eq!(read(&mut target), Message::Answer { settings: Some(SETTINGS) });
    let writer = Writer::new(&Sizes::SMALL);
    let size = Sizes::SMALL.bytes().unwrap();
    send_with(&target, &Message::Offer { bytes: size }, writer.file.as_raw_fd());
    let mut events = reception.serve(&mut Always(None));
    let Some(Event::Recording { credentials, why: Why::Jvm, shared, facts }) = events.pop() else {
        panic!("not recording")
    };
    assert_eq!(credentials.pid, std::process::id());
    assert_eq!(shared.bytes(), size);
    assert_eq!(facts.pid, credentials.pid);
    assert_eq!(read(&mut target), Message::Ack);
    assert!(reception.serve(&mut Always(None)).is_empty());
    assert_eq!(target.read(&mut [0; 8]).unwrap(), 0, "closed");
    assert_eq!(reception.descriptors().len(), 1);
}

#[test]
fn who_does_not_wait_for_us_is_told_of() {
    let mut reception = Reception::open().unwrap();
    let mut target = connect(&reception);
    target.write_all(&bytes(&Message::Hello { pid: 1, why: Why::Fork })).unwrap();
    // It is gone before we have as much as looked.
    drop(target);
    let mut events = reception.serve(&mut Always(Some(SETTINGS)));
    events.extend(reception.serve(&mut Always(None)));
    assert!(matches!(events[..], [Event::GaveUp { credentials }] if credentials.pid == std::process::id()));
    assert_eq!(reception.descriptors().len(), 1);
}

#[test]
fn who_is_not_wanted_is_told_so() {
    let mut reception = Reception::open().unwrap();
    let mut target = connect(&reception);
    target.write_all(&bytes(&Message::Hello { pid: 1, why: Why::Root })).unwrap();
    reception.serve(&mut Always(None));
    assert_eq!(read(&mut target), Message::Answer { settings: None });
    reception.serve(&mut Always(None));
    assert_eq!(target.read(&mut [0; 8]).unwrap(), 0, "closed");
}

#[test]
fn liars_are_dropped_and_harm_nobody() {
    let mut reception = Reception::open().unwrap();
    let mut garbage = connect(&reception);
    garbage.write_all(&[0x55; MESSAGE_BYTES * 3]).unwrap();
    let mut early = connect(&reception);
    early.write_all(&bytes(&Message::Offer { bytes: 1 })).unwrap();
    let mut stalls = connect(&reception);
    stalls.write_all(&bytes(&Message::Ack)[..10]).unwrap();
    let mut without = connect(&reception);
    without.write_all(&bytes(&Message::Hello { pid: 1, why: Why::Root })).unwrap();
    let not_a_session = tempfile::tempfile().unwrap();
    let mut wrong = connect(&reception);
    wrong.write_all(&bytes(&Message::Hello { pid: 1, why: Why::Root })).unwrap();
    reception.serve(&mut Always(Some(SETTINGS)));
    assert_eq!(reception.descriptors().len(), 1 + 3, "garbage and the early one are gone");
    without.write_all(&bytes(&Message::Offer { bytes: 99 })).unwrap();
    send_with(&wrong, &Message::Offer { bytes: 0 }, not_a_session.as_raw_fd());
    let failed = |event: &Event| matches!(event, Event::Failed { .. });
    let events = reception.serve(&mut Always(Some(SETTINGS)));
    assert!(events.len() == 2 && events.iter().all(failed));
    assert_eq!(reception.descriptors().len(), 1 + 1, "the one that stalls has a few seconds left");
    // Two hundred that say nothing do not keep the collector from going on.
    let crowd: Vec<_> = (0..100).map(|_| connect(&reception)).collect();
    assert!(reception.serve(&mut Always(None)).is_empty());
    assert!(reception.descriptors().len() <= 65);
    drop(crowd);
}

#[test]
fn a_request_is_answered_with_bytes_however_many() {
    let mut reception = Reception::open().unwrap();
    let mut asker = connect(&reception);
    asker.write_all(&bytes(&Message::Request { pid: 41, path_bytes: 0 })).unwrap();
    let events = reception.serve(&mut Always(None));
    let [Event::Request { peer, pid: 41, .. }] = events[..] else { panic!("no request") };
    let profile = vec![0xAB; 4 << 20];
    reception.reply(peer, Ok(&profile));
    assert!(reception.is_replying());
    let reader = std::thread::spawn(move || {
        let reply = read(&mut asker);
        let mut rest = Vec::new();
        asker.read_to_end(&mut rest).unwrap();
        (reply, rest)
    });
    while !reader.is_finished() {
        reception.serve(&mut Always(None));
        std::thread::yield_now();
    }
    let (reply, rest) = reader.join().unwrap();
    assert_eq!(reply, Message::Reply { ok: true, text_bytes: profile.len() as u64 });
    assert_eq!(rest, profile);
}

#[test]
fn a_mark_comes_with_its_text_whole_or_in_parts() {
    let mut reception = Reception::open().unwrap();
    let text = b"task restart \x1b[2J\xff \xe2\x82\xac";
    let message = [bytes(&Message::Mark { pid: 41, text_bytes: text.len() as u64 }), text.to_vec()].concat();
    for cut in [0, 50, MESSAGE_BYTES, MESSAGE_BYTES + 5, message.len()] {
        let mut asker = connect(&reception);
        asker.write_all(&message[..cut]).unwrap();
        let mut events = reception.serve(&mut Always(None));
        asker.write_all(&message[cut..]).unwrap();
        while events.is_empty() {
            events = reception.serve(&mut Always(None));
        }
        let [Event::Mark { peer, pid: 41, text, .. }] = &events[..] else { panic!("no mark") };
        assert_eq!(text, "task restart \u{1b}[2J\u{fffd} \u{20ac}");
        reception.reply(*peer, Ok(b"done"));
        assert_eq!(read(&mut asker), Message::Reply { ok: true, text_bytes: 4 });
    }
}

#[test]
fn marks_that_are_too_long_or_break_off_are_dropped() {
    let mut reception = Reception::open().unwrap();
    let mut long = connect(&reception);
    long.write_all(&bytes(&Message::Mark { pid: 41, text_bytes: 1 << 40 })).unwrap();
    let mut short = connect(&reception);
    short.write_all(&[bytes(&Message::Mark { pid: 41, text_bytes: 99 }), b"half".to_vec()].concat()).unwrap();
    assert!(reception.serve(&mut Always(None)).is_empty());
    drop(short);
    assert!(reception.serve(&mut Always(None)).is_empty());
    assert_eq!(reception.descriptors().len(), 1, "both are gone");
}
