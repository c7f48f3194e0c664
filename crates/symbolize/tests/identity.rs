//! Build ids and biases against `readelf` and against the loader, on this very process.

mod tools;

use std::fs::{self, File};
use std::path::Path;

use leakscope_symbolize::{bias, build_id, build_id_in_memory, executable_segments};
use tools::{build_c, readelf_build_id, run};

/// The executable mapping of libc in this process: start, file offset, path; and the address of its ELF header.
fn libc_mapping() -> (u64, u64, String, u64) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let lines: Vec<Vec<&str>> = maps.lines().map(|line| line.split_whitespace().collect()).collect();
    let is_libc =
        |line: &&Vec<&str>| line.len() == 6 && line[5].contains("/libc.so") || line[5..].concat().contains("/libc-");
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let of_libc: Vec<_> = lines.iter().filter(|line| line.len() == 6).filter(is_libc).collect();
    let start = |line: &Vec<&str>| hex(line[0].split('-').next().unwrap());
    let code = of_libc.iter().find(|line| line[1].contains('x')).expect("libc is mapped");
    let header = of_libc.iter().find(|line| hex(line[2]) == 0).unwrap();
    (start(code), hex(code[2]), code[5].to_owned(), start(header))
}

#[test]
fn build_ids_of_files_and_slices_are_those_of_readelf() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("libinline.so");
    for option in
        ["-Wl,--build-id=sha1", "-Wl,--build-id=md5", "-Wl,--build-id=0xfedcba9876543210", "-Wl,--build-id=none"]
    {
        build_c(&path, &[option]);
        let expected = readelf_build_id(&path);
        assert_eq!(expected.is_none(), option.ends_with("none"));
        assert_eq!(build_id(&File::open(&path).unwrap()), expected, "{option}");
        assert_eq!(build_id(fs::read(&path).unwrap().as_slice()), expected, "{option}");
        // A debug file has sections without bytes, and its segments point nowhere.
        let debug = directory.path().join("debug");
        run("objcopy", ["--only-keep-debug", path.to_str().unwrap(), debug.to_str().unwrap()]);
        assert_eq!(build_id(&File::open(&debug).unwrap()), expected, "{option}");
    }
    assert_eq!(build_id(b"no ELF file at all".as_slice()), None);
}

#[test]
fn a_build_id_is_read_from_the_memory_of_a_process() {
    let (_, _, path, header) = libc_mapping();
    let memory = File::open("/proc/self/mem").unwrap();
    let expected = readelf_build_id(Path::new(&path));
    assert!(expected.is_some(), "libc has a build id");
    assert_eq!(build_id_in_memory(&memory, header), expected);
    assert_eq!(build_id_in_memory(&memory, header + 4096), None);
    assert_eq!(build_id_in_memory(&memory, 0), None);
    assert_eq!(build_id_in_memory(&memory, u64::MAX - 8), None);
}

#[test]
fn the_bias_is_what_the_loader_added() {
    let (start, offset, path, header) = libc_mapping();
    let segments = executable_segments(&File::open(&path).unwrap());
    assert_eq!(segments.len(), 1);
    // libc's first segment has the address 0, so that the bias is where its header lies.
    assert_eq!(bias(start, offset, &segments), Some(header));
    assert_eq!(bias(start, offset + (1 << 40), &segments), None);
    assert_eq!(bias(start, 0, &[]), None);
}

#[test]
fn the_bias_of_a_segment_that_is_not_at_its_offset() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("libinline.so");
    build_c(&path, &["-Wl,-Ttext-segment=0x400000"]);
    let segments = executable_segments(&File::open(&path).unwrap());
    let segment = segments[0];
    assert!(segment.address >= 0x400000 && segment.offset < 0x400000, "{segment:?}");
    let page = |value: u64| value & !0xfff;
    let start = 0x7f00_0000_0000;
    assert_eq!(bias(start, page(segment.offset), &segments), Some(start - page(segment.address)));
}
