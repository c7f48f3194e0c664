//! Which file is believed: separate debug files in every place where they may be, deleted and replaced libraries.

mod tools;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use leakscope_symbolize::{ObjectRef, Options, Symbol, Symbolizer};
use tools::{at, bare, build_c, functions, object, readelf_build_id, run};

/// A directory with an unstripped library and what was derived from it.
struct Fixture {
    directory: tempfile::TempDir,
    /// With everything.
    library: PathBuf,
    /// Address inside `leak_node`, where two functions are inlined.
    address: u64,
}

impl Fixture {
    fn new(more: &[&str]) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let library = directory.path().join("libfull.so");
        build_c(&library, more);
        let symbols = functions(&library, &[]);
        let leak_node = symbols.iter().find(|f| f.name == "leak_node").unwrap();
        let addresses = leak_node.start..leak_node.start + leak_node.size;
        let found =
            Symbolizer::new(bare()).symbolize(&object(&library), &addresses.clone().map(at).collect::<Vec<_>>());
        let address = addresses.zip(found).find(|(_, chain)| chain.len() == 3).expect("malloc is inlined twice").0;
        Fixture { directory, library, address }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes `name.debug` and `name` without debug information and symbols, which refers to it.
    fn split(&self, name: &str, link: bool) -> (PathBuf, PathBuf) {
        let (stripped, debug) = (self.path(name), self.path(&format!("{name}.debug")));
        objcopy(&["--only-keep-debug"], &self.library, &debug);
        let link_option = format!("--add-gnu-debuglink={}", debug.display());
        let options: &[&str] = if link { &["--strip-all", &link_option] } else { &["--strip-all"] };
        objcopy(options, &self.library, &stripped);
        (stripped, debug)
    }

    fn chain(&self, object: &ObjectRef, options: Options) -> (Vec<Symbol>, Vec<String>) {
        let mut symbolizer = Symbolizer::new(options);
        let mut found = symbolizer.symbolize(object, &[at(self.address)]);
        (found.remove(0), symbolizer.warnings().to_vec())
    }
}

fn objcopy(options: &[&str], from: &Path, to: &Path) {
    let mut arguments = options.to_vec();
    arguments.extend([from.to_str().unwrap(), to.to_str().unwrap()]);
    run("objcopy", arguments);
}

fn assert_inlined(chain: &[Symbol]) {
    let names: Vec<_> = chain.iter().map(|s| (s.name.as_str(), s.inlined)).collect();
    assert_eq!(names, [("allocate", true), ("make_node", true), ("leak_node", false)]);
    assert!(chain.iter().all(|s| s.file.ends_with("inline.c") && s.line > 0), "{chain:?}");
}

fn move_to(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(from, to).unwrap();
}

#[test]
fn debuglink_beside_the_library_and_below_it() {
    let fixture = Fixture::new(&[]);
    let (stripped, debug) = fixture.split("libstripped.so", true);
    assert_inlined(&fixture.chain(&object(&stripped), bare()).0);

    let below = fixture.path(".debug").join(debug.file_name().unwrap());
    move_to(&debug, &below);
    assert_inlined(&fixture.chain(&object(&stripped), bare()).0);

    let global = fixture.path("global");
    let mirrored = global.join(stripped.parent().unwrap().strip_prefix("/").unwrap());
    move_to(&below, &mirrored.join(debug.file_name().unwrap()));
    assert_inlined(&fixture.chain(&object(&stripped), Options { debug_dirs: vec![global], ..bare() }).0);
    assert_eq!(fixture.chain(&object(&stripped), bare()).0[0].name, "leak_node", ".dynsym is left");
}

#[test]
fn build_id_directory_and_debuginfod_cache() {
    let fixture = Fixture::new(&[]);
    let (stripped, debug) = fixture.split("libstripped.so", false);
    let id = readelf_build_id(&stripped).unwrap();
    let ids = fixture.path("symbols");
    let in_ids = ids.join(".build-id").join(&id[..2]).join(format!("{}.debug", &id[2..]));
    move_to(&debug, &in_ids);
    let options = Options { debug_dirs: vec![ids], ..bare() };
    assert_inlined(&fixture.chain(&object(&stripped), options.clone()).0);

    // The same below the root of a container.
    let root = fixture.path("root");
    let in_root = root.join("usr/lib/debug/.build-id").join(&id[..2]).join(format!("{}.debug", &id[2..]));
    move_to(&in_ids, &in_root);
    assert!(fixture.chain(&object(&stripped), options).0.len() == 1);
    let in_container = Options { roots: vec![root], debug_dirs: vec!["/usr/lib/debug".into()], ..bare() };
    assert_inlined(&fixture.chain(&object(&stripped), in_container).0);

    let client = fixture.path("debuginfod_client");
    move_to(&in_root, &client.join(&id).join("debuginfo"));
    let options = Options { debuginfod_cache: Some(client), ..bare() };
    assert_inlined(&fixture.chain(&object(&stripped), options.clone()).0);

    // The library itself is gone: its debug file still knows everything.
    let object = object(&stripped);
    fs::remove_file(&stripped).unwrap();
    assert_inlined(&fixture.chain(&object, options).0);
}

