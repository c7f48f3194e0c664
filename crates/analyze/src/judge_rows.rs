//! Verdicts about rows of resident memory: what grows though nothing that is tracked explains it.
//!
//! | word | rule |
//! |---|---|
//! | ALLOCATOR | what the allocator holds beyond live blocks grows, and what is live surely does not, or little: its trend, or what it is at its lowest |
//! | JVM, FILES | that row grows |
//! | HEAP | that row grows, and the heap does, not only into what it had ([`crate::heap`]); beside an accused place only if it grows by more |
//! | UNKNOWN | resident memory grows, no row explains it, and no place was accused |
//!
//! All of them only where resident memory grows by as much as matters, and the row by two fifths of it at least.

use leakscope_profile::timeline::{Class, Timeline};

use crate::analysis::{Analysis, RowTrend, Shape, Suspect, Trend, Window};
use crate::growth::{deepest_fall, hours};
use crate::heap;
use crate::judge::rank;
use crate::judgement::{Confidence, Fix, Reason, Remedy, Verdict, VerdictId};
use crate::rows;

/// Growth of resident memory matters from this on in a window, bytes, or as a part of it.
const LEAST_BYTES: f64 = 8.0 * 1024.0 * 1024.0;
const LEAST_OF_RSS: f64 = 0.05;
/// In the last third at least this part of the mean.
const GOES_ON: f64 = 0.25;
/// A row explains the growth of resident memory if it is this part of it.
const EXPLAINS: f64 = 0.4;
/// What is live is flat if it surely grows by less than this part of what is resident.
const MOST_LIVE: f64 = 0.6;
/// Of that, at its lowest: of a leak beside waves the lowest rises by two thirds of all, being means of thirds.
const MOST_LOWEST: f64 = 0.3;

/// A place at which at least this part of all growth came is most of it, if it never fell by a quarter of that, and came to a
/// quarter of what resident memory grew by.
const MOSTLY: f64 = 0.6;
const MOST_FALL: f64 = 0.25;
const MATTERS: f64 = 0.25;

/// The rows of a process whose resident memory grows.
pub(crate) struct Rows<'a> {
    analysis: &'a Analysis,
    rows: Vec<RowTrend>,
    /// What the allocator holds beyond live blocks.
    kept: Option<Trend>,
    resident: Trend,
    /// Bytes by which what is live rose where it was lowest.
    lowest_rose: Option<f64>,
    span_hours: f64,
    least_bytes: f64,
    /// Bytes per hour that a place was accused of.
    blamed: f64,
    /// Whether the Java heap takes or keeps more and more.
    heap_grows: bool,
}

impl<'a> Rows<'a> {
    /// `None` if resident memory does not grow.
    pub(crate) fn of(analysis: &'a Analysis, timeline: &Timeline, window: &Window, is_jvm: bool) -> Option<Rows<'a>> {
        let rss_bytes = analysis.forecast.map_or(0, |forecast| forecast.rss_bytes);
        let (rows, kept) = match analysis.rows.is_empty() {
            true => rows::estimated(timeline, window, is_jvm),
            false => (analysis.rows.clone(), rows::kept_by_allocator(timeline, window)),
        };
        let blamed = analysis.verdicts.iter().map(|verdict| verdict.unreclaimable).fold(0.0, f64::max);
        let least_bytes = LEAST_BYTES.max(LEAST_OF_RSS * rss_bytes as f64);
        let found = Rows {
            analysis,
            heap_grows: heap::grows(timeline, window, analysis.forecast.as_ref(), least_bytes),
            rows,
            kept,
            resident: analysis.resident?,
            lowest_rose: rows::rise_of_lowest(timeline, window),
            span_hours: hours(window.to_ms - window.from_ms),
            least_bytes,
            blamed,
        };
        found.grows(&found.resident).then_some(found)
    }

    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let mut found: Vec<Verdict> = self.rows.iter().filter_map(|row| self.verdict(row)).collect();
        let is_accused = |verdict: &Verdict| rank(verdict.id) < rank(VerdictId::Allocator);
        if found.is_empty() && !self.is_heap_filling() && !self.analysis.verdicts.iter().any(is_accused) {
            found.push(self.unknown());
        }
        found
    }

