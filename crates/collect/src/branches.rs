//! The part of the depot's prefix tree that some stacks need, read in one sweep.
//!
//! Walking each stack from leaf to root jumps through the whole table, and the kernel maps sixteen pages around each node
//! that is read: a few stacks bring in tens of MiB. A node's parent is always older, so a sweep from the youngest node to
//! the oldest meets every node after all its children: it reads the table once, page by page, and each node once however
//! many stacks share it.

use crate::shared::SharedSession;
use leakscope_session::frame::FrameWord;

/// Nodes kept: a bound for hostile sessions, in which depths are not what they are said to be.
const MOST_NODES: usize = 2 << 20;
/// Nodes looked at before it is seen whether pages are to be given back.
const CHUNK: usize = 1 << 9;

/// A set of nodes by id, with the number of members below each.
struct Marks {
    words: Vec<u64>,
    ranks: Vec<u32>,
}

/// A node that was read.
#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    /// The number of its frame.
    frame: u32,
}

/// Nodes of the tree, each with its parent.
pub(crate) struct Branches {
    marks: Marks,
    /// Youngest first.
    nodes: Vec<Node>,
}

impl Branches {
    /// Reads what leads from these leaves to the root; `number` numbers frames.
    pub(crate) fn read(shared: &SharedSession, leaves: &[u32], mut number: impl FnMut(FrameWord) -> u32) -> Self {
        let depot = shared.session().depot;
        let mut marks = Marks::new(depot.node_ids());
        leaves.iter().for_each(|leaf| marks.set(*leaf));
        // All at once: only what is used becomes memory.
        let mut nodes = Vec::with_capacity(MOST_NODES.min(depot.node_ids() as usize));
        for at in (0..marks.words.len()).rev() {
            // Parents in the same word come later: they are smaller.
            let mut seen = u64::MAX;
            while let Some(bit) = marks.highest(at, seen) {
                seen = (1 << bit) - 1;
                let id = (at * 64 + bit) as u32;
                let parent = if nodes.len() < MOST_NODES { depot.parent(id) } else { 0 };
                marks.set(parent);
                nodes.push(Node { parent, frame: number(depot.node_frame(id)) });
                if nodes.len().is_multiple_of(CHUNK) {
                    shared.ease();
                }
            }
        }
        shared.release();
        marks.rank();
        Self { marks, nodes }
    }

    /// Calls `visit` with the number of each frame from a leaf to the root, at most `most`.
    pub(crate) fn walk(&self, leaf: u32, most: usize, mut visit: impl FnMut(u32)) {
        let mut id = leaf;
        for _ in 0..most {
            let Some(node) = self.find(id) else { return };
            visit(node.frame);
            id = node.parent;
        }
    }

    fn find(&self, id: u32) -> Option<Node> {
        let older = self.marks.rank_of(id)?;
        self.nodes.get(self.nodes.len().checked_sub(older + 1)?).copied()
    }
}

impl Marks {
    /// For ids up to `most`.
    fn new(most: u32) -> Self {
        Self { words: vec![0; most as usize / 64 + 1], ranks: Vec::new() }
    }

    /// Adds an id. 0 is no node, and larger ones than there are do not exist.
    fn set(&mut self, id: u32) {
        if id != 0
            && let Some(word) = self.words.get_mut(id as usize / 64)
        {
            *word |= 1 << (id % 64);
        }
    }

    /// The largest member of a word among those in `mask`.
    fn highest(&self, at: usize, mask: u64) -> Option<usize> {
        let word = self.words[at] & mask;
        (word != 0).then(|| 63 - word.leading_zeros() as usize)
    }

    fn rank(&mut self) {
        let mut below = 0;
        let rank = |word: &u64| {
            let rank = below;
            below += word.count_ones();
            rank
        };
        self.ranks = self.words.iter().map(rank).collect();
    }

    /// How many members are smaller; `None` if the id is none.
    fn rank_of(&self, id: u32) -> Option<usize> {
        let (at, bit) = (id as usize / 64, id % 64);
        let word = self.words.get(at)?;
        let below = *self.ranks.get(at)? + (word & ((1 << bit) - 1)).count_ones();
        (word >> bit & 1 == 1).then_some(below as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_counted() {
        let mut marks = Marks::new(200);
        for id in [0, 1, 63, 64, 130, 200, 300] {
            marks.set(id);
        }
        marks.rank();
        let ranks = [0, 1, 2, 63, 64, 65, 130, 200, 300].map(|id| marks.rank_of(id));
        assert_eq!(ranks, [None, Some(0), None, Some(1), Some(2), None, Some(3), Some(4), None]);
        assert_eq!(marks.highest(0, u64::MAX), Some(63));
        assert_eq!(marks.highest(0, (1 << 63) - 1), Some(1));
        assert_eq!(marks.highest(0, 1), None);
    }
}
