//! Where a JVM's heap lies and what its flags are, by the JVM's own description of itself, read from outside.
//!
//! libjvm exports tables of its classes and their fields for debuggers (`vmStructs.cpp`): the same ones that
//! `leakscope-hotspot` reads from inside. No thread of the target takes part in this, unlike the attach socket, which
//! would start one: `Universe::_collectedHeap` points to a `CollectedHeap`, whose `_reserved` is a `MemRegion`. ZGC
//! leaves that empty; its heap has a name in /proc/PID/maps.
//!
//! Everything read is another process's word. Each loop is bounded, and a range that cannot be a heap is none.

use crate::parts::TargetMemory;
use std::collections::HashMap;
use std::ops::Range;

/// More entries than any JVM has (JDK 25: 1,900 fields).
const MOST_ENTRIES: u64 = 20_000;
const LONGEST_ENTRY: u64 = 256;
const LONGEST_NAME: usize = 128;
/// More exported symbols than any libjvm has (JDK 25: 1,200).
const MOST_SYMBOLS: u64 = 20_000;
const MOST_HEADERS: u16 = 64;
const MOST_DYNAMIC: u64 = 256;
/// Bytes of an entry of a symbol table.
const SYMBOL: u64 = 24;

const PT_DYNAMIC: u32 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;

/// A JVM, seen from outside.
pub(crate) struct JvmMemory<'a> {
    memory: &'a TargetMemory,
    fields: [Option<u64>; FIELDS.len()],
    /// Bytes of an entry in the table of flags.
    flag_bytes: Option<u64>,
}

/// What is asked of the table of fields.
const FIELDS: [(&[u8], &[u8]); 8] = [
    (b"Universe", b"_collectedHeap"),
    (b"CollectedHeap", b"_reserved"),
    (b"MemRegion", b"_start"),
    (b"MemRegion", b"_word_size"),
    (b"JVMFlag", b"flags"),
    (b"JVMFlag", b"numFlags"),
    (b"JVMFlag", b"_name"),
    (b"JVMFlag", b"_addr"),
];

impl<'a> JvmMemory<'a> {
    /// Reads the tables of the libjvm that begins at `library`.
    pub(crate) fn read(memory: &'a TargetMemory, library: u64) -> Option<Self> {
        let symbols = symbols(memory, library)?;
        let fields = Structs::find(memory, &symbols)?.fields(memory, FIELDS);
        let flag_bytes = type_bytes(memory, &symbols, b"JVMFlag").filter(|bytes| (8..=LONGEST_ENTRY).contains(bytes));
        Some(Self { memory, fields, flag_bytes })
    }

    /// The range that is reserved for the heap.
    pub(crate) fn heap(&self) -> Option<Range<u64>> {
        let [heap, reserved, start, words, ..] = self.fields;
        let region = self.memory.word(heap?)?.checked_add(reserved?)?;
        let start = self.memory.word(region.checked_add(start?)?)?;
        let bytes = self.memory.word(region.checked_add(words?)?)?.checked_mul(8)?;
        let end = start.checked_add(bytes)?;
        (start > 0 && bytes > 0 && end < 1 << 47).then_some(start..end)
    }

    /// Addresses of the values of JVM flags (`-XX:...`).
    pub(crate) fn flags<const N: usize>(&self, wanted: [&str; N]) -> [Option<u64>; N] {
        let mut found = [None; N];
        let [_, _, _, _, Some(flags), Some(count), Some(name), Some(address)] = self.fields else { return found };
        let (Some(flags), Some(count)) = (self.memory.word(flags), self.memory.word(count)) else { return found };
        let Some(bytes) = self.flag_bytes else { return found };
        for n in 0..count.min(MOST_ENTRIES) {
            let Some(at) = flags.checked_add(n * bytes).filter(|at| *at < 1 << 47) else { break };
            // The entry behind the last has no name.
            let Some(text) = self.memory.word(at.saturating_add(name)).filter(|text| *text != 0) else { break };
            let Some(text) = self.memory.text::<LONGEST_NAME>(text) else { continue };
            for (found, wanted) in found.iter_mut().zip(wanted) {
                if wanted.as_bytes() == text {
                    *found = self.memory.word(at.saturating_add(address));
                }
            }
            if found.iter().all(Option::is_some) {
                break;
            }
        }
        found
    }
}

