//! Losses that the answer of a gate depends on.

use std::collections::BTreeMap;

/// What lost data could have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Allocations are missing: a leak could have been hidden.
    Hides,
    /// Frees are missing: a growth could be none.
    Invents,
}

impl Harm {
    /// The losses that do it, by name.
    pub fn losses(self) -> &'static [&'static str] {
        match self {
            Harm::Hides => &HIDES,
            Harm::Invents => &INVENTS,
        }
    }
}

/// Losses by which live memory is understated. Not `guard_skipped`: that is what leakscope itself allocates on the
/// target's threads, for every class that they load.
const HIDES: [&str; 6] =
    ["table_full", "regions_full", "threads_full", "no_stack_room", "address_odd", "entries_damaged"];
/// Losses by which it is overstated.
const INVENTS: [&str; 2] = ["missed_frees", "missed_unmaps"];
/// Of all sampled blocks, so many may be lost without a doubt: each is a fact about one block, not about every iteration.
const TOLERATED: f64 = 0.001;

/// What these losses could have done, beside so many blocks that were sampled.
pub(super) fn harm(losses: &BTreeMap<String, u64>, sampled: u64) -> Vec<Harm> {
    let lost = |harm: &Harm| {
        let counts = harm.losses().iter().filter_map(|name| losses.get(*name));
        counts.fold(0_u64, |a, b| a.saturating_add(*b))
    };
    let most = TOLERATED * sampled as f64;
    [Harm::Hides, Harm::Invents].into_iter().filter(|harm| lost(harm) as f64 > most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_among_many_do_no_harm() {
        let lost = |name: &str, n| BTreeMap::from([(name.to_owned(), n)]);
        assert_eq!(harm(&lost("table_full", 10), 10_000), []);
        assert_eq!(harm(&lost("table_full", 11), 10_000), [Harm::Hides]);
        assert_eq!(harm(&lost("missed_frees", 1), 0), [Harm::Invents]);
        assert_eq!(harm(&lost("guard_skipped", 1_000_000), 0), [], "it is our own");
        assert_eq!(harm(&lost("ring_full", 1_000_000), 0), [], "the tables are the truth");
    }
}
