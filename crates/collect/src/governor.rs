//! The governor: raises the sampling interval while sampling costs too much or loses too much.
//!
//! Looked at once a second. Each of these doubles the interval:
//!
//! - **Cost.** Sampled calls spent more processor time than allowed: `--max-cpu` percent of one core, or of what the
//!   target itself uses where that is more. Below one core the target's own use is no measure (a program that is idle
//!   but for a burst would look expensive); above it, what matters is by how much the target is slowed down. Unused
//!   allowance is saved for up to [`SAVED_SECONDS`], so a burst does not make a recording coarse for ever.
//! - **Ring.** More than 1 % of the records of the last second found the ring full.
//! - **Table.** The live table has passed 70 % of what it can ever hold, or blocks found no room in it. Raising the
//!   interval empties nothing, so the next time is [`TABLE_STEP`] further up.
//!
//! It never goes down again: what made it rise comes back with the next load, and each change costs precision twice.
//! Estimates stay exact, since each sample carries the interval that its gap was drawn with.

use leakscope_profile::Cause;
use std::time::{Duration, Instant};

/// Seconds for which unused allowance is kept.
const SAVED_SECONDS: f64 = 5.0;
/// Share of records that may find the ring full.
const MOST_DROPS: f64 = 0.01;
/// Load of the live table at which the interval is raised first.
const TABLE_LOAD: f64 = 0.70;
/// By how much the load must have grown until it is raised again.
const TABLE_STEP: f64 = 0.05;
/// One core that is never idle seems to be up to this, since its time is read in ticks and a moment after the clock.
const ONE_CORE: f64 = 1.2;
/// When nobody has looked for so long, the ring was full because nobody emptied it.
const LATE: Duration = Duration::from_secs(3);

/// What was counted of a session up to one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readings {
    pub(crate) at: Instant,
    /// Of the time-stamp counter.
    pub(crate) clock_cycles: u64,
    /// Cycles that the target spent on sampled calls.
    pub(crate) sampling_cycles: u64,
    /// Processor time of the target; `None` where it cannot be known.
    pub(crate) target_cpu: Option<Duration>,
    /// Records that found room in the ring.
    pub(crate) records: u64,
    /// Records that did not.
    pub(crate) dropped: u64,
    /// Samples in the live table.
    pub(crate) live: u64,
    /// Slots that it can ever have.
    pub(crate) slots: u64,
    /// Samples that found no room in it.
    pub(crate) refused: u64,
}

/// Decides when the interval is raised.
#[derive(Debug)]
pub struct Governor {
    /// Cores (or shares of the target's time) that sampling may take.
    allowed: f64,
    /// Allowance left, seconds of a core.
    saved: f64,
    table_mark: f64,
    last: Option<Readings>,
}

impl Governor {
    /// One that allows sampling this share of a core, or of the target's own processor time where that is more.
    pub fn allowing(percent: f64) -> Self {
        let allowed = percent / 100.0;
        Self { allowed, saved: allowed * SAVED_SECONDS, table_mark: TABLE_LOAD, last: None }
    }

    /// Whether the interval is to be raised, why, and how much of that there was, percent.
    pub(crate) fn judge(&mut self, now: Readings) -> Option<(Cause, f64)> {
        let last = self.last.replace(now)?;
        let cost = self.judge_cost(&last, &now);
        cost.or_else(|| judge_ring(&last, &now)).or_else(|| self.judge_table(&last, &now))
    }

    fn judge_cost(&mut self, last: &Readings, now: &Readings) -> Option<(Cause, f64)> {
        let seconds = now.at.saturating_duration_since(last.at).as_secs_f64();
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        // Counters of a hostile session may do anything; nobody spends more than all the time of many cores.
        let cycles = now.sampling_cycles.saturating_sub(last.sampling_cycles);
        let cores = share(cycles, now.clock_cycles.saturating_sub(last.clock_cycles)).min(4096.0);
        let target = match (last.target_cpu, now.target_cpu) {
            (Some(before), Some(after)) if seconds > 0.0 => after.saturating_sub(before).as_secs_f64() / seconds,
            _ => 0.0,
        };
        let allowance = self.allowed * target.max(1.0);
        self.saved = (self.saved + (allowance - cores) * seconds).min(allowance * SAVED_SECONDS);
        if self.saved >= 0.0 {
            return None;
        }
        self.saved = 0.0;
        Some(if target > ONE_CORE {
            (Cause::CostOfTarget, cores / target * 100.0)
        } else {
            (Cause::CostOfCore, cores * 100.0)
        })
    }

    fn judge_table(&mut self, last: &Readings, now: &Readings) -> Option<(Cause, f64)> {
        let load = (now.live as f64 / now.slots.max(1) as f64).min(1.0);
        if load <= self.table_mark && now.refused <= last.refused {
            return None;
        }
        self.table_mark = self.table_mark.max(load) + TABLE_STEP;
        Some((Cause::LiveTable, load * 100.0))
    }
}

