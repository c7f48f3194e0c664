//! leakscope: a native memory leak profiler for JVM services on Linux.
//!
//! | module | what it does |
//! |---|---|
//! | [`args`], [`config`] | the command line; leakscope.toml |
//! | [`commands`] | one file for each command |
//! | [`doctor`] | findings about this machine, a command or a process: would it be recorded? |
//! | [`mod@run`] | what `leakscope run` is made of: start, handshake, snapshots, signals, the end |
//! | [`mod@check`] | what `leakscope check` is made of: rounds, iterations, checkpoints, collections |
//! | [`volume`], [`recording`], [`session_file`] | what recordings look like on disk, and finding a snapshot in them |
//! | [`timeline_file`], [`thinned_timeline`] | the figures between snapshots, on disk |
//! | [`reading`] | a profile with its symbols, ready to be analysed |
//! | [`whole_recording`], [`history`] | all snapshots of a process and its timeline; verdicts of them |
//! | [`top`] | a recording on a screen, while it grows |
//! | [`profile_file`] | writing a profile for a person |
//! | [`jdk`] | a JDK for programs that are carried as source |
//! | [`allocators`] | allocators that stand in the way |
//! | [`locate`], [`request`] | the recording of a process that runs |
//! | [`shim_file`], [`symbols`] | the library that is preloaded; names of native functions |
//! | [`say`], [`progress`], [`terminal`], [`sizes`], [`clock`], [`glob`], [`exit`] | words, widths, figures, patterns, exit codes |

mod allocators;
mod args;
mod baseline_file;
mod check;
mod clock;
mod commands;
mod config;
mod doctor;
mod exit;
mod glob;
mod history;
mod jdk;
mod locate;
mod profile_file;
mod progress;
mod reading;
mod recording;
mod request;
mod run;
mod say;
mod session_file;
mod shim_file;
mod sizes;
#[allow(dead_code, reason = "`check` reads them")]
mod suppressions;
mod symbols;
mod terminal;
mod thinned_timeline;
mod timeline_file;
mod top;
mod volume;
mod whole_recording;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = Args::parse();
    let result = config::apply(&mut args).and_then(|()| run(&args));
    ExitCode::from(result.unwrap_or_else(|error| {
        say::say(&format!("leakscope: {error:#}"));
        exit::Failure::code_of(&error)
    }))
}

fn run(args: &Args) -> anyhow::Result<u8> {
    match &args.command {
        Command::Run(run) => commands::run::run(run),
        Command::Check(check) => commands::check::run(check),
        Command::Baseline(baseline) => commands::baseline::run(baseline),
        Command::Snapshot(snapshot) => commands::snapshot::run(snapshot),
        Command::Mark(mark) => commands::mark::run(mark),
        Command::Recover(recover) => commands::recover::run(recover),
        Command::Report(report) => commands::report::run(report),
        Command::Diff(diff) => commands::diff::run(diff),
        Command::Flame(flame) => commands::flame::run(flame),
        Command::Doctor(doctor) => commands::doctor::run(doctor),
        Command::Explain(explain) => commands::explain::run(explain),
        Command::Probe(probe) => commands::probe::run(probe),
        Command::Top(top) => commands::top::run(top),
        Command::Export(export) => commands::export::run(export),
        Command::Demo(demo) => commands::demo::run(demo),
        Command::Completions(completions) => commands::completions::run(completions),
        Command::Man(man) => commands::man::run(man),
        Command::SelftestTarget { way, iterations } => check::selftest::target(*way, *iterations),
        Command::DemoTarget { seconds } => commands::demo::target(*seconds),
    }
}
