//! The stacks of one session across its snapshots, told apart without looking at names.
//!
//! Each profile numbers its frames and stacks anew, and looking at all names of 240 snapshots would take seconds. Code
//! stays where it is for as long as the process lives, so a stack is hashed by its addresses (relative to their
//! libraries) and its Java methods and lines. Names are looked at once, when a stack is first seen.

use std::collections::HashMap;

use leakscope_profile::model::{Code, Frame, FrameId, Profile, Stack};

use crate::frames::{FrameTable, SiteFrameId, libraries};
use crate::hash::Fnv;

/// Index of a stack across the snapshots of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RawStackId(pub u32);

/// All stacks that were seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawStacks {
    index: HashMap<u64, RawStackId>,
    /// By id: the frames as they were named when the stack was first seen.
    frames: Vec<Vec<SiteFrameId>>,
    table: FrameTable,
}

impl RawStacks {
    /// Frames of a stack, by the names of its first snapshot.
    pub(crate) fn frames(&self, id: RawStackId) -> &[SiteFrameId] {
        &self.frames[id.0 as usize]
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.frames.len()
    }

    /// The table of all those frames; ours is empty afterwards.
    pub(crate) fn take_table(&mut self) -> FrameTable {
        std::mem::take(&mut self.table)
    }

    /// The stacks of a profile, in its order.
    pub(crate) fn add(&mut self, profile: &Profile) -> Vec<RawStackId> {
        let hashes = frame_hashes(profile);
        let mut names: Option<Vec<String>> = None;
        let id_of = |stack: &Stack| {
            let hash = stack_hash(&stack.frames, &hashes);
            let next = RawStackId(self.frames.len() as u32);
            let id = *self.index.entry(hash).or_insert(next);
            if id == next {
                let libraries = names.get_or_insert_with(|| libraries(profile));
                let frames = stack.frames.iter().filter_map(|id| profile.frames.get(id.0 as usize));
                self.frames.push(frames.map(|frame| self.table.add_frame(profile, frame, libraries)).collect());
            }
            id
        };
        profile.stacks.iter().map(id_of).collect()
    }
}

fn frame_hashes(profile: &Profile) -> Vec<u64> {
    let text = |text: &str| Fnv::new().text(text).finish();
    let modules: Vec<u64> = profile.modules.iter().map(|module| text(&module.path)).collect();
    let functions: Vec<u64> = profile.functions.iter().map(|f| text(&f.system_name) ^ text(&f.name)).collect();
    let function = |frame: &Frame| functions.get(frame.function.0 as usize).copied().unwrap_or_default();
    let hash = |frame: &Frame| {
        let (code, at) = match frame.code {
            Code::Java => (function(frame), u64::from(frame.line)),
            Code::Marker => (function(frame), u64::MAX),
            Code::Native { module, address } => {
                let module =
                    module.and_then(|id| Some((modules.get(id.0 as usize)?, profile.modules.get(id.0 as usize)?)));
                match module {
                    Some((path, module)) => (*path, address.wrapping_sub(module.bias)),
                    None => (0, address),
                }
            }
        };
        Fnv::new().number(code).number(at).number(u64::from(frame.inlined)).finish()
    };
    profile.frames.iter().map(hash).collect()
}

fn stack_hash(frames: &[FrameId], hashes: &[u64]) -> u64 {
    let mut hash = Fnv::new();
    for frame in frames {
        hash.number(hashes.get(frame.0 as usize).copied().unwrap_or_default());
    }
    hash.finish()
}
