//! What of the recorded mappings and stacks is in memory.
//!
//! ```text
//!   smaps, read seldom ──> mappings ── wholly inside a range, or empty, or full ──> bytes
//!                             └─ the kernel has joined several of ours ── pagemap ──> bytes
//! ```
//! smaps is dear (see [`crate::smaps`]), so it is read at most every 400 times its own cost, with the timeline's table of
//! memory or for a snapshot, and kept in between, also after the end of the process. What is younger than the last reading is not known, rather than 0.

use crate::parts::TargetMemory;
use crate::smaps::read_smaps;
use crate::throttle::Throttle;
use leakscope_session::threads::Thread;
use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// smaps is read at most so often.
const BETWEEN_READINGS: Duration = Duration::from_secs(5);
/// Pages looked at one by one in a snapshot: of 4 GiB, 8 MiB of pagemap.
const MOST_PAGES: u64 = 1 << 20;
/// What a mapping of a stack may be larger than the stack: guards, and what the kernel has joined to it.
const STACK_SLACK: u64 = 64 << 10;
const PAGE: u64 = 4096;

/// One mapping of the last reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) range: Range<u64>,
    pub(crate) rss: u64,
}

/// What is in memory of a process, as it was at the last reading.
#[derive(Debug, Default)]
pub(crate) struct Residence {
    spans: Vec<Span>,
    throttle: Throttle,
    /// What pages were counted for the last snapshot.
    counted: Counted,
}

/// Bytes in memory of ranges, by start and end.
type Counted = HashMap<(u64, u64), u64>;

impl Residence {
    /// Reads anew, if that is due. The figures of a process that has ended, or may not be looked at, stay as they were.
    pub(crate) fn update(&mut self, pid: u32) {
        let spans = &mut self.spans;
        self.throttle.run(Instant::now(), BETWEEN_READINGS, || update(spans, pid));
    }

    /// Reads anew: somebody waits for a snapshot.
    pub(crate) fn update_now(&mut self, pid: u32) {
        let spans = &mut self.spans;
        self.throttle.run_now(Instant::now(), BETWEEN_READINGS, || update(spans, pid));
    }

    /// Takes over what somebody else has just read.
    pub(crate) fn note(&mut self, spans: Vec<Span>) {
        if !spans.is_empty() {
            self.throttle.run_now(Instant::now(), BETWEEN_READINGS, || self.spans = spans);
        }
    }

    /// For one snapshot of the process.
    pub(crate) fn look(&mut self, pid: u32) -> Look<'_> {
        let before = std::mem::take(&mut self.counted);
        let (spans, counted) = (&self.spans, &mut self.counted);
        Look { spans, memory: TargetMemory::of(pid), pages_left: MOST_PAGES, before, counted }
    }
}

fn update(spans: &mut Vec<Span>, pid: u32) {
    let mut read = Vec::new();
    let ended = read_smaps(pid, |entry| read.push(Span { range: entry.start..entry.end, rss: entry.figures.rss }));
    if ended.is_ok() && !read.is_empty() {
        *spans = read;
    }
}

/// Answers for one snapshot.
pub(crate) struct Look<'a> {
    spans: &'a [Span],
    memory: TargetMemory,
    pages_left: u64,
    /// Of the snapshot before: what stands when the process is gone.
    before: Counted,
    counted: &'a mut Counted,
}

