//! The files that native frames lie in: noticed in the session's table, opened at once, found again by address.
//!
//! Java libraries delete their native half right after loading it, so a module's file is opened when the module first
//! appears. Most descriptors are closed again once the build id is known: a file in its place can be opened later. Those
//! of deleted files, and of files in directories for temporary ones, are kept.

use crate::facts::ProcessFacts;
use crate::native::NativeNames;
use crate::root::regular;
use leakscope_profile::Module;
use leakscope_session::modules::{ModuleTable, Range};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

/// Modules kept: twice what a session has room for.
const MOST_MODULES: u32 = 4096;
/// Descriptors kept open.
const MOST_FILES: usize = 256;
/// Where files do not stay.
const TEMPORARY: [&str; 4] = ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/"];

/// A module of a recorded process.
#[derive(Debug)]
pub struct KnownModule {
    /// Where it lies, and which file it is.
    pub module: Module,
    /// The file itself, where it may be gone later.
    file: Option<File>,
    /// Whether the file was deleted or replaced while it was mapped.
    pub is_deleted: bool,
}

/// The modules of one session.
#[derive(Default)]
pub(crate) struct Modules {
    known: Vec<KnownModule>,
    /// Address ranges that do not overlap: start -> (end, index into `known`).
    ranges: BTreeMap<u64, (u64, usize)>,
    /// Entries of the table that have been looked at: how many, and those that were not published yet.
    looked_at: u32,
    unpublished: Vec<u32>,
    files: usize,
}

impl Modules {
    /// Takes in what is new in the table, and opens the files. Cheap when nothing is.
    pub(crate) fn update(&mut self, table: &ModuleTable<'_>, facts: &ProcessFacts, names: &mut dyn NativeNames) {
        let total = table.total().min(MOST_MODULES);
        let mut candidates = std::mem::take(&mut self.unpublished);
        candidates.extend(self.looked_at..total);
        self.looked_at = self.looked_at.max(total);
        if candidates.is_empty() {
            return;
        }
        let mut maps = None;
        for index in candidates {
            match table.range(index) {
                Some(range) => {
                    let maps = maps.get_or_insert_with(|| Maps::of(facts.pid));
                    self.add(&range, &path_of(table, index, &facts.exe), maps, facts, names);
                }
                None => self.unpublished.push(index),
            }
        }
    }

    /// The module that holds the call before a return address.
    pub(crate) fn find(&self, return_address: u64) -> Option<usize> {
        let address = return_address.checked_sub(1)?;
        let (_, (end, index)) = self.ranges.range(..=address).next_back()?;
        (address < *end).then_some(*index)
    }

    pub(crate) fn known(&self) -> &[KnownModule] {
        &self.known
    }

    fn add(&mut self, range: &Range, path: &str, maps: &Maps, facts: &ProcessFacts, names: &mut dyn NativeNames) {
        if range.start >= range.end {
            return;
        }
        let mapping = maps.find(range, path);
        let mut known = KnownModule {
            module: Module {
                start: range.start,
                end: range.end,
                offset: mapping.map_or(0, |m| m.offset.saturating_add(range.start.saturating_sub(m.start))),
                bias: range.bias,
                path: path.to_owned(),
                build_id: String::new(),
            },
            file: None,
            is_deleted: mapping.is_some_and(|m| m.is_deleted),
        };
        if path.starts_with('/') {
            self.open(&mut known, mapping, facts, names);
        }
        self.cover(range.start, range.end, self.known.len());
        self.known.push(known);
    }

    fn open(
        &mut self,
        known: &mut KnownModule,
        mapping: Option<&Mapping>,
        facts: &ProcessFacts,
        names: &mut dyn NativeNames,
    ) {
        let file = if known.is_deleted {
            mapping.and_then(|mapping| mapping.open(facts.pid))
        } else {
            facts.root.open(Path::new(&known.module.path)).ok()
        };
        known.module.build_id = match &file {
            Some(file) => names.build_id(file),
            None => File::open(format!("/proc/{}/mem", facts.pid))
                .map_or_else(|_| String::new(), |memory| names.build_id_in_memory(&memory, known.module.start)),
        };
        let may_vanish = known.is_deleted || TEMPORARY.iter().any(|t| known.module.path.starts_with(t));
        if may_vanish && file.is_some() && self.files < MOST_FILES {
            self.files += 1;
            known.file = file;
        }
    }

    /// Enters a range; what it overlaps was unmapped before.
    fn cover(&mut self, start: u64, end: u64, index: usize) {
        let overlapping: Vec<(u64, (u64, usize))> = self
            .ranges
            .range(..end)
            .rev()
            .take_while(|(_, (old_end, _))| *old_end > start)
            .map(|(old_start, old)| (*old_start, *old))
            .collect();
        for (old_start, (old_end, old)) in overlapping {
            self.ranges.remove(&old_start);
            if old_start < start {
                self.ranges.insert(old_start, (start, old));
            }
            if old_end > end {
                self.ranges.insert(end, (old_end, old));
            }
        }
        self.ranges.insert(start, (end, index));
    }
}

impl KnownModule {
    /// The module's file: the one that was kept, or the one at its path by now.
    pub fn open(&self, facts: &ProcessFacts) -> Option<File> {
        match &self.file {
            Some(file) => file.try_clone().ok(),
            None if self.module.path.starts_with('/') => facts.root.open(Path::new(&self.module.path)).ok(),
            None => None,
        }
    }
}

