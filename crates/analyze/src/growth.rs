//! Whether a place grows: its trend, whether that is beyond chance among all places, and whether it goes on.
//!
//! ```text
//! window     without the warm-up (a fifth of the recording, 5 minutes at most) and without what exit frees
//! growing    of all places those that came up by more than sampling can make, and whose trend is beyond the noise of
//!            their own increments: both by Benjamini and Hochberg at 1 %;
//!            at least as much as matters; in each third of the window; and in the last at least a quarter of the mean
//! bounded    it reached where it ends before the last third, whose growth would not add a tenth in the length of the
//!            recording, or surely is less than what filled it, and at most a quarter
//! ```

use leakscope_profile::model::Exit;

use crate::analysis::{Shape, Trend, Window};
use crate::change::{Change, Direction};
use crate::course::Course;
use crate::discovery::discoveries;
use crate::estimate::{ERROR_RATE, Estimate, Sums};
use crate::series::SnapshotFacts;
use crate::trend::{FEWEST_POINTS, Level, slope};

/// The part of the recording that may be warm-up.
const WARM_UP: f64 = 0.2;
/// At most, milliseconds.
const LONGEST_WARM_UP_MS: f64 = 300_000.0;
/// Of all places called growing, at most this part is not.
pub(crate) const FALSE_DISCOVERIES: f64 = 0.01;
/// Growth in the last third of a window, as a part of the mean third, from which on it goes on.
const GOES_ON: f64 = 0.25;
/// The same for the other thirds: each takes part.
const TAKES_PART: f64 = 0.1;
/// Growth in a window matters from this on, bytes.
const LEAST_GROWTH_BYTES: f64 = 64.0 * 1024.0;
/// Or from this part of resident memory on.
const LEAST_GROWTH_OF_RSS: f64 = 0.001;
/// A place is flat when what its trend may add in the length of the recording is below this part of it.
const FLAT: f64 = 0.1;
/// It is full from this part of where it ends on.
const FILLED: f64 = 0.85;
/// It has stopped when it grows by at most this part of the rate that filled it.
const STOPPED: f64 = 0.25;
/// Flat before this part of the recording: it grew while the program started.
const STARTUP: f64 = 0.25;

/// Growth of one place.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Assessment {
    pub trend: Option<Trend>,
    pub shape: Shape,
    /// It grows beyond chance, by as much as matters, and goes on.
    pub is_growing: bool,
    /// When it began, where it was flat for long before (`late.rs`).
    pub began_ms: Option<u64>,
}

/// The snapshots that trends are taken from; `None` if there are too few.
pub(crate) fn window(snapshots: &[SnapshotFacts]) -> Option<Window> {
    let mut last = snapshots.len().checked_sub(1)?;
    // What a program frees on its way out, or ends, is no part of how it runs.
    let ended_by_itself = matches!(snapshots[last].exit, Some(Exit::Code(_)));
    if ended_by_itself && last >= FEWEST_POINTS {
        last -= 1;
    }
    let to_ms = snapshots[last].instant.uptime_ms;
    let warm_up_ms = (WARM_UP * to_ms as f64).min(LONGEST_WARM_UP_MS);
    let warm = snapshots.iter().position(|facts| facts.instant.uptime_ms as f64 >= warm_up_ms).unwrap_or(0);
    let first = warm.min((last + 1).checked_sub(FEWEST_POINTS)?);
    Some(Window { first, last, from_ms: snapshots[first].instant.uptime_ms, to_ms })
}

/// Growth of a window that matters, bytes, in a process of this resident size.
pub(crate) fn least_growth(rss_bytes: u64) -> f64 {
    LEAST_GROWTH_BYTES.max(LEAST_GROWTH_OF_RSS * rss_bytes as f64)
}

