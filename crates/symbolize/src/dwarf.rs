//! Inlined functions, files and lines from DWARF, through `addr2line`.
//!
//! Nothing is given to `addr2line` before [`crate::census`] has found it harmless. Nearly always the units of
//! `.debug_info` stand alone, and each is looked at as soon as it is unpacked ([`crate::streamed`]); where they refer to each
//! other, all are held in memory ([`crate::whole`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Instant;

use addr2line::gimli::{self, EndianSlice, LittleEndian, SectionId};
use addr2line::{Context, Frame};

use crate::elf::Elf;
use crate::packed::Packed;
use crate::{census, streamed, whole};

/// Deepest chain of inlined functions that is kept.
const MAX_INLINED: usize = 256;
/// Longest file or function name, bytes.
const MAX_TEXT: usize = 16 << 10;

/// What is said of a file on which the reader fails, and of one that takes too long.
pub(crate) const PANICKED: &str = "its debug information made the DWARF reader panic";
const TOO_LONG: &str = "reading its debug information took too long; given up";
/// Most threads that read one file.
const MOST_THREADS: usize = 4;

/// How many threads read one file.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS)
}

/// An error once it is too late.
pub(crate) fn check_time(deadline: Instant) -> Result<(), String> {
    if Instant::now() >= deadline { Err(TOO_LONG.to_owned()) } else { Ok(()) }
}

/// What is said of a file that contradicts itself.
pub(crate) fn damaged(error: gimli::Error) -> String {
    format!("its debug information is damaged ({error})")
}

pub(crate) type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// One frame; the last of an address is the physical function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DwarfFrame {
    pub(crate) function: Option<String>,
    pub(crate) file: String,
    pub(crate) line: u32,
}

/// The debug sections of a file, unpacked.
#[derive(Default)]
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

    /// All but `.debug_info`.
    fn others(elf: &Elf) -> DebugSections {
        DebugSections::of(elf, &NEEDED[1..])
    }

    fn of(elf: &Elf, wanted: &[SectionId]) -> DebugSections {
        let unpacked = |id: &SectionId| Some((*id, Packed::of(elf, id.name())?.unpack()?));
        DebugSections(wanted.iter().filter_map(unpacked).collect())
    }

    pub(crate) fn with(self, id: SectionId, bytes: Vec<u8>) -> DebugSections {
        DebugSections([(id, bytes)].into_iter().chain(self.0).collect())
    }

    fn section(&self, id: SectionId) -> &[u8] {
        self.0.iter().find(|(other, _)| *other == id).map_or(&[], |(_, bytes)| bytes)
    }

    /// Bytes of all sections.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    pub(crate) fn dwarf<'a>(&'a self, supplementary: Option<&'a DebugSections>) -> gimli::Dwarf<Slice<'a>> {
        let section = |id| Ok::<_, gimli::Error>(EndianSlice::new(self.section(id), LittleEndian));
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
        let others = DebugSections::others(elf);
        let all_stand_alone =
            supplementary.is_none() && !census::may_refer_between_units(others.section(SectionId::DebugAbbrev));
        if all_stand_alone {
            streamed::fill(&others, info, addresses, deadline, &mut chains)
        } else {
            whole::fill(others, info, supplementary, addresses, deadline, &mut chains)
        }
    };
    match catch_unwind(AssertUnwindSafe(look)) {
        Ok(Ok(false)) => None,
        Ok(Ok(true)) => Some((chains, None)),
        Ok(Err(problem)) => Some((chains, Some(problem))),
        Err(_) => Some((chains, Some(PANICKED.to_owned()))),
    }
}

/// The chain of an address, empty where nothing is known of it.
pub(crate) fn frames(context: &Context<Slice<'_>>, address: u64) -> Vec<DwarfFrame> {
    // addr2line adds 1.
    if address == u64::MAX { Vec::new() } else { chain(context, address).unwrap_or_default() }
}

