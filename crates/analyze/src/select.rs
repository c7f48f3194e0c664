//! Which part of a profile a command looks at: kinds of memory, and whether the JVM's own mappings count.
//!
//! What is the JVM's own is explained in [`JvmsOwnRows`].

use leakscope_profile::JvmsOwnRows;
use leakscope_profile::model::{Kind, Profile, Totals};

/// Kinds of memory that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kinds {
    /// All of them.
    #[default]
    All,
    /// Blocks from the malloc family.
    Malloc,
    /// Mappings, of files and anonymous.
    Mmap,
    /// Stacks of threads.
    Thread,
}

impl Kinds {
    /// Every choice, in the order of the option's help.
    pub const ALL: [Kinds; 4] = [Kinds::All, Kinds::Malloc, Kinds::Mmap, Kinds::Thread];

    /// The word used in options.
    pub fn as_str(self) -> &'static str {
        match self {
            Kinds::All => "all",
            Kinds::Malloc => "malloc",
            Kinds::Mmap => "mmap",
            Kinds::Thread => "thread",
        }
    }

    fn contains(self, kind: Kind) -> bool {
        match self {
            Kinds::All => true,
            Kinds::Malloc => kind == Kind::Malloc,
            Kinds::Mmap => matches!(kind, Kind::MmapAnon | Kind::MmapFile),
            Kinds::Thread => kind == Kind::Thread,
        }
    }
}

/// What to keep of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    /// These kinds.
    pub kinds: Kinds,
    /// The JVM's own mappings and threads, too.
    pub jvms_own: bool,
}

/// The JVM's own address space that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JvmsOwn {
    /// Bytes that it has mapped, mostly reserved.
    pub mapped_bytes: u64,
    /// In so many mappings.
    pub mappings: u64,
    /// Bytes reserved for the stacks of its own threads.
    pub stack_bytes: u64,
    /// So many threads.
    pub threads: u64,
}

/// Takes what is not asked for out of `profile`: its rows, and the totals of stacks of which nothing else is left.
/// What of it is the JVM's own, among the kinds asked for, is added up.
pub fn select(profile: &mut Profile, selection: Selection) -> JvmsOwn {
    let jvms = JvmsOwnRows::of(profile);
    let mut own = JvmsOwn::default();
    // By stack: whether it has rows, and whether one of them is kept.
    let mut had = vec![false; profile.stacks.len()];
    let mut keeps = vec![false; profile.stacks.len()];
    let mut rows = std::mem::take(&mut profile.rows);
    rows.retain(|row| {
        let at = row.stack.0 as usize;
        let is_own = !selection.jvms_own && jvms.contains(profile, row);
        let is_asked_for = selection.kinds.contains(row.kind);
        if is_own && is_asked_for {
            own.add(row.kind, row.bytes_observed, row.samples);
        }
        let keep = is_asked_for && !is_own;
        if let (Some(had), Some(keeps)) = (had.get_mut(at), keeps.get_mut(at)) {
            *had = true;
            *keeps |= keep;
        }
        keep
    });
    profile.rows = rows;
    // Totals do not say of what kind they were: with nothing live they count as malloc, as in `sites`.
    let idle_are_kept = selection.kinds.contains(Kind::Malloc);
    for ((stack, had), keeps) in profile.stacks.iter_mut().zip(had).zip(keeps) {
        if !keeps && (had || !idle_are_kept) {
            stack.totals = Totals::default();
        }
    }
    own
}

/// For each row of a profile, whether it is the JVM's own address space.
pub fn jvms_own_rows(profile: &Profile) -> Vec<bool> {
    let own = JvmsOwnRows::of(profile);
    profile.rows.iter().map(|row| own.contains(profile, row)).collect()
}

impl JvmsOwn {
    fn add(&mut self, kind: Kind, bytes: u64, count: u64) {
        let (sum, number) = match kind {
            Kind::Thread => (&mut self.stack_bytes, &mut self.threads),
            _ => (&mut self.mapped_bytes, &mut self.mappings),
        };
        *sum = sum.saturating_add(bytes);
        *number = number.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::model::{Code, Frame, FrameId, Function, FunctionId, Module, ModuleId, Row, Stack, StackId};

    fn profile() -> Profile {
        let module = |path: &str| Module { path: path.to_owned(), ..Module::default() };
        let native = |module| Code::Native { module: Some(ModuleId(module)), address: 7 };
        let frame = |code| Frame { code, function: FunctionId(0), line: 0, inlined: false };
        let stack = |frames: &[u32]| Stack {
            frames: frames.iter().map(|f| FrameId(*f)).collect(),
            totals: Totals { samples: 1, ..Totals::default() },
        };
        let row = |stack, kind, bytes| Row {
            stack: StackId(stack),
            kind,
            epoch: 0,
            interval_bytes: 1,
            samples: 1,
            bytes: bytes as f64,
            bytes_variance: 0.0,
            bytes_observed: bytes,
            objects: 1.0,
            objects_variance: 0.0,
            smallest_bytes: bytes,
            oldest_ms: 0,
            resident_bytes: None,
        };
        Profile {
            modules: vec![module("/jdk/lib/server/libjvm.so"), module("/jdk/lib/libnio.so")],
            functions: vec![Function { name: "f".into(), ..Function::default() }],
            frames: vec![frame(native(0)), frame(native(1)), frame(Code::Java)],
            // Of the VM; of libnio under Java; of the VM under Java; nothing live.
            stacks: vec![stack(&[0, 1]), stack(&[1, 2]), stack(&[0, 2]), stack(&[1])],
            rows: vec![
                row(0, Kind::MmapAnon, 1 << 30),
                row(0, Kind::Thread, 4096),
                row(0, Kind::Malloc, 10),
                row(1, Kind::MmapFile, 100),
                row(2, Kind::Thread, 1000),
                row(2, Kind::MmapAnon, 1 << 20),
            ],
            ..Profile::default()
        }
    }

    fn kept(selection: Selection) -> (Vec<u64>, JvmsOwn, Vec<u64>) {
        let mut profile = profile();
        let own = select(&mut profile, selection);
        let totals = profile.stacks.iter().map(|stack| stack.totals.samples).collect();
        (profile.rows.iter().map(|row| row.bytes_observed).collect(), own, totals)
    }

    #[test]
    fn the_jvms_own_mappings_and_threads_are_set_apart() {
        let (bytes, own, totals) = kept(Selection::default());
        assert_eq!(bytes, [10, 100, 1000]);
        let expected = JvmsOwn { mapped_bytes: (1 << 30) + (1 << 20), mappings: 2, stack_bytes: 4096, threads: 1 };
        assert_eq!((own, totals), (expected, vec![1, 1, 1, 1]));
        let (bytes, own, _) = kept(Selection { jvms_own: true, ..Selection::default() });
        assert_eq!((bytes.len(), own), (6, JvmsOwn::default()));
    }

    #[test]
    fn kinds_are_kept_apart() {
        assert_eq!(Kinds::ALL.map(Kinds::as_str), ["all", "malloc", "mmap", "thread"]);
        let of = |kinds| kept(Selection { kinds, jvms_own: false });
        assert_eq!((of(Kinds::Malloc).0, of(Kinds::Malloc).2), (vec![10], vec![1, 0, 0, 1]));
        assert_eq!((of(Kinds::Mmap).0, of(Kinds::Mmap).2), (vec![100], vec![0, 1, 0, 0]));
        assert_eq!(of(Kinds::Thread).0, [1000]);
        assert_eq!(of(Kinds::Thread).1, JvmsOwn { stack_bytes: 4096, threads: 1, ..JvmsOwn::default() });
    }
}
