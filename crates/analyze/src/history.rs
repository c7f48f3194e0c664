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

use leakscope_profile::model::{Kind, Profile, StackId};

use crate::analysis::Instant;
use crate::estimate::{Missable, Sums};
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

impl Cell {
    fn amount(&self) -> Amount {
        Amount { samples: self.samples, bytes: self.bytes, bytes_variance: self.bytes_variance }
    }
}

impl SiteHistory {
    /// Several sites as one, called as the first of them; `None` of none.
    pub fn together(sites: &[&SiteHistory]) -> Option<SiteHistory> {
        let first = sites.first()?;
        let mut order: Vec<(u32, u32, u32, u32)> = Vec::with_capacity(sites.iter().map(|site| site.cells.len()).sum());
        let mut all = Gathered::default();
        for (site, of) in sites.iter().zip(0..) {
            all.missable_bytes = all.missable_bytes.max(site.missable_bytes);
            all.add_allocated(&site.allocated);
            order.extend(site.cells.iter().zip(0..).map(|(cell, at)| (cell.born, cell.at, of, at)));
        }
        order.sort_unstable();
        let changes = order.into_iter().map(|(.., site, at)| sites[site as usize].change(at as usize));
        let cells = cells(changes);
        Some(all.finish(first.place.clone(), cells))
    }

    /// By how much a cell differs from what was before.
    fn change(&self, at: usize) -> Change {
        let cell = &self.cells[at];
        let before = at.checked_sub(1).map(|at| &self.cells[at]).filter(|before| before.born == cell.born);
        Change::between(cell.born, cell.at, &before.map(Cell::amount).unwrap_or_default(), &cell.amount())
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
    /// Nearly always one; the first is the one that was seen first.
    kinds: Vec<KindHistory>,
    allocated: Vec<Allocated>,
}

/// One kind of memory of a stack.
#[derive(Debug)]
struct KindHistory {
    kind: Kind,
    missable_bytes: u64,
    /// What is live, by birth as it was first seen.
    lines: Vec<Line>,
    /// In the order of snapshots.
    changes: Vec<Change>,
}

/// Live blocks of one birth.
#[derive(Debug, Default)]
struct Line {
    born: u32,
    before: Amount,
    now: Amount,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Amount {
    samples: u64,
    bytes: f64,
    bytes_variance: f64,
}

/// By how much the live blocks of one birth changed at a snapshot.
#[derive(Debug, Clone, Copy)]
struct Change {
    born: u32,
    at: u32,
    samples: i64,
    bytes: f64,
    bytes_variance: f64,
}

impl Change {
    fn between(born: u32, at: u32, before: &Amount, after: &Amount) -> Change {
        Change {
            born,
            at,
            samples: after.samples as i64 - before.samples as i64,
            bytes: after.bytes - before.bytes,
            bytes_variance: after.bytes_variance - before.bytes_variance,
        }
    }
}

impl KindHistory {
    /// The line of a birth, looked for from `near` on, as rows come in the order of their births.
    fn line(&mut self, born: u32, near: usize) -> usize {
        let is_it = |line: &Line| line.born == born;
        let after = self.lines.get(near..).and_then(|lines| lines.iter().position(is_it)).map(|at| near + at);
        after.or_else(|| self.lines.iter().position(is_it)).unwrap_or_else(|| {
            self.lines.push(Line { born, ..Line::default() });
            self.lines.len() - 1
        })
    }

    /// Notes what is different from the snapshot before. A line that is empty will not come back, as a rule.
    fn close(&mut self, at: u32) {
        let changes = &mut self.changes;
        self.lines.retain_mut(|line| {
            let (before, now) = (line.before, line.now);
            if now.samples != before.samples || now.bytes != before.bytes {
                if changes.len() == changes.capacity() {
                    // There are as many of them as all else together: by a quarter, not to the double.
                    changes.reserve_exact(changes.len() / 4 + 4);
                }
                changes.push(Change::between(line.born, at, &before, &now));
                line.before = now;
            }
            line.now = Amount::default();
            now.samples > 0
        });
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
        self.stacks.iter_mut().flat_map(|stack| &mut stack.kinds).for_each(|kind| kind.close(at));
    }

    fn add_rows(&mut self, profile: &Profile, at: u32) {
        let (mut last, mut near) = (None, 0);
        for row in &profile.rows {
            let Some(id) = self.last.get(row.stack.0 as usize) else { continue };
            if last.replace((*id, row.kind)) != Some((*id, row.kind)) {
                near = 0;
            }
            // Rows of several epochs may have one birth, where snapshots between them were not kept.
            let born = self.epochs.partition_point(|epoch| *epoch < row.epoch).min(at as usize);
            let kind = self.stacks[id.0 as usize].kind(row.kind);
            near = kind.line(born as u32, near);
            let now = &mut kind.lines[near].now;
            now.samples = now.samples.saturating_add(row.samples);
            now.bytes += row.bytes;
            now.bytes_variance += row.bytes_variance;
            kind.missable_bytes = kind.missable_bytes.max(Missable::of(row).interval_bytes);
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
            let kind = history.kinds.first().map_or(Kind::Malloc, |first| first.kind);
            if !history.allocated.is_empty() {
                at(&mut gathered, place(kind)).add_allocated(&history.allocated);
            }
            for kind in history.kinds {
                at(&mut gathered, place(kind.kind)).add(kind);
            }
        }
        let site = |(place, mut gathered): (Place, Gathered)| {
            gathered.changes.sort_by_key(|change| (change.born, change.at));
            let cells = cells(std::mem::take(&mut gathered.changes).into_iter());
            gathered.finish(place, cells)
        };
        let mut sites: Vec<SiteHistory> = places.places.into_iter().zip(gathered).map(site).collect();
        sites.sort_by_key(|site| site.place.id);
        History { instants: self.instants, frames: places.table, sites }
    }
}

impl StackHistory {
    fn kind(&mut self, kind: Kind) -> &mut KindHistory {
        let at = self.kinds.iter().position(|known| known.kind == kind).unwrap_or_else(|| {
            self.kinds.push(KindHistory { kind, missable_bytes: 0, lines: Vec::new(), changes: Vec::new() });
            self.kinds.len() - 1
        });
        &mut self.kinds[at]
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
    changes: Vec<Change>,
    allocated: Vec<Allocated>,
}

impl Gathered {
    fn add(&mut self, kind: KindHistory) {
        self.missable_bytes = self.missable_bytes.max(kind.missable_bytes);
        if self.changes.is_empty() {
            self.changes = kind.changes;
        } else {
            self.changes.extend(kind.changes);
        }
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

    fn finish(mut self, place: Place, cells: Vec<Cell>) -> SiteHistory {
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

/// The values that follow from changes in the order of births and then of snapshots.
fn cells(changes: impl Iterator<Item = Change>) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for change in changes {
        let born = change.born;
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
    cells.shrink_to_fit();
    cells
}
