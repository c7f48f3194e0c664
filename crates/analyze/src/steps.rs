//! Growth in steps: few jumps that explain more than 80 % of it, with quiet between them.
//!
//! ```text
//! jumps   the largest increments, as few as make up 80 % of the growth; neighbours are one step (a snapshot fell into it)
//! steps   at least 3, in at most 40 % of the time, of like size (their deviation at most 0.6 of the mean), each known
//!         well enough (its error at most 35 %), the rest at most 25 % of the growth, and the last one not long ago
//! ```
//!
//! What the program itself frees in between is at most a quarter of the growth, too: else it is a cache. Where only
//! collections free, one may take the staircase down: then steps are looked for between falls, the longest staircase
//! counts, and if there is none, what came is looked at without what went.
//! What coincides with the steps is what happens at 80 % of them at least and is rare between them.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::analysis::{Coincidence, Event, Steps};
use crate::change::Change;
use crate::course::Course;
use crate::estimate::{ERROR_RATE, Estimate, Sums};
use crate::happenings::{Happening, Happenings};
use crate::series::SnapshotFacts;

const SHARE_OF_GROWTH: f64 = 0.8;
const MOST_TIME: f64 = 0.4;
const FEWEST_STEPS: usize = 3;
const MOST_SPREAD: f64 = 0.6;
const MOST_ERROR: f64 = 0.35;
const MOST_REST: f64 = 0.25;
/// A fall by this part of the level ends a staircase.
const FALL: f64 = 0.4;
/// What coincides is seen at this part of the steps.
const SHARE_OF_HITS: f64 = 0.8;
/// And at this part of the rest at most.
const MOST_ELSEWHERE: f64 = 0.34;
/// A burst is at least so many threads that came or went.
const THREAD_BURST: u64 = 4;
const HOUR_MS: f64 = 3_600_000.0;

/// A step, spread over neighbouring snapshots.
#[derive(Debug, Clone)]
struct Step {
    snapshots: Range<usize>,
    bytes: f64,
}

/// The steps of a course up to snapshot `last`, if it is a staircase whose steps are at least `least_bytes`.
pub(crate) fn steps(
    course: &Course,
    snapshots: &[SnapshotFacts],
    last: usize,
    happenings: &Happenings,
    least_bytes: f64,
) -> Option<Steps> {
    let live: Vec<f64> = course.live[..=last].iter().map(|flow| flow.bytes).collect();
    let births = || Some((longest(course, snapshots, &births(course, last), least_bytes)?, Counts::Births));
    let found = match is_freed_by_gc(course) {
        true => longest(course, snapshots, &live, least_bytes).map(|found| (found, Counts::Live)).or_else(births),
        false => whole(course, snapshots, &live, least_bytes).map(|found| (found, Counts::Live)),
    };
    let (Staircase { steps, segment, growth }, counts) = found?;
    let sizes: Vec<f64> = steps.iter().map(|step| step.bytes).collect();
    let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
    Some(Steps {
        at_ms: steps.iter().map(|step| snapshots[step.snapshots.end - 1].instant.uptime_ms).collect(),
        size: size(course, &steps, counts),
        spread: spread(&sizes),
        share: (mean * sizes.len() as f64 / growth).min(1.0),
        period_ms: period(&steps, snapshots),
        coincides: coincidences(&steps, snapshots, &segment, happenings),
    })
}

/// What a curve adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// What came less what went.
    Live,
    /// What came.
    Births,
}

struct Staircase {
    steps: Vec<Step>,
    segment: Range<usize>,
    growth: f64,
}

/// The staircase that a whole curve is. What the program itself frees between is no part of one.
fn whole(course: &Course, snapshots: &[SnapshotFacts], curve: &[f64], least_bytes: f64) -> Option<Staircase> {
    let segment = 0..curve.len();
    let steps = staircase(course, snapshots, curve, segment.clone(), least_bytes)?;
    let growth = curve[curve.len() - 1] - curve[0];
    let gone: f64 = (1..curve.len()).map(|at| course.change_at(at).gone.bytes).sum();
    (gone <= MOST_REST * growth).then_some(Staircase { steps, segment, growth })
}

