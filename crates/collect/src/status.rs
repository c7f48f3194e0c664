//! /proc/PID/status: what the kernel says of a process in one cheap read.

use leakscope_profile::timeline::Resident;
use std::fs;

/// What one read of the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Status {
    /// Resident memory.
    pub(crate) resident: Resident,
    /// Threads.
    pub(crate) threads: u64,
    /// The process's id as it sees itself: the last one of `NSpid`, inside all its namespaces.
    pub(crate) inside_pid: u32,
    /// Its effective user.
    pub(crate) uid: u32,
}

impl Status {
    /// Reads the file; `None` where there is no such process, or one without memory: a zombie.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/status")).ok()?)
    }

    /// As [`Status::of`], from the text. The name in its first line may hold any bytes, but no line break.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let mut status = Self::default();
        let mut has_memory = false;
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let mut words = value.split_whitespace();
            let bytes =
                |word: Option<&str>| word.and_then(|w| w.parse::<u64>().ok()).map_or(0, |k| k.saturating_mul(1024));
            let resident = &mut status.resident;
            match key {
                "VmRSS" => {
                    resident.rss_bytes = bytes(words.next());
                    has_memory = true;
                }
                "RssAnon" => resident.anon_bytes = bytes(words.next()),
                "RssFile" => resident.file_bytes = bytes(words.next()),
                "RssShmem" => resident.shmem_bytes = bytes(words.next()),
                "VmSwap" => resident.swap_bytes = bytes(words.next()),
                "Threads" => status.threads = words.next().and_then(|w| w.parse().ok()).unwrap_or(0),
                "NSpid" => status.inside_pid = words.next_back().and_then(|w| w.parse().ok()).unwrap_or(0),
                "Uid" => status.uid = words.nth(1).and_then(|w| w.parse().ok()).unwrap_or(u32::MAX),
                _ => {}
            }
        }
        has_memory.then_some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_matter_are_read() {
        let text = b"Name:\tVmRSS: 7 kB \xff\nUid:\t1000\t33\t1000\t1000\nNSpid:\t4711\t17\t1\nVmRSS:\t    2048 kB\n\
                     RssAnon:\t1024 kB\nRssFile:\t1000 kB\nRssShmem:\t24 kB\nVmSwap:\t8 kB\nThreads:\t12\n";
        let resident = Resident {
            rss_bytes: 2 << 20,
            anon_bytes: 1 << 20,
            file_bytes: 1000 << 10,
            shmem_bytes: 24 << 10,
            swap_bytes: 8 << 10,
        };
        assert_eq!(Status::parse(text), Some(Status { resident, threads: 12, inside_pid: 1, uid: 33 }));
    }

    #[test]
    fn a_zombie_has_no_memory() {
        assert_eq!(Status::parse(b"Name:\tx\nState:\tZ (zombie)\nThreads:\t1\n"), None);
        assert_eq!(Status::of(u32::MAX), None);
        let own = Status::of(std::process::id()).unwrap();
        assert!(own.resident.rss_bytes > own.resident.anon_bytes && own.threads >= 2);
    }
}
