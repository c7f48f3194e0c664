//! How recording begins in a process: who asks, the handshake with the collector, and the session's memory.
//!
//! The constructor of the shim asks for the root command (the collector's own child) or where all processes are
//! followed; pthread_create asks once a JVM is mapped; a forked child asks as `forked.rs` says. A process asks at
//! most once for each reason. Whatever fails, the target runs on unrecorded, and the collector is told why where it can
//! be.
#![allow(unsafe_code)] // makes the session from a raw mapping

use crate::exact_state;
use crate::forked::in_child;
use crate::kernel::{self, Errno, Fd};
use crate::libc_symbols::{KeepErrno, PthreadCreate, find_in_environment, now_ms, run_in_forked_children};
use crate::place::NewPlace;
use crate::recorder::{Memory, Published, RECORDER, publish_jvm_state};
use crate::{bypass, helper, module_list, modules, thread};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use leakscope_hotspot::State;
use leakscope_sampling::{Interval, Ladder, STEPS};
use leakscope_session::frame::FrameWord;
use leakscope_session::handshake::{ENVIRONMENT, MESSAGE_BYTES, Message, Refusal, Settings, Why, Words};
use leakscope_session::header::{Count, JvmState, Word};
use leakscope_session::view::{Session, Sizes};

/// How long the target waits for the collector in all, milliseconds: only if that is stopped or starved.
const PATIENCE_MS: u64 = 2000;
const LONGEST_NAME: usize = 100;
/// From this interval on memory is kept small, bytes.
const LONG_INTERVAL: u64 = 128 << 10;

/// Where the collector is, from the environment.
struct Collector {
    name: [u8; LONGEST_NAME],
    name_bytes: usize,
    pid: u64,
    follow: bool,
}

/// The collector, written by the constructor. Libraries that were initialised before may have started threads by then.
struct Slot {
    collector: UnsafeCell<Option<Collector>>,
    is_written: AtomicBool,
}
// SAFETY: written once, by the constructor, and read only by those who have seen `is_written`, which is set afterwards.
unsafe impl Sync for Slot {}
static COLLECTOR: Slot = Slot { collector: UnsafeCell::new(None), is_written: AtomicBool::new(false) };

impl Slot {
    fn get(&self) -> Option<&Collector> {
        // Acquire: pairs with the store in `set`.
        if !self.is_written.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: it is written no more.
        unsafe { (*self.collector.get()).as_ref() }
    }

    /// # Safety
    /// Called once.
    unsafe fn set(&self, collector: Collector) {
        // SAFETY: the only writer, and nobody reads yet.
        unsafe { *self.collector.get() = Some(collector) };
        self.is_written.store(true, Ordering::Release);
    }
}

/// The shim's constructor: under 50 us where nothing is to be recorded.
pub fn constructor() {
    let _errno = KeepErrno::new();
    crate::real::resolve();
    let mut found = None;
    find_in_environment(|entry| {
        found = entry.strip_prefix(ENVIRONMENT.as_bytes()).and_then(|rest| parse(rest.strip_prefix(b"=")?));
        found.is_some()
    });
    let Some(collector) = found else {
        return;
    };
    let why = if kernel::parent_pid() == collector.pid {
        Some(Why::Root)
    } else if collector.follow {
        Some(Why::Follow)
    } else {
        None
    };
    // SAFETY: the constructor runs once.
    unsafe { COLLECTOR.set(collector) };
    leakscope_unwind::note_first_modules(crate::machine::weak!("__errno_location") as usize);
    run_in_forked_children(in_child);
    if let Some(why) = why {
        ask(why);
    }
}

/// Called before each pthread_create of the target, by which a JVM that is being made shows itself.
#[inline(never)] // its room on the stack is not needed while the real pthread_create runs
pub fn before_thread(create: PthreadCreate) {
    if COLLECTOR.get().is_none() {
        return;
    }
    let _errno = KeepErrno::new();
    if RECORDER.recording().is_none() {
        RECORDER.after_fork(thread::current());
    }
    if RECORDER.recording().is_some() {
        module_list::keep_up();
    }
    // In a forked child the copy of a JVM is dead.
    if !leakscope_hotspot::libjvm_is_mapped() || RECORDER.jvm.state() == State::Dead {
        return;
    }
    ask(Why::Jvm);
    if let Some(published) = RECORDER.recording() {
        if JvmState::from_word(published.session.header.get(Word::JvmState)) == JvmState::Absent {
            publish_jvm_state(&published.session, JvmState::Waiting);
        }
        helper::start(create);
    }
}

/// Asks the collector to record a forked child, where all processes are followed.
pub(crate) fn ask_after_fork() {
    if COLLECTOR.get().is_some_and(|collector| collector.follow) {
        ask(Why::Fork);
    }
}