impl Look<'_> {
    /// Bytes of a mapped range that are in memory; `None` where that is not known.
    pub(crate) fn range(&mut self, range: Range<u64>) -> Option<u64> {
        let first = self.spans.partition_point(|span| span.range.end <= range.start);
        let (mut at, mut bytes) = (range.start, 0u64);
        for span in self.spans.get(first..)?.iter().take_while(|span| span.range.start < range.end) {
            if span.range.start > at {
                return None; // mapped since
            }
            let part = at.max(span.range.start)..range.end.min(span.range.end);
            at = part.end;
            bytes = bytes.saturating_add(self.part(span, part)?);
        }
        (at >= range.end && range.start < range.end).then_some(bytes)
    }

    /// Bytes of a thread's own stack that are in memory. It lies around where the thread began; the program's thread-local
    /// storage lies above that, on the same stack.
    pub(crate) fn stack(&mut self, thread: &Thread) -> Option<u64> {
        let (sp, bytes) = (thread.first_sp, thread.stack_bytes);
        if sp == 0 || bytes == 0 {
            return None;
        }
        let at = self.spans.partition_point(|span| span.range.end <= sp);
        let span = self.spans.get(at).filter(|span| span.range.contains(&sp))?;
        if span.range.end - span.range.start <= bytes.saturating_add(STACK_SLACK) {
            return Some(span.rss.min(bytes));
        }
        let top = sp.checked_next_multiple_of(PAGE)?.min(span.range.end);
        let bottom = top.saturating_sub(bytes).max(span.range.start);
        self.part(&span.clone(), bottom..top)
    }

    /// Bytes of a part of one mapping.
    fn part(&mut self, span: &Span, part: Range<u64>) -> Option<u64> {
        let (whole, wanted) = (span.range.end - span.range.start, part.end.saturating_sub(part.start));
        if span.rss == 0 || wanted == whole || span.rss >= whole {
            return Some(span.rss.min(wanted));
        }
        self.pages_left = self.pages_left.checked_sub(wanted.div_ceil(PAGE))?;
        let key = (part.start, part.end);
        let pages = self.memory.resident_pages(&part).map(|pages| pages.saturating_mul(PAGE).min(wanted));
        let bytes = pages.or_else(|| self.before.get(&key).copied())?;
        self.counted.insert(key, bytes);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at these mappings of a process that is gone.
    fn gone(spans: &[Span]) -> Residence {
        Residence { spans: spans.to_vec(), ..Residence::default() }
    }

    fn span(start: u64, end: u64, rss: u64) -> Span {
        Span { range: start..end, rss }
    }

    #[test]
    fn what_one_mapping_says_needs_no_pages() {
        let spans = [span(0x1000, 0x5000, 0x2000), span(0x5000, 0x9000, 0), span(0x9000, 0xb000, 0x2000)];
        let mut residence = gone(&spans);
        let mut look = residence.look(u32::MAX);
        assert_eq!(look.range(0x1000..0x5000), Some(0x2000));
        assert_eq!(look.range(0x1000..0xb000), Some(0x4000), "several");
        assert_eq!(look.range(0x6000..0x7000), Some(0), "a part of an empty one");
        assert_eq!(look.range(0xa000..0xb000), Some(0x1000), "a part of a full one");
        assert_eq!(look.range(0x1000..0x2000), None, "a part, and the pages may not be read");
        assert_eq!(look.range(0x9000..0xc000), None, "mapped since");
        assert_eq!(look.range(0x100..0x2000), None);
        assert_eq!(look.range(0x2000..0x2000), None);
        assert_eq!(gone(&[]).look(u32::MAX).range(0x1000..0x2000), None, "never read");
    }

    #[test]
    fn a_stack_is_the_mapping_in_which_its_thread_began() {
        let thread = |first_sp, stack_bytes| Thread { first_sp, stack_bytes, ..Thread::default() };
        let spans = [span(0x10_0000, 0x18_0000, 0x3000), span(0x20_0000, 0x80_0000, 0x9000)];
        let mut residence = gone(&spans);
        let mut look = residence.look(u32::MAX);
        assert_eq!(look.stack(&thread(0x17_f000, 0x8_0000)), Some(0x3000));
        assert_eq!(look.stack(&thread(0x17_f000, 0x7_f000)), Some(0x3000), "and its guard");
        assert_eq!(look.stack(&thread(0x3f_f000, 0x10_0000)), None, "stacks that were joined, without pages");
        assert_eq!(look.stack(&thread(0x19_0000, 0x8_0000)), None, "not mapped then");
        assert_eq!(look.stack(&thread(0, 0x8_0000)), None, "has not run");
        assert_eq!(look.stack(&thread(0x17_f000, 0)), None, "on memory of the program's own");
    }

    #[test]
    fn pages_tell_where_mappings_were_joined() {
        // One mapping whose halves are two ranges: the first is touched, of the second a page.
        let half = 256 * PAGE;
        let block = memmap2::MmapMut::map_anon(2 * half as usize).unwrap();
        let start = block.as_ptr() as u64;
        let mut block = block;
        block[..half as usize].fill(1);
        block[half as usize + 5 * PAGE as usize] = 1;
        let mut residence = Residence::default();
        residence.update_now(std::process::id());
        let mut look = residence.look(std::process::id());
        assert_eq!(look.range(start..start + half), Some(half));
        assert_eq!(look.range(start + half..start + 2 * half), Some(PAGE));
        look.pages_left = 3;
        assert_eq!(look.range(start + half..start + 2 * half - PAGE), None, "so many are not looked at");
        // And when it is gone, what was counted last stands.
        for _ in 0..2 {
            let mut look = residence.look(u32::MAX);
            assert_eq!(look.range(start + half..start + 2 * half), Some(PAGE));
            assert_eq!(look.range(start..start + PAGE), None);
            assert_eq!(look.range(start..start + half), Some(half));
        }
    }

    #[test]
    fn what_was_read_outlives_the_process() {
        let mut residence = Residence::default();
        residence.update_now(std::process::id());
        let known = residence.spans.clone();
        assert!(!known.is_empty());
        residence.update_now(u32::MAX);
        assert_eq!(residence.spans, known);
        residence.update(std::process::id());
    }
}
