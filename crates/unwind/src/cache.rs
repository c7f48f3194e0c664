//! The rule cache: one word for each pc that was walked through before, shared by all threads without locks.
//!
//! A word is a packed rule and a tag, which together with the word's index stands for the pc:
//!
//! ```text
//! key = pc + identity of its module      index = key 15..0      tag = (key * odd constant) 63..35
//! ```
//!
//! The index is as simple as that because the walk waits for it: the next pc depends on the word found. The tag is
//! compared while the processor already runs ahead.
//!
//! A word is written and read whole, so a torn entry cannot exist and every ordering may be relaxed: a reader sees
//! either nothing, or another pc's word (the tag differs), or the rule. The identity makes entries of a closed library
//! worthless: another one at the same address has another identity, so its pcs have other indices and tags. Within a
//! module of up to 32 MiB no two pcs share index and tag (a test tries them); between modules the chance of a
//! false match is 2^-29 for each pair that shares an index.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::rule::{Rule, TAG_MASK};

/// Words in the cache.
const WORDS: usize = 1 << 16;
/// 2^64 / golden ratio, odd: spreads neighbouring pcs over the whole range (Knuth, multiplicative hashing).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// One packed unwind rule for each pc seen, 512 KiB. Zeroed it is empty, so a `static` costs nothing until used.
pub struct RuleCache {
    words: [AtomicU64; WORDS],
}

impl RuleCache {
    /// An empty cache.
    #[expect(clippy::new_without_default, reason = "512 KiB belong into a static, never onto a stack")]
    pub const fn new() -> RuleCache {
        RuleCache { words: [const { AtomicU64::new(0) }; WORDS] }
    }

    /// The word stored for `pc` in the module with this identity, 0 if there is none.
    ///
    /// # Hot path
    /// One load. No allocation, lock, system call or panic; signal-safe.
    #[inline(always)]
    pub(crate) fn get(&self, pc: usize, identity: u64) -> u64 {
        let (index, tag) = place(pc, identity);
        let word = self.words.get(index).map_or(0, |word| word.load(Relaxed));
        if word & TAG_MASK == tag { word } else { 0 }
    }

    /// Stores a rule over whatever was in its place; does nothing if it cannot be packed.
    pub(crate) fn put(&self, pc: usize, identity: u64, rule: Rule) {
        let (index, tag) = place(pc, identity);
        if let (Some(packed), Some(word)) = (rule.pack(), self.words.get(index)) {
            word.store(packed | tag, Relaxed);
        }
    }
}

/// Index, and the tag where it lies in a word.
#[inline(always)]
fn place(pc: usize, identity: u64) -> (usize, u64) {
    let key = (pc as u64).wrapping_add(identity);
    let tag = key.wrapping_mul(SPREAD).wrapping_shr(TAG_MASK.count_zeros() - TAG_MASK.trailing_zeros());
    (usize::from(key as u16), tag & TAG_MASK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Base, Bp};

    static CACHE: RuleCache = RuleCache::new();

    #[test]
    fn a_rule_is_found_again_and_only_under_its_own_identity() {
        let rule = |n: i32| Rule::Frame { base: Base::Sp, offset: n * 8, bp: Bp::Same };
        for n in 1..2000 {
            CACHE.put(0x40_0000 + n as usize, 7, rule(n));
            assert_eq!(Rule::unpack(CACHE.get(0x40_0000 + n as usize, 7)), Some(rule(n)));
            assert_eq!(CACHE.get(0x40_0000 + n as usize, 0xdead_beef_1234), 0);
        }
    }

    #[test]
    fn pcs_of_one_large_module_never_share_index_and_tag() {
        let mut seen = std::collections::HashSet::new();
        for pc in (0..32 << 20).step_by(37) {
            assert!(seen.insert(place(0x7f00_0000_0000 + pc, 0x1234_5678_9abc_def0)));
        }
    }
}
