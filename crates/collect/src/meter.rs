//! One point of the timeline: the state of a process now, from what is cheap to read.

use crate::clock;
use crate::collector::Collector;
use crate::facts::ProcessFacts;
use crate::throttle::Throttle;
use leakscope_profile::timeline::Point;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// Descriptors are counted at most so often.
const BETWEEN_COUNTS: Duration = Duration::from_secs(1);

/// Measures one recorded process, again and again.
pub struct Meter {
    descriptors: Throttle,
}

impl Meter {
    /// Has measured nothing yet.
    pub fn new() -> Self {
        Self { descriptors: Throttle::new(BETWEEN_COUNTS) }
    }

    /// The state now; `facts` must have been refreshed for it. What is dear is left out of most points.
    pub fn point(&mut self, collector: &Collector, facts: &ProcessFacts) -> Point {
        let now = Instant::now();
        let status = facts.status();
        Point {
            time_ms: clock::unix_ns() / 1_000_000,
            uptime_ms: collector.uptime_ms(),
            resident: status.resident,
            cgroup: facts.cgroup().copied(),
            threads: status.threads,
            descriptors: self.descriptors.run(now, || descriptors(facts.pid)).flatten(),
            ..Point::default()
        }
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

/// Open descriptors of a process. Since Linux 6.2 their number is the size of the directory; before, each is listed.
fn descriptors(pid: u32) -> Option<u64> {
    let directory = format!("/proc/{pid}/fd");
    match fs::metadata(&directory).ok()?.size() {
        0 => Some(fs::read_dir(&directory).ok()?.count() as u64),
        counted => Some(counted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn descriptors_are_counted() {
        let files: Vec<File> = (0..200).map(|_| File::open("/dev/null").unwrap()).collect();
        let counted = descriptors(std::process::id()).unwrap();
        assert!((203..2000).contains(&counted), "{counted}");
        drop(files);
        assert_eq!(descriptors(u32::MAX), None);
    }
}