/// Asks the collector to record this process, once for each reason.
fn ask(why: Why) {
    let Some(collector) = COLLECTOR.get() else {
        return;
    };
    RECORDER.place.ask_once(why, || {
        // A failure is nothing to the target; the collector hears of it, or notices that nobody came.
        let _ = shake_hands(collector, why);
    });
}

/// `1:<socket name>:<pid of the collector>:<0 or 1>`.
fn parse(text: &[u8]) -> Option<Collector> {
    let mut parts = text.split(|&b| b == b':');
    if parts.next()? != b"1" {
        return None;
    }
    let name = parts.next()?;
    let pid = parts.next()?.iter().try_fold(0u64, |n, &digit| {
        let digit = u64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?);
        n.checked_mul(10)?.checked_add(digit)
    })?;
    let follow = parts.next()? == b"1";
    let mut bytes = [0; LONGEST_NAME];
    bytes.get_mut(..name.len())?.copy_from_slice(name);
    Some(Collector { name: bytes, name_bytes: name.len(), pid, follow })
}

fn shake_hands(collector: &Collector, why: Why) -> Result<(), Errno> {
    module_list::begin();
    let deadline = kernel::clock_ns(kernel::MONOTONIC).saturating_add(PATIENCE_MS * 1_000_000);
    let name = collector.name.get(..collector.name_bytes).unwrap_or(&[]);
    let socket = kernel::connect_abstract(name, PATIENCE_MS)?;
    send(&socket, Message::Hello { pid: kernel::pid(), why }, None)?;
    let Some(Message::Answer { settings: Some(settings) }) = receive(&socket, deadline)? else {
        return Ok(());
    };
    let made = match make_session(&settings) {
        Ok(made) => made,
        Err((reason, Errno(errno))) => return send(&socket, Message::Refused { reason: reason as u64, errno }, None),
    };
    note_bypass(&made.session, why);
    // A JVM may be made beside other threads.
    let fd = made.fd.put_away(why != Why::Jvm);
    // Before the offer, which lets the collector look for it. (Closing any descriptor of the file would undo it.)
    kernel::lock(&fd);
    let offered = send(&socket, Message::Offer { bytes: made.bytes }, Some(&fd));
    if offered.and_then(|()| receive(&socket, deadline)) != Ok(Some(Message::Ack)) {
        kernel::unmap(made.base, made.bytes);
        return Ok(());
    }
    // It stays open: it is what `leakscope recover` opens, and its lock tells the collector that we have neither ended
    // nor called exec.
    let file = fd.leak();
    let published = Published {
        session: made.session,
        start_ms: made.start_ms,
        seed: settings.session_id[0],
        process_name: kernel::thread_name(),
        memory: Memory { base: made.base as usize, bytes: made.bytes, file },
        pid: kernel::pid() as u32,
        seccomp_filters: kernel::seccomp_filters(),
        ladder: ladder(&settings),
    };
    if settings.method_ids > 0 {
        RECORDER.jvm.set_method_id_cap(settings.method_ids);
    }
    if published.ladder.first().is_exact() {
        let own = exact_state::reserve();
        published.session.header.set(Word::OwnStart, own.start as u64);
        published.session.header.set(Word::OwnBytes, own.len() as u64);
    }
    RECORDER.begin(published, made.place);
    if why != Why::Fork {
        let thread = thread::current();
        thread.reset();
        if thread.tid() == kernel::pid() as u32 {
            thread.is_main();
        }
    }
    Ok(())
}

fn send(socket: &Fd, message: Message, passed: Option<&Fd>) -> Result<(), Errno> {
    let words = message.encode();
    let mut bytes = [0; MESSAGE_BYTES];
    for (room, word) in bytes.chunks_exact_mut(8).zip(words) {
        room.copy_from_slice(&word.to_le_bytes());
    }
    kernel::send(socket, &bytes, passed)
}

fn receive(socket: &Fd, deadline_ns: u64) -> Result<Option<Message>, Errno> {
    let mut bytes = [0; MESSAGE_BYTES];
    kernel::receive(socket, &mut bytes, deadline_ns)?;
    let mut words: Words = [0; _];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut eight = [0; 8];
        eight.copy_from_slice(chunk);
        *word = u64::from_le_bytes(eight);
    }
    Ok(Message::decode(&words))
}

/// A session's memory, before recording.
struct Made {
    fd: Fd,
    base: *mut u8,
    bytes: u64,
    session: Session<'static>,
    start_ms: u64,
    place: NewPlace,
}

fn make_session(settings: &Settings) -> Result<Made, (Refusal, Errno)> {
    // What we reserved of a limited address space would be missing to the target.
    let wanted = if kernel::soft_limit(kernel::ADDRESS_SPACE) != u64::MAX {
        Sizes::SMALL
    } else if settings.interval_bytes <= 1 {
        Sizes::EXACT
    } else if settings.interval_bytes < LONG_INTERVAL {
        Sizes::FINE
    } else {
        Sizes::SAMPLED
    };
    make_sized(settings, &wanted).or_else(|_| make_sized(settings, &Sizes::SMALL))
}

