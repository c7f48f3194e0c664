//! Which of many changes are real: Benjamini and Hochberg's procedure, so that of all sites called grown or shrunk
//! at most 5 % are not, however many sites there are.
//!
//! The textbook form sorts p-values. Ours would each need a search for the error rate at which an interval stops
//! excluding zero; instead the procedure's threshold k q/m is found as a fixed point, from above: count the changes
//! that are significant at q, then those still significant at (that count) q/m, until the count stays. The largest k
//! with k changes significant at k q/m is where both end, because the count never grows as the rate falls.

use crate::change::{Change, Direction};

/// For each change its direction, or `None` where it is not significant among all of them at `error_rate`.
///
/// Exact changes are facts: they are decided by the tolerance alone and are no part of the count. Nor are changes
/// with too few samples to be significant at any rate (Tarone 1990).
pub(crate) fn discoveries(changes: &[Change], error_rate: f64, tolerance_bytes: f64) -> Vec<Option<Direction>> {
    let mut found: Vec<Option<Direction>> = vec![None; changes.len()];
    let mut hypotheses = 0usize;
    let mut candidates = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        if change.is_exact() {
            found[at] = change.direction(error_rate, tolerance_bytes);
        } else if change.is_testable() {
            hypotheses += 1;
            candidates.push(at);
        }
    }
    let mut threshold = error_rate;
    loop {
        candidates.retain(|at| changes[*at].direction(threshold, tolerance_bytes).is_some());
        let next = error_rate * candidates.len() as f64 / hypotheses.max(1) as f64;
        if candidates.is_empty() || next >= threshold {
            break;
        }
        threshold = next;
    }
    for at in candidates {
        found[at] = changes[at].direction(threshold, tolerance_bytes);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::{Missable, Sums};
    use leakscope_sampling::Interval;

    fn grown_by(samples: usize) -> Change {
        let interval = Interval::DEFAULT;
        let empty = Sums { missable: Missable::unseen(interval.bytes()), ..Sums::default() };
        let mut new = empty;
        (0..samples).for_each(|_| new.add_sample(64, interval));
        Change { new, gone: empty }
    }

    /// The textbook form, with p-values by bisection.
    fn textbook(changes: &[Change], q: f64) -> Vec<bool> {
        let p_value = |change: &Change| {
            let (mut low, mut high) = (1e-12, 1.0);
            for _ in 0..60 {
                let middle = f64::sqrt(low * high);
                if change.direction(middle, 0.0).is_some() { high = middle } else { low = middle }
            }
            high
        };
        let p: Vec<f64> = changes.iter().map(p_value).collect();
        let mut sorted = p.clone();
        sorted.sort_by(f64::total_cmp);
        let m = p.len() as f64;
        let cut = sorted.iter().enumerate().rev().find(|(k, p)| **p <= q * (*k as f64 + 1.0) / m);
        p.iter().map(|p| cut.is_some_and(|(_, cut)| p <= cut)).collect()
    }

    #[test]
    fn agrees_with_the_textbook() {
        let mut rng = leakscope_sampling::Rng::seeded(4);
        for round in 0..30 {
            let changes: Vec<Change> = (0..40).map(|_| grown_by(5 + (rng.next_u64() % (3 + round)) as usize)).collect();
            let ours: Vec<bool> = discoveries(&changes, 0.05, 0.0).iter().map(Option::is_some).collect();
            assert_eq!(ours, textbook(&changes, 0.05), "round {round}");
        }
    }

    #[test]
    fn a_change_that_stands_alone_falls_in_a_crowd() {
        let lonely = grown_by(9);
        assert!(discoveries(&[lonely], 0.05, 0.0)[0].is_some());
        let mut crowd = vec![grown_by(5); 2000];
        crowd.push(lonely);
        assert!(discoveries(&crowd, 0.05, 0.0).iter().all(Option::is_none));
        crowd.push(grown_by(200));
        assert!(discoveries(&crowd, 0.05, 0.0)[2001].is_some());
    }

    #[test]
    fn nothing_to_test_is_nothing_found() {
        assert!(discoveries(&[], 0.05, 0.0).is_empty());
        assert_eq!(discoveries(&[grown_by(2)], 0.05, 0.0), vec![None]);
    }
}
