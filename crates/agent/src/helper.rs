//! The helper thread: gives Java frames their names while the classes are still loaded.
//!
//! Started from the interposed pthread_create once a JVM is mapped, so a single-threaded program stays
//! single-threaded. It reads the depot's nodes in the order in which they were added, and writes each new method and
//! line into the session's Java table.
#![allow(unsafe_code)] // the body of a C thread

use crate::kernel;
use crate::libc_symbols::{PthreadCreate, exit_as_last_thread, start_thread};
use crate::recorder::{Published, RECORDER, publish_jvm_state};
use crate::thread;
use core::ffi::c_void;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use leakscope_hotspot::{Resolver, Sink, State};
use leakscope_session::frame::{Decoded, FrameWord};
use leakscope_session::header::{JvmState, Word};
use leakscope_session::java::{Line, Method, NameRef};
use leakscope_session::losses::Loss;

/// 64-96 KiB never finishes the JVM's set-up of an attached thread.
const STACK_BYTES: usize = 256 * 1024;

const IDLE: u32 = 0;
const STARTED: u32 = 1;
static STATE: AtomicU32 = AtomicU32::new(IDLE);

/// Starts the helper unless it runs already.
pub fn start(create: PthreadCreate) {
    if STATE.compare_exchange(IDLE, STARTED, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return;
    }
    let mask = kernel::mask_signals();
    let started = start_thread(create, STACK_BYTES, body);
    kernel::restore_signals(mask);
    if !started {
        STATE.store(IDLE, Ordering::Release);
    }
}

/// A forked child has no helper: its own may be started.
pub(crate) fn after_fork() {
    STATE.store(IDLE, Ordering::Release);
}

unsafe extern "C" fn body(_: *mut c_void) -> *mut c_void {
    thread::current().ignore_for_ever();
    kernel::set_thread_name(c"leakscope");
    if let Some(published) = RECORDER.recording() {
        let mut names = Names { published, next_node: 1, waited: 0, unnamed: 0 };
        RECORDER.jvm.serve(&mut names);
        names.publish_state();
    }
    core::ptr::null_mut()
}

/// Gives the depot's Java frames their names.
struct Names {
    published: &'static Published,
    next_node: u32,
    /// Ticks for which `next_node` has been half written.
    waited: u32,
    /// Classes without names that have been counted.
    unnamed: u64,
}

/// A node is written within nanoseconds of its id being taken; one that is not by now never will be, because its
/// thread was torn out of the hook.
const MOST_WAITED: u32 = 10;

impl Sink for Names {
    /// While there is no JVM yet, the program may end without one, by the end of its last thread instead of exit.
    fn idle(&mut self) {
        if kernel::is_last_thread() {
            kernel::restore_signals(0);
            exit_as_last_thread();
        }
    }

    fn tick(&mut self, resolver: &Resolver<'_>) {
        self.publish_state();
        let session = &self.published.session;
        let last = session.depot.node_ids();
        while self.next_node <= last {
            let frame = session.depot.node_frame(self.next_node);
            if frame.0 == 0 && self.waited < MOST_WAITED {
                self.waited += 1;
                break; // being written: at the next tick
            }
            self.waited = 0;
            if frame.is_java() {
                self.resolve(resolver, frame);
            }
            self.next_node += 1;
        }
        session.header.set(Word::ResolvedNodes, u64::from(self.next_node.saturating_sub(1)));
    }
}

impl Names {
    fn publish_state(&mut self) {
        let header = &self.published.session.header;
        let state = match RECORDER.jvm.state() {
            State::Absent | State::Waiting => JvmState::Waiting,
            State::Ready => JvmState::Ready,
            State::Dead => JvmState::Dead,
            State::Unsupported(_) => JvmState::Unsupported,
        };
        publish_jvm_state(&self.published.session, state);
        let counters = RECORDER.jvm.counters();
        header.set(Word::MethodIds, RECORDER.jvm.method_ids());
        header.set(Word::AttachAttempts, counters.attach_attempts);
        let unnamed = counters.skipped_classes.saturating_sub(self.unnamed);
        self.published.session.losses.add(Loss::ClassesUnnamed, unnamed);
        self.unnamed = counters.skipped_classes;
    }

