//! The memory limit that will kill the target: the tightest among its cgroup and that one's ancestors, version 1 or 2.

use std::fs;
use std::path::{Path, PathBuf};

/// A limit above this is none (version 1 writes the largest multiple of a page).
const UNLIMITED: u64 = 1 << 60;

/// The memory cgroup of a process: where its figures are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupMemory {
    /// Directories from the process's own cgroup up to the top of what can be seen.
    directories: Vec<PathBuf>,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Limit and usage at one instant, of the cgroup whose limit is the tightest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupUsage {
    /// Bytes; 0 if there is no limit.
    pub limit_bytes: u64,
    /// Bytes charged, with the page cache.
    pub usage_bytes: u64,
    /// Of these, page cache that the kernel drops before it kills.
    pub reclaimable_bytes: u64,
}

impl CgroupUsage {
    /// Share of the limit that is taken by what cannot be dropped, in percent; `None` without a limit.
    pub fn percent(&self) -> Option<u64> {
        let kept = u128::from(self.usage_bytes.saturating_sub(self.reclaimable_bytes));
        (self.limit_bytes > 0).then(|| (kept * 100 / u128::from(self.limit_bytes)) as u64)
    }
}

impl CgroupMemory {
    /// The memory cgroup of a process; `None` if there is none or it cannot be seen.
    pub fn of(pid: u32) -> Option<Self> {
        let membership = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        Self::find(&membership, &mounts, Path::new("/"))
    }

    /// As [`CgroupMemory::of`], from the texts of the two files; mount points are taken below `root`.
    fn find(membership: &str, mounts: &str, root: &Path) -> Option<Self> {
        let lines = || membership.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let one = lines().find(|(controllers, _)| controllers.split(',').any(|c| c == "memory"));
        let two = lines().find(|(controllers, _)| controllers.is_empty());
        let candidates = [(one, Version::One), (two, Version::Two)];
        candidates.into_iter().find_map(|(found, version)| {
            let (_, path) = found?;
            let (mount_root, mount_point) = mount(mounts, version)?;
            // In a container the mount shows a part of the hierarchy; the path may be outside of it (`/../pod`).
            let is_inside = !path.split('/').any(|part| part == "..");
            let below = Path::new(path).strip_prefix(mount_root).ok().filter(|_| is_inside).unwrap_or(Path::new(""));
            let top = root.join(mount_point.trim_start_matches('/'));
            let own = top.join(below.strip_prefix("/").unwrap_or(below));
            let directories = own.ancestors().take_while(|d| d.starts_with(&top)).map(Path::to_owned);
            Some(Self { directories: directories.collect(), version })
        })
    }

    /// Limit and usage now. Where no cgroup has a limit, the usage is that of the process's own.
    pub fn usage(&self) -> CgroupUsage {
        let (limit, usage, cache) = match self.version {
            Version::One => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            Version::Two => ("memory.max", "memory.current", "inactive_file"),
        };
        let limits = self.directories.iter().filter_map(|d| Some((number(&d.join(limit))?, d)));
        let tightest = limits.filter(|(bytes, _)| *bytes < UNLIMITED).min_by_key(|(bytes, _)| *bytes);
        let Some(directory) = tightest.map(|(_, d)| d).or(self.directories.first()) else {
            return CgroupUsage::default();
        };
        CgroupUsage {
            limit_bytes: tightest.map_or(0, |(bytes, _)| bytes),
            usage_bytes: number(&directory.join(usage)).unwrap_or(0),
            reclaimable_bytes: keyed(&directory.join("memory.stat"), cache).unwrap_or(0),
        }
    }

    /// How often the kernel has killed a process of this cgroup, or of one that holds it, for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        self.directories.iter().filter_map(|d| keyed(&d.join(file), "oom_kill")).max().unwrap_or(0)
    }
}

/// Root (path in the hierarchy) and mount point of the memory hierarchy of this version.
fn mount(mounts: &str, version: Version) -> Option<(&str, &str)> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1).unwrap_or_default());
        let matches = match version {
            Version::One => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
            Version::Two => kind == "cgroup2",
        };
        matches.then_some((root, point))
    })
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number behind `key` in a file of lines `key number`.
fn keyed(file: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn version_two_takes_the_tightest_ancestor() {
        let root = tree(&[
            ("cg/pod/app/memory.max", "max\n"),
            ("cg/pod/app/memory.current", "10\n"),
            ("cg/pod/memory.max", "4000\n"),
            ("cg/pod/memory.current", "3300\n"),
            ("cg/pod/memory.stat", "anon 3000\ninactive_file 100\n"),
            ("cg/pod/memory.events", "oom 1\noom_kill 3\noom_group_kill 0\n"),
        ]);
        let mounts = "31 23 0:27 / /cg rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        let cgroup = CgroupMemory::find("0::/pod/app\n", mounts, root.path()).unwrap();
        let usage = cgroup.usage();
        assert_eq!(usage, CgroupUsage { limit_bytes: 4000, usage_bytes: 3300, reclaimable_bytes: 100 });
        assert_eq!(usage.percent(), Some(80));
        assert_eq!(cgroup.oom_kills(), 3);
    }

    #[test]
    fn version_one_is_found_inside_a_container() {
        let root = tree(&[
            ("sys/memory/memory.limit_in_bytes", "2000\n"),
            ("sys/memory/memory.usage_in_bytes", "500\n"),
            ("sys/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        ]);
        let mounts = "40 30 0:30 /docker/abc /sys/cpu rw - cgroup cgroup rw,cpu\n\
                      41 30 0:31 /docker/abc /sys/memory rw - cgroup cgroup rw,memory\n";
        let membership = "5:cpu:/docker/abc\n4:memory:/docker/abc\n0::/\n";
        let cgroup = CgroupMemory::find(membership, mounts, root.path()).unwrap();
        assert_eq!(cgroup.usage(), CgroupUsage { limit_bytes: 2000, usage_bytes: 500, reclaimable_bytes: 0 });
        assert_eq!(cgroup.oom_kills(), 1);
    }

    #[test]
    fn no_limit_is_no_percentage() {
        let root = tree(&[("cg/memory.current", "7\n"), ("cg/memory.max", "9223372036854771712\n")]);
        let mounts = "31 23 0:27 / /cg rw - cgroup2 cgroup2 rw\n";
        let cgroup = CgroupMemory::find("0::/../elsewhere\n", mounts, root.path()).unwrap();
        assert_eq!(cgroup.usage(), CgroupUsage { limit_bytes: 0, usage_bytes: 7, reclaimable_bytes: 0 });
        assert_eq!(cgroup.usage().percent(), None);
        assert_eq!(CgroupMemory::find("nonsense", mounts, root.path()), None);
    }
}