/// Of the staircases in a curve the one with the most steps.
fn longest(course: &Course, snapshots: &[SnapshotFacts], curve: &[f64], least_bytes: f64) -> Option<Staircase> {
    let found = segments(curve).into_iter().filter_map(|segment| {
        let steps = staircase(course, snapshots, curve, segment.clone(), least_bytes)?;
        let growth = curve[segment.end - 1] - curve[segment.start];
        Some(Staircase { steps, segment, growth })
    });
    found.max_by_key(|staircase| staircase.steps.len())
}

/// What came, added up.
fn births(course: &Course, last: usize) -> Vec<f64> {
    let mut sum = course.live[0].bytes;
    let later = (1..=last).map(|at| {
        sum += course.change_at(at).new.bytes;
        sum
    });
    std::iter::once(course.live[0].bytes).chain(later.collect::<Vec<_>>()).collect()
}

fn is_freed_by_gc(course: &Course) -> bool {
    let (app, gc) = (course.totals.frees_app, course.totals.frees_gc);
    gc > 0 && gc as f64 >= 0.9 * gc.saturating_add(app) as f64
}

/// Runs of snapshots without a fall inside.
fn segments(curve: &[f64]) -> Vec<Range<usize>> {
    let mut segments = Vec::new();
    let mut start = 0;
    for at in 1..curve.len() {
        if curve[at] < (1.0 - FALL) * curve[at - 1] {
            segments.push(start..at);
            start = at;
        }
    }
    segments.push(start..curve.len());
    segments
}

fn staircase(
    course: &Course,
    snapshots: &[SnapshotFacts],
    curve: &[f64],
    segment: Range<usize>,
    least_bytes: f64,
) -> Option<Vec<Step>> {
    if segment.len() < crate::trend::FEWEST_POINTS {
        return None;
    }
    let uptime = |at: usize| snapshots[at].instant.uptime_ms as f64;
    let growth = curve[segment.end - 1] - curve[segment.start];
    let increment = |at: usize| curve[at] - curve[at - 1];
    let inner = segment.start + 1..segment.end;
    let mut by_size: Vec<usize> = inner.clone().filter(|at| increment(*at) > 0.0).collect();
    by_size.sort_by(|a, b| increment(*b).total_cmp(&increment(*a)));
    let mut explained = 0.0;
    let enough = by_size.iter().position(|at| {
        explained += increment(*at);
        explained >= SHARE_OF_GROWTH * growth
    })?;
    // What is as large as the smallest of these is a step, too: the last of many equal ones would be missing.
    let smallest = 0.5 * increment(by_size[enough]);
    let mut jumps: Vec<usize> = by_size.into_iter().filter(|at| increment(*at) >= smallest).collect();
    jumps.sort_unstable();
    let rest: f64 = inner.clone().filter(|at| !jumps.contains(at)).map(|at| increment(at).abs()).sum();
    let time: f64 = jumps.iter().map(|at| uptime(*at) - uptime(*at - 1)).sum();
    let is_known = |at: &usize| {
        let new = course.change_at(*at).new;
        new.bytes_variance.sqrt() <= MOST_ERROR * new.bytes
    };
    let steps = joined(&jumps, increment);
    let sizes: Vec<f64> = steps.iter().map(|step| step.bytes).collect();
    let span = uptime(segment.end - 1) - uptime(segment.start);
    // Between the last step and the end there is no more room than for two further ones.
    let since_last = uptime(segment.end - 1) - uptime(*jumps.last()?);
    let is_staircase = steps.len() >= FEWEST_STEPS
        && time <= MOST_TIME * span
        && rest <= MOST_REST * growth
        && sizes.iter().all(|size| *size >= least_bytes)
        && spread(&sizes) <= MOST_SPREAD
        && since_last <= 2.5 * span / steps.len() as f64
        && jumps.iter().all(is_known);
    is_staircase.then_some(steps)
}

