//! What the snapshots say: verdicts and suspects, worked out again when there is a new one.
//!
//! Snapshots that were looked at are not read again: the series keeps what it needs of them. Of a large recording that is
//! there already not all are read, so that something is shown soon.

use crate::reading::Symbols;
use crate::recording::Process;
use crate::session_file::SnapshotEntry;
use crate::whole_recording::{fitting, thinned};
use leakscope_analyze::{Analysis, AnalysisOptions, Selection, SeriesBuilder, Suspect, judge, select};
use leakscope_profile::timeline::Timeline;
use leakscope_profile::{Profile, load};
use std::collections::HashSet;

/// What is known after a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Everything.
    pub analysis: Analysis,
    /// What each suspect can be found by, in lower case: its words and the names in its stack.
    pub words: Vec<String>,
    /// What was left out.
    pub note: Option<String>,
}

impl Findings {
    /// Those of an analysis.
    pub fn of(analysis: Analysis) -> Self {
        let words = analysis.suspects.iter().map(|suspect| words(&analysis, suspect)).collect();
        Self { analysis, words, note: None }
    }
}

fn words(analysis: &Analysis, suspect: &Suspect) -> String {
    let mut text = String::from(suspect.place.kind.as_str());
    suspect.words.iter().for_each(|word| text.extend([" ", word.as_str()]));
    for frame in analysis.frames.resolve(&suspect.place.frames) {
        text.extend([" ", frame.function.as_str(), " ", frame.file.as_str(), " ", frame.library.as_str()]);
    }
    text.to_lowercase()
}

/// Of what is there at first so much is read, however many snapshots it is: a third of what `report` reads.
const MOST_BYTES: u64 = 16 << 20;

/// Gathers the snapshots of one process as they come.
pub struct Judge {
    series: SeriesBuilder,
    seen: HashSet<String>,
    newest: Option<Profile>,
    symbols: Symbols,
    options: AnalysisOptions,
}

impl Judge {
    /// Without a snapshot.
    pub fn new(symbols: Symbols, options: AnalysisOptions) -> Self {
        Self { series: SeriesBuilder::default(), seen: HashSet::new(), newest: None, symbols, options }
    }

    /// Reads the snapshots that are new; `None` if there are none. One that cannot be read is left out.
    pub fn look(&mut self, process: &Process, timeline: &Timeline) -> Option<Findings> {
        let unseen = process.session.snapshots.iter().filter(|entry| !self.seen.contains(&entry.file));
        let unseen: Vec<SnapshotEntry> = unseen.cloned().collect();
        let fits = fitting(&process.folder, &unseen, MOST_BYTES);
        let note = thinned(fits.iter().filter(|fits| **fits).count(), unseen.len());
        self.seen.extend(unseen.iter().map(|entry| entry.file.clone()));
        let mut is_new = false;
        for (entry, _) in unseen.iter().zip(fits).filter(|(_, fits)| *fits) {
            let Ok(mut profile) = load(&process.folder.join(&entry.file)) else { continue };
            if self.series.add(&profile) {
                is_new = true;
                // The names of the newest are shown, as `report` does.
                select(&mut profile, Selection::default());
                self.newest = Some(profile);
            }
        }
        let newest = self.newest.as_mut().filter(|_| is_new)?;
        self.symbols.refine(newest);
        let mut known = timeline.clone();
        known.points.retain(|point| point.uptime_ms <= newest.snapshot.uptime_ms);
        let analysis = judge(self.series.clone(), Some(newest), &known, &self.options);
        Some(Findings { note, ..Findings::of(analysis) })
    }
}
