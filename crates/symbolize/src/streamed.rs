//! Debug information whose units stand alone: each is unpacked, counted, looked at and dropped, one thread unpacking and
//! others looking, so that a libjvm's 250 MB are never in memory together.

use std::collections::HashMap;
use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use addr2line::Context;
use addr2line::gimli::{self, Range, UnitType};

use crate::census::{Census, Purse, header_of};
use crate::dwarf::{DebugSections, DwarfFrame, PANICKED, Slice, check_time, damaged, frames, threads};
use crate::image::{u32_at, u64_at};
use crate::packed::{Packed, is_at_end};

/// Units that have been unpacked and wait.
const WAITING: usize = 16;

/// A unit with its number in the file.
type Unit = (usize, Vec<u8>);

/// Why a unit was left out, behind its number.
type Problem = (usize, String);

/// What a unit says of an address.
struct Found {
    address: usize,
    /// Where several units claim an address, `addr2line` asks first the one whose range ends first.
    rank: (u64, usize),
    chain: Vec<DwarfFrame>,
}

/// Fills `chains`; `false` if `.debug_info` cannot be unpacked. `addresses` are sorted.
pub(crate) fn fill(
    others: &DebugSections,
    info: Packed,
    addresses: &[u64],
    deadline: Instant,
    chains: &mut [Vec<DwarfFrame>],
) -> Result<bool, String> {
    let purse = Purse::of((info.size() as u64).saturating_add(others.len()));
    let (sender, units) = sync_channel(WAITING);
    let (giver, used) = channel();
    let (is_whole, results) = thread::scope(|scope| {
        let reading = scope.spawn(move || read_units(info, &sender, &used).is_some());
        let units = Arc::new(Mutex::new(units));
        let looking: Vec<_> = (0..threads())
            .map(|_| {
                let (units, giver) = (Arc::clone(&units), giver.clone());
                let look = Look::new(others, addresses, deadline);
                let census = Census::new(&purse, deadline);
                scope.spawn(move || look.at_all(census, &units, &giver))
            })
            .collect();
        // With the last of those who look the reader has nobody to read for.
        drop((units, giver));
        let results: Vec<_> = looking.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (reading.join().unwrap_or(false), results)
    });
    if !is_whole {
        // What was read of it before may be wrong as well.
        return Ok(false);
    }
    let mut problem: Option<Problem> = None;
    let mut found = Vec::new();
    for result in results {
        let (mut part, said) = result.unwrap_or_else(|_| (Vec::new(), Some((usize::MAX, PANICKED.to_owned()))));
        found.append(&mut part);
        // Of several that of the first unit, whoever looked at it.
        problem = problem.into_iter().chain(said).min();
    }
    found.sort_by_key(|found| found.rank);
    for Found { address, chain, .. } in found {
        if let Some(kept) = chains.get_mut(address).filter(|kept| kept.is_empty()) {
            *kept = chain;
        }
    }
    problem.map_or(Ok(true), |(_, problem)| Err(problem))
}

/// Gives unit after unit to those who look, in buffers that they are done with.
fn read_units(packed: Packed, give: &SyncSender<Unit>, used: &Receiver<Vec<u8>>) -> Option<()> {
    let mut left = packed.size() as u64;
    let mut reader = packed.reader()?;
    for number in 0.. {
        if left == 0 {
            break;
        }
        let mut unit = used.try_recv().unwrap_or_default();
        unit.clear();
        left -= read_unit(&mut reader, left, &mut unit)?;
        if give.send((number, unit)).is_err() {
            // Nobody looks any more, and they have said why.
            return Some(());
        }
    }
    is_at_end(&mut reader).then_some(())
}

/// Reads a unit, of `left` bytes at most; how many it has.
fn read_unit(reader: &mut dyn Read, left: u64, unit: &mut Vec<u8>) -> Option<u64> {
    const LONG: u32 = u32::MAX;
    let mut read = |bytes: u64, unit: &mut Vec<u8>| {
        let wanted = bytes.min(left.saturating_sub(unit.len() as u64));
        (reader.take(wanted).read_to_end(unit).ok()? as u64 == wanted).then_some(())
    };
    read(4, unit)?;
    let mut len = u64::from(u32_at(unit, 0));
    if len == u64::from(LONG) {
        read(8, unit)?;
        len = u64_at(unit, 4);
    }
    read(len, unit)?;
    Some(unit.len() as u64)
}

/// No range of the present unit holds an address.
const NOT_CLAIMED: u64 = 0;