/// Neighbouring jumps are one step that a snapshot fell into.
fn joined(jumps: &[usize], increment: impl Fn(usize) -> f64) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for at in jumps {
        match steps.last_mut().filter(|step| step.snapshots.end == *at) {
            Some(step) => {
                step.snapshots.end = at + 1;
                step.bytes += increment(*at);
            }
            None => steps.push(Step { snapshots: *at..at + 1, bytes: increment(*at) }),
        }
    }
    steps
}

fn spread(sizes: &[f64]) -> f64 {
    let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
    let squares: f64 = sizes.iter().map(|size| (size - mean).powi(2)).sum();
    (squares / sizes.len() as f64).sqrt() / mean
}

/// The mean step, with the interval of what was sampled.
fn size(course: &Course, steps: &[Step], counts: Counts) -> Estimate {
    let mut change = Change::default();
    for at in steps.iter().flat_map(|step| step.snapshots.clone()) {
        let Change { new, gone } = course.change_at(at);
        change.add(&Change { new, gone: if counts == Counts::Live { gone } else { Sums::default() } });
    }
    let all = change.bytes_estimate(ERROR_RATE);
    let of_one = |bytes: f64| bytes / steps.len() as f64;
    Estimate { estimate: of_one(all.estimate), low: of_one(all.low), high: of_one(all.high) }
}

/// Milliseconds from step to step, where none is off by more than a third.
fn period(steps: &[Step], snapshots: &[SnapshotFacts]) -> Option<u64> {
    let at = |step: &Step| snapshots[step.snapshots.start].instant.uptime_ms as f64;
    let gaps: Vec<f64> = steps.windows(2).map(|pair| at(&pair[1]) - at(&pair[0])).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len().max(1) as f64;
    let is_regular = gaps.iter().all(|gap| (gap - mean).abs() <= mean / 3.0);
    (is_regular && mean > 0.0).then_some(mean.round() as u64)
}

fn coincidences(
    steps: &[Step],
    snapshots: &[SnapshotFacts],
    segment: &Range<usize>,
    happenings: &Happenings,
) -> Vec<Coincidence> {
    let mut found: Vec<(f64, Coincidence)> = Vec::new();
    let mut consider = |with: Event, test: &dyn Fn(&Happening) -> bool| {
        let hits = steps.iter().filter(|step| happenings.between[step.snapshots.clone()].iter().any(test)).count();
        let inside: Vec<usize> = steps.iter().flat_map(|step| step.snapshots.clone()).collect();
        let others: Vec<usize> = (segment.start + 1..segment.end).filter(|at| !inside.contains(at)).collect();
        let elsewhere = others.iter().filter(|at| test(&happenings.between[**at])).count() as f64;
        let elsewhere = elsewhere / others.len().max(1) as f64;
        if hits as f64 >= SHARE_OF_HITS * steps.len() as f64 && elsewhere <= MOST_ELSEWHERE {
            found.push((elsewhere, Coincidence { with, hits, steps: steps.len() }));
        }
    };
    let mut texts: BTreeMap<&str, ()> = BTreeMap::new();
    for text in happenings.between.iter().flat_map(|happening| &happening.marks) {
        texts.insert(text, ());
    }
    for text in texts.into_keys() {
        consider(Event::Mark(text.to_owned()), &|happening| happening.marks.iter().any(|mark| mark == text));
    }
    consider(Event::ThreadBurst, &|happening| happening.thread_churn >= THREAD_BURST);
    consider(Event::FullGc, &|happening| happening.full_gc);
    consider(Event::Gc, &|happening| happening.gc());
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut found: Vec<Coincidence> = found.into_iter().map(|(_, coincidence)| coincidence).collect();
    // Full collections are collections.
    if found.iter().any(|coincidence| coincidence.with == Event::FullGc) {
        found.retain(|coincidence| coincidence.with != Event::Gc);
    }
    if period(steps, snapshots).is_some_and(|ms| (ms as f64 / HOUR_MS - 1.0).abs() < 0.05) {
        found.push(Coincidence { with: Event::EveryHour, hits: steps.len(), steps: steps.len() });
    }
    found
}