/// Growth of every place. Of those called growing, at most the part `false_discoveries` is not.
pub(crate) fn assess(
    courses: &[Course],
    snapshots: &[SnapshotFacts],
    window: &Window,
    least_bytes: f64,
    false_discoveries: f64,
) -> Vec<Assessment> {
    let changes: Vec<Change> = courses.iter().map(|course| course.change_since(window.first, snapshots)).collect();
    let mut all: Vec<Assessment> = courses
        .iter()
        .zip(&changes)
        .map(|(course, change)| Assessment { trend: trend(course, change, snapshots, window), ..Assessment::default() })
        .collect();
    let up = discoveries(&changes, false_discoveries, 0.0);
    let clearest = clear(&all, &changes, false_discoveries);
    for (at, assessment) in all.iter_mut().enumerate() {
        let is_clear = up[at] == Some(Direction::Up) && clearest[at];
        let grew = changes[at].new.bytes - changes[at].gone.bytes;
        let goes_on = thirds(&courses[at], snapshots, window);
        let above_zero = assessment.trend.is_some_and(|trend| trend.rate.low > 0.0);
        assessment.is_growing = is_clear && above_zero && grew >= least_bytes && goes_on;
        assessment.shape = match assessment.is_growing {
            true => Shape::Growing,
            false => shape(&courses[at], snapshots, window, assessment.trend.as_ref(), least_bytes),
        };
    }
    all
}

/// Whether each place's trend is beyond the noise of its increments, all that changed considered.
fn clear(all: &[Assessment], changes: &[Change], false_discoveries: f64) -> Vec<bool> {
    let chances: Vec<f64> = all.iter().map(|a| a.trend.map_or(1.0, |trend| trend.chance)).collect();
    let mut tested: Vec<f64> = (0..all.len()).filter(|at| changes[*at].is_testable()).map(|at| chances[at]).collect();
    tested.sort_by(f64::total_cmp);
    let count = tested.len().max(1) as f64;
    let passes = |(rank, chance): &(usize, &f64)| **chance <= false_discoveries * (*rank as f64 + 1.0) / count;
    let cut = tested.iter().enumerate().rev().find(passes).map(|(_, chance)| *chance);
    (0..all.len()).map(|at| changes[at].is_testable() && cut.is_some_and(|cut| chances[at] <= cut)).collect()
}

fn trend(course: &Course, change: &Change, snapshots: &[SnapshotFacts], window: &Window) -> Option<Trend> {
    let levels = levels(course, snapshots, window.first, window.last);
    let hours = hours(window.to_ms.saturating_sub(window.from_ms));
    let per_hour =
        |e: &Estimate, hours: f64| Estimate { estimate: e.estimate / hours, low: e.low / hours, high: e.high / hours };
    let slope = slope(&levels)?.with_counting(&per_hour(&counting(change), hours));
    let third = third(snapshots, window, 2);
    let since = course.change_since(third, snapshots).bytes_estimate(ERROR_RATE);
    let third_hours = self::hours(window.to_ms.saturating_sub(snapshots[third].instant.uptime_ms));
    let mut last_third = per_hour(&since, third_hours);
    if slope.wandering > 0.0 {
        // As far as it wanders, it does so in a third, too.
        let half = 2.0 * slope.wandering / third_hours.sqrt();
        last_third.low = last_third.low.min(last_third.estimate - half);
        last_third.high = last_third.high.max(last_third.estimate + half);
    }
    Some(Trend { rate: slope.rate, chance: slope.chance, last_third, points: levels.len() })
}

/// A change with the interval of what counting leaves open: which blocks were sampled, and, since programs allocate when
/// they are asked to, how many there were. The variance of a sum of y/p over random moments is the sum of (y/p)^2, which
/// is V + sum y^2/p.
fn counting(change: &Change) -> Estimate {
    let with_moments = |sums: &Sums| {
        let mean_bytes = sums.bytes_observed as f64 / sums.samples.max(1) as f64;
        Sums { bytes_variance: sums.bytes_variance + sums.bytes * mean_bytes, bytes_observed: 0, ..*sums }
    };
    Change { new: with_moments(&change.new), gone: with_moments(&change.gone) }.bytes_estimate(ERROR_RATE)
}

