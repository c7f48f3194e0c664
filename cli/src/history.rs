//! All snapshots of one process and its timeline, read one after the other: what verdicts are made from.

use crate::reading::Reading;
use crate::recording::Process;
use crate::session_file::SnapshotEntry;
use crate::timeline_file;
use leakscope_analyze::{Analysis, AnalysisOptions, SeriesBuilder, judge};
use leakscope_profile::load;
use leakscope_profile::timeline::Timeline;
use std::fs;

/// What the recording of `process` says up to the snapshot in `reading`, whose names are used.
///
/// Snapshots that cannot be read are left out: growth spans them. `None` if the one in `reading` is no part of the
/// recording, or a profile of another tool.
pub fn analyze(process: &Process, reading: &Reading, options: &AnalysisOptions) -> Option<Analysis> {
    let shown = reading.found.path.file_name()?.to_str()?;
    let snapshots = &process.session.snapshots;
    let last = snapshots.iter().position(|entry| entry.file == shown)?;
    let mut series = SeriesBuilder::default();
    let mut is_newest = false;
    for SnapshotEntry { file, .. } in &snapshots[..=last] {
        if let Ok(profile) = load(&process.folder.join(file)) {
            is_newest = series.add(&profile) && file == shown;
        }
    }
    let newest = is_newest.then_some(&reading.profile);
    Some(judge(series, newest, &timeline(process, reading.profile.snapshot.uptime_ms), options))
}

/// The timeline up to an uptime; empty where there is none.
fn timeline(process: &Process, until_ms: u64) -> Timeline {
    let text = fs::read(process.folder.join(timeline_file::NAME)).unwrap_or_default();
    let mut timeline = Timeline::read(&text);
    timeline.points.retain(|point| point.uptime_ms <= until_ms);
    timeline.marks.retain(|mark| mark.uptime_ms <= until_ms);
    timeline
}
