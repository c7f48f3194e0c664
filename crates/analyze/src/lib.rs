//! Numbers only: what is live and what grew, by site, each with its interval.
//!
//! Stands between the profile and the report. [`sites`] is the arithmetic of `leakscope report`, [`diff`] that of
//! `leakscope diff`; what they return holds every figure that is printed, so that the report computes nothing.
//!
//! ```text
//! Row* > Sums > Estimate              estimate.rs, gamma.rs      the interval of a sum
//! Stack > SiteFrame* > Place          names, frames, site.rs     which stacks are one place
//! Timeline > RssTable              rss.rs                     where the resident memory is
//! Round* > Gate                       gate                       CI: growth by iteration, against budgets
//! Sums A, Sums B > Change > Status    change, discovery, diff.rs what grew, and whether that is chance
//! ```
//!
//! Deliberately absent: files, clocks, text beyond the words of the model, unsafe code. The inclusion probability
//! itself is in `leakscope-sampling`, where the target uses the same function.
#![forbid(unsafe_code)]

mod analysis;
mod application;
mod change;
mod course;
mod diff;
mod discovery;
mod estimate;
mod fix;
mod frames;
mod gamma;
pub mod gate;
mod growth;
mod happenings;
mod hash;
mod heap;
mod history;
mod housekeeping;
mod judge;
mod judge_rows;
mod judgement;
mod late;
mod names;
mod parallel;
mod raw_stacks;
mod release;
mod rows;
mod rss;
mod select;
mod series;
mod site;
mod sites;
mod steps;
mod student;
pub mod suppression;
mod surge;
mod trend;
mod verdict;

pub use analysis::{
    Ages, Analysis, Coincidence, Event, Forecast, FreedShare, Instant, RowTrend, Shape, Steps, Suspect, TimeRange,
    Trend, Window,
};
pub use application::is_framework;
pub use change::{Change, Direction, FEWEST_SAMPLES};
pub use diff::{Diff, DiffOptions, Growth, Status, diff};
pub use estimate::{ERROR_RATE, Estimate, Missable, Sums};
pub use frames::{FrameKind, FrameTable, SiteFrame, SiteFrameId};
pub use history::{Allocated, Cell, History, HistoryBuilder, SiteHistory};
pub use housekeeping::set_housekeeping_aside;
pub use judge::{AnalysisOptions, analyze, judge};
pub use judgement::{Confidence, Fix, Reason, Remedy, Verdict, VerdictId};
pub use names::{java_name, key_name, library_name, native_name};
pub use release::{Release, Releases, releases};
pub use rows::forecast_now;
pub use rss::{JvmSplit, RssChange, RssRow, RssTable, RssWhat, rss_layers, rss_table};
pub use select::{JvmsOwn, Kinds, Selection, jvms_own_rows, select};
pub use series::SeriesBuilder;
pub use site::{By, Grouping, Place, SiteId};
pub use sites::{Amounts, Freed, Site, Sites, sites};
pub use verdict::GC_SHARE;
