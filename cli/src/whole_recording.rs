//! All of a recording up to one snapshot: its snapshots one after another, its timeline.

use crate::progress::Progress;
use crate::recording::{Process, Resolved};
use crate::session_file::SnapshotEntry;
use crate::timeline_file;
use leakscope_profile::timeline::Timeline;
use leakscope_profile::{Profile, load};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Profiles that wait to be looked at besides the one that each reader holds out: they are large.
const WAITING: usize = 0;
/// Threads that read.
const MOST_READERS: usize = 4;

/// Of a recording that is larger than this not all snapshots are read: reading is what takes the time.
const MOST_BYTES: u64 = 48 << 20;
/// So many are, however large they are.
const FEWEST_READ: usize = 60;

/// The recording that a profile belongs to.
pub struct WholeRecording {
    /// Its snapshots, oldest first; the one that was asked for is the last.
    pub snapshots: Vec<SnapshotEntry>,
    /// Its process, where the profile lies in a recording.
    pub process: Option<Process>,
    /// Memory over time; empty where none was kept.
    pub timeline: Timeline,
    folder: PathBuf,
}

impl WholeRecording {
    /// That of a profile that was found.
    pub fn of(found: &Resolved, profile: &Profile) -> Self {
        let name = found.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = found.path.parent().map(PathBuf::from).unwrap_or_default();
        let process = found.process.clone();
        let mut snapshots: Vec<SnapshotEntry> = process.iter().flat_map(|p| p.session.snapshots.clone()).collect();
        match snapshots.iter().position(|entry| entry.file == name) {
            Some(last) => snapshots.truncate(last + 1),
            None => {
                let (index, reason) = (profile.snapshot.index, profile.snapshot.reason.clone());
                snapshots = vec![SnapshotEntry { file: name, index, reason, ..SnapshotEntry::default() }];
            }
        }
        let text = process.as_ref().and_then(|process| fs::read(process.folder.join(timeline_file::NAME)).ok());
        let mut timeline = Timeline::read(&text.unwrap_or_default());
        let until = profile.snapshot.uptime_ms;
        timeline.points.retain(|point| point.uptime_ms <= until);
        timeline.marks.retain(|mark| mark.uptime_ms <= until);
        if process.as_ref().is_some_and(|process| process.session.snapshots.len() > snapshots.len()) {
            timeline.end = None;
        }
        Self { snapshots, process, timeline, folder }
    }

    /// Leaves snapshots out where there are more bytes of them than can be read in good time. A sentence that says so.
    pub fn thin(&mut self) -> Option<String> {
        let all = self.snapshots.len();
        let mut fitting = fitting(&self.folder, &self.snapshots, MOST_BYTES).into_iter();
        self.snapshots.retain(|_| fitting.next().unwrap_or(false));
        thinned(self.snapshots.len(), all)
    }

    /// Gives every snapshot of the session of `last` to `look`, oldest first, as it was written. Those that cannot be
    /// read, or are of another session, are left out of `snapshots`, and said in a sentence each.
    pub fn each(&mut self, last: &Profile, mut look: impl FnMut(Profile)) -> Vec<String> {
        let session = last.snapshot.session;
        let paths: Vec<PathBuf> = self.snapshots.iter().map(|entry| self.folder.join(&entry.file)).collect();
        let mut progress = Progress::new("reading snapshots,", paths.len());
        let (mut kept, mut notes) = (vec![false; paths.len()], Vec::new());
        let readers = thread::available_parallelism().map_or(1, usize::from).clamp(1, MOST_READERS);
        thread::scope(|scope| {
            // Each reads every so manieth profile ahead of the thread that looks.
            let ahead: Vec<Receiver<_>> = (0..readers)
                .map(|first| {
                    let (sender, receiver) = sync_channel(WAITING);
                    let mut mine = paths.iter().skip(first).step_by(readers);
                    scope.spawn(move || mine.all(|path| sender.send(load(path)).is_ok()));
                    receiver
                })
                .collect();
            for (at, path) in paths.iter().enumerate() {
                progress.done(at);
                match ahead[at % readers].recv() {
                    Ok(Ok(profile)) if profile.snapshot.session == session => {
                        kept[at] = true;
                        look(profile);
                    }
                    Ok(Ok(_)) => notes.push(format!("{} belongs to another recording", path.display())),
                    Ok(Err(error)) => notes.push(format!("{}: {error}", path.display())),
                    Err(_) => notes.push(format!("{} was not read", path.display())),
                }
            }
        });
        let mut kept = kept.into_iter();
        self.snapshots.retain(|_| kept.next().unwrap_or(false));
        notes
    }
}

/// Which of these snapshots in `folder` are read if about `most_bytes` may be, in their order.
pub fn fitting(folder: &Path, snapshots: &[SnapshotEntry], most_bytes: u64) -> Vec<bool> {
    let bytes = |entry: &SnapshotEntry| fs::metadata(folder.join(&entry.file)).map_or(0, |file| file.len());
    chosen(snapshots.len(), snapshots.iter().map(bytes).sum(), most_bytes)
}

/// A sentence that says what was left out, if anything was.
pub fn thinned(read: usize, all: usize) -> Option<String> {
    (read < all).then(|| format!("the recording is large: {read} of {all} snapshots were read, evenly spread"))
}

/// Which snapshots are read: all, or as many as fit, evenly, the first and the last among them. Growth between two
/// snapshots is paired whatever lies between them, so that nothing but detail is lost.
fn chosen(snapshots: usize, total_bytes: u64, most_bytes: u64) -> Vec<bool> {
    let fit = (snapshots as u64).saturating_mul(most_bytes) / total_bytes.max(1);
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
        let count = |snapshots, bytes| chosen(snapshots, bytes, MOST_BYTES).into_iter().filter(|is| *is).count();
        assert_eq!((count(240, 20 << 20), count(240, 0), count(0, 0), count(50, 1 << 40)), (240, 240, 0, 50));
        assert_eq!((count(240, 96 << 20), count(240, 1 << 40)), (120, 60));
        let few = chosen(240, 1 << 40, MOST_BYTES);
        assert!(few[0] && few[239]);
        let gaps: Vec<usize> = few.split(|is| *is).map(<[bool]>::len).collect();
        assert!(gaps.iter().all(|gap| *gap <= 4), "{gaps:?}");
    }
}
