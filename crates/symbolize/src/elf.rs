//! The headers of an ELF file: sections and segments, and nothing decoded beyond them.
//!
//! 64-bit little-endian only, like the rest of leakscope for now. Written by hand over positional reads rather than
//! with `object`, which wants the whole file in one slice and decodes whole symbol tables; the recording CLI has no
//! room for either.

use crate::image::{ReadAt, c_string, read, read_within, u16_at, u32_at, u64_at};

const HEADER_LEN: u64 = 64;
const SEGMENT_LEN: u64 = 56;
const SECTION_LEN: u64 = 64;
/// Debian's libjvm has 40 sections; -ffunction-sections objects have thousands.
const MAX_SECTIONS: u64 = 1 << 16;
const MAX_SEGMENTS: u64 = 1 << 10;
const MAX_SECTION_NAMES: u64 = 1 << 20;

/// `sh_type` of a section without bytes in the file.
pub(crate) const SHT_NOBITS: u32 = 8;
/// `sh_flags`: the bytes are compressed and start with a compression header.
pub(crate) const SHF_COMPRESSED: u64 = 0x800;
/// `sh_flags`: code.
pub(crate) const SHF_EXECINSTR: u64 = 0x4;

/// A segment of the program header table that is loaded into memory or holds notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// What it is.
    pub kind: SegmentKind,
    /// Whether its pages are executable.
    pub executable: bool,
    /// File offset of its first byte.
    pub offset: u64,
    /// ELF virtual address of its first byte.
    pub address: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Bytes in memory.
    pub memory_size: u64,
}

/// What a [`Segment`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// PT_LOAD.
    Load,
    /// PT_NOTE.
    Note,
}

/// A section, without its name resolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    name: u32,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) link: u32,
    pub(crate) entry_size: u64,
}

impl Section {
    /// Whether this ELF virtual address lies in it.
    pub(crate) fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|offset| offset < self.size)
    }
}

/// An ELF file whose section headers have been read.
pub(crate) struct Elf<'a> {
    pub(crate) image: &'a dyn ReadAt,
    pub(crate) sections: Vec<Section>,
    names: Vec<u8>,
}

impl<'a> Elf<'a> {
    /// Reads the headers; `None` if this is no 64-bit little-endian ELF file. A file whose section headers cannot be
    /// read has none.
    pub(crate) fn parse(image: &'a dyn ReadAt) -> Option<Elf<'a>> {
        let header = header(image, 0)?;
        let (sections, names) = sections(image, &header).unwrap_or_default();
        Some(Elf { image, sections, names })
    }

    /// The first section of this name.
    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| self.name(section) == name.as_bytes())
    }

    /// Whether the file has bytes in a section of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.section(name).is_some_and(|section| section.kind != SHT_NOBITS && section.size > 0)
    }

    /// Its name.
    pub(crate) fn name(&self, section: &Section) -> &[u8] {
        c_string(&self.names, section.name as usize)
    }

    /// Its bytes as they are in the file, if they are at most `limit`.
    pub(crate) fn bytes(&self, section: &Section, limit: u64) -> Option<Vec<u8>> {
        (section.kind != SHT_NOBITS).then(|| read_within(self.image, section.offset, section.size, limit))?
    }
}

/// Reads the program headers of a file (or of a memory image, at the address of its ELF header); empty if it is no
/// ELF file.
pub(crate) fn segments(image: &dyn ReadAt, base: u64) -> Vec<Segment> {
    let table = || {
        let header = header(image, base)?;
        let count = u64::from(u16_at(&header, 56)).min(MAX_SEGMENTS);
        if u64::from(u16_at(&header, 54)) != SEGMENT_LEN {
            return None;
        }
        let at = base.checked_add(u64_at(&header, 32))?;
        read(image, at, count * SEGMENT_LEN, MAX_SEGMENTS * SEGMENT_LEN)
    };
    table().unwrap_or_default().chunks_exact(SEGMENT_LEN as usize).filter_map(segment).collect()
}

fn segment(entry: &[u8]) -> Option<Segment> {
    let kind = match u32_at(entry, 0) {
        1 => SegmentKind::Load,
        4 => SegmentKind::Note,
        _ => return None,
    };
    Some(Segment {
        kind,
        executable: u32_at(entry, 4) & 1 != 0,
        offset: u64_at(entry, 8),
        address: u64_at(entry, 16),
        file_size: u64_at(entry, 32),
        memory_size: u64_at(entry, 40),
    })
}

fn header(image: &dyn ReadAt, base: u64) -> Option<Vec<u8>> {
    let header = read(image, base, HEADER_LEN, HEADER_LEN)?;
    header.starts_with(b"\x7fELF\x02\x01").then_some(header)
}

fn sections(image: &dyn ReadAt, header: &[u8]) -> Option<(Vec<Section>, Vec<u8>)> {
    let at = u64_at(header, 40);
    if at == 0 || u64::from(u16_at(header, 58)) != SECTION_LEN {
        return None;
    }
    let first = section(&read_within(image, at, SECTION_LEN, SECTION_LEN)?);
    // Where the numbers do not fit into the header they are in section 0.
    let count = match u64::from(u16_at(header, 60)) {
        0 => first.size,
        count => count,
    };
    let names_index = match u16_at(header, 62) {
        0xffff => first.link,
        index => u32::from(index),
    };
    if count > MAX_SECTIONS {
        return None;
    }
    let table = read_within(image, at, count * SECTION_LEN, MAX_SECTIONS * SECTION_LEN)?;
    let sections: Vec<Section> = table.chunks_exact(SECTION_LEN as usize).map(section).collect();
    let names = sections.get(names_index as usize)?;
    let names = read_within(image, names.offset, names.size, MAX_SECTION_NAMES)?;
    Some((sections, names))
}

fn section(entry: &[u8]) -> Section {
    Section {
        name: u32_at(entry, 0),
        kind: u32_at(entry, 4),
        flags: u64_at(entry, 8),
        address: u64_at(entry, 16),
        offset: u64_at(entry, 24),
        size: u64_at(entry, 32),
        link: u32_at(entry, 40),
        entry_size: u64_at(entry, 56),
    }
}
