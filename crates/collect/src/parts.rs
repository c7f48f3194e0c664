//! Where the resident memory of a process is: every mapping of /proc/PID/smaps belongs to exactly one [`Class`].
//!
//! ```text
//!   smaps ── names (files, [heap], memfd) ──┐
//!   the JVM's heap range ───────────────────┼─> pieces by class ── rss, pss ──> Part for each class
//!   session: regions ── who mapped them ────┤
//!   layout: guards, headers, reservations ──┘
//! ```
//! With a session its region table says who mapped what, and what nobody mapped is the allocator's: its calls are not
//! recorded. Without one (`leakscope explain`) the layout has to tell, and what does not is [`Class::Unexplained`].
//!
//! The figures are the kernel's: proportional set sizes, so that memory that is mapped three times (ZGC's heap on
//! JDK 17) counts once. Where one mapping holds several classes its figures are divided by which of its pages are in
//! memory, as /proc/PID/pagemap tells, else by size.

mod mapping;
mod memory;
mod rules;

use crate::residence::Span;
use crate::shared::SharedSession;
use crate::vm_structs::JvmMemory;
use leakscope_profile::timeline::{Class, Part};
use leakscope_session::frame::Decoded;
use leakscope_session::header::Word;
use leakscope_session::regions::{Region, RegionKind};
use mapping::{Access, Mapping, Mappings, Named};
pub(crate) use memory::TargetMemory;
use rules::{Piece, Surroundings};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;

/// Looks for the range of a heap that failed: a JVM that has just been started has none yet.
const MOST_ATTEMPTS: u32 = 5;
/// Heaps with compressed references lie below this address, and little else does.
const LOW_END: u64 = 32 << 30;
/// A smaller reservation is no heap.
const LEAST_HEAP: u64 = 1 << 20;

/// Divides the resident memory of one process, as often as is asked.
#[derive(Debug)]
pub struct PartsReader {
    pid: u32,
    memory: TargetMemory,
    heap: Option<Range<u64>>,
    attempts: u32,
    /// What each mapping of the last reading had in memory.
    spans: Vec<Span>,
}

impl PartsReader {
    /// For the process with this number.
    pub fn of(pid: u32) -> Self {
        Self { pid, memory: TargetMemory::of(pid), heap: None, attempts: 0, spans: Vec::new() }
    }

    /// Reads /proc/PID/smaps and divides what is there; with the session of the process, if it is recorded.
    /// `heap_max_bytes` is the largest Java heap, where it is known (hsperfdata).
    ///
    /// One part for each class that has any memory, in the order of [`Class`]. Empty for a process that has ended.
    ///
    /// # Errors
    /// Those of reading `smaps`.
    pub fn read(&mut self, session: Option<&SharedSession>, heap_max_bytes: Option<u64>) -> io::Result<Vec<Part>> {
        let mappings = Mappings::read(self.pid)?;
        let span = |mapping: &Mapping| Span { range: mapping.range.clone(), rss: mapping.rss };
        self.spans = mappings.all.iter().map(span).collect();
        let heap = self.heap(&mappings, heap_max_bytes);
        let owners = session.map_or_else(Vec::new, |session| owners(session, &mappings));
        let surroundings = Surroundings {
            mappings: &mappings,
            memory: &self.memory,
            heap_bytes: heap.as_ref().map_or(heap_max_bytes.unwrap_or(0), |heap| heap.end - heap.start),
            is_recorded: session.is_some(),
        };
        let mut sums = BTreeMap::new();
        for (at, mapping) in mappings.all.iter().enumerate().filter(|(_, mapping)| mapping.rss > 0 || mapping.pss > 0) {
            let pieces = pieces(&surroundings, at, mapping, heap.as_ref(), &owners);
            share_out(&self.memory, mapping, &pieces, &mut sums);
        }
        let part = |(class, (pss_bytes, rss_bytes))| Part { class, pss_bytes, rss_bytes };
        Ok(sums.into_iter().map(part).collect())
    }