/// Path of the module in a session's table that holds an address; where it holds none, the address itself: the table was
/// full, or the session was tampered with.
pub(crate) fn path_at(table: &ModuleTable<'_>, address: u64, exe: &str) -> String {
    let holds = |index: &u32| table.range(*index).is_some_and(|range| (range.start..range.end).contains(&address));
    let index = (0..table.total().min(MOST_MODULES)).find(holds);
    index.map_or_else(|| format!("{address:#x}"), |index| path_of(table, index, exe))
}

fn path_of(table: &ModuleTable<'_>, index: u32, exe: &str) -> String {
    let mut bytes = Vec::new();
    table.path(index, |byte| bytes.push(byte));
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_suffix(" (deleted)").unwrap_or(&text);
    if text.is_empty() { exe.to_owned() } else { text.to_owned() }
}

/// A line of /proc/PID/maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    inode: u64,
    path: String,
    is_deleted: bool,
}

/// The file mappings of a process; empty where they cannot be read.
pub(crate) struct Maps(Vec<Mapping>);

impl Maps {
    pub(crate) fn of(pid: u32) -> Self {
        let text = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
        Self(String::from_utf8_lossy(&text).lines().filter_map(mapping).collect())
    }

    /// Whether there is none: the process is ending, is gone, or is another user's.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The path of the first mapped file with this name.
    pub(crate) fn path_of(&self, name: &str) -> Option<&str> {
        self.0.iter().map(|m| m.path.as_str()).find(|path| path.rsplit('/').next() == Some(name))
    }

    /// Where the first mapped file with this name begins.
    pub(crate) fn start_of(&self, name: &str) -> Option<u64> {
        let is_it = |m: &&Mapping| m.offset == 0 && m.path.rsplit('/').next() == Some(name);
        self.0.iter().find(is_it).map(|m| m.start)
    }

    /// The first mapping of a file whose path is asked for.
    pub(crate) fn find_path(&self, is_it: impl Fn(&str) -> bool) -> Option<&Mapping> {
        self.0.iter().find(|mapping| is_it(&mapping.path))
    }

    /// Whether a mapping of this inode of a memfd is there.
    pub(crate) fn has_memfd(&self, inode: u64) -> bool {
        self.0.iter().any(|m| m.inode == inode && m.path.starts_with("/memfd:"))
    }

    fn find(&self, range: &Range, path: &str) -> Option<&Mapping> {
        self.0.iter().find(|m| m.path == path && m.end > range.start && m.start < range.end)
    }
}

impl Mapping {
    /// Path of its file, as the process sees it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether the file has no name any more.
    pub(crate) fn is_deleted(&self) -> bool {
        self.is_deleted
    }

    /// The file itself, whatever its name leads to by now; for root alone.
    pub(crate) fn open(&self, pid: u32) -> Option<File> {
        regular(File::open(format!("/proc/{pid}/map_files/{:x}-{:x}", self.start, self.end)).ok()?).ok()
    }
}

fn mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let offset = fields.nth(1)?;
    let inode = fields.nth(1)?;
    let path = fields.next()?.trim_start();
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let live_path = path.strip_suffix(" (deleted)");
    path.starts_with('/').then_some(())?;
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        inode: inode.parse().ok()?,
        path: live_path.unwrap_or(path).to_owned(),
        is_deleted: live_path.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_modules_win_and_the_rest_of_earlier_ones_stays() {
        let mut modules = Modules::default();
        modules.cover(100, 200, 0);
        modules.cover(300, 400, 1);
        modules.cover(150, 350, 2);
        modules.cover(200, 250, 3);
        modules.cover(500, 600, 4);
        modules.cover(500, 600, 5);
        let at = |address: u64| modules.find(address + 1);
        assert_eq!(
            [99, 100, 149, 150, 199, 200, 249, 250, 349, 350, 399, 400, 500, 599, 600].map(at),
            [
                None,
                Some(0),
                Some(0),
                Some(2),
                Some(2),
                Some(3),
                Some(3),
                Some(2),
                Some(2),
                Some(1),
                Some(1),
                None,
                Some(5),
                Some(5),
                None
            ]
        );
        assert_eq!(modules.find(0), None);
    }

    #[test]
    fn lines_of_maps_are_read() {
        let line = "7f00a000-7f00b000 r-xp 00003000 fe:01 4242                       /tmp/my lib.so (deleted)";
        let expected = Mapping {
            start: 0x7f00_a000,
            end: 0x7f00_b000,
            offset: 0x3000,
            inode: 4242,
            path: "/tmp/my lib.so".to_owned(),
            is_deleted: true,
        };
        assert_eq!(mapping(line), Some(expected));
        assert_eq!(mapping("7f00a000-7f00b000 rw-p 00000000 00:00 0"), None);
        assert_eq!(mapping("7ffd5000-7ffd7000 r-xp 00000000 00:00 0                          [vdso]"), None);
        assert_eq!(mapping(""), None);
    }

    #[test]
    fn our_own_maps_show_our_own_file() {
        let exe = fs::read_link("/proc/self/exe").unwrap();
        let name = exe.file_name().unwrap().to_str().unwrap();
        assert_eq!(Maps::of(std::process::id()).path_of(name), exe.to_str());
    }
}
