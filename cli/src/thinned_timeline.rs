//! A timeline of days, thinned: the last hour stays as it is, and of what is older so many points that are spread
//! evenly over the whole recording. Marks and the end stay.
//!
//! Points that say where the memory is (`parts`, `nmt`) are larger and fewer; they are thinned by themselves, so that
//! some are left everywhere. Spacings are powers of two, so that doing this again and again keeps the spread even: what
//! was kept at half the length is twice as dense as needed now, and every second of it goes.

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What is younger stays as it is, milliseconds.
const RECENT_MS: u64 = 3_600_000;
/// Points that stay of what is older: between half as many and so many.
const PLAIN: u64 = 4000;
/// The same for points with parts.
const RICH: u64 = 1000;
/// A longer line is none of ours.
const LONGEST_LINE: usize = 1 << 20;

/// What must be known of a line.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    uptime_ms: u64,
    parts: Option<IgnoredAny>,
    nmt: Option<IgnoredAny>,
}

/// Writes the lines of `old` that stay into the new file `thinner`.
///
/// # Errors
/// Those of the file system.
pub fn write(old: &Path, thinner: &Path) -> io::Result<()> {
    let last_ms = heads(old, |_, _| Ok(()))?;
    let mut keep = Keep::new(last_ms);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(thinner)?;
    let mut out = BufWriter::new(file);
    heads(old, |line, head| if keep.stays(head) { out.write_all(line) } else { Ok(()) })?;
    out.flush()
}

/// Calls `visit` with each whole line and what is known of it; the latest time in the file. Damaged lines are passed
/// over.
fn heads(path: &Path, mut visit: impl FnMut(&[u8], &Head) -> io::Result<()>) -> io::Result<u64> {
    let mut lines = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    let mut last_ms = 0;
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(last_ms);
        }
        let is_whole = line.last() == Some(&b'\n') && line.len() <= LONGEST_LINE;
        if let Some(head) = is_whole.then(|| serde_json::from_slice::<Head>(&line).ok()).flatten() {
            last_ms = last_ms.max(head.uptime_ms);
            visit(&line, &head)?;
        }
    }
}

/// Which lines stay.
struct Keep {
    recent_from_ms: u64,
    plain: Spread,
    rich: Spread,
}

impl Keep {
    fn new(last_ms: u64) -> Self {
        let recent_from_ms = last_ms.saturating_sub(RECENT_MS);
        let spread = |count: u64| Spread { spacing_ms: (recent_from_ms / count).next_power_of_two(), next_ms: 0 };
        Self { recent_from_ms, plain: spread(PLAIN), rich: spread(RICH) }
    }

    fn stays(&mut self, head: &Head) -> bool {
        if head.kind != "point" || head.uptime_ms >= self.recent_from_ms {
            return true;
        }
        let is_rich = head.parts.is_some() || head.nmt.is_some();
        if is_rich { self.rich.takes(head.uptime_ms) } else { self.plain.takes(head.uptime_ms) }
    }
}

/// Points of which one is taken in each cell of a grid.
struct Spread {
    spacing_ms: u64,
    next_ms: u64,
}

impl Spread {
    fn takes(&mut self, uptime_ms: u64) -> bool {
        if uptime_ms < self.next_ms {
            return false;
        }
        // The first of each cell of a grid, so that a coarser grid takes of these.
        self.next_ms = (uptime_ms / self.spacing_ms + 1).saturating_mul(self.spacing_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::timeline::{End, Line, Mark, NmtCategory, Point, Timeline};
    use std::fs;

    fn point(uptime_ms: u64, is_rich: bool) -> Line {
        let nmt = is_rich.then(Vec::<NmtCategory>::new);
        Line::Point(Box::new(Point { uptime_ms, nmt, ..Point::default() }))
    }

    /// A recording of `hours` with a point each minute, thinned whenever it has so many lines.
    fn thinned(hours: u64) -> Timeline {
        let folder = tempfile::tempdir().unwrap();
        let (path, thinner) = (folder.path().join("a"), folder.path().join("b"));
        let mut text = Line::Mark(Mark { time_ms: 0, uptime_ms: 0, text: "start".into() }).to_json();
        let mut lines = 1;
        for n in 0..hours * 60 {
            text += &point(n * 60_000, n % 6 == 0).to_json();
            lines += 1;
            if lines > 9000 {
                fs::write(&path, text + "{\"torn\":").unwrap();
                write(&path, &thinner).unwrap();
                text = fs::read_to_string(&thinner).unwrap();
                lines = text.lines().count();
                assert!(lines < 7000, "{lines} lines are left");
            }
        }
        text += &Line::End(End { time_ms: 0, uptime_ms: 0, how: "code 0".into(), oom_killed: false }).to_json();
        Timeline::read(text.as_bytes())
    }

    #[test]
    fn a_month_is_covered_evenly_and_its_last_hour_in_full() {
        let timeline = thinned(720);
        let times: Vec<u64> = timeline.points.iter().map(|point| point.uptime_ms).collect();
        assert!(times.is_sorted() && times[0] == 0 && times.len() < 9001, "{}", times.len());
        let widest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        let even = 720 * 3_600_000 / PLAIN;
        assert!(widest <= 4 * even, "a gap of {widest} ms, {even} ms would be even");
        let last = *times.last().unwrap();
        assert_eq!(times.iter().filter(|time| **time > last - 3_600_000).count(), 60);
        let rich: Vec<u64> = timeline.points.iter().filter(|p| p.nmt.is_some()).map(|p| p.uptime_ms).collect();
        let widest = rich.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(widest <= 4 * 720 * 3_600_000 / RICH, "{widest} ms without parts");
        assert_eq!((timeline.marks.len(), timeline.damaged), (1, 0));
        assert!(timeline.end.is_some());
    }

    #[test]
    fn a_short_one_stays_as_it_is() {
        let timeline = thinned(2);
        assert_eq!(timeline.points.len(), 120);
    }
}