#[test]
fn a_debug_file_of_another_build_is_refused() {
    let fixture = Fixture::new(&[]);
    let (stripped, debug) = fixture.split("libstripped.so", true);
    let other = Fixture::new(&["-O1"]);
    objcopy(&["--only-keep-debug"], &other.library, &debug);
    let (chain, warnings) = fixture.chain(&object(&stripped), bare());
    assert_eq!((chain.len(), chain[0].line), (1, 0));
    assert!(warnings.iter().any(|w| w.contains("another build")), "{warnings:?}");
}

#[test]
fn without_build_ids_the_checksum_decides() {
    let fixture = Fixture::new(&["-Wl,--build-id=none"]);
    assert_eq!(readelf_build_id(&fixture.library), None);
    let (stripped, debug) = fixture.split("libstripped.so", true);
    let (chain, warnings) = fixture.chain(&object(&stripped), bare());
    assert_inlined(&chain);
    assert!(warnings.iter().any(|w| w.contains("without a build id")), "{warnings:?}");

    let mut bytes = fs::read(&debug).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&debug, bytes).unwrap();
    let (chain, warnings) = fixture.chain(&object(&stripped), bare());
    assert_eq!((chain.len(), chain[0].line), (1, 0));
    assert!(warnings.iter().any(|w| w.contains("another build")), "{warnings:?}");
}

#[test]
fn a_deleted_library_is_read_through_its_descriptor() {
    let fixture = Fixture::new(&[]);
    let object = ObjectRef { file: Some(File::open(&fixture.library).unwrap()), ..object(&fixture.library) };
    fs::remove_file(&fixture.library).unwrap();
    assert_inlined(&fixture.chain(&object, bare()).0);
    let (names_only, _) = fixture.chain(&object, Options::symtab());
    assert_eq!(names_only[0].name, "leak_node");

    let (chain, warnings) = fixture.chain(&ObjectRef { file: None, ..object }, bare());
    assert_eq!(chain, []);
    assert!(warnings[0].contains("not there any more"), "{warnings:?}");
}

#[test]
fn a_replaced_library_gives_no_names() {
    let fixture = Fixture::new(&[]);
    let recorded = object(&fixture.library);
    build_c(&fixture.library, &["-O1"]);
    for options in [bare(), Options::symtab()] {
        let (chain, warnings) = fixture.chain(&recorded, options);
        assert_eq!(chain, []);
        assert!(warnings[0].contains("another build"), "{warnings:?}");
    }
    // The descriptor of the right file wins over a path that leads to another one, and the reverse.
    build_c(&fixture.path("libsame.so"), &[]);
    let same = File::open(fixture.path("libsame.so")).unwrap();
    assert_inlined(&fixture.chain(&ObjectRef { file: Some(same), ..object_again(&recorded) }, bare()).0);
    let wrong = ObjectRef {
        path: fixture.path("libsame.so"),
        file: Some(File::open(&fixture.library).unwrap()),
        ..object_again(&recorded)
    };
    assert_inlined(&fixture.chain(&wrong, bare()).0);
}

fn object_again(object: &ObjectRef) -> ObjectRef {
    ObjectRef { path: object.path.clone(), build_id: object.build_id.clone(), file: None }
}

#[test]
fn a_stripped_library_has_its_packed_symbols() {
    let fixture = Fixture::new(&[]);
    let local = functions(&fixture.library, &[]).into_iter().find(|f| f.name == "local_sum").unwrap();
    // As Fedora's find-debuginfo makes it: a file with symbols only, packed, in a section of the stripped library.
    let (mini, stripped) = (fixture.path("mini"), fixture.path("libstripped.so"));
    objcopy(&["--only-keep-debug", "--strip-debug"], &fixture.library, &mini);
    run("xz", ["--keep", mini.to_str().unwrap()]);
    let option = format!("--add-section=.gnu_debugdata={}.xz", mini.display());
    objcopy(&["--strip-all", &option], &fixture.library, &stripped);
    for options in [Options::symtab(), bare()] {
        let found = Symbolizer::new(options).symbolize(&object(&stripped), &[at(local.start + 1)]);
        assert_eq!(found[0][0].name, "local_sum");
    }
    objcopy(&["--remove-section=.gnu_debugdata"], &stripped, &fixture.path("libbare.so"));
    let found = Symbolizer::new(bare()).symbolize(&object(&fixture.path("libbare.so")), &[at(local.start + 1)]);
    assert_eq!(found[0], []);
}

