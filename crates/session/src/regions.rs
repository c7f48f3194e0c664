//! The region table: every mapping that is live, each recorded exactly, with its stack.
//!
//! A slot holds one stretch of address space. System calls cut it: an unmap in its middle leaves two, one at its edge
//! shrinks it, a mapping over it takes its place. A look-up reads all slots in use, two words each: next to the
//! system call that it stands beside that is cheap (5,000 regions: a few microseconds), and needs no order, no tree
//! and no lock.
//!
//! ```text
//!   span (2 words):  start | end                                                   both 0 = no region here
//!   info (3 words):  generation (62) state (2) | stack (32) epoch (32) | birth_ms (48) flags (8) kind (8)
//!   state:           EMPTY > RESERVED (being written) > LIVE <> BUSY (being cut) > EMPTY
//! ```
//! Rules that keep it true:
//! - whoever cuts a slot holds it BUSY for the few instructions that takes, never across a system call. Who meets a
//!   busy slot looks again a bounded number of times, then gives up and says so ([`Cut::contended`]): the collector
//!   compares with /proc/PID/maps anyway.
//! - of a region that is cut in its middle the upper part is entered first, then the lower part shrinks: a reader may
//!   see the upper part twice, never not at all. Readers clip what overlaps.
//! - a busy slot is live to readers: each change of a span alters one of its words, so either value is true.
//! - a region leaves *before* the real unmap: afterwards the kernel may hand the range to another thread.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// Words of a span.
pub const SPAN_WORDS: usize = 2;
/// Words of what is known about a region.
pub const INFO_WORDS: usize = 3;

const STATE: u64 = 3;
const EMPTY: u64 = 0;
const RESERVED: u64 = 1;
const LIVE: u64 = 2;
const BUSY: u64 = 3;
/// What is added to a state word when a slot gets new content.
const GENERATION: u64 = 4;

/// Looks at a busy slot before it is given up. Who holds one needs some ten instructions.
const MOST_LOOKS: usize = if cfg!(leakscope_loom) { 2 } else { 1000 };

/// What is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum RegionKind {
    /// Anonymous memory.
    #[default]
    Anonymous = 0,
    /// A file.
    File = 1,
    /// A System V shared memory segment.
    Segment = 2,
}

impl RegionKind {
    /// The kind that a byte of the session stands for.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::File,
            2 => Self::Segment,
            _ => Self::Anonymous,
        }
    }
}

/// [`Region::flags`]: mapped without any access, which is how address space is reserved.
pub const NO_ACCESS: u8 = 1;
/// [`Region::flags`]: mapped over something on purpose (MAP_FIXED).
pub const FIXED: u8 = 2;

/// A stretch of mapped memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// Id of its stack in the depot.
    pub stack: u32,
    /// Epoch of its birth.
    pub epoch: u32,
    /// Birth, milliseconds since recording started.
    pub birth_ms: u64,
    /// What is mapped.
    pub kind: RegionKind,
    /// [`NO_ACCESS`], [`FIXED`].
    pub flags: u8,
}

impl Region {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    fn pack(&self) -> [u64; 2] {
        [
            u64::from(self.stack) << 32 | u64::from(self.epoch),
            self.birth_ms << 16 | u64::from(self.flags) << 8 | self.kind as u64,
        ]
    }

    fn unpack(span: [u64; 2], info: [u64; 2]) -> Self {
        Self {
            start: span[0],
            end: span[1],
            stack: (info[0] >> 32) as u32,
            epoch: info[0] as u32,
            birth_ms: info[1] >> 16,
            kind: RegionKind::from_byte(info[1] as u8),
            flags: (info[1] >> 8) as u8,
        }
    }
}

/// What a cut could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// Regions left as they were because another thread was at them.
    pub contended: u64,
    /// Bytes that found no slot, of regions cut in the middle.
    pub lost_bytes: u64,
}

/// A view of the table.
#[derive(Clone, Copy)]
pub struct RegionTable<'a> {
    /// [`SPAN_WORDS`] for each slot.
    pub spans: &'a [AtomicU64],
    /// [`INFO_WORDS`] for each slot.
    pub infos: &'a [AtomicU64],
    /// High-water mark: slots ever used.
    pub used: &'a AtomicU32,
    /// Below this slot none is empty, as far as is known: where to look for an empty one.
    pub hint: &'a AtomicU32,
}

