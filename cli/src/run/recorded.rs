//! One process while it is recorded: its collector, what /proc says, its folder, and when the next snapshot is due.

use crate::clock::{time_of_day, unix_ms, unix_seconds};
use crate::run::cadence::Cadence;
use crate::run::finished::{Finished, Unwritten, is_launcher};
use crate::run::folder::Folder;
use crate::run::heap;
use crate::run::messages;
use crate::run::native_memory::NativeMemory;
use crate::run::oom::{OomKill, OomWatch};
use crate::run::pace::Pace;
use crate::say::{say, warn};
use crate::timeline_file::TimelineFile;
use leakscope_analyze::forecast_now;
use leakscope_collect::{Collector, DeskLoss, Liveness, Meter, NativeNames, Occasion, ProcessFacts};
use leakscope_profile::timeline::{End, Line, Mark};
use leakscope_profile::{Exit, Profile};
use leakscope_session::handshake::Why;
use leakscope_session::header::JvmState;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Shares of the memory limit at which a snapshot is taken, percent.
pub const LEVELS: [u64; 3] = [80, 90, 95];
/// A level counts as left when the usage is this much below it.
const HYSTERESIS: u64 = 10;
/// How often the figures of /proc are read.
const REFRESH: Duration = Duration::from_secs(1);
/// How long after it let its session go a process may still be dying.
const DYING: Duration = Duration::from_millis(100);

/// Why a snapshot is taken that somebody asked for.
pub const REQUEST: &str = "request";
/// Why the last snapshot is taken.
const FINAL: &str = "final";

/// A recorded process.
pub struct Recorded {
    why: Why,
    /// What /proc says.
    pub facts: ProcessFacts,
    /// Whether it still lives.
    pub liveness: Liveness,
    /// Where its snapshots go.
    pub folder: Folder,
    /// Whether it is the command that was started.
    pub is_root: bool,
    /// The session's reader.
    pub collector: Collector,
    meter: Meter,
    native_memory: NativeMemory,
    pace: Pace,
    timeline: TimelineFile,
    oom_watch: OomWatch,
    oom: Option<OomKill>,
    hold: Hold,
    is_gone: bool,
    next_snapshot: Option<Instant>,
    next_refresh: Instant,
    next_index: u32,
    reached: u64,
    unwritten: Unwritten,
    began: Instant,
    /// What the last snapshot took.
    took: Duration,
    live_samples: u64,
    jvm: JvmState,
}

/// What a look at a recorded process found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It goes on.
    Alive,
    /// A snapshot is due.
    Due,
    /// Its memory has reached this share of the limit, percent.
    Level(u64),
    /// It has ended, or executed another program.
    Gone(Departure),
}

/// Whether a process holds its session open.
#[derive(Debug, Clone, Copy)]
enum Hold {
    /// It does.
    Held,
    /// It does not: it is ending, runs another program, or has closed its descriptors. When to look next.
    LetGo { look_at: Instant },
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The process has ended.
    Ended,
    /// The process lives, and runs another program.
    Exec,
}

impl Recorded {
    /// Starts with an empty folder.
    pub fn new(why: Why, facts: ProcessFacts, folder: Folder, is_root: bool, collector: Collector) -> Self {
        let now = Instant::now();
        Self {
            why,
            liveness: Liveness::of(facts.pid),
            timeline: TimelineFile::new(folder.path()),
            oom_watch: OomWatch::new(facts.cgroup()),
            meter: Meter::of(facts.pid),
            native_memory: NativeMemory::default(),
            facts,
            oom: None,
            folder,
            is_root,
            collector,
            pace: Pace::new(),
            hold: Hold::Held,
            is_gone: false,
            next_snapshot: None,
            next_refresh: now,
            next_index: 0,
            reached: 0,
            unwritten: Unwritten::default(),
            began: now,
            took: Duration::ZERO,
            live_samples: 0,
            jvm: JvmState::Absent,
        }
    }

    /// Measures it for the first time, and says when the first snapshot is due.
    pub fn schedule(&mut self, cadence: Cadence) {
        let now = Instant::now();
        self.next_snapshot = cadence.pause(Duration::ZERO, Duration::ZERO).map(|pause| now + pause);
        self.next_refresh = now + REFRESH;
        self.measure();
    }

    /// Whether its JVM has been seen.
    pub fn has_jvm(&self) -> bool {
        self.jvm != JvmState::Absent
    }

