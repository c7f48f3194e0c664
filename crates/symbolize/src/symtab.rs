//! Function names from ELF symbol tables, for a batch of addresses in one scan.
//!
//! The table is read in blocks and never kept: libjvm has 100,000 symbols and the recording CLI 64 MiB for
//! everything. Per address the best symbol so far is remembered by the offset of its name, and only the names of
//! winners are read. Memory is O(addresses).
//!
//! Which symbol wins: one whose `[value, value + size)` holds the address, of these the one that starts last (the
//! innermost), of aliases at one address a global before a weak before a local one, then the one with fewest leading
//! underscores (`malloc`, not `__libc_malloc`). A symbol without a size (assembly) counts up to the next symbol of its
//! section, and only where no sized symbol holds the address.

use crate::elf::{Elf, SHF_EXECINSTR, SHT_NOBITS, Section};
use crate::image::{c_string, read_within, u16_at, u32_at, u64_at};

const SYMBOL_LEN: u64 = 24;
/// Symbols per block: 48 KiB.
const BLOCK: u64 = 2048;
/// 64 million symbols are 1.5 GiB of table; beyond that a file is not believed.
const MAX_SYMBOLS: u64 = 64 << 20;
/// A hostile table of overlapping symbols would compare all symbols with all addresses.
const MAX_COMPARISONS: u64 = 100_000_000;
/// Longest name, bytes.
const MAX_NAME: u64 = 16 << 10;
/// Aliases that are looked at to choose between names.
const MAX_ALIASES: usize = 4;

const STT_NOTYPE: u8 = 0;
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;

/// Looks up sorted, distinct ELF virtual addresses in `.symtab`, then those still unknown in `.dynsym`.
pub(crate) fn resolve(elf: &Elf, addresses: &[u64]) -> Vec<Option<String>> {
    let mut names = vec![None; addresses.len()];
    for table in [".symtab", ".dynsym"] {
        let missing: Vec<usize> = (0..names.len()).filter(|&i| names[i].is_none()).collect();
        if missing.is_empty() {
            break;
        }
        let wanted: Vec<u64> = missing.iter().map(|&i| addresses[i]).collect();
        let found = Scan::over(elf, table, &wanted).unwrap_or_default();
        for (index, name) in missing.into_iter().zip(found) {
            names[index] = name;
        }
    }
    names
}

/// Reads the name of symbol number `index` of a table; without its version.
pub(crate) fn name_of(elf: &Elf, table: &str, index: u64) -> Option<String> {
    let table = elf.section(table)?;
    let strings = elf.sections.get(table.link as usize)?;
    let at = index.checked_mul(SYMBOL_LEN)?;
    if at.checked_add(SYMBOL_LEN)? > table.size {
        return None;
    }
    let symbol = read_within(elf.image, table.offset.checked_add(at)?, SYMBOL_LEN, SYMBOL_LEN)?;
    name(elf, strings, u32_at(&symbol, 0))
}

/// A function of the symbol table.
struct Entry {
    name: u32,
    binding: u8,
    value: u64,
    size: u64,
    /// End of its section, for a symbol without a size.
    section_end: u64,
}

/// The best sized symbol for one address so far.
#[derive(Clone, Copy, Default)]
struct Best {
    start: u64,
    rank: u8,
    aliases: usize,
    names: [u32; MAX_ALIASES],
}

/// The last symbol without a size at or before an address.
#[derive(Clone, Copy, Default)]
struct Label {
    start: u64,
    end: u64,
    name: u32,
}

struct Scan<'a> {
    addresses: &'a [u64],
    best: Vec<Best>,
    /// Per address: the greatest start of any symbol between the previous address and it.
    nearest: Vec<u64>,
    /// The same for symbols without a size.
    labels: Vec<Label>,
    comparisons: u64,
}

impl<'a> Scan<'a> {
    fn over(elf: &Elf, table: &str, addresses: &'a [u64]) -> Option<Vec<Option<String>>> {
        let table = elf.section(table)?;
        let strings = elf.sections.get(table.link as usize)?;
        // A separate debug file has the header of .dynsym, but not its bytes.
        if table.kind == SHT_NOBITS || strings.kind == SHT_NOBITS {
            return None;
        }
        let mut scan = Scan {
            addresses,
            best: vec![Best::default(); addresses.len()],
            nearest: vec![0; addresses.len()],
            labels: vec![Label::default(); addresses.len()],
            comparisons: 0,
        };
        let count = (table.size / SYMBOL_LEN).min(MAX_SYMBOLS);
        let mut first = 0;
        while first < count && scan.comparisons < MAX_COMPARISONS {
            let block = (count - first).min(BLOCK);
            let at = table.offset.checked_add(first * SYMBOL_LEN)?;
            let Some(bytes) = read_within(elf.image, at, block * SYMBOL_LEN, BLOCK * SYMBOL_LEN) else {
                break; // a table that is cut off: what came before still counts
            };
            for symbol in bytes.chunks_exact(SYMBOL_LEN as usize) {
                if let Some(entry) = function(elf, symbol) {
                    scan.offer(&entry);
                }
            }
            first += block;
        }
        scan.propagate();
        Some((0..addresses.len()).map(|i| scan.name(i, elf, strings)).collect())
    }

