//! The command line: every command and option, its environment variable and its default.

use crate::sizes::{parse_interval, parse_sample};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Native memory leak profiler for JVM services on Linux.
#[derive(Debug, Parser)]
#[command(name = "leakscope", version, max_term_width = 100, after_help = "Exit codes: see `leakscope help run`.")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a command and record it
    Run(RunArgs),
    /// Take a snapshot of a process that is being recorded
    Snapshot(SnapshotArgs),
    /// Save what was recorded of a process whose leakscope is gone
    Recover(RecoverArgs),
}

/// Options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: that of the command (128+N if signal N killed it); 125 leakscope itself failed, \
                        126 the command cannot be executed, 127 it was not found.")]
pub struct RunArgs {
    /// Directory for the recording; %p is leakscope's process id, %n the command's name, %t the time [default:
    /// ./leakscope-%n-%t]
    #[arg(short, long, value_name = "DIR", env = "LEAKSCOPE_OUTPUT")]
    pub output: Option<String>,

    /// Mean bytes between samples; 1 records every allocation
    #[arg(long, value_name = "SIZE", env = "LEAKSCOPE_SAMPLE", default_value = "512k", value_parser = parse_sample)]
    pub sample: u64,

    /// Time between snapshots
    #[arg(long, value_name = "TIME", env = "LEAKSCOPE_INTERVAL", default_value = "60s", value_parser = parse_interval)]
    pub interval: Duration,

    /// Most native frames of a stack
    #[arg(long, value_name = "N", env = "LEAKSCOPE_DEPTH", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=128))]
    pub depth: u32,

    /// Most Java frames of a stack
    #[arg(long, value_name = "N", env = "LEAKSCOPE_JAVA_DEPTH", default_value_t = 128,
          value_parser = clap::value_parser!(u32).range(1..=256))]
    pub java_depth: u32,

    /// Record every process that the command starts, not only itself and JVMs
    #[arg(long, env = "LEAKSCOPE_FOLLOW")]
    pub follow: bool,

    /// Record only processes with such a name (* and ? are wildcards)
    #[arg(long, value_name = "GLOB", env = "LEAKSCOPE_ONLY")]
    pub only: Option<String>,

    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

/// Options of `snapshot`.
#[derive(Debug, clap::Args)]
pub struct SnapshotArgs {
    /// Process id of the recorded process, of the command that was started, or of its leakscope
    pub pid: u32,

    /// File for the profile [default: leakscope-PID-TIME.prof]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Options of `recover`.
#[derive(Debug, clap::Args)]
pub struct RecoverArgs {
    /// Process id of the recorded process
    pub pid: u32,

    /// File for the profile [default: leakscope-PID-TIME.prof]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_of_the_command_are_not_ours() {
        let args =
            Args::try_parse_from(["leakscope", "run", "--sample", "1", "--", "java", "-jar", "--sample"]).unwrap();
        let Command::Run(run) = args.command else { panic!("not run") };
        assert_eq!((run.sample, run.command.len()), (1, 3));
        let args = Args::try_parse_from(["leakscope", "run", "java", "-o", "x"]).unwrap();
        let Command::Run(run) = args.command else { panic!("not run") };
        assert_eq!((run.output, run.command.len()), (None, 3));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [&["run"][..], &["run", "--sample", "0", "x"], &["run", "--depth", "0", "x"], &["nonsense"], &[]] {
            let error = Args::try_parse_from(std::iter::once(&"leakscope").chain(line)).unwrap_err();
            assert!(error.exit_code() == 2 || line.is_empty());
        }
    }
}
