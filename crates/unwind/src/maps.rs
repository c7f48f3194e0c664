//! `/proc/self/maps`, line by line, through raw system calls and one buffer on the stack.
//!
//! Only for outside of hooks: it reads a file of the kernel, which takes a millisecond in a process with thousands of
//! mappings.

#![forbid(unsafe_code)]

use crate::x86_64::File;

/// Longest line that is seen whole: the fields before a path take 73 bytes, a path at most 4,096.
const LINE_BYTES: usize = 4_300;

/// One mapping of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// First address.
    pub start: usize,
    /// One past the last address.
    pub end: usize,
    /// Whether it may be read.
    pub readable: bool,
    /// Whether it may be executed.
    pub executable: bool,
    /// Offset of `start` in the file, bytes.
    pub offset: usize,
    /// Device and inode, as written: what tells two files apart even if they bear one name.
    pub file: (u64, u64),
    /// Path, `[stack]`, `[vdso]` or empty. The kernel's ` (deleted)` is left on.
    pub path: &'a [u8],
}

impl<'a> Mapping<'a> {
    /// Parses one line without its newline, such as
    /// `7f5c0a000000-7f5c0a021000 r-xp 00001000 fd:01 131090      /usr/lib/libz.so.1`.
    pub fn parse(line: &'a [u8]) -> Option<Mapping<'a>> {
        let (start, rest) = number(line, 16)?;
        let (end, rest) = number(rest.strip_prefix(b"-")?, 16)?;
        let [read, _write, execute, _shared] = *rest.strip_prefix(b" ")?.first_chunk::<4>()?;
        let (offset, rest) = number(rest.get(5..)?.strip_prefix(b" ")?, 16)?;
        let (major, rest) = number(rest.strip_prefix(b" ")?, 16)?;
        let (minor, rest) = number(rest.strip_prefix(b":")?, 16)?;
        let (inode, rest) = number(rest.strip_prefix(b" ")?, 10)?;
        Some(Mapping {
            start: start as usize,
            end: end as usize,
            readable: read == b'r',
            executable: execute == b'x',
            offset: offset as usize,
            file: (major.wrapping_shl(32) | minor, inode),
            path: rest.trim_ascii_start(),
        })
    }
}

/// The number at the start of `text`, and what follows it.
fn number(text: &[u8], radix: u32) -> Option<(u64, &[u8])> {
    let digits = text.iter().position(|byte| !(*byte as char).is_digit(radix)).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(digits)?;
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        let digit = (*digit as char).to_digit(radix)?;
        value.checked_mul(radix.into())?.checked_add(digit.into())
    })?;
    (!digits.is_empty()).then_some((value, rest))
}

/// Calls `each` with every mapping of this process, lowest first. False if the file cannot be read.
pub fn for_each(mut each: impl FnMut(Mapping<'_>)) -> bool {
    let Some(file) = File::open(c"/proc/self/maps") else { return false };
    let mut buffer = [0_u8; LINE_BYTES];
    let mut filled = 0;
    let mut skipping = false; // inside the rest of a line that did not fit
    loop {
        let Some(free) = buffer.get_mut(filled..) else { return false };
        match file.read(free) {
            None => return false,
            Some(0) => return true,
            Some(read) => filled = filled.saturating_add(read),
        }
        let mut text = buffer.get(..filled).unwrap_or_default();
        while let Some(length) = text.iter().position(|byte| *byte == b'\n') {
            let line = text.get(..length).unwrap_or_default();
            if !skipping && let Some(mapping) = Mapping::parse(line) {
                each(mapping);
            }
            skipping = false;
            text = text.get(length.saturating_add(1)..).unwrap_or_default();
        }
        let rest = text.len();
        if rest == buffer.len() {
            // Longer than any line should be: take what is there, and skip to its end.
            if !skipping && let Some(mapping) = Mapping::parse(text) {
                each(mapping);
            }
            skipping = true;
            filled = 0;
        } else {
            move_to_front(&mut buffer, filled.saturating_sub(rest), rest);
            filled = rest;
        }
    }
}

/// `copy_within` without its panic.
fn move_to_front(buffer: &mut [u8], from: usize, count: usize) {
    for index in 0..count {
        let Some(byte) = buffer.get(from.wrapping_add(index)).copied() else { return };
        if let Some(to) = buffer.get_mut(index) {
            *to = byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line =
            b"7f5c0a000000-7f5c0a021000 r-xp 00001000 fd:1f 131090                     /opt/a b/libz.so (deleted)";
        let mapping = Mapping::parse(line).unwrap();
        assert_eq!((mapping.start, mapping.end, mapping.offset), (0x7f5c_0a00_0000, 0x7f5c_0a02_1000, 0x1000));
        assert_eq!((mapping.readable, mapping.executable), (true, true));
        assert_eq!(mapping.file, (0xfd_0000_001f, 131_090));
        assert_eq!(mapping.path, b"/opt/a b/libz.so (deleted)");
        assert_eq!(Mapping::parse(b"1000-2000 ---p 00000000 00:00 0 ").unwrap().path, b"");
        assert!(Mapping::parse(b"").is_none());
        for cut in 0..50 {
            assert!(Mapping::parse(&line[..cut]).is_none_or(|m| m.path.is_empty()), "cut at {cut}");
        }
    }

    #[test]
    fn all_lines_are_seen_in_order() {
        let mut starts = Vec::new();
        let mut stack = None;
        assert!(for_each(|mapping| {
            starts.push(mapping.start);
            if mapping.path == b"[stack]" {
                stack = Some((mapping.start, mapping.end));
            }
        }));
        assert!(starts.len() > 10 && starts.is_sorted());
        assert!(stack.is_some_and(|(start, end)| start < end));
    }
}
