//! When a checkpoint is due, in iterations or in milliseconds: after the warm-up, then about evenly to the end.
//!
//! Not quite evenly: what comes and goes with a period near the step (a batch that is flushed every 19 iterations, looked at
//! every 20) would seem to grow slowly. Steps that differ make noise of it.
//!
//! Where the end is known, [`INTERVALS`] steps lead there. A target that does not wait may run past many of them while nobody
//! looks: then the end is put off, a step at a time, until half of the checkpoints were taken.
//!
//! Where it is not, the steps begin small; once there are more than [`MOST_KEPT`] checkpoints, every second is left out and
//! the steps double, so that at any moment 8 to 16 of them are spread over what has passed.

/// Steps from the end of the warm-up to an end that is known.
pub const INTERVALS: u64 = 10;
/// Checkpoints kept where the end is not known.
pub const MOST_KEPT: usize = 16;

/// By what part of a step, in hundredths, each checkpoint is later; those at both ends are not moved.
const OFFSETS: [i64; INTERVALS as usize + 1] = [0, 17, -21, 8, -12, 23, -5, 14, -19, 10, 0];

/// When checkpoints are due.
#[derive(Debug, Clone)]
pub struct Schedule {
    warmup: u64,
    total: Option<u64>,
    /// The end: `total`, or later.
    end: Option<u64>,
    step: u64,
    next: u64,
    taken: u64,
    kept: Vec<u64>,
}

impl Schedule {
    /// After `warmup`, to `total` or for ever. `least_step` is the first step where the end is not known.
    pub fn new(warmup: u64, total: Option<u64>, least_step: u64) -> Self {
        Self { warmup, total, end: total, step: least_step.max(1), next: warmup, taken: 0, kept: Vec::new() }
    }

    /// Whether one is due.
    pub fn is_due(&self, progress: u64) -> bool {
        progress >= self.next
    }

    /// Whether as much has been done as was asked for.
    pub fn is_done(&self, progress: u64) -> bool {
        self.total.is_some_and(|total| progress >= total)
    }

    /// Whether the end has been reached.
    pub fn is_over(&self, progress: u64) -> bool {
        self.end.is_some_and(|end| progress >= end)
    }

    /// Notes that one was taken.
    pub fn note(&mut self, progress: u64) {
        self.kept.push(self.taken);
        self.taken += 1;
        match self.total {
            Some(total) => match self.planned(total).find(|at| *at > progress) {
                Some(next) => self.next = next,
                None if self.taken < self.least(total) => {
                    let step = (total.saturating_sub(self.warmup) / INTERVALS).max(1);
                    self.next = progress.saturating_add(step);
                    self.end = Some(self.next);
                }
                None => self.next = u64::MAX,
            },
            None => {
                if self.kept.len() > MOST_KEPT {
                    let mut is_kept = false;
                    self.kept.retain(|_| {
                        is_kept = !is_kept;
                        is_kept
                    });
                    self.step = self.step.saturating_mul(2);
                }
                let offset = 100 + OFFSETS[(self.taken % (INTERVALS + 1)) as usize];
                let step = u128::from(self.step) * offset.unsigned_abs() as u128 / 100;
                self.next = progress.saturating_add((step as u64).max(1));
            }
        }
    }

    /// Those that count, by their number from 0, the first among them.
    pub fn kept(&self) -> &[u64] {
        &self.kept
    }

    /// Checkpoints without which it is not over: half of those that there is room for.
    fn least(&self, total: u64) -> u64 {
        INTERVALS.min(total.saturating_sub(self.warmup)) / 2 + 1
    }

    fn planned(&self, total: u64) -> impl Iterator<Item = u64> + use<> {
        let (warmup, span) = (self.warmup, total.saturating_sub(self.warmup));
        let hundredths = |i: u64| (i128::from(i) * 100 + i128::from(OFFSETS[i as usize])) as u128;
        (0..=INTERVALS).map(move |i| warmup + (u128::from(span) * hundredths(i) / u128::from(100 * INTERVALS)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where checkpoints are taken when the target goes `pace` further between two looks.
    fn taken(mut schedule: Schedule, until: u64, pace: usize) -> (Vec<u64>, Schedule) {
        let mut taken = Vec::new();
        for progress in (0..=until).step_by(pace) {
            if schedule.is_due(progress) {
                taken.push(progress);
                schedule.note(progress);
            }
        }
        (taken, schedule)
    }

    #[test]
    fn to_an_end_that_is_known_they_are_spread_about_evenly() {
        let (at, schedule) = taken(Schedule::new(20, Some(220), 1), 220, 1);
        assert_eq!(at, [20, 43, 55, 81, 97, 124, 139, 162, 176, 202, 220]);
        assert!(schedule.is_over(220) && !schedule.is_over(219) && !schedule.is_due(1000));
        let (at, _) = taken(Schedule::new(2, Some(7), 1), 7, 1);
        assert_eq!(at, [2, 3, 4, 5, 6, 7], "no two at one iteration");
        let (at, _) = taken(Schedule::new(20, Some(220), 1), 230, 30);
        assert_eq!(at, [30, 60, 90, 120, 150, 180, 210], "what was missed is not made up for");
    }

    #[test]
    fn a_target_that_runs_past_them_goes_on_until_there_are_enough() {
        let (at, schedule) = taken(Schedule::new(40, Some(200), 1), 1000, 130);
        assert_eq!(at, [130, 260, 390, 520, 650, 780]);
        assert!(schedule.is_over(780) && !schedule.is_due(2000));
        let (at, schedule) = taken(Schedule::new(40, Some(200), 1), 700, 130);
        assert!(at.len() == 5 && schedule.is_done(650) && !schedule.is_over(650), "one is missing: {at:?}");
        let (at, schedule) = taken(Schedule::new(1, Some(3), 1), 10, 1);
        assert!(at == [1, 2, 3] && schedule.is_over(3), "there is no room for more");
    }

    #[test]
    fn to_an_end_that_is_not_known_they_get_rarer() {
        for until in [20, 36, 100, 2_000, 12_345] {
            let (at, schedule) = taken(Schedule::new(20, None, 1), until, 1);
            let kept: Vec<u64> = schedule.kept().iter().map(|number| at[*number as usize]).collect();
            assert_eq!(kept[0], 20);
            assert!(kept.len() <= MOST_KEPT && (kept.len() > MOST_KEPT / 2 || until < 36), "{until}: {kept:?}");
            let gaps: Vec<u64> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let mean = gaps.iter().sum::<u64>() as f64 / gaps.len().max(1) as f64;
            // Steps of one iteration cannot differ; the others do, and by no more than a third.
            assert!(gaps.iter().all(|gap| (*gap as f64 - mean).abs() <= (mean / 3.0).max(1.0)), "{until}: {kept:?}");
            assert!(mean < 4.0 || gaps.iter().any(|gap| *gap != gaps[0]), "{until}: {kept:?}");
            let rest = (until - kept[kept.len() - 1]) as f64;
            assert!(rest <= 2.5 * mean.max(1.0), "{until}: {kept:?}");
        }
        let (at, _) = taken(Schedule::new(20, None, 1), 12_345, 1);
        assert!(at.len() < 110, "{}", at.len());
    }
}
