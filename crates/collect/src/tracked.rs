//! What is live according to the session, summed up by kind: the scan of a snapshot without its stacks and names.
//!
//! What the JVM has mapped for itself is left out, as in reports: it is told by the leaf of the stack, which is looked
//! up once for each stack. Mappings are taken as they were recorded, without a look at what is mapped: that would cost
//! more than all the rest, and snapshots do it.

use crate::modules::Modules;
use crate::rows::intervals;
use crate::shared::SharedSession;
use crate::threads::Threads;
use leakscope_profile::timeline::Tracked;
use leakscope_profile::{Kind, is_jvms_library};
use leakscope_sampling::{Interval, Scaled};
use leakscope_session::frame::Decoded;
use leakscope_session::regions::RegionKind;
use std::collections::{BTreeMap, HashMap};

/// Larger blocks do not exist: the address space has 47 bits.
const MOST_SIZE: u64 = 1 << 47;
/// Stacks remembered: more do not map memory, unless the session is hostile.
const MOST_STACKS: usize = 1 << 17;

/// Sums up one session, again and again.
#[derive(Default)]
pub(crate) struct TrackedSums {
    /// By stack: what its leaf is. A stack of the depot never changes.
    leaves: HashMap<u32, Leaf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaf {
    /// Code of the JVM, below Java frames or not.
    Jvms {
        has_java: bool,
    },
    Other,
}

impl TrackedSums {
    /// The sums now, by the word of the kind. A kind of which nothing is live is absent; malloc is always there.
    pub(crate) fn read(
        &mut self,
        shared: &SharedSession,
        threads: &Threads,
        modules: &Modules,
    ) -> BTreeMap<String, Tracked> {
        let mut sums: BTreeMap<Kind, Tracked> = [(Kind::Malloc, Tracked::default())].into();
        let exact = Interval::from_bytes(1);
        let mut add = |kind, bytes, interval| {
            if bytes <= MOST_SIZE {
                add(sums.entry(kind).or_default(), bytes, interval);
            }
        };
        let intervals = intervals(shared);
        shared.scan_live(|_, entry| {
            if let Some(interval) = intervals.get(usize::from(entry.interval)) {
                add(Kind::Malloc, entry.size, *interval);
            }
        });
        for region in crate::regions::scan(shared) {
            let kind = if region.kind == RegionKind::File { Kind::MmapFile } else { Kind::MmapAnon };
            if self.leaf(shared, modules, region.stack) == Leaf::Other {
                add(kind, region.bytes(), exact);
            }
        }
        threads.scan(shared, |thread| {
            // Threads of Java code are started by the VM as well.
            if self.leaf(shared, modules, thread.stack) != (Leaf::Jvms { has_java: false }) {
                add(Kind::Thread, thread.stack_bytes, exact);
            }
        });
        shared.release();
        // Fractions of a byte say nothing, and take a third of the line.
        let rounded =
            |sum: Tracked| Tracked { bytes: sum.bytes.round(), bytes_variance: sum.bytes_variance.round(), ..sum };
        sums.into_iter().map(|(kind, sum)| (kind.as_str().to_owned(), rounded(sum))).collect()
    }

    fn leaf(&mut self, shared: &SharedSession, modules: &Modules, stack: u32) -> Leaf {
        if let Some(leaf) = self.leaves.get(&stack) {
            return *leaf;
        }
        let depot = shared.session().depot;
        let first = depot.node_frame(depot.leaf(stack)).decode();
        let module = match first {
            Decoded::Native(address) => modules.find(address).and_then(|index| modules.known().get(index)),
            _ => None,
        };
        let leaf = match module {
            Some(known) if is_jvms_library(&known.module.path) => {
                let mut has_java = false;
                depot.frames(stack, |word| has_java |= word.is_java());
                Leaf::Jvms { has_java }
            }
            _ => Leaf::Other,
        };
        shared.ease();
        // A module that is not known yet may be by the next time.
        if self.leaves.len() < MOST_STACKS && (module.is_some() || !matches!(first, Decoded::Native(_))) {
            self.leaves.insert(stack, leaf);
        }
        leaf
    }
}

fn add(sum: &mut Tracked, bytes: u64, interval: Interval) {
    // The sampler takes 0 bytes for 1; so does a snapshot.
    let size = bytes.max(1);
    let scaled = Scaled::sample(size, interval);
    sum.samples = sum.samples.saturating_add(1);
    sum.bytes += scaled.bytes;
    sum.bytes_variance += scaled.bytes_variance;
    sum.bytes_observed = sum.bytes_observed.saturating_add(size);
    sum.interval_bytes = sum.interval_bytes.max(interval.bytes());
}
