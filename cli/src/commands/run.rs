//! `leakscope run`: starts a command and records it.

use crate::args::RunArgs;
use crate::clock::unix_seconds;
use crate::doctor::program;
use crate::exit::{self, Failure};
use crate::run::finished::summary;
use crate::run::front::{Front, Policy};
use crate::run::launch::{self, FORWARDED, Preload, SignalSet};
use crate::run::oom::OomWatch;
use crate::run::recorder::{Happening, Plan, Recorder};
use crate::run::signals::{self, Recipient};
use crate::run::{heap, messages, output};
use crate::say::{say, warn};
use crate::shim_file;
use crate::sizes::MaxCpu;
use anyhow::Result;
use leakscope_collect::ProcessFacts;
use leakscope_profile::Exit;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

/// What sampling may take of the processor, percent.
const DEFAULT_MAX_CPU: f64 = 2.0;

/// Runs the command; the exit code.
///
/// # Errors
/// What keeps the target from being started, with the exit code for it.
pub fn run(args: &RunArgs) -> Result<u8> {
    let command = args.command.first().map_or(OsStr::new(""), |command| command);
    let shown = command.to_string_lossy();
    let program =
        program::find(command).ok_or_else(|| Failure::error(exit::NOT_FOUND, format!("{shown}: command not found")))?;
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (directory, is_new) = directory(args, &name)?;
    // From here on signals wait until there is a target to pass them on to.
    let mask = SignalSet::of(&FORWARDED).block();
    let front = Front::open(policy(args))
        .map_err(|error| Failure::error(exit::RUN_FAILED, format!("cannot open a socket for the target: {error}")))?;
    let shim = shim(&program, &directory);
    let socket = front.name();
    let preload = shim.as_deref().map(|shim| Preload { shim, socket: &socket, follow: args.follow });
    let child = launch::start(&args.command, preload.as_ref(), mask).map_err(|error| {
        leave(&directory, is_new);
        Failure::error(exit::CANNOT_EXECUTE, format!("cannot execute {shown}: {error}"))
    })?;
    let facts = ProcessFacts::gather(child.id());
    if shim.is_some() {
        say(&messages::start(&name, child.id(), args.sample, args.interval, facts.limit_bytes()));
    }
    Ok(record(args, child, &mut Run { name, directory, is_new, front, facts, may_preload: shim.is_some() }))
}

/// A run that has been started.
struct Run {
    name: String,
    directory: PathBuf,
    is_new: bool,
    front: Arc<Front>,
    /// Of the target, right after its start.
    facts: ProcessFacts,
    may_preload: bool,
}

/// Records the target to its end; its exit code. Nothing in here may fail: the target is running.
fn record(args: &RunArgs, mut child: Child, run: &mut Run) -> u8 {
    let started = Instant::now();
    let mut oom_watch = OomWatch::new(run.facts.cgroup());
    heap::keep_large_blocks_apart();
    let recipient = Recipient::default();
    recipient.set(Some(child.id()));
    if let Err(error) = signals::forward(recipient.clone()) {
        warn(&format!("signals are not passed on to the target: {error}"));
    }
    let happenings = listen(&child, &run.front);
    let mut recorder = Recorder::new(plan(args, &run.directory), Arc::clone(&run.front), child.id(), run.may_preload);
    recorder.run(&happenings);
    recipient.set(None);
    let exit = child.wait().map_or(Exit::Unknown, launch::exit_of);
    let after = started.elapsed();
    let (finished, left_out) = recorder.finish(exit);
    let oom = match finished.iter().rfind(|finished| finished.pid == child.id()) {
        Some(recorded) => recorded.oom,
        None => {
            run.facts.refresh_cgroup();
            oom_watch.look(run.facts.cgroup(), Instant::now());
            oom_watch.verdict(exit, run.facts.cgroup(), Instant::now())
        }
    };
    if run.may_preload || !finished.is_empty() {
        say(&messages::end(&run.name, exit, after, oom));
        summary(finished, left_out, &run.directory).iter().for_each(|line| say(line));
        if !finished.is_empty() {
            say(&format!("  {}", messages::own_cost(started.elapsed())));
        }
        if finished.iter().any(|finished| finished.snapshots > 0) {
            say(&format!("next: leakscope report {}", run.directory.display()));
        }
    }
    leave(&run.directory, run.is_new);
    match exit {
        Exit::Code(code) => code as u8,
        Exit::Signal(signal) => exit::SIGNAL.wrapping_add(signal as u8),
        Exit::Unknown => exit::RUN_FAILED,
    }
}

