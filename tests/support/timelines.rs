//! The timeline of a recorded process.

use super::leakscope::PATIENCE;
use leakscope_profile::timeline::{Point, Timeline};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// That of a process's folder, without a damaged line.
pub fn timeline(folder: &Path) -> Timeline {
    let path = folder.join("timeline.jsonl");
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let timeline = Timeline::read(&text);
    assert_eq!(timeline.damaged, 0, "{}", String::from_utf8_lossy(&text));
    timeline
}

/// Waits for a point in the only process of a recording that `is_it`.
pub fn await_point(recording: &Path, is_it: impl Fn(&Point) -> bool) -> Point {
    await_points(recording, 1, is_it).remove(0)
}

/// Waits for so many.
pub fn await_points(recording: &Path, count: usize, is_it: impl Fn(&Point) -> bool) -> Vec<Point> {
    let end = Instant::now() + PATIENCE;
    loop {
        let folders = fs::read_dir(recording).into_iter().flatten().flatten().map(|entry| entry.path());
        let texts: Vec<Vec<u8>> = folders.filter_map(|folder| fs::read(folder.join("timeline.jsonl")).ok()).collect();
        // The last line may still be written to.
        let points = texts.iter().flat_map(|text| Timeline::read(text).points);
        let points: Vec<Point> = points.filter(&is_it).collect();
        if points.len() >= count {
            return points;
        }
        assert!(Instant::now() < end, "not {count} such points: {:?}", texts.iter().map(|text| Timeline::read(text)));
        thread::sleep(Duration::from_millis(20));
    }
}