fn levels(course: &Course, snapshots: &[SnapshotFacts], first: usize, last: usize) -> Vec<Level> {
    (first..=last)
        .map(|at| Level { at: hours(snapshots[at].instant.uptime_ms), bytes: course.live[at].bytes })
        .collect()
}

/// By how much the levels fell at most from the highest before.
pub(crate) fn deepest_fall(levels: impl Iterator<Item = f64>) -> f64 {
    let (mut highest, mut deepest) = (f64::NEG_INFINITY, 0.0_f64);
    for level in levels {
        highest = highest.max(level);
        deepest = deepest.max(highest - level);
    }
    deepest
}

pub(crate) fn hours(ms: u64) -> f64 {
    ms as f64 / 3_600_000.0
}

/// The snapshot at which a third of the window begins.
fn third(snapshots: &[SnapshotFacts], window: &Window, which: u64) -> usize {
    let begins = window.from_ms + (window.to_ms - window.from_ms) * which / 3;
    let nearest = (window.first..window.last).min_by_key(|at| snapshots[*at].instant.uptime_ms.abs_diff(begins));
    nearest.unwrap_or(window.first)
}

/// Whether each third of the window takes part in the growth, and the last one clearly.
fn thirds(course: &Course, snapshots: &[SnapshotFacts], window: &Window) -> bool {
    let [second, last] = [1, 2].map(|which| third(snapshots, window, which));
    let bytes = |at: usize| course.live[at].bytes;
    let grew = [bytes(second) - bytes(window.first), bytes(last) - bytes(second), bytes(window.last) - bytes(last)];
    let mean = grew.iter().sum::<f64>() / 3.0;
    let change = course.change_since(last, snapshots);
    // Few samples in a third: the sum must speak for it.
    let is_up = match change.is_testable() {
        true => change.direction(ERROR_RATE, 0.0) == Some(Direction::Up),
        false => change.new.samples > 0,
    };
    grew.iter().all(|bytes| *bytes >= TAKES_PART * mean) && grew[2] >= GOES_ON * mean && is_up
}

/// What a place that does not grow, or no longer, looks like.
fn shape(
    course: &Course,
    snapshots: &[SnapshotFacts],
    window: &Window,
    trend: Option<&Trend>,
    least_bytes: f64,
) -> Shape {
    let Some(trend) = trend else { return Shape::Unknown };
    if trend.rate.high < 0.0 {
        return Shape::Shrinking;
    }
    let bytes = |at: usize| course.live[at].bytes;
    let last_third = third(snapshots, window, 2);
    let tail = last_third..window.last + 1;
    let level = tail.clone().map(bytes).sum::<f64>() / tail.len() as f64;
    let length = hours(window.to_ms);
    let adds = trend.last_third.estimate.abs() * length;
    if level < least_bytes {
        return if adds <= least_bytes { Shape::Flat } else { Shape::Unknown };
    }
    // From here on it was never again clearly below where it ended. Recording starts with the process: all of it is new.
    let reached = (0..=window.last).rev().find(|at| bytes(*at) < FILLED * level).map_or(0, |at| at + 1);
    let flat_since_ms = snapshots[reached.min(window.last)].instant.uptime_ms;
    let filled = level / hours(flat_since_ms.max(1));
    // That it stopped has to be seen: an end that may still grow as it did before says nothing, nor one that may double it.
    let has_stopped = adds <= FLAT * level && trend.last_third.high * length <= level
        || (trend.last_third.may_be_zero()
            && trend.last_third.estimate <= STOPPED * filled
            && trend.last_third.high <= filled);
    if !has_stopped || reached > last_third {
        return Shape::Unknown;
    }
    let startup_ms = (STARTUP * window.to_ms as f64).min(LONGEST_WARM_UP_MS).max(window.from_ms as f64);
    match flat_since_ms as f64 <= startup_ms {
        true => Shape::Startup { flat_since_ms },
        false => Shape::Bounded { flat_since_ms },
    }
}
