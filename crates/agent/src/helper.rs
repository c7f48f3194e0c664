//! The helper thread: gives Java frames their names while the classes are still loaded.
//!
//! Started from the interposed pthread_create once a JVM is mapped, so a single-threaded program stays
//! single-threaded. It reads the depot's nodes in the order in which they were added, and writes each new method and
//! line into the session's Java table.
#![allow(unsafe_code)] // the body of a C thread

use crate::kernel;
use crate::known::Known;
use crate::libc_symbols::{PthreadCreate, exit_as_last_thread, start_thread};
use crate::module_list;
use crate::recorder::{Published, RECORDER, publish_jvm_state};
use crate::thread;
use core::ffi::c_void;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};
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

static METHODS: Known<{ 1 << 17 }> = Known::new();
static FRAMES: Known<{ 1 << 19 }> = Known::new();
/// Texts by hash. Classes that are loaded again and again bear the same names each time.
static TEXTS: Known<{ 1 << 18 }> = Known::new();

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
        module_list::keep_up();
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
            let mut enter = |text: &[u8]| match text_id(text, |text| table.push_name(text)) {
                Some(name) => name,
                None => {
                    full = true;
                    NameRef(0)
                }
            };
            method.class = enter(names.class_signature);
            method.name = enter(names.name);
            method.signature = enter(names.signature);
            method.source = if names.source_file.is_empty() { NameRef(0) } else { enter(names.source_file) };
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

/// Where the tables of names lie, in whole pages: large, and hardly touched.
pub(crate) fn tables() -> [Range<usize>; 3] {
    let pages = |start: usize, bytes: usize| {
        let page = kernel::PAGE as usize;
        start.next_multiple_of(page)..(start + bytes) / page * page
    };
    [
        pages((&raw const METHODS) as usize, size_of_val(&METHODS)),
        pages((&raw const FRAMES) as usize, size_of_val(&FRAMES)),
        pages((&raw const TEXTS) as usize, size_of_val(&TEXTS)),
    ]
}

/// Where a text lies; it is entered if it is new. Two texts of one 64-bit hash would be taken for each other, which for
/// 100,000 has a probability of 3 in 10^10.
fn text_id(text: &[u8], enter: impl FnOnce(&[u8]) -> Option<NameRef>) -> Option<NameRef> {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    let hash = text.iter().fold(0xCBF2_9CE4_8422_2325, fnv) | 1;
    let Some(place) = TEXTS.find_or_claim(hash) else {
        return enter(text);
    };
    if let Some(known) = TEXTS.value(place.slot) {
        return Some(NameRef(known));
    }
    let name = enter(text)?;
    TEXTS.set_value(place.slot, name.0);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_entered_once() {
        let mut entered = Vec::new();
        let mut id = |text: &str| {
            text_id(text.as_bytes(), |text| {
                entered.push(text.to_vec());
                Some(NameRef(entered.len() as u32 * 10))
            })
        };
        assert_eq!([id("a"), id("b"), id("a"), id("")], [10, 20, 10, 30].map(|n| Some(NameRef(n))));
        assert_eq!(entered, [&b"a"[..], b"b", b""]);
        assert_eq!(text_id(b"c", |_| None), None, "no room");
        assert_eq!(text_id(b"c", |_| Some(NameRef(7))), Some(NameRef(7)), "tried again");
    }
}