/// Addresses of the symbols of the tables, from the library's own symbol table in memory.
fn symbols(memory: &TargetMemory, library: u64) -> Option<HashMap<Vec<u8>, u64>> {
    let mut header = [0; 64];
    if !memory.read(library, &mut header) || !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let headers = u64::from_le_bytes(header[32..40].try_into().ok()?);
    let count = u16::from_le_bytes(header[56..58].try_into().ok()?).min(MOST_HEADERS);
    let dynamic = (0..u64::from(count)).find_map(|n| {
        let mut bytes = [0; 56];
        let at = library.checked_add(headers)?.checked_add(n * 56)?;
        let is_it = memory.read(at, &mut bytes) && bytes.starts_with(&PT_DYNAMIC.to_le_bytes());
        is_it.then(|| u64::from_le_bytes(bytes[16..24].try_into().unwrap_or_default()))
    })?;
    let dynamic = library.checked_add(dynamic)?;
    let entry = |tag: u64| {
        let at = (0..MOST_DYNAMIC).map(|n| dynamic.saturating_add(n * 16));
        let mut entries = at.map_while(|at| memory.word(at).filter(|tag| *tag != 0).zip(memory.word(at + 8)));
        let found = entries.find(|(found, _)| *found == tag)?.1;
        // glibc has made addresses of them, musl leaves them as they are in the file.
        Some(if found < library { library.saturating_add(found) } else { found })
    };
    let (table, names) = (entry(DT_SYMTAB)?, entry(DT_STRTAB)?);
    // The names follow the table in every linker's layout; nothing else says how long it is, short of its hash.
    let count = (names.checked_sub(table)? / SYMBOL).min(MOST_SYMBOLS);
    let mut bytes = vec![0; (count * SYMBOL) as usize];
    if !memory.read(table, &mut bytes) {
        return None;
    }
    let symbols = bytes.as_chunks::<{ SYMBOL as usize }>().0.iter().filter_map(|symbol| {
        let name = u32::from_le_bytes(symbol[..4].try_into().ok()?);
        let value = u64::from_le_bytes(symbol[8..16].try_into().ok()?);
        let name = memory.text::<64>(names.checked_add(u64::from(name))?)?;
        (name.starts_with(b"gHotSpotVMStruct") || name.starts_with(b"gHotSpotVMType"))
            .then(|| Some((name, library.checked_add(value)?)))?
    });
    Some(symbols.collect())
}

/// `sizeof` a class, by the table of types.
fn type_bytes(memory: &TargetMemory, symbols: &HashMap<Vec<u8>, u64>, wanted: &[u8]) -> Option<u64> {
    let word = |name: &str| memory.word(*symbols.get(name.as_bytes())?);
    let first = word("gHotSpotVMTypes")?;
    let stride = word("gHotSpotVMTypeEntryArrayStride").filter(|stride| (1..=LONGEST_ENTRY).contains(stride))?;
    let (name, size) = (word("gHotSpotVMTypeEntryTypeNameOffset")?, word("gHotSpotVMTypeEntrySizeOffset")?);
    for n in 0..MOST_ENTRIES {
        let at = first.checked_add(stride * n)?;
        let class = memory.text::<LONGEST_NAME>(memory.word(at.checked_add(name)?).filter(|text| *text != 0)?)?;
        if class == wanted {
            return memory.word(at.checked_add(size)?);
        }
    }
    None
}

/// The table of fields.
struct Structs {
    first: u64,
    stride: u64,
    type_name: u64,
    field_name: u64,
    is_static: u64,
    offset: u64,
    address: u64,
}

impl Structs {
    fn find(memory: &TargetMemory, symbols: &HashMap<Vec<u8>, u64>) -> Option<Self> {
        let word = |name: &str| memory.word(*symbols.get(name.as_bytes())?);
        let stride = word("gHotSpotVMStructEntryArrayStride").filter(|stride| (1..=LONGEST_ENTRY).contains(stride))?;
        let column = |name: &str| {
            word(&format!("gHotSpotVMStructEntry{name}Offset")).filter(|at| at.saturating_add(8) <= stride)
        };
        Some(Self {
            first: word("gHotSpotVMStructs")?,
            stride,
            type_name: column("TypeName")?,
            field_name: column("FieldName")?,
            is_static: column("IsStatic")?,
            offset: column("Offset")?,
            address: column("Address")?,
        })
    }

    /// For each pair of class and field its address, if it is static, or its distance in an object.
    fn fields<const N: usize>(&self, memory: &TargetMemory, wanted: [(&[u8], &[u8]); N]) -> [Option<u64>; N] {
        let mut found = [None; N];
        let mut entry = vec![0; self.stride as usize];
        for n in 0..MOST_ENTRIES {
            let Some(at) = self.stride.checked_mul(n).and_then(|distance| self.first.checked_add(distance)) else {
                break;
            };
            if found.iter().all(Option::is_some) || !memory.read(at, &mut entry) {
                break;
            }
            let column = |at: u64| {
                let bytes = entry.get(at as usize..)?.first_chunk::<8>()?;
                Some(u64::from_le_bytes(*bytes))
            };
            let name = |at| memory.text::<LONGEST_NAME>(column(at)?);
            // The last entry has no name.
            let Some(class) = name(self.type_name) else { break };
            if !wanted.iter().any(|(wanted, _)| *wanted == class) {
                continue;
            }
            let Some(field) = name(self.field_name) else { break };
            for (found, wanted) in found.iter_mut().zip(wanted) {
                if wanted == (class.as_slice(), field.as_slice()) {
                    let is_static = column(self.is_static).is_some_and(|word| word as u32 != 0);
                    *found = column(if is_static { self.address } else { self.offset });
                }
            }
        }
        found
    }
}
