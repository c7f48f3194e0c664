//! A command that is started and recorded to its end: what `run` and each round of `check` have in common.

use crate::doctor::program;
use crate::exit::{self, Failure};
use crate::run::finished::{Finished, LeftOut};
use crate::run::front::{Front, Policy};
use crate::run::heap;
use crate::run::launch::{self, FORWARDED, Launch, Output, Preload, SignalSet};
use crate::run::oom::{OomKill, OomWatch};
use crate::run::recorder::{Happening, Listener, Plan, Recorder};
use crate::run::signals::{self, Recipient};
use crate::say::warn;
use crate::shim_file;
use anyhow::Result;
use leakscope_collect::ProcessFacts;
use leakscope_profile::Exit;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Once};
use std::thread;
use std::time::{Duration, Instant};

/// The program that a command names, found and looked at.
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// The last part of that.
    pub name: String,
}

impl Program {
    /// Finds it as a shell would.
    ///
    /// # Errors
    /// There is none; exit code 127.
    pub fn find(command: &[OsString]) -> Result<Self> {
        let word = command.first().map_or(OsStr::new(""), |word| word);
        let not_found = || Failure::error(exit::NOT_FOUND, format!("{}: command not found", word.to_string_lossy()));
        let path = program::find(word).ok_or_else(not_found)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { path, name })
    }
}

/// Signals that reach leakscope go to the target of the moment.
pub struct Signals {
    mask: SignalSet,
    recipient: Recipient,
    forwarding: Once,
}

impl Signals {
    /// From here on they wait until there is a target.
    pub fn hold() -> Self {
        let mask = SignalSet::of(&FORWARDED).block();
        Self { mask, recipient: Recipient::default(), forwarding: Once::new() }
    }

    /// There is no target now: from here on they end leakscope, which removes this directory before.
    pub fn release(&self, temporary: Option<&Path>) {
        self.recipient.end_us(temporary);
    }

    /// There is about to be another target.
    pub fn hold_again(&self) {
        self.recipient.set(None);
    }

    /// From here on they are passed on to this process.
    fn forward(&self, pid: u32) {
        self.recipient.set(Some(pid));
        self.forwarding.call_once(|| {
            if let Err(error) = signals::forward(self.recipient.clone()) {
                warn(&format!("signals are not passed on to the target: {error}"));
            }
        });
    }
}

impl Drop for Signals {
    /// Whoever is about to say why it failed may have failed because a signal is taking its files away: it waits here for
    /// the end.
    fn drop(&mut self) {
        self.recipient.wait();
    }
}

/// How a target is started.
pub struct Start<'a> {
    /// The command and its arguments.
    pub command: &'a [OsString],
    /// What it is.
    pub program: &'a Program,
    /// Added to the environment.
    pub environment: &'a [(&'a str, OsString)],
    /// Who is recorded, and how.
    pub policy: Policy,
    /// Where the recording goes.
    pub directory: &'a Path,
    /// Where its stdout goes.
    pub output: Output,
}

impl Start<'_> {
    fn launch(&self, preload: Option<&Preload<'_>>, mask: SignalSet) -> io::Result<Child> {
        launch::start(
            &Launch { command: self.command, environment: self.environment, output: self.output },
            preload,
            mask,
        )
    }
}

/// A target that runs.
pub struct Target {
    child: Child,
    front: Arc<Front>,
    /// What /proc said right after its start.
    pub facts: ProcessFacts,
    /// Whether the shim could be preloaded.
    pub may_preload: bool,
}

/// A target that has ended.
pub struct Ended {
    /// How.
    pub exit: Exit,
    /// After how long.
    pub after: Duration,
    /// Whether the kernel killed it for want of memory.
    pub oom: Option<OomKill>,
    /// What is left of each process that was recorded.
    pub finished: Vec<Finished>,
    /// Who left nothing.
    pub left_out: LeftOut,
}

impl Target {
    /// Starts it.
    ///
    /// # Errors
    /// What keeps it from being started, with the exit code of `run` for it.
    pub fn start(start: Start<'_>, signals: &Signals) -> Result<Self> {
        let follow = start.policy.follow;
        let front = Front::open(start.policy.clone()).map_err(|error| {
            Failure::error(exit::RUN_FAILED, format!("cannot open a socket for the target: {error}"))
        })?;
        let shim = shim(&start.program.path, start.directory);
        let socket = front.name();
        let preload = shim.as_deref().map(|shim| Preload { shim, socket: &socket, follow });
        let child = start.launch(preload.as_ref(), signals.mask).map_err(|error| {
            let shown = start.command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
            Failure::error(exit::CANNOT_EXECUTE, format!("cannot execute {shown}: {error}"))
        })?;
        let facts = ProcessFacts::gather(child.id());
        Ok(Self { child, front, facts, may_preload: shim.is_some() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Records it to its end. `listener` may be woken through the channel. Nothing in here may fail: the target is running.
    pub fn record(
        mut self,
        plan: Plan,
        signals: &Signals,
        (sender, happenings): (Sender<Happening>, Receiver<Happening>),
        listener: &mut dyn Listener,
    ) -> Ended {
        let started = Instant::now();
        let pid = self.child.id();
        let mut oom_watch = OomWatch::new(self.facts.cgroup());
        heap::keep_large_blocks_apart();
        signals.forward(pid);
        self.listen(sender);
        let mut recorder = Recorder::new(plan, Arc::clone(&self.front), pid, self.may_preload);
        recorder.run(&happenings, listener);
        signals.recipient.set(None);
        let exit = self.child.wait().map_or(Exit::Unknown, launch::exit_of);
        let after = started.elapsed();
        let (finished, left_out) = recorder.finish(exit);
        let oom = match finished.iter().rfind(|finished| finished.pid == pid) {
            Some(recorded) => recorded.oom,
            None => {
                self.facts.refresh_cgroup();
                oom_watch.look(self.facts.cgroup(), Instant::now());
                oom_watch.verdict(exit, self.facts.cgroup(), Instant::now())
            }
        };
        Ended { exit, after, oom, finished: finished.to_vec(), left_out }
    }

    /// Starts the threads that tell the main loop what happens.
    fn listen(&self, sender: Sender<Happening>) {
        if let Err(error) = self.front.serve(self.pid(), sender.clone()) {
            warn(&format!("nothing is being recorded: {error}"));
        }
        let pid = self.pid();
        let tell = sender.clone();
        let wait = move || {
            launch::wait_for_end(pid);
            // The main loop listens until then.
            let _ = tell.send(Happening::TargetEnded);
        };
        if thread::Builder::new().name("wait".into()).stack_size(128 << 10).spawn(wait).is_err() {
            // Nobody else tells the main loop that it has to end: wait here instead.
            warn("nothing is being recorded: no thread could be made");
            launch::wait_for_end(pid);
            let _ = sender.send(Happening::TargetEnded);
        }
    }
}

/// The shim, unless nothing can be preloaded; then the user is told, and the target runs without.
fn shim(program: &Path, recording: &Path) -> Option<PathBuf> {
    if let Some(obstacle) = program::obstacle(program) {
        warn(&format!(
            "nothing is being recorded unless it starts another program: {obstacle}. Run: leakscope doctor {}",
            program.display()
        ));
    }
    shim_file::install(recording)
        .inspect_err(|error| warn(&format!("nothing is being recorded: {error:#}. The target runs without leakscope.")))
        .ok()
}
