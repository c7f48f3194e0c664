//! Debug information whose units refer to each other: all of it is held while addresses are looked up.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use addr2line::Context;
use addr2line::gimli::{self, AbbreviationsCacheStrategy, SectionId};

use crate::census;
use crate::dwarf::{DebugSections, DwarfFrame, PANICKED, Slice, check_time, damaged, frames, threads};
use crate::image::{u32_at, u64_at};
use crate::packed::{Packed, is_at_end};

/// Addresses that are worth a thread.
const FEWEST_ADDRESSES: usize = 512;

/// Fills `chains`; `false` if `.debug_info` cannot be unpacked.
pub(crate) fn fill(
    others: DebugSections,
    info: Packed,
    supplementary: Option<&DebugSections>,
    addresses: &[u64],
    deadline: Instant,
    chains: &mut [Vec<DwarfFrame>],
) -> Result<bool, String> {
    let Some(sections) = read_checked(others, info, supplementary, deadline)? else { return Ok(false) };
    look_up(&|| sections.dwarf(supplementary), addresses, deadline, chains).map(|()| true)
}

/// Unpacks the sections. `.debug_info` is most of it: its units are counted by other threads while the rest of it is
/// still being unpacked. `None` if it cannot be.
fn read_checked(
    others: DebugSections,
    info: Packed,
    supplementary: Option<&DebugSections>,
    deadline: Instant,
) -> Result<Option<DebugSections>, String> {
    let mut unpacked = vec![0; info.size()];
    let (sender, units) = channel();
    let (is_whole, counted) = thread::scope(|scope| {
        let size = info.size() as u64 + others.len() + supplementary.map_or(0, DebugSections::len);
        let rest = &mut unpacked[..];
        let reading = scope.spawn(move || read_units(info, rest, |unit| sender.send(unit).is_ok()).is_some());
        let counted = census::check(&others.dwarf(supplementary), units, size, deadline);
        (reading.join().unwrap_or(false), counted)
    });
    counted?;
    Ok(is_whole.then(|| others.with(SectionId::DebugInfo, unpacked)))
}

/// Fills `rest` and gives the bytes of each unit to `give` once they are there, until that says no.
fn read_units<'u>(packed: Packed, mut rest: &'u mut [u8], give: impl Fn(&'u [u8]) -> bool) -> Option<()> {
    const LONG: u32 = u32::MAX;
    let mut reader = packed.reader()?;
    while !rest.is_empty() {
        let mut read = |from: usize, to: usize, rest: &mut [u8]| {
            let to = to.min(rest.len());
            reader.read_exact(rest.get_mut(from.min(to)..to)?).ok().map(|()| to)
        };
        let mut len = read(0, 4, rest)?;
        let mut body = u64::from(u32_at(rest, 0));
        if body == u64::from(LONG) {
            len = read(4, 12, rest)?;
            body = u64_at(rest, 4);
        }
        let end = usize::try_from(body).ok().and_then(|body| body.checked_add(len)).unwrap_or(usize::MAX);
        let end = read(len, end, rest)?;
        let (unit, after) = rest.split_at_mut(end);
        rest = after;
        if !give(unit) {
            return None;
        }
    }
    is_at_end(&mut reader).then_some(())
}

fn look_up<'d>(
    dwarf: &(dyn Fn() -> gimli::Dwarf<Slice<'d>> + Sync),
    addresses: &[u64],
    deadline: Instant,
    chains: &mut [Vec<DwarfFrame>],
) -> Result<(), String> {
    // Addresses are sorted, so that each thread reads other units of the file.
    let part = addresses.len().div_ceil(threads()).max(FEWEST_ADDRESSES);
    thread::scope(|scope| {
        let parts = addresses.chunks(part).zip(chains.chunks_mut(part));
        let running: Vec<_> = parts
            .map(|(addresses, chains)| scope.spawn(|| look_up_part(dwarf(), addresses, deadline, chains)))
            .collect();
        let results: Vec<_> = running.into_iter().map(thread::ScopedJoinHandle::join).collect();
        results.into_iter().try_for_each(|result| result.unwrap_or_else(|_| Err(PANICKED.to_owned())))
    })
}

fn look_up_part(
    mut dwarf: gimli::Dwarf<Slice<'_>>,
    addresses: &[u64],
    deadline: Instant,
    chains: &mut [Vec<DwarfFrame>],
) -> Result<(), String> {
    dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
    let context = Context::from_dwarf(dwarf).map_err(damaged)?;
    for (&address, chain) in addresses.iter().zip(chains) {
        check_time(deadline)?;
        *chain = frames(&context, address);
    }
    Ok(())
}
