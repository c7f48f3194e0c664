//! The live set by row: what a scan of the live table adds up to.

use crate::shared::SharedSession;
use leakscope_profile::{Kind, Row, StackId};
use leakscope_sampling::{Interval, Scaled};
use leakscope_session::header::INTERVALS;
use leakscope_session::live::Entry;
use std::collections::{HashMap, HashSet};

/// More rows than this are not kept apart by epoch: a bound for hostile sessions.
const MOST_ROWS: usize = 1 << 20;
/// Larger blocks do not exist: the address space has 47 bits.
const MOST_SIZE: u64 = 1 << 47;

/// A row's key: stack in the depot, epoch, sampling interval in bytes.
type Key = (u32, u32, u64);

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
                        rows.add(&entry, interval);
                    }
                }
                _ => rows.damaged = rows.damaged.saturating_add(1),
            }
        });
        rows
    }

    /// Stacks of which something is live.
    pub(crate) fn stacks(&self) -> HashSet<u32> {
        self.rows.keys().map(|key| key.0).collect()
    }

    /// The rows, each with its stack of the depot; the id in the row itself is still to be set.
    pub(crate) fn into_rows(self) -> impl Iterator<Item = (u32, Row)> {
        self.rows.into_iter().map(|(key, row)| (key.0, row))
    }

    fn add(&mut self, entry: &Entry, interval: Interval) {
        let key = (entry.stack, entry.epoch, interval.bytes());
        if self.rows.len() >= MOST_ROWS && !self.rows.contains_key(&key) {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        // The sampler takes 0 bytes for 1.
        let size = entry.size.max(1);
        let scaled = Scaled::sample(size, interval);
        let one = Row {
            stack: StackId(0),
            kind: Kind::Malloc,
            epoch: entry.epoch,
            interval_bytes: interval.bytes(),
            samples: 1,
            bytes: scaled.bytes,
            bytes_variance: scaled.bytes_variance,
            bytes_observed: size,
            objects: scaled.objects,
            objects_variance: scaled.objects_variance,
            smallest_bytes: size,
            oldest_ms: entry.birth_ms,
        };
        let row = self.rows.entry(key).or_insert(Row { samples: 0, ..one });
        if row.samples == 0 {
            *row = one;
        } else if row.bytes_observed.checked_add(size).is_some() {
            absorb(row, &one);
        } else {
            self.damaged = self.damaged.saturating_add(1);
        }
    }
}

/// Adds the sums of `other` to `row`.
fn absorb(row: &mut Row, other: &Row) {
    row.samples = row.samples.saturating_add(other.samples);
    row.bytes += other.bytes;
    row.bytes_variance += other.bytes_variance;
    row.bytes_observed = row.bytes_observed.saturating_add(other.bytes_observed);
    row.objects += other.objects;
    row.objects_variance += other.objects_variance;
    row.smallest_bytes = row.smallest_bytes.min(other.smallest_bytes);
    row.oldest_ms = row.oldest_ms.min(other.oldest_ms);
}
