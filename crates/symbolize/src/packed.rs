//! A debug section as it is in the file: plain, SHF_COMPRESSED, or the older `.zdebug_NAME`; and its unpacking.
//!
//! What is packed by zlib, as most is, is read in blocks: libjvm's `.debug_info` has 124 MB, and 257 MB unpacked.

use std::io::{self, Cursor, Read};

use flate2::bufread::ZlibDecoder;
use object::read::{CompressedData, CompressionFormat};

use crate::elf::{Elf, SHF_COMPRESSED, SHT_NOBITS};
use crate::image::{ReadAt, u32_at, u64_at};

/// Largest section, bytes, packed or not.
const MAX_SECTION: u64 = 4 << 30;
/// zlib cannot pack better than 1:1032, real debug sections pack 1:3 to 1:10; below `FREE_UNPACKED` nobody minds.
const MAX_RATIO: u64 = 50;
const FREE_UNPACKED: u64 = 16 << 20;
/// What is read of the file at once.
const BLOCK: usize = 64 << 10;

/// A section that has been found and not been read.
pub(crate) struct Packed<'a> {
    bytes: Bytes<'a>,
    format: CompressionFormat,
    size: u64,
}

impl<'a> Packed<'a> {
    /// The section of this name, `.debug_...`; `None` if it is not there, or too large to be believed.
    pub(crate) fn of(elf: &Elf<'a>, name: &str) -> Option<Packed<'a>> {
        let (section, is_older) = match elf.section(name) {
            Some(section) => (section, false),
            None => (elf.section(&name.replacen(".debug", ".zdebug", 1))?, true),
        };
        let end = section.offset.checked_add(section.size)?;
        if section.kind == SHT_NOBITS || section.size > MAX_SECTION || end > elf.image.size() {
            return None;
        }
        let mut bytes = Bytes { image: elf.image, at: section.offset, end };
        let (format, size) = if is_older {
            // `ZLIB` and the size, big-endian.
            let (word, size) = (bytes.head::<4>()?, bytes.head::<8>()?);
            (word == *b"ZLIB").then(|| (CompressionFormat::Zlib, u64::from_be_bytes(size)))?
        } else if section.flags & SHF_COMPRESSED != 0 {
            // An `Elf64_Chdr`: type, reserved, size, alignment.
            let head = bytes.head::<24>()?;
            let format = match u32_at(&head, 0) {
                1 => CompressionFormat::Zlib,
                2 => CompressionFormat::Zstandard,
                _ => return None,
            };
            (format, u64_at(&head, 8))
        } else {
            return Some(Packed { bytes, format: CompressionFormat::None, size: section.size });
        };
        let believable = FREE_UNPACKED.max(MAX_RATIO.saturating_mul(bytes.end - bytes.at));
        (size <= believable.min(MAX_SECTION)).then_some(Packed { bytes, format, size })
    }

    /// Bytes unpacked.
    pub(crate) fn size(&self) -> usize {
        self.size as usize
    }

    /// All of it.
    pub(crate) fn unpack(self) -> Option<Vec<u8>> {
        let mut unpacked = vec![0; self.size()];
        let mut reader = self.reader()?;
        reader.read_exact(&mut unpacked).ok()?;
        is_at_end(&mut reader).then_some(unpacked)
    }

    /// It from its beginning.
    pub(crate) fn reader(self) -> Option<Box<dyn Read + 'a>> {
        let blocks = io::BufReader::with_capacity(BLOCK, self.bytes);
        Some(match self.format {
            CompressionFormat::Zlib => Box::new(ZlibDecoder::new(blocks)),
            CompressionFormat::Zstandard => {
                let data = &self.bytes.all()?;
                let packed = CompressedData { format: self.format, data, uncompressed_size: self.size };
                Box::new(Cursor::new(packed.decompress().ok()?.into_owned()))
            }
            _ => Box::new(blocks),
        })
    }
}

/// Whether nothing follows, and what was read has the checksum that is said.
pub(crate) fn is_at_end(reader: &mut impl Read) -> bool {
    matches!(reader.read(&mut [0]), Ok(0))
}

/// A part of a file.
#[derive(Clone, Copy)]
struct Bytes<'a> {
    image: &'a dyn ReadAt,
    at: u64,
    end: u64,
}

impl Bytes<'_> {
    fn head<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut head = [0; N];
        self.read_exact(&mut head).ok()?;
        Some(head)
    }

    fn all(mut self) -> Option<Vec<u8>> {
        let mut all = vec![0; (self.end - self.at) as usize];
        self.read_exact(&mut all).ok()?;
        Some(all)
    }
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        self.image.fill(self.at, &mut buffer[..len]).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.at += len as u64;
        Ok(len)
    }
}
