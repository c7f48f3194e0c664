//! What is left of processes that were recorded, and the summary of it.

use crate::run::oom::OomKill;
use crate::sizes;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A program that lasts no longer before it executes another one is a launcher.
const BRIEF: Duration = Duration::from_secs(1);
/// With fewer live samples nothing can be said about a site.
const FEWEST_SAMPLES: u64 = 5;

/// A session that is over.
#[derive(Debug, Clone, Default)]
pub struct Finished {
    /// Process id.
    pub pid: u32,
    /// Its folder.
    pub folder: PathBuf,
    /// Snapshots in it.
    pub snapshots: usize,
    /// Bytes of these.
    pub bytes: u64,
    /// Snapshots that could not be written.
    pub unwritten: Unwritten,
    /// Whether the kernel killed it for want of memory.
    pub oom: Option<OomKill>,
    /// Lines of the timeline that could not be written.
    pub timeline_unwritten: u64,
    /// Why the last of these could not be written.
    pub timeline_reason: String,
}

/// Snapshots that could not be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unwritten {
    /// How many.
    pub count: u64,
    /// Whether the last snapshot is one of them.
    pub is_last: bool,
    /// Why the last of them could not be written.
    pub reason: String,
}

impl Unwritten {
    /// The last snapshot has been written.
    pub fn written(&mut self) {
        self.is_last = false;
    }

    /// The last snapshot could not be written; whether it is the first such one.
    pub fn failed(&mut self, reason: String) -> bool {
        self.count += 1;
        self.is_last = true;
        self.reason = reason;
        self.count == 1
    }
}

/// Whether a program that has executed another one is not worth a folder: it left nothing that can be spoken about.
/// What it held has gone with it.
pub fn is_launcher(live_samples: u64, lasted: Duration) -> bool {
    live_samples == 0 || live_samples < FEWEST_SAMPLES && lasted < BRIEF
}

/// Who left no folder, and why.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeftOut {
    /// Programs that [`is_launcher`] names.
    pub launchers: usize,
    /// Processes that did not wait for leakscope any longer.
    pub gave_up: usize,
}

/// The lines that sum a recording up.
pub fn summary(finished: &[Finished], left_out: LeftOut, directory: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let snapshots: usize = finished.iter().map(|f| f.snapshots).sum();
    let missing = missing(finished);
    if snapshots == 0 {
        lines.extend(missing.is_none().then(|| "  nothing was recorded".to_owned()));
    } else {
        let bytes = sizes::bytes(finished.iter().map(|f| f.bytes).sum());
        lines.push(format!("  {}, {bytes} in {}", counted(snapshots, "snapshot"), place(finished, directory)));
    }
    if left_out.launchers > 0 {
        let programs = counted(left_out.launchers, "program");
        lines.push(format!("  {programs} that soon executed another one, and held next to nothing, left no folder"));
    }
    if left_out.gave_up > 0 {
        let was = if left_out.gave_up == 1 { "process was" } else { "processes were" };
        let reason = "leakscope was too slow to answer (a busy machine?)";
        lines.push(format!("  {} {was} not recorded: {reason}", left_out.gave_up));
    }
    lines.extend(missing);
    lines.extend(missing_points(finished));
    lines
}

fn place(finished: &[Finished], directory: &Path) -> String {
    let shown = directory.display();
    let pids: HashSet<u32> = finished.iter().map(|f| f.pid).collect();
    match (finished, pids.len()) {
        ([one], _) => one.folder.display().to_string(),
        (programs, 1) => format!("{shown} ({} programs of one process)", programs.len()),
        (programs, count) if programs.len() == count => format!("{shown} (of {count} processes)"),
        (programs, count) => format!("{shown} ({} programs of {count} processes)", programs.len()),
    }
}

