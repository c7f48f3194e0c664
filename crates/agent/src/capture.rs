//! The stack of a sampled call: native frames down to the first code without a file, then the Java frames.
//!
//! A failing native walk never suppresses the Java part, nor the reverse; what is missing is noted by a marker frame
//! at the root end and counted.
#![allow(unsafe_code)] // frame buffers are left uninitialised beyond their length

use crate::Caller;
use crate::recorder::Recorder;
use crate::thread::ThreadBlock;
use core::mem::MaybeUninit;
use leakscope_hotspot::{Capture, JavaFrame};
use leakscope_session::frame::{FrameWord, Marker};
use leakscope_session::header::{JvmState, Word};
use leakscope_session::view::Session;
use leakscope_unwind::{End, StackBounds, walk};

/// Most native frames of a stack, whatever is asked for: the buffer lies on the target's stack.
pub const MOST_NATIVE: usize = 128;
/// Most Java frames of a stack, whatever is asked for.
pub const MOST_JAVA: usize = 256;
const MOST_FRAMES: usize = MOST_NATIVE + MOST_JAVA + 2;

/// Frames of one stack, leaf first.
pub(crate) struct FrameBuffer {
    frames: [MaybeUninit<FrameWord>; MOST_FRAMES],
    len: usize,
}

impl FrameBuffer {
    pub(crate) fn new() -> Self {
        Self { frames: [const { MaybeUninit::uninit() }; MOST_FRAMES], len: 0 }
    }

    fn push(&mut self, frame: FrameWord) {
        if let Some(slot) = self.frames.get_mut(self.len) {
            slot.write(frame);
            self.len += 1;
        }
    }

    pub(crate) fn as_slice(&self) -> &[FrameWord] {
        // SAFETY: `push` has initialised the first `len` frames, and `len` never exceeds the array.
        unsafe { core::slice::from_raw_parts(self.frames.as_ptr().cast(), self.len) }
    }
}

/// What is missing of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Captured {
    pub truncated: bool,
    pub java_refused: bool,
    pub java_not_ready: bool,
}

impl Recorder {
    /// The stack of the calling thread from `caller` on.
    pub(crate) fn capture(
        &self,
        session: &Session<'_>,
        thread: &ThreadBlock,
        caller: Caller,
        frames: &mut FrameBuffer,
    ) -> Captured {
        let native_depth = (session.header.get(Word::NativeDepth) as usize).clamp(1, MOST_NATIVE);
        let end = self.native(thread, caller, native_depth, frames);
        let mut captured = Captured { truncated: end.is_truncated(), ..Captured::default() };
        match JvmState::from_word(session.header.get(Word::JvmState)) {
            JvmState::Absent => {}
            _ => self.java(session, end, frames, &mut captured),
        }
        if captured.truncated {
            frames.push(FrameWord::marker(Marker::Truncated));
        }
        captured
    }

    #[inline(never)]
    fn native(&self, thread: &ThreadBlock, caller: Caller, depth: usize, frames: &mut FrameBuffer) -> End {
        let registers = caller.registers();
        let bounds = thread.with_bounds(|cached| StackBounds::locate(registers.sp, cached));
        let mut addresses = [0usize; MOST_NATIVE];
        let Some(out) = addresses.get_mut(..depth) else {
            return End::DepthLimit;
        };
        let walked = walk(registers, bounds, self.rules, out);
        for address in addresses.iter().take(walked.frames) {
            frames.push(FrameWord::native(*address as u64));
        }
        walked.end
    }

    #[inline(never)]
    fn java(&self, session: &Session<'_>, end: End, frames: &mut FrameBuffer, captured: &mut Captured) {
        let depth = (session.header.get(Word::JavaDepth) as usize).clamp(1, MOST_JAVA);
        let mut java = [const { JavaFrame { bci: 0, method: 0 } }; MOST_JAVA];
        let Some(out) = java.get_mut(..depth) else {
            return;
        };
        // Code without a file is the JVM's: compiled Java, the interpreter, stubs.
        let in_java_code = matches!(end, End::LeftModules);
        match self.jvm.capture(out) {
            Capture::Frames { count, truncated } => {
                for frame in java.iter().take(count) {
                    frames.push(FrameWord::java(frame.method as u64, frame.bci));
                }
                captured.truncated |= truncated;
            }
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
