//! Whether a file defines functions of given names: without a table in memory, as everything at recording time.
//!
//! The names are looked for in the string table first. Only where one is there (linkers let a name share the end of a
//! longer one, so anywhere) are the symbols read, for one that has just this name and a definition.

use crate::elf::{Elf, SHT_NOBITS, Section};
use crate::image::{ReadAt, read_within, u16_at, u32_at};

/// Bytes of a table that are read at once.
const BLOCK: u64 = 64 << 10;
const SYMBOL_LEN: u64 = 24;
/// Longest table that is read: a browser with all its symbols has 200 MiB of names.
const MOST_BYTES: u64 = 512 << 20;
/// Places in a string table where a name ends that are remembered.
const MOST_PLACES: usize = 1 << 10;

/// For each of `names`, whether the file has a function of this name, by either of its symbol tables.
pub fn defined_functions(image: &dyn ReadAt, names: &[&str]) -> Vec<bool> {
    let mut found = vec![false; names.len()];
    if let Some(elf) = Elf::parse(image) {
        for table in [".symtab", ".dynsym"] {
            look_in(&elf, table, names, &mut found);
        }
    }
    found
}

fn look_in(elf: &Elf, table: &str, names: &[&str], found: &mut [bool]) -> Option<()> {
    let table = elf.section(table)?;
    let strings = elf.sections.get(table.link as usize)?;
    let places = places(elf, strings, names)?;
    if places.is_empty() {
        return None;
    }
    for_each_block(elf, table, |_, block| {
        for symbol in block.chunks_exact(SYMBOL_LEN as usize) {
            let at = u32_at(symbol, 0);
            if is_defined_function(symbol)
                && let Some((_, name)) = places.iter().find(|(place, _)| *place == at)
            {
                found[*name] = true;
            }
        }
    })
}

fn is_defined_function(symbol: &[u8]) -> bool {
    const STT_FUNC: u8 = 2;
    const STT_GNU_IFUNC: u8 = 10;
    let kind = symbol.get(4).map_or(0, |info| info & 0xf);
    matches!(kind, STT_FUNC | STT_GNU_IFUNC) && u16_at(symbol, 6) != 0
}

/// Where in the string table a text ends with one of the names: the offset of that name, and which it is.
fn places(elf: &Elf, strings: &Section, names: &[&str]) -> Option<Vec<(u32, usize)>> {
    let mut places = Vec::new();
    // The end of the last block, of a text that goes on in the next.
    let mut rest: Vec<u8> = Vec::new();
    for_each_block(elf, strings, |start, block| {
        let start = start - rest.len() as u64;
        rest.extend_from_slice(block);
        let whole = rest.iter().rposition(|byte| *byte == 0).map_or(0, |last| last + 1);
        let mut end = start;
        for text in rest[..whole].split_inclusive(|byte| *byte == 0) {
            end += text.len() as u64;
            let text = text.strip_suffix(b"\0").unwrap_or(text);
            for (index, name) in names.iter().enumerate() {
                if text.ends_with(name.as_bytes()) && places.len() < MOST_PLACES {
                    places.push(((end - 1) as u32 - name.len() as u32, index));
                }
            }
        }
        rest.drain(..whole);
        // No text of a hostile table grows without bound.
        if rest.len() as u64 > BLOCK {
            rest.clear();
        }
    })?;
    Some(places)
}

/// Gives each block of a section, with its offset in the section; `None` where the file has no such bytes.
fn for_each_block(elf: &Elf, section: &Section, mut visit: impl FnMut(u64, &[u8])) -> Option<()> {
    if section.kind == SHT_NOBITS {
        return None;
    }
    // A whole number of symbols.
    let block = BLOCK / SYMBOL_LEN * SYMBOL_LEN;
    let size = section.size.min(MOST_BYTES);
    let mut at = 0;
    while at < size {
        let length = block.min(size - at);
        let bytes = read_within(elf.image, section.offset.checked_add(at)?, length, block)?;
        visit(at, &bytes);
        at += length;
    }
    Some(())
}
