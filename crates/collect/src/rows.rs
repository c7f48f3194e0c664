//! The live set by row: what a scan of the live table adds up to.
//!
//! A row is one stack, kind, birth epoch and sampling interval. In exact mode every stack that leaks would have one more
//! with each snapshot, so there is a bound. Where it is reached, births are told apart more coarsely: two epochs become
//! one, then four. What has grown since an earlier snapshot comes out the same, since every block is still in one row; the
//! error of sampled growth is then stated larger than it is.

use crate::kept::Kept;
use crate::residence::Look;
use crate::shared::SharedSession;
use leakscope_profile::{Kind, Row, StackId};
use leakscope_sampling::{Interval, Scaled};
use leakscope_session::header::INTERVALS;
use leakscope_session::live::Entry;
use leakscope_session::regions::{Region, RegionKind};
use leakscope_session::threads::Thread;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;

/// Rows kept apart: three for each stack that is.
const MOST_ROWS: usize = 1 << 16;
/// Larger blocks do not exist: the address space has 47 bits.
const MOST_SIZE: u64 = 1 << 47;
/// The stack, in rows, of all stacks that are not kept apart.
pub(crate) const OTHERS: StackId = StackId(u32::MAX);

/// A row's key, as [`Row::key`].
type Key = (StackId, Kind, u32, u64);

/// Something that is live, as a table of the session holds it.
struct Live {
    kind: Kind,
    stack: u32,
    epoch: u32,
    bytes: u64,
    birth_ms: u64,
    resident: Option<u64>,
}

/// The rows of one scan, by stack of the depot.
pub(crate) struct Rows<'k> {
    kept: &'k Kept,
    /// The epoch that the snapshot closes.
    closed: u32,
    /// Epochs that share a row; a power of two.
    epochs_per_row: u32,
    index: HashMap<Key, u32>,
    found: Found,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The rows. Their stacks are still those of the depot, or [`OTHERS`].
    pub(crate) rows: Vec<Row>,
    /// Entries that cannot be true.
    pub(crate) damaged: u64,
    /// Entries that went to [`OTHERS`] because their row found no room.
    pub(crate) moved: u64,
}

/// The intervals of a session, by their codes.
pub(crate) fn intervals(shared: &SharedSession) -> [Interval; INTERVALS] {
    let header = shared.session().header;
    std::array::from_fn(|code| Interval::from_bytes(header.interval(code as u16)))
}

impl<'k> Rows<'k> {
    /// Scans the live table for what was born in epoch `closed` or before. Stack ids are those of the depot.
    pub(crate) fn scan(shared: &SharedSession, kept: &'k Kept, closed: u32) -> Self {
        let intervals = intervals(shared);
        // Room for all at once: only what is used becomes memory.
        let found = Found { rows: Vec::with_capacity(MOST_ROWS), ..Found::default() };
        let mut rows = Self { kept, closed, epochs_per_row: 1, index: HashMap::new(), found };
        shared.scan_live(|_, entry| {
            let interval = intervals.get(usize::from(entry.interval)).copied();
            match interval {
                Some(interval) if entry.size <= MOST_SIZE => {
                    if entry.epoch <= closed {
                        rows.add(&sampled(&entry), interval);
                    }
                }
                _ => rows.found.damaged = rows.found.damaged.saturating_add(1),
            }
        });
        rows
    }

    /// Adds the mappings that were made in the epoch that is closed or before: each is recorded, so none is scaled.
    pub(crate) fn add_regions(&mut self, regions: &[Region], look: &mut Look<'_>) {
        let closed = self.closed;
        for region in regions.iter().filter(|region| region.epoch <= closed) {
            let kind = match region.kind {
                RegionKind::File => Kind::MmapFile,
                RegionKind::Anonymous | RegionKind::Segment => Kind::MmapAnon,
            };
            let Region { stack, epoch, birth_ms, .. } = *region;
            let resident = look.range(region.start..region.end);
            self.add_exact(&Live { kind, stack, epoch, bytes: region.bytes(), birth_ms, resident });
        }
    }

