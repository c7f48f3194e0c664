//! Inlined functions, files and lines against binutils, over each instruction-sized step of sample libraries.

mod tools;

use std::path::Path;

use leakscope_symbolize::{LookupAddress, ObjectRef, Options, Symbol, Symbolizer, demangle};
use tools::{
    OracleFrame, addr2line, at, bare, build_c, build_cpp, build_rust, functions, object, run, run_with_input, section,
};

/// Agreement with the oracle over many addresses, in parts of one.
#[derive(Debug)]
struct Agreement {
    addresses: usize,
    inlined: usize,
    functions: f64,
    lines: f64,
}

/// About 3,000 addresses inside functions of `.text`. In the padding between functions binutils name the one before.
fn steps(path: &Path) -> Vec<u64> {
    let (start, size) = section(path, ".text");
    // An odd step visits addresses inside instructions as well as at their starts.
    let step = (size / 3000).max(1) | 1;
    let functions = functions(path, &[]);
    let inside = |address: &u64| {
        let after = functions.partition_point(|f| f.start <= *address);
        functions[..after].iter().rev().take(3).any(|f| address - f.start < f.size)
    };
    (start..start + size).step_by(step as usize).filter(inside).collect()
}

/// Compares what is found for `object` with what binutils find in `oracle`.
fn compare(object: &ObjectRef, oracle: &Path, options: Options) -> Agreement {
    let addresses = steps(oracle);
    let expected = addr2line(oracle, &addresses);
    let wanted: Vec<_> = addresses.iter().map(|&a| at(a)).collect();
    let mut symbolizer = Symbolizer::new(options);
    let found = symbolizer.symbolize(object, &wanted);
    assert_eq!(symbolizer.warnings(), &[] as &[String]);
    let known: Vec<_> = expected
        .iter()
        .zip(&found)
        // Start-up code of the compiler has no debug information.
        .filter(|(oracle, _)| oracle[0].line != 0)
        .collect();
    let share = |same: fn(&[OracleFrame], &[Symbol]) -> bool| {
        known.iter().filter(|(oracle, found)| same(oracle, found)).count() as f64 / known.len() as f64
    };
    Agreement {
        addresses: known.len(),
        inlined: found.iter().filter(|chain| chain.len() > 1).count(),
        functions: share(same_functions),
        lines: share(same_lines),
    }
}

fn same_functions(oracle: &[OracleFrame], found: &[Symbol]) -> bool {
    oracle.iter().map(|f| f.function.as_str()).eq(found.iter().map(|s| s.system_name.as_str()))
}

fn same_lines(oracle: &[OracleFrame], found: &[Symbol]) -> bool {
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    oracle.iter().map(|f| (base(&f.file), f.line)).eq(found.iter().map(|s| (base(&s.file), s.line)))
}

fn assert_agrees(agreement: &Agreement, least: usize) {
    println!("{agreement:?}");
    assert!(agreement.addresses >= least, "{agreement:?}");
    assert!(agreement.inlined >= least / 10, "{agreement:?}");
    assert!(agreement.functions >= 0.999, "{agreement:?}");
    assert!(agreement.lines >= 0.999, "{agreement:?}");
}

#[test]
fn c_library() {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("libinline.so");
    for more in [&["-gdwarf-5"][..], &["-gdwarf-4"], &["-gz"], &["-gz=zlib-gnu", "-gdwarf-4"]] {
        build_c(&library, more);
        assert_agrees(&compare(&object(&library), &library, bare()), 200);
    }
}

#[test]
fn cpp_library() {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("libshapes.so");
    build_cpp(&library, &[]);
    assert_agrees(&compare(&object(&library), &library, bare()), 1000);
}

#[test]
fn rust_library() {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("libmix.so");
    build_rust(&library, &[]);
    assert_agrees(&compare(&object(&library), &library, bare()), 1000);
}

#[test]
fn names_for_people_are_those_of_cxxfilt() {
    let library = run("g++", ["-print-file-name=libstdc++.so.6"]);
    let symbols = functions(Path::new(library.trim()), &["-D"]);
    // Two differences are known and meant: std::string and its like are not written out, and c++filt writes the
    // parameters of thunks and of transaction clones.
    let is_plain = |name: &String| {
        let is_abbreviated = ["Ss", "Si", "So", "Sd"].iter().any(|short| name.contains(short));
        name.starts_with("_Z") && !name.starts_with("_ZT") && !name.starts_with("_ZGT") && !is_abbreviated
    };
    let mangled: Vec<String> = symbols.into_iter().map(|f| f.name).filter(is_plain).collect();
    let expected = run_with_input("c++filt", ["-p"], &(mangled.join("\n") + "\n"));
    let same = mangled.iter().zip(expected.lines()).filter(|(mangled, expected)| demangle(mangled) == **expected);
    let (same, all) = (same.count(), mangled.len());
    println!("{same} of {all} names are the same");
    assert!(all > 2000, "{all} names compared");
    assert!(same as f64 >= 0.995 * all as f64, "{same} of {all} names are the same");
}

#[test]
fn a_return_address_is_looked_up_inside_its_call() {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("libinline.so");
    build_c(&library, &["-fno-toplevel-reorder", "-falign-functions=1"]);
    let functions = functions(&library, &[]);
    let give_up = functions.iter().find(|f| f.name == "give_up").unwrap();
    let bias = 0x7f12_0000_0000;
    // abort() never returns, so the call is the last instruction.
    let return_address = give_up.start + give_up.size + bias;
    let mut symbolizer = Symbolizer::new(bare());
    let wanted = [LookupAddress::of_return(return_address, bias), LookupAddress::of_instruction(return_address, bias)];
    let found = symbolizer.symbolize(&object(&library), &wanted);
    assert_eq!(found[0][0].name, "give_up");
    assert_ne!(found[1][0].name, "give_up", "the address itself belongs to what follows");
}