    fn resolve(&mut self, resolver: &Resolver<'_>, frame: FrameWord) {
        let Decoded::Java { method, bci } = frame.decode() else {
            return;
        };
        let Some(known) = FRAMES.find_or_claim(frame.0) else {
            return self.lose();
        };
        if known.was_there {
            return;
        }
        let Some(index) = self.method(resolver, method) else {
            return self.lose();
        };
        let line = resolver.line(method as usize, bci);
        if !self.published.session.java.push_line(&Line { frame: frame.0, line, method: index }) {
            self.lose();
        }
    }

    /// Index of a method in the session's table; enters it if it is new.
    fn method(&mut self, resolver: &Resolver<'_>, id: u64) -> Option<u32> {
        let place = METHODS.find_or_claim(id)?;
        if place.was_there {
            return METHODS.value(place.slot);
        }
        let table = &self.published.session.java;
        let mut method = Method { id, ..Method::default() };
        let mut full = false;
        // An unloaded class has no names any more: its methods stay unresolved.
        let _ = resolver.method(id as usize, &mut |names| {
            let mut push = |text: &[u8]| match table.push_name(text) {
                Some(name) => name,
                None => {
                    full = true;
                    NameRef(0)
                }
            };
            method.class = push(names.class_signature);
            method.name = push(names.name);
            method.signature = push(names.signature);
            method.source = if names.source_file.is_empty() { NameRef(0) } else { push(names.source_file) };
        });
        if full {
            self.lose();
        }
        let index = table.push_method(&method)?;
        METHODS.set_value(place.slot, index);
        Some(index)
    }

    fn lose(&self) {
        self.published.session.losses.add(Loss::NamesFull, 1);
    }
}

/// A set of words with a number each (plus 1; 0 = none), used by the helper alone; its pages cost only once they are touched.
struct Known<const SLOTS: usize> {
    keys: [AtomicU64; SLOTS],
    values: [AtomicU32; SLOTS],
}

struct Place {
    slot: usize,
    was_there: bool,
}

/// Where the tables of names lie, in whole pages: large, and hardly touched.
pub(crate) fn tables() -> [Range<usize>; 2] {
    let pages = |start: usize, bytes: usize| {
        let page = kernel::PAGE as usize;
        start.next_multiple_of(page)..(start + bytes) / page * page
    };
    [
        pages((&raw const METHODS) as usize, size_of_val(&METHODS)),
        pages((&raw const FRAMES) as usize, size_of_val(&FRAMES)),
    ]
}

static METHODS: Known<{ 1 << 17 }> = Known::new();
static FRAMES: Known<{ 1 << 19 }> = Known::new();

impl<const SLOTS: usize> Known<SLOTS> {
    const fn new() -> Self {
        Self { keys: [const { AtomicU64::new(0) }; SLOTS], values: [const { AtomicU32::new(0) }; SLOTS] }
    }

    fn find_or_claim(&self, key: u64) -> Option<Place> {
        let start = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize;
        for i in 0..64 {
            let slot = start.wrapping_add(i) & (SLOTS - 1);
            let word = self.keys.get(slot)?;
            match word.load(Ordering::Relaxed) {
                0 => {
                    word.store(key, Ordering::Relaxed);
                    return Some(Place { slot, was_there: false });
                }
                there if there == key => return Some(Place { slot, was_there: true }),
                _ => {}
            }
        }
        None
    }

    /// The number of a key; `None` if it got none, because the table of the session was full.
    fn value(&self, slot: usize) -> Option<u32> {
        self.values.get(slot)?.load(Ordering::Relaxed).checked_sub(1)
    }

    fn set_value(&self, slot: usize, value: u32) {
        if let Some(v) = self.values.get(slot) {
            v.store(value.saturating_add(1), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_a_number_is_not_number_0() {
        static KNOWN: Known<64> = Known::new();
        let place = KNOWN.find_or_claim(77).unwrap();
        assert!(!place.was_there);
        let again = KNOWN.find_or_claim(77).unwrap();
        assert!(again.was_there);
        assert_eq!(KNOWN.value(again.slot), None, "the session's table was full");
        KNOWN.set_value(place.slot, 0);
        assert_eq!(KNOWN.value(again.slot), Some(0));
    }
}
