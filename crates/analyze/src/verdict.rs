//! The rules: which of the fixed words hold of a place, and why (DESIGN 7).
//!
//! | word | rule |
//! |---|---|
//! | GC-BOUND | the JVM's reference threads free it (20 sampled frees at least, half of all, or a tenth where no full collection was outlived), or it falls only at collections; and it grows, or holds at least 16 MiB and 5 % of resident memory |
//! | STAIRCASE | few jumps explain its growth (`steps.rs`) |
//! | LEAK | it grows (`growth.rs`), and is not GC-BOUND: or it is, and what was born before a full collection outlived it |
//! | JVM | the JVM itself allocates it, for its own ends |
//! | BOUNDED, STARTUP | it grew, and has stopped |
//!
//! THREADS is judged in `surge.rs`, the rows of resident memory in `judge_rows.rs`.

use leakscope_profile::model::Kind;

use crate::analysis::{Shape, Steps, Window};
use crate::course::Course;
use crate::estimate::{ERROR_RATE, Estimate};
use crate::fix::fix;
use crate::frames::FrameTable;
use crate::growth::Assessment;
use crate::happenings::Happenings;
use crate::judgement::{Confidence, Reason, Verdict, VerdictId};
use crate::series::SnapshotFacts;

/// Sampled frees from which on it can be said who frees.
const FEWEST_FREES: u64 = 20;
/// Part of them by reference-handling threads from which on it is they who free a place; below, others forget to.
pub const GC_SHARE: f64 = 0.5;
/// Part of them from which on it is worth a word that some are never freed otherwise: those that somebody forgets to close.
const SOME_GC: f64 = 0.1;
/// What a place holds that only a collection frees matters from this on, bytes.
const LARGE_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
/// And from this part of resident memory on.
const LARGE_OF_RSS: f64 = 0.05;
/// Falls from which on it can be said that they come with collections.
const FEWEST_FALLS: usize = 2;
/// A fall takes at least this part of what was live.
const FALL: f64 = 0.1;
/// Collections in more than this part of all intervals prove nothing.
const MOST_GC_INTERVALS: f64 = 0.5;
/// A cache is worth a word from this part of what is live on.
const WORTH_A_WORD: f64 = 0.1;
const WORTH_BYTES: f64 = 1024.0 * 1024.0;
/// A place that surely holds so many times what the allocator has resident was not touched as a whole. The two are
/// measured some seconds apart.
const CLEARLY_MORE: f64 = 1.25;

/// What the rules look at besides the place.
pub(crate) struct Context<'a> {
    pub table: &'a FrameTable,
    pub snapshots: &'a [SnapshotFacts],
    pub window: &'a Window,
    pub happenings: &'a Happenings,
    pub rss_bytes: u64,
    /// Of it, the allocator's, where that is known.
    pub malloc_bytes: Option<f64>,
    /// Everything that is live at the end of the window.
    pub live_bytes: f64,
}

/// The words of one place.
pub(crate) fn words(
    context: &Context<'_>,
    course: &Course,
    growth: &Assessment,
    steps: Option<&Steps>,
) -> Vec<Verdict> {
    if course.place.kind == Kind::Thread {
        return Vec::new();
    }
    let case = Case { context, course, growth };
    let full_gcs = case.full_gcs();
    let gc_bound = case.gc_bound(&full_gcs);
    let mut verdicts = Vec::new();
    if let Some(steps) = steps.filter(|_| !course.place.is_jvms_own) {
        verdicts.push(case.staircase(steps));
    }
    match (gc_bound, growth.is_growing) {
        (_, true) if course.place.is_jvms_own => verdicts.push(case.jvm()),
        (Some(reasons), true) if !matches!(full_gcs, AfterFullGcs::Outlived(_)) => {
            let confidence = if case.gc_share() >= GC_SHARE { Confidence::High } else { Confidence::Medium };
            verdicts.push(case.verdict(VerdictId::GcBound, confidence, reasons))
        }
        (_, true) => verdicts.push(case.leak(&full_gcs)),
        (Some(mut reasons), false) => {
            reasons.push(case.holds());
            verdicts.push(case.verdict(VerdictId::GcBound, Confidence::Medium, reasons));
        }
        (None, false) => verdicts.extend(case.ended()),
    }
    verdicts
}

/// What full collections say of a place.
enum AfterFullGcs {
    /// There was none, or none that says anything of what it left.
    NoneSeen,
    /// It outlived so many.
    Outlived(u64),
    /// The last one released most of what was live before.
    Released,
    /// Nothing: little was live before, or its blocks come and go anyway.
    Unclear,
}

struct Case<'a> {
    context: &'a Context<'a>,
    course: &'a Course,
    growth: &'a Assessment,
}

