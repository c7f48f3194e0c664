//! What sampling alone keeps a gate from seeing.
//!
//! Growth of T bytes that is sampled every R bytes is known to sqrt(T R). It is told from none with probability 90 % from
//! T = (t1 + t2)^2 R on, t1 and t2 being Student's quantiles of the gate's error rate and of 10 %: 20 R at an error rate of
//! 0.001 and many degrees of freedom, 70 R where 50 sites are judged from 11 checkpoints. Where every block is recorded
//! there is no such limit.

use crate::gate::Round;
use crate::student::upper_quantile;

/// Probability with which what is detectable goes unseen.
const UNSEEN: f64 = 0.1;

/// Bytes per unit of a leak, at a place where nothing else happens, that would be seen with probability 90 %, given that
/// blocks are sampled as they are.
pub(super) fn resolution(rounds: &[Round], tail: f64) -> f64 {
    let interval = rounds.iter().map(Round::interval_bytes).max().unwrap_or(0);
    let span: f64 = rounds.iter().map(Round::span).sum();
    let degrees: usize = rounds.iter().map(|round| round.at.len().saturating_sub(2)).sum();
    if interval <= 1 || span <= 0.0 || degrees == 0 {
        return 0.0;
    }
    let reach = upper_quantile(tail, degrees as f64) + upper_quantile(UNSEEN, degrees as f64);
    reach * reach * interval as f64 / span
}