impl<'a> RegionTable<'a> {
    /// Slots of the table.
    pub fn capacity(&self) -> usize {
        (self.spans.len() / SPAN_WORDS).min(self.infos.len() / INFO_WORDS)
    }

    /// Slots ever used; for readers, not beyond the table.
    pub fn used(&self) -> usize {
        (self.used.load(Ordering::Acquire) as usize).min(self.capacity())
    }

    /// Enters a region; false if there is no room. Does not look for what it overlaps: see [`RegionTable::cut`].
    ///
    /// # Hot path
    /// No allocation, lock, system call or panic; safe in signal handlers. Reads slots until one is empty.
    pub fn insert(&self, region: &Region) -> bool {
        let hint = self.hint.load(Ordering::Relaxed);
        let capacity = self.capacity();
        let from = (hint as usize).min(capacity);
        let Some(slot) = self.claim_empty(from..capacity).or_else(|| self.claim_empty(0..from)) else {
            return false;
        };
        // Only a hint: whoever emptied a lower slot meanwhile has set it lower, and is not overruled.
        let _ = self.hint.compare_exchange(hint, slot as u32 + 1, Ordering::Relaxed, Ordering::Relaxed);
        // AcqRel: a reader that sees the mark sees the slots below it.
        self.used.fetch_max(slot as u32 + 1, Ordering::AcqRel);
        self.fill(slot, region);
        true
    }

    /// Takes `start..end` out of every region, and calls `removed` with each part that was taken out.
    ///
    /// # Hot path
    /// No allocation, lock, system call or panic; safe in signal handlers. Reads every slot in use.
    pub fn cut(&self, start: u64, end: u64, mut removed: impl FnMut(Region)) -> Cut {
        let mut cut = Cut::default();
        for (slot, [first, last]) in self.used_spans() {
            if is_over(first, last, start, end) {
                self.cut_slot(slot, start, end, &mut removed, &mut cut);
            }
        }
        cut
    }

    /// The live region that `address` lies in.
    pub fn find(&self, address: u64) -> Option<Region> {
        let end = address.saturating_add(1);
        let mut holding = self.used_spans().filter(|(_, [first, last])| is_over(first, last, address, end));
        holding.find_map(|(slot, _)| self.read_stable(slot))
    }

    /// Calls `visit` for each live region, while the target goes on. For readers, which believe nothing: what changes
    /// under the read is tried again, then left out. Parts of a region that is being cut may be seen twice.
    pub fn scan(&self, mut visit: impl FnMut(Region)) {
        for slot in 0..self.used() {
            if let Some(region) = self.read_stable(slot) {
                visit(region);
            }
        }
    }

