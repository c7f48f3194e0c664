//! Chunks of a pool: one place, whoever asked for the next one.

mod program;

use leakscope_analyze::{AnalysisOptions, Remedy, VerdictId, analyze};
use leakscope_profile::model::{Code, Frame, FrameId, Function, FunctionId, Profile};
use leakscope_profile::timeline::Timeline;
use leakscope_sampling::Interval;
use program::Program;

const CHUNK: u64 = 4 << 20;

/// The same, with `function` called by each site.
fn called(mut profile: Profile, function: &str) -> Profile {
    let name = FunctionId(profile.functions.len() as u32);
    profile.functions.push(Function { name: function.to_owned(), ..Function::default() });
    let frame = FrameId(profile.frames.len() as u32);
    profile.frames.push(Frame { code: Code::Java, function: name, line: 696, inlined: false });
    profile.stacks.iter_mut().for_each(|stack| stack.frames.insert(0, frame));
    profile
}

/// Two sites take turns at asking for a block that stays.
fn recording(function: &str) -> Vec<Profile> {
    let mut program = Program::new(1, Interval::EXACT);
    let mut profiles = Vec::new();
    for at in 0..20 {
        program.allocate(at % 2, CHUNK);
        profiles.push(called(program.snapshot(), function));
    }
    profiles
}

#[test]
fn chunks_are_one_place_whoever_asks_for_them() {
    let analyse = |function| analyze(&recording(function), &Timeline::default(), &AnalysisOptions::default());
    let pool = analyse("io.netty.buffer.PoolArena$DirectArena.newChunk");
    assert_eq!((pool.suspects.len(), pool.suspects[0].sites.len()), (1, 2));
    let leak = pool.verdicts.iter().find(|verdict| verdict.id == VerdictId::Leak).expect("a leak");
    assert_eq!(leak.fix.as_ref().map(|fix| fix.remedy), Some(Remedy::ReleaseToPool));
    let unpooled = analyse("io.netty.buffer.UnpooledByteBufAllocator.newDirectBuffer");
    assert_eq!(unpooled.suspects.len(), 2, "these are whose they are");
}
