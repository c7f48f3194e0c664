//! Notes the modules of a new stack in the session, so that its frames can be named after the target is gone.

use leakscope_session::frame::{Decoded, FrameWord};
use leakscope_session::losses::Loss;
use leakscope_session::modules::{PATH_BYTES, Range};
use leakscope_session::view::Session;
use leakscope_unwind::find_module;

/// Notes the module of each native frame; for stacks that were never seen before.
pub(crate) fn note(session: &Session<'_>, frames: &[FrameWord]) {
    let mut last = Range::default();
    for frame in frames {
        let Decoded::Native(address) = frame.decode() else {
            continue;
        };
        if (last.start..last.end).contains(&address) {
            continue;
        }
        // A return address may be one past the end of its function, even of its module: look up the call.
        let Some(module) = find_module((address as usize).wrapping_sub(1)) else {
            continue;
        };
        last = Range { start: module.start as u64, end: module.end as u64, bias: module.bias as u64 };
        let mut path = [0; PATH_BYTES];
        let bytes = module.copy_path(&mut path);
        if !session.modules.note(&last, path.get(..bytes).unwrap_or(&[])) {
            session.losses.add(Loss::ModulesFull, 1);
        }
    }
}
