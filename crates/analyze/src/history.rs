//! Every site over a whole recording: what was live of it at each snapshot, by the snapshots between which it was born.
//!
//! ```text
//!                at snapshot   0    1    2    3          growth from 1 to 3, paired as in `diff`:
//!   born before snapshot 0     9    8    8    8            new  = born after 1, at 3    = 5 + 4
//!   born between 0 and 1            7    2    2            gone = born up to 1, at 1 - at 3 = (8 + 7) - (8 + 2)
//!   born between 1 and 2                 6    5
//!   born between 2 and 3                      4
//! ```
//! A line of that table changes only where blocks are freed, so only the changes are kept: the whole table of a leak of
//! 240 snapshots has 240 of them. From it the growth between any two snapshots follows by sums alone, with the
//! variances that [`crate::diff`] would find.
//!
//! Profiles are added one after another and not kept ([`crate::raw_stacks`] recognises their stacks), so only the last one
//! needs good symbols. Stacks that it does not hold any more, of mappings that are all gone, bear the names that they were
//! first seen with.

use std::collections::HashMap;

use leakscope_profile::model::{Kind, Profile, StackId};

use crate::analysis::Instant;
use crate::estimate::Sums;
use crate::frames::{FrameTable, SiteFrameId};
use crate::raw_stacks::{RawStackId, RawStacks};
use crate::site::{Grouping, Place, Places, SiteId};

/// The sites of a recording over its snapshots.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The snapshots, oldest first.
    pub instants: Vec<Instant>,
    /// The frames that the sites refer to.
    pub frames: FrameTable,
    /// Every site that was ever live at a snapshot or allocated, by id.
    pub sites: Vec<SiteHistory>,
}

/// One site over the snapshots.
#[derive(Debug, Clone)]
pub struct SiteHistory {
    /// Which one.
    pub place: Place,
    /// The largest sampling interval of its blocks, bytes; 0 if every one was recorded.
    pub missable_bytes: u64,
    /// Changes, by birth and then by time; a value holds until the next change of the same birth.
    pub cells: Vec<Cell>,
    /// Bytes allocated since recording started, where that changed.
    pub allocated: Vec<Allocated>,
}

/// What was allocated from the start of recording to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Allocated {
    /// An index into [`History::instants`].
    pub at: u32,
    /// T for bytes.
    pub bytes: f64,
    /// V for bytes.
    pub bytes_variance: f64,
}

/// From a snapshot on, what is live of the blocks that were born before another one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cell {
    /// The blocks were born after the snapshot before this one and before it; an index into [`History::instants`].
    pub born: u32,
    /// Since this snapshot, the same way.
    pub at: u32,
    /// Sampled blocks.
    pub samples: u64,
    /// T for bytes.
    pub bytes: f64,
    /// V for bytes.
    pub bytes_variance: f64,
}

impl SiteHistory {
    /// Several sites as one, called as the first of them; `None` of none.
    pub fn together(sites: &[&SiteHistory]) -> Option<SiteHistory> {
        let mut all = Gathered::default();
        for site in sites {
            all.missable_bytes = all.missable_bytes.max(site.missable_bytes);
            all.add_allocated(&site.allocated);
            for cells in site.cells.chunk_by(|a, b| a.born == b.born) {
                let mut before = Cell::default();
                for cell in cells {
                    all.changes.push((cell.born, Change::between(&before, cell)));
                    before = *cell;
                }
            }
        }
        sites.first().map(|first| all.finish(first.place.clone()))
    }

    /// What is live at a snapshot of the blocks that were born in a range of others.
    pub fn live(&self, at: u32, born: std::ops::RangeInclusive<u32>) -> Sums {
        let mut sums = Sums::default();
        for cells in self.cells.chunk_by(|a, b| a.born == b.born).filter(|cells| born.contains(&cells[0].born)) {
            if let Some(cell) = cells.iter().rfind(|cell| cell.at <= at) {
                sums.samples += cell.samples;
                sums.bytes += cell.bytes;
                sums.bytes_variance += cell.bytes_variance;
            }
        }
        sums
    }
}

/// Makes a [`History`] of profiles that are added one by one.
#[derive(Debug, Default)]
pub struct HistoryBuilder {
    instants: Vec<Instant>,
    epochs: Vec<u32>,
    names: RawStacks,
    /// By [`RawStackId`].
    stacks: Vec<StackHistory>,
    /// The stacks of the profile that was added last.
    last: Vec<RawStackId>,
}

