//! `leakscope check`: runs a command, and fails if its memory grows with every iteration.

use crate::args::{CheckArgs, Inconclusive, JAVA_DEPTH, NATIVE_DEPTH};
use crate::check::control::Control;
use crate::check::round::{Observed, Round};
use crate::check::settings::Settings;
use crate::check::{against, answer, judging, obstacle, selftest};
use crate::clock::unix_seconds;
use crate::exit::{self, Failure};
use crate::reading::Symbols;
use crate::run::front::Policy;
use crate::run::recorder::{Plan, Voice};
use crate::run::target::{Ended, Program, Signals, Start, Target};
use crate::run::{launch, output};
use crate::say::say;
use crate::sizes::MaxCpu;
use crate::suppressions;
use anyhow::Result;
use leakscope_analyze::gate::{Gate, GateOptions, Outcome, judge_gate};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use tempfile::TempDir;

/// Runs the gate; the exit code.
///
/// # Errors
/// What keeps it from judging, with the exit code for it.
pub fn run(args: &CheckArgs) -> Result<u8> {
    if args.selftest {
        return selftest::run();
    }
    if let Some(baseline) = &args.baseline {
        let gate = against::run(args, baseline)?;
        return Ok(exit_code(&gate, args.inconclusive.unwrap_or(Inconclusive::Fail)));
    }
    let gate = judged(args);
    if let Err(error) = &gate {
        answer::give_none(args, error);
    }
    Ok(exit_code(&gate?, args.inconclusive.unwrap_or(Inconclusive::Fail)))
}

/// Runs the command, judges it and says so.
fn judged(args: &CheckArgs) -> Result<Gate> {
    let settings = Settings::of(args)?;
    let options = gate_options(args, &settings)?;
    answer::remove_old(args);
    let program = Program::find(&args.command).map_err(own_code)?;
    let place = Place::of(args, &program.name)?;
    let signals = Signals::hold();
    let mut symbols = Symbols::new(&args.symbols);
    let (mut rounds, mut after_gc, mut last) = (Vec::new(), true, PathBuf::new());
    for number in 1..=settings.rounds {
        signals.hold_again();
        last = place.next()?;
        let (ended, seen) = record(args, &settings, &program, &last, &signals).map_err(own_code)?;
        signals.release(place.temporary());
        obstacle::none(&program.name, &ended, &seen, &settings)?;
        say(&progress(number, &settings, &seen, &ended));
        after_gc &= seen.after_gc;
        rounds.push(judging::round(&seen.checkpoints, &args.packages, &mut symbols)?);
    }
    let options = GateOptions { after_gc, ..options };
    let gate = judge_gate(&rounds, &options);
    answer::give(args, &gate, &options.suppressions, Some(&last))?;
    symbols.say_warnings();
    Ok(gate)
}

/// An error of [`Target`] with a code of `check`: a command that cannot be started has failed.
fn own_code(error: anyhow::Error) -> anyhow::Error {
    let code = match Failure::code_of(&error) {
        exit::NOT_FOUND | exit::CANNOT_EXECUTE => exit::COMMAND_FAILED,
        _ => exit::UNREADABLE,
    };
    Failure::error(code, format!("{error:#}"))
}

/// The target runs once.
fn record(
    args: &CheckArgs,
    settings: &Settings,
    program: &Program,
    directory: &Path,
    signals: &Signals,
) -> Result<(Ended, Observed)> {
    let (sender, happenings) = channel();
    let control = Control::open(sender.clone())?;
    let environment = control.environment();
    let output = if args.json { launch::Output::ToStderr } else { launch::Output::Inherited };
    let start =
        Start { command: &args.command, program, environment: &environment, policy: policy(args), directory, output };
    let target = Target::start(start, signals)?;
    let mut round = Round::new(settings, control, target.pid());
    let ended = target.record(plan(args, directory), signals, (sender, happenings), &mut round);
    Ok((ended, round.finish()))
}

/// Where recordings go: where they were asked to, or somewhere for as long as this lasts.
struct Place {
    wanted: PathBuf,
    temporary: Option<TempDir>,
}

impl Place {
    fn of(args: &CheckArgs, name: &str) -> Result<Self> {
        match &args.output {
            Some(template) => {
                let wanted = output::expand(Some(template), std::process::id(), name, unix_seconds());
                Ok(Self { wanted, temporary: None })
            }
            None => {
                let folder = tempfile::Builder::new().prefix("leakscope-check-").tempdir()?;
                Ok(Self { wanted: folder.path().join("recording"), temporary: Some(folder) })
            }
        }
    }

    /// What is to be removed in the end.
    fn temporary(&self) -> Option<&Path> {
        self.temporary.as_ref().map(TempDir::path)
    }

    /// The directory of the next round: beside that of the last one.
    fn next(&self) -> Result<PathBuf> {
        let prepared = output::prepare(&self.wanted);
        Ok(prepared.map_err(|error| Failure::error(exit::UNREADABLE, format!("{error:#}")))?.0)
    }
}

fn policy(args: &CheckArgs) -> Policy {
    Policy {
        interval_bytes: args.sample,
        native_depth: NATIVE_DEPTH,
        java_depth: JAVA_DEPTH,
        method_ids: 0,
        only: args.only.clone(),
        follow: args.follow,
        seed: None,
    }
}

fn plan(args: &CheckArgs, directory: &Path) -> Plan {
    Plan {
        directory: directory.to_owned(),
        sample_bytes: args.sample,
        max_cpu: match args.max_cpu {
            MaxCpu::Percent(percent) => Some(percent),
            MaxCpu::Off => None,
        },
        // At checkpoints, not by time.
        interval: None,
        native_depth: NATIVE_DEPTH,
        java_depth: JAVA_DEPTH,
        only: args.only.clone(),
        voice: Voice::WarningsOnly,
    }
}

fn gate_options(args: &CheckArgs, settings: &Settings) -> Result<GateOptions> {
    let mut options = GateOptions::new(settings.per(), unix_seconds() / 86_400);
    options.budgets = settings.budgets.clone();
    // The other built-in ones have been heeded by then, stack by stack.
    options.suppressions.retain(|one| !one.is_unlimited());
    options.suppressions.extend(suppressions::read_all(&args.suppressions, settings.per())?);
    Ok(options)
}

fn progress(number: u32, settings: &Settings, seen: &Observed, ended: &Ended) -> String {
    let rounds = settings.rounds;
    let after = crate::sizes::duration(ended.after);
    let iterations = if seen.iterations == 0 { String::new() } else { format!("{} iterations, ", seen.iterations) };
    format!("leakscope: round {number} of {rounds}: {iterations}{} checkpoints, {after}", seen.checkpoints.len())
}

fn exit_code(gate: &Gate, inconclusive: Inconclusive) -> u8 {
    match (gate.outcome, inconclusive) {
        (Outcome::Pass, _) | (Outcome::Inconclusive, Inconclusive::Pass) => exit::OK,
        (Outcome::Fail, _) => exit::LEAK,
        (Outcome::Inconclusive, Inconclusive::Fail) => exit::INCONCLUSIVE,
    }
}
