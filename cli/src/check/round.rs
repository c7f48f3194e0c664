//! One round: the target runs once, is counted, and is looked at at every checkpoint.

use super::collecting::Collecting;
use super::control::{Control, Said};
use super::judged;
use super::schedule::Schedule;
use super::settings::{Limits, Settings};
use crate::doctor;
use crate::run::recorder::{Listener, Recorder};
use leakscope_collect::Liveness;
use leakscope_session::header::JvmState;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Why a snapshot is taken at a checkpoint.
const CHECKPOINT: &str = "checkpoint";
/// How long the start of recording, and of Java stacks, is waited for before the first checkpoint.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// After its last iteration a target may end by itself, unless it begins another one.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether somebody has ended.
const LOOK: Duration = Duration::from_millis(10);
/// After it was asked to end.
const TERM_PATIENCE: Duration = Duration::from_secs(10);

/// A checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Iterations that were done, or minutes that had passed.
    pub at: f64,
    /// The snapshot.
    pub profile: PathBuf,
}

/// What became of a round, for whoever has to explain it.
#[derive(Debug, Default)]
pub struct Observed {
    /// Iterations that were said to be over.
    pub iterations: u64,
    /// Checkpoints that count, oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// Whether we asked the target to end.
    pub was_stopped: bool,
    /// Whether it said nothing for too long.
    pub fell_silent: bool,
    /// Why nothing is recorded of it.
    pub not_recorded: Option<String>,
    /// Who was judged: name and process id.
    pub judged: Option<(String, u32)>,
    /// Whether the process that was judged ended, or ran another program, while the target went on.
    pub judged_left: bool,
    /// Part of all iterations that came after the last checkpoint.
    pub unjudged: f64,
    /// Whether that is a shell: the work is done by what it starts.
    pub is_shell: bool,
    /// Whether each checkpoint came after a full collection.
    pub after_gc: bool,
}

/// Where a round stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The target does its iterations.
    Running,
    /// They are over: when it is asked to end.
    Over { end_at: Instant },
    /// It was asked to: when it is made to.
    Asked { kill_at: Instant },
    /// It was made to.
    Killed,
}

/// Counts, and takes the checkpoints.
pub struct Round<'s> {
    settings: &'s Settings,
    control: Control,
    schedule: Schedule,
    phase: Phase,
    root: Liveness,
    collecting: Collecting,
    /// All checkpoints, those included that do not count any more.
    taken: Vec<Checkpoint>,
    /// Since when a first checkpoint is due.
    due_since: Option<Instant>,
    heard_at: Instant,
    began: Instant,
    /// Once all that was asked for is done: until when checkpoints that are missing are waited for, as long again as it took.
    done_until: Option<Instant>,
    /// Who was asked to end.
    signalled: Vec<Liveness>,
    seen: Observed,
}

impl<'s> Round<'s> {
    /// Begins with the start of the target, whose process id this is.
    pub fn new(settings: &'s Settings, control: Control, root: u32) -> Self {
        let now = Instant::now();
        Self {
            settings,
            control,
            schedule: settings.schedule(),
            phase: Phase::Running,
            root: Liveness::of(root),
            collecting: Collecting::new(settings.collects),
            taken: Vec::new(),
            due_since: None,
            heard_at: now,
            began: now,
            done_until: None,
            signalled: Vec::new(),
            seen: Observed::default(),
        }
    }

    /// What became of it, once the target has ended.
    pub fn finish(mut self) -> Observed {
        // The last words: of children that still talk no more than they have said by now.
        for _ in 0..=self.control.waiting_lines() {
            self.count();
        }
        self.seen.unjudged = self.unjudged();
        self.wait_for_the_others();
        let kept = self.schedule.kept().iter().filter_map(|number| self.taken.get(*number as usize).cloned());
        self.seen.checkpoints = kept.collect();
        self.seen.after_gc = self.collecting.always();
        self.seen
    }

    /// Whoever was asked to end along with the target has to have ended before the next round begins.
    fn wait_for_the_others(&mut self) {
        let end = Instant::now() + TERM_PATIENCE;
        for process in &self.signalled {
            while process.is_alive() && Instant::now() < end {
                std::thread::sleep(LOOK);
            }
            // Those that have ended cannot be signalled, nor can others in their place.
            let _ = process.signal(libc::SIGKILL);
        }
    }

    /// Part of all iterations that came after the last checkpoint.
    fn unjudged(&self) -> f64 {
        let last = self.taken.last().map_or(0.0, |checkpoint| checkpoint.at);
        let all = self.seen.iterations as f64;
        if all > 0.0 { ((all - last) / all).max(0.0) } else { 0.0 }
    }

    /// Takes what was said.
    fn count(&mut self) -> Vec<String> {
        let mut marks = Vec::new();
        for said in self.control.take() {
            self.heard_at = Instant::now();
            match said {
                Said::Iterations(count) | Said::Sync(count) => {
                    self.seen.iterations = self.seen.iterations.saturating_add(count);
                }
                Said::Mark(text) => marks.push(text),
            }
        }
        marks
    }

    /// How far the target has come, in the units of the schedule.
    fn progress(&self) -> u64 {
        match self.settings.limits {
            Limits::Iterations { .. } => self.seen.iterations,
            Limits::Time { .. } => self.began.elapsed().as_millis() as u64,
        }
    }

    /// The same in the units of the gate, with what has been said and not been read.
    fn at(&self) -> f64 {
        match self.settings.limits {
            Limits::Iterations { .. } => (self.seen.iterations + self.control.waiting_lines()) as f64,
            Limits::Time { .. } => self.began.elapsed().as_secs_f64() / 60.0,
        }
    }

