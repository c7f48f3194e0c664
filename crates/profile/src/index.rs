//! Where a thing is in a list that holds each once: found by hash, without a copy of it as a key.
//!
//! A profile is made beside a target whose memory limit it shares. A map that owned its keys would hold every stack and
//! every name a second time; this one holds 8 bytes for each.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

/// Positions in a list, by the hash of what is there.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Keyed, so that nobody can make names that collide.
    hasher: RandomState,
    /// By half of the hash: the few that share it lie one after another.
    positions: HashMap<u32, u32, BuildHasherDefault<AlreadyHashed>>,
}

impl Index {
    /// The position of `thing`, where it is known: `is_at` compares it with what is at a position. Otherwise `None`, and
    /// from now on it is at `next`.
    pub(crate) fn find_or_insert<T: Hash + ?Sized>(
        &mut self,
        thing: &T,
        next: usize,
        is_at: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut hash = self.hasher.hash_one(thing) as u32;
        loop {
            match self.positions.entry(hash) {
                Entry::Occupied(position) if is_at(*position.get() as usize) => return Some(*position.get() as usize),
                // Another thing with this hash: the place after it.
                Entry::Occupied(_) => hash = hash.wrapping_add(1),
                Entry::Vacant(place) => {
                    place.insert(next as u32);
                    return None;
                }
            }
        }
    }
}

/// The hash of what is half of one.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u32(&mut self, half: u32) {
        // The table looks at both ends of it.
        self.0 = u64::from(half) << 32 | u64::from(half);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes like every other one.
    #[derive(PartialEq)]
    struct Colliding(u32);

    impl Hash for Colliding {
        fn hash<H: Hasher>(&self, _: &mut H) {}
    }

    #[test]
    fn things_that_share_a_hash_are_told_apart() {
        let mut index = Index::default();
        let mut list: Vec<Colliding> = Vec::new();
        let found: Vec<Option<usize>> = [7, 8, 7, 9, 8, 9]
            .map(|n| {
                let found = index.find_or_insert(&Colliding(n), list.len(), |at| list[at] == Colliding(n));
                if found.is_none() {
                    list.push(Colliding(n));
                }
                found
            })
            .to_vec();
        assert_eq!(found, [None, None, Some(0), None, Some(1), Some(2)]);
    }
}
