//! A process that runs, looked at once, whether it is recorded or not: what `leakscope explain` shows.

use crate::attach::Attachment;
use crate::clock;
use crate::facts::ProcessFacts;
use crate::jvm::JvmFacts;
use crate::nmt::native_memory;
use crate::parts::PartsReader;
use crate::shared::SharedSession;
use leakscope_profile::timeline::{Point, Timeline};
use std::io;

/// What was found.
#[derive(Debug)]
pub struct Survey {
    /// What /proc says.
    pub facts: ProcessFacts,
    /// What its JVM says, if it is one.
    pub jvm: Option<JvmFacts>,
    /// A timeline of this one instant.
    pub timeline: Timeline,
    /// When, nanoseconds since 1970.
    pub time_unix_ns: i64,
    /// Why its native memory tracking, which is on, could not be read.
    pub tracking_error: Option<String>,
}

impl Survey {
    /// Looks at a process; with its session, if it is recorded.
    ///
    /// Where a JVM tracks its native memory it is asked for that through its attach socket. That is all a target notices.
    ///
    /// # Errors
    /// Those of reading /proc/PID/smaps: no such process, no permission.
    pub fn of(pid: u32, session: Option<&SharedSession>) -> io::Result<Self> {
        let mut parts = PartsReader::of(pid);
        let mut facts = ProcessFacts::gather(pid);
        facts.find_jvm();
        facts.refresh_cgroup();
        let jvm = JvmFacts::of(pid);
        let (mut nmt, mut tracking_error) = (None, None);
        if jvm.as_ref().is_some_and(JvmFacts::tracks_native_memory) {
            match Attachment::to(pid).and_then(|attachment| native_memory(&attachment)) {
                Ok(categories) => nmt = categories,
                Err(error) => tracking_error = Some(error.to_string()),
            }
        }
        let divided = parts.read(session, None)?;
        facts.refresh();
        let time_unix_ns = clock::unix_ns();
        let point = Point {
            time_ms: time_unix_ns / 1_000_000,
            resident: facts.status().resident,
            cgroup: facts.cgroup().copied(),
            threads: facts.status().threads,
            parts: (!divided.is_empty()).then_some(divided),
            nmt,
            ..Point::default()
        };
        let timeline = Timeline { points: vec![point], ..Timeline::default() };
        Ok(Self { facts, jvm, timeline, time_unix_ns, tracking_error })
    }
}
