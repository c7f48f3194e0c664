//! Bytes at an offset: the one way in which this crate reads an ELF file.
//!
//! Positional reads instead of a mapping, for three reasons: a mapped file that is truncated meanwhile kills the
//! reader by SIGBUS, mapped pages count in the resident set of the recording CLI, and nothing here needs unsafe.
//! Every length comes from a file that we do not trust, so each read is given a limit by its caller.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Something that has bytes at offsets: a file, a byte slice, or the memory of a process (`/proc/PID/mem`, where the
/// offset is the address).
pub trait ReadAt: Sync {
    /// Size in bytes; 0 where it is not known, as for `/proc/PID/mem`.
    fn size(&self) -> u64;

    /// Fills the whole buffer from this offset, or answers `None`.
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()>;
}

impl ReadAt for File {
    fn size(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.len())
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        self.read_exact_at(buffer, offset).ok()
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(buffer.len())?;
        buffer.copy_from_slice(self.get(start..end)?);
        Some(())
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        self.as_slice().fill(offset, buffer)
    }
}

/// Reads `len` bytes at `offset`; `None` if that is more than `limit` or cannot be read.
pub(crate) fn read(image: &dyn ReadAt, offset: u64, len: u64, limit: u64) -> Option<Vec<u8>> {
    if len > limit {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    image.fill(offset, &mut bytes)?;
    Some(bytes)
}

/// As [`read`], but refuses before it allocates where the range lies outside the file.
pub(crate) fn read_within(image: &dyn ReadAt, offset: u64, len: u64, limit: u64) -> Option<Vec<u8>> {
    (offset.checked_add(len)? <= image.size()).then(|| read(image, offset, len, limit))?
}

/// The little-endian `u16` at this offset of a buffer; 0 past its end.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

/// The little-endian `u32` at this offset of a buffer; 0 past its end.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// The little-endian `u64` at this offset of a buffer; 0 past its end.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The NUL-terminated string at this offset of a buffer (up to its end where there is no NUL).
pub(crate) fn c_string(bytes: &[u8], at: usize) -> &[u8] {
    let tail = bytes.get(at..).unwrap_or_default();
    tail.split(|&b| b == 0).next().unwrap_or_default()
}
