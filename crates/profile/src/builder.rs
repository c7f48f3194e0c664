//! Makes a [`Profile`] from what a collector finds, one block at a time.
//!
//! Functions, frames and stacks are kept once; blocks are summed into rows as they come, so the order in which a
//! table is scanned does not show in the result. Nothing here fails: a collector reads shared memory that a crashed
//! target may have left in any state, and what cannot be used is counted among the losses.
//!
//! The estimator's sums follow DESIGN 6. With y the size in bytes (or 1 for objects) and p the inclusion
//! probability: T += y/p, V += y^2 (1-p)/p^2, O += y. Worked: a block of 512 KiB at an interval of 512 KiB has
//! p = 0.632, hence T = 829,430 bytes; at interval 1 it has p = 1, T = 524,288, V = 0.

use crate::index::Index;
use crate::model::{
    Code, Frame, FrameId, Function, FunctionId, Kind, Memory, Module, ModuleId, Profile, Row, Settings, Snapshot,
    Stack, StackId, Target, Totals,
};

/// One sampled block that is live.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Block {
    /// Where it was allocated.
    pub stack: StackId,
    /// What it is.
    pub kind: Kind,
    /// Epoch in which it was born.
    pub epoch: u32,
    /// Sampling interval in force when it was drawn, bytes; 1 where every one is recorded.
    pub interval_bytes: u64,
    /// Requested size, bytes; 0 counts as 1, as it does for the sampler.
    pub size_bytes: u64,
    /// Its inclusion probability by the formula of `sampling`, in (0, 1]; taken as 1 at interval 1.
    pub probability: f64,
    /// Birth, milliseconds since recording started.
    pub birth_ms: u64,
}

/// A profile in the making.
#[derive(Debug)]
pub struct ProfileBuilder {
    profile: Profile,
    functions: Index,
    frames: Index,
    stacks: Index,
    /// When there are so many rows, those with equal keys are added up.
    merge_at: usize,
}

/// Rows that are waited for before the first are added up.
const MERGE_AT: usize = 1 << 12;

impl ProfileBuilder {
    /// A profile of one instant of a process, with nothing live in it yet.
    pub fn new(target: Target, snapshot: Snapshot, settings: Settings) -> Self {
        Self {
            profile: Profile { target, snapshot, settings, ..Profile::default() },
            functions: Index::default(),
            frames: Index::default(),
            stacks: Index::default(),
            merge_at: MERGE_AT,
        }
    }

    /// Makes room for so many frames, each perhaps of a function of its own, and stacks. Lists that large are mappings of
    /// their own, of which only what is used becomes memory; lists that grow leave holes in the heap.
    pub fn reserve(&mut self, frames: usize, stacks: usize) {
        self.profile.functions.reserve_exact(frames);
        self.profile.frames.reserve_exact(frames);
        self.profile.stacks.reserve_exact(stacks);
    }

    /// Adds a module, once. Order does not matter: [`ProfileBuilder::finish`] puts the executable first.
    ///
    /// The returned id is for this builder's use.
    pub fn module(&mut self, module: Module) -> ModuleId {
        // Linear: a process has a few hundred, and the address in front decides nearly every comparison.
        match self.profile.modules.iter().position(|known| *known == module) {
            Some(known) => ModuleId(known as u32),
            None => self.add_module(module),
        }
    }

    /// Adds a module that may be there already: a hostile file has so many that looking for each would take hours.
    pub(crate) fn add_module(&mut self, module: Module) -> ModuleId {
        self.profile.modules.push(module);
        ModuleId(self.profile.modules.len() as u32 - 1)
    }

    /// A frame of machine code without a symbol, by its return address in the process.
    pub fn native_frame(&mut self, module: Option<ModuleId>, address: u64) -> FrameId {
        let place = module.and_then(|ModuleId(module)| self.profile.modules.get(module as usize));
        let function = Function::unsymbolized(place, address);
        self.frame(Code::Native { module, address }, function, 0, false)
    }

    /// A frame of a Java method: its name with dots, its JVM name, its source file, and the line (0 if unknown).
    pub fn java_frame(&mut self, function: Function, line: u32) -> FrameId {
        self.frame(Code::Java, function, line, false)
    }

