//! Which file a module is, and where it lies: build ids and load biases.
//!
//! The GNU build id is a hash that the linker writes into a note; two files with the same one hold the same code.
//! It is the only thing that makes a path believable: between recording and report the file may have been upgraded.

use std::fmt::Write as _;

use crate::elf::{Elf, Segment, SegmentKind, segments};
use crate::image::{ReadAt, read, u32_at};

const NT_GNU_BUILD_ID: u32 = 3;
const SHT_NOTE: u32 = 7;
/// Notes of real files take less than 1 KiB.
const MAX_NOTES: u64 = 64 << 10;
/// A build id is 20 bytes (SHA-1) or 8 to 32 by other linkers' options.
const MAX_BUILD_ID: usize = 64;
/// x86-64; segments need not start at a page but are mapped by pages.
const PAGE: u64 = 4096;

/// The GNU build id of an ELF file, in lower-case hexadecimal; `None` if it has none or is no ELF file.
pub fn build_id(file: &(impl ReadAt + ?Sized)) -> Option<String> {
    // A trait object of an unsized type cannot be made, hence the detour over a reference.
    build_id_of(&ByRef(file))
}

/// The build id of the file which is mapped at `base` (the address of its ELF header) in `memory`, such as
/// `/proc/PID/mem`, in lower-case hexadecimal. For a module whose file is gone.
pub fn build_id_in_memory(memory: &(impl ReadAt + ?Sized), base: u64) -> Option<String> {
    let memory = ByRef(memory);
    let segments = segments(&memory, base);
    let first = segments.iter().find(|s| s.kind == SegmentKind::Load)?;
    let bias = base.wrapping_sub(first.address.wrapping_sub(first.offset));
    notes(&segments).find_map(|note| {
        let at = note.address.wrapping_add(bias);
        build_id_in_notes(&read(&memory, at, note.memory_size, MAX_NOTES)?)
    })
}

/// The loaded, executable segments of an ELF file; empty if it is none.
pub fn executable_segments(file: &(impl ReadAt + ?Sized)) -> Vec<Segment> {
    let mut segments = segments(&ByRef(file), 0);
    segments.retain(|s| s.kind == SegmentKind::Load && s.executable);
    segments
}

/// What to subtract from an address in the process to get the ELF virtual address, for a mapping that starts at
/// `start` with the file's byte `offset`, given the file's segments. Modulo 2^64. `None` if no segment lies there.
///
/// Example: mapped at 0x7f0000001000 with offset 0x1000, segment at offset 0x1040 with address 0x2040: the byte at
/// `start` has the address 0x2000, so the bias is 0x7effffffF000.
pub fn bias(start: u64, offset: u64, segments: &[Segment]) -> Option<u64> {
    let segment = segments.iter().find(|segment| {
        let first = segment.offset - segment.offset % PAGE;
        segment.kind == SegmentKind::Load
            && first <= offset
            && offset < segment.offset.saturating_add(segment.file_size)
    })?;
    let address = segment.address.wrapping_add(offset).wrapping_sub(segment.offset);
    Some(start.wrapping_sub(address))
}

/// Whether this is a build id that we would make a file name of: 4 to 64 bytes in lower-case hexadecimal.
pub(crate) fn is_build_id(text: &str) -> bool {
    (8..=2 * MAX_BUILD_ID).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A readable thing behind a reference, so that unsized ones can be used as trait objects.
struct ByRef<'a, R: ReadAt + ?Sized>(&'a R);

impl<R: ReadAt + ?Sized> ReadAt for ByRef<'_, R> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        self.0.fill(offset, buffer)
    }
}

fn build_id_of(file: &dyn ReadAt) -> Option<String> {
    let by_segment = notes(&segments(file, 0))
        .find_map(|note| build_id_in_notes(&read(file, note.offset, note.file_size, MAX_NOTES)?));
    // The segments of a separate debug file point to bytes that it does not have; its sections are right.
    by_segment.or_else(|| {
        let elf = Elf::parse(file)?;
        let mut notes = elf.sections.iter().filter(|s| s.kind == SHT_NOTE);
        notes.find_map(|section| build_id_in_notes(&elf.bytes(section, MAX_NOTES)?))
    })
}

fn notes(segments: &[Segment]) -> impl Iterator<Item = &Segment> {
    segments.iter().filter(|s| s.kind == SegmentKind::Note)
}

fn build_id_in_notes(mut notes: &[u8]) -> Option<String> {
    while notes.len() >= 12 {
        let (name_len, len) = (u32_at(notes, 0) as usize, u32_at(notes, 4) as usize);
        let kind = u32_at(notes, 8);
        let value_at = 12usize.checked_add(name_len.checked_next_multiple_of(4)?)?;
        let name = notes.get(12..12usize.checked_add(name_len)?)?;
        let value = notes.get(value_at..value_at.checked_add(len)?)?;
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" && (1..=MAX_BUILD_ID).contains(&len) {
            return Some(hex(value));
        }
        let next = value_at.checked_add(len.checked_next_multiple_of(4)?)?;
        notes = notes.get(next..).unwrap_or_default();
    }
    None
}
