//! The memory of another process, read without stopping it: /proc/PID/mem and /proc/PID/pagemap.
//!
//! Reading `mem` needs the rights of a debugger (the same user and no Yama, a child of ours, or CAP_SYS_PTRACE);
//! `pagemap` those of `smaps`. Where a right is missing, what depends on it is left out. Nothing that was read is
//! believed: lengths are bounded here, addresses are only ever read at.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;
/// Pages asked for at once.
const CHUNK_PAGES: usize = 8192;
/// pagemap: the page is in memory.
const PRESENT: u64 = 1 << 63;

/// What can be read of a process.
#[derive(Debug)]
pub(crate) struct TargetMemory {
    memory: Option<File>,
    pages: Option<File>,
}

impl TargetMemory {
    /// Opens what may be opened.
    pub(crate) fn of(pid: u32) -> Self {
        let open = |name| File::open(format!("/proc/{pid}/{name}")).ok();
        Self { memory: open("mem"), pages: open("pagemap") }
    }

    /// Whether words can be read at all.
    pub(crate) fn is_readable(&self) -> bool {
        self.memory.is_some()
    }

    /// Fills `bytes` from an address; `false` unless all of them could be read.
    pub(crate) fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.read_exact_at(bytes, address).is_ok())
    }

    /// The word at an address.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes).then(|| u64::from_le_bytes(bytes))
    }

    /// The byte at an address.
    pub(crate) fn byte(&self, address: u64) -> Option<u8> {
        let mut bytes = [0];
        self.read(address, &mut bytes).then_some(bytes[0])
    }

    /// The text at an address, up to a zero byte, if that comes within `N` bytes.
    pub(crate) fn text<const N: usize>(&self, address: u64) -> Option<Vec<u8>> {
        let mut bytes = [0; N];
        // The end of a mapping may be near.
        let read = self.memory.as_ref()?.read_at(&mut bytes, address).ok()?;
        let text = bytes.get(..read)?;
        Some(text.get(..text.iter().position(|byte| *byte == 0)?)?.to_vec())
    }

    /// How many pages of a range are in memory; `None` where that may not be known.
    pub(crate) fn resident_pages(&self, range: &Range<u64>) -> Option<u64> {
        let mut present = 0;
        self.visit_pages(range, |_| present += 1)?;
        Some(present)
    }

    /// The addresses of the pages of a range that are in memory; `None` where that may not be known.
    pub(crate) fn pages_in_memory(&self, range: Range<u64>) -> Option<Vec<u64>> {
        let mut pages = Vec::new();
        self.visit_pages(&range, |page| pages.push(page))?;
        Some(pages)
    }

    fn visit_pages(&self, range: &Range<u64>, mut visit: impl FnMut(u64)) -> Option<()> {
        let pages = self.pages.as_ref()?;
        let (mut at, end) = (range.start / PAGE, range.end.div_ceil(PAGE));
        let mut bytes = vec![0; CHUNK_PAGES.min(end.saturating_sub(at) as usize) * 8];
        while at < end {
            let wanted = (end - at).min(CHUNK_PAGES as u64) as usize * 8;
            let chunk = bytes.get_mut(..wanted)?;
            pages.read_exact_at(chunk, at * 8).ok()?;
            for (page, word) in (at..).zip(chunk.as_chunks::<8>().0) {
                if u64::from_le_bytes(*word) & PRESENT != 0 {
                    visit(page * PAGE);
                }
            }
            at += CHUNK_PAGES as u64;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory_is_read() {
        let memory = TargetMemory::of(std::process::id());
        let word = 0x0123_4567_89ab_cdefu64;
        assert_eq!(memory.word(&raw const word as u64), Some(word));
        assert_eq!(memory.text::<8>(c"abc".as_ptr() as u64).as_deref(), Some(&b"abc"[..]));
        assert_eq!(memory.text::<4>(c"abcdefgh".as_ptr() as u64), None, "no end in sight");
        assert_eq!((memory.word(8), memory.word(u64::MAX)), (None, None));
        let block = vec![1u8; 1 << 20];
        let start = (block.as_ptr() as u64).next_multiple_of(PAGE);
        assert_eq!(memory.resident_pages(&(start..start + (255 << 12))), Some(255));
        assert_eq!(memory.resident_pages(&(0..PAGE)), Some(0));
        assert_eq!(memory.pages_in_memory(start..start + 2 * PAGE), Some(vec![start, start + PAGE]));
        assert!(!TargetMemory::of(u32::MAX).is_readable());
    }
}
