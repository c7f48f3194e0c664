//! /proc/PID/smaps: what each mapping of a process keeps in memory.
//!
//! ```text
//!   7f0a14000000-7f0a14021000 rw-p 00000000 00:00 0                          [heap]
//!   Rss:                 132 kB
//!   ...
//!   VmFlags: rd wr mr mw me ac
//! ```
//! The kernel walks the page tables of the whole process for it: 77 ms for 8 GiB in pages of 4 KiB. So it is read as a
//! stream, once for all who want to know, and nothing is allocated per line. How often that may be is the caller's to say.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

/// Longer lines do not come from the kernel: a path has 4096 bytes, an escaped one four times as many.
const MOST_LINE: usize = 32 << 10;
/// Figures are in kB.
const KB: u64 = 1024;

/// One mapping, with its figures in bytes. Those that a kernel does not give are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SmapsEntry<'a> {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// `rw-p`, `r-xs`, ...
    pub permissions: [u8; 4],
    /// Offset in the file.
    pub offset: u64,
    /// Inode of the file; 0 = none.
    pub inode: u64,
    /// Whether it was mapped without a claim on memory (MAP_NORESERVE): `nr` among the flags.
    pub no_reserve: bool,
    /// Path of the file, or a name in brackets, or empty; as the kernel escapes it, with ` (deleted)`.
    pub path: &'a [u8],
    /// Figures.
    pub figures: Figures,
}

/// What is in memory of a mapping, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Resident.
    pub rss: u64,
    /// Resident, shared pages divided by the number of those who share them.
    pub pss: u64,
    /// Resident pages that only this process maps and that it has written.
    pub private_dirty: u64,
    /// Resident pages that only this process maps and that are as they are in the file.
    pub private_clean: u64,
    /// Resident pages that belong to no file.
    pub anonymous: u64,
    /// Swapped out.
    pub swap: u64,
    /// Locked.
    pub locked: u64,
    /// Of `anonymous`, in huge pages.
    pub anonymous_huge: u64,
}

impl SmapsEntry<'_> {
    /// Size in the address space, bytes.
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it maps a file (of a memory file system, too).
    pub fn is_file(&self) -> bool {
        self.inode != 0
    }
}

/// Reads the mappings of a process, by address. `visit` may be called for some before an error is noticed.
///
/// # Errors
/// Those of opening and reading the file: no such process, no permission.
pub fn read_smaps(pid: u32, visit: impl FnMut(&SmapsEntry<'_>)) -> io::Result<()> {
    // Of a process that is gone, and of a zombie, it is empty: no error.
    parse_smaps(BufReader::with_capacity(64 << 10, File::open(format!("/proc/{pid}/smaps"))?), visit)
}

/// As [`read_smaps`], from any text of that format. Lines that are not understood are passed over.
///
/// # Errors
/// Those of reading; a line without end.
pub fn parse_smaps(mut text: impl BufRead, mut visit: impl FnMut(&SmapsEntry<'_>)) -> io::Result<()> {
    let (mut line, mut path) = (Vec::new(), Vec::new());
    let mut current: Option<SmapsEntry<'static>> = None;
    let mut finish = |current: Option<SmapsEntry<'static>>, path: &[u8]| {
        if let Some(entry) = current {
            visit(&SmapsEntry { path, ..entry });
        }
    };
    while next_line(&mut text, &mut line)? {
        if let Some((entry, its_path)) = header(&line) {
            finish(current.replace(entry), &path);
            path.clear();
            path.extend_from_slice(its_path);
        } else if let Some(entry) = &mut current {
            match line.strip_prefix(b"VmFlags:") {
                Some(flags) => entry.no_reserve = flags.split(|byte| *byte == b' ').any(|flag| flag == b"nr"),
                None => figure(&line, &mut entry.figures),
            }
        }
    }
    finish(current, &path);
    Ok(())
}

/// Reads a line without its end; `false` at the end of the text.
fn next_line(text: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = io::Read::take(&mut *text, MOST_LINE as u64).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if read >= MOST_LINE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
    }
    Ok(read > 0)
}

/// The first line of a mapping: itself, and its path.
fn header(line: &[u8]) -> Option<(SmapsEntry<'static>, &[u8])> {
    // All other lines begin with a capital letter.
    if !line.first()?.is_ascii_hexdigit() || line.first()?.is_ascii_uppercase() {
        return None;
    }
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut range = fields.next()?.split(|byte| *byte == b'-');
    let (start, end) = (number(range.next()?, 16)?, number(range.next()?, 16)?);
    let permissions = fields.next()?.try_into().ok()?;
    let offset = number(fields.next()?, 16)?;
    let inode = number(fields.nth(1)?, 10)?;
    let path = fields.next().unwrap_or_default().trim_ascii_start();
    let entry = SmapsEntry { start, end, permissions, offset, inode, ..SmapsEntry::default() };
    (start < end).then_some((entry, path))
}

