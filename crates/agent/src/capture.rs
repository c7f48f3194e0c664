//! The stack of a sampled call: native frames down to the first code without a file, then the Java frames.
//!
//! A failing native walk never suppresses the Java part, nor the reverse; what is missing is noted by a marker frame
//! at the root end and counted.
//!
//! All of this happens on the target's stack, of which there may be little: a signal stack, a thread with the smallest
//! stack there is, a fiber. So the frames get the room that the settings and the process need, and no more (`Room`);
//! where it is known that there is less, the stack is shortened to the caller.
#![allow(unsafe_code)] // Java frames are written into the words of the buffer

use crate::Caller;
use crate::machine::stack_pointer;
use crate::module_list;
use crate::modules;
use crate::recorder::{Published, Recorder, count_losses};
use crate::thread::ThreadBlock;
use core::mem::MaybeUninit;
use core::num::NonZeroU32;
use leakscope_hotspot::{Capture, JavaFrame};
use leakscope_session::frame::{FrameWord, Marker};
use leakscope_session::header::{JvmState, Word};
use leakscope_session::losses::Loss;
use leakscope_session::view::Session;
use leakscope_unwind::{End, Frames, StackBounds, Trails, recall, walk_along};

/// Most native frames of a stack, whatever is asked for.
pub const MOST_NATIVE: usize = 128;
/// Most Java frames of a stack, whatever is asked for.
pub const MOST_JAVA: usize = 256;
/// Words for a note of what is missing, of each part.
const MARKERS: usize = 2;
/// Words of a Java frame while the JVM writes it.
const JAVA_WORDS: usize = size_of::<JavaFrame>() / size_of::<u64>();

/// Bytes of stack without which nothing is recorded.
const LEAST_BYTES: usize = 1536;

/// Frames of one stack, leaf first, in words on the stack of the target. Those from `len` on may never have been written:
/// clearing them would take as long as walking a short stack.
pub(crate) struct FrameBuffer<'a> {
    words: &'a mut [MaybeUninit<u64>],
    len: usize,
}

impl FrameBuffer<'_> {
    fn push(&mut self, frame: FrameWord) {
        if let Some(slot) = self.words.get_mut(self.len) {
            slot.write(frame.0);
            self.len += 1;
        }
    }

    fn as_slice(&self) -> &[FrameWord] {
        let frames = self.words.get(..self.len).unwrap_or(&[]);
        // SAFETY: `push` has written the words before `len`; a FrameWord is one u64, and any u64 is a FrameWord.
        unsafe { core::slice::from_raw_parts(frames.as_ptr().cast(), frames.len()) }
    }

    /// Forgets what it has, and takes native frames, as many as `depth`; there is room for markers behind them.
    fn native(&mut self, depth: usize) -> NativeFrames<'_> {
        self.len = 0;
        let depth = depth.min(self.words.len().saturating_sub(MARKERS));
        NativeFrames { words: self.words.get_mut(..depth).unwrap_or(&mut []), len: &mut self.len }
    }

    /// Room for Java frames as the JVM writes them.
    fn java(&mut self, depth: usize) -> &mut [MaybeUninit<JavaFrame>] {
        let free = self.words.get_mut(self.len..).unwrap_or(&mut []);
        let depth = depth.min(free.len().saturating_sub(MARKERS) / JAVA_WORDS);
        // SAFETY: JAVA_WORDS words have the size of one JavaFrame, and its alignment is that of u64; neither need have been
        // written.
        unsafe { core::slice::from_raw_parts_mut(free.as_mut_ptr().cast(), depth) }
    }

    /// Takes over what was written to [`FrameBuffer::java`], one word for each frame: never beyond what is still to be
    /// read.
    ///
    /// # Safety
    /// The first `count` frames of it have been written, and nothing was pushed since.
    unsafe fn add_java(&mut self, count: usize) {
        let base = self.len;
        for index in 0..count {
            let at = base + JAVA_WORDS * index;
            let Some(words) = self.words.get(at..at + JAVA_WORDS) else {
                return;
            };
            // SAFETY: these words are one JavaFrame (see `java`), which was written by the caller's promise; the words that
            // were pushed meanwhile end before it.
            let frame = unsafe { *words.as_ptr().cast::<JavaFrame>() };
            self.push(FrameWord::java(frame.method as u64, frame.bci));
        }
    }
}

