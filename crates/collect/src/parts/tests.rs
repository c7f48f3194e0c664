//! The rules by made-up mappings; the tests with JVMs are in tests/parts.rs of the repository.

use super::*;
use crate::smaps::parse_smaps;

const MB: u64 = 1 << 20;

/// Mappings from lines of `START-END PERMISSIONS INODE PATH | RSS in kB | FLAGS`.
fn mappings(lines: &[&str]) -> Mappings {
    let text: String = lines
        .iter()
        .map(|line| {
            let mut parts = line.split('|').map(str::trim);
            let mut words = parts.next().unwrap().splitn(4, ' ');
            let mut next = || words.next().unwrap_or_default();
            let (range, permissions, inode, path) = (next(), next(), next(), next());
            let (rss, flags) = (parts.next().unwrap_or("0"), parts.next().unwrap_or(""));
            format!(
                "{range} {permissions} 00000000 00:00 {inode} {path}\nRss: {rss} kB\nPss: {rss} kB\nVmFlags: {flags}\n"
            )
        })
        .collect();
    let mut mappings = Mappings::default();
    parse_smaps(text.as_bytes(), |entry| mappings.add(entry)).unwrap();
    mappings
}

/// kB by class.
fn divided(mappings: &Mappings, heap: Option<Range<u64>>, owners: &[Owner], is_recorded: bool) -> Vec<(Class, u64)> {
    let memory = TargetMemory::of(u32::MAX);
    let surroundings = Surroundings { mappings, memory: &memory, heap_bytes: 0, is_recorded };
    let mut sums = BTreeMap::new();
    for (at, mapping) in mappings.all.iter().enumerate() {
        let pieces = pieces(&surroundings, at, mapping, heap.as_ref(), owners);
        let covered: u64 = pieces.iter().map(|piece| piece.range.end - piece.range.start).sum();
        assert_eq!(covered, mapping.bytes(), "{mapping:?} without gaps");
        share_out(&memory, mapping, &pieces, &mut sums);
    }
    sums.retain(|_, sum| sum.0 > 0);
    sums.into_iter().map(|(class, (pss, _))| (class, pss >> 10)).collect()
}

#[test]
fn names_tell() {
    let mappings = mappings(&[
        "1000-2000 r-xp 5 /usr/lib/jvm/lib/server/libjvm.so | 1",
        "2000-3000 rw-p 5 /usr/lib/jvm/lib/server/libjvm.so | 2",
        "3000-5000 rw-p 0 | 4", // its uninitialised data
        "6000-7000 r--s 6 /usr/lib/jvm/lib/modules | 8",
        "7000-8000 rw-s 7 /data/table.db | 16",
        "9000-a000 rw-s 8 /tmp/hsperfdata_app/41 | 32",
        "b000-c000 rw-s 9 /memfd:leakscope (deleted) | 64",
        "c000-d000 rw-s 10 /memfd:java_heap (deleted) | 128",
        "d000-e000 rw-p 0 [heap] | 256",
        "e000-f000 rw-p 0 [stack] | 512",
        "f000-10000 rw-p 0 [anon: glibc: malloc arena] | 1024",
        "20000-30000 rwxp 0 | 2048",
        "40000-50000 rw-p 0 | 4096",
        "60000-61000 r-xp 11 /run/leakscope/libleakscope-0123.so | 8192",
    ]);
    let expected = [
        (Class::JavaHeap, 128),
        (Class::Allocator, 256 + 1024),
        (Class::MappedFile, 16),
        (Class::Stacks, 512),
        (Class::Jvm, 32 + 2048),
        (Class::Files, 1 + 2 + 4 + 8),
        (Class::Leakscope, 64 + 8192),
        (Class::Unexplained, 4096),
    ];
    assert_eq!(divided(&mappings, None, &[], false), expected);
}

/// Uninitialised data follows a library; a session is none.
#[test]
fn what_lies_behind_the_session_is_not_leakscopes() {
    let mappings = mappings(&[
        "1000-2000 rw-p 5 /tmp/libleakscope-0123.so | 1",
        "2000-3000 rw-p 0 | 2",
        "5000-6000 rw-s 9 /memfd:leakscope (deleted) | 4",
        "6000-7000 rw-p 0 | 8",
    ]);
    assert_eq!(divided(&mappings, None, &[], true), [(Class::Allocator, 8), (Class::Leakscope, 1 + 2 + 4)]);
}

