//! Names of libjvm, the library that matters most, against `nm`; with the memory that it takes.
//!
//! A test binary of its own, because the peak of memory is that of the whole process.

mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use leakscope_symbolize::{Options, Symbolizer};
use tools::{NmSymbol, at, functions, names_at, object};

/// The libjvm with the largest symbol table on this machine.
fn libjvm() -> PathBuf {
    let jvms = fs::read_dir("/usr/lib/jvm").expect("this test needs a JDK in /usr/lib/jvm");
    jvms.flatten()
        .map(|entry| entry.path().join("lib/server/libjvm.so"))
        .filter(|path| path.is_file())
        .max_by_key(|path| functions_of(path).len())
        .expect("this test needs a JDK with lib/server/libjvm.so")
}

fn functions_of(path: &Path) -> Vec<NmSymbol> {
    // Without .symtab nm prints nothing, and that is no error.
    functions(path, &[])
}

/// Peak resident set of this process, KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn libjvm_names_are_those_of_nm_in_little_memory() {
    let path = libjvm();
    let object = object(&path);
    let functions = functions_of(&path);
    assert!(functions.len() > 10_000, "{} has {} functions", path.display(), functions.len());
    let addresses: Vec<u64> = functions.iter().step_by(functions.len() / 200).map(|f| f.start + f.size / 2).collect();
    let wanted: Vec<_> = addresses.iter().map(|&a| at(a)).collect();

    let mut symbolizer = Symbolizer::new(Options::symtab());
    // The peak of the test so far is that of reading nm's output, so count from a peak that was reset.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, start) = (peak_kib(), Instant::now());
    let found = symbolizer.symbolize(&object, &wanted);
    let (elapsed, grown) = (start.elapsed(), peak_kib() - before);
    println!("{} addresses of libjvm in {elapsed:?}, peak RSS +{grown} KiB", addresses.len());
    assert!(grown < 16 << 10, "the recording CLI has 64 MiB for everything, this took {grown} KiB");

    for (address, chain) in addresses.iter().zip(&found) {
        let names = names_at(&functions, *address);
        assert_eq!(chain.len(), 1, "{address:#x}");
        assert!(names.contains(&chain[0].system_name.as_str()), "{address:#x}: {:?} not in {names:?}", chain[0]);
    }
    assert!(found.iter().filter(|chain| chain[0].name.contains("::")).count() > 100, "C++ names are demangled");
}
