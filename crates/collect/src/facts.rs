//! What /proc says about a process: gathered while it lives, kept for the profile that is made after its death.

use crate::cgroup::CgroupMemory;
use crate::liveness::stat_field;
use crate::modules::Maps;
use crate::root::ProcessRoot;
use crate::status::Status;
use leakscope_profile::timeline::Cgroup;
use leakscope_profile::{Exit, Memory, Target, redact};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Arguments beyond this are not kept.
const MOST_ARGUMENTS: usize = 1000;
/// A clock tick of /proc, milliseconds: the kernel shows times to programs in 1/100 s, whatever its own clock does.
const MS_PER_TICK: u64 = 10;
/// Bytes of a command line that are read.
const MOST_COMMAND: usize = 128 << 10;
/// The cgroup is looked up again after so many reads of its figures.
const REFRESHES_OF_CGROUP: u32 = 30;

/// Facts about one process, the last known ones once it is gone.
#[derive(Debug)]
pub struct ProcessFacts {
    /// Process id as the collector sees it.
    pub pid: u32,
    /// Short name.
    pub name: String,
    /// Command line, secrets redacted.
    pub command: Vec<String>,
    /// Absolute path of the executable, as the process sees it.
    pub exe: String,
    /// Version of the JVM, as `17.0.15+6`; empty while none is known.
    pub jvm: String,
    /// Names of the allocators that are linked into its executable, which whoever made these facts may look for.
    pub inner_allocators: Vec<String>,
    /// How it ended, once it has.
    pub exit: Option<Exit>,
    /// Its root directory.
    pub root: ProcessRoot,
    cgroup: Option<CgroupMemory>,
    figures: Option<Cgroup>,
    status: Status,
    refreshed: u32,
}

impl ProcessFacts {
    /// Gathers what /proc says about a process now. What cannot be read stays empty.
    pub fn gather(pid: u32) -> Self {
        let mut facts = Self {
            pid,
            name: process_name(pid).unwrap_or_default(),
            command: command(pid),
            exe: exe(pid),
            jvm: String::new(),
            inner_allocators: Vec::new(),
            exit: None,
            root: ProcessRoot::of(pid),
            cgroup: None,
            figures: None,
            status: Status::default(),
            refreshed: 0,
        };
        facts.refresh();
        facts
    }

    /// Reads the figures that change; whether the process is still there. Those of a process that is gone stay as they
    /// were.
    pub fn refresh(&mut self) -> bool {
        let Some(status) = Status::of(self.pid) else { return false };
        self.status = status;
        // A process can be moved to another cgroup.
        if self.refreshed.is_multiple_of(REFRESHES_OF_CGROUP) {
            self.cgroup = CgroupMemory::of(self.pid).or(self.cgroup.take());
        }
        self.refreshed = self.refreshed.wrapping_add(1);
        self.refresh_cgroup();
        true
    }

    /// Reads the figures of the memory cgroup alone, which outlives the process.
    pub fn refresh_cgroup(&mut self) {
        // One that has vanished with its last process leaves its last figures.
        self.figures = self.cgroup.as_ref().and_then(CgroupMemory::read).or(self.figures);
    }

    /// The memory cgroup, at the last [`ProcessFacts::refresh`].
    pub fn cgroup(&self) -> Option<&Cgroup> {
        self.figures.as_ref()
    }

    /// Limit of the memory cgroup, bytes.
    pub fn limit_bytes(&self) -> Option<u64> {
        self.figures?.limit_bytes
    }

    /// Resident set at the last [`ProcessFacts::refresh`], bytes.
    pub fn rss_bytes(&self) -> u64 {
        self.status.resident.rss_bytes
    }

    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    /// Processor time of the process, all of its threads, now.
    pub fn cpu_time(&self) -> Option<Duration> {
        let ticks = |number| stat_field(self.pid, number)?.parse::<u64>().ok();
        Some(Duration::from_millis(ticks(14)?.saturating_add(ticks(15)?).saturating_mul(MS_PER_TICK)))
    }

    /// Looks the version of the JVM up, in the file `release` of its installation. Does nothing once it is known.
    pub fn find_jvm(&mut self) {
        if self.jvm.is_empty() {
            let maps = Maps::of(self.pid);
            let version = maps.path_of("libjvm.so").and_then(|library| jvm_version(&self.root, Path::new(library)));
            self.jvm = version.unwrap_or_default();
        }
    }

    /// Whether the process still maps this memfd; `None` where that cannot be known. One that is ending maps nothing at
    /// all, long before it has ended where processors are scarce: that says nothing of what it ran.
    pub fn maps_memfd(&self, inode: u64) -> Option<bool> {
        let maps = Maps::of(self.pid);
        (!maps.is_empty()).then(|| maps.has_memfd(inode))
    }