#[test]
fn layout_tells() {
    let mappings = mappings(&[
        "1000-2000 r-xp 5 /jvm/libjvm.so",
        "4000000-4021000 rw-p 0 | 1 | rd wr nr", // an arena, and its unused end
        "4021000-8000000 ---p 0 | 0 | nr",
        "8000000-8100000 rw-p 0 | 2", // a large block behind it: no guard before, nothing reserved around
        "9000000-9004000 ---p 0 | 0 | mr",
        "9004000-9100000 rw-p 0 | 4", // a stack behind its guard
        "a000000-a100000 rw-p 0 | 8", // in use of what is reserved
        "a100000-b000000 ---p 0 | 0 | nr",
        "b000000-b100000 rw-p 0 | 16", // between
        "b100000-c000000 ---p 0 | 0 | nr",
        "d000000-e000000 ---p 0 | 0 | nr",
        "e000000-e100000 rw-p 0 | 32", // behind
    ]);
    let expected = [(Class::Allocator, 1), (Class::Stacks, 4), (Class::Jvm, 8 + 16 + 32), (Class::Unexplained, 2)];
    assert_eq!(divided(&mappings, None, &[], false), expected);
    let recorded = [(Class::Allocator, 1 + 2 + 8 + 16 + 32), (Class::Stacks, 4)];
    assert_eq!(divided(&mappings, None, &[], true), recorded, "what nobody mapped is the allocator's");
}

#[test]
fn the_session_tells_whose_a_mapping_is() {
    let mappings = mappings(&[
        "1000-2000 r-xp 5 /jvm/libjvm.so",
        "100000-500000 rw-p 0 | 400", // joined of four
        "600000-700000 r--p 7 /data/table.db | 30",
        "700000-800000 r--p 8 /jvm/lib/classes.jsa | 5",
        "900000-a00000 rw-p 0 | 7",
    ]);
    let owner = |start, end, kind, whose| Owner { range: start..end, kind, whose };
    let owners = [
        owner(0x180000, 0x200000, RegionKind::Anonymous, Whose::Jvm),
        owner(0x200000, 0x300000, RegionKind::Anonymous, Whose::Program),
        owner(0x600000, 0x700000, RegionKind::File, Whose::Program),
        owner(0x700000, 0x800000, RegionKind::File, Whose::Jvm),
        owner(0x900000, 0xa00000, RegionKind::Anonymous, Whose::Leakscope),
    ];
    let expected = [
        (Class::Allocator, 200), // half a MB before, one between, half behind
        (Class::MappedAnon, 100),
        (Class::MappedFile, 30),
        (Class::Jvm, 50),
        (Class::Files, 5),
        (Class::Leakscope, 7),
    ];
    let heap = Some(0x400000..0x480000);
    let mut with_heap = Vec::from([(Class::JavaHeap, 50)]);
    with_heap.extend(expected);
    assert_eq!(divided(&mappings, heap, &owners, true), with_heap);
}

#[test]
fn a_heap_is_found_by_its_size_or_its_place() {
    let lines = [
        "1000-2000 r-xp 5 /jvm/libjvm.so",
        "e0000000-f7a00000 rw-p 0 | 1",
        "f7a00000-100000000 ---p 0 | 0 | nr",
        "100000000-100020000 rw-p 0 | 1", // the class space
        "100020000-140000000 ---p 0 | 0 | nr",
        "7fa9dc000000-7fa9dd000000 rw-p 0 | 1",
    ];
    let all = mappings(&lines);
    assert_eq!(heap_by_layout(&all, Some(512 * MB)), Some(0xe000_0000..0x1_0000_0000));
    assert_eq!(heap_by_layout(&all, Some(16 * MB)), Some(0x7fa9_dc00_0000..0x7fa9_dd00_0000));
    assert_eq!(heap_by_layout(&all, Some(511 * MB)), None, "rather none than a wrong one");
    assert_eq!(heap_by_layout(&all, None), Some(0xe000_0000..0x1_4000_0000));
    assert_eq!(heap_by_layout(&mappings(&lines[..1]), None), None);
    assert_eq!(heap_by_layout(&mappings(&["1000-9000000 rw-s 3 /memfd:java_heap (deleted) | 4"]), None), None);
}

#[test]
fn our_own_memory_is_divided() {
    let block = vec![1u8; 8 << 20];
    let parts = PartsReader::of(std::process::id()).read(None, None).unwrap();
    let of = |class| parts.iter().find(|part| part.class == class).map_or(0, |part| part.pss_bytes);
    assert!(of(Class::Allocator) >= block.len() as u64, "a large block is glibc's: {parts:?}");
    assert!(of(Class::Stacks) > 0 && of(Class::Files) > 0, "{parts:?}");
    assert_eq!((of(Class::JavaHeap), of(Class::Leakscope)), (0, 0));
    assert!(PartsReader::of(u32::MAX).read(None, None).is_err());
}
