//! Inlined functions, files and lines from DWARF, through `addr2line`.
//!
//! The sections are read into memory (and unpacked), all addresses of an object are looked up, and everything is
//! dropped again: libjvm's debug file needs some 620 MB while it is in use. Nothing is given to `addr2line` before
//! [`crate::census`] has found it harmless.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use addr2line::gimli::{self, AbbreviationsCacheStrategy, EndianSlice, LittleEndian, SectionId};
use addr2line::{Context, Frame};

use crate::census;
use crate::elf::Elf;
use crate::image::{u32_at, u64_at};
use crate::packed::{Packed, is_at_end};

/// Deepest chain of inlined functions that is kept.
const MAX_INLINED: usize = 256;
/// Longest file or function name, bytes.
const MAX_TEXT: usize = 16 << 10;

/// Most threads that look up, and addresses that are worth one.
const MOST_THREADS: usize = 4;
const FEWEST_ADDRESSES: usize = 512;
/// What is said of a file on which the reader fails.
const PANICKED: &str = "its debug information made the DWARF reader panic";

pub(crate) type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// One frame; the last of an address is the physical function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DwarfFrame {
    pub(crate) function: Option<String>,
    pub(crate) file: String,
    pub(crate) line: u32,
}

/// The debug sections of a file, unpacked.
pub(crate) struct DebugSections(Vec<(SectionId, Vec<u8>)>);

