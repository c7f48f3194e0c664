//! `leakscope run`: starts a command and records it.

use crate::args::RunArgs;
use crate::clock::unix_seconds;
use crate::exit::{self, Failure};
use crate::run::finished::summary;
use crate::run::front::Policy;
use crate::run::launch::Output;
use crate::run::recorder::{Nobody, Plan, Voice};
use crate::run::target::{Ended, Program, Signals, Start, Target};
use crate::run::{messages, output};
use crate::say::say;
use crate::sizes::MaxCpu;
use anyhow::Result;
use leakscope_profile::Exit;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Instant;

/// What sampling may take of the processor, percent.
const DEFAULT_MAX_CPU: f64 = 2.0;

/// Runs the command; the exit code.
///
/// # Errors
/// What keeps the target from being started, with the exit code for it.
pub fn run(args: &RunArgs) -> Result<u8> {
    let program = Program::find(&args.command)?;
    let (directory, is_new) = directory(args, &program.name)?;
    let signals = Signals::hold();
    let start = Start {
        command: &args.command,
        program: &program,
        environment: &[],
        policy: policy(args),
        directory: &directory,
        output: Output::Inherited,
    };
    let started = Instant::now();
    let target = Target::start(start, &signals).inspect_err(|_| leave(&directory, is_new))?;
    let may_preload = target.may_preload;
    if may_preload {
        let limit = target.facts.limit_bytes();
        say(&messages::start(&program.name, target.pid(), args.sample, args.interval, limit));
    }
    let ended = target.record(plan(args, &directory), &signals, channel(), &mut Nobody);
    if may_preload || !ended.finished.is_empty() {
        sum_up(&program.name, &ended, &directory, started);
    }
    leave(&directory, is_new);
    Ok(match ended.exit {
        Exit::Code(code) => code as u8,
        Exit::Signal(signal) => exit::SIGNAL.wrapping_add(signal as u8),
        Exit::Unknown => exit::RUN_FAILED,
    })
}

fn sum_up(name: &str, ended: &Ended, directory: &Path, started: Instant) {
    say(&messages::end(name, ended.exit, ended.after, ended.oom));
    summary(&ended.finished, ended.left_out, directory).iter().for_each(|line| say(line));
    if !ended.finished.is_empty() {
        say(&format!("  {}", messages::own_cost(started.elapsed())));
    }
    if ended.finished.iter().any(|finished| finished.snapshots > 0) {
        say(&format!("next: leakscope report {}", directory.display()));
    }
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
        interval: Some(args.interval),
        native_depth: args.depth,
        java_depth: args.java_depth,
        only: args.only.clone(),
        voice: Voice::Full,
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
