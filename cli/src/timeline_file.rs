//! `timeline.jsonl` in the folder of a recorded process: one line each time its memory was measured.
//!
//! Append-only, each line in one write, so a kill at any moment costs nothing that was written before. What cannot be
//! written (a full disk, a folder that was removed) is counted and said; recording goes on, and so does the file as soon
//! as there is room. In a recording of days it is thinned ([`crate::thinned_timeline`]) and stays below [`MOST_BYTES`].

use crate::thinned_timeline;
use leakscope_profile::timeline::{Line, Timeline};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the file.
pub const NAME: &str = "timeline.jsonl";
/// A file that reaches this is thinned.
const MOST_BYTES: u64 = 8 << 20;
/// After a thinning that did not help enough, the file grows by this before the next one.
const BETWEEN_THINNINGS: u64 = 1 << 20;

/// The file while it is written.
pub struct TimelineFile {
    path: PathBuf,
    file: Option<File>,
    /// Whether the last line may stand there in part.
    is_torn: bool,
    most_bytes: u64,
    thin_at: u64,
    unwritten: u64,
    reason: String,
}

impl TimelineFile {
    /// That of a folder. It is made when the first line is written.
    pub fn new(folder: &Path) -> Self {
        Self::with_most(folder, MOST_BYTES)
    }

    fn with_most(folder: &Path, most_bytes: u64) -> Self {
        Self {
            path: folder.join(NAME),
            file: None,
            is_torn: false,
            most_bytes,
            thin_at: most_bytes,
            unwritten: 0,
            reason: String::new(),
        }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// Those of the file system; it is counted, and the next line will be tried all the same.
    pub fn append(&mut self, line: &Line) -> io::Result<()> {
        let written = self.write(line);
        if let Err(error) = &written {
            self.unwritten += 1;
            self.reason = format!("cannot write {}: {error}", self.path.display());
        }
        written
    }

    /// What is in the file.
    pub fn read(&self) -> Timeline {
        Timeline::read(&fs::read(&self.path).unwrap_or_default())
    }

    /// Lines that could not be written, and why the last of them.
    pub fn unwritten(&self) -> (u64, &str) {
        (self.unwritten, &self.reason)
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let length = self.open()?;
        let mut text = line.to_json();
        if self.is_torn {
            // What was left of the line before becomes a line of its own, which readers pass over.
            text.insert(0, '\n');
        }
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        if let Err(error) = file.write_all(text.as_bytes()) {
            self.is_torn = file.set_len(length).is_err();
            return Err(error);
        }
        self.is_torn = false;
        if length + text.len() as u64 >= self.thin_at {
            self.thin();
        }
        Ok(())
    }

    /// Opens the file unless it is open and still there; its length.
    fn open(&mut self) -> io::Result<u64> {
        if let Some(metadata) = self.file.as_ref().and_then(|file| file.metadata().ok())
            && metadata.nlink() > 0
        {
            return Ok(metadata.len());
        }
        let options = libc::O_NOFOLLOW;
        let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(options).open(&self.path)?;
        let length = file.metadata()?.len();
        self.file = Some(file);
        Ok(length)
    }

    /// Replaces the file by a thinner one. Where that fails, the old one goes on.
    fn thin(&mut self) {
        let thinner = self.path.with_extension("jsonl.tmp");
        let replaced = thinned_timeline::write(&self.path, &thinner).and_then(|()| fs::rename(&thinner, &self.path));
        let length = match replaced {
            Ok(()) => fs::metadata(&self.path).map_or(self.most_bytes, |metadata| metadata.len()),
            Err(_) => {
                let _ = fs::remove_file(&thinner);
                self.most_bytes
            }
        };
        self.file = None;
        self.thin_at = (length + BETWEEN_THINNINGS).max(self.most_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::timeline::{Mark, Point};
    use std::os::unix::fs::PermissionsExt;

    fn mark(text: &str) -> Line {
        Line::Mark(Mark { time_ms: 0, uptime_ms: 0, text: text.to_owned() })
    }

    fn marks(path: &Path) -> Vec<String> {
        Timeline::read(&fs::read(path).unwrap()).marks.into_iter().map(|mark| mark.text).collect()
    }

    #[test]
    fn lines_are_added_to_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = TimelineFile::new(folder.path());
        let path = folder.path().join(NAME);
        assert!(!path.exists());
        for text in ["a", "b\nc"] {
            file.append(&mark(text)).unwrap();
        }
        assert_eq!(marks(&path), ["a", "b\nc"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(file.unwritten(), (0, ""));
    }

    #[test]
    fn a_folder_that_is_gone_is_counted_and_one_that_comes_back_is_used() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("java.41");
        fs::create_dir(&folder).unwrap();
        let mut file = TimelineFile::new(&folder);
        file.append(&mark("before")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        for _ in 0..2 {
            file.append(&mark("lost")).unwrap_err();
        }
        assert_eq!(file.unwritten().0, 2);
        assert!(file.unwritten().1.contains("java.41/timeline.jsonl: No such file"), "{}", file.unwritten().1);
        fs::create_dir(&folder).unwrap();
        file.append(&mark("after")).unwrap();
        assert_eq!(marks(&folder.join(NAME)), ["after"]);
    }

    #[test]
    fn a_full_disk_is_counted_and_costs_no_other_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = TimelineFile::new(folder.path());
        file.append(&mark("before")).unwrap();
        let disk = file.file.replace(OpenOptions::new().append(true).open("/dev/full").unwrap());
        for _ in 0..3 {
            assert_eq!(file.append(&mark("lost")).unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
        assert!(file.unwritten().0 == 3 && file.unwritten().1.contains("No space left"), "{}", file.unwritten().1);
        // As much as found room could not be taken back.
        let mut disk = disk.unwrap();
        disk.write_all(b"{\"type\":\"mark\",\"te").unwrap();
        file.file = Some(disk);
        file.append(&mark("after")).unwrap();
        let timeline = Timeline::read(&fs::read(folder.path().join(NAME)).unwrap());
        let texts: Vec<String> = timeline.marks.into_iter().map(|mark| mark.text).collect();
        assert_eq!((texts, timeline.damaged), (vec!["before".to_owned(), "after".to_owned()], 1));
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, folder.path().join(NAME)).unwrap();
        TimelineFile::new(folder.path()).append(&mark("x")).unwrap_err();
        assert!(!elsewhere.exists());
    }

    #[test]
    fn a_file_of_days_is_thinned_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = TimelineFile::with_most(folder.path(), 3 << 19);
        let path = folder.path().join(NAME);
        for n in 0..20_000 {
            let point = Point { uptime_ms: n * 3_600_000, ..Point::default() };
            file.append(&Line::Point(Box::new(point))).unwrap();
            if n == 0 {
                file.append(&mark("kept")).unwrap();
            }
        }
        let timeline = Timeline::read(&fs::read(&path).unwrap());
        assert!((2000..15_000).contains(&timeline.points.len()), "{}", timeline.points.len());
        assert_eq!(timeline.points.last().unwrap().uptime_ms, 19_999 * 3_600_000);
        assert_eq!((timeline.points[0].uptime_ms, timeline.marks.len(), timeline.damaged), (0, 1, 0));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(fs::metadata(&path).unwrap().len() < 3 << 19);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
