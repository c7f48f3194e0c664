//! Inlined functions, files and lines from DWARF, through `addr2line`.
//!
//! The sections are read into memory (and unpacked), all addresses of an object are looked up, and everything is
//! dropped again: libjvm's debug file needs some 650 MB while it is in use. Nothing is given to `addr2line` before
//! [`crate::census`] has found it harmless.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Instant;

use addr2line::gimli::{self, AbbreviationsCacheStrategy, EndianSlice, LittleEndian};
use addr2line::{Context, Frame};
use object::read::{CompressedData, CompressionFormat};

use crate::census;
use crate::elf::{Elf, SHF_COMPRESSED, Section};
use crate::image::{u32_at, u64_at};

/// Largest section, bytes, packed or not.
const MAX_SECTION: u64 = 4 << 30;
/// zlib cannot pack better than 1:1032, real debug sections pack 1:3 to 1:10; below `FREE_UNPACKED` nobody minds.
const MAX_RATIO: u64 = 50;
const FREE_UNPACKED: u64 = 16 << 20;
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
pub(crate) struct DebugSections(Vec<(gimli::SectionId, Vec<u8>)>);

impl DebugSections {
    /// Reads the sections that are needed; `None` if the file has no `.debug_info`.
    pub(crate) fn read(elf: &Elf) -> Option<DebugSections> {
        use gimli::SectionId as Id;
        let wanted = [
            Id::DebugInfo,
            Id::DebugAbbrev,
            Id::DebugAddr,
            Id::DebugAranges,
            Id::DebugLine,
            Id::DebugLineStr,
            Id::DebugRanges,
            Id::DebugRngLists,
            Id::DebugStr,
            Id::DebugStrOffsets,
        ];
        let packed: Vec<_> = wanted.into_iter().filter_map(|id| Some((id, Contents::of(elf, id.name())?))).collect();
        // One of them, `.debug_info`, is most of it: it is unpacked beside the others.
        let sections: Vec<_> = thread::scope(|scope| {
            let (large, small): (Vec<_>, Vec<_>) = packed.into_iter().partition(|(id, _)| *id == Id::DebugInfo);
            let unpack = |sections: Vec<(Id, Contents)>| {
                sections.into_iter().filter_map(|(id, contents)| Some((id, contents.unpack()?))).collect::<Vec<_>>()
            };
            let large = scope.spawn(move || unpack(large));
            let small = unpack(small);
            large.join().unwrap_or_default().into_iter().chain(small).collect()
        });
        let has_info = matches!(sections.first(), Some((Id::DebugInfo, info)) if !info.is_empty());
        has_info.then_some(DebugSections(sections))
    }

    /// Bytes of all sections.
    fn len(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    fn dwarf(&self) -> gimli::Dwarf<Slice<'_>> {
        let section = |id| {
            let found = self.0.iter().find(|(other, _)| *other == id);
            let bytes = found.map_or(&[][..], |(_, bytes)| bytes);
            Ok::<_, gimli::Error>(EndianSlice::new(bytes, LittleEndian))
        };
        // The closure cannot fail.
        gimli::Dwarf::load(section).unwrap_or_default()
    }
}

/// Whether a file has DWARF, packed or not.
pub(crate) fn has_debug_info(elf: &Elf) -> bool {
    elf.has(".debug_info") || elf.has(".zdebug_info")
}

/// Looks up addresses; an empty chain where nothing is known. An error is a sentence without a subject, with what was
/// found until then.
pub(crate) fn lookup(
    sections: &DebugSections,
    supplementary: Option<&DebugSections>,
    addresses: &[u64],
    deadline: Instant,
) -> (Vec<Vec<DwarfFrame>>, Option<String>) {
    let mut chains = vec![Vec::new(); addresses.len()];
    let result = catch_unwind(AssertUnwindSafe(|| fill(sections, supplementary, addresses, deadline, &mut chains)));
    let problem = match result {
        Ok(Ok(())) => None,
        Ok(Err(problem)) => Some(problem),
        Err(_) => Some(PANICKED.to_owned()),
    };
    (chains, problem)
}

fn fill(
    sections: &DebugSections,
    supplementary: Option<&DebugSections>,
    addresses: &[u64],
    deadline: Instant,
    chains: &mut [Vec<DwarfFrame>],
) -> Result<(), String> {
    let size = sections.len() + supplementary.map_or(0, DebugSections::len);
    let dwarf = || {
        let mut dwarf = sections.dwarf();
        if let Some(supplementary) = supplementary {
            dwarf.set_sup(supplementary.dwarf());
        }
        dwarf
    };
    census::check(&dwarf(), size, deadline)?;
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

/// The bytes of a section as they are in the file: plain, SHF_COMPRESSED, or the older `.zdebug_NAME`.
enum Contents {
    Plain(Vec<u8>),
    /// Starts with an `Elf64_Chdr`: type, reserved, size, alignment.
    Headed(Vec<u8>),
    /// Starts with `ZLIB` and the size, big-endian.
    Older(Vec<u8>),
}

impl Contents {
    fn of(elf: &Elf, name: &str) -> Option<Contents> {
        if let Some(section) = elf.section(name) {
            let bytes = elf.bytes(section, MAX_SECTION)?;
            return Some(if section.flags & SHF_COMPRESSED == 0 { Self::Plain(bytes) } else { Self::Headed(bytes) });
        }
        let section: &Section = elf.section(&name.replacen(".debug", ".zdebug", 1))?;
        elf.bytes(section, MAX_SECTION).map(Self::Older)
    }

    fn unpack(self) -> Option<Vec<u8>> {
        match self {
            Self::Plain(bytes) => Some(bytes),
            Self::Headed(bytes) => {
                let format = match u32_at(&bytes, 0) {
                    1 => CompressionFormat::Zlib,
                    2 => CompressionFormat::Zstandard,
                    _ => return None,
                };
                decompress(format, bytes.get(24..)?, u64_at(&bytes, 8))
            }
            Self::Older(bytes) => {
                let size = bytes.strip_prefix(b"ZLIB")?.get(..8)?.try_into().ok()?;
                decompress(CompressionFormat::Zlib, &bytes[12..], u64::from_be_bytes(size))
            }
        }
    }
}

fn decompress(format: CompressionFormat, data: &[u8], size: u64) -> Option<Vec<u8>> {
    let believable = FREE_UNPACKED.max(MAX_RATIO.saturating_mul(data.len() as u64));
    if size > believable.min(MAX_SECTION) {
        return None;
    }
    let compressed = CompressedData { format, data, uncompressed_size: size };
    compressed.decompress().ok().map(Cow::into_owned)
}