/// Native frames on their way into a [`FrameBuffer`].
struct NativeFrames<'f> {
    words: &'f mut [MaybeUninit<u64>],
    len: &'f mut usize,
}

impl Frames for NativeFrames<'_> {
    #[inline(always)]
    fn push(&mut self, pc: usize) -> bool {
        let Some(slot) = self.words.get_mut(*self.len) else {
            return false;
        };
        slot.write(FrameWord::native(pc as u64).0);
        *self.len = self.len.wrapping_add(1);
        true
    }

    #[inline(always)]
    fn extend(&mut self, pcs: impl Iterator<Item = usize>) -> usize {
        let room = self.words.get_mut(*self.len..).unwrap_or(&mut []);
        let mut taken = 0_usize;
        for (slot, pc) in room.iter_mut().zip(pcs) {
            slot.write(FrameWord::native(pc as u64).0);
            taken = taken.wrapping_add(1);
        }
        *self.len = self.len.wrapping_add(taken);
        taken
    }
}

/// How many frames there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// The caller alone.
    Caller,
    /// 64 native frames.
    Native,
    /// As many native frames as there can be.
    MuchNative,
    /// 64 native and 128 Java frames: nearly all stacks.
    Java,
    /// As many as there can be.
    All,
}

impl Room {
    /// Words of the buffer.
    const fn words(self) -> usize {
        match self {
            Room::Caller => 1 + MARKERS,
            Room::Native => 64 + MARKERS,
            Room::MuchNative => MOST_NATIVE + MARKERS,
            Room::Java => 64 + JAVA_WORDS * 128 + MARKERS,
            Room::All => MOST_NATIVE + JAVA_WORDS * MOST_JAVA + MARKERS,
        }
    }

    /// Bytes of stack that a capture takes, buffer included: what `tests/stacks.rs` measures, with something to spare.
    const fn bytes(self) -> usize {
        const WALKING: usize = 3 << 10;
        const ASKING_THE_JVM: usize = 6 << 10;
        let besides = match self {
            Room::Caller => 0,
            Room::Native | Room::MuchNative => WALKING,
            Room::Java | Room::All => ASKING_THE_JVM,
        };
        self.words() * size_of::<u64>() + besides
    }

    /// Runs `work` with a buffer of that size.
    fn with_buffer(self, work: &mut dyn FnMut(&mut FrameBuffer<'_>)) {
        match self {
            Room::Caller => on_stack::<{ Room::Caller.words() }>(work),
            Room::Native => on_stack::<{ Room::Native.words() }>(work),
            Room::MuchNative => on_stack::<{ Room::MuchNative.words() }>(work),
            Room::Java => on_stack::<{ Room::Java.words() }>(work),
            Room::All => on_stack::<{ Room::All.words() }>(work),
        }
    }

    /// What is wanted, or as much of it as `bytes` of stack allow.
    fn within(bytes: usize, session: &Session<'_>) -> Self {
        let native = session.header.get(Word::NativeDepth) as usize;
        let java = session.header.get(Word::JavaDepth) as usize;
        let wanted = match (has_jvm(session), native <= 64, java <= 128) {
            (false, true, _) => Room::Native,
            (false, false, _) => Room::MuchNative,
            (true, true, true) => Room::Java,
            (true, ..) => Room::All,
        };
        let smaller = if wanted == Room::All { Room::Java } else { Room::Native };
        [wanted, smaller, Room::Native].into_iter().find(|room| room.bytes() <= bytes).unwrap_or(Room::Caller)
    }

    /// What is tried first: nearly all stacks fit, and a buffer is written over before it is used.
    const fn at_first(self) -> Self {
        match self {
            Room::All => Room::Java,
            Room::MuchNative => Room::Native,
            room => room,
        }
    }
}

/// Whether a JVM is in this process, be it ready or not.
fn has_jvm(session: &Session<'_>) -> bool {
    JvmState::from_word(session.header.get(Word::JvmState)) != JvmState::Absent
}

/// What is missing of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Captured {
    pub truncated: bool,
    pub java_refused: bool,
    pub java_not_ready: bool,
}