#[test]
fn results_are_kept_and_a_damaged_cache_is_ignored() {
    let fixture = Fixture::new(&[]);
    let cache = fixture.path("cache/deep");
    let options = Options { cache_dir: Some(cache.clone()), ..bare() };
    let recorded = object(&fixture.library);
    let (first, _) = fixture.chain(&recorded, options.clone());
    assert_inlined(&first);
    let file = cache.join(format!("{}.symbols", recorded.build_id.as_ref().unwrap()));

    // Nothing but the cache is left.
    let hidden = fixture.path("hidden.so");
    fs::rename(&fixture.library, &hidden).unwrap();
    assert_eq!(fixture.chain(&recorded, options.clone()).0, first);

    let good = fs::read(&file).unwrap();
    for damage in [0, good.len() / 2, good.len() - 2] {
        let mut bytes = good.clone();
        bytes[damage] ^= 0x20;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(fixture.chain(&recorded, options.clone()).0, [], "byte {damage} is damaged");
        fs::write(&file, &bytes[..damage]).unwrap();
        assert_eq!(fixture.chain(&recorded, options.clone()).0, [], "cut off at {damage}");
    }
    // And it is made again.
    fs::rename(&hidden, &fixture.library).unwrap();
    assert_eq!(fixture.chain(&recorded, options.clone()).0, first);
    assert_eq!(fs::read(&file).unwrap(), good);

    // A directory that cannot be written changes nothing.
    fs::write(fixture.path("file"), "").unwrap();
    let options = Options { cache_dir: Some(fixture.path("file/below")), ..bare() };
    assert_inlined(&fixture.chain(&recorded, options).0);
}

#[test]
fn the_cache_is_made_anew_when_a_debug_file_appears_and_is_bounded() {
    let fixture = Fixture::new(&[]);
    let (stripped, debug) = fixture.split("libstripped.so", true);
    let away = fixture.path("away.debug");
    fs::rename(&debug, &away).unwrap();
    let cache = fixture.path("cache");
    let options = Options { cache_dir: Some(cache.clone()), ..bare() };
    assert_eq!(fixture.chain(&object(&stripped), options.clone()).0.len(), 1);
    fs::rename(&away, &debug).unwrap();
    assert_inlined(&fixture.chain(&object(&stripped), options.clone()).0);

    // Room for less than one file: nothing is kept.
    let small = Options { cache_limit_bytes: 10, ..options };
    fs::remove_dir_all(&cache).unwrap();
    assert_inlined(&fixture.chain(&object(&stripped), small).0);
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
}

/// `dwz` moves what several debug files share into another one. It is seldom installed, so this writes by hand what it
/// makes: a function whose name is a string of the supplementary file (DW_FORM_GNU_strp_alt).
#[test]
fn names_that_dwz_moved_into_another_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let build = |source: &str, out: &Path, id: &str| {
        fs::write(path("source.s"), source).unwrap();
        let id = format!("-Wl,--build-id=0x{id}");
        run("cc", ["-shared", "-nostdlib", &id, "-o", out.to_str().unwrap(), path("source.s").to_str().unwrap()]);
    };
    let empty_unit = ".section .debug_abbrev,\"\",@progbits\n .uleb128 1,0x3c\n .byte 0\n .uleb128 0,0\n .byte 0\n\
                      .section .debug_info,\"\",@progbits\n .long 9f-8f\n8: .short 4\n .long 0\n .byte 8\n .uleb128 1\n9:\n";
    let shared = format!("{empty_unit}.section .debug_str,\"\",@progbits\n .asciz \"xx\"\n .asciz \"_Z6sharedv\"\n");
    build(&shared, &path("shared.debug"), "a1a2a3a4a5a6a7a8");
    let user = r#"
        .text
    f:  .fill 64,1,0x90
        .section .debug_abbrev,"",@progbits
        .uleb128 1,0x11
        .byte 1
        .uleb128 0x11,0x01,0x12,0x07,0,0
        .uleb128 2,0x2e
        .byte 0
        .uleb128 0x11,0x01,0x12,0x07,0x03,0x1f21,0,0
        .byte 0
        .section .debug_info,"",@progbits
        .long 9f-8f
    8:  .short 4
        .long 0
        .byte 8
        .uleb128 1
        .quad f
        .quad 64
        .uleb128 2
        .quad f
        .quad 64
        .long 3
        .byte 0
    9:
        .section .gnu_debugaltlink,"",@progbits
        .asciz "shared.debug"
        .byte 0xa1,0xa2,0xa3,0xa4,0xa5,0xa6,0xa7,0xa8
    "#;
    let library = path("libuser.so");
    build(user, &library, "b1b2b3b4b5b6b7b8");
    let (start, _) = tools::section(&library, ".text");
    let look_up = || {
        let mut symbolizer = Symbolizer::new(bare());
        let mut found = symbolizer.symbolize(&object(&library), &[at(start + 1)]);
        (found.remove(0), symbolizer.warnings().to_vec())
    };
    assert_eq!(look_up().0[0].name, "shared");

    // With another build id it is another file.
    build(&shared, &path("shared.debug"), "c1c2c3c4c5c6c7c8");
    let (chain, warnings) = look_up();
    assert!(chain.iter().all(|symbol| symbol.name != "shared"), "{chain:?}");
    assert!(warnings[0].contains("supplementary"), "{warnings:?}");
}