    /// A note in the stack's place, such as `[truncated]`.
    pub fn marker(&mut self, text: &str) -> FrameId {
        self.frame(Code::Marker, Function { name: text.to_owned(), ..Function::default() }, 0, false)
    }

    /// A frame of any sort, once.
    pub fn frame(&mut self, code: Code, function: Function, line: u32, inlined: bool) -> FrameId {
        let function = self.function(function);
        self.frame_in(code, function, line, inlined)
    }

    /// A frame of a function that is there already, once.
    ///
    /// # Panics
    /// If the function is not from this builder.
    pub fn frame_in(&mut self, code: Code, function: FunctionId, line: u32, inlined: bool) -> FrameId {
        assert!((function.0 as usize) < self.profile.functions.len(), "a function of another builder");
        let frame = Frame { code, function, line, inlined };
        let frames = &mut self.profile.frames;
        let next = frames.len();
        let known = self.frames.find_or_insert(&frame, next, |at| frames[at] == frame);
        if known.is_none() {
            frames.push(frame);
        }
        FrameId(known.unwrap_or(next) as u32)
    }

    /// A stack, leaf first, once. One without frames is given the marker `[no stack]`. A list that is given away is kept
    /// without a copy.
    pub fn stack(&mut self, frames: impl AsRef<[FrameId]> + Into<Vec<FrameId>>) -> StackId {
        if frames.as_ref().is_empty() {
            let marker = self.marker("[no stack]");
            return self.stack([marker]);
        }
        let stacks = &mut self.profile.stacks;
        let next = stacks.len();
        let known = self.stacks.find_or_insert(frames.as_ref(), next, |at| stacks[at].frames == frames.as_ref());
        if known.is_none() {
            stacks.push(Stack { frames: frames.into(), totals: Totals::default() });
        }
        StackId(known.unwrap_or(next) as u32)
    }

    /// Adds a live block to the row of its stack, kind, epoch and interval.
    ///
    /// A probability outside (0, 1] is taken as 1, which underestimates, and counted as the loss `bad_probability`.
    pub fn add_block(&mut self, block: &Block) {
        let interval_bytes = block.interval_bytes.max(1);
        let valid = block.probability > 0.0 && block.probability <= 1.0;
        if !valid && interval_bytes > 1 {
            self.loss("bad_probability", 1);
        }
        let p = if valid && interval_bytes > 1 { block.probability } else { 1.0 };
        let size_bytes = block.size_bytes.max(1);
        let size = size_bytes as f64;
        self.add_row(Row {
            stack: block.stack,
            kind: block.kind,
            epoch: block.epoch,
            interval_bytes,
            samples: 1,
            bytes: size / p,
            bytes_variance: size * size * (1.0 - p) / (p * p),
            bytes_observed: size_bytes,
            objects: 1.0 / p,
            objects_variance: (1.0 - p) / (p * p),
            smallest_bytes: size_bytes,
            oldest_ms: block.birth_ms,
            resident_bytes: None,
        });
    }

    /// Adds the sums of several blocks to the row of their stack, kind, epoch and interval.
    pub fn add_row(&mut self, row: Row) {
        self.profile.rows.push(row);
        if self.profile.rows.len() >= self.merge_at {
            self.merge_rows();
            self.merge_at = MERGE_AT.max(self.profile.rows.len() * 2);
        }
    }

    /// Adds many rows, as [`ProfileBuilder::add_row`] does with each. A list that is given to a builder without rows is kept
    /// without a copy.
    pub fn add_rows(&mut self, rows: Vec<Row>) {
        if self.profile.rows.is_empty() {
            self.profile.rows = rows;
            self.merge_rows();
            self.merge_at = MERGE_AT.max(self.profile.rows.len() * 2);
        } else {
            rows.into_iter().for_each(|row| self.add_row(row));
        }
    }

    /// Adds to what was ever allocated from a stack. Adds, because two stacks of a session can become one here.
    ///
    /// # Panics
    /// If the stack is not from this builder.
    pub fn totals(&mut self, stack: StackId, totals: &Totals) {
        self.profile.stacks[stack.0 as usize].totals.add(totals);
    }

