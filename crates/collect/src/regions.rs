//! The live mappings: the session's region table, compared with what the kernel says is mapped.
//!
//! A mapping that was unmapped behind the shim's back (a direct system call, an interposer in front of us) would stay
//! in the table for ever. So while the target lives its regions are cut to what /proc/PID/maps holds, and those of
//! which nothing is left are counted as missed unmaps. After its death they stand as they were recorded.

use crate::facts::ProcessFacts;
use crate::shared::SharedSession;
use leakscope_session::regions::Region;
use std::collections::HashSet;
use std::fs;

/// Bytes of /proc/PID/maps that are read: half a million lines.
const MOST_TEXT: usize = 64 << 20;

/// The mappings of one snapshot.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Regions {
    /// Parts that are mapped, by address; no two overlap.
    pub(crate) live: Vec<Region>,
    /// Recorded regions that were unmapped without the shim hearing of it.
    pub(crate) missed_unmaps: u64,
}

impl Regions {
    /// Reads the table; `facts` are those of the process that writes it, or wrote it.
    pub(crate) fn read(shared: &SharedSession, facts: &ProcessFacts) -> Self {
        let recorded = scan(shared);
        if recorded.is_empty() {
            return Self::default();
        }
        // After the scan: what is mapped between the two is not in it.
        let text = fs::read(format!("/proc/{}/maps", facts.pid)).unwrap_or_default();
        let Some(mapped) = mapped(&text, shared.inode()) else {
            return Self { live: recorded, missed_unmaps: 0 };
        };
        let (live, gone) = reconcile(&recorded, &mapped);
        let missed_unmaps = if gone.is_empty() {
            0
        } else {
            // Unmapped since the scan, as it should be? Then it has left the table by now.
            let still: HashSet<(u64, u64, u64)> = scan(shared).iter().map(identity).collect();
            gone.iter().filter(|region| still.contains(&identity(region))).count() as u64
        };
        Self { live, missed_unmaps }
    }
}

fn identity(region: &Region) -> (u64, u64, u64) {
    (region.start, region.end, region.birth_ms)
}

/// What is recorded, by address. Where parts overlap (a region is being cut in two) the later start wins.
pub(crate) fn scan(shared: &SharedSession) -> Vec<Region> {
    let mut regions = Vec::new();
    shared.session().regions.scan(|region| regions.push(region));
    shared.release();
    clip(regions)
}

fn clip(mut regions: Vec<Region>) -> Vec<Region> {
    regions.sort_unstable_by_key(|region| (region.start, region.end));
    let starts: Vec<u64> = regions.iter().skip(1).map(|region| region.start).collect();
    for (region, next) in regions.iter_mut().zip(starts) {
        region.end = region.end.min(next);
    }
    regions.retain(|region| region.start < region.end);
    regions
}

/// The mapped ranges in the text of a `maps` file; `None` unless it is of the process that maps this session.
fn mapped(text: &[u8], inode: u64) -> Option<Vec<(u64, u64)>> {
    let text = String::from_utf8_lossy(text.get(..MOST_TEXT).unwrap_or(text));
    let mut is_ours = false;
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(6, ' ');
        let Some((start, end)) = fields.next().and_then(|range| range.split_once('-')) else { continue };
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let (Some(start), Some(end)) = (hex(start), hex(end)) else { continue };
        let found: Option<u64> = fields.nth(3).and_then(|inode| inode.parse().ok());
        is_ours |= found == Some(inode) && fields.next().is_some_and(|path| path.trim_start().starts_with("/memfd:"));
        match ranges.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => ranges.push((start, end)),
        }
    }
    is_ours.then_some(ranges)
}

/// Cuts regions to what is mapped; also gives those of which nothing is. Both lists are by address, without overlaps.
fn reconcile(recorded: &[Region], mapped: &[(u64, u64)]) -> (Vec<Region>, Vec<Region>) {
    let (mut live, mut gone) = (Vec::new(), Vec::new());
    let mut from = 0;
    for region in recorded {
        while mapped.get(from).is_some_and(|range| range.1 <= region.start) {
            from += 1;
        }
        let parts = mapped.iter().skip(from).take_while(|range| range.0 < region.end);
        let before = live.len();
        live.extend(parts.map(|range| Region {
            start: range.0.max(region.start),
            end: range.1.min(region.end),
            ..*region
        }));
        if live.len() == before {
            gone.push(*region);
        }
    }
    (live, gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(start: u64, end: u64) -> Region {
        Region { start, end, stack: start as u32, ..Region::default() }
    }

    #[test]
    fn regions_are_cut_to_what_is_mapped() {
        let recorded = [region(10, 20), region(20, 30), region(40, 50), region(60, 70), region(80, 90)];
        let (live, gone) = reconcile(&recorded, &[(5, 25), (42, 44), (46, 65), (100, 200)]);
        let cut = |start, end, of: u64| Region { start, end, ..region(of, 0) };
        let expected = [cut(10, 20, 10), cut(20, 25, 20), cut(42, 44, 40), cut(46, 50, 40), cut(60, 65, 60)];
        assert_eq!(live, expected);
        assert_eq!(gone, [region(80, 90)]);
    }

    #[test]
    fn a_region_seen_whole_and_in_parts_is_counted_once() {
        let parts = clip(vec![region(10, 40), region(30, 40), region(30, 40), region(50, 60)]);
        assert_eq!(parts.iter().map(Region::bytes).sum::<u64>(), 40);
    }

    #[test]
    fn only_the_maps_of_the_process_that_maps_the_session_count() {
        let text = b"1000-2000 rw-p 00000000 00:00 0 \n2000-3000 r--p 00000000 fe:01 77     /lib/x.so\n\
                     5000-9000 rw-s 00000000 00:01 4242    /memfd:leakscope (deleted)\n\xff\n";
        assert_eq!(mapped(text, 4242), Some(vec![(0x1000, 0x3000), (0x5000, 0x9000)]));
        assert_eq!(mapped(text, 77), None, "a file of that number");
        assert_eq!(mapped(b"", 4242), None);
    }
}
