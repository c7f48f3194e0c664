//! The depot: every distinct stack once, and per stack what was ever allocated from it.
//!
//! Two append-only tables, each with an index of ids (`index.rs`). *Nodes* form a prefix tree from the root of the
//! stacks to their leaves, so stacks share their beginnings. *Stacks* are found by a 64-bit hash of the whole stack,
//! so one that was seen before (nearly always) costs one look-up instead of one for each frame; two different stacks
//! with the same hash would be merged, which for 100,000 stacks has a probability of 5 in 10^10 (63 bits count).
//!
//! ```text
//!   node (2 words):    parent (32) depth (32) | frame
//!   stack (16 words):  hash | node | samples | observed | frees, freed | unseen bytes | variance || ...
//! ```
//! Publication: the words of a node or stack are written first, then its id is put into an index slot by CAS with
//! release. Whoever loses the race leaves its id unused (`node` 0 for a stack; an unreferenced node).
//! Stack 0 is [`FULL_STACK`]: samples whose stack found no room.

use crate::frame::FrameWord;
use crate::index::{Index, Place, Vacancy};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Words of a node.
pub const NODE_WORDS: usize = 2;
/// Words of a stack.
pub const STACK_WORDS: usize = 16;
/// The stack of samples whose own stack found no room.
pub const FULL_STACK: u32 = 0;
/// Most frames of a stack; a reader walks no further.
pub const MAX_DEPTH: usize = 1024;

/// Cumulative counters of a stack, by word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Sampled allocations.
    Samples = 2,
    /// Bytes of the sampled allocations themselves.
    Observed = 3,
    /// Sampled frees by application threads.
    FreesApp = 4,
    /// Estimated bytes freed by application threads.
    FreedApp = 5,
    /// Estimated bytes of the allocations that were not sampled.
    UnseenBytes = 6,
    /// Variance of `UnseenBytes`, in units of 2^20 bytes squared.
    Variance = 7,
    /// Estimated number of the allocations that were not sampled, in units of 2^-16.
    UnseenObjects = 8,
    /// Sampled frees by the JVM's reference-handling threads.
    FreesGc = 9,
    /// Estimated bytes freed by the JVM's reference-handling threads.
    FreedGc = 10,
    /// How many of `Samples` were mappings or threads, recorded exactly, and no blocks from malloc.
    Mapped = 11,
}

/// A view of the depot.
#[derive(Clone, Copy)]
pub struct Depot<'a> {
    /// Ids of nodes by hash of (parent, frame).
    pub node_index: &'a [AtomicU32],
    /// [`NODE_WORDS`] for each node; node 0 is the root of all stacks.
    pub nodes: &'a [AtomicU64],
    /// Nodes handed out, node 0 not counted.
    pub node_count: &'a AtomicU32,
    /// Ids of stacks by hash.
    pub stack_index: &'a [AtomicU32],
    /// [`STACK_WORDS`] for each stack.
    pub stacks: &'a [AtomicU64],
    /// Stacks handed out, stack 0 not counted.
    pub stack_count: &'a AtomicU32,
}

/// The outcome of [`Depot::intern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interned {
    /// Id of the stack, [`FULL_STACK`] where it found no room.
    pub stack: u32,
    /// Whether it is new: the caller then makes its modules known.
    pub is_new: bool,
}

const FULL: Interned = Interned { stack: FULL_STACK, is_new: false };

/// Hash of a whole stack, never 0: two frames for each multiplication, since each waits for the one before it (as wyhash
/// does it: the product's halves are folded). No frame equals `KEY`, which would wipe the other one out.
fn hash_of(frames: &[FrameWord]) -> u64 {
    const KEY: u64 = 0x51_7C_C1_B7_27_22_0A_95;
    let fold = |hash: u64, first: u64, second: u64| {
        let product = u128::from(first ^ KEY).wrapping_mul(u128::from(second ^ hash));
        product as u64 ^ (product >> 64) as u64
    };
    let (pairs, rest) = frames.as_chunks::<2>();
    let hash = pairs.iter().fold(0xE703_7ED1_A0B4_28DB, |hash, [first, second]| fold(hash, first.0, second.0));
    let hash = rest.iter().fold(hash, |hash, last| fold(hash, last.0, 0x8EBC_6AF0_9C88_C6E3));
    // The number of frames goes in, or a last one of 0x8EBC... would stand for none.
    mix(hash, frames.len() as u64) | 1
}

