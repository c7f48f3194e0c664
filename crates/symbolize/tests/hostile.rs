//! Damaged files: a small real library with bytes changed at random. No panic, no hang, no unbounded memory.

mod tools;

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use leakscope_symbolize::{
    LookupAddress, ObjectRef, Options, Symbolizer, bias, build_id, build_id_in_memory, defined_functions, demangle,
    executable_segments,
};
use tools::{at, bare, build_c, run, section};

/// xorshift64*: a fixed sequence is all that is wanted.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Values that break bounds more often than random ones.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff_ffff_ff00, u64::MAX];

/// Changes some bytes of `range`, or cuts the file off.
fn mutate(bytes: &mut Vec<u8>, range: std::ops::Range<usize>, random: &mut Random) {
    for _ in 0..1 + random.below(8) {
        let at = range.start + random.below(range.len());
        let value = match random.below(3) {
            0 => random.next(),
            _ => EDGES[random.below(EDGES.len())],
        };
        let len = [1, 1, 2, 4, 8][random.below(5)];
        let end = (at + len).min(bytes.len());
        bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
    }
    if random.below(20) == 0 {
        bytes.truncate(random.below(bytes.len()));
    }
}

fn read_everything(path: &Path, addresses: &[LookupAddress]) -> usize {
    let file = File::open(path).unwrap();
    let segments = executable_segments(&file);
    let _ = (bias(0x7f00_0000_0000, 0x1000, &segments), build_id(&file), build_id_in_memory(&file, 0));
    assert_eq!(defined_functions(&file, &["main", "malloc"]).len(), 2);
    let options = Options { time_limit: Duration::from_secs(20), ..bare() };
    let object = ObjectRef { path: path.to_owned(), build_id: None, file: Some(file) };
    let full = Symbolizer::new(options).symbolize(&object, addresses);
    let names = Symbolizer::new(Options::symtab()).symbolize(&object, addresses);
    assert!(full.iter().all(|chain| chain.len() <= 256));
    full.iter().chain(&names).filter(|chain| !chain.is_empty()).count()
}

/// Mutates each part of a library many times; says how many look-ups still found something.
fn storm(more: &[&str], seed: u64, rounds: usize) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("libinline.so");
    build_c(&library, more);
    let (start, size) = section(&library, ".text");
    let mut addresses: Vec<LookupAddress> = (start..start + size).step_by(7).map(at).collect();
    addresses.extend([0, 1, u64::MAX - 1, u64::MAX].map(at));
    let good = fs::read(&library).unwrap();
    let sound = read_everything(&library, &addresses);
    assert!(sound > addresses.len(), "{sound} found in the sound file");

    let mut random = Random(seed);
    let mut found = 0;
    let damaged = directory.path().join("damaged.so");
    for round in 0..rounds {
        let mut bytes = good.clone();
        let len = bytes.len();
        let range = match round % 4 {
            // The ELF header and the program headers, the section headers, a random window, all.
            0 => 0..0x200,
            1 => u64::from_le_bytes(bytes[40..48].try_into().unwrap()) as usize..len,
            2 => {
                let at = random.below(len - 256);
                at..at + 256
            }
            _ => 0..len,
        };
        mutate(&mut bytes, range, &mut random);
        fs::write(&damaged, &bytes).unwrap();
        found += read_everything(&damaged, &addresses);
    }
    found
}

#[test]
fn damaged_libraries() {
    // Most damage hits one part only, so that the others are still found: the mutated files do get far.
    assert!(storm(&[], 0x5eed_0001, 600) > 0);
}

#[test]
fn damaged_libraries_with_older_debug_information() {
    assert!(storm(&["-gdwarf-4"], 0x5eed_0002, 300) > 0);
}

#[test]
fn damaged_packed_sections() {
    assert!(storm(&["-gz"], 0x5eed_0003, 300) > 0);
}

/// Debug information written by hand: sections of a shared object with one function at the start of `.text`.
fn assemble(directory: &Path, sections: &str) -> std::path::PathBuf {
    let (source, library) = (directory.join("hostile.s"), directory.join("libhostile.so"));
    let text = ".text\n.globl f\n.type f,@function\nf:\n .fill 64,1,0x90\n.size f,64\n";
    fs::write(&source, format!("{text}{sections}")).unwrap();
    run("cc", ["-shared", "-nostdlib", "-o", library.to_str().unwrap(), source.to_str().unwrap()]);
    library
}

/// A unit of DWARF 4 with a function that covers `f`, and `children` inside it; abbreviation 3 is an inlined function
/// with children and no attributes, 4 one with a range list.
fn unit(children: &str, more: &str) -> String {
    format!(
        r#"
        .section .debug_abbrev,"",@progbits
        .uleb128 1,0x11
        .byte 1
        .uleb128 0x11,0x01,0x12,0x07,0,0
        .uleb128 2,0x2e
        .byte 1
        .uleb128 0x11,0x01,0x12,0x07,0x03,0x08,0,0
        .uleb128 3,0x1d
        .byte 1
        .uleb128 0,0
        .uleb128 4,0x1d
        .byte 0
        .uleb128 0x55,0x17,0,0
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
        .asciz "from_dwarf"
        {children}
        .byte 0,0
    9:
        {more}
        "#
    )
}

fn chain_and_warnings(library: &Path) -> (Vec<String>, Vec<String>) {
    let (start, _) = section(library, ".text");
    let mut symbolizer = Symbolizer::new(bare());
    let object = ObjectRef { path: library.to_owned(), build_id: build_id(&File::open(library).unwrap()), file: None };
    let found = symbolizer.symbolize(&object, &[at(start + 1)]);
    (found[0].iter().map(|s| s.name.clone()).collect(), symbolizer.warnings().to_vec())
}

#[test]
fn handwritten_debug_information_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let nested = ".fill 100,1,3\n.fill 100,1,0\n";
    let (names, warnings) = chain_and_warnings(&assemble(directory.path(), &unit(nested, "")));
    assert_eq!((names, warnings), (vec!["from_dwarf".to_owned()], vec![]));
}

#[test]
fn nesting_that_would_overflow_the_stack_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let nested = ".fill 2000000,1,3\n.fill 2000000,1,0\n";
    let (names, warnings) = chain_and_warnings(&assemble(directory.path(), &unit(nested, "")));
    assert_eq!(names, ["f"], "the symbol table still counts");
    assert!(warnings[0].contains("nested too deeply"), "{warnings:?}");
}

#[test]
fn range_lists_that_are_shared_by_everyone_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    // 100,000 inlined functions with 100,000 ranges each would take 240 GB.
    let children = ".rept 100000\n.uleb128 4\n.long 0\n.endr\n";
    let ranges = ".section .debug_ranges,\"\",@progbits\n.rept 100000\n.quad 1,2\n.endr\n.quad 0,0\n";
    let (names, warnings) = chain_and_warnings(&assemble(directory.path(), &unit(children, ranges)));
    assert_eq!(names, ["f"], "the symbol table still counts");
    assert!(warnings[0].contains("out of proportion"), "{warnings:?}");
}

#[test]
fn names_that_are_noise_are_not_demangled_for_ever() {
    let alphabet = b"_ZNSt4pairIiES0_1aTTL_EJPKR17h0123456789abcdefRNvCs_B9";
    let mut random = Random(0x5eed_0004);
    for _ in 0..20_000 {
        let len = random.below(200);
        let mut name = ["_ZN", "_RN", "_Z", "_R"][random.below(4)].to_owned();
        name.extend((0..len).map(|_| char::from(alphabet[random.below(alphabet.len())])));
        assert!(demangle(&name).len() <= 16 << 10);
    }
}
