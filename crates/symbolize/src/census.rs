//! A count of what `addr2line` would build from a file's DWARF, before it may build it.
//!
//! DWARF shares by reference: many functions may point to one list of address ranges, many units to one table of
//! abbreviations, many file names to one string. A reader that copies per reference can be made to take memory
//! quadratic in the size of the file, one that recurses per nested inlined function to overflow its stack, which no
//! `catch_unwind` catches. Real files share little, so everything that would be copied is added up, and a file whose
//! sum is out of proportion to its size is refused.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use addr2line::gimli::{
    self, AttributeValue, EndianSlice, LittleEndian, Reader as _, Section as _, UnitHeader, UnitRef,
};

use crate::dwarf::{Slice, check_time, damaged, threads};

/// Deepest nesting of inlined functions; the reader recurses once for each. Real code reaches about 50.
const MAX_INLINED_DEPTH: usize = 256;
/// Bytes that may be built of each byte of debug information, and what even a small file may use.
const PROPORTION: u64 = 8;
const FREE_BYTES: u64 = 32 << 20;
/// Bytes that a thread draws at once from what all may spend.
const DRAWN: u64 = 16 << 10;
/// Rough size of a range in memory.
const RANGE_LEN: u64 = 24;
/// Rough size of an entry of a line program's file or directory table in memory.
const FILE_LEN: u64 = 32;

/// What all that is built of a file may take, shared by the threads that count.
pub(crate) struct Purse(AtomicU64);

impl Purse {
    /// For a file whose debug sections have so many bytes, unpacked.
    pub(crate) fn of(size: u64) -> Purse {
        Purse(AtomicU64::new(FREE_BYTES.saturating_add(size.saturating_mul(PROPORTION))))
    }
}

/// Counts a file (with its supplementary one, if set); an error says why it is refused.
///
/// `units` are the bytes of each unit of `.debug_info`, which `dwarf` itself need not have; `size` is the number of
/// bytes of all debug sections.
pub(crate) fn check<'a, 'u: 'a>(
    dwarf: &gimli::Dwarf<Slice<'a>>,
    units: Receiver<&'u [u8]>,
    size: u64,
    deadline: Instant,
) -> Result<(), String> {
    let purse = Purse::of(size);
    if let Some(supplementary) = dwarf.sup() {
        Census::new(&purse, deadline).abbreviation_tables(supplementary)?;
    }
    // Threads take units in turn; what they spend comes out of one purse.
    let units = Mutex::new(units);
    thread::scope(|scope| {
        let count = || Census::new(&purse, deadline).units(dwarf, &units);
        let running: Vec<_> = (0..threads()).map(|_| scope.spawn(count)).collect();
        let results: Vec<_> = running.into_iter().map(thread::ScopedJoinHandle::join).collect();
        results.into_iter().try_for_each(|result| result.unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// The count of one thread.
pub(crate) struct Census<'p> {
    purse: &'p Purse,
    /// Drawn from the purse, and not spent yet.
    change: u64,
    deadline: Instant,
    /// Bytes of the table of abbreviations at an offset.
    abbreviations: HashMap<usize, u64>,
    /// Entries of the range list at an offset.
    ranges: HashMap<usize, u64>,
}

impl<'p> Census<'p> {
    pub(crate) fn new(purse: &'p Purse, deadline: Instant) -> Self {
        Census { purse, change: 0, deadline, abbreviations: HashMap::new(), ranges: HashMap::new() }
    }

    fn spend(&mut self, bytes: u64) -> Result<(), String> {
        if let Some(rest) = self.change.checked_sub(bytes) {
            self.change = rest;
            return Ok(());
        }
        for drawn in [bytes.saturating_add(DRAWN), bytes] {
            if self.purse.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(drawn)).is_ok() {
                self.change += drawn - bytes;
                return Ok(());
            }
        }
        Err("its debug information would take memory out of proportion; ignored".to_owned())
    }

    pub(crate) fn check_time(&self) -> Result<(), String> {
        check_time(self.deadline)
    }

    fn abbreviation_tables(&mut self, dwarf: &gimli::Dwarf<Slice<'_>>) -> Result<(), String> {
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            self.abbreviation_table(dwarf, &header)?;
        }
        Ok(())
    }

    fn abbreviation_table(
        &mut self,
        dwarf: &gimli::Dwarf<Slice<'_>>,
        header: &UnitHeader<Slice<'_>>,
    ) -> Result<(), String> {
        let table = dwarf.debug_abbrev.reader().slice();
        let offset = header.debug_abbrev_offset().0;
        let len = *self
            .abbreviations
            .entry(offset)
            .or_insert_with(|| abbreviations_len(table.get(offset..).unwrap_or_default()));
        // An abbreviation takes more room in memory than in the file.
        self.spend(len.saturating_mul(4))?;
        self.check_time()
    }

    /// Units, as long as there are some.
    fn units<'a, 'u: 'a>(
        &mut self,
        dwarf: &gimli::Dwarf<Slice<'a>>,
        units: &Mutex<Receiver<&'u [u8]>>,
    ) -> Result<(), String> {
        let next = || units.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
        while let Some(unit) = next() {
            // The reader would stop there as well.
            if let Some(header) = header_of(unit).map_err(damaged)? {
                self.unit(dwarf, header)?;
            }
        }
        Ok(())
    }

    /// Counts one unit; what can be read of it, if it can be read.
    pub(crate) fn unit<'a>(
        &mut self,
        dwarf: &gimli::Dwarf<Slice<'a>>,
        header: UnitHeader<Slice<'a>>,
    ) -> Result<Option<gimli::Unit<Slice<'a>>>, String> {
        self.abbreviation_table(dwarf, &header)?;
        // A unit that cannot be read costs nothing: the reader stops at the same place.
        let Ok(unit) = dwarf.unit(header) else {
            return Ok(None);
        };
        self.entries(&unit.unit_ref(dwarf))?;
        Ok(Some(unit))
    }

    fn entries(&mut self, unit: &UnitRef<Slice<'_>>) -> Result<(), String> {
        self.line_program(unit)?;
        let Ok(mut entries) = unit.entries_raw(None) else {
            return Ok(());
        };
        // Depths of the inlined functions that enclose the present entry.
        let mut inlined: Vec<isize> = Vec::new();
        while !entries.is_empty() {
            let depth = entries.next_depth();
            let Ok(abbreviation) = entries.read_abbreviation() else {
                break;
            };
            let Some(abbreviation) = abbreviation else {
                continue;
            };
            while inlined.last().is_some_and(|&outer| outer >= depth) {
                inlined.pop();
            }
            if abbreviation.tag() == gimli::DW_TAG_inlined_subroutine {
                inlined.push(depth);
                if inlined.len() > MAX_INLINED_DEPTH {
                    return Err("its debug information is nested too deeply; ignored".to_owned());
                }
            }
            let mut specs = abbreviation.attributes();
            while let Some(at) = specs.iter().position(|spec| spec.name() == gimli::DW_AT_ranges) {
                let (before, rest) = specs.split_at(at);
                if entries.skip_attributes(before).is_err() {
                    return Ok(());
                }
                let Ok(attribute) = entries.read_attribute(rest[0]) else { return Ok(()) };
                self.range_list(unit, attribute.value())?;
                specs = &rest[1..];
            }
            if entries.skip_attributes(specs).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn range_list<'a>(&mut self, unit: &UnitRef<Slice<'a>>, value: AttributeValue<Slice<'a>>) -> Result<(), String> {
        let Ok(Some(offset)) = unit.attr_ranges_offset(value) else {
            return Ok(());
        };
        let count = match self.ranges.get(&offset.0) {
            Some(&count) => count,
            None => {
                let mut count = 0;
                if let Ok(mut ranges) = unit.ranges(offset) {
                    while let Ok(Some(_)) = ranges.next() {
                        count += 1;
                        // Lists may overlap, so that each is counted for the first time.
                        self.spend(1)?;
                    }
                }
                self.ranges.insert(offset.0, count);
                count
            }
        };
        self.spend(count * RANGE_LEN)
    }

    fn line_program<'a>(&mut self, unit: &UnitRef<Slice<'a>>) -> Result<(), String> {
        let Some(program) = &unit.line_program else {
            return Ok(());
        };
        let header = program.header();
        self.spend(header.raw_program_buf().len() as u64)?;
        let comp_dir = unit.comp_dir.as_ref().map_or(0, |dir| dir.len() as u64);
        let len = |value: AttributeValue<Slice<'a>>| {
            let text = unit.attr_string(value);
            text.map_or(0, |text| text.len() as u64)
        };
        for file in header.file_names() {
            // The reader makes the string directory + directory + name for each.
            let directory = file.directory(header).map_or(0, len);
            self.spend(FILE_LEN + comp_dir + directory + len(file.path_name()))?;
        }
        let directories = header.include_directories().len() as u64;
        self.spend(directories * FILE_LEN)?;
        Ok(())
    }
}

