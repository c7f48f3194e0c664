//! The main loop of `run`: what comes through the door, what is due, and the end.

use crate::allocators;
use crate::doctor;
mod processes;
mod requests;

use crate::clock::{rfc3339, time_of_day, unix_seconds};
use crate::run::cadence::Cadence;
use crate::run::finished::{Finished, LeftOut};
use crate::run::folder::Folder;
use crate::run::front::Front;
use crate::run::messages;
use crate::run::output::process_folder;
use crate::run::recorded::{Departure, Found, Recorded};
use crate::say::{say, warn};
use crate::session_file::{EXEC, SCHEMA, SessionFile, Settings, how};
use crate::symbols::Symbols;
use leakscope_collect::{Collector, Event, Governor, ProcessFacts, SharedSession};
use leakscope_profile::Exit;
use leakscope_session::handshake::Why;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(100);
/// After so long without anybody being recorded the user is told.
const SILENCE: Duration = Duration::from_secs(3);
/// Longest wait for a requester to take its answer after the target has ended.
const LAST_REPLIES: Duration = Duration::from_secs(5);

/// What wakes the main loop.
pub enum Happening {
    /// Something at the socket.
    Door(Event),
    /// The target has said something to the [`Listener`].
    Said,
    /// The target has ended, and is still to be reaped.
    TargetEnded,
}

/// Somebody whom the target talks to while it is recorded.
pub trait Listener {
    /// The target has said something.
    fn heard(&mut self, recorder: &mut Recorder);
    /// To be called every 100 ms.
    fn tick(&mut self, recorder: &mut Recorder);
}

/// Nobody listens.
pub struct Nobody;

impl Listener for Nobody {
    fn heard(&mut self, _: &mut Recorder) {}
    fn tick(&mut self, _: &mut Recorder) {}
}

/// What the recorder goes by.
pub struct Plan {
    /// Directory of the recording.
    pub directory: PathBuf,
    /// Mean bytes between samples.
    pub sample_bytes: u64,
    /// What sampling may take of the processor, percent; `None`: whatever it takes.
    pub max_cpu: Option<f64>,
    /// Longest time between snapshots; `None`: they are taken when somebody asks for them.
    pub interval: Option<Duration>,
    /// Most native frames of a stack.
    pub native_depth: u32,
    /// Most Java frames of a stack.
    pub java_depth: u32,
    /// Pattern for names of processes.
    pub only: Option<String>,
    /// How much is said.
    pub voice: Voice,
}

/// How much is said while recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// What goes on.
    Full,
    /// What went wrong.
    WarningsOnly,
}

/// Everything that is recorded.
pub struct Recorder {
    plan: Plan,
    front: Arc<Front>,
    root: u32,
    processes: Vec<Recorded>,
    finished: Vec<Finished>,
    left_out: LeftOut,
    symbols: Symbols,
    /// Since when nobody has been recorded; `None` while somebody is, or once the user was told.
    silent_since: Option<Instant>,
    greeted: bool,
    /// Reasons why something is not recorded that the user has been told.
    told: HashSet<String>,
}

impl Recorder {
    /// Records nobody yet.
    pub fn new(plan: Plan, front: Arc<Front>, root: u32, may_preload: bool) -> Self {
        Self {
            plan,
            front,
            root,
            processes: Vec::new(),
            finished: Vec::new(),
            left_out: LeftOut::default(),
            symbols: Symbols::new(),
            silent_since: may_preload.then(Instant::now),
            greeted: false,
            told: HashSet::new(),
        }
    }

    /// Records until the target has ended.
    pub fn run(&mut self, happenings: &Receiver<Happening>, listener: &mut dyn Listener) {
        let mut next_tick = Instant::now() + TICK;
        loop {
            match happenings.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(Happening::Door(event)) => self.take(event),
                Ok(Happening::Said) => listener.heard(self),
                Ok(Happening::TargetEnded) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= next_tick {
                if self.processes.iter().any(|process| !process.liveness.is_alive()) && self.catch_up(happenings) {
                    break;
                }
                self.tick();
                listener.tick(self);
                next_tick = Instant::now() + TICK;
            }
        }
        self.catch_up(happenings);
    }

