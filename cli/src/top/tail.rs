//! The timeline of a recording, read as it grows: each time only what was appended since.

use leakscope_profile::timeline::Timeline;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// More than this at once is read in several steps.
const MOST_AT_ONCE: u64 = 64 << 20;

/// The end of a file that grows.
pub struct Tail {
    path: PathBuf,
    /// Device and inode of the file that was read: a thinned timeline is another file.
    file: (u64, u64),
    read_bytes: u64,
    /// A line whose end has not been written yet.
    rest: Vec<u8>,
    timeline: Timeline,
}

impl Tail {
    /// Of this file, which may not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: (0, 0), read_bytes: 0, rest: Vec::new(), timeline: Timeline::default() }
    }

    /// All that was read so far.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Reads what is new; whether there was anything.
    pub fn poll(&mut self) -> bool {
        let Ok(mut file) = File::open(&self.path) else { return false };
        let Ok(metadata) = file.metadata() else { return false };
        let identity = (metadata.dev(), metadata.ino());
        if identity != self.file || metadata.len() < self.read_bytes {
            let path = std::mem::take(&mut self.path);
            *self = Self { file: identity, ..Self::new(path) };
        }
        if metadata.len() == self.read_bytes || file.seek(SeekFrom::Start(self.read_bytes)).is_err() {
            return false;
        }
        let before = self.rest.len();
        // What was read before an error counts.
        let _ = file.take(MOST_AT_ONCE).read_to_end(&mut self.rest);
        self.read_bytes += (self.rest.len() - before) as u64;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let new = Timeline::read(&self.rest[..whole]);
        self.rest.drain(..whole);
        self.timeline.points.extend(new.points);
        self.timeline.marks.extend(new.marks);
        self.timeline.end = new.end.or(self.timeline.end.take());
        self.timeline.damaged += new.damaged;
        whole > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::timeline::{Line, Point};
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    fn line(uptime_ms: u64) -> String {
        Line::Point(Box::new(Point { uptime_ms, ..Point::default() })).to_json()
    }

    #[test]
    fn lines_are_read_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timeline.jsonl");
        let mut tail = Tail::new(path.clone());
        assert!(!tail.poll(), "not there yet");
        let (first, second) = (line(1), line(2));
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let (half, other_half) = second.split_at(10);
        write!(file, "{first}{half}").unwrap();
        assert!(tail.poll() && !tail.poll());
        assert_eq!(tail.timeline().points.len(), 1);
        write!(file, "{other_half}").unwrap();
        assert!(tail.poll());
        let times: Vec<u64> = tail.timeline().points.iter().map(|point| point.uptime_ms).collect();
        assert_eq!((times, tail.timeline().damaged), (vec![1, 2], 0));
    }

    #[test]
    fn a_thinned_file_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timeline.jsonl");
        fs::write(&path, line(1) + &line(2) + &line(3)).unwrap();
        let mut tail = Tail::new(path.clone());
        assert!(tail.poll());
        let thinner = folder.path().join("thinner");
        fs::write(&thinner, line(1) + &line(3) + &line(4) + &line(5)).unwrap();
        fs::rename(&thinner, &path).unwrap();
        assert!(tail.poll());
        assert_eq!(tail.timeline().points.len(), 4);
    }
}