    /// Does what is due.
    fn proceed(&mut self, recorder: &mut Recorder) {
        match self.phase {
            Phase::Running => self.measure(recorder),
            Phase::Over { end_at } if Instant::now() >= end_at => {
                self.seen.was_stopped = true;
                self.signal(recorder, libc::SIGTERM);
                self.phase = Phase::Asked { kill_at: Instant::now() + TERM_PATIENCE };
            }
            Phase::Asked { kill_at } if Instant::now() >= kill_at => {
                self.signal(recorder, libc::SIGKILL);
                self.phase = Phase::Killed;
            }
            _ => {}
        }
    }

    fn measure(&mut self, recorder: &mut Recorder) {
        let progress = self.progress();
        if self.schedule.is_due(progress) && !self.seen.judged_left {
            // Until then nobody goes on.
            self.hold();
            if self.is_ready(recorder) {
                self.checkpoint(recorder);
            }
        }
        let is_awaited = self.taken.is_empty() && self.due_since.is_some();
        let is_counted = matches!(self.settings.limits, Limits::Iterations { .. });
        if self.done_until.is_none() && self.schedule.is_done(progress) && !is_awaited {
            self.done_until = Some(Instant::now() + self.began.elapsed().max(END_PATIENCE));
        }
        let is_silent = self.heard_at.elapsed() > self.settings.timeout && !is_awaited;
        self.seen.fell_silent = is_silent && is_counted && self.done_until.is_none();
        let is_long_done = self.done_until.is_some_and(|end| Instant::now() > end);
        let is_over = if is_counted { self.schedule.is_over(progress) } else { self.done_until.is_some() };
        if is_over && !is_awaited {
            self.phase = Phase::Over { end_at: Instant::now() + END_PATIENCE };
        } else if self.seen.fell_silent || is_long_done || self.seen.not_recorded.is_some() {
            self.phase = Phase::Over { end_at: Instant::now() };
        }
    }

    /// Whether the first checkpoint may be taken: somebody is recorded, with Java stacks if he is a JVM.
    fn is_ready(&mut self, recorder: &Recorder) -> bool {
        if self.seen.judged.is_some() {
            return true;
        }
        let waited = self.due_since.get_or_insert_with(Instant::now).elapsed();
        let Some(process) = judged::choose(recorder.processes(), &self.control.path()) else {
            if waited > judged::PATIENCE {
                self.seen.not_recorded = Some(doctor::process::reason(recorder.root()));
            }
            return false;
        };
        let pid = process.facts.pid;
        let is_jvm = judged::is_jvm(pid);
        let has_stacks = matches!(process.collector.jvm_state(), JvmState::Ready | JvmState::Unsupported);
        if is_jvm && !has_stacks && waited < READY_PATIENCE {
            return false;
        }
        self.seen.is_shell = judged::is_shell(process);
        if self.seen.is_shell && waited < judged::SHELL_PATIENCE {
            return false;
        }
        self.seen.judged = Some((process.facts.name.clone(), pid));
        self.collecting.begin(pid, is_jvm);
        true
    }

    fn checkpoint(&mut self, recorder: &mut Recorder) {
        let Some((_, pid)) = self.seen.judged else { return };
        let is_there = |recorder: &Recorder| {
            recorder.processes().iter().any(|process| process.facts.pid == pid && process.is_current())
        };
        if !is_there(recorder) {
            // The target itself may have ended after its last words; how is known in a moment.
            self.seen.judged_left = pid != recorder.root();
            return;
        }
        self.collecting.collect(|| is_there(recorder));
        let at = self.at();
        match recorder.record(pid, CHECKPOINT) {
            Some(profile) => self.taken.push(Checkpoint { at, profile }),
            // It ends, which the next look will show; or the disk is full, or the like, which has been said.
            None => return,
        }
        self.schedule.note(self.progress());
        recorder.mark_all(&format!("checkpoint {}", self.taken.len()));
        self.heard_at = Instant::now();
    }

    /// Keeps whoever says that iterations are over from going on, where they are counted.
    fn hold(&mut self) {
        if matches!(self.settings.limits, Limits::Iterations { .. }) {
            self.control.hold();
        }
    }

    /// Sends a signal to the target and to all that is recorded.
    fn signal(&mut self, recorder: &Recorder, signal: i32) {
        self.signalled.extend(recorder.processes().iter().map(|process| Liveness::of(process.facts.pid)));
        recorder.signal_all(signal);
        if !recorder.processes().iter().any(|process| process.is_root) {
            let _ = self.root.signal(signal);
        }
    }
}

impl Listener for Round<'_> {
    fn heard(&mut self, recorder: &mut Recorder) {
        let done = self.seen.iterations;
        for mark in self.count() {
            recorder.mark_all(&mark);
        }
        // What woke us may have been our own filling.
        if matches!(self.phase, Phase::Over { .. }) && self.seen.iterations > done {
            self.phase = Phase::Over { end_at: Instant::now() };
        }
        self.tick(recorder);
    }

    fn tick(&mut self, recorder: &mut Recorder) {
        let was_running = self.phase == Phase::Running;
        self.proceed(recorder);
        // Everybody waits while the first checkpoint is due and cannot be taken yet; who asks after the last iteration gets
        // no answer.
        if self.taken.is_empty() && self.due_since.is_some() && self.phase == Phase::Running {
            return;
        }
        if was_running {
            self.control.answer();
        }
        self.control.go_on();
    }
}
