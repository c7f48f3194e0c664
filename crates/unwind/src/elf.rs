//! The first page of a loaded ELF file: where its segments lie, its unwind tables and its build id.
//!
//! Pure: takes the page as bytes and gives virtual addresses of the file, to which the caller adds the load bias.
//! Program headers that do not fit into the first page (more than 72 of them) are not seen.

#![forbid(unsafe_code)]

use crate::reader::Region;

/// Program header types.
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;

/// Bit of [`Segment::flags`]: executable.
pub const EXECUTABLE: u32 = 1;
/// Bit of [`Segment::flags`]: readable.
pub const READABLE: u32 = 4;

/// One program header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    kind: u32,
    /// Permissions: [`EXECUTABLE`], [`READABLE`].
    pub flags: u32,
    offset: usize,
    /// Virtual address of the first byte.
    pub start: usize,
    /// One past the last byte that comes from the file.
    pub end: usize,
}

/// The first page of an ELF file.
#[derive(Clone, Copy)]
pub struct FirstPage<'a> {
    page: Region<'a>,
    table: usize,
    count: u16,
}

impl<'a> FirstPage<'a> {
    /// Checks the file header: 64-bit, little-endian, program headers of the known size.
    pub fn parse(bytes: &'a [u8]) -> Option<FirstPage<'a>> {
        const CLASS64_LITTLE: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
        const HEADER_BYTES: u16 = 56;
        if !bytes.starts_with(&CLASS64_LITTLE) {
            return None;
        }
        let page = Region::new(bytes, 0);
        let table = page.reader_at(0x20)?.u64()? as usize;
        let mut sizes = page.reader_at(0x36)?;
        let (size, count) = (sizes.u16()?, sizes.u16()?);
        (size == HEADER_BYTES).then_some(FirstPage { page, table, count })
    }

    /// The program headers, in the file's order.
    pub fn segments(self) -> impl Iterator<Item = Segment> {
        (0..usize::from(self.count)).map_while(move |index| self.segment(index))
    }

    fn segment(&self, index: usize) -> Option<Segment> {
        let mut header = self.page.reader_at(self.table.wrapping_add(index.wrapping_mul(56)))?;
        let (kind, flags) = (header.u32()?, header.u32()?);
        let (offset, start) = (header.u64()? as usize, header.u64()? as usize);
        header.u64()?; // physical address
        let end = start.checked_add(header.u64()? as usize)?;
        Some(Segment { kind, flags, offset, start, end })
    }

    /// The loadable segment that contains a virtual address.
    pub fn load_segment(self, address: usize) -> Option<Segment> {
        self.segments().find(|s| s.kind == PT_LOAD && s.start <= address && address < s.end)
    }

    /// Virtual address of the lowest loadable segment.
    pub fn first_load(self) -> Option<usize> {
        self.segments().find(|s| s.kind == PT_LOAD).map(|s| s.start)
    }

    /// Virtual address of `.eh_frame_hdr`.
    pub fn eh_frame_hdr(self) -> Option<usize> {
        self.segments().find(|s| s.kind == PT_GNU_EH_FRAME).map(|s| s.start)
    }

    /// Offset in the page of the GNU build id, if there is one of at least 8 bytes in this page.
    pub fn build_id(self) -> Option<usize> {
        self.segments().filter(|s| s.kind == PT_NOTE).find_map(|note| self.build_id_in(note))
    }

    fn build_id_in(&self, note: Segment) -> Option<usize> {
        const NT_GNU_BUILD_ID: u32 = 3;
        let mut notes = self.page.reader_at(note.offset)?;
        let length = note.end.wrapping_sub(note.start);
        while notes.address().wrapping_sub(note.offset) < length {
            let (name, description, kind) = (notes.u32()? as usize, notes.u32()? as usize, notes.u32()?);
            let is_gnu = notes.bytes(name.checked_next_multiple_of(4)?)?.starts_with(b"GNU\0");
            let at = notes.address();
            notes.bytes(description.checked_next_multiple_of(4)?)?;
            if is_gnu && kind == NT_GNU_BUILD_ID && description >= 8 {
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_executable_has_code_tables_and_a_readable_header() {
        let file = std::fs::read("/proc/self/exe").unwrap();
        let page = FirstPage::parse(&file[..4096]).unwrap();
        let tables = page.eh_frame_hdr().unwrap();
        assert_eq!(page.load_segment(tables).unwrap().flags & READABLE, READABLE);
        assert!(page.segments().any(|s| s.flags & EXECUTABLE != 0));
        assert_eq!(page.first_load().map(|start| start & 0xfff), Some(0));
    }

    #[test]
    fn what_is_no_elf_file_is_refused_and_cut_headers_end_quietly() {
        assert!(FirstPage::parse(b"#!/bin/sh\n").is_none());
        let file = std::fs::read("/proc/self/exe").unwrap();
        for length in 0..400 {
            let seen = FirstPage::parse(&file[..length]).map_or(0, |page| page.segments().count());
            assert!(seen <= length / 56);
        }
    }
}
