//! What all snapshots of one process and its timeline say: the verdicts.

use crate::reading::Reading;
use crate::say::say;
use crate::session_file::SnapshotEntry;
use crate::whole_recording::WholeRecording;
use leakscope_analyze::{Analysis, AnalysisOptions, SeriesBuilder, judge};
use std::fs;

/// Of a recording that is larger than this not all snapshots are read: reading is what takes the time.
const MOST_BYTES: u64 = 48 << 20;
/// So many are, however large they are.
const FEWEST_READ: usize = 60;

/// What the recording says up to the snapshot in `reading`, whose names are used.
///
/// Snapshots that cannot be read are left out: growth spans them. `None` if the one in `reading` is no part of a
/// recording, or a profile of another tool.
pub fn analyze(reading: &Reading, options: &AnalysisOptions) -> Option<Analysis> {
    let mut recording = WholeRecording::of(&reading.found, &reading.profile);
    let folder = recording.process.as_ref()?.folder.clone();
    let bytes = |entry: &SnapshotEntry| fs::metadata(folder.join(&entry.file)).map_or(0, |file| file.len());
    let total = recording.snapshots.iter().map(bytes).sum();
    let mut chosen = chosen(recording.snapshots.len(), total).into_iter();
    recording.snapshots.retain(|_| chosen.next().unwrap_or(false));
    let mut series = SeriesBuilder::default();
    let mut is_newest = false;
    let unread = recording.each(&reading.profile, |profile| {
        is_newest = series.add(&profile) && profile.snapshot.index == reading.profile.snapshot.index;
    });
    unread.iter().for_each(|note| say(&format!("leakscope: note: {note}")));
    let newest = is_newest.then_some(&reading.profile);
    Some(judge(series, newest, &recording.timeline, options))
}

/// Which snapshots are read: all, or as many as fit, evenly, the first and the last among them. Growth between two
/// snapshots is paired whatever lies between them, so that nothing but detail is lost.
fn chosen(snapshots: usize, total_bytes: u64) -> Vec<bool> {
    let fit = (snapshots as u64).saturating_mul(MOST_BYTES) / total_bytes.max(1);
    let most = usize::try_from(fit).unwrap_or(usize::MAX).max(FEWEST_READ);
    if snapshots <= most {
        return vec![true; snapshots];
    }
    let mut chosen = vec![false; snapshots];
    (0..most).for_each(|at| chosen[at * (snapshots - 1) / (most - 1)] = true);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_recordings_are_read_in_part() {
        let count = |snapshots, bytes| chosen(snapshots, bytes).into_iter().filter(|is| *is).count();
        assert_eq!((count(240, 20 << 20), count(240, 0), count(0, 0), count(50, 1 << 40)), (240, 240, 0, 50));
        assert_eq!((count(240, 96 << 20), count(240, 1 << 40)), (120, 60));
        let few = chosen(240, 1 << 40);
        assert!(few[0] && few[239]);
        let gaps: Vec<usize> = few.split(|is| *is).map(<[bool]>::len).collect();
        assert!(gaps.iter().all(|gap| *gap <= 4), "{gaps:?}");
    }
}
