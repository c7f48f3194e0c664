//! The timeline: what the memory of one process came to, instant by instant; the lines of `timeline.jsonl`.
//!
//! `collect` measures a [`Point`] once a second or less often, the command line appends it as one line of JSON,
//! `analyze` reads all of them beside the profiles. Append-only, one object a line, so that a kill at any moment costs
//! at most the last line: [`Timeline::read`] leaves out what is no whole line, and counts it.
//!
//! Figures that are mostly 0 are left out where they are, and read as 0.
//!
//! Plain figures as they were read, without estimates: those need the arithmetic of `analyze`. What could not be read
//! is absent, never 0. Bytes everywhere; `time_ms` is the wall clock in milliseconds since 1970, `uptime_ms` the time
//! since recording started, which no change of the clock moves.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// The state at one instant.
    Point(Box<Point>),
    /// A moment that somebody marked.
    Mark(Mark),
    /// How the process ended.
    End(End),
    /// Something of a later version.
    #[serde(other)]
    Other,
}

/// The state of the process at one instant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Point {
    /// Wall clock, milliseconds since 1970.
    pub time_ms: i64,
    /// Milliseconds since recording started.
    pub uptime_ms: u64,
    /// What the kernel says of the process, from /proc/PID/status.
    pub resident: Resident,
    /// Its memory cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Cgroup>,
    /// Its JVM, from the mapped performance data; absent without a JVM or where that is switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub java: Option<Java>,
    /// What is live according to the session, by the word of its [`crate::Kind`], without the JVM's own mappings.
    /// Empty in points for which it was not taken.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tracked: BTreeMap<String, Tracked>,
    /// Threads of the process.
    pub threads: u64,
    /// Open descriptors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<u64>,
    /// Where the resident memory is; taken less often, since it is dear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<Part>>,
    /// The JVM's native memory tracking, where that is on; taken less often. Committed, not resident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nmt: Option<Vec<NmtCategory>>,
}

/// Resident memory of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resident {
    /// VmRSS.
    pub rss_bytes: u64,
    /// RssAnon.
    pub anon_bytes: u64,
    /// RssFile.
    pub file_bytes: u64,
    /// RssShmem.
    #[serde(skip_serializing_if = "is_zero")]
    pub shmem_bytes: u64,
    /// VmSwap.
    #[serde(skip_serializing_if = "is_zero")]
    pub swap_bytes: u64,
}

/// The memory cgroup that limits the process, or its own where none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cgroup {
    /// 1 or 2.
    pub version: u8,
    /// The tightest limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
    /// What is charged.
    pub current_bytes: u64,
    /// The most that was ever charged; 0 where the kernel does not tell (version 2 before Linux 5.19).
    #[serde(skip_serializing_if = "is_zero")]
    pub peak_bytes: u64,
    /// Of what is charged, anonymous memory.
    pub anon_bytes: u64,
    /// Of it, page cache.
    pub file_bytes: u64,
    /// Of the page cache, what the kernel drops before it kills.
    pub reclaimable_bytes: u64,
    /// Of it, the kernel's own: page tables, stacks, sockets.
    pub kernel_bytes: u64,
    /// How often the kernel has killed for want of memory here.
    #[serde(skip_serializing_if = "is_zero")]
    pub oom_kills: u64,
    /// How often the limit was hit. Some kernels of version 1 do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit_hits: u64,
}

impl Cgroup {
    /// What is charged and cannot be dropped, bytes.
    pub fn kept_bytes(&self) -> u64 {
        self.current_bytes.saturating_sub(self.reclaimable_bytes)
    }

    /// Share of the limit that is taken by what cannot be dropped, in whole percent; `None` without a limit.
    pub fn percent(&self) -> Option<u64> {
        let limit = self.limit_bytes.filter(|limit| *limit > 0)?;
        Some((u128::from(self.kept_bytes()) * 100 / u128::from(limit)) as u64)
    }
}

/// The JVM's own figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Java {
    /// Its garbage collector.
    pub collector: GarbageCollector,
    /// What the counts of collections count.
    #[serde(skip_serializing_if = "GcCounter::is_usual")]
    pub counter: GcCounter,
    /// Bytes of the heap in use (garbage included).
    pub heap_used_bytes: u64,
    /// Bytes of the heap that are committed.
    pub heap_committed_bytes: u64,
    /// Largest heap, bytes.
    pub heap_max_bytes: u64,
    /// Metaspace in use, class space included, bytes.
    pub metaspace_used_bytes: u64,
    /// Metaspace committed, bytes.
    pub metaspace_committed_bytes: u64,
    /// Collections that were not full, since the JVM's start.
    pub young_gcs: u64,
    /// Full collections, since the JVM's start; those of the whole heap with ZGC and Shenandoah.
    pub full_gcs: u64,
    /// Pauses of G1's concurrent cycles, since the JVM's start: they release what only references held, as full ones do.
    #[serde(skip_serializing_if = "is_zero")]
    pub concurrent_pauses: u64,
    /// Loaded classes.
    pub classes: u64,
}

/// A garbage collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GarbageCollector {
    /// The one for small machines.
    Serial,
    /// The one for throughput.
    Parallel,
    /// The usual one.
    G1,
    /// ZGC, with or without generations.
    Z,
    /// Shenandoah.
    Shenandoah,
    /// Some other, or one of a later version.
    #[default]
    #[serde(other)]
    Other,
}

/// What the JVM's counts of collections count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GcCounter {
    /// Collections.
    #[default]
    Collections,
    /// Pauses or phases, several in each collection: that the count has risen says that there was one, not how many.
    Phases,
    /// Nothing: this JVM does not count.
    #[serde(other)]
    None,
}

