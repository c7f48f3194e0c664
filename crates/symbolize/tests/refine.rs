//! A profile with frames of a real library, before and after.

mod tools;

use std::path::{Path, PathBuf};

use leakscope_profile::model::{
    Code, Frame, FrameId, Function, FunctionId, Kind, Module, ModuleId, Profile, Row, Stack, StackId,
};
use leakscope_symbolize::{Symbolizer, refine};
use tools::{at, bare, build_c, functions, object, readelf_build_id};

const BIAS: u64 = 0x7f00_1234_5000;

struct Fixture {
    _directory: tempfile::TempDir,
    library: PathBuf,
    /// Return address in `leak_node` after the inlined malloc, svma.
    malloc_called: u64,
    /// Return address in `sum_copy`, where nothing is inlined, svma.
    plain: u64,
}

impl Fixture {
    fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let library = directory.path().join("libinline.so");
        build_c(&library, &[]);
        let place = |function: &str, depth: usize| {
            let symbols = functions(&library, &[]);
            let function = symbols.iter().find(|f| f.name == function).unwrap();
            let addresses = function.start..function.start + function.size;
            let wanted: Vec<_> = addresses.clone().map(at).collect();
            let found = Symbolizer::new(bare()).symbolize(&object(&library), &wanted);
            addresses.zip(found).find(|(_, chain)| chain.len() == depth).unwrap().0 + 1
        };
        let (malloc_called, plain) = (place("leak_node", 3), place("sum_copy", 1));
        Fixture { _directory: directory, library, malloc_called, plain }
    }

    /// Two stacks with one frame of the library in common, a Java frame, and a frame of a library that is gone.
    fn profile(&self) -> Profile {
        let module = |path: &Path, build_id: Option<String>| Module {
            start: BIAS,
            end: BIAS + 0x10000,
            bias: BIAS,
            path: path.to_str().unwrap().to_owned(),
            build_id: build_id.unwrap_or_default(),
            ..Module::default()
        };
        let native = |module, svma: u64, function| Frame {
            code: Code::Native { module: Some(ModuleId(module)), address: svma + BIAS },
            function: FunctionId(function),
            line: 0,
            inlined: false,
        };
        let names = ["leak_node", "sum_copy", "com.acme.Codec.encode", "gone.so+0x1", "", "unused"];
        let function = |name: &&str| Function { name: (*name).to_owned(), ..Function::default() };
        let stack = |ids: &[u32]| Stack { frames: ids.iter().map(|&id| FrameId(id)).collect(), ..Stack::default() };
        Profile {
            modules: vec![
                module(&self.library, readelf_build_id(&self.library)),
                module(Path::new("/nowhere/libgone1234567.so"), Some("00112233445566778899".to_owned())),
            ],
            functions: names.iter().map(function).collect(),
            frames: vec![
                native(0, self.malloc_called, 0),
                native(0, self.plain, 1),
                Frame { code: Code::Java, function: FunctionId(2), line: 71, inlined: true },
                native(1, 0x101, 3),
                native(1, 0x201, 4),
            ],
            stacks: vec![stack(&[0, 1, 2]), stack(&[1, 3, 4, 2]), stack(&[])],
            rows: vec![row(1), row(0)],
            ..Profile::default()
        }
    }
}

fn row(stack: u32) -> Row {
    Row {
        stack: StackId(stack),
        kind: Kind::Malloc,
        epoch: 0,
        interval_bytes: 1,
        samples: 1,
        bytes: 64.0,
        bytes_variance: 0.0,
        bytes_observed: 64,
        objects: 1.0,
        objects_variance: 0.0,
        smallest_bytes: 64,
        oldest_ms: 0,
        resident_bytes: None,
    }
}

/// Each stack as names, with `*` for inlined ones.
fn shown(profile: &Profile) -> Vec<Vec<String>> {
    let show = |id: &FrameId| {
        let frame = profile.frames[id.0 as usize];
        let name = &profile.functions[frame.function.0 as usize].name;
        format!("{name}{}", if frame.inlined { "*" } else { "" })
    };
    profile.stacks.iter().map(|stack| stack.frames.iter().map(show).collect()).collect()
}