/// One stack as the collector wrote it.
#[derive(Debug, Default)]
struct StackHistory {
    lines: Vec<Line>,
    allocated: Vec<Allocated>,
}

/// Blocks of one stack, kind and birth.
#[derive(Debug)]
struct Line {
    kind: Kind,
    born: u32,
    missable_bytes: u64,
    /// The last snapshot that had them.
    seen: u32,
    now: Cell,
    changes: Vec<Change>,
}

/// By how much a line changed at a snapshot.
#[derive(Debug, Clone, Copy)]
struct Change {
    at: u32,
    samples: i64,
    bytes: f64,
    bytes_variance: f64,
}

impl Change {
    fn between(before: &Cell, after: &Cell) -> Change {
        Change {
            at: after.at,
            samples: after.samples as i64 - before.samples as i64,
            bytes: after.bytes - before.bytes,
            bytes_variance: after.bytes_variance - before.bytes_variance,
        }
    }
}

impl Line {
    fn set(&mut self, at: u32, samples: u64, bytes: f64, bytes_variance: f64) {
        self.seen = at;
        if samples == self.now.samples && bytes == self.now.bytes {
            return;
        }
        let now = Cell { born: self.born, at, samples, bytes, bytes_variance };
        self.changes.push(Change::between(&self.now, &now));
        self.now = now;
    }
}

impl HistoryBuilder {
    /// Adds the next snapshot of the same session. The kinds that are not looked at must have been taken out
    /// ([`crate::select`]).
    pub fn add(&mut self, profile: &Profile) {
        let at = self.instants.len() as u32;
        let snapshot = &profile.snapshot;
        self.instants.push(Instant {
            index: snapshot.index,
            uptime_ms: snapshot.uptime_ms,
            time_unix_ns: snapshot.time_unix_ns,
        });
        self.epochs.push(snapshot.epoch);
        self.last = self.names.add(profile);
        let stacks = self.last.iter().map(|id| id.0 as usize + 1).max().unwrap_or(0);
        self.stacks.resize_with(stacks.max(self.stacks.len()), StackHistory::default);
        self.add_rows(profile, at);
        for (stack, id) in profile.stacks.iter().zip(&self.last) {
            let allocated = &mut self.stacks[id.0 as usize].allocated;
            let (bytes, bytes_variance) = (stack.totals.bytes, stack.totals.bytes_variance);
            if bytes > 0.0 && allocated.last().is_none_or(|known| known.bytes != bytes) {
                allocated.push(Allocated { at, bytes, bytes_variance });
            }
        }
        for line in self.stacks.iter_mut().flat_map(|stack| &mut stack.lines) {
            if line.seen != at && line.now.samples > 0 {
                line.set(at, 0, 0.0, 0.0);
            }
        }
    }

    fn add_rows(&mut self, profile: &Profile, at: u32) {
        // Rows of several epochs may have one birth, where snapshots between them were not kept.
        let mut sums: HashMap<(RawStackId, Kind, u32), Sums> = HashMap::new();
        for row in &profile.rows {
            let Some(id) = self.last.get(row.stack.0 as usize) else { continue };
            let born = self.epochs.partition_point(|epoch| *epoch < row.epoch).min(at as usize);
            sums.entry((*id, row.kind, born as u32)).or_default().add_row(row);
        }
        for ((id, kind, born), sums) in sums {
            let lines = &mut self.stacks[id.0 as usize].lines;
            let known = lines.iter().rposition(|line| line.kind == kind && line.born == born);
            let line = known.unwrap_or_else(|| {
                let now = Cell::default();
                lines.push(Line { kind, born, missable_bytes: 0, seen: at, now, changes: Vec::new() });
                lines.len() - 1
            });
            let line = &mut lines[line];
            line.missable_bytes = line.missable_bytes.max(sums.missable.interval_bytes);
            line.set(at, sums.samples, sums.bytes, sums.bytes_variance);
        }
    }

