//! `leakscope report --html`: one file that opens from disk, without network.
//!
//! ```text
//! Profile, Sites, History, Timeline, Analysis ──> View (view.rs) ──> JSON ─┐
//! assets/page.html, page.css, script/*.js, vendor/uplot ───────────────────┴──> page.rs ──> the file
//! ```
//! | file | makes |
//! |---|---|
//! | `program.rs`, `series.rs` | functions, call tree and sites; their history in few bytes |
//! | `timeline.rs` | the chart |
//! | `summary.rs` | title, figures at the top, what was not tracked, the recording |
//! | `page.rs` | the file: nothing in it can be taken for markup or script that is not ours |
//!
//! The script sums up what it is given over the range that the reader chooses, and works out the interval of such a sum
//! by the formula of `leakscope-analyze`; everything else is worked out here.

mod page;
mod program;
mod series;
mod summary;
mod timeline;
mod verdicts;
mod view;

use leakscope_analyze::{Analysis, History, Sites};
use leakscope_profile::model::Profile;
use leakscope_profile::timeline::Timeline;

/// What the page is about.
#[derive(Debug, Clone, Copy)]
pub struct HtmlReport<'a> {
    /// The last snapshot, with names.
    pub profile: &'a Profile,
    /// Its sites.
    pub sites: &'a Sites,
    /// All snapshots.
    pub history: &'a History,
    /// Of each of these its file, and why it was taken.
    pub snapshots: &'a [SnapshotFile],
    /// Memory over time; empty if none was kept.
    pub timeline: &'a Timeline,
    /// The judgement, where there is one.
    pub analysis: Option<&'a Analysis>,
    /// Sentences about the recording that the profile itself does not know.
    pub notes: &'a [String],
}

/// A snapshot's file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotFile {
    /// Its name.
    pub name: String,
    /// Why the snapshot was taken.
    pub reason: String,
    /// What was resident then, 0 if unknown.
    pub resident_bytes: u64,
}

/// The page.
pub fn html_report(report: &HtmlReport<'_>) -> String {
    let program = program::program(report.history, report.sites, &verdicts::of_suspects(report));
    let (verdicts, groups) = verdicts::views(report, &program);
    let resident: Vec<u64> = report.snapshots.iter().map(|file| file.resident_bytes).collect();
    let view = view::View {
        title: crate::words::target(report.profile),
        facts: summary::facts(report),
        verdicts,
        tiles: summary::tiles(report),
        instants: summary::instants(report),
        timeline: timeline::timeline(report.timeline, report.history, &resident, report.analysis),
        groups,
        rows: summary::rows(report),
        rows_notes: summary::rows_notes(report),
        threads: summary::threads(report),
        missing: summary::missing(report, &program),
        about: summary::about(report),
        program: program.view,
    };
    page::page(&view)
}
