//! From snapshots and timeline to verdicts: the whole way.
//!
//! ```text
//! Profile* > SeriesBuilder > Courses          series.rs, course.rs       what is live over time, by culprit
//! Course > Assessment, Steps, Verdict*        growth, steps, verdict.rs  does it grow, how, which words hold
//! Courses > Late                              late.rs                    from where something began to grow
//! Timeline > RowTrend*, Forecast              rows.rs                    the rows of resident memory, the limit
//! ```

use leakscope_profile::model::{Kind, Profile};
use leakscope_profile::timeline::{Class, Timeline};

use crate::analysis::{Ages, Analysis, FreedShare, Shape, Steps, Suspect, Trend, Window};
use crate::course::{Course, Courses};
use crate::estimate::{ERROR_RATE, Sums};
use crate::growth::{self, Assessment, assess, hours, least_growth, window};
use crate::happenings::Happenings;
use crate::judge_rows::Rows;
use crate::judgement::{Confidence, Reason, Verdict, VerdictId};
use crate::late::{self, Late};
use crate::rows;
use crate::rss::rss_table;
use crate::series::SeriesBuilder;
use crate::site::Grouping;
use crate::steps::steps;
use crate::surge::surge;
use crate::trend::FEWEST_POINTS;
use crate::verdict::{Context, words};

/// What the analysis is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnalysisOptions {
    /// Prefixes of the reader's own functions (`com.acme.`); empty: guessed.
    pub packages: Vec<String>,
}

/// Analyses all snapshots of one process, oldest first. [`judge`] does the same without holding them all.
pub fn analyze(profiles: &[Profile], timeline: &Timeline, options: &AnalysisOptions) -> Analysis {
    let mut series = SeriesBuilder::default();
    profiles.iter().for_each(|profile| {
        series.add(profile);
    });
    judge(series, profiles.last(), timeline, options)
}

/// Analyses what a series has gathered. `newest` is the last profile that was added, whose names may have been refined
/// since: the sites of the answer are those of [`crate::sites`] of it.
pub fn judge(
    series: SeriesBuilder,
    newest: Option<&Profile>,
    timeline: &Timeline,
    options: &AnalysisOptions,
) -> Analysis {
    let grouping = Grouping { packages: options.packages.clone(), ..Grouping::default() };
    let window = window(&series.snapshots);
    let courses = Courses::new(series, newest, &grouping, window.as_ref());
    let mut analysis = match &window {
        Some(window) => over_the_part_that_tells_most(&courses, timeline, window),
        None => without_window(&courses, timeline),
    };
    analysis.frames = courses.table;
    analysis
}

/// Over the whole window, or over a late part of it where what began late grows by more.
fn over_the_part_that_tells_most(courses: &Courses, timeline: &Timeline, window: &Window) -> Analysis {
    let happenings = Happenings::of(courses, timeline);
    let (whole, growths) = over(courses, timeline, &happenings, window, None);
    let least = least_growth(whole.forecast.map_or(0, |forecast| forecast.rss_bytes));
    let known = whole.verdicts.iter().map(|verdict| verdict.unreclaimable).fold(0.0, f64::max);
    let Some(part) = Late::part(&courses.courses, &courses.snapshots, window, least, known) else { return whole };
    let since = over(courses, timeline, &happenings, &part.window, Some((&part, &growths))).0;
    let has_begun = since.verdicts.first().is_some_and(|verdict| verdict.began_ms().is_some());
    if has_begun { since } else { whole }
}

/// Without words and rates.
fn plain(courses: &Courses, timeline: &Timeline, window: Option<Window>) -> Analysis {
    Analysis {
        instants: courses.snapshots.iter().map(|facts| facts.instant).collect(),
        forecast: rows::forecast(timeline, &courses.snapshots, window.as_ref()),
        rss: courses.snapshots.last().and_then(|last| rss_table(timeline, window, last.instant.uptime_ms)),
        window,
        ..Analysis::default()
    }
}

/// Too few snapshots: what is live, and nothing about growth.
fn without_window(courses: &Courses, timeline: &Timeline) -> Analysis {
    let mut analysis = plain(courses, timeline, None);
    let end_ms = analysis.instants.last().map_or(0, |instant| instant.uptime_ms);
    let none = Assessment::default();
    analysis.suspects =
        courses.courses.iter().map(|course| suspect(course, &none, None, Vec::new(), end_ms, None)).collect();
    analysis.suspects.sort_by(|a, b| b.live_bytes.estimate.total_cmp(&a.live_bytes.estimate));
    analysis.verdicts.push(Verdict {
        id: VerdictId::Unknown,
        suspect: None,
        row: None,
        rate: None,
        unreclaimable: 0.0,
        confidence: Confidence::Low,
        reasons: vec![Reason::TooFewSnapshots { have: analysis.instants.len(), need: FEWEST_POINTS }],
        fix: None,
    });
    analysis
}

