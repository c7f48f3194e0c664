//! The budget of DESIGN 9: sites and growth of 100,000 stacks, in one second. Prints what it took; asserts nothing,
//! because the time depends on the machine.

#[path = "../tests/program/mod.rs"]
mod program;

use std::hint::black_box;
use std::time::Instant;

use leakscope_analyze::{DiffOptions, Grouping, diff, sites};
use leakscope_profile::model::{Code, Frame, FrameId, Function, FunctionId, Profile, Row, Stack, StackId};
use leakscope_sampling::{Interval, Rng};

const STACKS: u32 = 100_000;
const FRAMES: u32 = 30_000;
const DEPTH: u64 = 40;

fn profile(epoch: u32) -> Profile {
    let mut rng = Rng::seeded(1);
    let mut profile = Profile::default();
    profile.settings.interval_bytes = Interval::DEFAULT.bytes();
    profile.snapshot.session = [1; 16];
    profile.snapshot.epoch = epoch;
    for n in 0..FRAMES {
        let name = format!("com.acme.package{}.Class{n}$$Lambda$3/0x0800.method", n % 100);
        profile.functions.push(Function { name, file: format!("com/acme/Class{n}.java"), ..Function::default() });
        profile.frames.push(Frame { code: Code::Java, function: FunctionId(n), line: n % 900, inlined: false });
    }
    for stack in 0..STACKS {
        let frames = (0..DEPTH).map(|_| FrameId((rng.next_u64() % u64::from(FRAMES)) as u32)).collect();
        profile.stacks.push(Stack { frames, ..Stack::default() });
        for born in 0..=epoch {
            let mut row = Row { stack: StackId(stack), ..program::empty_row(0, born, Interval::DEFAULT) };
            for _ in 0..1 + rng.next_u64() % 12 {
                program::add(&mut row, 1 + rng.next_u64() % 10_000, Interval::DEFAULT);
            }
            profile.rows.push(row);
        }
    }
    profile
}

fn main() {
    let (a, b) = (profile(0), profile(1));
    let start = Instant::now();
    black_box(sites(&b, &Grouping::default()));
    println!("sites of {STACKS} stacks: {:?}", start.elapsed());
    let start = Instant::now();
    black_box(diff(&a, &b, &DiffOptions::default()));
    println!("diff of {STACKS} stacks:  {:?}", start.elapsed());
}