impl Case<'_> {
    fn rate(&self) -> Option<Estimate> {
        self.growth.trend.map(|trend| trend.rate)
    }

    fn verdict(&self, id: VerdictId, confidence: Confidence, mut reasons: Vec<Reason>) -> Verdict {
        if let Some(at_ms) = self.growth.began_ms {
            reasons.insert(0, Reason::BeganLate { at_ms });
        }
        if self.growth.is_growing
            && let Some(trend) = self.growth.trend
        {
            reasons.insert(0, Reason::Grows { rate: trend.rate, snapshots: trend.points });
        }
        if self.is_partly_untouched() {
            reasons.push(Reason::NeverTouched);
        }
        let is_over = matches!(id, VerdictId::Bounded | VerdictId::Startup);
        let grows = self.growth.is_growing || id == VerdictId::Staircase;
        let unreclaimable = match self.rate() {
            Some(rate) if grows && !is_over => rate.estimate.max(0.0),
            _ => 0.0,
        };
        let fix = if is_over { None } else { fix(self.context.table, &self.course.place) };
        Verdict { id, suspect: None, row: None, rate: self.rate(), unreclaimable, confidence, reasons, fix }
    }

    /// Why it is freed by the garbage collector only; `None` if that cannot be said, or does not matter.
    fn gc_bound(&self, full_gcs: &AfterFullGcs) -> Option<Vec<Reason>> {
        let (gc, frees, share) = (self.course.totals.frees_gc, self.frees(), self.gc_share());
        let large = LARGE_BYTES.max(LARGE_OF_RSS * self.context.rss_bytes as f64);
        let matters = self.growth.is_growing || self.often_holds() >= large;
        if !matters {
            return None;
        }
        let mut reasons = Vec::new();
        // What a full collection did not release waits for none, and is no part of what some forget to close.
        let is_some = share >= SOME_GC && !matches!(full_gcs, AfterFullGcs::Outlived(_));
        if gc >= FEWEST_FREES && (share >= GC_SHARE || is_some) {
            reasons.push(Reason::FreedBy { gc_share: share, frees });
        }
        reasons.extend(self.falls_only_at_gc());
        (!reasons.is_empty()).then_some(reasons)
    }

    /// What it holds in a quarter of the window at least: a place that collections empty holds little just then.
    fn often_holds(&self) -> f64 {
        let window = self.context.window;
        let mut levels: Vec<f64> = self.course.live[window.first..=window.last].iter().map(|flow| flow.bytes).collect();
        levels.sort_by(f64::total_cmp);
        levels[levels.len() * 3 / 4]
    }

    /// Part of its sampled frees by reference-handling threads.
    fn gc_share(&self) -> f64 {
        self.course.totals.frees_gc as f64 / self.frees().max(1) as f64
    }

    fn frees(&self) -> u64 {
        self.course.totals.frees_app.saturating_add(self.course.totals.frees_gc)
    }

    /// Every fall that is beyond chance came with a collection, and collections were not all the time.
    fn falls_only_at_gc(&self) -> Option<Reason> {
        let happenings = &self.context.happenings.between;
        let intervals = 1..=self.context.window.last;
        let is_fall = |at: &usize| {
            let change = self.course.change_at(*at);
            let fell = change.gone.bytes - change.new.bytes;
            fell >= FALL * self.course.live[*at - 1].bytes
                && change.direction(ERROR_RATE, 0.0) == Some(crate::change::Direction::Down)
        };
        let falls: Vec<usize> = intervals.clone().filter(is_fall).collect();
        if falls.len() < FEWEST_FALLS || !self.context.happenings.knows_gcs {
            return None;
        }
        let only = |test: &dyn Fn(usize) -> bool| {
            let all = intervals.clone().filter(|at| test(*at)).count() as f64;
            falls.iter().all(|at| test(*at)) && all <= MOST_GC_INTERVALS * self.context.window.last as f64
        };
        let full = only(&|at| happenings[at].full_gc);
        (full || only(&|at| happenings[at].gc())).then_some(Reason::FallsOnlyAtGc { falls: falls.len(), full })
    }

    /// What the full collections of the window say: its blocks outlived them if at least half of what was live before the
    /// last one still is.
    fn full_gcs(&self) -> AfterFullGcs {
        let window = self.context.window;
        let seen = self.context.happenings.full_gcs(window.from_ms, window.to_ms);
        let Some(last) = seen.last() else { return AfterFullGcs::NoneSeen };
        // One that was taken after the point before may have come after the collection.
        let is_before = |at: &usize| self.context.snapshots[*at].instant.uptime_ms <= last.after_ms;
        let Some(before) = (0..=window.last).rev().find(is_before) else { return AfterFullGcs::Unclear };
        let (was, totals) = (self.course.live[before].bytes, &self.course.totals);
        let gone = self.course.change_since(before, self.context.snapshots).gone.bytes;
        match () {
            () if was <= 0.0 => AfterFullGcs::Unclear,
            () if gone <= 0.5 * was && !last.are_whole => AfterFullGcs::NoneSeen,
            () if gone <= 0.5 * was => AfterFullGcs::Outlived(seen.iter().map(|gcs| gcs.count).sum()),
            () if self.fell(before, last.until_ms) && totals.frees_gc >= totals.frees_app => AfterFullGcs::Released,
            () => AfterFullGcs::Unclear,
        }
    }

    /// Whether less was live after a snapshot, at one no later than the first from `until_ms` on.
    fn fell(&self, snapshot: usize, until_ms: u64) -> bool {
        let until = self.context.snapshots.partition_point(|facts| facts.instant.uptime_ms < until_ms);
        let was = self.course.live[snapshot].bytes;
        self.course.live[snapshot..].iter().take(until - snapshot + 1).any(|flow| flow.bytes <= (1.0 - FALL) * was)
    }

    fn leak(&self, full_gcs: &AfterFullGcs) -> Verdict {
        let mut reasons = Vec::new();
        let is_jvm = self.context.snapshots[self.context.window.last].is_jvm;
        let is_of_java = is_jvm && !self.course.place.is_jvms_own;
        let reason = match full_gcs {
            AfterFullGcs::Outlived(full_gcs) => Some(Reason::SurvivesFullGcs { full_gcs: *full_gcs }),
            AfterFullGcs::Released => Some(Reason::FallsOnlyAtGc { falls: 1, full: true }),
            AfterFullGcs::NoneSeen => is_of_java.then_some(Reason::NoFullGc),
            AfterFullGcs::Unclear => None,
        };
        let is_proven = !is_of_java || matches!(full_gcs, AfterFullGcs::Outlived(_));
        let mut confidence = if is_proven { Confidence::High } else { Confidence::Medium };
        reasons.extend(reason);
        reasons.push(self.freed());
        if self.course.totals.frees_app > 0 && !matches!(full_gcs, AfterFullGcs::Outlived(_)) {
            reasons.push(Reason::MayBeFilling);
        }
        if let Some(missed) = self.missed_frees() {
            reasons.push(missed);
            confidence = Confidence::Low;
        }
        self.verdict(VerdictId::Leak, confidence, reasons)
    }

    fn freed(&self) -> Reason {
        match self.frees() {
            0 => Reason::NeverFreed { samples: self.course.now.samples },
            frees => Reason::FreedBy { gc_share: self.gc_share(), frees },
        }
    }

    /// Frees that bypassed the recording could explain it, if there were as many as it has live samples.
    fn missed_frees(&self) -> Option<Reason> {
        let count = self.context.snapshots[self.context.window.last].missed_frees;
        (self.course.place.kind == Kind::Malloc && count > 0 && count >= self.course.now.samples)
            .then_some(Reason::MissedFrees { count })
    }

    fn staircase(&self, steps: &Steps) -> Verdict {
        let confidence = if steps.coincides.is_empty() { Confidence::Medium } else { Confidence::High };
        self.verdict(VerdictId::Staircase, confidence, vec![Reason::Steps(steps.clone()), self.freed()])
    }

    fn jvm(&self) -> Verdict {
        self.verdict(VerdictId::Jvm, Confidence::Medium, vec![self.freed()])
    }

    fn holds(&self) -> Reason {
        let live = self.course.now.bytes_estimate(ERROR_RATE);
        let rss = self.context.rss_bytes as f64;
        let is_known = rss > 0.0 && !self.is_partly_untouched();
        Reason::Holds { live, of_resident: is_known.then(|| (live.estimate / rss).min(1.0)) }
    }

    fn is_partly_untouched(&self) -> bool {
        let least = self.course.now.bytes_estimate(ERROR_RATE).low;
        let resident = self.context.malloc_bytes.filter(|_| self.course.place.kind == Kind::Malloc);
        resident.is_some_and(|resident| least > CLEARLY_MORE * resident)
    }

    /// It grew, and has stopped; said only of what is a good part of everything.
    fn ended(&self) -> Option<Verdict> {
        let (id, since_ms) = match self.growth.shape {
            Shape::Bounded { flat_since_ms } => (VerdictId::Bounded, flat_since_ms),
            // What is replaced all the time is a cache, however soon it was full.
            Shape::Startup { flat_since_ms } if self.frees() >= self.course.now.samples => {
                (VerdictId::Bounded, flat_since_ms)
            }
            Shape::Startup { flat_since_ms } => (VerdictId::Startup, flat_since_ms),
            _ => return None,
        };
        let live = self.course.now.bytes;
        if self.course.place.is_jvms_own || live < WORTH_BYTES || live < WORTH_A_WORD * self.context.live_bytes {
            return None;
        }
        let rate = self.growth.trend?.last_third;
        Some(self.verdict(id, Confidence::Medium, vec![Reason::FlatSince { since_ms, rate }, self.holds()]))
    }
}