/// Over one window, with the growth of every course; over a late part beside what grew over the whole.
fn over(
    courses: &Courses,
    timeline: &Timeline,
    happenings: &Happenings,
    window: &Window,
    late: Option<(&Late, &[Assessment])>,
) -> (Analysis, Vec<Assessment>) {
    let mut analysis = plain(courses, timeline, Some(*window));
    let rss_bytes = analysis.forecast.map_or(0, |forecast| forecast.rss_bytes);
    let least = least_growth(rss_bytes);
    let false_discoveries = if late.is_some() { late::FALSE_DISCOVERIES } else { growth::FALSE_DISCOVERIES };
    let mut growths = assess(&courses.courses, &courses.snapshots, window, least, false_discoveries);
    if let Some((part, whole)) = late {
        part.restrict(&mut growths, whole);
    }
    let context = Context {
        table: &courses.table,
        snapshots: &courses.snapshots,
        window,
        happenings,
        rss_bytes,
        malloc_bytes: analysis.rss.as_ref().and_then(|table| table.malloc_bytes()),
        live_bytes: courses.courses.iter().map(|course| course.now.bytes).sum(),
    };
    analysis.rows = rows::row_trends(timeline, window);
    analysis.resident = rows::resident(timeline, &courses.snapshots, window);
    analysis.tracked = tracked(courses, window);
    let surge = surge(courses, timeline, window);
    let mut judged: Vec<(Suspect, Vec<Verdict>)> = courses
        .courses
        .iter()
        .zip(&growths)
        .map(|(course, growth)| {
            let steps = steps(course, &courses.snapshots, window.last, happenings, least / 4.0)
                .filter(|_| course.place.kind != Kind::Thread);
            let mut verdicts = words(&context, course, growth, steps.as_ref());
            // What threads allocate when they are made is the threads' doing.
            if surge.is_some() && course.is_made_with_threads(&courses.table) {
                verdicts.clear();
            }
            let words = verdicts.iter().map(|verdict| verdict.id).collect();
            (suspect(course, growth, steps, words, window.to_ms, Some(window)), verdicts)
        })
        .collect();
    if let Some(surge) = surge {
        let (suspect, verdicts) = &mut judged[surge.course];
        suspect.words.push(VerdictId::Threads);
        let stacks = analysis.rows.iter().find(|row| row.class == Class::Stacks);
        verdicts.push(surge.verdict(&courses.table, suspect, &courses.courses[surge.course], stacks));
    }
    judged.sort_by(|(a, _), (b, _)| order(a, b));
    for (at, (suspect, verdicts)) in judged.into_iter().enumerate() {
        let verdicts = verdicts.into_iter().map(|verdict| Verdict { suspect: Some(at), ..verdict });
        analysis.verdicts.extend(verdicts);
        analysis.suspects.push(suspect);
    }
    let is_jvm = courses.snapshots[window.last].is_jvm;
    if let Some(rows) = Rows::of(&analysis, timeline, window, is_jvm) {
        let verdicts = rows.verdicts();
        analysis.verdicts.extend(verdicts);
    }
    let suspects = &analysis.suspects;
    analysis.verdicts.sort_by(|a, b| {
        let live = |verdict: &Verdict| verdict.suspect.map_or(0.0, |at| suspects[at].live_bytes.estimate);
        let by_rate = b.unreclaimable.total_cmp(&a.unreclaimable);
        by_rate.then(rank(a.id).cmp(&rank(b.id))).then(live(b).total_cmp(&live(a)))
    });
    (analysis, growths)
}

/// Those with a word first, then by growth, then by size.
fn order(a: &Suspect, b: &Suspect) -> std::cmp::Ordering {
    let rate = |suspect: &Suspect| suspect.trend.map_or(0.0, |trend| trend.rate.estimate);
    let worst = |suspect: &Suspect| suspect.words.iter().map(|word| rank(*word)).min().unwrap_or(usize::MAX);
    let is_bad = |suspect: &Suspect| worst(suspect) < rank(VerdictId::Bounded);
    is_bad(b)
        .cmp(&is_bad(a))
        .then(rate(b).total_cmp(&rate(a)))
        .then(b.live_bytes.estimate.total_cmp(&a.live_bytes.estimate))
        .then(a.place.id.cmp(&b.place.id))
}

