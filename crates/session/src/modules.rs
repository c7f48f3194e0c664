//! The module table: which files the native frames lie in, noted by the target when a stack is new, so that a profile
//! can be made after the target was killed and /proc/PID is gone.
//!
//! ```text
//!   module (64 words):  state | start | end | bias | path length | path (472 bytes)
//! ```
//! Entries are only added. A producer takes the next one, fills it and publishes its state with release.

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Words of a module.
pub const MODULE_WORDS: usize = 64;
const PATH_WORD: usize = 5;
/// Longest path that is kept, bytes.
pub const PATH_BYTES: usize = (MODULE_WORDS - PATH_WORD) * 8;
const PUBLISHED: u64 = 1;

/// A view of the module table.
#[derive(Clone, Copy)]
pub struct ModuleTable<'a> {
    /// [`MODULE_WORDS`] for each module.
    pub words: &'a [AtomicU64],
    /// Entries taken.
    pub count: &'a AtomicU32,
}

/// Where a module lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Address in the process minus address in the file's own address space.
    pub bias: u64,
}

impl<'a> ModuleTable<'a> {
    /// Notes a module unless it is there already; `false` if there is no room. An empty path is the executable.
    pub fn note(&self, range: &Range, path: &[u8]) -> bool {
        for index in 0..self.total() {
            if self.range(index).is_some_and(|r| r == *range) && self.path_is(index, path) {
                return true;
            }
        }
        let index = self.count.fetch_add(1, Ordering::Relaxed);
        let Some(words) = self.entry(index) else {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return false;
        };
        let path = path.get(..path.len().min(PATH_BYTES)).unwrap_or(&[]);
        let numbers = [range.start, range.end, range.bias, path.len() as u64];
        for (word, value) in words.iter().skip(1).zip(numbers) {
            word.store(value, Ordering::Relaxed);
        }
        for (word, bytes) in words.iter().skip(PATH_WORD).zip(path.chunks(8)) {
            let mut value = 0;
            for (i, byte) in bytes.iter().enumerate() {
                value |= u64::from(*byte) << (i * 8);
            }
            word.store(value, Ordering::Relaxed);
        }
        if let Some(state) = words.first() {
            // Release: pairs with the Acquire in `range`.
            state.store(PUBLISHED, Ordering::Release);
        }
        true
    }

    /// Entries taken; some may not be published yet.
    pub fn total(&self) -> u32 {
        self.count.load(Ordering::Acquire).min((self.words.len() / MODULE_WORDS) as u32)
    }

    /// Where module `index` lies, `None` while it is not published.
    pub fn range(&self, index: u32) -> Option<Range> {
        let words = self.entry(index)?;
        // Acquire: pairs with the Release in `note`.
        if words.first()?.load(Ordering::Acquire) != PUBLISHED {
            return None;
        }
        let word = |i: usize| Some(words.get(i)?.load(Ordering::Relaxed));
        Some(Range { start: word(1)?, end: word(2)?, bias: word(3)? })
    }

    /// Calls `visit` for each byte of the path of module `index`.
    pub fn path(&self, index: u32, visit: impl FnMut(u8)) {
        if let Some(words) = self.entry(index) {
            path_bytes(words).for_each(visit);
        }
    }

    fn path_is(&self, index: u32, path: &[u8]) -> bool {
        self.entry(index).is_some_and(|words| path_bytes(words).eq(path.iter().copied().take(PATH_BYTES)))
    }

    fn entry(&self, index: u32) -> Option<&'a [AtomicU64]> {
        let start = (index as usize).checked_mul(MODULE_WORDS)?;
        self.words.get(start..start.checked_add(MODULE_WORDS)?)
    }
}

fn path_bytes<'a>(words: &'a [AtomicU64]) -> impl Iterator<Item = u8> + 'a {
    let length = words.get(PATH_WORD - 1).map_or(0, |w| w.load(Ordering::Relaxed)).min(PATH_BYTES as u64);
    (0..length as usize).map_while(move |i| {
        let word = words.get(PATH_WORD + i / 8)?.load(Ordering::Relaxed);
        Some((word >> (i % 8 * 8)) as u8)
    })
}

#[cfg(all(test, not(leakscope_loom)))]
mod tests {
    use super::*;

    #[test]
    fn notes_each_module_once_and_stops_when_full() {
        let words: Vec<_> = (0..MODULE_WORDS * 2).map(|_| AtomicU64::new(0)).collect();
        let count = AtomicU32::new(0);
        let table = ModuleTable { words: &words, count: &count };
        let libz = Range { start: 0x7f00_0000, end: 0x7f01_0000, bias: 0x7f00_0000 };
        assert!(table.note(&libz, b"/usr/lib/libz.so.1"));
        assert!(table.note(&libz, b"/usr/lib/libz.so.1"));
        assert_eq!(table.total(), 1);
        assert_eq!(table.range(0), Some(libz));
        let mut path = Vec::new();
        table.path(0, |b| path.push(b));
        assert_eq!(path, b"/usr/lib/libz.so.1");
        assert!(table.note(&libz, &[b'x'; 5_000]), "another library at the same place");
        assert!(!table.note(&libz, b"/third"), "no room");
        assert_eq!(table.total(), 2);
        assert_eq!(table.range(7), None);
    }
}
