//! What one round says of one site: its slope, without one-off steps, and whether the growth goes on.
//!
//! A program that does not leak still grows: classes are loaded, pools get another thread, a table doubles. Each is a
//! step, once. So of the increments between checkpoints a fifth at most may be set aside, those that stand more than
//! five spreads above the median one; only rises are, so that setting aside never makes a leak of a sawtooth. What is
//! left is a slope (`trend.rs`), and it has to go on:
//!
//! ```text
//! in both halves    each rises, the second at least half as fast as the first, the first at least a quarter as the second
//! mostly            six of ten increments rise
//! ```

use crate::change::Change;
use crate::trend::{Level, slope};

/// Of the increments, so many at most are set aside.
const MOST_SET_ASIDE: f64 = 0.2;
/// A step is set aside from so many spreads above the median increment on.
const OUTSTANDING: f64 = 5.0;
/// From the median absolute deviation to the standard deviation of a normal distribution.
const TO_DEVIATION: f64 = 1.4826;
/// The second half grows at least by this part of the first.
const GOES_ON: f64 = 0.5;
/// The first half grows at least by this part of the second.
const BEGAN: f64 = 0.25;
/// Part of the increments that rise.
const MOSTLY: f64 = 0.6;

/// What one round says of one site.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    /// Bytes per unit, without the steps.
    pub rate: f64,
    /// Its standard error, and the degrees of freedom that this is known from.
    pub error: f64,
    pub degrees: f64,
    /// Steps that were set aside, bytes.
    pub steps: Vec<f64>,
    /// Rises that stand out beyond those.
    pub more_steps: usize,
    /// How it goes on.
    pub course: Going,
    /// The most bytes per unit between two levels of the last third, steps included.
    pub last_most: f64,
    /// Part of the growth that came in the first half, steps included; 0 where it did not grow.
    pub first_half: f64,
    /// The levels without the steps.
    pub levels: Vec<Level>,
    /// Whether there are enough samples for a judgement.
    pub is_testable: bool,
    /// What its second half says alone, where it is long enough: what filled in the first may be full.
    pub second_half: Option<Box<Evidence>>,
}

/// How a growth goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    /// As it began.
    On,
    /// Ever less.
    Slowing,
    /// Neither.
    Irregular,
}

/// What these levels say; `None` where there are too few. `tail` is the probability with which each end of an interval
/// may fail, `sampled` gives the change from a level to the last one where that is an estimate.
pub(super) fn evidence(levels: &[Level], tail: f64, sampled: &dyn Fn(usize) -> Option<Change>) -> Option<Evidence> {
    let half = (levels.len().saturating_sub(1)) / 2;
    let second_half = part(levels.get(half..)?, tail, sampled(half).as_ref());
    Some(Evidence { second_half: second_half.map(Box::new), ..part(levels, tail, sampled(0).as_ref())? })
}

fn part(with_steps: &[Level], tail: f64, sampled: Option<&Change>) -> Option<Evidence> {
    let (levels, steps, more_steps) = set_aside(with_steps);
    let slope = slope(&levels)?;
    let span = levels.last()?.at - levels.first()?.at;
    let (own, degrees) = slope.error.widest(tail);
    let sampling = sampled.map_or(0.0, |change| counting_error(change) / span);
    // What sampling does to a level that wanders is in its increments already.
    let error = if slope.returns { own.hypot(sampling) } else { own.max(sampling) };
    let last = levels.len() - 1;
    let third = last - last.div_ceil(3);
    // What came in steps has not filled unless the steps have ended, too.
    let grew = with_steps[last].bytes - with_steps[0].bytes;
    Some(Evidence {
        rate: slope.rate.estimate,
        error,
        degrees: (degrees - steps.len() as f64).max(1.0),
        more_steps,
        course: going(&levels),
        last_most: (third..last).map(|at| rate_between(with_steps, at, at + 1)).fold(f64::NEG_INFINITY, f64::max),
        first_half: if grew > 0.0 { (with_steps[last / 2].bytes - with_steps[0].bytes) / grew } else { 0.0 },
        is_testable: sampled.is_none_or(Change::is_testable),
        steps,
        levels,
        second_half: None,
    })
}

/// Standard deviation of an estimated change; what was never sampled could be one block more.
fn counting_error(change: &Change) -> f64 {
    let missable = change.new.missable.interval_bytes.max(change.gone.missable.interval_bytes) as f64;
    (change.new.bytes_variance + change.gone.bytes_variance + missable * missable).sqrt()
}