/// One thread that looks.
struct Look<'a> {
    others: &'a DebugSections,
    addresses: &'a [u64],
    deadline: Instant,
    /// For each address, where the first range of the present unit ends that holds it.
    ends: Vec<u64>,
    /// The best for each address: a file may have any number of units that claim it.
    found: HashMap<usize, Found>,
}

impl<'a> Look<'a> {
    fn new(others: &'a DebugSections, addresses: &'a [u64], deadline: Instant) -> Self {
        Look { others, addresses, deadline, ends: vec![NOT_CLAIMED; addresses.len()], found: HashMap::new() }
    }

    /// Looks at units as long as there are some and there is time. A unit that is refused is left out, so that it does not
    /// matter which thread gets it.
    fn at_all(
        mut self,
        mut census: Census<'_>,
        units: &Mutex<Receiver<Unit>>,
        used: &Sender<Vec<u8>>,
    ) -> (Vec<Found>, Option<Problem>) {
        let mut problem = None;
        let next = || units.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
        while let Some((number, bytes)) = next() {
            if let Err(said) = check_time(self.deadline) {
                problem.get_or_insert((number, said));
                break;
            }
            if let Err(said) = self.at(&mut census, number, &bytes) {
                problem.get_or_insert((number, said));
                self.ends.fill(NOT_CLAIMED);
            }
            // The reader may be done.
            let _ = used.send(bytes);
        }
        (self.found.into_values().collect(), problem)
    }

    fn at(&mut self, census: &mut Census<'_>, number: usize, bytes: &[u8]) -> Result<(), String> {
        let Some(header) = header_of(bytes).map_err(damaged)? else { return Ok(()) };
        let mut dwarf = self.others.dwarf(None);
        dwarf.debug_info = gimli::DebugInfo::new(bytes, gimli::LittleEndian);
        // They name units by their offset in all of `.debug_info`.
        dwarf.debug_aranges = gimli::DebugAranges::new(&[], gimli::LittleEndian);
        let is_code = !matches!(header.type_(), UnitType::Type { .. } | UnitType::SplitType { .. });
        let Some(unit) = census.unit(&dwarf, header)?.filter(|_| is_code) else { return Ok(()) };
        let claimed = self.claimed(&dwarf, &unit)?;
        if claimed.is_empty() {
            return Ok(());
        }
        drop(unit);
        let context = Context::from_dwarf(dwarf).map_err(damaged)?;
        for address in claimed {
            let rank = (std::mem::replace(&mut self.ends[address], NOT_CLAIMED), number);
            if self.found.get(&address).is_some_and(|found| found.rank < rank) {
                continue;
            }
            census.check_time()?;
            let chain = frames(&context, self.addresses[address]);
            if !chain.is_empty() {
                self.found.insert(address, Found { address, rank, chain });
            }
        }
        Ok(())
    }

    /// Indices of the addresses that a unit may know of, with the ends of its ranges in `ends`.
    fn claimed(
        &mut self,
        dwarf: &gimli::Dwarf<Slice<'_>>,
        unit: &gimli::Unit<Slice<'_>>,
    ) -> Result<Vec<usize>, String> {
        let mut claimed = Vec::new();
        let mut has_ranges = false;
        if let Ok(mut ranges) = dwarf.unit_ranges(unit) {
            while let Ok(Some(range)) = ranges.next() {
                has_ranges |= range.begin < range.end;
                self.claim(range, &mut claimed)?;
            }
        }
        // Then addr2line takes those of its lines.
        if let Some(program) = unit.line_program.clone().filter(|_| !has_ranges) {
            let mut rows = program.rows();
            let mut begin = None;
            while let Ok(Some((_, row))) = rows.next_row() {
                let address = row.address();
                if !row.end_sequence() {
                    begin.get_or_insert(address);
                } else if let Some(begin) = begin.take() {
                    self.claim(Range { begin, end: address }, &mut claimed)?;
                }
            }
        }
        Ok(claimed)
    }

