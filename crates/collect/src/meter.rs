//! One point of the timeline: the state of a process now. What is cheap comes first, each second; what is dear is added
//! to the points that are kept, and not to all of them.
//!
//! | what | from | cost (measured) | how often |
//! |---|---|---|---|
//! | resident memory, threads | /proc/PID/status | these three 0.3 ms | each point |
//! | cgroup | its files | | each point |
//! | heap, collections | the JVM's performance data | | each point |
//! | tracked sums | a scan of the live table | 51 ms at a million live blocks | kept points, [`Throttle`] |
//! | descriptors | the size of /proc/PID/fd; before Linux 6.2 each is listed | | kept points, [`Throttle`] |
//! | where the memory is | /proc/PID/smaps | 17 ms at a JVM of 256 MiB | a twentieth of the age, [`MOST_BETWEEN_PARTS`], [`Throttle`] |

use crate::clock;
use crate::collector::Collector;
use crate::facts::ProcessFacts;
use crate::jvm_counters::JvmCounters;
use crate::parts::PartsReader;
use crate::throttle::Throttle;
use leakscope_profile::timeline::{Java, Part, Point};
use leakscope_session::header::JvmState;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// Descriptors and live blocks are counted at most so often.
const BETWEEN_COUNTS: Duration = Duration::from_millis(900);
/// Time between two looks for the JVM's performance data, where there is none.
const BETWEEN_SEARCHES: Duration = Duration::from_secs(1);
/// Where the memory is is measured at least so often, as far as its cost allows.
const MOST_BETWEEN_PARTS: Duration = Duration::from_secs(30);

/// Measures one recorded process, again and again.
#[derive(Debug)]
pub struct Meter {
    counters: Option<JvmCounters>,
    parts: PartsReader,
    search: Throttle,
    descriptors: Throttle,
    tracked: Throttle,
    between_parts: Throttle,
}

impl Meter {
    /// For the process with this number.
    pub fn of(pid: u32) -> Self {
        Self {
            counters: None,
            parts: PartsReader::of(pid),
            search: Throttle::default(),
            descriptors: Throttle::default(),
            tracked: Throttle::default(),
            between_parts: Throttle::default(),
        }
    }

    /// What is cheap to know of the state now; `facts` must have been refreshed for it.
    pub fn glance(&mut self, collector: &Collector, facts: &ProcessFacts) -> Point {
        let status = facts.status();
        Point {
            time_ms: clock::unix_ns() / 1_000_000,
            uptime_ms: collector.uptime_ms(),
            resident: status.resident,
            cgroup: facts.cgroup().copied(),
            java: self.java(collector, facts),
            threads: status.threads,
            ..Point::default()
        }
    }

    /// Adds what is dearer to a point that will be kept, as far as it is due.
    pub fn complete(&mut self, point: &mut Point, collector: &mut Collector, facts: &ProcessFacts) {
        let now = Instant::now();
        point.descriptors = self.descriptors.run(now, BETWEEN_COUNTS, || descriptors(facts.pid)).flatten();
        point.tracked = self.tracked.run(now, BETWEEN_COUNTS, || collector.tracked()).unwrap_or_default();
        let between = Duration::from_millis(point.uptime_ms / 20).min(MOST_BETWEEN_PARTS);
        let heap_max_bytes = point.java.map(|java| java.heap_max_bytes);
        let mut read = || self.parts.read(Some(collector.shared()), heap_max_bytes);
        let parts = self.between_parts.run(now, between, || read().ok()).flatten();
        collector.note_memory(self.parts.take_spans());
        point.parts = parts.filter(|parts: &Vec<Part>| !parts.is_empty());
    }

    fn java(&mut self, collector: &Collector, facts: &ProcessFacts) -> Option<Java> {
        if self.counters.is_none() && collector.jvm_state() != JvmState::Absent {
            self.counters = self.search.run(Instant::now(), BETWEEN_SEARCHES, || JvmCounters::find(facts)).flatten();
        }
        self.counters.as_mut()?.read()
    }
}

/// Open descriptors of a process. Since Linux 6.2 their number is the size of the directory; before, each is listed.
fn descriptors(pid: u32) -> Option<u64> {
    let directory = format!("/proc/{pid}/fd");
    match fs::metadata(&directory).ok()?.size() {
        0 => listed(&directory),
        counted => Some(counted),
    }
}

fn listed(directory: &str) -> Option<u64> {
    Some(fs::read_dir(directory).ok()?.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn descriptors_are_counted() {
        let files: Vec<File> = (0..200).map(|_| File::open("/dev/null").unwrap()).collect();
        let counted = descriptors(std::process::id()).unwrap();
        let listed = listed("/proc/self/fd").unwrap();
        // Other tests open and close theirs meanwhile.
        assert!((203..2000).contains(&counted) && counted.abs_diff(listed) < 100, "{counted} {listed}");
        drop(files);
        assert_eq!(descriptors(u32::MAX), None);
    }
}
