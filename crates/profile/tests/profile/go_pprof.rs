//! The reference reader: what `go tool pprof` says of our files.

use std::path::{Path, PathBuf};
use std::process::Command;

use leakscope_profile::{
    Block, Code, Function, Kind, Memory, Module, Profile, ProfileBuilder, Settings, Snapshot, Target, Totals, load,
    save,
};

/// Runs `go tool pprof` on files and returns what it prints.
///
/// # Panics
/// If Go is missing: its verdict on our files is the point of these tests, so there is nothing to skip to.
fn pprof(arguments: &[&str], files: &[&Path]) -> String {
    let home = files[0].parent().expect("in a directory");
    let output = Command::new("go")
        .args(["tool", "pprof"])
        .args(arguments)
        .args(files)
        .env("HOME", home)
        .env("PPROF_TMPDIR", home)
        .env("GOCACHE", home.join("go-cache"))
        .output()
        .unwrap_or_else(|error| panic!("cannot run `go tool pprof` ({error}): install Go with `scripts/setup test`"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "go tool pprof {arguments:?} failed: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

/// The flat and cumulative bytes or counts of a function in the output of `-top`.
fn top(output: &str, function: &str) -> (i64, i64) {
    let row = output.lines().find(|line| line.ends_with(&format!(" {function}")));
    let row = row.unwrap_or_else(|| panic!("{function} is not in\n{output}"));
    let fields: Vec<&str> = row.split_whitespace().collect();
    let number = |text: &str| {
        text.trim_end_matches(char::is_alphabetic).parse().unwrap_or_else(|_| panic!("{text:?} in {row:?}"))
    };
    (number(fields[0]), number(fields[3]))
}

const TOP: [&str; 5] = ["-top", "-unit=bytes", "-nodefraction=0", "-edgefraction=0", "-nodecount=1000"];

fn top_of(sample_index: &str, file: &Path) -> String {
    let index = format!("-sample_index={sample_index}");
    pprof(&[&TOP[..], &[&index]].concat(), &[file])
}

/// A JVM with an unclosed Deflater, a mapped file, and libraries loaded at `base`.
fn deflater(base: u64) -> Profile {
    let target = Target {
        pid: 41,
        name: "java".to_owned(),
        command: ["java", "-jar", "app.jar"].map(str::to_owned).to_vec(),
        exe: "/opt/jdk/bin/java".to_owned(),
        ..Target::default()
    };
    let snapshot = Snapshot {
        session: [7; 16],
        epoch: 3,
        time_unix_ns: 1_700_000_000_000_000_000,
        uptime_ms: 7_200_000,
        ..Snapshot::default()
    };
    let settings = Settings { interval_bytes: 524_288, version: "0.1.0".to_owned(), ..Settings::default() };
    let mut builder = ProfileBuilder::new(target, snapshot, settings);
    let libz = builder.module(Module {
        start: base,
        end: base + 0x2_0000,
        bias: base,
        path: "/lib/libz.so.1.2.13".to_owned(),
        build_id: "00ff".repeat(10),
        ..Module::default()
    });
    let symbol =
        Function { name: "deflateInit2_".to_owned(), system_name: "deflateInit2_".to_owned(), ..Function::default() };
    let java = |class: &str, method: &str| Function {
        name: format!("{}.{method}", class.replace('/', ".")),
        system_name: format!("{class}.{method}()V"),
        file: format!("{class}.java"),
    };
    let init = builder.frame(Code::Native { module: Some(libz), address: base + 0x1a2b }, symbol, 0, false);
    let unknown = builder.native_frame(Some(libz), base + 0x3333);
    let deflater = builder.java_frame(java("java/util/zip/Deflater", "<init>"), 97);
    let compress = builder.java_frame(java("com/acme/log/ExceptionLogger", "compress"), 88);
    let truncated = builder.marker("[truncated]");
    let leak = builder.stack([init, deflater, compress, truncated]);
    let mapped = builder.stack([unknown, compress]);
    let dead = builder.stack([deflater]);
    let block = Block {
        stack: leak,
        kind: Kind::Malloc,
        epoch: 1,
        interval_bytes: 1,
        size_bytes: 1_000,
        probability: 1.0,
        birth_ms: 0,
    };
    builder.add_block(&block);
    builder.add_block(&Block { size_bytes: 3_000, ..block });
    builder.add_block(&Block { size_bytes: 500, epoch: 3, birth_ms: 7_199_000, ..block });
    builder.add_block(&Block { stack: mapped, kind: Kind::MmapFile, size_bytes: 65_536, ..block });
    let totals = Totals { samples: 9, bytes: 9_000.4, objects: 9.4, frees_gc: 5, ..Totals::default() };
    builder.totals(leak, &totals);
    builder.totals(dead, &Totals { samples: 1, bytes: 77.0, objects: 1.0, frees_app: 1, ..Totals::default() });
    builder.memory(Memory { rss_bytes: 3 << 30, ..Memory::default() });
    builder.finish()
}

fn saved(directory: &Path, base: u64) -> PathBuf {
    let path = directory.join(format!("{base:x}.prof"));
    save(&deflater(base), &path).expect("saved");
    path
}

#[test]
fn totals_and_java_names_match() {
    let directory = tempfile::tempdir().unwrap();
    let file = saved(directory.path(), 0x7f00_0000_0000);

    let live = top_of("inuse_space", &file);
    assert!(live.contains("File: java"), "mapping[0] is the executable:\n{live}");
    assert!(live.contains("Type: inuse_space"), "{live}");
    assert!(live.contains("of 70036B total"), "{live}");
    assert_eq!(top(&live, "deflateInit2_"), (4_500, 4_500));
    assert_eq!(top(&live, "java.util.zip.Deflater.<init>"), (0, 4_500));
    assert_eq!(top(&live, "com.acme.log.ExceptionLogger.compress"), (0, 70_036));
    assert_eq!(top(&live, "libz.so.1.2.13+0x3333"), (65_536, 65_536));
    assert_eq!(top(&live, "[truncated]"), (0, 4_500));

    let objects = top_of("inuse_objects", &file);
    assert_eq!(top(&objects, "deflateInit2_"), (3, 3));

    let allocated = top_of("alloc_space", &file);
    assert_eq!(top(&allocated, "deflateInit2_"), (9_000, 9_000), "counted once, though live in two ages");
    assert_eq!(top(&allocated, "java.util.zip.Deflater.<init>"), (77, 9_077));
    let allocated = top_of("alloc_objects", &file);
    assert_eq!(top(&allocated, "java.util.zip.Deflater.<init>"), (1, 10));
}

#[test]
fn live_bytes_are_what_it_shows_unasked() {
    let directory = tempfile::tempdir().unwrap();
    let file = saved(directory.path(), 0x7f00_0000_0000);
    assert_eq!(pprof(&TOP, &[&file]), top_of("inuse_space", &file));
}

#[test]
fn labels_filter() {
    let directory = tempfile::tempdir().unwrap();
    let file = saved(directory.path(), 0x7f00_0000_0000);
    let old = pprof(&[&TOP[..], &["-tagfocus=age=>1h"]].concat(), &[&file]);
    assert_eq!(top(&old, "deflateInit2_"), (4_000, 4_000));
    let young = pprof(&[&TOP[..], &["-tagfocus=age=<1m"]].concat(), &[&file]);
    assert_eq!(top(&young, "deflateInit2_"), (500, 500));
    let mapped = pprof(&[&TOP[..], &["-tagfocus=kind=mmap-file"]].concat(), &[&file]);
    assert_eq!(top(&mapped, "com.acme.log.ExceptionLogger.compress"), (0, 65_536));
    let tags = pprof(&["-tags", "-unit=bytes"], &[&file]);
    for word in ["kind", "malloc", "mmap-file", "freed_by", "gc", "never", "age", ">1h", "bytes", "2000B", "500B"] {
        assert!(tags.contains(word), "{word} is not in\n{tags}");
    }
}

#[test]
fn traces_show_mixed_stacks_leaf_first() {
    let directory = tempfile::tempdir().unwrap();
    let traces = pprof(&["-traces", "-unit=bytes"], &[&saved(directory.path(), 0x7f00_0000_0000)]);
    let names = ["deflateInit2_", "java.util.zip.Deflater.<init>", "com.acme.log.ExceptionLogger.compress"];
    let places: Vec<_> = names.iter().map(|name| traces.find(name)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in\n{traces}");
}

#[test]
fn comments_are_for_people() {
    let directory = tempfile::tempdir().unwrap();
    let comments = pprof(&["-comments"], &[&saved(directory.path(), 0x7f00_0000_0000)]);
    let lines: Vec<_> = comments.lines().collect();
    assert_eq!(lines, ["leakscope 0.1.0", "pid 41 java -jar app.jar", "RSS 3.00 GiB, tracked live 68.39 KiB"]);
}

#[test]
fn the_raw_form_shows_types_mappings_and_flags() {
    let directory = tempfile::tempdir().unwrap();
    let raw = pprof(&["-raw"], &[&saved(directory.path(), 0x7f00_0000_0000)]);
    let has = |text: &str| assert!(raw.contains(text), "{text} is not in\n{raw}");
    has("PeriodType: space bytes");
    has("Period: 524288");
    has("alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes[dflt]");
    has("/lib/libz.so.1.2.13 00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff ");
    has("[jvm]  [FN][FL][LN]");
    assert!(!raw.contains("Duration"), "{raw}");
    let libz = raw.lines().find(|line| line.contains("libz") && line.contains("00ff")).unwrap();
    assert!(!libz.contains("[FN]"), "one location without a symbol is enough: {libz}");
}

#[test]
fn the_same_program_at_other_addresses_cancels() {
    let directory = tempfile::tempdir().unwrap();
    let before = saved(directory.path(), 0x7f00_0000_0000);
    let after = saved(directory.path(), 0x7fee_0000_0000);
    let base = format!("-base={}", before.display());
    let raw = pprof(&["-raw", &base], &[&after]);
    let samples = raw.split("Samples:").nth(1).and_then(|rest| rest.split("Locations").next()).unwrap();
    let values: Vec<_> = samples.lines().skip(2).filter(|line| line.contains(": ")).collect();
    assert!(values.is_empty(), "something is left of the difference:\n{samples}");
}

#[test]
fn a_file_that_pprof_wrote_anew_is_read_without_the_extension() {
    let directory = tempfile::tempdir().unwrap();
    let file = saved(directory.path(), 0x7f00_0000_0000);
    let copy = directory.path().join("copy.prof");
    let output = format!("-output={}", copy.display());
    pprof(&["-proto", &output], &[&file]);
    let (ours, theirs) = (load(&file).unwrap(), load(&copy).unwrap());
    assert_eq!(theirs.snapshot.session, [0; 16]);
    assert_eq!(theirs.snapshot.time_unix_ns, ours.snapshot.time_unix_ns);
    assert_eq!(theirs.target.exe, ours.target.exe);
    let live = |profile: &Profile| profile.rows.iter().map(|row| row.bytes).sum::<f64>();
    assert_eq!(live(&theirs), live(&ours));
    let kinds = |profile: &Profile| {
        let mut kinds: Vec<_> = profile.rows.iter().map(|row| row.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds(&theirs), kinds(&ours));
    let java = |profile: &Profile| profile.frames.iter().filter(|frame| frame.code == Code::Java).count();
    assert_eq!(java(&theirs), java(&ours));
}
