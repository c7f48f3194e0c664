//! Names of PLT stubs, `malloc@plt`: the jump pads to functions of other libraries.
//!
//! Symbol tables say nothing about them. Each stub jumps through a slot, `jmp *slot(%rip)`, and a relocation says
//! which symbol the loader puts into the slot. x86-64 only.

use std::collections::HashMap;

use crate::elf::{Elf, SHT_NOBITS, Section};
use crate::image::{read_within, u32_at, u64_at};
use crate::symtab::name_of;

const RELOCATION_LEN: u64 = 24;
const BLOCK: u64 = 2048;
const MAX_RELOCATIONS: u64 = 16 << 20;
const STUB_LEN: u64 = 16;
/// `jmp *disp32(%rip)`
const JUMP: [u8; 2] = [0xff, 0x25];

/// Names for those of the addresses that lie in a PLT stub.
pub(crate) fn resolve(elf: &Elf, addresses: &[u64]) -> Vec<Option<String>> {
    let slots: Vec<Option<u64>> = addresses.iter().map(|&a| slot(elf, a)).collect();
    let mut symbols: HashMap<u64, u64> = slots.iter().flatten().map(|&slot| (slot, 0)).collect();
    if !symbols.is_empty() {
        for section in [".rela.plt", ".rela.dyn"] {
            scan_relocations(elf, section, &mut symbols);
        }
    }
    let name = |slot: &Option<u64>| {
        let symbol = *symbols.get(slot.as_ref()?)?;
        (symbol != 0).then(|| name_of(elf, ".dynsym", symbol))?
    };
    slots.iter().map(|slot| Some(format!("{}@plt", name(slot)?))).collect()
}

/// The slot through which the stub at this address jumps.
fn slot(elf: &Elf, address: u64) -> Option<u64> {
    let section = [".plt.sec", ".plt", ".plt.got"]
        .iter()
        .filter_map(|name| elf.section(name))
        .find(|s| s.kind != SHT_NOBITS && s.contains(address))?;
    let stub = address - (address - section.address) % stub_len(section);
    let offset = section.offset.checked_add(stub - section.address)?;
    let code = read_within(elf.image, offset, stub_len(section), STUB_LEN)?;
    let jump = code.windows(2).position(|window| window == JUMP)?;
    let displacement = u32_at(&code, jump + 2) as i32;
    let next = stub.checked_add(jump as u64 + 6)?;
    next.checked_add_signed(i64::from(displacement))
}

fn stub_len(section: &Section) -> u64 {
    // .plt.got without control-flow protection has stubs of 8 bytes, all others of 16.
    if section.entry_size == 8 { 8 } else { STUB_LEN }
}

/// Fills in the symbol number of each wanted slot.
fn scan_relocations(elf: &Elf, section: &str, symbols: &mut HashMap<u64, u64>) {
    let Some(section) = elf.section(section) else {
        return;
    };
    let count = (section.size / RELOCATION_LEN).min(MAX_RELOCATIONS);
    for first in (0..count).step_by(BLOCK as usize) {
        let block = (count - first).min(BLOCK);
        let Some(bytes) = section
            .offset
            .checked_add(first * RELOCATION_LEN)
            .and_then(|at| read_within(elf.image, at, block * RELOCATION_LEN, BLOCK * RELOCATION_LEN))
        else {
            return;
        };
        for relocation in bytes.chunks_exact(RELOCATION_LEN as usize) {
            if let Some(symbol) = symbols.get_mut(&u64_at(relocation, 0)) {
                *symbol = u64_at(relocation, 8) >> 32;
            }
        }
    }
}