    /// What each mapping had in memory at the last reading, once: so that smaps need not be read for it again.
    pub(crate) fn take_spans(&mut self) -> Vec<Span> {
        std::mem::take(&mut self.spans)
    }

    /// The range of the Java heap, looked up once: it never moves.
    fn heap(&mut self, mappings: &Mappings, heap_max_bytes: Option<u64>) -> Option<Range<u64>> {
        let library = mappings.libjvm?;
        if self.heap.is_none() && self.attempts < MOST_ATTEMPTS {
            self.attempts += 1;
            self.heap = JvmMemory::read(&self.memory, library).and_then(|jvm| jvm.heap());
        }
        self.heap.clone().or_else(|| heap_by_layout(mappings, heap_max_bytes))
    }
}

/// The heap where the JVM's own word cannot be read: a row of mappings of just its size, else what lies low.
fn heap_by_layout(mappings: &Mappings, heap_max_bytes: Option<u64>) -> Option<Range<u64>> {
    if mappings.all.iter().any(|mapping| mapping.named == Named::Is(Class::JavaHeap)) {
        return None;
    }
    let is_row = |mapping: &Mapping| mapping.is_plain() && matches!(mapping.access, Access::Data | Access::None);
    let mut rows: Vec<Vec<u64>> = Vec::new();
    for (at, mapping) in mappings.all.iter().enumerate().filter(|(_, mapping)| is_row(mapping)) {
        match rows.last_mut() {
            Some(row) if mappings.before(at).is_some() && row.last() == Some(&mapping.range.start) => {
                row.push(mapping.range.end);
            }
            _ => rows.push(vec![mapping.range.start, mapping.range.end]),
        }
    }
    if let Some(bytes) = heap_max_bytes.filter(|bytes| *bytes >= LEAST_HEAP) {
        let fits = |row: &Vec<u64>, start: &u64| row.binary_search(&start.saturating_add(bytes)).is_ok();
        let exact = rows.iter().find_map(|row| row.iter().find(|start| fits(row, start)));
        return exact.map(|start| *start..start.saturating_add(bytes));
    }
    let low = rows.iter().filter_map(|row| Some(*row.first()?..*row.last()?)).filter(|row| row.end <= LOW_END);
    low.max_by_key(|row| row.end - row.start).filter(|row| row.end - row.start >= LEAST_HEAP)
}

/// A recorded mapping, and whose it is.
struct Owner {
    range: Range<u64>,
    kind: RegionKind,
    whose: Whose,
}

/// Who has mapped something.
#[derive(Clone, Copy)]
enum Whose {
    Program,
    Jvm,
    Leakscope,
}

/// The recorded mappings by address, without overlaps.
fn owners(session: &SharedSession, mappings: &Mappings) -> Vec<Owner> {
    let mut by_stack: HashMap<u32, bool> = HashMap::new();
    let depot = session.session().depot;
    let mut is_jvms = |region: &Region| {
        *by_stack.entry(region.stack).or_insert_with(|| {
            let leaf = depot.node_frame(depot.leaf(region.stack)).decode();
            session.ease();
            matches!(leaf, Decoded::Native(address) if mappings.is_jvms_code(address.saturating_sub(1)))
        })
    };
    let mut owner = |region: &Region| Owner {
        range: region.start..region.end,
        kind: region.kind,
        whose: if is_jvms(region) { Whose::Jvm } else { Whose::Program },
    };
    let mut owners: Vec<Owner> = crate::regions::scan(session).iter().map(&mut owner).collect();
    let word = |word| session.session().header.get(word);
    let start = word(Word::OwnStart);
    let own = start..start.saturating_add(word(Word::OwnBytes));
    if !own.is_empty() {
        owners.retain(|owner| overlap(&owner.range, &own).is_none());
        let at = owners.partition_point(|owner| owner.range.end <= own.start);
        owners.insert(at, Owner { range: own, kind: RegionKind::Anonymous, whose: Whose::Leakscope });
    }
    session.release();
    owners
}