/// A stack that is being taken.
struct Taking<'a> {
    published: &'a Published,
    bounds: StackBounds,
    caller: Caller,
    /// The thread's, in exact mode.
    trails: Option<&'a mut Trails>,
    /// Not where there is no room for more than the caller.
    is_walked: bool,
}

impl Recorder {
    /// The id of the calling thread's stack from `caller` on; `None` in a child that was forked under our feet, and where
    /// there is no room on the stack to take it.
    pub(crate) fn stack_of(&self, published: &Published, thread: &ThreadBlock, caller: Caller) -> Option<u32> {
        let bounds = thread.stack_from(caller.registers().sp);
        let is_native = !has_jvm(&published.session);
        let exact = if published.ladder.first().is_exact() { thread.exact_state() } else { None };
        // SAFETY: the thread's own, which has its guard: whoever takes a stack does. No other reference is made below.
        let mut trails = exact.map(|state| unsafe { state.trails() });
        if let Some(trails) = &trails
            && is_native
            && let Some(known) = recall(trails, caller.registers(), bounds)
        {
            return self.is_current(published).then_some(known.get());
        }
        let mut taking = Taking { published, bounds, caller, trails: trails.as_deref_mut(), is_walked: false };
        let stack = self.take_stack(&mut taking)?;
        // Java frames are no part of what is compared.
        let is_whole = taking.is_walked && is_native;
        if let (Some(trails), true, Some(stack)) = (trails, is_whole, NonZeroU32::new(stack)) {
            trails.name(caller.registers(), stack);
        }
        Some(stack)
    }

    #[inline(never)]
    fn take_stack(&self, taking: &mut Taking<'_>) -> Option<u32> {
        let session = &taking.published.session;
        let bytes = taking.bounds.room_below(stack_pointer());
        if bytes < LEAST_BYTES {
            session.losses.add(Loss::NoStackRoom, 1);
            return None;
        }
        let room = Room::within(bytes, session);
        let first = room.at_first();
        let mut stack = None;
        let mut is_whole = true;
        first.with_buffer(&mut |frames| {
            let captured = self.capture(taking, first, frames);
            is_whole = first == room || !captured.truncated;
            if is_whole {
                stack = self.intern(taking.published, &captured, frames.as_slice());
            }
        });
        if !is_whole {
            room.with_buffer(&mut |frames| {
                let captured = self.capture(taking, room, frames);
                stack = self.intern(taking.published, &captured, frames.as_slice());
            });
        }
        stack
    }

    fn intern(&self, published: &Published, captured: &Captured, frames: &[FrameWord]) -> Option<u32> {
        if !self.is_current(published) {
            return None;
        }
        let session = &published.session;
        let interned = session.depot.intern(frames);
        if interned.is_new {
            modules::note(session, frames);
        }
        count_losses(session, captured, interned.stack);
        Some(interned.stack)
    }

    fn capture(&self, taking: &mut Taking<'_>, room: Room, frames: &mut FrameBuffer<'_>) -> Captured {
        let Taking { published, bounds, caller, trails, is_walked } = taking;
        if room == Room::Caller {
            frames.push(FrameWord::native(caller.registers().pc as u64));
            frames.push(FrameWord::marker(Marker::Truncated));
            return Captured { truncated: true, ..Captured::default() };
        }
        let session = &published.session;
        let native_depth = (session.header.get(Word::NativeDepth) as usize).clamp(1, MOST_NATIVE);
        let has_jvm = has_jvm(session);
        let (registers, rules) = (caller.registers(), self.rules);
        let trails = trails.as_deref_mut();
        *is_walked = true;
        let mut walked = walk_along(trails, registers, *bounds, rules, &mut frames.native(native_depth));
        // Without a JVM there is hardly ever code outside of all modules.
        if !has_jvm
            && matches!(walked.end, End::LeftModules)
            && module_list::look_again(bounds.room_below(stack_pointer()))
        {
            walked = walk_along(None, registers, *bounds, rules, &mut frames.native(native_depth));
        }
        let mut captured = Captured { truncated: walked.end.is_truncated(), ..Captured::default() };
        if has_jvm {
            self.java(session, room, walked.end, frames, &mut captured);
        }
        if frames.as_slice().is_empty() {
            // Code that is in no module; it is the caller all the same.
            frames.push(FrameWord::native(caller.registers().pc as u64));
            captured.truncated = true;
        }
        if captured.truncated {
            frames.push(FrameWord::marker(Marker::Truncated));
        }
        captured
    }