/// What could not be written, if anything.
fn missing(finished: &[Finished]) -> Option<String> {
    let failed: Vec<&Unwritten> = finished.iter().map(|f| &f.unwritten).filter(|u| u.count > 0).collect();
    let count: u64 = failed.iter().map(|unwritten| unwritten.count).sum();
    let reason = &failed.last()?.reason;
    let last = failed.iter().filter(|unwritten| unwritten.is_last).count();
    let what = match (count, last) {
        (1, 1) => "the final snapshot".to_owned(),
        (count, 0) => counted(count as usize, "snapshot"),
        (count, 1) => format!("{count} snapshots, the final one included,"),
        (count, last) => format!("{count} snapshots, the final ones of {last} processes included,"),
    };
    Some(format!("  {what} could not be written: {reason}"))
}

/// What of timelines could not be written, if anything.
fn missing_points(finished: &[Finished]) -> Option<String> {
    let count: u64 = finished.iter().map(|finished| finished.timeline_unwritten).sum();
    let reason = &finished.iter().rfind(|finished| finished.timeline_unwritten > 0)?.timeline_reason;
    Some(format!("  {} of the timeline could not be written: {reason}", counted(count as usize, "line")))
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(pid: u32, snapshots: usize) -> Finished {
        let folder = PathBuf::from(format!("rec/java.{pid}"));
        Finished { pid, folder, snapshots, bytes: 1024 * snapshots as u64, ..Finished::default() }
    }

    fn lines(finished: &[Finished], launchers: usize) -> Vec<String> {
        summary(finished, LeftOut { launchers, gave_up: 0 }, Path::new("rec"))
    }

    #[test]
    fn programs_and_processes_are_told_apart() {
        assert_eq!(lines(&[], 0), ["  nothing was recorded"]);
        assert_eq!(lines(&[finished(7, 1)], 0), ["  1 snapshot, 1 KiB in rec/java.7"]);
        assert_eq!(
            lines(&[finished(7, 1), finished(7, 2)], 0),
            ["  3 snapshots, 3 KiB in rec (2 programs of one process)"]
        );
        assert_eq!(lines(&[finished(7, 1), finished(8, 1)], 0), ["  2 snapshots, 2 KiB in rec (of 2 processes)"]);
        let three = [finished(7, 1), finished(7, 1), finished(8, 1)];
        assert_eq!(lines(&three, 0), ["  3 snapshots, 3 KiB in rec (3 programs of 2 processes)"]);
        assert!(lines(&three, 6)[1].starts_with("  6 programs that soon executed another one"));
        let slow = |gave_up| summary(&three, LeftOut { launchers: 0, gave_up }, Path::new("rec")).remove(1);
        assert!(slow(1).starts_with("  1 process was not recorded: "), "{}", slow(1));
        assert!(slow(2).starts_with("  2 processes were not recorded: "), "{}", slow(2));
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut process = finished(7, 0);
        assert!(process.unwritten.failed("disk full".into()));
        assert_eq!(lines(&[process.clone()], 0), ["  the final snapshot could not be written: disk full"]);
        process.snapshots = 1;
        assert!(!process.unwritten.failed("really full".into()));
        let expected = "  2 snapshots, the final one included, could not be written: really full";
        assert_eq!(lines(&[process.clone()], 0)[1], expected);
        let both = lines(&[process.clone(), process.clone()], 0);
        assert!(both[1].starts_with("  4 snapshots, the final ones of 2 processes included, could"), "{both:?}");
        process.timeline_unwritten = 3;
        process.timeline_reason = "disk full".to_owned();
        let expected = "  6 lines of the timeline could not be written: disk full";
        assert_eq!(lines(&[process.clone(), process.clone()], 0).last().unwrap(), expected);
        process.timeline_unwritten = 0;
        process.unwritten.written();
        assert_eq!(lines(&[process], 0)[1], "  2 snapshots could not be written: really full");
    }

    #[test]
    fn launchers_are_those_that_held_nothing() {
        let (brief, long) = (Duration::from_millis(999), Duration::from_secs(9));
        assert!(is_launcher(0, brief) && is_launcher(0, long) && is_launcher(4, brief));
        assert!(!is_launcher(5, brief) && !is_launcher(1, long));
    }
}
