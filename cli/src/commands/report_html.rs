//! `leakscope report --html`: the whole recording as one page.

use crate::args::ReportArgs;
use crate::exit;
use crate::profile_file;
use crate::reading::{self, Symbols};
use crate::say::say;
use crate::sizes;
use crate::whole_recording::WholeRecording;
use anyhow::Result;
use leakscope_analyze::{AnalysisOptions, HistoryBuilder, SeriesBuilder, Sites, judge, select, sites};
use leakscope_report::{HtmlReport, SnapshotFile, html_report};
use std::path::Path;

/// Writes the page.
///
/// # Errors
/// Nothing is there, it is no profile, or the page exists or cannot be written.
pub fn run(args: &ReportArgs, path: &Path) -> Result<u8> {
    profile_file::spare(path, args.force)?;
    let mut symbols = Symbols::new(&args.symbols);
    let mut reading = reading::read(&args.recording, &mut symbols)?;
    let mut recording = WholeRecording::of(&reading.found, &reading.profile);
    let thinned = recording.thin();
    let selection = args.kind.selection(args.all);
    let (mut series, mut history, mut resident) = (SeriesBuilder::default(), HistoryBuilder::default(), Vec::new());
    let mut notes = recording.each(&reading.profile, |mut profile| {
        series.add(&profile);
        select(&mut profile, selection);
        resident.push(profile.memory.rss_bytes);
        history.add(&profile);
    });
    let options = AnalysisOptions { packages: args.sites.packages.clone() };
    let analysis =
        recording.process.as_ref().map(|_| judge(series, Some(&reading.profile), &recording.timeline, &options));
    let jvms_own = select(&mut reading.profile, selection);
    let grouping = args.sites.grouping();
    let history = history.finish(&reading.profile, &grouping);
    let sites = Sites { jvms_own, ..sites(&reading.profile, &grouping) };
    let name = args.recording.split('@').next().unwrap_or(&args.recording);
    notes.extend(thinned);
    notes.extend(recording.process.iter().flat_map(|process| super::report::notes(process, name, &reading)));
    let files = recording.snapshots.iter().zip(&resident).map(|(entry, resident)| SnapshotFile {
        name: entry.file.clone(),
        reason: entry.reason.clone(),
        resident_bytes: *resident,
    });
    let snapshots: Vec<SnapshotFile> = files.collect();
    let page = html_report(&HtmlReport {
        profile: &reading.profile,
        sites: &sites,
        history: &history,
        snapshots: &snapshots,
        timeline: &recording.timeline,
        analysis: analysis.as_ref(),
        notes: &notes,
    });
    super::flame::write(path, |out| out.write_all(page.as_bytes()))?;
    symbols.say_warnings();
    say(&format!(
        "leakscope: {} written ({}, {}); open it in a browser",
        path.display(),
        sizes::bytes(page.len() as u64),
        if snapshots.len() == 1 { "1 snapshot".to_owned() } else { format!("{} snapshots", snapshots.len()) },
    ));
    Ok(exit::OK)
}
