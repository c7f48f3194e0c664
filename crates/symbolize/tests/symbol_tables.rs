//! Names from symbol tables against `nm` and `objdump`.

mod tools;

use std::fs;

use leakscope_symbolize::{Options, Symbolizer, defined_functions};
use tools::{at, build_c, build_cpp, functions, names_at, object, run, section};

#[test]
fn every_byte_of_a_library_is_named_as_nm_does() {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("libshapes.so");
    build_cpp(&library, &[]);
    let functions = functions(&library, &[]);
    let (start, size) = section(&library, ".text");
    let addresses: Vec<u64> = (start..start + size).collect();
    let wanted: Vec<_> = addresses.iter().map(|&a| at(a)).collect();
    let found = Symbolizer::new(Options::symtab()).symbolize(&object(&library), &wanted);
    let mut named = 0;
    for (address, chain) in addresses.iter().zip(&found) {
        let names = names_at(&functions, *address);
        if !names.is_empty() {
            assert!(names.contains(&chain[0].system_name.as_str()), "{address:#x}: {chain:?} not in {names:?}");
            named += 1;
        }
    }
    assert!(named > 3000, "{named} bytes in functions");
}

#[test]
fn assembly_without_sizes_is_named_up_to_the_next_symbol() {
    let directory = tempfile::tempdir().unwrap();
    let (source, library) = (directory.path().join("asm.s"), directory.path().join("libasm.so"));
    let text = ".text\n.globl first\nfirst:\n nop\n nop\n ret\n.globl second\n.type second,@function\nsecond:\n ret\n\
                .size second,.-second\n nop\n nop\n.globl third\n.type third,@function\nthird:\n ret\n";
    fs::write(&source, text).unwrap();
    run("cc", ["-shared", "-nostdlib", "-o", library.to_str().unwrap(), source.to_str().unwrap()]);
    let (start, _) = section(&library, ".text");
    let wanted: Vec<_> = (start..start + 7).map(at).collect();
    let found = Symbolizer::new(Options::symtab()).symbolize(&object(&library), &wanted);
    let names: Vec<&str> = found.iter().map(|chain| chain.first().map_or("", |s| s.name.as_str())).collect();
    assert_eq!(names, ["first", "first", "first", "second", "", "", "third"]);
}

#[test]
fn plt_stubs_are_named_as_objdump_does() {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("libinline.so");
    for more in [&["-fcf-protection=none"][..], &["-fcf-protection=full", "-Wl,-z,ibtplt"], &["-Wl,-z,now"]] {
        build_c(&library, more);
        let listing = run("objdump", ["-d", library.to_str().unwrap()]);
        let stubs: Vec<(u64, &str)> = listing
            .lines()
            .filter_map(|line| {
                let (address, name) = line.strip_suffix("@plt>:")?.split_once(" <")?;
                Some((u64::from_str_radix(address, 16).ok()?, name))
            })
            .collect();
        assert!(stubs.iter().any(|(_, name)| *name == "malloc"), "{stubs:?}");
        let wanted: Vec<_> = stubs.iter().map(|(address, _)| at(address + 4)).collect();
        let found = Symbolizer::new(Options::symtab()).symbolize(&object(&library), &wanted);
        for ((_, name), chain) in stubs.iter().zip(found) {
            assert_eq!(chain[0].name, format!("{name}@plt"));
        }
    }
}

#[test]
fn functions_are_found_by_their_whole_name_where_they_are_defined() {
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("own.c"), directory.path().join("own"));
    // `hidden` shares the end of a longer name; `elsewhere` is only used; `object` is no function.
    let text = "void elsewhere(void);\nstatic int hidden(void) { return 1; }\nint a_hidden(void) { return hidden(); }\n\
                int object;\nint shown(void) { elsewhere(); return a_hidden(); }\n";
    fs::write(&source, text).unwrap();
    let compile = |more: &[&str]| {
        let paths = ["-shared", "-fPIC", "-O0", "-o", program.to_str().unwrap(), source.to_str().unwrap()];
        run("cc", paths.iter().chain(more));
        fs::File::open(&program).unwrap()
    };
    let names = ["hidden", "elsewhere", "object", "shown", "idden", "a_hidden", "nothing"];
    let found = defined_functions(&compile(&[]), &names);
    assert_eq!(found, [true, false, false, true, false, true, false]);
    let stripped = defined_functions(&compile(&["-s"]), &names);
    assert_eq!(stripped, [false, false, false, true, false, true, false], "what .dynsym has");
    assert_eq!(defined_functions(&b"no ELF file".to_vec(), &names), [false; 7]);
}