/// Starts the threads that tell the main loop what happens.
fn listen(child: &Child, front: &Arc<Front>) -> Receiver<Happening> {
    let (sender, receiver): (Sender<Happening>, _) = channel();
    if let Err(error) = front.serve(child.id(), sender.clone()) {
        warn(&format!("nothing is being recorded: {error}"));
    }
    let pid = child.id();
    let wait = move || {
        launch::wait_for_end(pid);
        // The main loop listens until then.
        let _ = sender.send(Happening::TargetEnded);
    };
    if thread::Builder::new().name("wait".into()).stack_size(128 << 10).spawn(wait).is_err() {
        // Without the thread the sender is gone, and the main loop ends at once: wait here instead.
        warn("nothing is being recorded: no thread could be made");
        launch::wait_for_end(pid);
    }
    receiver
}

/// The directory of the recording, and whether it was made for it.
fn directory(args: &RunArgs, name: &str) -> Result<(PathBuf, bool)> {
    let wanted = output::expand(args.output.as_deref(), std::process::id(), name, unix_seconds());
    let (directory, is_new) =
        output::prepare(&wanted).map_err(|error| Failure::error(exit::RUN_FAILED, format!("{error:#}")))?;
    if directory != wanted {
        say(&format!("leakscope: {} holds a recording; this one goes to {}", wanted.display(), directory.display()));
    }
    Ok((directory, is_new))
}

/// Removes a directory that we made and nothing was put into.
fn leave(directory: &Path, is_new: bool) {
    if is_new {
        // Fails where it is not empty, which is as it should be.
        let _ = fs::remove_dir(directory);
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

/// What sampling may take, percent; `None`: whatever it takes. Who asks for every allocation gets every allocation,
/// unless the same breath names a price.
fn max_cpu(args: &RunArgs) -> Option<f64> {
    match args.max_cpu {
        Some(MaxCpu::Percent(percent)) => Some(percent),
        Some(MaxCpu::Off) => None,
        None => (args.sample > 1).then_some(DEFAULT_MAX_CPU),
    }
}

fn policy(args: &RunArgs) -> Policy {
    Policy {
        interval_bytes: args.sample,
        native_depth: args.depth,
        java_depth: args.java_depth,
        method_ids: args.method_ids,
        only: args.only.clone(),
        follow: args.follow,
        seed: args.seed,
    }
}

fn plan(args: &RunArgs, directory: &Path) -> Plan {
    Plan {
        directory: directory.to_owned(),
        sample_bytes: args.sample,
        max_cpu: max_cpu(args),
        interval: args.interval,
        native_depth: args.depth,
        java_depth: args.java_depth,
        only: args.only.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    #[test]
    fn exact_mode_stays_exact_unless_a_price_is_named() {
        let max_cpu = |options: &[&str]| {
            let line = [&["leakscope", "run"], options, &["--", "true"]].concat();
            let Command::Run(args) = Args::try_parse_from(line).unwrap().command else { panic!("not run") };
            max_cpu(&args)
        };
        assert_eq!(max_cpu(&[]), Some(DEFAULT_MAX_CPU));
        assert_eq!(max_cpu(&["--sample", "1"]), None);
        assert_eq!(max_cpu(&["--sample", "1", "--max-cpu", "5%"]), Some(5.0));
        assert_eq!(max_cpu(&["--max-cpu", "0.5"]), Some(0.5));
        assert_eq!(max_cpu(&["--max-cpu", "off"]), None);
        for wrong in ["0", "-1", "101", "nan", "much", ""] {
            assert!(Args::try_parse_from(["leakscope", "run", "--max-cpu", wrong, "true"]).is_err(), "{wrong}");
        }
    }
}