/// The levels without the steps that stand out, those steps, and how many more there are.
fn set_aside(levels: &[Level]) -> (Vec<Level>, Vec<f64>, usize) {
    let mut rates: Vec<f64> = levels.windows(2).map(|pair| rate_between(pair, 0, 1)).collect();
    let middle = median(rates.iter().copied());
    let spread = TO_DEVIATION * median(rates.iter().map(|rate| (rate - middle).abs()));
    let mut outstanding: Vec<usize> =
        (0..rates.len()).filter(|at| rates[*at] > 0.0 && rates[*at] - middle > OUTSTANDING * spread).collect();
    outstanding.sort_by(|a, b| rates[*b].total_cmp(&rates[*a]));
    let most = (MOST_SET_ASIDE * rates.len() as f64) as usize;
    let more = outstanding.len().saturating_sub(most);
    outstanding.truncate(most);
    let length = |at: usize| levels[at + 1].at - levels[at].at;
    let steps = outstanding.iter().map(|at| (rates[*at] - middle) * length(*at)).collect();
    outstanding.iter().for_each(|at| rates[*at] = middle);
    let mut bytes = levels.first().map_or(0.0, |first| first.bytes);
    let mut without: Vec<Level> = levels.first().copied().into_iter().collect();
    for (at, rate) in rates.iter().enumerate() {
        bytes += rate * length(at);
        without.push(Level { at: levels[at + 1].at, bytes });
    }
    (without, steps, more)
}

fn going(levels: &[Level]) -> Going {
    let last = levels.len() - 1;
    let [first, second] = [(0, last / 2), (last / 2, last)].map(|(from, to)| rate_between(levels, from, to));
    let rises = levels.windows(2).filter(|pair| pair[1].bytes > pair[0].bytes).count();
    let is_mostly = rises as f64 >= MOSTLY * last as f64;
    match () {
        () if first > 0.0 && second > 0.0 && second >= GOES_ON * first && first >= BEGAN * second && is_mostly => {
            Going::On
        }
        () if first > 0.0 && second < GOES_ON * first => Going::Slowing,
        () => Going::Irregular,
    }
}

fn rate_between(levels: &[Level], from: usize, to: usize) -> f64 {
    let span = levels[to].at - levels[from].at;
    if span > 0.0 { (levels[to].bytes - levels[from].bytes) / span } else { 0.0 }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(increments: &[f64]) -> Evidence {
        let mut bytes = 1000.0;
        let mut levels = vec![Level { at: 0.0, bytes }];
        for (at, increment) in increments.iter().enumerate() {
            bytes += increment;
            levels.push(Level { at: 20.0 * (at as f64 + 1.0), bytes });
        }
        evidence(&levels, 1e-5, &|_| None).unwrap()
    }

    #[test]
    fn a_leak_is_its_rate() {
        let leak = of(&[1280.0; 10]);
        assert!((leak.rate - 64.0).abs() < 1e-9 && leak.error < 1e-6, "{leak:?}");
        assert_eq!((leak.course, leak.steps.len()), (Going::On, 0));
    }

    #[test]
    fn one_step_is_set_aside_with_and_without_a_leak() {
        for leaks in [0.0, 1280.0] {
            let mut increments = [leaks; 10];
            increments[7] += 1e6;
            let one = of(&increments);
            assert!((one.rate - leaks / 20.0).abs() < 1e-6 && one.error < 1e-6, "{one:?}");
            assert!((one.steps[0] - 1e6).abs() < 1e-6 && one.more_steps == 0);
        }
    }

    #[test]
    fn a_staircase_of_many_steps_is_no_one_off() {
        let stairs = of(&[0.0, 0.0, 1e6, 0.0, 0.0, 1e6, 0.0, 0.0, 1e6, 0.0]);
        assert_eq!((stairs.steps.len(), stairs.more_steps, stairs.course), (2, 1, Going::Irregular));
    }

    #[test]
    fn a_sawtooth_keeps_its_falls() {
        let saw = of(&[30.0, 30.0, 30.0, -200.0, 30.0, 30.0, 30.0, -150.0, 30.0, 30.0]);
        assert!(saw.rate < 0.0, "{saw:?}");
    }

    #[test]
    fn what_fills_is_slowing() {
        let filling: Vec<f64> = (0..10).map(|at| 10_000.0 * 0.6_f64.powi(at)).collect();
        assert_eq!(of(&filling).course, Going::Slowing);
        let half = of(&filling).second_half.unwrap();
        assert!(half.rate < of(&filling).rate / 4.0 && half.levels.len() == 6, "{half:?}");
    }

    #[test]
    fn four_levels_say_nothing() {
        let levels: Vec<Level> = (0..4).map(|at| Level { at: f64::from(at), bytes: 1.0 }).collect();
        assert_eq!(evidence(&levels, 1e-5, &|_| None), None);
        assert_eq!(evidence(&[], 1e-5, &|_| None), None);
    }
}