fn chain(context: &Context<Slice<'_>>, address: u64) -> Option<Vec<DwarfFrame>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::executable_segments;
    use std::fs::{self, File};
    use std::process::Command;
    use std::time::Duration;

    const INLINED: &str = "static inline int twice(int n) { return n * volatile_of(n); }";

    /// A library of two units of C, with functions of both that are inlined, and one of assembly: by nothing but the lines and
    /// one range of addresses.
    fn library(options: &[&str]) -> (tempfile::TempDir, File) {
        let directory = tempfile::tempdir().unwrap();
        let head = format!("static int volatile_of(int n) {{ volatile int m = n; return m; }}\n{INLINED}\n");
        let sources = [
            ("first.c", format!("{head}int first(int n) {{ return twice(n) + twice(n + 1); }}\n")),
            (
                "second.s",
                ".text\n.globl second\nsecond:\n nop\n nop\n nop\n ret\n.section .note.GNU-stack\n".to_owned(),
            ),
            ("third.c", format!("{head}__attribute__((cold)) int third(int n) {{ return twice(n) - 3; }}\n")),
        ];
        let mut command = Command::new("cc");
        command.current_dir(directory.path()).args(["-O2", "-g", "-shared", "-fPIC", "-o", "library.so"]).args(options);
        for (name, text) in sources {
            fs::write(directory.path().join(name), text).unwrap();
            command.arg(name);
        }
        assert!(command.status().unwrap().success(), "{command:?}");
        let file = File::open(directory.path().join("library.so")).unwrap();
        (directory, file)
    }

    #[test]
    fn units_one_by_one_say_what_they_say_together() {
        for options in [&[][..], &["-gdwarf-4"], &["-gz"]] {
            let (_directory, file) = library(options);
            let elf = Elf::parse(&file).unwrap();
            let text = executable_segments(&file).remove(0);
            let addresses: Vec<u64> = (text.address..text.address + text.memory_size).collect();
            let deadline = Instant::now() + Duration::from_secs(60);
            let info = || Packed::of(&elf, ".debug_info").unwrap();
            let [mut one_by_one, mut together] = [(); 2].map(|()| vec![Vec::new(); addresses.len()]);
            let others = DebugSections::others(&elf);
            assert!(!census::may_refer_between_units(others.section(SectionId::DebugAbbrev)));
            assert_eq!(streamed::fill(&others, info(), &addresses, deadline, &mut one_by_one), Ok(true));
            assert_eq!(whole::fill(others, info(), None, &addresses, deadline, &mut together), Ok(true));
            assert_eq!(one_by_one, together);
            for (file, least) in [("first.c", 2), ("second.s", 1), ("third.c", 2)] {
                let deepest = one_by_one.iter().filter(|chain| chain.iter().any(|frame| frame.file.ends_with(file)));
                assert!(deepest.map(Vec::len).max() >= Some(least), "{file}: {one_by_one:?}");
            }
        }
    }

    #[test]
    fn a_damaged_unit_ends_the_count() {
        let deadline = Instant::now() + Duration::from_secs(60);
        let (sender, units) = std::sync::mpsc::channel();
        sender.send(&[0; 4][..]).unwrap();
        drop(sender);
        let counted = census::check(&DebugSections::default().dwarf(None), units, 0, deadline);
        assert!(counted.is_err_and(|said| said.contains("damaged")));
    }

    #[test]
    fn units_that_refer_to_each_other_are_told_by_their_forms() {
        // Code 1, DW_TAG_compile_unit, no children, DW_AT_name in some form; a table ends with 0.
        let table = |form: u8| [1, 0x11, 0, 3, form, 0, 0, 0];
        let (text, reference) = (table(8), table(0x10));
        assert!(!census::may_refer_between_units(&text));
        assert!(census::may_refer_between_units(&[text, reference].concat()));
        assert!(census::may_refer_between_units(&text[..5]), "what cannot be read may be anything");
    }
}