    /// As the profile holds it.
    pub fn target(&self) -> Target {
        Target {
            pid: self.pid,
            name: self.name.clone(),
            command: self.command.clone(),
            exe: self.exe.clone(),
            exit: self.exit,
            jvm: self.jvm.clone(),
            bypassed_by: String::new(),
            inner_allocators: self.inner_allocators.clone(),
        }
    }

    /// As the profile holds it.
    pub fn memory(&self) -> Memory {
        Memory {
            rss_bytes: self.rss_bytes(),
            limit_bytes: self.limit_bytes().unwrap_or(0),
            cgroup_bytes: self.figures.map_or(0, |figures| figures.current_bytes),
        }
    }
}

/// The short name of a process (/proc/PID/comm), without what would disturb a terminal.
pub fn process_name(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_end_matches('\n').chars().filter(|c| !c.is_control()).collect())
}

fn command(pid: u32) -> Vec<String> {
    let mut bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes.truncate(MOST_COMMAND);
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let arguments = bytes.split(|byte| *byte == 0).take(MOST_ARGUMENTS);
    let arguments: Vec<String> = arguments.map(|argument| String::from_utf8_lossy(argument).into_owned()).collect();
    redact(&arguments)
}

fn exe(pid: u32) -> String {
    let path = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let path = path.to_string_lossy();
    path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned()
}

/// From the path of libjvm.so to the version in its installation's `release`: three directories up since JDK 9.
fn jvm_version(root: &ProcessRoot, library: &Path) -> Option<String> {
    use std::io::Read;
    library.ancestors().skip(3).take(2).find_map(|home| {
        let mut text = String::new();
        root.open(&home.join("release")).ok()?.take(64 << 10).read_to_string(&mut text).ok()?;
        version_in_release(&text)
    })
}

/// `JAVA_RUNTIME_VERSION="17.0.15+6-Debian-1deb12u1"` is `17.0.15+6`; else `JAVA_VERSION` as it stands.
fn version_in_release(text: &str) -> Option<String> {
    let value = |key: &str| {
        let quoted = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        let version = quoted.trim().trim_matches('"');
        let plain = version.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | '+' | '_'));
        Some(plain.collect::<String>()).filter(|version| !version.is_empty())
    };
    value("JAVA_RUNTIME_VERSION").or_else(|| value("JAVA_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_facts_are_found() {
        let facts = ProcessFacts::gather(std::process::id());
        assert!(facts.exe.starts_with('/') && !facts.name.is_empty() && !facts.command.is_empty());
        assert!(facts.rss_bytes() > 100_000);
        assert_eq!(facts.maps_memfd(u64::MAX), Some(false));
        assert_eq!(facts.target().pid, std::process::id());
        assert!(facts.cpu_time() < Some(Duration::from_secs(3600)) && facts.cpu_time().is_some());
    }

    #[test]
    fn a_process_that_is_gone_has_no_facts() {
        let facts = ProcessFacts::gather(u32::MAX);
        assert_eq!((facts.rss_bytes(), facts.exe.as_str(), facts.command.len()), (0, "", 0));
        assert_eq!(facts.maps_memfd(1), None);
    }

    #[test]
    fn a_process_that_is_ending_is_not_taken_for_another_program() {
        let mut child = std::process::Command::new("true").stdout(std::process::Stdio::piped()).spawn().unwrap();
        let facts = ProcessFacts::gather(child.id());
        // Its descriptors are closed after its memory is gone. Nobody has waited for it yet.
        std::io::Read::read_to_end(&mut child.stdout.take().unwrap(), &mut Vec::new()).unwrap();
        assert_eq!(facts.maps_memfd(1), None);
        child.wait().unwrap();
    }

    #[test]
    fn versions_of_jvms() {
        for (text, expected) in [
            (
                "IMPLEMENTOR=\"Debian\"\nJAVA_RUNTIME_VERSION=\"17.0.15+6-Debian-1deb12u1\"\nJAVA_VERSION=\"17.0.15\"\n",
                "17.0.15+6",
            ),
            ("JAVA_VERSION=\"21.0.2\"\n", "21.0.2"),
            ("JAVA_VERSION=\"1.8.0_402\"\n", "1.8.0_402"),
        ] {
            assert_eq!(version_in_release(text).as_deref(), Some(expected));
        }
        assert_eq!(version_in_release("JAVA_VERSION=\"\"\n"), None);
    }
}