    /// Whether it lives, and still runs the program that is recorded.
    pub fn is_current(&self) -> bool {
        let shared = self.collector.shared();
        // A process may have closed its descriptors, and go on.
        self.liveness.is_alive() && (shared.is_held() || self.facts.maps_memfd(shared.inode()) != Some(false))
    }

    /// What is due every 100 ms: empties the ring, opens the files of new modules, reads /proc.
    pub fn look(&mut self, names: &mut dyn NativeNames, cadence: Cadence) -> Found {
        let now = Instant::now();
        let is_alive = self.liveness.is_alive();
        self.collector.drain(!is_alive);
        if !is_alive {
            // What it said at the door before is taken in between two looks: that it ran another program by then.
            let was_seen = std::mem::replace(&mut self.is_gone, true);
            return if was_seen { Found::Gone(Departure::Ended) } else { Found::Alive };
        }
        self.collector.notice_modules(&self.facts, names);
        if let Some(departure) = self.departure(now) {
            return Found::Gone(departure);
        }
        self.watch_jvm();
        if now >= self.next_refresh {
            self.next_refresh = now + REFRESH;
            if self.facts.refresh() {
                self.oom_watch.look(self.facts.cgroup(), now);
                self.measure();
            }
            if self.has_jvm() {
                self.facts.find_jvm();
            }
            if let Some(change) = self.collector.govern(&self.facts) {
                say(&messages::raised(&time_of_day(unix_seconds()), &self.facts.name, &change));
            }
            if let Some(level) = self.crossed() {
                return Found::Level(level);
            }
        }
        if let Some(due) = self.next_snapshot.filter(|due| now >= *due) {
            // Where snapshots take longer than the pause, the ones missed are not made up for.
            let pause = cadence.pause(now.duration_since(self.began), self.took);
            self.next_snapshot = pause.map(|pause| (due + pause).max(now));
            return Found::Due;
        }
        Found::Alive
    }

    /// Takes a snapshot without writing it.
    pub fn snapshot(&mut self, reason: &str, names: &mut dyn NativeNames) -> Profile {
        self.facts.refresh();
        if self.has_jvm() {
            self.facts.find_jvm();
        }
        let losses = BTreeMap::from([
            (DeskLoss::SnapshotsUnwritten.name().to_owned(), self.unwritten.count),
            (DeskLoss::TimelineUnwritten.name().to_owned(), self.timeline.unwritten().0),
        ]);
        let occasion = Occasion {
            index: Some(self.next_index),
            reason: reason.to_owned(),
            is_awaited: reason == REQUEST,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            losses,
        };
        self.next_index += 1;
        self.collector.snapshot(&self.facts, names, &occasion)
    }

    /// Takes a snapshot and writes it; the name of the file, `None` if it could not be written.
    pub fn record(&mut self, reason: &str, names: &mut dyn NativeNames) -> Option<String> {
        let began = Instant::now();
        let profile = self.snapshot(reason, names);
        self.took = began.elapsed();
        if self.folder.restore() {
            let folder = self.folder.path().display();
            warn(&format!(
                "{folder} was removed: made anew, without the snapshots that were in it. Recording goes on."
            ));
        }
        let added = self.folder.add(&profile);
        self.live_samples = profile.rows.iter().map(|row| row.samples).sum();
        drop(profile);
        heap::give_back();
        match added {
            Ok(name) => {
                self.unwritten.written();
                Some(name)
            }
            Err(error) => {
                let is_first = self.unwritten.failed(format!("{error:#}"));
                // The last one is told about at the end.
                if is_first && reason != FINAL {
                    warn(&format!("{error:#}. Recording goes on; the next snapshot will be tried again."));
                }
                None
            }
        }
    }

    /// Measures the process, and adds what was found to the timeline.
    fn measure(&mut self) {
        let mut point = self.meter.glance(&self.collector, &self.facts);
        if self.pace.takes(&point) {
            self.meter.complete(&mut point, &mut self.collector, &self.facts);
            if self.jvm == JvmState::Ready {
                point.nmt = self.native_memory.poll(self.facts.pid, Instant::now());
            }
            self.append(&Line::Point(Box::new(point)));
        }
    }