    /// Takes what has come so far; whether the target has ended. Whoever is gone has said before what he had to say: that
    /// he was there, if he was short-lived, or that he executed another program.
    fn catch_up(&mut self, happenings: &Receiver<Happening>) -> bool {
        self.front.settle();
        let mut has_ended = false;
        for happening in happenings.try_iter() {
            match happening {
                Happening::Door(event) => self.take(event),
                // Whoever has ended can be asked nothing more.
                Happening::Said => {}
                Happening::TargetEnded => has_ended = true,
            }
        }
        has_ended
    }

    /// Takes the last snapshots; `exit` is how the target ended. What is left, and who left nothing.
    pub fn finish(&mut self, exit: Exit) -> (&[Finished], LeftOut) {
        for process in std::mem::take(&mut self.processes) {
            let ended = match (process.is_root, process.liveness.is_alive()) {
                (true, _) => Some(exit),
                (false, false) => Some(Exit::Unknown),
                (false, true) => None,
            };
            if ended.is_none() && self.plan.voice == Voice::Full {
                let (name, pid) = (&process.facts.name, process.facts.pid);
                say(&format!(
                    "leakscope: {name} (pid {pid}) runs on, no longer recorded \u{b7} leakscope recover {pid}"
                ));
            }
            self.put_away(process, ended, ended.map_or_else(|| "running".to_owned(), how));
        }
        let deadline = Instant::now() + LAST_REPLIES;
        while self.front.is_replying() && Instant::now() < deadline {
            std::thread::sleep(TICK);
        }
        (&self.finished, self.left_out)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Recording { why, shared, facts, .. } => self.begin(why, *shared, *facts),
            Event::Failed { credentials, reason } => {
                warn(&format!("process {} is not recorded: {reason}", credentials.pid));
                self.silent_since = self.silent_since.filter(|_| credentials.pid != self.root);
            }
            Event::GaveUp { credentials } => {
                if self.left_out.gave_up == 0 {
                    let pid = credentials.pid;
                    warn(&format!("process {pid} is not recorded: leakscope was too slow to answer (a busy machine?)"));
                }
                self.left_out.gave_up += 1;
                self.silent_since = self.silent_since.filter(|_| credentials.pid != self.root);
            }
            Event::Request { peer, credentials, pid } => self.answer(peer, credentials, pid),
            Event::Mark { peer, credentials, pid, text, at } => self.mark(peer, credentials, pid, &text, at),
        }
    }

    fn begin(&mut self, why: Why, shared: SharedSession, mut facts: ProcessFacts) {
        // The same process under another program: its former session is over.
        self.put_away_where(|process| process.facts.pid == facts.pid);
        let is_root = facts.pid == self.root;
        let folder = match process_folder(&self.plan.directory, &facts.name, facts.pid) {
            Ok(path) => path,
            Err(error) => {
                warn(&format!("cannot make a folder in {}: {error}", self.plan.directory.display()));
                // Its snapshots may succeed later on.
                self.plan.directory.join(format!("{}.{}", facts.name, facts.pid))
            }
        };
        let folder = Folder::new(folder, self.describe(&facts, &shared, is_root));
        self.greet(&facts, why, folder.path());
        facts.inner_allocators = allocators::of_process(&facts);
        let collector = Collector::new(shared).governed(self.plan.max_cpu.map(Governor::allowing));
        self.tell_blind_spots(&facts, &collector);
        let mut process = Recorded::new(why, facts, folder, is_root, collector);
        process.schedule(self.cadence(self.processes.len() + 1));
        self.processes.push(process);
        self.front.set_recorded(self.processes.len());
        self.silent_since = None;
    }

    fn greet(&mut self, facts: &ProcessFacts, why: Why, folder: &Path) {
        if self.plan.voice == Voice::WarningsOnly {
            return;
        }
        if !matches!(why, Why::Follow | Why::Fork) || !self.greeted {
            say(&messages::handshake(&facts.name, facts.pid, folder));
        }
        self.greeted = true;
    }

    /// Says loudly what of a process is not recorded; once, where many processes are followed.
    fn tell_blind_spots(&mut self, facts: &ProcessFacts, collector: &Collector) {
        let process = format!("{} (pid {})", facts.name, facts.pid);
        let bypass = collector.bypassed_by(facts).map(|file| (format!("{file} {}", file == facts.exe), file));
        if let Some((reason, file)) = bypass
            && self.told.insert(reason)
        {
            warn(&allocators::bypass(&process, &file, &facts.exe));
        }
        if !facts.inner_allocators.is_empty() && self.told.insert(facts.exe.clone()) {
            warn(&allocators::inside(&process, &facts.inner_allocators));
        }
    }

    fn describe(&self, facts: &ProcessFacts, shared: &SharedSession, is_root: bool) -> SessionFile {
        let id = shared.session().header.session_id();
        SessionFile {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            session: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            pid: facts.pid,
            name: facts.name.clone(),
            command: facts.command.clone(),
            exe: facts.exe.clone(),
            root: is_root,
            collector_pid: std::process::id(),
            started: rfc3339(unix_seconds()),
            settings: Settings {
                sample_bytes: self.plan.sample_bytes,
                interval_ms: self.plan.interval.map_or(0, |interval| interval.as_millis() as u64),
                native_depth: self.plan.native_depth,
                java_depth: self.plan.java_depth,
            },
            ..SessionFile::default()
        }
    }

    /// How often snapshots are taken of so many processes.
    fn cadence(&self, processes: usize) -> Cadence {
        Cadence { interval: self.plan.interval, processes }
    }

    fn tick(&mut self) {
        let cadence = self.cadence(self.processes.len());
        for mut process in std::mem::take(&mut self.processes) {
            match process.look(&mut self.symbols, cadence) {
                // How the target itself ended is known in a moment.
                Found::Gone(Departure::Ended) if process.is_root => {}
                Found::Gone(departure) => {
                    let (exit, how) = match departure {
                        Departure::Ended => (Some(Exit::Unknown), how(Exit::Unknown)),
                        Departure::Exec => (None, EXEC.to_owned()),
                    };
                    self.put_away(process, exit, how);
                    continue;
                }
                Found::Due => drop(process.record("interval", &mut self.symbols)),
                Found::Level(level) => {
                    if let Some(file) = process.record(&format!("limit-{level}"), &mut self.symbols) {
                        say(&process.level_line(&time_of_day(unix_seconds()), &file));
                    }
                }
                Found::Alive => {}
            }
            self.processes.push(process);
        }
        self.front.set_recorded(self.processes.len());
        self.listen();
    }

    /// Says that nothing is being recorded, and why, once that has lasted.
    fn listen(&mut self) {
        if self.silent_since.is_some_and(|since| since.elapsed() >= SILENCE) {
            self.silent_since = None;
            let reason = self.reason();
            let pid = self.root;
            warn(&format!("nothing is being recorded: {reason}. The target runs on. Run: leakscope doctor {pid}"));
        }
    }

    fn reason(&self) -> String {
        let root = self.root;
        if let (Some(only), true) = (&self.plan.only, self.front.declined() > 0) {
            return format!("no process by the name of '{only}' (--only) has come yet");
        }
        doctor::process::reason(root)
    }

    fn put_away_where(&mut self, is_over: impl Fn(&Recorded) -> bool) {
        let (over, rest) = std::mem::take(&mut self.processes).into_iter().partition(|process| is_over(process));
        self.processes = rest;
        for process in Vec::<Recorded>::from_iter(over) {
            self.put_away(process, None, EXEC.to_owned());
        }
    }

    fn put_away(&mut self, mut process: Recorded, exit: Option<Exit>, how: String) {
        let by_exec = how == EXEC;
        let name = process.facts.name.clone();
        process.finish(exit, how, &mut self.symbols);
        match process.put_away(by_exec) {
            Some(finished) => {
                if let Some(oom) = finished.oom.filter(|_| finished.pid != self.root) {
                    say(&messages::oom_of_other(&name, finished.pid, oom));
                }
                self.finished.push(finished);
            }
            None => self.left_out.launchers += 1,
        }
        if self.processes.is_empty() {
            self.silent_since = Some(Instant::now());
        }
    }
}
