//! What all snapshots of one process and its timeline say: the verdicts.

use crate::reading::Reading;
use crate::say::say;
use crate::whole_recording::WholeRecording;
use leakscope_analyze::{Analysis, AnalysisOptions, SeriesBuilder, judge};

/// What the recording says up to the snapshot in `reading`, whose names are used.
///
/// Snapshots that cannot be read are left out: growth spans them. `None` if the one in `reading` is no part of a
/// recording, or a profile of another tool.
pub fn analyze(reading: &Reading, options: &AnalysisOptions) -> Option<Analysis> {
    let mut recording = WholeRecording::of(&reading.found, &reading.profile);
    recording.process.as_ref()?;
    let thinned = recording.thin();
    let mut series = SeriesBuilder::default();
    let mut is_newest = false;
    let unread = recording.each(&reading.profile, |profile| {
        is_newest = series.add(&profile) && profile.snapshot.index == reading.profile.snapshot.index;
    });
    unread.iter().chain(&thinned).for_each(|note| say(&format!("leakscope: note: {note}")));
    let newest = is_newest.then_some(&reading.profile);
    Some(judge(series, newest, &recording.timeline, options))
}