#[test]
fn inlined_functions_become_frames_and_the_rest_stays() {
    let fixture = Fixture::new();
    let mut profile = fixture.profile();
    let rows = profile.rows.clone();
    let mut symbolizer = Symbolizer::new(bare());
    refine(&mut profile, &mut symbolizer);
    assert_eq!(
        shown(&profile),
        [
            &["allocate*", "make_node*", "leak_node", "sum_copy", "com.acme.Codec.encode*"][..],
            &["sum_copy", "gone.so+0x1", "libgone*.so+0x200", "com.acme.Codec.encode*"],
            &[],
        ]
    );
    assert_eq!(profile.rows, rows);
    assert!(symbolizer.warnings().iter().any(|w| w.contains("libgone1234567.so")), "{:?}", symbolizer.warnings());

    // Frames of one address share its code; files and lines come from DWARF.
    let frame = |i: usize| profile.frames[profile.stacks[0].frames[i].0 as usize];
    assert!((0..3).all(|i| frame(i).code == frame(0).code && frame(i).line > 0));
    assert!(profile.functions[frame(1).function.0 as usize].file.ends_with("inline.c"));
    // Equal frames and functions are there once, unused ones not at all.
    assert_eq!(profile.stacks[0].frames[3], profile.stacks[1].frames[0]);
    assert_eq!((profile.frames.len(), profile.functions.len()), (7, 7));
}

#[test]
fn twice_is_the_same_as_once() {
    let fixture = Fixture::new();
    let mut once = fixture.profile();
    refine(&mut once, &mut Symbolizer::new(bare()));
    let mut twice = once.clone();
    refine(&mut twice, &mut Symbolizer::new(bare()));
    assert_eq!(once, twice);
    // And when the library is gone by then, what was found before stays.
    std::fs::remove_file(&fixture.library).unwrap();
    refine(&mut twice, &mut Symbolizer::new(bare()));
    assert_eq!(once, twice);
}

#[test]
fn a_file_is_told_of_where_it_makes_a_difference() {
    let fixture = Fixture::new();
    let warnings = |profile: &mut Profile| {
        let mut symbolizer = Symbolizer::new(bare());
        refine(profile, &mut symbolizer);
        symbolizer.warnings().to_vec()
    };
    // Without names, and with them.
    let mut profile = fixture.profile();
    let gone = warnings(&mut profile);
    assert!(gone.len() == 1 && gone[0].contains("is not there any more"), "{gone:?}");
    let mut profile = Profile { rows: vec![row(0)], ..fixture.profile() };
    assert_eq!(warnings(&mut profile), [""; 0], "no stack of it is shown");
    let mut profile = fixture.profile();
    profile.functions[3].name = "encode".to_owned();
    profile.functions[4].name = "grow".to_owned();
    assert_eq!(warnings(&mut profile.clone()), [""; 0], "nothing is missing");
    // Lines from a file that may be another, and nothing that was not known before.
    profile.modules[0].build_id.clear();
    let doubtful = warnings(&mut profile);
    assert!(doubtful.len() == 1 && doubtful[0].contains("without a build id"), "{doubtful:?}");
    assert_eq!(warnings(&mut profile), [""; 0]);
    // Another build is told of: its lines would be there.
    profile.modules[0].build_id = "00112233".to_owned();
    assert_eq!(warnings(&mut profile).len(), 1);
}

#[test]
fn indices_that_lead_nowhere_are_dropped() {
    let mut profile = Profile {
        frames: vec![Frame {
            code: Code::Native { module: Some(ModuleId(9)), address: 0 },
            function: FunctionId(9),
            line: 0,
            inlined: true,
        }],
        stacks: vec![Stack { frames: vec![FrameId(0), FrameId(9)], ..Stack::default() }],
        ..Profile::default()
    };
    refine(&mut profile, &mut Symbolizer::new(bare()));
    assert_eq!(shown(&profile), [["[unknown]*"]]);
}
