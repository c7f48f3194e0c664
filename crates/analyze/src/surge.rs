//! THREADS: many more threads than before, and who makes them.

use leakscope_profile::model::Kind;
use leakscope_profile::timeline::Timeline;

use crate::analysis::{RowTrend, Suspect, Window};
use crate::course::{Course, Courses};
use crate::estimate::Estimate;
use crate::fix::fix;
use crate::frames::FrameTable;
use crate::judgement::{Confidence, Reason, Verdict, VerdictId};

/// A surge is at least so many more.
const FEWEST_MORE: u64 = 20;
/// And at least this part of what there was.
const LEAST_PART: f64 = 0.5;
/// Of which at least this part is still there at the end.
const STILL_THERE: f64 = 0.5;
/// The part of the surge that one place has made, for it to be named.
const MADE: f64 = 0.3;

/// A surge of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Surge {
    /// Which course made most of them.
    pub course: usize,
    from: u64,
    to: u64,
    in_ms: u64,
    at_ms: u64,
    exited: u64,
}

/// The surge of a recording: of all threads made by the program's places from the start of the window on.
///
/// A pool that is filled while the program starts is none: that is over before the window begins.
pub(crate) fn surge(courses: &Courses, timeline: &Timeline, window: &Window) -> Option<Surge> {
    let made: Vec<(usize, &Course)> =
        courses.courses.iter().enumerate().filter(|(_, course)| course.place.kind == Kind::Thread).collect();
    let threads = |course: &Course, at: usize| u64::from(course.live[at].samples);
    let all = |at: usize| made.iter().map(|(_, course)| threads(course, at)).sum::<u64>();
    let (before, end) = (all(window.first), all(window.last));
    let peak = (window.first..=window.last).max_by_key(|at| all(*at))?;
    let more = all(peak).saturating_sub(before);
    // The JVM's own threads are not among the places: they count for what there was.
    let uptime = |at: usize| courses.snapshots[at].instant.uptime_ms;
    let were = timeline.points.iter().rfind(|point| point.uptime_ms <= uptime(window.first)).map_or(0, |p| p.threads);
    let base = before.max(were);
    let stays = end.saturating_sub(before) as f64 >= STILL_THERE * more as f64;
    if more < FEWEST_MORE || (more as f64) < LEAST_PART * base as f64 || !stays {
        return None;
    }
    let grew = |course: &Course| threads(course, window.last).saturating_sub(threads(course, window.first));
    let (course, most) = made.iter().max_by_key(|(_, course)| grew(course)).copied()?;
    if (grew(most) as f64) < MADE * end.saturating_sub(before) as f64 {
        return None;
    }
    // From the last snapshot with less than a tenth of it to the first with nine.
    let reached = |part: f64| before as f64 + part * more as f64;
    let begin = (window.first..=peak).rev().find(|at| all(*at) as f64 <= reached(0.1)).unwrap_or(window.first);
    let done = (begin..=peak).find(|at| all(*at) as f64 >= reached(0.9)).unwrap_or(peak);
    Some(Surge {
        course,
        from: all(begin),
        to: all(done),
        in_ms: uptime(done) - uptime(begin),
        at_ms: uptime(done),
        exited: most.totals.frees_app.saturating_add(most.totals.frees_gc),
    })
}

impl Surge {
    /// Threads, made at this place. What a stack reserves is address space: its rate is that of what is resident of
    /// it, as far as that is known of these threads (`course`), else of the row of resident memory that all stacks fill.
    pub(crate) fn verdict(
        &self,
        table: &FrameTable,
        suspect: &Suspect,
        course: &Course,
        stacks: Option<&RowTrend>,
    ) -> Verdict {
        let Surge { from, to, in_ms, at_ms, exited, .. } = *self;
        let own = resident_part(course).zip(suspect.trend).map(|(part, trend)| part_of(&trend.rate, part));
        let rate = own.or(stacks.map(|row| row.trend.rate));
        let reserved = suspect.trend.map_or(0.0, |trend| trend.rate.estimate);
        Verdict {
            id: VerdictId::Threads,
            suspect: None,
            row: stacks.map(|row| row.class),
            rate: rate.or(suspect.trend.map(|trend| trend.rate)),
            unreclaimable: rate.map_or(reserved, |rate| rate.estimate).max(0.0),
            confidence: Confidence::High,
            reasons: vec![Reason::MoreThreads { from, to, in_ms, at_ms, exited }],
            fix: fix(table, &suspect.place),
        }
    }
}

/// What is in memory of all that these threads have reserved, 0 to 1; `None` where it is not known of each.
fn resident_part(course: &Course) -> Option<f64> {
    let (resident, reserved) = (course.now.resident.known()?, course.now.bytes_observed);
    (reserved > 0).then(|| (resident as f64 / reserved as f64).min(1.0))
}

fn part_of(rate: &Estimate, part: f64) -> Estimate {
    Estimate { estimate: rate.estimate * part, low: rate.low * part, high: rate.high * part }
}

impl Course {
    /// Whether its blocks are made along with a thread: by what starts it, before it runs.
    pub(crate) fn is_made_with_threads(&self, table: &FrameTable) -> bool {
        const STARTERS: [&str; 5] =
            ["pthread_create", "java.lang.Thread.start", "os::create_thread", "JVM_StartThread", "_dl_allocate_tls"];
        let mut frames = table.resolve(&self.place.frames);
        frames.any(|frame| STARTERS.iter().any(|starter| frame.function.starts_with(starter)))
    }
}