    fn span(&self, slot: usize) -> Option<&'a [AtomicU64; SPAN_WORDS]> {
        self.spans.get(slot * SPAN_WORDS..)?.first_chunk()
    }

    fn info(&self, slot: usize) -> Option<&'a [AtomicU64; INFO_WORDS]> {
        self.infos.get(slot * INFO_WORDS..)?.first_chunk()
    }

    /// The spans in use, each with its slot; without a check of bounds for each.
    #[inline]
    fn used_spans(&self) -> impl Iterator<Item = (usize, &'a [AtomicU64; SPAN_WORDS])> {
        self.spans.as_chunks::<SPAN_WORDS>().0.iter().take(self.used()).enumerate()
    }

    fn claim_empty(&self, slots: core::ops::Range<usize>) -> Option<usize> {
        slots.into_iter().find(|&slot| {
            let Some(([_, end], [state, ..])) = self.span(slot).zip(self.info(slot)) else { return false };
            if end.load(Ordering::Relaxed) != 0 {
                return false;
            }
            let word = state.load(Ordering::Relaxed);
            word & STATE == EMPTY
                // Acquire: pairs with the Release that emptied the slot.
                && state
                    .compare_exchange(word, word & !STATE | RESERVED, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
        })
    }

    /// Writes a slot that we hold RESERVED, and publishes it.
    fn fill(&self, slot: usize, region: &Region) {
        let Some((span, [state, info @ ..])) = self.span(slot).zip(self.info(slot)) else { return };
        // Release fence: who sees any of the new words also sees the RESERVED state; pairs with `read_stable`.
        fence(Ordering::Release);
        for (word, value) in info.iter().zip(region.pack()) {
            word.store(value, Ordering::Relaxed);
        }
        span[0].store(region.start, Ordering::Relaxed);
        span[1].store(region.end, Ordering::Relaxed);
        let generation = state.load(Ordering::Relaxed) & !STATE;
        // Release: pairs with the Acquire in `hold` and `read_stable`.
        state.store(generation.wrapping_add(GENERATION) | LIVE, Ordering::Release);
    }

    /// Makes a live slot ours that holds something of `start..end`; its state word before. `None`: it holds nothing of
    /// it, or no longer. `Some(Err(()))`: it stays busy.
    fn hold(&self, slot: usize, start: u64, end: u64) -> Option<Result<u64, ()>> {
        let ([first, last], [state, ..]) = self.span(slot).zip(self.info(slot))?;
        for _ in 0..MOST_LOOKS {
            let word = state.load(Ordering::Relaxed);
            match word & STATE {
                // Acquire: pairs with the Release in `fill` and `cut_slot`.
                LIVE if state.compare_exchange(word, word | BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok() => {
                    return Some(Ok(word));
                }
                // Whoever holds it may have been stopped there, with a region that is none of the caller's.
                LIVE | BUSY if is_over(first, last, start, end) => spin(),
                _ => return None,
            }
        }
        Some(Err(()))
    }

    fn cut_slot(&self, slot: usize, start: u64, end: u64, removed: &mut impl FnMut(Region), cut: &mut Cut) {
        let word = match self.hold(slot, start, end) {
            Some(Ok(word)) => word,
            Some(Err(())) => return cut.contended += 1,
            None => return,
        };
        let Some((span, [state, info @ ..])) = self.span(slot).zip(self.info(slot)) else { return };
        let whole = Region::unpack(load(span), load(info));
        let (from, to) = (start.max(whole.start), end.min(whole.end));
        let mut next = word; // LIVE, the same generation: as it was
        if from < to {
            // Release fence: as in `fill`.
            fence(Ordering::Release);
            next = word.wrapping_add(GENERATION);
            if from > whole.start {
                if to < whole.end && !self.insert(&Region { start: to, ..whole }) {
                    cut.lost_bytes += whole.end - to;
                }
                span[1].store(from, Ordering::Relaxed);
            } else if to < whole.end {
                span[0].store(to, Ordering::Relaxed);
            } else {
                // In this order, so that in between it is over nothing; Release: pairs with the Acquire in `is_over`.
                span[1].store(0, Ordering::Relaxed);
                span[0].store(0, Ordering::Release);
                next = next & !STATE | EMPTY;
            }
        }
        // Release: pairs with the Acquire in `hold`, `claim_empty` and `read_stable`.
        state.store(next, Ordering::Release);
        if next & STATE == EMPTY {
            self.hint.fetch_min(slot as u32, Ordering::Relaxed);
        }
        if from < to {
            removed(Region { start: from, end: to, ..whole });
        }
    }

    fn read_stable(&self, slot: usize) -> Option<Region> {
        let (span, [state, info @ ..]) = self.span(slot).zip(self.info(slot))?;
        for _ in 0..4 {
            let before = state.load(Ordering::Acquire);
            if !matches!(before & STATE, LIVE | BUSY) {
                return None;
            }
            let region = Region::unpack(load(span), load(info));
            // Acquire fence: pairs with the Release fences in `fill` and `cut_slot`.
            fence(Ordering::Acquire);
            let after = state.load(Ordering::Relaxed);
            // A slot that is being emptied may show one of its words as 0: then it is no span.
            if before | STATE == after | STATE && 0 < region.start && region.start < region.end {
                return Some(region);
            }
        }
        None
    }
}

#[inline(always)]
fn is_over(first: &AtomicU64, last: &AtomicU64, start: u64, end: u64) -> bool {
    // A region that the caller has a right to cut was entered before it learnt the address. Acquire: pairs with the
    // Release of a slot that is being emptied.
    first.load(Ordering::Acquire) < end && last.load(Ordering::Relaxed) > start
}

fn load(words: &[AtomicU64; 2]) -> [u64; 2] {
    [words[0].load(Ordering::Relaxed), words[1].load(Ordering::Relaxed)]
}

fn spin() {
    #[cfg(leakscope_loom)]
    loom::thread::yield_now();
    #[cfg(not(leakscope_loom))]
    core::hint::spin_loop();
}

#[cfg(all(test, not(leakscope_loom)))]
#[path = "regions/tests.rs"]
mod tests;
