//! Which snapshots are kept when there are more than fit.
//!
//! The rule: the first and the last stay, and so do those that were taken near the memory limit. Of the others, the
//! one goes whose removal leaves the smallest gap between its neighbours; of equals the oldest. In a recording of a
//! day the result is about one snapshot each six minutes.

/// Most snapshots kept of one process.
pub const MOST_KEPT: usize = 240;

/// What the rule needs to know of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Milliseconds since recording started; the list is in this order.
    pub uptime_ms: u64,
    /// Whether it was taken near the memory limit.
    pub is_marked: bool,
}

/// Index of the snapshot that goes; `None` while at most `most` are there.
pub fn surplus(snapshots: &[Candidate], most: usize) -> Option<usize> {
    if snapshots.len() <= most.max(2) {
        return None;
    }
    let gap = |i: usize| match (snapshots.get(i.wrapping_sub(1)), snapshots.get(i + 1)) {
        (Some(before), Some(after)) => after.uptime_ms.saturating_sub(before.uptime_ms),
        _ => u64::MAX,
    };
    let inner = 1..snapshots.len() - 1;
    let unmarked = inner.clone().filter(|i| !snapshots[*i].is_marked);
    // Where every one is marked, marked ones have to go as well.
    unmarked.min_by_key(|i| gap(*i)).or_else(|| inner.min_by_key(|i| gap(*i)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thin(count: u64, most: usize, marked: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut kept: Vec<Candidate> = Vec::new();
        for i in 0..count {
            kept.push(Candidate { uptime_ms: i * 60_000, is_marked: marked(i) });
            while let Some(index) = surplus(&kept, most) {
                kept.remove(index);
            }
        }
        kept.iter().map(|c| c.uptime_ms / 60_000).collect()
    }

    #[test]
    fn few_are_all_kept() {
        assert_eq!(thin(10, 10, |_| false), (0..10).collect::<Vec<_>>());
        assert_eq!(surplus(&[], 240), None);
    }

    #[test]
    fn first_and_last_stay_and_the_rest_is_spread_evenly() {
        let kept = thin(1440, 240, |_| false);
        assert_eq!((kept.len(), kept.first(), kept.last()), (240, Some(&0), Some(&1439)));
        let gaps: Vec<u64> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| *gap <= 12), "{gaps:?}");
    }

    #[test]
    fn those_near_the_limit_stay() {
        let kept = thin(500, 20, |i| i % 100 == 50);
        for i in [50, 150, 250, 350, 450] {
            assert!(kept.contains(&i), "{kept:?}");
        }
        assert_eq!(thin(50, 10, |_| true).len(), 10, "when all are marked, some go");
    }
}
