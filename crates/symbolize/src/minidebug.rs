//! `.gnu_debugdata` ("MiniDebugInfo"): the symbol table that Fedora and RHEL leave in stripped files, packed by xz.
//!
//! It is an xz stream with a small ELF file in it that has nothing but `.symtab` and `.strtab`. The container is read
//! here (one LZMA2 filter, as `xz` makes by default); its checksums are not verified, since whoever can damage the file
//! can also write a checksum.

use std::io::{Cursor, Read};

use lzma_rust2::Lzma2Reader;

use crate::elf::Elf;

/// Largest packed section: those of Fedora's libraries are below 1 MiB.
const MAX_PACKED: u64 = 8 << 20;
/// Largest unpacked symbol table; the recording CLI has 64 MiB for everything.
const MAX_UNPACKED: u64 = 24 << 20;
const MAX_DICTIONARY: u32 = 8 << 20;
const STREAM_HEADER_LEN: usize = 12;
const LZMA2: u8 = 0x21;

/// The small ELF file inside a file's `.gnu_debugdata`.
pub(crate) fn unpack(elf: &Elf) -> Option<Vec<u8>> {
    let packed = elf.bytes(elf.section(".gnu_debugdata")?, MAX_PACKED)?;
    let stream = packed.strip_prefix(b"\xfd7zXZ\0")?;
    let block = stream.get(STREAM_HEADER_LEN - 6..)?;
    // Block header: length / 4 - 1, flags (number of filters - 1, sizes present), sizes, filter id, one property byte.
    let header_len = (usize::from(*block.first()?) + 1) * 4;
    let flags = *block.get(1)?;
    if flags & 0x3f != 0 {
        return None;
    }
    let mut at = 2;
    for present in [0x40, 0x80] {
        if flags & present != 0 {
            at += variable_len(block.get(at..)?)?;
        }
    }
    let [LZMA2, 1, size] = *block.get(at..at + 3)? else {
        return None;
    };
    let mut unpacked = Vec::new();
    let mut reader = Lzma2Reader::new(Cursor::new(block.get(header_len..)?), dictionary_len(size)?, None);
    // A damaged end is no reason to lose the beginning.
    let _ = (&mut reader).take(MAX_UNPACKED).read_to_end(&mut unpacked);
    (!unpacked.is_empty()).then_some(unpacked)
}

/// Bytes of a variable-length integer.
fn variable_len(bytes: &[u8]) -> Option<usize> {
    bytes.iter().take(9).position(|b| b & 0x80 == 0).map(|i| i + 1)
}

/// Dictionary size of the property byte: (2 or 3) << (n / 2 + 11). Ours need not be larger than the output.
fn dictionary_len(property: u8) -> Option<u32> {
    if property > 40 {
        return None;
    }
    let size = u64::from(2 | (property & 1)) << (property / 2 + 11);
    Some(u32::try_from(size).map_or(MAX_DICTIONARY, |size| size.min(MAX_DICTIONARY)))
}