/// The pieces of a mapping, by address, without gaps.
fn pieces(
    surroundings: &Surroundings<'_>,
    at: usize,
    mapping: &Mapping,
    heap: Option<&Range<u64>>,
    owners: &[Owner],
) -> Vec<Piece> {
    let whole = |class| vec![Piece { range: mapping.range.clone(), class }];
    if let Named::Is(class) = mapping.named {
        return whole(class);
    }
    let mut pieces = Vec::new();
    let mut from = mapping.range.start;
    let end = mapping.range.end;
    while from < end {
        let here = from..end;
        let (to, class) = match heap.and_then(|heap| overlap(&here, heap)) {
            Some(heap) if heap.start == from => (heap.end, Some(Class::JavaHeap)),
            heap => {
                let until = heap.map_or(end, |heap| heap.start);
                owned(mapping, from..until, owners)
            }
        };
        match (class, mapping.named) {
            (Some(class), _) | (None, Named::Likely(class)) => pieces.push(Piece { range: from..to, class }),
            (None, _) => pieces.extend(surroundings.divide(at, from..to)),
        }
        from = to;
    }
    pieces
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> Option<Range<u64>> {
    let both = a.start.max(b.start)..a.end.min(b.end);
    (both.start < both.end).then_some(both)
}

/// How far the beginning of a stretch belongs to one owner, or to none.
fn owned(mapping: &Mapping, here: Range<u64>, owners: &[Owner]) -> (u64, Option<Class>) {
    let first = owners.partition_point(|owner| owner.range.end <= here.start);
    match owners.get(first) {
        Some(owner) if owner.range.start <= here.start => {
            let is_file = mapping.backing != mapping::Backing::Anonymous;
            let class = match (owner.whose, is_file, owner.kind) {
                (Whose::Leakscope, ..) => Some(Class::Leakscope),
                (Whose::Jvm, false, _) => Some(Class::Jvm),
                // What it maps of its installation, or of a heap file, has its name.
                (Whose::Jvm, true, _) => None,
                (Whose::Program, true, RegionKind::Segment) => Some(Class::MappedAnon),
                (Whose::Program, true, _) => Some(Class::MappedFile),
                (Whose::Program, false, _) => Some(Class::MappedAnon),
            };
            (owner.range.end.min(here.end), class)
        }
        Some(owner) => (owner.range.start.min(here.end), None),
        None => (here.end, None),
    }
}

/// Adds the figures of a mapping to those of the classes of its pieces.
fn share_out(memory: &TargetMemory, mapping: &Mapping, pieces: &[Piece], sums: &mut BTreeMap<Class, (u64, u64)>) {
    let mut add = |class, pss: u64, rss: u64| {
        let sum = sums.entry(class).or_insert((0, 0));
        *sum = (sum.0.saturating_add(pss), sum.1.saturating_add(rss));
    };
    let Some((last, others)) = pieces.split_last() else {
        return add(Class::Unexplained, mapping.pss, mapping.rss);
    };
    if others.iter().all(|piece| piece.class == last.class) {
        return add(last.class, mapping.pss, mapping.rss);
    }
    let resident: Option<Vec<u64>> = pieces.iter().map(|piece| memory.resident_pages(&piece.range)).collect();
    let by_size = || pieces.iter().map(|piece| piece.range.end - piece.range.start).collect();
    let weights: Vec<u64> = resident.filter(|pages| pages.iter().any(|pages| *pages > 0)).unwrap_or_else(by_size);
    let total = weights.iter().sum::<u64>().max(1);
    let of = |figure: u64, weight: u64| (u128::from(figure) * u128::from(weight) / u128::from(total)) as u64;
    let (mut pss, mut rss) = (mapping.pss, mapping.rss);
    for (piece, weight) in others.iter().zip(&weights) {
        let (its_pss, its_rss) = (of(mapping.pss, *weight), of(mapping.rss, *weight));
        (pss, rss) = (pss.saturating_sub(its_pss), rss.saturating_sub(its_rss));
        add(piece.class, its_pss, its_rss);
    }
    // What rounding leaves is the last one's, so that nothing is lost.
    add(last.class, pss, rss);
}

#[cfg(test)]
#[path = "parts/tests.rs"]
mod tests;