    /// Adds the addresses of a range.
    fn claim(&mut self, range: Range, claimed: &mut Vec<usize>) -> Result<(), String> {
        let first = self.addresses.partition_point(|&address| address < range.begin);
        let held = self.addresses.iter().enumerate().skip(first).take_while(|(_, address)| **address < range.end);
        for (index, _) in held {
            let end = &mut self.ends[index];
            if *end == NOT_CLAIMED {
                claimed.push(index);
                *end = range.end;
            }
            *end = range.end.min(*end);
        }
        check_time(self.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use addr2line::gimli::SectionId;
    use std::time::Duration;

    /// Abbreviations at 0: 1 a unit with a range, 2 a function with a range and a name elsewhere. At `BY_LIST`: 1 a unit with a
    /// list of ranges. At `BY_LINES`: 1 a unit with lines.
    const ABBREVIATIONS: [u8; 43] = [
        1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0, //
        2, 0x2e, 0, 0x11, 1, 0x12, 7, 3, 0x0e, 0, 0, //
        0, //
        1, 0x11, 0, 0x55, 0x17, 0, 0, 0, // BY_LIST
        1, 0x11, 0, 0x10, 0x17, 0, 0, 0, // BY_LINES
        0, 0, 0, 0, 0, 0,
    ];
    const BY_LIST: u8 = 21;
    const BY_LINES: u8 = 29;

    /// One row, from 0x10 to 0x20.
    const LINES: [u8; 49] = [
        45, 0, 0, 0, 4, 0, 22, 0, 0, 0, 1, 1, 1, 0, 1, 10, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, b'a', 0, 0, 0, 0,
        0, // header
        0, 9, 2, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0x10, 0, 1, 1,
    ];

    fn sections() -> DebugSections {
        let list = [&0_u64.to_le_bytes()[..], &0x100_u64.to_le_bytes(), &[1]].concat();
        DebugSections::default()
            .with(SectionId::DebugAbbrev, ABBREVIATIONS.to_vec())
            .with(SectionId::DebugLine, LINES.to_vec())
            .with(SectionId::DebugRanges, list)
            .with(SectionId::DebugStr, b"name\0".to_vec())
    }

    fn unit(abbreviations: u8, body: &[u8]) -> Vec<u8> {
        let rest = [&[4, 0, abbreviations, 0, 0, 0, 8, 1], body].concat();
        [&(rest.len() as u32).to_le_bytes()[..], &rest].concat()
    }

    /// A unit of one function.
    fn function(begin: u64, len: u64) -> Vec<u8> {
        let range = [begin.to_le_bytes(), len.to_le_bytes()].concat();
        unit(0, &[&range[..], &[2], &range, &[0; 5]].concat())
    }

    /// What one thread says of units, address by address, and how many units it left.
    fn look(addresses: &[u64], units: Vec<Vec<u8>>, time: Duration) -> (Vec<Found>, Option<Problem>, usize) {
        let (sender, waiting) = sync_channel(units.len());
        units.into_iter().enumerate().for_each(|unit| sender.send(unit).unwrap());
        drop(sender);
        let (others, purse, deadline) = (sections(), Purse::of(0), Instant::now() + time);
        let waiting = Mutex::new(waiting);
        let look = Look::new(&others, addresses, deadline);
        let (mut found, problem) = look.at_all(Census::new(&purse, deadline), &waiting, &channel().0);
        found.sort_by_key(|found| found.address);
        (found, problem, waiting.into_inner().unwrap().iter().count())
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn of_many_units_that_claim_an_address_one_answer_is_kept() {
        let (found, problem, _) = look(&[1, 2, 3], vec![function(0, 0x100); 1000], MINUTE);
        assert_eq!(found.iter().map(|found| found.rank).collect::<Vec<_>>(), [(0x100, 0); 3]);
        assert_eq!(problem, None);
    }

    #[test]
    fn a_damaged_unit_hides_no_other() {
        let by_damaged_list = unit(BY_LIST, &[0; 4]);
        let units = vec![function(0, 0x10), vec![0; 4], by_damaged_list, function(0x10, 0x10)];
        let (found, problem, _) = look(&[0, 0x10, 0x20], units, MINUTE);
        assert_eq!(found.iter().map(|found| found.rank).collect::<Vec<_>>(), [(0x10, 0), (0x20, 3)]);
        assert!(matches!(&problem, Some((1, said)) if said.contains("damaged")), "{problem:?}");
    }

    #[test]
    fn units_without_a_header_take_time_too() {
        let (found, problem, left) = look(&[1], vec![vec![0; 4]; 100], Duration::ZERO);
        assert!(found.is_empty() && problem.is_some());
        assert_eq!(left, 99);
    }

    #[test]
    fn a_unit_that_only_has_lines_is_ranked_by_them() {
        let units = vec![function(0, 0x100), unit(BY_LINES, &[0; 4])];
        let (found, problem, _) = look(&[0, 0x10, 0x1f, 0x20], units, MINUTE);
        let ranks: Vec<_> = found.iter().map(|found| found.rank).collect();
        assert_eq!(ranks, [(0x100, 0), (0x20, 1), (0x20, 1), (0x100, 0)], "{problem:?}");
    }
}
