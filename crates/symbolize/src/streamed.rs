//! Debug information whose units stand alone: each is unpacked, counted, looked at and dropped, one thread unpacking and
//! others looking, so that a libjvm's 250 MB are never in memory together.

use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use addr2line::Context;
use addr2line::gimli::{self, UnitType};

use crate::census::{Census, Purse, header_of};
use crate::dwarf::{DebugSections, DwarfFrame, PANICKED, Slice, TOO_LONG, damaged, frames};
use crate::image::{u32_at, u64_at};
use crate::packed::{Packed, is_at_end};

/// Most threads that look at units.
const MOST_THREADS: usize = 4;
/// Units that have been unpacked and wait.
const WAITING: usize = 16;

/// A unit with its number in the file.
type Unit = (usize, Vec<u8>);

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
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let (sender, units) = sync_channel(WAITING);
    let (giver, used) = channel();
    let (is_whole, results) = thread::scope(|scope| {
        let reading = scope.spawn(move || read_units(info, &sender, &used).is_some());
        let units = Arc::new(Mutex::new(units));
        let looking: Vec<_> = (0..threads)
            .map(|_| {
                let (units, giver) = (Arc::clone(&units), giver.clone());
                let look =
                    Look { others, addresses, deadline, ends: vec![NOT_CLAIMED; addresses.len()], found: Vec::new() };
                let census = Census::new(&purse, deadline);
                scope.spawn(move || look.at_all(census, &units, &giver))
            })
            .collect();
        // With the last of those who look the reader has nobody to read for.
        drop((units, giver));
        let results: Vec<_> = looking.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (reading.join().unwrap_or(false), results)
    });
    let mut problem = None;
    let mut found = Vec::new();
    for result in results {
        let (mut part, said) = result.unwrap_or_else(|_| (Vec::new(), Err(PANICKED.to_owned())));
        found.append(&mut part);
        problem = problem.or(said.err());
    }
    found.sort_by_key(|found| found.rank);
    for Found { address, chain, .. } in found {
        if let Some(kept) = chains.get_mut(address).filter(|kept| kept.is_empty()) {
            *kept = chain;
        }
    }
    problem.map_or(Ok(is_whole), Err)
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
    found: Vec<Found>,
}

impl Look<'_> {
    /// Looks at units as long as there are some: what was found, and why not at all.
    fn at_all(
        mut self,
        mut census: Census<'_>,
        units: &Mutex<Receiver<Unit>>,
        used: &Sender<Vec<u8>>,
    ) -> (Vec<Found>, Result<(), String>) {
        let next = || units.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
        while let Some((number, bytes)) = next() {
            if let Err(problem) = self.at(&mut census, number, &bytes) {
                return (self.found, Err(problem));
            }
            // The reader may be done.
            let _ = used.send(bytes);
        }
        (self.found, Ok(()))
    }

    fn at(&mut self, census: &mut Census<'_>, number: usize, bytes: &[u8]) -> Result<(), String> {
        let Some(header) = header_of(bytes) else { return Ok(()) };
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
            census.check_time()?;
            let end = std::mem::replace(&mut self.ends[address], NOT_CLAIMED);
            let chain = frames(&context, self.addresses[address]);
            if !chain.is_empty() {
                self.found.push(Found { address, rank: (end, number), chain });
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
                let first = self.addresses.partition_point(|&address| address < range.begin);
                for (index, _) in
                    self.addresses.iter().enumerate().skip(first).take_while(|(_, address)| **address < range.end)
                {
                    let end = &mut self.ends[index];
                    if *end == NOT_CLAIMED {
                        claimed.push(index);
                        *end = range.end;
                    }
                    *end = range.end.min(*end);
                }
                if Instant::now() >= self.deadline {
                    return Err(TOO_LONG.to_owned());
                }
            }
        }
        // Then its lines may tell: addr2line reads their ranges.
        if !has_ranges && unit.line_program.is_some() {
            self.ends.fill(u64::MAX);
            claimed = (0..self.addresses.len()).collect();
        }
        Ok(claimed)
    }
}