/// The header of the unit that these bytes are.
pub(crate) fn header_of(unit: &[u8]) -> gimli::Result<Option<UnitHeader<Slice<'_>>>> {
    gimli::DebugInfo::from(EndianSlice::new(unit, LittleEndian)).units().next()
}

/// Whether units may refer to each other, which needs all of them at once: by the forms of their attributes, or because the
/// tables of these cannot be read.
pub(crate) fn may_refer_between_units(abbreviations: &[u8]) -> bool {
    let mut rest = EndianSlice::new(abbreviations, LittleEndian);
    let mut refers = false;
    while !rest.is_empty() && !refers {
        let table = each_form(&mut rest, |form| {
            refers |= matches!(form, gimli::DW_FORM_ref_addr | gimli::DW_FORM_indirect);
        });
        refers |= table.is_err();
    }
    refers
}

/// Bytes of a table of abbreviations.
fn abbreviations_len(table: &[u8]) -> u64 {
    let mut rest = EndianSlice::new(table, LittleEndian);
    // An error is the end of what can be read.
    let _ = each_form(&mut rest, |_| ());
    (table.len() - rest.len()) as u64
}

/// Reads a table of abbreviations: (code, tag, has children, (name, form)..., 0, 0)..., 0.
fn each_form(rest: &mut Slice<'_>, mut see: impl FnMut(gimli::DwForm)) -> gimli::Result<()> {
    while rest.read_uleb128()? != 0 {
        rest.read_uleb128()?;
        rest.read_u8()?;
        loop {
            let (name, form) = (rest.read_uleb128()?, gimli::DwForm(rest.read_uleb128_u16()?));
            see(form);
            if form == gimli::DW_FORM_implicit_const {
                rest.read_sleb128()?;
            }
            if name == 0 && form == gimli::DwForm(0) {
                break;
            }
        }
    }
    Ok(())
}