    fn verdict(&self, row: &RowTrend) -> Option<Verdict> {
        let rate = row.trend.rate.estimate;
        let is_accused = self.blamed > 0.0;
        match row.class {
            Class::Allocator => {
                // That what is live is flat has to be known, not only not seen to grow.
                let kept = self.kept.filter(|kept| self.explains(kept) && (self.is_live_flat() || is_accused))?;
                Some(self.of_row(VerdictId::Allocator, row.class, &kept, Remedy::TrimAllocator, kept.rate.estimate))
            }
            Class::Jvm => self.grown(VerdictId::Jvm, row, Remedy::TrackJvm, rate),
            // Both end by themselves: at the heap's limit, or when the kernel wants the pages.
            Class::JavaHeap if self.heap_grows && row.trend.rate.low >= self.blamed => {
                self.grown(VerdictId::Heap, row, Remedy::BoundHeap, 0.0)
            }
            Class::MappedFile | Class::Files if !is_accused => self.grown(VerdictId::Files, row, Remedy::Unmap, 0.0),
            _ => None,
        }
    }

    fn grows(&self, trend: &Trend) -> bool {
        let rate = trend.rate.estimate;
        let goes_on = trend.last_third.estimate >= GOES_ON * rate;
        trend.rate.low > 0.0 && rate * self.span_hours >= self.least_bytes && goes_on
    }

    fn explains(&self, trend: &Trend) -> bool {
        self.grows(trend) && trend.rate.estimate >= EXPLAINS * self.resident.rate.estimate
    }

    fn grown(&self, id: VerdictId, row: &RowTrend, remedy: Remedy, unreclaimable: f64) -> Option<Verdict> {
        self.explains(&row.trend).then(|| self.of_row(id, row.class, &row.trend, remedy, unreclaimable))
    }

    /// Whether what grows is a heap on its way to what it has taken already. It is touched by fits and starts, so that the
    /// trend of a young one is uncertain; that resident memory grows is known.
    fn is_heap_filling(&self) -> bool {
        let is_large = |row: &RowTrend| row.trend.rate.estimate >= EXPLAINS * self.resident.rate.estimate;
        !self.heap_grows && self.rows.iter().any(|row| row.class == Class::JavaHeap && is_large(row))
    }

    fn is_live_flat(&self) -> bool {
        let most = MOST_LIVE * self.resident.rate.estimate;
        // Where work comes in waves the trend is uncertain for long; what is live between them is not.
        let is_low = || self.lowest_rose.is_some_and(|rose| rose <= MOST_LOWEST * most * self.span_hours);
        self.analysis.tracked.is_some_and(|live| live.rate.high <= most || (live.rate.low <= 0.0 && is_low()))
    }

    fn of_row(&self, id: VerdictId, class: Class, trend: &Trend, remedy: Remedy, unreclaimable: f64) -> Verdict {
        let mut reasons = vec![Reason::RowGrows { class, rate: trend.rate }];
        let tracked = self.analysis.tracked.filter(|_| self.blamed <= 0.0 && self.is_live_flat());
        reasons.extend(tracked.map(|tracked| Reason::TrackedFlat { rate: tracked.rate }));
        reasons.push(Reason::ResidentGrows { rate: self.resident.rate });
        Verdict {
            id,
            suspect: None,
            row: Some(class),
            rate: Some(trend.rate),
            unreclaimable,
            confidence: Confidence::Medium,
            reasons,
            fix: Some(Fix { remedy, what: None, at: None }),
        }
    }

    /// The place at which most of what is live came, of which it cannot be told yet whether it goes on.
    fn mostly_at(&self) -> Option<Reason> {
        let window = self.analysis.window?;
        let grew = |suspect: &Suspect| suspect.live[window.last] - suspect.live[window.first];
        let all: f64 = self.analysis.suspects.iter().map(grew).filter(|bytes| *bytes > 0.0).sum();
        let (at, bytes) = self.analysis.suspects.iter().map(grew).enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let suspect = &self.analysis.suspects[at];
        let never_fell = deepest_fall(suspect.live[window.first..=window.last].iter().copied()) <= MOST_FALL * bytes;
        let least = self.least_bytes.max(MATTERS * self.resident.rate.estimate * self.span_hours);
        let is_most = bytes >= MOSTLY * all && bytes >= least;
        (is_most && never_fell && suspect.shape == Shape::Unknown).then_some(Reason::MostlyAt { suspect: at, bytes })
    }

    fn unknown(&self) -> Verdict {
        let mut reasons = vec![Reason::ResidentGrows { rate: self.resident.rate }];
        reasons.extend(self.analysis.tracked.map(|live| match self.is_live_flat() {
            true => Reason::TrackedFlat { rate: live.rate },
            false => Reason::TrackedUnclear { rate: live.rate },
        }));
        reasons.extend(self.mostly_at());
        Verdict {
            id: VerdictId::Unknown,
            suspect: None,
            row: None,
            rate: Some(self.resident.rate),
            unreclaimable: 0.0,
            confidence: Confidence::Low,
            reasons,
            fix: None,
        }
    }
}