/// Which of two words leads where both grow by the same.
pub(crate) fn rank(id: VerdictId) -> usize {
    const ORDER: [VerdictId; 11] = [
        VerdictId::Threads,
        VerdictId::Staircase,
        VerdictId::GcBound,
        VerdictId::Leak,
        VerdictId::Allocator,
        VerdictId::Jvm,
        VerdictId::Unknown,
        VerdictId::Files,
        VerdictId::Heap,
        VerdictId::Bounded,
        VerdictId::Startup,
    ];
    ORDER.iter().position(|known| *known == id).unwrap_or(ORDER.len())
}

fn suspect(
    course: &Course,
    growth: &Assessment,
    steps: Option<Steps>,
    words: Vec<VerdictId>,
    end_ms: u64,
    window: Option<&Window>,
) -> Suspect {
    Suspect {
        place: course.place.clone(),
        sites: course.sites.clone(),
        live: course.live.iter().map(|flow| flow.bytes).collect(),
        live_bytes: course.now.bytes_estimate(ERROR_RATE),
        live_objects: course.now.objects_estimate(ERROR_RATE),
        samples: course.now.samples,
        trend: growth.trend,
        shape: growth.shape,
        steps,
        freed: freed(course),
        ages: ages(course, growth, end_ms, window),
        words,
    }
}

fn freed(course: &Course) -> FreedShare {
    let totals = &course.totals;
    let allocated = totals.bytes.max(course.now.bytes);
    let part = |bytes: f64| if allocated > 0.0 { (bytes / allocated).clamp(0.0, 1.0) } else { 0.0 };
    let (by_app, by_gc) = (part(totals.freed_by_app), part(totals.freed_by_gc));
    FreedShare {
        allocated_bytes: allocated,
        by_app,
        by_gc,
        never: (1.0 - by_app - by_gc).max(0.0),
        frees_app: totals.frees_app,
        frees_gc: totals.frees_gc,
    }
}

fn ages(course: &Course, growth: &Assessment, end_ms: u64, window: Option<&Window>) -> Ages {
    let age = |born_ms: u64| end_ms.saturating_sub(born_ms);
    let mut cohorts: Vec<(u64, f64)> = course.cohorts.iter().map(|c| (age(c.oldest_ms), c.live.bytes)).collect();
    cohorts.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    let half = cohorts.iter().map(|(_, bytes)| bytes).sum::<f64>() / 2.0;
    let mut older = 0.0;
    let median = cohorts.iter().find(|(_, bytes)| {
        older += bytes;
        older >= half
    });
    let is_flat = !matches!(growth.shape, Shape::Growing | Shape::Shrinking | Shape::Unknown);
    let lifetime = window.filter(|_| is_flat && course.totals.bytes > 0.0).map(|window| {
        let levels = &course.live[window.first..=window.last];
        let live = levels.iter().map(|flow| flow.bytes).sum::<f64>() / levels.len() as f64;
        live / (course.totals.bytes / hours(end_ms)) * 3_600_000.0
    });
    Ages {
        oldest_ms: cohorts.first().map(|(age, _)| *age),
        median_ms: median.map(|(age, _)| *age),
        // Blocks that stay for as long as we look have no lifetime that could be seen.
        mean_lifetime_ms: lifetime.filter(|ms| *ms < 0.5 * end_ms as f64).map(|ms| ms as u64),
    }
}

/// Everything that is tracked, as one.
fn tracked(courses: &Courses, window: &Window) -> Option<Trend> {
    let values: Vec<(u64, f64)> = (window.first..=window.last)
        .map(|at| {
            let live = courses.courses.iter().filter(|c| c.place.kind != Kind::Thread).map(|c| c.live[at].bytes);
            (courses.snapshots[at].instant.uptime_ms, live.sum())
        })
        .collect();
    let mut trend = rows::trend(&values)?;
    let (mut new, mut gone) = (Sums::default(), Sums::default());
    for course in courses.courses.iter().filter(|course| course.place.kind != Kind::Thread) {
        let change = course.change_since(window.first, &courses.snapshots);
        new.add(&change.new);
        gone.add(&change.gone);
    }
    let change = crate::change::Change { new, gone }.bytes_estimate(ERROR_RATE);
    let span = hours(window.to_ms.saturating_sub(window.from_ms));
    trend.rate.low = trend.rate.low.min(trend.rate.estimate - (change.estimate - change.low) / span);
    trend.rate.high = trend.rate.high.max(trend.rate.estimate + (change.high - change.estimate) / span);
    Some(trend)
}
