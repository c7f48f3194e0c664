//! The ring, emptied: lifetimes and churn, which the tables cannot tell.
//!
//! Bounded work for each call, whatever the ring's head says. A position that stays pending belongs to a slow producer
//! or to a dead one; after a second, or at once where the whole target is dead, it is given up.

use crate::shared::SharedSession;
use leakscope_session::header::Word;
use leakscope_session::ring::{Payload, Popped};
use std::time::{Duration, Instant};

/// Records taken in one call.
const MOST_RECORDS: usize = 1 << 16;
/// How long a producer may take between reserving and publishing.
const PATIENCE: Duration = Duration::from_secs(1);

const ALLOCATION: u64 = 1;
const FREE: u64 = 2;
const CLASS_GC: u64 = 1;

/// Sums over the records of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Churn {
    /// Records taken.
    pub records: u64,
    /// Sampled allocations.
    pub allocations: u64,
    /// Sampled frees.
    pub frees: u64,
    /// Of these, by the JVM's reference-handling threads.
    pub frees_gc: u64,
    /// Lifetimes of the freed blocks, milliseconds, added up.
    pub lifetimes_ms: u64,
    /// Records torn by a producer that had been given up.
    pub torn: u64,
    /// Positions given up.
    pub skipped: u64,
    /// Records of a kind that this version does not know.
    pub unknown: u64,
}

/// The one reader of a session's ring.
#[derive(Debug, Default)]
pub struct Drain {
    churn: Churn,
    pending: Option<(u64, Instant)>,
}

impl Drain {
    /// Takes what is in the ring. `target_is_dead`: nobody will publish any more.
    pub fn drain(&mut self, shared: &SharedSession, target_is_dead: bool) {
        let session = shared.session();
        for _ in 0..MOST_RECORDS {
            match session.ring.pop() {
                Popped::Record(payload) => self.churn.count(&payload),
                Popped::Torn => self.churn.torn = self.churn.torn.saturating_add(1),
                Popped::Empty => break,
                Popped::Pending => {
                    let position = session.header.get(Word::RingTail);
                    if !target_is_dead && !self.waited_for(position, Instant::now()) {
                        break;
                    }
                    session.ring.skip();
                    self.churn.skipped = self.churn.skipped.saturating_add(1);
                    self.pending = None;
                }
            }
        }
    }

    /// The sums so far.
    pub fn churn(&self) -> Churn {
        self.churn
    }

    /// Whether this position has been pending for longer than a producer may take.
    fn waited_for(&mut self, position: u64, now: Instant) -> bool {
        match self.pending {
            Some((same, since)) if same == position => now.duration_since(since) > PATIENCE,
            _ => {
                self.pending = Some((position, now));
                false
            }
        }
    }
}

impl Churn {
    fn count(&mut self, payload: &Payload) {
        let [first, _, _, _, time_ms, birth_ms] = *payload;
        self.records = self.records.saturating_add(1);
        match first & 0xFF {
            ALLOCATION => self.allocations = self.allocations.saturating_add(1),
            FREE => {
                self.frees = self.frees.saturating_add(1);
                self.frees_gc = self.frees_gc.saturating_add(u64::from(first >> 8 & 0xFF == CLASS_GC));
                self.lifetimes_ms = self.lifetimes_ms.saturating_add(time_ms.saturating_sub(birth_ms));
            }
            _ => self.unknown = self.unknown.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_given_up_after_a_second() {
        let mut drain = Drain::default();
        let start = Instant::now();
        assert!(!drain.waited_for(7, start));
        assert!(!drain.waited_for(7, start + PATIENCE));
        assert!(drain.waited_for(7, start + PATIENCE * 2));
        assert!(!drain.waited_for(8, start + PATIENCE * 2), "another position has its own second");
    }
}