impl GcCounter {
    fn is_usual(&self) -> bool {
        *self == Self::Collections
    }
}

// By reference, as serde asks for it.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Sums over the live sampled blocks of one kind (DESIGN 6).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracked {
    /// Sampled blocks.
    pub samples: u64,
    /// T for bytes.
    pub bytes: f64,
    /// V for bytes.
    pub bytes_variance: f64,
    /// O for bytes.
    pub bytes_observed: u64,
    /// Largest sampling interval among them, bytes; 1 where every block is recorded.
    pub interval_bytes: u64,
}

/// A share of the process's resident memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Of what.
    pub class: Class,
    /// Proportional set size: pages shared with other processes, or mapped several times, count in part.
    pub pss_bytes: u64,
    /// Resident set size.
    pub rss_bytes: u64,
}

/// What a mapping is for. Every mapping belongs to exactly one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The Java heap.
    JavaHeap,
    /// What the allocator has: the break, its arenas and its large blocks, whether a live block lies there or none.
    Allocator,
    /// Anonymous mappings that the program made itself, as the session tells.
    MappedAnon,
    /// Files that the program mapped itself, as the session tells (FileChannel.map).
    MappedFile,
    /// Stacks of threads, the first one's included.
    Stacks,
    /// What the JVM has mapped for itself: metaspace, code cache, the collector's tables.
    Jvm,
    /// Executables, libraries and files that came with them (class data, locales).
    Files,
    /// leakscope's own session and shim.
    Leakscope,
    /// The rest.
    Unexplained,
}

/// A category of the JVM's native memory tracking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NmtCategory {
    /// As the JVM calls it: `Class`, `Thread`, `Code`, `GC`, `Internal`, ...
    pub name: String,
    /// Reserved bytes.
    pub reserved_bytes: u64,
    /// Committed bytes.
    pub committed_bytes: u64,
    /// Of these, bytes from malloc, which the session tracks, too.
    pub malloc_bytes: u64,
}

/// A moment that somebody marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Wall clock, milliseconds since 1970.
    pub time_ms: i64,
    /// Milliseconds since recording started.
    pub uptime_ms: u64,
    /// Their words.
    pub text: String,
}

/// How the process ended, and who ended it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Wall clock, milliseconds since 1970.
    pub time_ms: i64,
    /// Milliseconds since recording started.
    pub uptime_ms: u64,
    /// As in the session file: `code 0`, `signal 9`, `exec`, `unknown`, `running`.
    pub how: String,
    /// Whether the kernel killed it for want of memory: the cgroup's count of such kills rose as it died by SIGKILL.
    pub oom_killed: bool,
}

/// A timeline that was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Timeline {
    /// In the order of the file.
    pub points: Vec<Point>,
    /// In the order of the file.
    pub marks: Vec<Mark>,
    /// How the process ended, once that is known.
    pub end: Option<End>,
    /// Lines that could not be read.
    pub damaged: u64,
}

impl Timeline {
    /// Reads the text of a timeline, whatever it holds.
    pub fn read(text: &[u8]) -> Self {
        let mut timeline = Self::default();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(Line::Point(point)) => timeline.points.push(*point),
                Ok(Line::Mark(mark)) => timeline.marks.push(mark),
                Ok(Line::End(end)) => timeline.end = Some(end),
                Ok(Line::Other) => {}
                Err(_) => timeline.damaged += 1,
            }
        }
        timeline
    }
}

impl Line {
    /// The line as it stands in the file, with its line break.
    pub fn to_json(&self) -> String {
        // Maps with text keys, numbers and text only: nothing here can fail to be written.
        serde_json::to_string(self).map(|line| line + "\n").unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point() -> Point {
        Point {
            time_ms: 1_764_000_000_000,
            uptime_ms: 5000,
            resident: Resident { rss_bytes: 1 << 20, ..Resident::default() },
            tracked: [("malloc".to_owned(), Tracked { samples: 1, bytes: 2.5, ..Tracked::default() })].into(),
            parts: Some(vec![Part { class: Class::JavaHeap, pss_bytes: 4096, rss_bytes: 8192 }]),
            threads: 3,
            ..Point::default()
        }
    }

    #[test]
    fn lines_come_back_as_they_were() {
        let mark = Mark { time_ms: 1, uptime_ms: 2, text: "restart \u{7}\n\"1\"".into() };
        let end = End { time_ms: 3, uptime_ms: 4, how: "signal 9".into(), oom_killed: true };
        let lines = [Line::Point(Box::new(point())), Line::Mark(mark.clone()), Line::End(end.clone())];
        let text: String = lines.iter().map(Line::to_json).collect();
        assert_eq!(text.lines().count(), 3, "one line each");
        let expected = Timeline { points: vec![point()], marks: vec![mark], end: Some(end), damaged: 0 };
        assert_eq!(Timeline::read(text.as_bytes()), expected);
    }

    #[test]
    fn a_torn_line_costs_itself_only() {
        let whole = Line::Point(Box::new(point())).to_json();
        for cut in 1..whole.len() - 1 {
            let text = format!("{whole}{{\"type\":\"later\",\"x\":1}}\n{}", &whole[..cut]);
            let timeline = Timeline::read(text.as_bytes());
            assert_eq!((timeline.points.len(), timeline.damaged), (1, 1), "cut at {cut}");
        }
        assert_eq!(Timeline::read(b"\xff\xfe\n[]\n").damaged, 2);
    }
}
