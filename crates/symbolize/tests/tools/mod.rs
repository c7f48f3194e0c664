//! What the tests of this crate share: sample libraries made by the installed compilers, and binutils as the oracle.
//!
//! A tool that is missing fails the test that needs it, by name.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use leakscope_symbolize::{LookupAddress, ObjectRef, Options};

/// Runs a program and returns its standard output.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> String {
    run_with_input(program, arguments, "")
}

/// The same, with standard input.
pub fn run_with_input<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>, input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs the program {program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A program that does not read its input closes it.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} failed: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Path of a sample's source.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name)
}

/// Builds the C sample as a shared object with debug information.
pub fn build_c(out: &Path, more: &[&str]) {
    compile("cc", &sample("inline.c"), out, more);
}

/// Builds the C++ sample.
pub fn build_cpp(out: &Path, more: &[&str]) {
    compile("g++", &sample("shapes.cpp"), out, more);
}

/// Builds the Rust sample.
pub fn build_rust(out: &Path, more: &[&str]) {
    let mut arguments = vec!["--edition=2021", "--crate-type=cdylib", "-O", "-g", "-o"];
    let source = sample("mix.rs");
    arguments.extend([out.to_str().unwrap(), source.to_str().unwrap()]);
    arguments.extend(more);
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    run(&rustc, arguments);
}

fn compile(compiler: &str, source: &Path, out: &Path, more: &[&str]) {
    let mut arguments = vec!["-O2", "-g", "-shared", "-fPIC", "-Wl,--build-id", "-o"];
    arguments.extend([out.to_str().unwrap(), source.to_str().unwrap()]);
    arguments.extend(more);
    run(compiler, arguments);
}

/// An object with the build id that `readelf` finds in it.
pub fn object(path: &Path) -> ObjectRef {
    ObjectRef { path: path.to_owned(), build_id: readelf_build_id(path), file: None }
}

/// The build id according to binutils.
pub fn readelf_build_id(path: &Path) -> Option<String> {
    let notes = run("readelf", [OsStr::new("-nW"), path.as_os_str()]);
    let id = notes.split("Build ID: ").nth(1)?;
    Some(id.split_whitespace().next()?.to_owned())
}

/// Full depth without anything of this machine: no debug directories, no cache.
pub fn bare() -> Options {
    Options { debug_dirs: Vec::new(), debuginfod_cache: None, cache_dir: None, ..Options::full() }
}

/// An ELF virtual address as one to look up.
pub fn at(address: u64) -> LookupAddress {
    LookupAddress::of_instruction(address, 0)
}

/// Start and size of a section, from `readelf -SW`.
pub fn section(path: &Path, name: &str) -> (u64, u64) {
    let listing = run("readelf", [OsStr::new("-SW"), path.as_os_str()]);
    let line = listing
        .lines()
        .find_map(|line| line.split_once("] ")?.1.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("{} has no section {name}", path.display()));
    let columns: Vec<&str> = line.split_whitespace().collect();
    let hex = |text| u64::from_str_radix(text, 16).unwrap();
    (hex(columns[1]), hex(columns[3]))
}

/// A function of a symbol table.
#[derive(Debug, Clone)]
pub struct NmSymbol {
    pub start: u64,
    pub size: u64,
    pub name: String,
}

/// Functions with a size, by start, from `nm`.
pub fn functions(path: &Path, more: &[&str]) -> Vec<NmSymbol> {
    let mut arguments: Vec<&OsStr> = vec![OsStr::new("-S"), OsStr::new("--defined-only"), OsStr::new("-n")];
    arguments.extend(more.iter().map(OsStr::new));
    arguments.push(path.as_os_str());
    let is_code = |kind: &str| matches!(kind, "T" | "t" | "W" | "w" | "i" | "u");
    run("nm", arguments)
        .lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let start = u64::from_str_radix(columns.next()?, 16).ok()?;
            let size = u64::from_str_radix(columns.next()?, 16).ok()?;
            let kind = columns.next()?;
            let name = columns.next()?.split('@').next()?.to_owned();
            is_code(kind).then_some(NmSymbol { start, size, name })
        })
        .collect()
}

/// One frame according to `addr2line -fi`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OracleFrame {
    pub function: String,
    pub file: String,
    pub line: u32,
}

/// Frames of each address, innermost first, mangled, from binutils.
pub fn addr2line(path: &Path, addresses: &[u64]) -> Vec<Vec<OracleFrame>> {
    let input: String = addresses.iter().map(|a| format!("{a:#x}\n")).collect();
    let arguments = [OsStr::new("-afie"), path.as_os_str()];
    let output = run_with_input("addr2line", arguments, &input);
    let mut chains: Vec<Vec<OracleFrame>> = Vec::new();
    let mut lines = output.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            chains.push(Vec::new());
            continue;
        }
        let place = lines.next().unwrap().split(" (disc").next().unwrap();
        let (file, number) = place.rsplit_once(':').unwrap();
        chains.last_mut().unwrap().push(OracleFrame {
            function: line.to_owned(),
            file: file.to_owned(),
            line: number.parse().unwrap_or(0),
        });
    }
    assert_eq!(chains.len(), addresses.len(), "addr2line answered each address once");
    chains
}

/// The names `nm` has for an address: those of all innermost functions that hold it.
pub fn names_at(functions: &[NmSymbol], address: u64) -> Vec<&str> {
    let holds = |f: &&NmSymbol| f.start <= address && address - f.start < f.size;
    let innermost = functions.iter().filter(holds).map(|f| f.start).max();
    functions.iter().filter(holds).filter(|f| Some(f.start) == innermost).map(|f| f.name.as_str()).collect()
}