fn judge_ring(last: &Readings, now: &Readings) -> Option<(Cause, f64)> {
    let dropped = now.dropped.saturating_sub(last.dropped) as f64;
    let records = now.records.saturating_sub(last.records) as f64;
    let share = dropped / (dropped + records).max(1.0);
    let is_late = now.at.saturating_duration_since(last.at) > LATE;
    (share > MOST_DROPS && !is_late).then_some((Cause::RingDrops, share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target that is looked at once a second.
    struct Watched {
        governor: Governor,
        readings: Readings,
    }

    impl Watched {
        fn new(percent: f64) -> Self {
            let readings = Readings {
                at: Instant::now(),
                clock_cycles: 5,
                sampling_cycles: 0,
                target_cpu: Some(Duration::ZERO),
                records: 0,
                dropped: 0,
                live: 0,
                slots: 1000,
                refused: 0,
            };
            let mut governor = Governor::allowing(percent);
            assert_eq!(governor.judge(readings), None, "nothing to compare with");
            Self { governor, readings }
        }

        /// A second in which sampling takes this share of a core, and the target so many cores.
        fn second(&mut self, cost: f64, cores: f64) -> Option<(Cause, f64)> {
            self.readings.at += Duration::from_secs(1);
            self.readings.clock_cycles += 1_000_000_000;
            self.readings.sampling_cycles += (cost * 1e9) as u64;
            self.readings.target_cpu = self.readings.target_cpu.map(|cpu| cpu + Duration::from_secs_f64(cores));
            self.governor.judge(self.readings)
        }

        fn table(&mut self, live: u64) -> Option<(Cause, f64)> {
            self.readings.live = live;
            self.second(0.0, 1.0)
        }

        fn ring(&mut self, records: u64, dropped: u64) -> Option<(Cause, f64)> {
            self.readings.records += records;
            self.readings.dropped += dropped;
            self.second(0.0, 1.0)
        }
    }

    fn near(found: Option<(Cause, f64)>, cause: Cause, percent: f64) -> bool {
        found.is_some_and(|(c, p)| c == cause && (p - percent).abs() < 0.01)
    }

    #[test]
    fn what_is_allowed_never_raises() {
        let mut watched = Watched::new(2.0);
        assert!((0..1000).all(|_| watched.second(0.0199, 1.0).is_none()));
        assert!((0..1000).all(|_| watched.second(0.0199, 0.05).is_none()), "an idle target is not measured by its use");
        assert!((0..1000).all(|_| watched.second(0.159, 8.0).is_none()), "eight cores");
    }

    #[test]
    fn what_costs_too_much_raises_until_it_does_not() {
        let mut watched = Watched::new(2.0);
        // 50 % of a core at the first interval, half of that with each doubling.
        let (mut cost, mut raised) = (0.5, Vec::new());
        for _ in 0..60 {
            if let Some((cause, percent)) = watched.second(cost, 1.0) {
                assert_eq!(cause, Cause::CostOfCore);
                raised.push(percent);
                cost /= 2.0;
            }
        }
        assert_eq!(raised.len(), 5, "{raised:?}");
        assert!((raised[0] - 50.0).abs() < 0.01 && cost < 0.02, "{raised:?}");
    }

    #[test]
    fn a_burst_is_paid_for_by_what_was_saved() {
        let mut watched = Watched::new(2.0);
        assert_eq!(watched.second(0.1, 0.5), None, "five seconds' worth");
        assert!(near(watched.second(0.1, 0.5), Cause::CostOfCore, 10.0), "but not twice");
        assert!((0..10).all(|_| watched.second(0.0, 0.5).is_none()));
        assert_eq!(watched.second(0.1, 0.5), None, "saved again");
    }

    #[test]
    fn a_target_of_several_cores_is_measured_by_its_own_time() {
        let mut watched = Watched::new(2.0);
        let found = (0..100).find_map(|_| watched.second(0.24, 8.0));
        assert!(near(found, Cause::CostOfTarget, 3.0), "{found:?}");
        let mut busy = Watched::new(2.0);
        let found = (0..100).find_map(|_| busy.second(0.24, 1.1));
        assert!(near(found, Cause::CostOfCore, 24.0), "one busy core as ticks show it: {found:?}");
        let mut unknown = Watched::new(2.0);
        unknown.readings.target_cpu = None;
        let found = (0..100).find_map(|_| unknown.second(0.24, 8.0));
        assert!(near(found, Cause::CostOfCore, 24.0), "{found:?}");
    }

    #[test]
    fn more_than_one_percent_of_drops_raises() {
        let mut watched = Watched::new(2.0);
        assert_eq!(watched.ring(9900, 100), None, "exactly 1 %");
        assert!(near(watched.ring(9800, 200), Cause::RingDrops, 2.0));
        assert_eq!(watched.ring(0, 0), None);
        // leakscope itself was stopped.
        watched.readings.at += LATE;
        assert_eq!(watched.ring(100, 100_000), None);
    }

    #[test]
    fn a_filling_table_raises_at_every_step_once() {
        let mut watched = Watched::new(2.0);
        assert_eq!(watched.table(700), None);
        assert!(near(watched.table(701), Cause::LiveTable, 70.1));
        assert_eq!(watched.table(740), None, "nothing becomes free by it");
        assert!(near(watched.table(760), Cause::LiveTable, 76.0));
        assert_eq!(watched.table(100), None);
        watched.readings.refused += 1;
        assert!(near(watched.table(100), Cause::LiveTable, 10.0), "a bucket was full");
        assert_eq!(watched.table(100), None);
    }

    #[test]
    fn nonsense_ends() {
        let mut watched = Watched::new(2.0);
        watched.readings = Readings {
            clock_cycles: 0,
            sampling_cycles: u64::MAX,
            records: 0,
            dropped: u64::MAX,
            live: u64::MAX,
            slots: 0,
            refused: u64::MAX,
            ..watched.readings
        };
        assert!(watched.governor.judge(watched.readings).is_some());
        assert!(watched.governor.judge(watched.readings).is_none_or(|(_, percent)| percent.is_finite()));
    }
}