fn mix(a: u64, b: u64) -> u64 {
    let x = (a ^ b.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ (x >> 32)
}

impl<'a> Depot<'a> {
    /// The id of a stack, leaf first; enters it if it is new.
    ///
    /// # Hot path
    /// Sampled calls only. No allocation, lock, system call or panic; safe in signal handlers.
    pub fn intern(&self, frames: &[FrameWord]) -> Interned {
        let hash = hash_of(frames);
        let index = Index::new(self.stack_index, self.stacks.len() / STACK_WORDS);
        match index.find(hash, |id| self.has_hash(id, hash)) {
            Place::Found(stack) => Interned { stack, is_new: false },
            Place::Empty(vacancy) => self.enter(index, vacancy, hash, frames),
            Place::Full => FULL,
        }
    }

    /// Adds `n` to a counter of `stack`.
    ///
    /// # Hot path
    /// Sampled calls only. One atomic addition. No allocation, lock, system call or panic; signal-safe.
    #[inline]
    pub fn count(&self, stack: u32, counter: Counter, n: u64) {
        if let Some(word) = self.stack_word(stack, counter as usize) {
            word.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// A counter of `stack`.
    pub fn counter(&self, stack: u32, counter: Counter) -> u64 {
        self.stack_word(stack, counter as usize).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Estimated bytes allocated from `stack` ever, sampled or not.
    pub fn allocated(&self, stack: u32) -> u64 {
        self.counter(stack, Counter::Observed).wrapping_add(self.counter(stack, Counter::UnseenBytes))
    }

    /// Ids handed out for stacks (for readers): `1..=stack_ids()`, not beyond the table.
    pub fn stack_ids(&self) -> u32 {
        let most = (self.stacks.len() / STACK_WORDS).saturating_sub(1) as u32;
        self.stack_count.load(Ordering::Acquire).min(most)
    }

    /// Ids handed out for nodes: `1..=node_ids()`, not beyond the table.
    pub fn node_ids(&self) -> u32 {
        let most = (self.nodes.len() / NODE_WORDS).saturating_sub(1) as u32;
        self.node_count.load(Ordering::Acquire).min(most)
    }

    /// Frame of a node, 0 while it is being written.
    pub fn node_frame(&self, node: u32) -> FrameWord {
        FrameWord(self.node_word(node, 1).map_or(0, |word| word.load(Ordering::Acquire)))
    }

    /// Calls `visit` for each frame of `stack`, leaf first; at most [`MAX_DEPTH`], whatever the memory holds.
    /// `false` if the stack is not known (an id out of range, or one that lost a race).
    pub fn frames(&self, stack: u32, mut visit: impl FnMut(FrameWord)) -> bool {
        let Some(word) = self.stack_word(stack, 1) else {
            return false;
        };
        let mut node = word.load(Ordering::Acquire) as u32;
        if node == 0 {
            return false;
        }
        for _ in 0..MAX_DEPTH {
            let (Some(link), Some(frame)) = (self.node_word(node, 0), self.node_word(node, 1)) else {
                return true;
            };
            visit(FrameWord(frame.load(Ordering::Relaxed)));
            let parent = (link.load(Ordering::Relaxed) >> 32) as u32;
            // Parents are always older: a hostile cycle ends here.
            if parent == 0 || parent >= node {
                return true;
            }
            node = parent;
        }
        true
    }

    /// The node of the leaf of `stack`; 0 if the stack is not known.
    pub fn leaf(&self, stack: u32) -> u32 {
        self.stack_word(stack, 1).map_or(0, |word| word.load(Ordering::Acquire) as u32)
    }

    /// The parent of a node, which is always the older of the two; 0 at the root, and where that does not hold.
    pub fn parent(&self, node: u32) -> u32 {
        let parent = self.node_word(node, 0).map_or(0, |word| (word.load(Ordering::Relaxed) >> 32) as u32);
        if parent < node { parent } else { 0 }
    }

    /// How many frames `stack` has, as its writer has noted it (for readers: a claim, [`Depot::frames`] tells the truth).
    pub fn depth(&self, stack: u32) -> u32 {
        self.node_word(self.leaf(stack), 0).map_or(0, |word| word.load(Ordering::Relaxed) as u32)
    }

    fn has_hash(&self, stack: u32, hash: u64) -> bool {
        self.stack_word(stack, 0).is_some_and(|word| word.load(Ordering::Relaxed) == hash)
    }

    #[cold]
    fn enter(&self, index: Index<'a>, vacancy: Vacancy<'a>, hash: u64, frames: &[FrameWord]) -> Interned {
        if self.stack_ids() as usize + 1 >= self.stacks.len() / STACK_WORDS {
            return FULL; // before nodes are spent on it
        }
        let mut node = 0;
        for frame in frames.iter().rev() {
            match self.child(node, *frame) {
                Some(child) => node = child,
                None => return FULL,
            }
        }
        let Some(id) = self.next_id(self.stack_count, self.stacks.len() / STACK_WORDS) else {
            return FULL;
        };
        if let (Some(h), Some(n)) = (self.stack_word(id, 0), self.stack_word(id, 1)) {
            h.store(hash, Ordering::Relaxed);
            n.store(u64::from(node), Ordering::Release);
        }
        match index.enter(vacancy, id, |other| self.has_hash(other, hash)) {
            Some(found) if found == id => Interned { stack: id, is_new: true },
            found => {
                // Another thread entered it first, or the index is full: this id stays unused.
                if let Some(n) = self.stack_word(id, 1) {
                    n.store(0, Ordering::Release);
                }
                found.map_or(FULL, |stack| Interned { stack, is_new: false })
            }
        }
    }

    fn child(&self, parent: u32, frame: FrameWord) -> Option<u32> {
        let hash = mix(u64::from(parent), frame.0);
        let same = |id: u32| {
            let (Some(link), Some(word)) = (self.node_word(id, 0), self.node_word(id, 1)) else {
                return false;
            };
            word.load(Ordering::Relaxed) == frame.0 && (link.load(Ordering::Relaxed) >> 32) as u32 == parent
        };
        // An id is taken only where there is a place for it: it cannot be given back, and a stack that never finds
        // room comes again and again.
        let index = Index::new(self.node_index, self.nodes.len() / NODE_WORDS);
        let vacancy = match index.find(hash, same) {
            Place::Found(id) => return Some(id),
            Place::Empty(vacancy) => vacancy,
            Place::Full => return None,
        };
        let id = self.next_id(self.node_count, self.nodes.len() / NODE_WORDS)?;
        let depth = self.node_word(parent, 0).map_or(0, |w| w.load(Ordering::Relaxed) & 0xFFFF_FFFF);
        self.node_word(id, 0)?.store(u64::from(parent) << 32 | (depth + 1), Ordering::Relaxed);
        self.node_word(id, 1)?.store(frame.0, Ordering::Release);
        index.enter(vacancy, id, same)
    }

    /// Hands out the next id, or `None` when `capacity` is used up. The counter stops at the capacity.
    fn next_id(&self, count: &AtomicU32, capacity: usize) -> Option<u32> {
        let mut now = count.load(Ordering::Relaxed);
        loop {
            let id = now.checked_add(1)?;
            if id as usize >= capacity {
                return None;
            }
            match count.compare_exchange_weak(now, id, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(id),
                Err(other) => now = other,
            }
        }
    }

    fn node_word(&self, node: u32, word: usize) -> Option<&'a AtomicU64> {
        self.nodes.get((node as usize).checked_mul(NODE_WORDS)?.checked_add(word)?)
    }

    fn stack_word(&self, stack: u32, word: usize) -> Option<&'a AtomicU64> {
        self.stacks.get((stack as usize).checked_mul(STACK_WORDS)?.checked_add(word)?)
    }
}

#[cfg(all(test, not(leakscope_loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    struct Memory {
        node_index: Vec<AtomicU32>,
        nodes: Vec<AtomicU64>,
        node_count: AtomicU32,
        stack_index: Vec<AtomicU32>,
        stacks: Vec<AtomicU64>,
        stack_count: AtomicU32,
    }

    impl Memory {
        fn new(nodes: usize, stacks: usize) -> Self {
            let ids = |n: usize| (0..n.next_power_of_two() * 2).map(|_| AtomicU32::new(0)).collect();
            let words = |n: usize| (0..n).map(|_| AtomicU64::new(0)).collect();
            Self {
                node_index: ids(nodes),
                nodes: words(nodes * NODE_WORDS),
                node_count: AtomicU32::new(0),
                stack_index: ids(stacks),
                stacks: words(stacks * STACK_WORDS),
                stack_count: AtomicU32::new(0),
            }
        }
        fn depot(&self) -> Depot<'_> {
            Depot {
                node_index: &self.node_index,
                nodes: &self.nodes,
                node_count: &self.node_count,
                stack_index: &self.stack_index,
                stacks: &self.stacks,
                stack_count: &self.stack_count,
            }
        }
    }

    fn stack(words: &[u64]) -> Vec<FrameWord> {
        words.iter().map(|w| FrameWord(*w)).collect()
    }

    fn frames_of(depot: &Depot<'_>, id: u32) -> Vec<FrameWord> {
        let mut frames = Vec::new();
        assert!(depot.frames(id, |f| frames.push(f)));
        frames
    }

    #[test]
    fn gives_back_what_was_entered_and_shares_roots() {
        let memory = Memory::new(64, 16);
        let depot = memory.depot();
        let a = depot.intern(&stack(&[1, 2, 3, 9]));
        let b = depot.intern(&stack(&[7, 2, 3, 9]));
        assert!(a.is_new && b.is_new && a.stack != b.stack);
        assert_eq!(depot.intern(&stack(&[1, 2, 3, 9])), Interned { stack: a.stack, is_new: false });
        assert_eq!(frames_of(&depot, a.stack), stack(&[1, 2, 3, 9]));
        assert_eq!(frames_of(&depot, b.stack), stack(&[7, 2, 3, 9]));
        assert_eq!(depot.node_ids(), 5, "three frames are shared");
    }

    #[test]
    fn stacks_that_differ_anywhere_have_other_hashes() {
        let mut seen = std::collections::HashSet::new();
        for length in 0..64_u64 {
            let base: Vec<u64> = (0..length).map(|i| 0x5555_5540_0000 + i * 0x31).collect();
            assert!(seen.insert(hash_of(&stack(&base))));
            for at in 0..base.len() {
                for bit in 0..61 {
                    let mut other = base.clone();
                    other[at] ^= 1 << bit;
                    assert!(seen.insert(hash_of(&stack(&other))), "frame {at} of {length}, bit {bit}");
                }
                let mut swapped = base.clone();
                swapped.swap(at, 0);
                assert!(at == 0 || seen.insert(hash_of(&stack(&swapped))), "frame {at} of {length} and the first");
            }
        }
    }

    #[test]
    fn a_full_depot_says_so_and_keeps_what_it_has() {
        let memory = Memory::new(16, 8);
        let depot = memory.depot();
        let first = depot.intern(&stack(&[1, 2]));
        let mut full = 0;
        for i in 0..100 {
            if depot.intern(&stack(&[100 + i, 2])).stack == FULL_STACK {
                full += 1;
            }
        }
        assert!(full >= 90, "{full}");
        assert_eq!(frames_of(&depot, first.stack), stack(&[1, 2]));
        assert_eq!(depot.intern(&stack(&[1, 2])).stack, first.stack);
    }

    /// Ids cannot be given back, so a stack that finds no room, and comes again and again, must not use them up.
    #[test]
    fn a_stack_without_room_uses_up_no_ids() {
        let mut memory = Memory::new(4096, 1024);
        memory.node_index.truncate(4);
        let depot = memory.depot();
        assert_ne!(depot.intern(&stack(&[1, 2, 3, 4])).stack, FULL_STACK, "the index of nodes is now full");
        for _ in 0..100 {
            assert_eq!(depot.intern(&stack(&[9, 3, 4])).stack, FULL_STACK);
        }
        assert_eq!(depot.node_ids(), 4);

        let memory = Memory::new(4096, 2);
        let depot = memory.depot();
        assert_ne!(depot.intern(&stack(&[1, 2])).stack, FULL_STACK, "the only stack");
        for i in 0..100 {
            assert_eq!(depot.intern(&stack(&[10 + i, 2])).stack, FULL_STACK);
        }
        assert_eq!(depot.node_ids(), 2);
    }

    #[test]
    fn threads_that_enter_the_same_stacks_agree() {
        let memory = Memory::new(4096, 1024);
        let depot = memory.depot();
        let maps: Vec<HashMap<u64, u32>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        (0..500u64).map(|i| (i, depot.intern(&stack(&[i, i / 3, i / 9, 1])).stack)).collect()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        for map in &maps {
            assert_eq!(map, &maps[0]);
            for (i, id) in map {
                assert_eq!(frames_of(&depot, *id), stack(&[*i, i / 3, i / 9, 1]));
            }
        }
    }

    #[test]
    fn a_hostile_cycle_ends() {
        let memory = Memory::new(16, 8);
        let depot = memory.depot();
        let id = depot.intern(&stack(&[1, 2])).stack;
        // Node 1 is its own parent's child: 2 -> 1 -> 2 -> ...
        memory.nodes[NODE_WORDS].store(2 << 32, Ordering::Relaxed);
        let mut n = 0;
        depot.frames(id, |_| n += 1);
        assert!(n <= 2);
        assert!(!depot.frames(4_000_000, |_| ()));
    }
}
