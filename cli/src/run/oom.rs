//! Whether the kernel killed a process for want of memory: the count of such kills in its memory cgroup rose as it died.
//!
//! The count rises when the kernel chooses its victim, and a victim of many gigabytes takes seconds to go. So a rise
//! counts for [`RECENT`], and no longer: another process of the cgroup may have been killed an hour ago.

use leakscope_profile::Exit;
use leakscope_profile::timeline::Cgroup;
use std::time::{Duration, Instant};

/// How long after the count has risen a death is laid to it.
const RECENT: Duration = Duration::from_secs(10);

/// The counts of one cgroup, watched.
#[derive(Debug)]
pub struct OomWatch {
    kills: Count,
    limit_hits: Count,
}

/// A kill for want of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OomKill {
    /// The limit that the cgroup had reached, bytes; `None` where it was the machine that had run out.
    pub limit_bytes: Option<u64>,
}

impl OomWatch {
    /// Starts from the counts as they are.
    pub fn new(cgroup: Option<&Cgroup>) -> Self {
        let cgroup = cgroup.copied().unwrap_or_default();
        Self { kills: Count::new(cgroup.oom_kills), limit_hits: Count::new(cgroup.limit_hits) }
    }

    /// Takes in the counts now.
    pub fn look(&mut self, cgroup: Option<&Cgroup>, now: Instant) {
        if let Some(cgroup) = cgroup {
            self.kills.look(cgroup.oom_kills, now);
            self.limit_hits.look(cgroup.limit_hits, now);
        }
    }

    /// Whether a process that is just found to have ended so was such a victim. How a process ended that is not our
    /// child is not known; then the count has to do.
    pub fn verdict(&self, exit: Exit, cgroup: Option<&Cgroup>, now: Instant) -> Option<OomKill> {
        let may_be = matches!(exit, Exit::Signal(libc::SIGKILL) | Exit::Unknown);
        // Some kernels count no hits of version 1, but all know the most that was charged.
        let is_full = |limit: &u64| cgroup.is_some_and(|c| u128::from(c.peak_bytes) * 100 >= u128::from(*limit) * 99);
        let at_limit = |limit: &u64| self.limit_hits.rose_recently(now) || is_full(limit);
        let limit_bytes = cgroup.and_then(|cgroup| cgroup.limit_bytes).filter(at_limit);
        (may_be && self.kills.rose_recently(now)).then_some(OomKill { limit_bytes })
    }
}

/// A count, and when it last rose.
#[derive(Debug)]
struct Count {
    value: u64,
    rose: Option<Instant>,
}

impl Count {
    fn new(value: u64) -> Self {
        Self { value, rose: None }
    }

    fn look(&mut self, value: u64, now: Instant) {
        if value > self.value {
            self.rose = Some(now);
        }
        // A process that was moved has another cgroup's count, which may be lower.
        self.value = value;
    }

    fn rose_recently(&self, now: Instant) -> bool {
        self.rose.is_some_and(|rose| now.duration_since(rose) <= RECENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(oom_kills: u64, limit_hits: u64) -> Cgroup {
        Cgroup { limit_bytes: Some(1 << 29), oom_kills, limit_hits, ..Cgroup::default() }
    }

    #[test]
    fn the_count_that_rises_as_it_dies_is_the_proof() {
        let began = Instant::now();
        let killed = Exit::Signal(libc::SIGKILL);
        let verdict = |before: Cgroup, after: Cgroup, exit, seconds| {
            let mut watch = OomWatch::new(Some(&before));
            watch.look(Some(&after), began);
            watch.look(Some(&after), began + Duration::from_secs(seconds));
            watch.verdict(exit, Some(&after), began + Duration::from_secs(seconds))
        };
        let by_limit = Some(OomKill { limit_bytes: Some(1 << 29) });
        assert_eq!(verdict(cgroup(3, 5), cgroup(4, 9), killed, 0), by_limit);
        assert_eq!(verdict(cgroup(3, 5), cgroup(4, 9), killed, 5), by_limit, "it took a while to die");
        assert_eq!(verdict(cgroup(3, 5), cgroup(4, 9), Exit::Unknown, 1), by_limit, "not our child");
        assert_eq!(verdict(cgroup(3, 5), cgroup(4, 5), killed, 0), Some(OomKill { limit_bytes: None }), "the machine");
        let full = Cgroup { peak_bytes: 1 << 29, ..cgroup(4, 5) };
        assert_eq!(verdict(cgroup(3, 5), full, killed, 0), by_limit, "hits are not counted");
        assert_eq!(verdict(cgroup(3, 5), cgroup(3, 9), killed, 0), None, "somebody else's SIGKILL");
        assert_eq!(verdict(cgroup(3, 5), cgroup(4, 9), killed, 60), None, "somebody else was the victim");
        assert_eq!(verdict(cgroup(3, 5), cgroup(4, 9), Exit::Code(0), 0), None);
        assert_eq!(verdict(cgroup(3, 5), cgroup(4, 9), Exit::Signal(libc::SIGSEGV), 0), None);
    }
}