/// The sections that are needed.
const NEEDED: [SectionId; 10] = [
    SectionId::DebugInfo,
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

impl DebugSections {
    /// Reads the sections of a supplementary file; `None` if it has no `.debug_info`.
    pub(crate) fn read(elf: &Elf) -> Option<DebugSections> {
        let sections = DebugSections::of(elf, &NEEDED);
        let has_info = matches!(sections.0.first(), Some((SectionId::DebugInfo, info)) if !info.is_empty());
        has_info.then_some(sections)
    }

    fn of(elf: &Elf, wanted: &[SectionId]) -> DebugSections {
        let unpacked = |id: &SectionId| Some((*id, Packed::of(elf, id.name())?.unpack()?));
        DebugSections(wanted.iter().filter_map(unpacked).collect())
    }

    /// Bytes of all sections.
    fn len(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    fn dwarf<'a>(&'a self, supplementary: Option<&'a DebugSections>) -> gimli::Dwarf<Slice<'a>> {
        let section = |id| {
            let found = self.0.iter().find(|(other, _)| *other == id);
            let bytes = found.map_or(&[][..], |(_, bytes)| bytes);
            Ok::<_, gimli::Error>(EndianSlice::new(bytes, LittleEndian))
        };
        // The closure cannot fail.
        let mut dwarf = gimli::Dwarf::load(section).unwrap_or_default();
        if let Some(supplementary) = supplementary {
            dwarf.set_sup(supplementary.dwarf(None));
        }
        dwarf
    }
}

/// Whether a file has DWARF, packed or not.
pub(crate) fn has_debug_info(elf: &Elf) -> bool {
    elf.has(".debug_info") || elf.has(".zdebug_info")
}

/// What was found, and a sentence without a subject where not all could be read.
pub(crate) type Lookup = (Vec<Vec<DwarfFrame>>, Option<String>);

/// Looks up addresses; an empty chain where nothing is known. `None` if the file has no `.debug_info` that can be
/// unpacked.
pub(crate) fn lookup(
    elf: &Elf,
    supplementary: Option<&DebugSections>,
    addresses: &[u64],
    deadline: Instant,
) -> Option<Lookup> {
    let info = Packed::of(elf, SectionId::DebugInfo.name()).filter(|info| info.size() > 0)?;
    let mut chains = vec![Vec::new(); addresses.len()];
    let look = || {
        let Some(sections) = read_checked(elf, info, supplementary, deadline)? else { return Ok(None) };
        fill(&|| sections.dwarf(supplementary), addresses, deadline, &mut chains).map(Some)
    };
    match catch_unwind(AssertUnwindSafe(look)) {
        Ok(Ok(None)) => None,
        Ok(Ok(Some(()))) => Some((chains, None)),
        Ok(Err(problem)) => Some((chains, Some(problem))),
        Err(_) => Some((chains, Some(PANICKED.to_owned()))),
    }
}

/// Unpacks the sections. `.debug_info` is most of it: its units are counted by other threads while the rest of it is
/// still being unpacked. `None` if it cannot be.
fn read_checked(
    elf: &Elf,
    info: Packed,
    supplementary: Option<&DebugSections>,
    deadline: Instant,
) -> Result<Option<DebugSections>, String> {
    let mut unpacked = vec![0; info.size()];
    let (sender, units) = channel();
    let (is_whole, others, counted) = thread::scope(|scope| {
        let size = info.size() as u64;
        let rest = &mut unpacked[..];
        let reading = scope.spawn(move || read_units(info, rest, |unit| sender.send(unit).is_ok()).is_some());
        let others = DebugSections::of(elf, &NEEDED[1..]);
        let size = size + others.len() + supplementary.map_or(0, DebugSections::len);
        let counted = census::check(&others.dwarf(supplementary), units, size, deadline);
        (reading.join().unwrap_or(false), others, counted)
    });
    counted?;
    let sections = [(SectionId::DebugInfo, unpacked)].into_iter().chain(others.0).collect();
    Ok(is_whole.then_some(DebugSections(sections)))
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

fn fill<'d>(
    dwarf: &(dyn Fn() -> gimli::Dwarf<Slice<'d>> + Sync),
    addresses: &[u64],
    deadline: Instant,
    chains: &mut [Vec<DwarfFrame>],
) -> Result<(), String> {
    // Addresses are sorted, so that each thread reads other units of the file.
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let part = addresses.len().div_ceil(threads).max(FEWEST_ADDRESSES);
    thread::scope(|scope| {
        let parts = addresses.chunks(part).zip(chains.chunks_mut(part));
        let running: Vec<_> =
            parts.map(|(addresses, chains)| scope.spawn(|| fill_part(dwarf(), addresses, deadline, chains))).collect();
        let results: Vec<_> = running.into_iter().map(thread::ScopedJoinHandle::join).collect();
        results.into_iter().try_for_each(|result| result.unwrap_or_else(|_| Err(PANICKED.to_owned())))
    })
}

fn fill_part(
    mut dwarf: gimli::Dwarf<Slice<'_>>,
    addresses: &[u64],
    deadline: Instant,
    chains: &mut [Vec<DwarfFrame>],
) -> Result<(), String> {
    dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
    let context = Context::from_dwarf(dwarf).map_err(|error| format!("its debug information is damaged ({error})"))?;
    for (&address, chain) in addresses.iter().zip(chains) {
        if Instant::now() >= deadline {
            return Err("reading its debug information took too long; given up".to_owned());
        }
        // addr2line adds 1.
        if address < u64::MAX {
            *chain = frames(&context, address).unwrap_or_default();
        }
    }
    Ok(())
}

fn frames(context: &Context<Slice<'_>>, address: u64) -> Option<Vec<DwarfFrame>> {
    let mut chain = Vec::new();
    let mut frames = context.find_frames(address).skip_all_loads().ok()?;
    while let Ok(Some(frame)) = frames.next() {
        if chain.len() == MAX_INLINED {
            return None;
        }
        chain.push(own(frame));
    }
    Some(chain)
}

fn own(frame: Frame<'_, Slice<'_>>) -> DwarfFrame {
    let short = |text: &str| text.len() <= MAX_TEXT && !text.is_empty();
    let function = frame.function.and_then(|function| {
        let name = function.raw_name().ok()?;
        short(&name).then(|| name.into_owned())
    });
    let location = frame.location.as_ref();
    let file = location.and_then(|l| l.file).filter(|file| short(file));
    DwarfFrame { function, file: file.unwrap_or_default().to_owned(), line: location.and_then(|l| l.line).unwrap_or(0) }
}
