//! `leakscope report`: what kind of leak it is, if it is one, and what is live, by site.

use crate::args::ReportArgs;
use crate::exit;
use crate::history;
use crate::reading::{self, Reading, Symbols};
use crate::recording::Process;
use crate::say::say;
use crate::session_file::SnapshotEntry;
use crate::sizes::{bytes, duration};
use anyhow::Result;
use leakscope_analyze::{AnalysisOptions, Sites, select, sites};
use leakscope_report::{TextOptions, json_report, text_report};
use std::time::Duration;

/// Prints the report.
///
/// # Errors
/// Nothing is there, or it is no profile.
pub fn run(args: &ReportArgs) -> Result<u8> {
    if let Some(path) = &args.html {
        return super::report_html::run(args, path);
    }
    let mut symbols = Symbols::new(&args.symbols);
    let mut reading = reading::read(&args.recording, &mut symbols)?;
    let jvms_own = select(&mut reading.profile, args.kind.selection(args.all));
    let sites = Sites { jvms_own, ..sites(&reading.profile, &args.sites.grouping()) };
    let process = reading.found.process.clone();
    let options = AnalysisOptions { packages: args.sites.packages.clone() };
    let analysis = process.as_ref().and_then(|_| history::analyze(&reading, &options));
    if args.json {
        reading::print_by(|out| json_report(&reading.profile, &sites, analysis.as_ref(), out))?;
    } else {
        let recording = args.recording.split('@').next().unwrap_or(&args.recording);
        let mut options = TextOptions {
            notes: process.iter().flat_map(|process| notes(process, recording, &reading)).collect(),
            next: next(&args.recording, recording, process.as_ref(), &sites),
            ..reading::text_options(args.all)
        };
        if process.is_none() {
            options.notes.push("one snapshot: nothing about growth, and no verdict; give the directory".to_owned());
        }
        reading::print(&text_report(&reading.profile, &sites, analysis.as_ref(), &options))?;
    }
    symbols.say_warnings();
    let places = || sites.sites.iter().map(|site| &site.place);
    let hints =
        [reading::unused_packages(&args.sites, &sites.frames, places()), reading::nameless(&sites.frames, places())];
    hints.iter().flatten().for_each(|hint| say(&format!("leakscope: note: {hint}")));
    Ok(exit::OK)
}

/// A snapshot with less than this part of the most that was live hides what was live then.
const CLEARLY_LESS: f64 = 0.7;

/// What the rest of the recording says about this snapshot.
pub fn notes(process: &Process, recording: &str, reading: &Reading) -> Vec<String> {
    let snapshots = &process.session.snapshots;
    let shown = snapshots.iter().position(|entry| reading.found.path.ends_with(&entry.file));
    let peak = shown.and_then(|shown| peak(&snapshots[..=shown]));
    let mut notes: Vec<String> = peak
        .map(|(entry, time)| {
            let after = duration(Duration::from_millis(entry.uptime_ms));
            format!("most live: {} after {after}: leakscope report {recording}@{time}", bytes(entry.live_bytes))
        })
        .into_iter()
        .collect();
    if process.session.end.as_ref().is_some_and(|end| end.how == "running") {
        let pid = process.session.pid;
        notes.push(format!("leakscope ended before the process did: if it still runs, leakscope recover {pid}"));
    }
    notes
}

/// The snapshot with the most live, if the last of these has clearly less, and the time that selects it.
fn peak(snapshots: &[SnapshotEntry]) -> Option<(&SnapshotEntry, String)> {
    let peak = snapshots.iter().max_by_key(|entry| entry.live_bytes)?;
    if snapshots.last()?.live_bytes as f64 >= CLEARLY_LESS * peak.live_bytes as f64 {
        return None;
    }
    let seconds = (peak.uptime_ms + 500) / 1000;
    let closest = snapshots.iter().min_by_key(|entry| entry.uptime_ms.abs_diff(1000 * seconds))?;
    let time = if closest.file == peak.file { format!("{seconds}s") } else { format!("{}ms", peak.uptime_ms) };
    Some((peak, time))
}

/// What to type next: growth where there is more than one snapshot, and a picture where there is something to draw.
fn next(spec: &str, recording: &str, process: Option<&Process>, sites: &Sites) -> Vec<String> {
    let mut next = Vec::new();
    if process.is_some_and(|process| process.session.snapshots.len() > 1) {
        next.push(format!("leakscope diff {recording}@first {recording}@last"));
    }
    next.push(format!("leakscope report {spec} --html report.html"));
    if sites.total.live_bytes.estimate > 0.0 {
        next.push(format!("leakscope flame {spec} -o flame.svg"));
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uptime_ms: u64, live_bytes: u64) -> SnapshotEntry {
        SnapshotEntry { file: format!("{uptime_ms}.prof"), uptime_ms, live_bytes, ..SnapshotEntry::default() }
    }

    #[test]
    fn a_snapshot_far_below_the_peak_names_it() {
        let snapshots = [entry(2010, 100), entry(4020, 243), entry(4400, 243), entry(6000, 3)];
        let (found, time) = peak(&snapshots).unwrap();
        assert_eq!((found.uptime_ms, time.as_str()), (4400, "4400ms"), "4s would be another one");
        let (_, time) = peak(&[entry(2010, 100), entry(4020, 243), entry(6000, 3)]).unwrap();
        assert_eq!(time, "4s");
        for live in [100, 71] {
            assert!(peak(&[entry(2010, 100), entry(4020, live)]).is_none());
        }
        assert!(peak(&[]).is_none());
    }
}
