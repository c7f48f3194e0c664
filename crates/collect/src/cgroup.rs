//! The memory limit that will kill the target: the tightest among its cgroup and that one's ancestors, version 1 or 2.
//!
//! | | version 1 | version 2 |
//! |---|---|---|
//! | limit | memory.limit_in_bytes | memory.max |
//! | current, peak | memory.usage_in_bytes, memory.max_usage_in_bytes | memory.current, memory.peak (from 5.19) |
//! | anonymous, files, reclaimable | memory.stat: total_rss, total_cache, total_inactive_file | memory.stat: anon, file, inactive_file |
//! | the kernel's own | memory.kmem.usage_in_bytes | memory.stat: kernel (from 5.18), else its parts |
//! | limit hits | memory.failcnt, memory.memsw.failcnt (hit first where both limits are the same) | memory.events: max |
//! | kills | memory.oom_control: oom_kill (its own cgroup's alone) | memory.events: oom_kill (those below included) |
//!
//! A kill is counted in the cgroup of the victim, also where the whole machine was out of memory.

use leakscope_profile::timeline::Cgroup;
use std::fs;
use std::path::{Path, PathBuf};

/// A limit above this is none (version 1 writes the largest multiple of a page).
const UNLIMITED: u64 = 1 << 60;
/// Charges that failed in version 1: of memory, and of memory with swap.
const FAILURES: [&str; 2] = ["memory.failcnt", "memory.memsw.failcnt"];
/// What `kernel` adds up, for kernels that do not.
const KERNEL_PARTS: [&str; 4] = ["kernel_stack", "pagetables", "percpu", "slab"];

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

    /// The figures now: those of the cgroup with the tightest limit, or of the process's own where none has a limit.
    /// `None` where they cannot be read: the cgroup is gone, or was never visible.
    pub fn read(&self) -> Option<Cgroup> {
        let (limit, usage, peak) = match self.version {
            Version::One => ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes"),
            Version::Two => ("memory.max", "memory.current", "memory.peak"),
        };
        let limits = self.directories.iter().filter_map(|d| Some((number(&d.join(limit))?, d)));
        let tightest = limits.filter(|(bytes, _)| *bytes < UNLIMITED).min_by_key(|(bytes, _)| *bytes);
        let directory = tightest.map(|(_, d)| d).or(self.directories.first())?;
        let current_bytes = number(&directory.join(usage))?;
        let stat = Keyed::read(&directory.join("memory.stat"));
        let figures = Cgroup {
            limit_bytes: tightest.map(|(bytes, _)| bytes),
            current_bytes,
            peak_bytes: number(&directory.join(peak)).unwrap_or(0),
            oom_kills: self.oom_kills(),
            ..Cgroup::default()
        };
        Some(match self.version {
            Version::One => Cgroup {
                version: 1,
                anon_bytes: stat.get("total_rss"),
                file_bytes: stat.get("total_cache"),
                reclaimable_bytes: stat.get("total_inactive_file"),
                kernel_bytes: number(&directory.join("memory.kmem.usage_in_bytes")).unwrap_or(0),
                limit_hits: FAILURES
                    .iter()
                    .filter_map(|file| number(&directory.join(file)))
                    .fold(0, u64::saturating_add),
                ..figures
            },
            Version::Two => Cgroup {
                version: 2,
                anon_bytes: stat.get("anon"),
                file_bytes: stat.get("file"),
                reclaimable_bytes: stat.get("inactive_file"),
                kernel_bytes: stat.find("kernel").unwrap_or_else(|| stat.sum(&KERNEL_PARTS)),
                limit_hits: Keyed::read(&directory.join("memory.events")).get("max"),
                ..figures
            },
        })
    }

    /// How often the kernel has killed a process of this cgroup, or of one that holds it, for want of memory.
    fn oom_kills(&self) -> u64 {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        self.directories.iter().map(|d| Keyed::read(&d.join(file)).get("oom_kill")).max().unwrap_or(0)
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

/// The text of a file of lines `key number`; empty where it cannot be read.
struct Keyed(String);

impl Keyed {
    fn read(file: &Path) -> Self {
        Self(fs::read_to_string(file).unwrap_or_default())
    }

    fn find(&self, key: &str) -> Option<u64> {
        self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
    }

    fn get(&self, key: &str) -> u64 {
        self.find(key).unwrap_or(0)
    }

    fn sum(&self, keys: &[&str]) -> u64 {
        keys.iter().fold(0, |sum, key| sum.saturating_add(self.get(key)))
    }
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

    const MOUNTS: &str = "31 23 0:27 / /cg rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
    /// As a kernel printed it when a cgroup at its limit was about to lose a process.
    const STAT: &str = "anon 443244544\nfile 25722880\nkernel 23789568\nkernel_stack 2490368\npagetables 11616256\n\
        sec_pagetables 0\npercpu 188256\nsock 0\nvmalloc 0\nshmem 1302528\nzswap 0\nzswapped 0\nfile_mapped 18034688\n\
        file_dirty 0\nfile_writeback 0\nswapcached 2109440\nanon_thp 249561088\nfile_thp 0\nshmem_thp 0\n\
        inactive_anon 64327680\nactive_anon 379654144\ninactive_file 4321280\nactive_file 20099072\nunevictable 0\n\
        slab_reclaimable 794232\nslab_unreclaimable 7392640\nslab 8186872\nworkingset_refault_anon 5287\n";
    const EVENTS: &str = "low 0\nhigh 0\nmax 9260\noom 1\noom_kill 1\noom_group_kill 0\n";

    #[test]
    fn version_two_is_read() {
        let root = tree(&[
            ("cg/app/memory.max", "492830720\n"),
            ("cg/app/memory.current", "492830720\n"),
            ("cg/app/memory.peak", "492835000\n"),
            ("cg/app/memory.stat", STAT),
            ("cg/app/memory.events", EVENTS),
        ]);
        let expected = Cgroup {
            version: 2,
            limit_bytes: Some(492_830_720),
            current_bytes: 492_830_720,
            peak_bytes: 492_835_000,
            anon_bytes: 443_244_544,
            file_bytes: 25_722_880,
            reclaimable_bytes: 4_321_280,
            kernel_bytes: 23_789_568,
            oom_kills: 1,
            limit_hits: 9260,
        };
        let cgroup = CgroupMemory::find("0::/app\n", MOUNTS, root.path()).unwrap();
        assert_eq!(cgroup.read(), Some(expected));
        assert_eq!(expected.percent(), Some(99));
        // Before 5.18 the sum is missing.
        let old = STAT.replace("kernel 23789568\n", "");
        fs::write(root.path().join("cg/app/memory.stat"), old).unwrap();
        assert_eq!(cgroup.read().unwrap().kernel_bytes, 2_490_368 + 11_616_256 + 188_256 + 8_186_872);
        fs::remove_dir_all(root.path().join("cg/app")).unwrap();
        assert_eq!(cgroup.read(), None, "it is gone");
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
        let figures = CgroupMemory::find("0::/pod/app\n", MOUNTS, root.path()).unwrap().read().unwrap();
        assert_eq!((figures.limit_bytes, figures.current_bytes, figures.oom_kills), (Some(4000), 3300, 3));
        assert_eq!(figures.percent(), Some(80));
    }

    #[test]
    fn version_one_is_found_inside_a_container() {
        let root = tree(&[
            ("sys/memory/memory.limit_in_bytes", "2000\n"),
            ("sys/memory/memory.usage_in_bytes", "500\n"),
            ("sys/memory/memory.max_usage_in_bytes", "900\n"),
            ("sys/memory/memory.kmem.usage_in_bytes", "60\n"),
            ("sys/memory/memory.failcnt", "3\n"),
            ("sys/memory/memory.memsw.failcnt", "4\n"),
            ("sys/memory/memory.stat", "cache 1\nrss 2\ntotal_cache 30\ntotal_rss 400\ntotal_inactive_file 5\n"),
            ("sys/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        ]);
        let mounts = "40 30 0:30 /docker/abc /sys/cpu rw - cgroup cgroup rw,cpu\n\
                      41 30 0:31 /docker/abc /sys/memory rw - cgroup cgroup rw,memory\n";
        let membership = "5:cpu:/docker/abc\n4:memory:/docker/abc\n0::/\n";
        let cgroup = CgroupMemory::find(membership, mounts, root.path()).unwrap();
        let expected = Cgroup {
            version: 1,
            limit_bytes: Some(2000),
            current_bytes: 500,
            peak_bytes: 900,
            anon_bytes: 400,
            file_bytes: 30,
            reclaimable_bytes: 5,
            kernel_bytes: 60,
            oom_kills: 1,
            limit_hits: 7,
        };
        assert_eq!(cgroup.read(), Some(expected));
    }

    #[test]
    fn no_limit_is_no_percentage() {
        let root = tree(&[("cg/memory.current", "7\n"), ("cg/memory.max", "9223372036854771712\n")]);
        let mounts = "31 23 0:27 / /cg rw - cgroup2 cgroup2 rw\n";
        let figures = CgroupMemory::find("0::/../elsewhere\n", mounts, root.path()).unwrap().read().unwrap();
        assert_eq!(figures, Cgroup { version: 2, current_bytes: 7, ..Cgroup::default() });
        assert_eq!(figures.percent(), None);
        assert_eq!(CgroupMemory::find("nonsense", mounts, root.path()), None);
    }
}