    /// The history by site. `last` is the profile that was added last, with the best symbols that can be had.
    pub fn finish(mut self, last: &Profile, grouping: &Grouping) -> History {
        let mut places = Places::new(grouping);
        let mut cursor = places.of_profile(last);
        let mut names: Vec<Option<StackId>> = vec![None; self.stacks.len()];
        for (stack, id) in self.last.iter().enumerate() {
            names[id.0 as usize] = Some(StackId(stack as u32));
        }
        let first_names = self.names.take_table();
        let mut gathered: Vec<Gathered> = Vec::new();
        for (at_id, (history, name)) in self.stacks.into_iter().zip(names).enumerate() {
            let gone: Vec<SiteFrameId> = match name {
                Some(_) => Vec::new(),
                None => {
                    let frames = first_names.resolve(self.names.frames(RawStackId(at_id as u32)));
                    frames.map(|frame| places.table.intern(frame.clone())).collect()
                }
            };
            let mut place = |kind| match name {
                Some(name) => cursor.place(&mut places, name, kind),
                None => places.place(&gone, kind),
            };
            // As in `sites`: what is allocated counts for the kind of the first live row, for malloc if there is none.
            let kind = history.lines.first().map_or(Kind::Malloc, |line| line.kind);
            if !history.allocated.is_empty() {
                at(&mut gathered, place(kind)).add_allocated(&history.allocated);
            }
            for line in history.lines {
                at(&mut gathered, place(line.kind)).add_line(line);
            }
        }
        let sites = places.places.into_iter().zip(gathered).map(|(place, gathered)| gathered.finish(place));
        let mut sites: Vec<SiteHistory> = sites.collect();
        sites.sort_by_key(|site| site.place.id);
        History { instants: self.instants, frames: places.table, sites }
    }
}

fn at(gathered: &mut Vec<Gathered>, place: usize) -> &mut Gathered {
    if gathered.len() <= place {
        gathered.resize_with(place + 1, Gathered::default);
    }
    &mut gathered[place]
}

impl History {
    /// One site.
    pub fn site(&self, id: SiteId) -> Option<&SiteHistory> {
        self.sites.binary_search_by_key(&id, |site| site.place.id).ok().map(|at| &self.sites[at])
    }
}

/// The changes of all stacks of a site.
#[derive(Debug, Default)]
struct Gathered {
    missable_bytes: u64,
    /// By birth.
    changes: Vec<(u32, Change)>,
    allocated: Vec<Allocated>,
}

impl Gathered {
    fn add_line(&mut self, line: Line) {
        self.missable_bytes = self.missable_bytes.max(line.missable_bytes);
        self.changes.extend(line.changes.into_iter().map(|change| (line.born, change)));
    }

    /// Kept as differences until the end.
    fn add_allocated(&mut self, values: &[Allocated]) {
        let mut before = Allocated::default();
        for now in values {
            let (bytes, bytes_variance) = (now.bytes - before.bytes, now.bytes_variance - before.bytes_variance);
            self.allocated.push(Allocated { at: now.at, bytes, bytes_variance });
            before = *now;
        }
    }

    fn finish(mut self, place: Place) -> SiteHistory {
        self.changes.sort_by_key(|(born, change)| (*born, change.at));
        let mut cells: Vec<Cell> = Vec::new();
        for (born, change) in self.changes {
            let before = cells.last().copied().filter(|cell| cell.born == born).unwrap_or_default();
            let samples = (before.samples as i64 + change.samples).max(0);
            // Without samples it is zero, whatever the rounding of the sums.
            let (bytes, bytes_variance) = match samples {
                0 => (0.0, 0.0),
                _ => (before.bytes + change.bytes, (before.bytes_variance + change.bytes_variance).max(0.0)),
            };
            let cell = Cell { born, at: change.at, samples: samples as u64, bytes, bytes_variance };
            match cells.last_mut().filter(|last| (last.born, last.at) == (born, change.at)) {
                Some(last) => *last = cell,
                None => cells.push(cell),
            }
        }
        self.allocated.sort_by_key(|more| more.at);
        let mut allocated: Vec<Allocated> = Vec::new();
        for more in self.allocated {
            let before = allocated.last().copied().unwrap_or_default();
            if before.at == more.at {
                allocated.pop();
            }
            let (bytes, bytes_variance) = (before.bytes + more.bytes, before.bytes_variance + more.bytes_variance);
            allocated.push(Allocated { at: more.at, bytes, bytes_variance });
        }
        SiteHistory { place, missable_bytes: self.missable_bytes, cells, allocated }
    }
}
