//! Random numbers from a seed, and random profiles that pass the check.

use leakscope_profile::{
    Cause, Code, Exit, Frame, FrameId, Function, FunctionId, IntervalChange, Kind, Memory, Module, ModuleId, Profile,
    Row, Settings, Snapshot, Stack, StackId, Target, Totals,
};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Of any order of size, zero and the largest included.
    fn any(&mut self) -> u64 {
        match self.below(10) {
            0 => 0,
            1 => u64::MAX,
            _ => self.next() >> self.below(64),
        }
    }

    fn any32(&mut self) -> u32 {
        self.any() as u32
    }

    fn sum(&mut self) -> f64 {
        match self.below(8) {
            0 => 0.0,
            1 => f64::MAX,
            2 => f64::MIN_POSITIVE,
            _ => self.any() as f64 / 7.0,
        }
    }

    fn text(&mut self) -> String {
        let pieces = ["a", "/", "é", "\0", "libz.so", "\u{10ffff}", " ", "<init>", "$$Lambda", "[jvm]", "+0x1f"];
        (0..self.below(5)).map(|_| pieces[self.below(pieces.len())]).collect()
    }

    fn many<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }
}

/// A profile with everything in it that the check allows.
pub fn profile(seed: u64) -> Profile {
    let random = &mut Random(seed);
    let modules = random.many(5, module);
    let functions = random.many(9, function);
    let mut frames = Vec::new();
    if !functions.is_empty() {
        frames = random.many(12, |random| frame(random, modules.len(), functions.len()));
    }
    let mut stacks = Vec::new();
    if !frames.is_empty() {
        stacks = random.many(8, |random| stack(random, frames.len()));
    }
    let snapshot = snapshot(random);
    let mut rows: Vec<Row> = Vec::new();
    if !stacks.is_empty() {
        rows = random.many(30, |random| row(random, stacks.len(), snapshot.epoch));
        let mut keys = std::collections::HashSet::new();
        rows.retain(|row| keys.insert((row.stack, row.kind, row.epoch, row.interval_bytes)));
    }
    let losses = random.many(4, |random| (random.text(), random.any())).into_iter().collect();
    let settings = Settings {
        interval_bytes: random.any(),
        native_depth: random.any32(),
        java_depth: random.any32(),
        version: random.text(),
        changes: random.many(4, |random| IntervalChange {
            time_unix_ns: random.any() as i64,
            interval_bytes: random.any().max(1),
            cause: Cause::ALL[random.below(Cause::ALL.len())],
            percent: random.sum(),
        }),
    };
    let memory = Memory { rss_bytes: random.any(), limit_bytes: random.any(), cgroup_bytes: random.any() };
    Profile { target: target(random), snapshot, settings, losses, modules, functions, frames, stacks, rows, memory }
}

fn target(random: &mut Random) -> Target {
    let exit = match random.below(4) {
        0 => None,
        1 => Some(Exit::Code(random.next() as i32)),
        2 => Some(Exit::Signal(9)),
        _ => Some(Exit::Unknown),
    };
    Target {
        pid: random.any32(),
        name: random.text(),
        command: random.many(4, Random::text),
        exe: random.text(),
        exit,
        jvm: random.text(),
        bypassed_by: random.text(),
        inner_allocators: random.many(3, Random::text),
    }
}

fn snapshot(random: &mut Random) -> Snapshot {
    let session = if random.below(4) == 0 { [0; 16] } else { [random.next() as u8; 16] };
    Snapshot {
        session,
        index: random.any32(),
        epoch: random.any32(),
        time_unix_ns: random.any() as i64,
        uptime_ms: random.any(),
        reason: random.text(),
    }
}

fn module(random: &mut Random) -> Module {
    let (a, b) = (random.any(), random.any());
    Module {
        start: a.min(b),
        end: a.max(b),
        offset: random.any(),
        bias: random.any(),
        path: random.text(),
        build_id: random.text(),
    }
}

fn function(random: &mut Random) -> Function {
    Function { name: format!("f{}", random.text()), system_name: random.text(), file: random.text() }
}

fn frame(random: &mut Random, modules: usize, functions: usize) -> Frame {
    let module = (modules > 0 && random.below(3) > 0).then(|| ModuleId(random.below(modules) as u32));
    let code = match random.below(4) {
        0 => Code::Java,
        1 => Code::Marker,
        _ => Code::Native { module, address: random.any().max(1) },
    };
    let function = FunctionId(random.below(functions) as u32);
    Frame { code, function, line: random.any32(), inlined: random.below(3) == 0 }
}

fn stack(random: &mut Random, frames: usize) -> Stack {
    let mut stack = random.many(6, |random| FrameId(random.below(frames) as u32));
    stack.push(FrameId(random.below(frames) as u32));
    let totals = Totals {
        samples: random.any(),
        bytes: random.sum(),
        bytes_variance: random.sum(),
        bytes_observed: random.any(),
        objects: random.sum(),
        freed_by_app: random.sum(),
        freed_by_gc: random.sum(),
        frees_app: random.any(),
        frees_gc: random.any(),
    };
    Stack { frames: stack, totals }
}

fn row(random: &mut Random, stacks: usize, epoch: u32) -> Row {
    let kinds = [Kind::Malloc, Kind::MmapAnon, Kind::MmapFile, Kind::Thread];
    let exact = random.below(3) == 0;
    let samples = random.any().max(1);
    let smallest_bytes = random.any() / samples;
    let bytes_observed = (smallest_bytes * samples).saturating_add(random.any());
    let scale = if exact { 1.0 } else { 1.0 + random.below(1000) as f64 / 7.0 };
    let kind = kinds[random.below(4)];
    let resident =
        (kind != Kind::Malloc && random.below(2) == 0).then(|| random.any().min(bytes_observed).min(u64::MAX - 1));
    Row {
        stack: StackId(random.below(stacks) as u32),
        kind,
        epoch: random.any32().min(epoch),
        interval_bytes: if exact { 1 } else { random.any().max(2) },
        samples,
        bytes: bytes_observed as f64 * scale,
        bytes_variance: if exact { 0.0 } else { random.sum() },
        bytes_observed,
        objects: samples as f64 * scale,
        objects_variance: if exact { 0.0 } else { random.sum() },
        smallest_bytes,
        oldest_ms: random.any(),
        resident_bytes: resident,
    }
}