    /// Marks a moment that has just passed.
    ///
    /// # Errors
    /// The timeline cannot be written.
    pub fn mark(&mut self, text: &str, at: Instant) -> std::io::Result<()> {
        let ago_ms = at.elapsed().as_millis() as u64;
        let mark = Mark {
            time_ms: unix_ms() - ago_ms as i64,
            uptime_ms: self.collector.uptime_ms().saturating_sub(ago_ms),
            text: text.to_owned(),
        };
        self.timeline.append(&Line::Mark(mark))
    }

    /// Adds a line to the timeline; what cannot be written is counted, and said the first time.
    fn append(&mut self, line: &Line) {
        if self.timeline.append(line).is_err()
            && let (1, reason) = self.timeline.unwritten()
        {
            warn(&format!("{reason}. Recording goes on; the next line will be tried again."));
        }
    }

    /// Takes the last snapshot, and notes how the process ended.
    pub fn finish(&mut self, exit: Option<Exit>, how: String, names: &mut dyn NativeNames) {
        self.facts.exit = exit;
        self.collector.drain(true);
        self.facts.refresh_cgroup();
        let (cgroup, now) = (self.facts.cgroup(), Instant::now());
        self.oom_watch.look(cgroup, now);
        self.oom = exit.and_then(|exit| self.oom_watch.verdict(exit, cgroup, now));
        let end = End {
            time_ms: unix_ms(),
            uptime_ms: self.collector.uptime_ms(),
            how: how.clone(),
            oom_killed: self.oom.is_some(),
        };
        self.append(&Line::End(end));
        self.record(FINAL, names);
        // The profile says so as well.
        let _ = self.folder.end(how, self.oom);
    }

    /// Puts a finished process away: what is left of it, `None` if that is nothing. `by_exec` says that it ended by
    /// executing another program.
    pub fn put_away(self, by_exec: bool) -> Option<Finished> {
        // A child that was forked to execute another program allocates what it needs for that.
        let was_forked_for_it = self.why == Why::Fork && self.next_index <= 1;
        if by_exec && (was_forked_for_it || is_launcher(self.live_samples, self.began.elapsed())) {
            self.folder.discard();
            return None;
        }
        let (timeline_unwritten, reason) = self.timeline.unwritten();
        Some(Finished {
            oom: self.oom,
            timeline_unwritten,
            timeline_reason: reason.to_owned(),
            pid: self.facts.pid,
            folder: self.folder.path().to_owned(),
            snapshots: self.folder.snapshots().len(),
            bytes: self.folder.bytes(),
            unwritten: self.unwritten,
        })
    }

    /// The line for a snapshot near the limit.
    pub fn level_line(&self, time: &str, file: &str) -> String {
        let forecast = forecast_now(&self.timeline.read());
        messages::level(&self.facts, forecast.as_ref(), time, file)
    }

    /// Whether the process, which no longer holds its session open, runs another program by now.
    fn departure(&mut self, now: Instant) -> Option<Departure> {
        match self.hold {
            Hold::Held if self.collector.shared().is_held() => return None,
            Hold::Held => self.hold = Hold::LetGo { look_at: now + DYING },
            Hold::LetGo { .. } => {}
        }
        let Hold::LetGo { look_at } = self.hold else { return None };
        if now < look_at {
            return None;
        }
        // It may have closed its descriptors and go on, as daemons do; whether it executes another program later is
        // looked up now and then.
        self.hold = Hold::LetGo { look_at: now + REFRESH };
        (self.facts.maps_memfd(self.collector.shared().inode()) == Some(false)).then_some(Departure::Exec)
    }

    fn watch_jvm(&mut self) {
        let state = self.collector.jvm_state();
        if state == self.jvm {
            return;
        }
        if !self.has_jvm() {
            self.folder.has_jvm();
        }
        self.jvm = state;
        if state == JvmState::Unsupported {
            let (name, pid) = (&self.facts.name, self.facts.pid);
            warn(&format!("{name} (pid {pid}): this JVM gives no Java stacks; native frames only"));
        }
    }

    /// The highest level of the memory limit that was reached since it was last left.
    fn crossed(&mut self) -> Option<u64> {
        let percent = self.facts.cgroup()?.percent()?;
        let level = LEVELS.into_iter().rev().find(|level| percent >= *level).unwrap_or(0);
        if level > self.reached {
            self.reached = level;
            return Some(level);
        }
        if percent.saturating_add(HYSTERESIS) < self.reached {
            self.reached = level;
        }
        None
    }
}