    /// Counts data that we did not get. Zero leaves no trace.
    pub fn loss(&mut self, name: &str, count: u64) {
        if count > 0 {
            let sum = self.profile.losses.entry(name.to_owned()).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// States the memory of the process at the snapshot.
    pub fn memory(&mut self, memory: Memory) {
        self.profile.memory = memory;
    }

    /// The profile, with the executable as its first module and its rows in the order of their keys.
    pub fn finish(mut self) -> Profile {
        self.merge_rows();
        let mut profile = self.profile;
        executable_first(&mut profile);
        profile
    }

    /// A function, once.
    pub fn function(&mut self, function: Function) -> FunctionId {
        let functions = &mut self.profile.functions;
        let next = functions.len();
        let known = self.functions.find_or_insert(&function, next, |at| functions[at] == function);
        if known.is_none() {
            // Texts that were put together have room to grow, as much again.
            let shrunk = |mut text: String| {
                text.shrink_to_fit();
                text
            };
            let Function { name, system_name, file } = function;
            functions.push(Function { name: shrunk(name), system_name: shrunk(system_name), file: shrunk(file) });
        }
        FunctionId(known.unwrap_or(next) as u32)
    }

    /// Brings the rows into the order of their keys, and makes one of those with equal keys.
    fn merge_rows(&mut self) {
        self.profile.rows.sort_unstable_by_key(Row::key);
        self.profile.rows.dedup_by(|row, sum| {
            let is_same = row.key() == sum.key();
            if is_same {
                sum.add(row);
            }
            is_same
        });
    }
}

/// Puts the module of the executable first, or one without addresses where no code of it is in any stack: pprof
/// takes the first mapping for the program.
fn executable_first(profile: &mut Profile) {
    let exe = &profile.target.exe;
    if exe.is_empty() || profile.modules.is_empty() {
        return;
    }
    let found = profile.modules.iter().position(|module| module.path == *exe);
    let module = match found {
        Some(index) => profile.modules.remove(index),
        None => Module { path: exe.clone(), ..Module::default() },
    };
    profile.modules.insert(0, module);
    // Those before the place that was vacated move up by one; a made-up module vacates a place behind the last.
    let vacated = found.unwrap_or(profile.modules.len()) as u32;
    for frame in &mut profile.frames {
        if let Code::Native { module: Some(ModuleId(id)), .. } = &mut frame.code {
            match (*id).cmp(&vacated) {
                std::cmp::Ordering::Less => *id += 1,
                std::cmp::Ordering::Equal => *id = 0,
                std::cmp::Ordering::Greater => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> ProfileBuilder {
        let target = Target { exe: "/bin/app".to_owned(), ..Target::default() };
        let snapshot = Snapshot { epoch: 9, ..Snapshot::default() };
        ProfileBuilder::new(target, snapshot, Settings::default())
    }

    fn module(path: &str) -> Module {
        Module { path: path.to_owned(), ..Module::default() }
    }

    fn block(stack: StackId, size_bytes: u64, probability: f64) -> Block {
        Block { stack, kind: Kind::Malloc, epoch: 3, interval_bytes: 1024, size_bytes, probability, birth_ms: 70 }
    }

    #[test]
    fn blocks_are_summed_by_the_formulas() {
        let mut builder = builder();
        let stack = builder.stack([]);
        builder.add_block(&block(stack, 100, 0.25));
        builder.add_block(&Block { birth_ms: 50, ..block(stack, 300, 0.5) });
        let profile = builder.finish();
        let [row] = profile.rows[..] else { panic!("{:?}", profile.rows) };
        assert_eq!(row.samples, 2);
        assert_eq!(row.bytes, 100.0 / 0.25 + 300.0 / 0.5);
        assert_eq!(row.bytes_variance, 100.0 * 100.0 * 0.75 / 0.0625 + 300.0 * 300.0 * 0.5 / 0.25);
        assert_eq!(row.bytes_observed, 400);
        assert_eq!(row.objects, 6.0);
        assert_eq!(row.objects_variance, 0.75 / 0.0625 + 0.5 / 0.25);
        assert_eq!((row.smallest_bytes, row.oldest_ms), (100, 50));
        assert_eq!(profile.check(), Ok(()));
    }

    #[test]
    fn the_key_of_a_row_is_stack_kind_epoch_and_interval() {
        let mut builder = builder();
        let marker = builder.marker("[depot full]");
        let (a, b) = (builder.stack([]), builder.stack([marker]));
        assert_eq!(builder.stack([marker]), b);
        let one = block(a, 8, 0.5);
        for block in [
            Block { epoch: 4, ..one },
            Block { interval_bytes: 1, ..one },
            Block { kind: Kind::Thread, ..one },
            Block { stack: b, ..one },
            one,
            one,
        ] {
            builder.add_block(&block);
        }
        let profile = builder.finish();
        assert_eq!(profile.rows.len(), 5);
        assert_eq!(profile.rows.iter().map(|row| row.samples).sum::<u64>(), 6);
        assert_eq!(profile.check(), Ok(()));
    }

    #[test]
    fn many_blocks_of_few_rows_are_added_up_on_the_way() {
        let mut builder = builder();
        let stack = builder.stack([]);
        for i in 0..5 * MERGE_AT as u32 {
            builder.add_block(&Block { epoch: i % 3, ..block(stack, 8, 0.5) });
            assert!(builder.profile.rows.len() <= MERGE_AT, "not kept one by one");
        }
        let profile = builder.finish();
        assert_eq!(profile.rows.len(), 3);
        assert_eq!(profile.rows.iter().map(|row| row.samples).sum::<u64>(), 5 * MERGE_AT as u64);
    }

    #[test]
    fn interval_one_is_certain() {
        let mut builder = builder();
        let stack = builder.stack([]);
        builder.add_block(&Block { interval_bytes: 1, ..block(stack, 0, 0.3) });
        let row = builder.finish().rows[0];
        assert_eq!((row.bytes, row.bytes_variance, row.objects), (1.0, 0.0, 1.0));
    }

    #[test]
    fn an_impossible_probability_is_counted_and_harmless() {
        let mut builder = builder();
        let stack = builder.stack([]);
        for p in [0.0, -1.0, 1.5, f64::NAN, f64::INFINITY] {
            builder.add_block(&block(stack, 8, p));
        }
        let profile = builder.finish();
        assert_eq!(profile.losses["bad_probability"], 5);
        assert_eq!(profile.check(), Ok(()));
    }

    #[test]
    fn the_executable_comes_first_and_frames_follow_it() {
        let mut builder = builder();
        let paths = ["/lib/a.so", "/bin/app", "/lib/b.so"];
        let ids = paths.map(|path| builder.module(module(path)));
        assert_eq!(builder.module(module("/bin/app")), ids[1]);
        let frames = ids.map(|id| builder.native_frame(Some(id), 0x10));
        builder.stack(frames);
        let profile = builder.finish();
        let of = |frame: &FrameId| match profile.frames[frame.0 as usize].code {
            Code::Native { module: Some(id), .. } => profile.modules[id.0 as usize].path.as_str(),
            _ => "",
        };
        assert_eq!(profile.modules[0].path, "/bin/app");
        assert_eq!(frames.iter().map(of).collect::<Vec<_>>(), paths);
    }

    #[test]
    fn an_executable_without_code_in_any_stack_is_made_up() {
        let mut builder = builder();
        let library = builder.module(module("/lib/a.so"));
        let frame = builder.native_frame(Some(library), 0x10);
        let profile = builder.finish();
        assert_eq!(profile.modules, [module("/bin/app"), module("/lib/a.so")]);
        assert_eq!(profile.frames[frame.0 as usize].code, Code::Native { module: Some(ModuleId(1)), address: 0x10 });
    }

    #[test]
    fn frames_and_functions_are_kept_once() {
        let mut builder = builder();
        let function = Function { name: "a.B.c".to_owned(), ..Function::default() };
        let first = builder.java_frame(function.clone(), 7);
        assert_eq!(builder.java_frame(function.clone(), 7), first);
        assert_ne!(builder.java_frame(function, 8), first);
        let profile = builder.finish();
        assert_eq!((profile.functions.len(), profile.frames.len()), (1, 2));
    }

    #[test]
    fn totals_of_stacks_that_became_one_are_added() {
        let mut builder = builder();
        let stack = builder.stack([]);
        let totals = Totals { samples: 1, bytes: 2.0, frees_gc: 3, ..Totals::default() };
        builder.totals(stack, &totals);
        builder.totals(stack, &totals);
        let totals = builder.finish().stacks[0].totals;
        assert_eq!((totals.samples, totals.bytes, totals.frees_gc), (2, 4.0, 6));
    }
}