/// A line such as `Rss:     132 kB`.
fn figure(line: &[u8], figures: &mut Figures) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
    let (name, value) = line.split_at(colon);
    let figure = match name {
        b"Rss" => &mut figures.rss,
        b"Pss" => &mut figures.pss,
        b"Private_Dirty" => &mut figures.private_dirty,
        b"Private_Clean" => &mut figures.private_clean,
        b"Anonymous" => &mut figures.anonymous,
        b"Swap" => &mut figures.swap,
        b"Locked" => &mut figures.locked,
        b"AnonHugePages" => &mut figures.anonymous_huge,
        _ => return,
    };
    let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
    if let Some(kb) = value.strip_suffix(b" kB").and_then(|digits| number(digits, 10)) {
        *figure = kb.saturating_mul(KB);
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that was visited.
    fn all(text: &[u8]) -> Vec<(SmapsEntry<'static>, String)> {
        let mut entries = Vec::new();
        parse_smaps(text, |entry| {
            let path = String::from_utf8_lossy(entry.path).into_owned();
            entries.push((SmapsEntry { path: &[], ..*entry }, path));
        })
        .unwrap();
        entries
    }

    #[test]
    fn mappings_have_their_figures() {
        let entries = all(b"00400000-00452000 r-xp 00001000 fe:01 4711                       /usr/bin/a b (deleted)\n\
              Size:                328 kB\nRss:                 200 kB\nPss:                  50 kB\nPss_Dirty:     7 kB\n\
              Private_Clean:        12 kB\nPrivate_Dirty:         8 kB\nAnonymous:            16 kB\nSwap:      4 kB\n\
              SwapPss:    3 kB\nLocked:   20 kB\nAnonHugePages:   2048 kB\nTHPeligible:    0\nVmFlags: rd ex mr mw me\n\
              7ffd0000-7ffd1000 rw-p 00000000 00:00 0 \nRss:                   4 kB\nVmFlags: rd wr nr sd\n");
        let (first, path) = &entries[0];
        assert_eq!((first.start, first.end, first.bytes()), (0x40_0000, 0x45_2000, 0x5_2000));
        assert_eq!((&first.permissions, first.offset, first.inode, first.is_file()), (b"r-xp", 0x1000, 4711, true));
        assert_eq!(path, "/usr/bin/a b (deleted)");
        assert!(!first.no_reserve);
        let kb = |n: u64| n * 1024;
        let expected = Figures {
            rss: kb(200),
            pss: kb(50),
            private_dirty: kb(8),
            private_clean: kb(12),
            anonymous: kb(16),
            swap: kb(4),
            locked: kb(20),
            anonymous_huge: kb(2048),
        };
        assert_eq!(first.figures, expected);
        let (second, path) = &entries[1];
        assert_eq!(
            (second.start, second.figures.rss, second.is_file(), path.as_str()),
            (0x7ffd_0000, kb(4), false, "")
        );
        assert!(second.no_reserve);
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn nonsense_is_passed_over() {
        let text = b"Rss: 4 kB\nff\n1-0 rw-p 0 0:0 0\n1000-2000 rw-p 00000000 00:00 0\nRss: 18446744073709551615 kB\n\
            Pss: -1 kB\nSwap: 5 MB\n\xff\xfe\n\n1000-zz rw-p 00000000 00:00 0\n2000-3000 rwxps 0 0:0 0\n3000-4000";
        let entries = all(text);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].0.figures, Figures { rss: u64::MAX, ..Figures::default() });
        assert!(parse_smaps(&vec![b'a'; MOST_LINE * 2][..], |_| {}).is_err());
        assert!(all(b"").is_empty());
    }

    #[test]
    fn our_own_memory_is_found() {
        let block = vec![1u8; 8 << 20];
        let (mut holds, mut total) = (0, 0);
        read_smaps(std::process::id(), |entry| {
            total += entry.figures.rss;
            if (entry.start..entry.end).contains(&(block.as_ptr() as u64)) {
                holds = entry.figures.rss;
            }
        })
        .unwrap();
        assert!(holds >= 7 << 20 && total > holds, "{holds} of {total}");
        assert!(read_smaps(u32::MAX, |_| {}).is_err());
    }
}