    fn offer(&mut self, entry: &Entry) {
        let first = self.addresses.partition_point(|&a| a < entry.value);
        let Some(nearest) = self.nearest.get_mut(first) else {
            return;
        };
        *nearest = entry.value.max(*nearest);
        if entry.size == 0 && self.labels[first].start <= entry.value {
            self.labels[first] = Label { start: entry.value, end: entry.section_end, name: entry.name };
        }
        for (address, best) in self.addresses[first..].iter().zip(&mut self.best[first..]) {
            if address - entry.value >= entry.size {
                break;
            }
            self.comparisons += 1;
            best.offer(entry);
        }
    }

    /// Carries the last symbol before each address on to the addresses after it.
    fn propagate(&mut self) {
        for i in 1..self.addresses.len() {
            self.nearest[i] = self.nearest[i].max(self.nearest[i - 1]);
            if self.labels[i].start < self.labels[i - 1].start {
                self.labels[i] = self.labels[i - 1];
            }
        }
    }

    fn name(&self, i: usize, elf: &Elf, strings: &Section) -> Option<String> {
        let best = self.best[i];
        let sized = best.names[..best.aliases]
            .iter()
            .filter_map(|&at| name(elf, strings, at))
            .min_by_key(|name| name.bytes().take_while(|&b| b == b'_').count());
        let label = self.labels[i];
        sized.or_else(|| {
            let holds = label.start == self.nearest[i] && self.addresses[i] < label.end;
            (holds && label.end > 0).then(|| name(elf, strings, label.name))?
        })
    }
}

impl Best {
    fn offer(&mut self, entry: &Entry) {
        let rank = match entry.binding {
            0 => 1, // local
            2 => 2, // weak
            _ => 3,
        };
        let (old, new) = ((self.start, self.rank), (entry.value, rank));
        if self.aliases == 0 || new > old {
            *self = Best { start: entry.value, rank, aliases: 1, names: [entry.name, 0, 0, 0] };
        } else if new == old && self.aliases < MAX_ALIASES {
            self.names[self.aliases] = entry.name;
            self.aliases += 1;
        }
    }
}

fn function(elf: &Elf, symbol: &[u8]) -> Option<Entry> {
    let info = *symbol.get(4)?;
    let section = elf.sections.get(u16_at(symbol, 6) as usize);
    let is_code = section.is_some_and(|s| s.flags & SHF_EXECINSTR != 0);
    let is_function = match info & 0xf {
        STT_FUNC | STT_GNU_IFUNC => true,
        STT_NOTYPE => is_code,
        _ => false,
    };
    // Section 0: defined elsewhere. Name 0: none.
    if !is_function || u16_at(symbol, 6) == 0 || u32_at(symbol, 0) == 0 {
        return None;
    }
    Some(Entry {
        name: u32_at(symbol, 0),
        binding: info >> 4,
        value: u64_at(symbol, 8),
        size: u64_at(symbol, 16),
        section_end: section.map_or(0, |s| s.address.saturating_add(s.size)),
    })
}

fn name(elf: &Elf, strings: &Section, at: u32) -> Option<String> {
    let left = strings.size.checked_sub(u64::from(at))?;
    let offset = strings.offset.checked_add(u64::from(at))?;
    // Most names are short: one small read, and a second only where there is no NUL in it.
    let bytes = [256, MAX_NAME].into_iter().find_map(|len| {
        let bytes = read_within(elf.image, offset, left.min(len), MAX_NAME)?;
        bytes.contains(&0).then_some(bytes)
    })?;
    let text = String::from_utf8_lossy(c_string(&bytes, 0)).into_owned();
    // `memcpy@@GLIBC_2.14`: newer linkers put the version into .symtab.
    let text = match text.find('@') {
        Some(at) if at > 0 => text[..at].to_owned(),
        _ => text,
    };
    (!text.is_empty()).then_some(text)
}
