//! The live set by row: what a scan of the live table adds up to.

use crate::residence::Look;
use crate::shared::SharedSession;
use leakscope_profile::{Kind, Row, StackId};
use leakscope_sampling::{Interval, Scaled};
use leakscope_session::header::INTERVALS;
use leakscope_session::live::Entry;
use leakscope_session::regions::{Region, RegionKind};
use leakscope_session::threads::Thread;
use std::collections::{HashMap, HashSet};

/// More rows than this are not kept apart by epoch: a bound for hostile sessions.
const MOST_ROWS: usize = 1 << 20;
/// Larger blocks do not exist: the address space has 47 bits.
const MOST_SIZE: u64 = 1 << 47;

/// A row's key: stack in the depot, kind, epoch, sampling interval in bytes.
type Key = (u32, Kind, u32, u64);

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
#[derive(Default)]
pub(crate) struct Rows {
    rows: HashMap<Key, Row>,
    /// Entries that cannot be true.
    pub(crate) damaged: u64,
    /// Entries whose row found no room.
    pub(crate) left_out: u64,
}

impl Rows {
    /// Scans the live table for what was born in epoch `closed` or before. Stack ids are those of the depot.
    pub(crate) fn scan(shared: &SharedSession, closed: u32) -> Self {
        let header = shared.session().header;
        let intervals: [Interval; INTERVALS] =
            std::array::from_fn(|code| Interval::from_bytes(header.interval(code as u16)));
        let mut rows = Self::default();
        shared.scan_live(|_, entry| {
            let interval = intervals.get(usize::from(entry.interval)).copied();
            match interval {
                Some(interval) if entry.size <= MOST_SIZE => {
                    if entry.epoch <= closed {
                        rows.add(&sampled(&entry), interval);
                    }
                }
                _ => rows.damaged = rows.damaged.saturating_add(1),
            }
        });
        rows
    }

    /// Adds the mappings that were made in epoch `closed` or before: each is recorded, so none is scaled.
    pub(crate) fn add_regions(&mut self, regions: &[Region], closed: u32, look: &mut Look<'_>) {
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

    /// Adds a thread, if it was created in epoch `closed` or before. One on a stack that the program provides counts
    /// for a byte: rows have no empty blocks.
    pub(crate) fn add_thread(&mut self, thread: &Thread, closed: u32, look: &mut Look<'_>) {
        let Thread { stack, epoch, stack_bytes, birth_ms, .. } = *thread;
        if epoch <= closed {
            let resident = look.stack(thread);
            self.add_exact(&Live { kind: Kind::Thread, stack, epoch, bytes: stack_bytes, birth_ms, resident });
        }
    }

    fn add_exact(&mut self, live: &Live) {
        if live.bytes <= MOST_SIZE {
            self.add(live, Interval::from_bytes(1));
        } else {
            self.damaged = self.damaged.saturating_add(1);
        }
    }

    /// Stacks of which something is live.
    pub(crate) fn stacks(&self) -> HashSet<u32> {
        self.rows.keys().map(|key| key.0).collect()
    }

    /// The rows, each with its stack of the depot; the id in the row itself is still to be set.
    pub(crate) fn into_rows(self) -> impl Iterator<Item = (u32, Row)> {
        self.rows.into_iter().map(|(key, row)| (key.0, row))
    }

    fn add(&mut self, live: &Live, interval: Interval) {
        let key = (live.stack, live.kind, live.epoch, interval.bytes());
        if self.rows.len() >= MOST_ROWS && !self.rows.contains_key(&key) {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        // The sampler takes 0 bytes for 1.
        let size = live.bytes.max(1);
        let scaled = Scaled::sample(size, interval);
        let one = Row {
            stack: StackId(0),
            kind: live.kind,
            epoch: live.epoch,
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
        let row = self.rows.entry(key).or_insert(Row { samples: 0, ..one });
        if row.samples == 0 {
            *row = one;
        } else if row.bytes_observed.checked_add(size).is_some() {
            row.add(&one);
        } else {
            self.damaged = self.damaged.saturating_add(1);
        }
    }
}

fn sampled(entry: &Entry) -> Live {
    let Entry { stack, epoch, size, birth_ms, .. } = *entry;
    Live { kind: Kind::Malloc, stack, epoch, bytes: size, birth_ms, resident: None }
}