    fn java(&self, session: &Session<'_>, room: Room, end: End, frames: &mut FrameBuffer<'_>, captured: &mut Captured) {
        // Code without a file is the JVM's: compiled Java, the interpreter, stubs.
        let in_java_code = matches!(end, End::LeftModules);
        let java = if matches!(room, Room::Java | Room::All) {
            let depth = (session.header.get(Word::JavaDepth) as usize).clamp(1, MOST_JAVA);
            self.jvm.capture(frames.java(depth))
        } else {
            self.jvm.capture_nothing()
        };
        match java {
            Capture::Frames { count, truncated } => {
                // SAFETY: the JVM has written so many.
                unsafe { frames.add_java(count) };
                captured.truncated |= truncated;
            }
            Capture::NoRoom => captured.truncated = true,
            Capture::Refused(_) if in_java_code => {
                captured.java_refused = true;
                frames.push(FrameWord::marker(Marker::JavaRefused));
            }
            Capture::NotReady if in_java_code => {
                captured.java_not_ready = true;
                frames.push(FrameWord::marker(Marker::JavaNotReady));
            }
            _ => {}
        }
    }
}

/// Runs `work` with a buffer of so many words: a function of its own for each size, so that no other takes stack.
#[inline(never)]
fn on_stack<const WORDS: usize>(work: &mut dyn FnMut(&mut FrameBuffer<'_>)) {
    work(&mut FrameBuffer { words: &mut [MaybeUninit::uninit(); WORDS], len: 0 });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_frames_are_packed_behind_the_native_ones() {
        let mut words = [MaybeUninit::new(u64::MAX); 2 + JAVA_WORDS * 3 + MARKERS];
        let mut frames = FrameBuffer { words: &mut words, len: 0 };
        let mut native = frames.native(2);
        assert_eq!([0x1000, 0x2000, 0x3000].map(|pc| native.push(pc)), [true, true, false]);
        let java = frames.java(100);
        assert_eq!(java.len(), 3, "as many as there is room for");
        for (index, frame) in java.iter_mut().enumerate() {
            frame.write(JavaFrame { bci: index as i32, method: 0x7000 + 8 * index });
        }
        // SAFETY: three frames were written.
        unsafe { frames.add_java(3) };
        frames.push(FrameWord::marker(Marker::Truncated));
        let expected = [
            FrameWord::native(0x1000),
            FrameWord::native(0x2000),
            FrameWord::java(0x7000, 0),
            FrameWord::java(0x7008, 1),
            FrameWord::java(0x7010, 2),
            FrameWord::marker(Marker::Truncated),
        ];
        assert_eq!(frames.as_slice(), expected);
    }

    #[test]
    fn a_full_buffer_takes_no_more_than_notes() {
        let mut frames = FrameBuffer { words: &mut [MaybeUninit::uninit(); 2 + MARKERS], len: 0 };
        let mut native = frames.native(5);
        assert_eq!([1, 2, 3].map(|pc| native.push(pc)), [true, true, false]);
        assert!(frames.java(9).is_empty());
        for note in [7, 8, 9] {
            frames.push(FrameWord(note));
        }
        assert_eq!(frames.as_slice(), [1, 2, 7, 8].map(FrameWord));
    }
}