    /// Adds a thread, if it was created in the epoch that is closed or before. One on a stack that the program provides
    /// counts for a byte: rows have no empty blocks.
    pub(crate) fn add_thread(&mut self, thread: &Thread, look: &mut Look<'_>) {
        let Thread { stack, epoch, stack_bytes, birth_ms, .. } = *thread;
        if epoch <= self.closed {
            let resident = look.stack(thread);
            self.add_exact(&Live { kind: Kind::Thread, stack, epoch, bytes: stack_bytes, birth_ms, resident });
        }
    }

    fn add_exact(&mut self, live: &Live) {
        if live.bytes <= MOST_SIZE {
            self.add(live, Interval::from_bytes(1));
        } else {
            self.found.damaged = self.found.damaged.saturating_add(1);
        }
    }

    /// What was found in all.
    pub(crate) fn finish(self) -> Found {
        self.found
    }

    fn add(&mut self, live: &Live, interval: Interval) {
        // The sampler takes 0 bytes for 1.
        let size = live.bytes.max(1);
        let scaled = Scaled::sample(size, interval);
        let stack = if self.kept.contains(live.stack) { StackId(live.stack) } else { OTHERS };
        let one = Row {
            stack,
            kind: live.kind,
            epoch: self.rounded(live.epoch),
            interval_bytes: interval.bytes(),
            samples: 1,
            bytes: scaled.bytes,
            bytes_variance: scaled.bytes_variance,
            bytes_observed: size,
            objects: scaled.objects,
            objects_variance: scaled.objects_variance,
            smallest_bytes: size,
            oldest_ms: live.birth_ms,
            resident_bytes: live.resident.map(|resident| resident.min(size)),
        };
        if !self.add_row(one) {
            self.found.damaged = self.found.damaged.saturating_add(1);
        }
    }

    /// `false` if the sum would be more than any memory has.
    fn add_row(&mut self, mut one: Row) -> bool {
        if self.found.rows.len() >= MOST_ROWS && !self.index.contains_key(&one.key()) {
            self.coarsen();
            one.epoch = self.rounded(one.epoch);
            if self.found.rows.len() >= MOST_ROWS && !self.index.contains_key(&one.key()) {
                self.found.moved = self.found.moved.saturating_add(1);
                one.stack = OTHERS;
            }
        }
        match self.index.entry(one.key()) {
            Place::Vacant(place) => {
                place.insert(self.found.rows.len() as u32);
                self.found.rows.push(one);
                true
            }
            Place::Occupied(place) => {
                let row = &mut self.found.rows[*place.get() as usize];
                let fits = row.bytes_observed.checked_add(one.bytes_observed).is_some();
                if fits {
                    row.add(&one);
                }
                fits
            }
        }
    }

    /// The epoch under which births in this one are counted: the last of those that share a row.
    fn rounded(&self, epoch: u32) -> u32 {
        (epoch | (self.epochs_per_row - 1)).min(self.closed)
    }

    /// Lets more epochs share a row, until there is room for as many rows again, or nothing is left to be gained.
    fn coarsen(&mut self) {
        while self.found.rows.len() > MOST_ROWS / 2 && self.epochs_per_row <= self.closed {
            self.epochs_per_row *= 2;
            self.index.clear();
            for mut row in std::mem::take(&mut self.found.rows) {
                row.epoch = self.rounded(row.epoch);
                if !self.add_row(row) {
                    self.found.damaged = self.found.damaged.saturating_add(row.samples);
                }
            }
        }
    }
}

impl Found {
    /// Whether something is live of each stack of the depot, by its id.
    pub(crate) fn live_stacks(&self) -> Vec<bool> {
        let ids = || self.rows.iter().map(|row| row.stack).filter(|stack| *stack != OTHERS);
        let mut live = vec![false; ids().max().map_or(0, |most| most.0 as usize + 1)];
        ids().for_each(|id| live[id.0 as usize] = true);
        live
    }
}

fn sampled(entry: &Entry) -> Live {
    let Entry { stack, epoch, size, birth_ms, .. } = *entry;
    Live { kind: Kind::Malloc, stack, epoch, bytes: size, birth_ms, resident: None }
}