fn make_sized(settings: &Settings, sizes: &Sizes) -> Result<Made, (Refusal, Errno)> {
    const EFBIG: Errno = Errno(27);
    let bytes = sizes.bytes().ok_or((Refusal::NoSize, EFBIG))?;
    // ftruncate beyond the limit would raise SIGXFSZ, which kills.
    if bytes > kernel::soft_limit(kernel::FILE_SIZE) {
        return Err((Refusal::NoSize, EFBIG));
    }
    let fd = kernel::memfd(c"leakscope").map_err(|e| (Refusal::NoMemfd, e))?;
    kernel::set_length(&fd, bytes).map_err(|e| (Refusal::NoSize, e))?;
    kernel::seal(&fd).map_err(|e| (Refusal::NoSeal, e))?;
    let place = NewPlace::new().map_err(|e| (Refusal::NoMapping, e))?;
    let base = kernel::map_shared(&fd, bytes).map_err(|e| (Refusal::NoMapping, e))?;
    // SAFETY: a fresh mapping of that length, zeroed, page-aligned, never unmapped once recording has begun.
    let Ok(session) = (unsafe { Session::create(base, bytes, sizes) }) else {
        kernel::unmap(base, bytes);
        return Err((Refusal::NoSize, EFBIG));
    };
    let start_ms = fill_header(&session, settings);
    Ok(Made { fd, base, bytes, session, start_ms, place })
}

/// The intervals that this recording can come to.
fn ladder(settings: &Settings) -> Ladder {
    Ladder::from(Interval::from_bytes(settings.interval_bytes))
}

/// Writes the constant part of the header; gives the start in coarse milliseconds.
fn fill_header(session: &Session<'_>, settings: &Settings) -> u64 {
    let header = &session.header;
    for (word, value) in [
        (Word::Pid, kernel::pid()),
        (Word::SessionLow, settings.session_id[0]),
        (Word::SessionHigh, settings.session_id[1]),
        (Word::StartMonotonicNs, kernel::clock_ns(kernel::MONOTONIC)),
        (Word::StartUnixNs, kernel::clock_ns(kernel::REALTIME)),
        (Word::NativeDepth, settings.native_depth),
        (Word::JavaDepth, settings.java_depth),
        (Word::CurrentInterval, 0),
        (Word::JvmState, JvmState::Absent as u64),
    ] {
        header.set(word, value);
    }
    for step in 0..STEPS {
        header.set_at(Word::Intervals, usize::from(step), ladder(settings).step(step).bytes());
    }
    if let Some(segments) = header.count(Count::LiveSegments) {
        segments.store(1, Ordering::Release);
    }
    now_ms()
}

/// Says whose malloc the program calls, if not ours; the collector is to tell the user.
fn note_bypass(session: &Session<'_>, why: Why) {
    static FOUND: AtomicUsize = AtomicUsize::new(0);
    // A forked child asks in a hook, and has inherited the answer.
    if why != Why::Fork {
        FOUND.store(bypass::other_malloc().unwrap_or(0), Ordering::Relaxed);
    }
    let address = FOUND.load(Ordering::Relaxed) as u64;
    if address != 0 {
        session.header.set(Word::OtherMalloc, address);
        // As a return address: one behind the call.
        modules::note(session, &[FrameWord::native(address + 1)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_parsed_strictly() {
        let collector = parse(b"1:leakscope-abc:4711:1").unwrap();
        assert_eq!(&collector.name[..collector.name_bytes], b"leakscope-abc");
        assert_eq!((collector.pid, collector.follow), (4711, true));
        for bad in [&b""[..], b"2:x:1:0", b"1:x", b"1:x:abc:0", b"1:x:99999999999999999999:0"] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
        assert!(parse(&[b"1:", &[b'x'; 101][..], b":1:0"].concat()).is_none(), "too long");
    }

    #[test]
    fn a_session_is_sealed_and_carries_the_settings() {
        let settings =
            Settings { interval_bytes: 4096, native_depth: 50, java_depth: 60, session_id: [1, 2], method_ids: 0 };
        let made = make_sized(&settings, &Sizes::SMALL).unwrap();
        assert_eq!(made.session.header.current_interval(), (4096, 0));
        assert_eq!(made.session.header.get(Word::NativeDepth), 50);
        assert_eq!(made.session.live.open_segments(), 1);
        assert!(kernel::set_length(&made.fd, 4096).is_err(), "sealed against shrinking");
        assert!(kernel::seal(&made.fd).is_err(), "sealed against sealing");
    }
}
