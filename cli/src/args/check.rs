//! Options of `check`.

use crate::check::sources::Sources;
use crate::sizes::{MaxCpu, Rate, parse_duration, parse_max_cpu, parse_rate, parse_sample};
use clap::ValueEnum;
use leakscope_analyze::gate::Per;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Options of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The command says when an iteration is over, by a line to $LEAKSCOPE_CTL: echo iteration >> \
                        \"$LEAKSCOPE_CTL\"; for Java see examples/ci/Leakscope.java. What most options say can be \
                        written into leakscope.toml, [check]. See docs/ci.md.\n\n\
                        Exit code: 0 nothing leaks, 1 something leaks, 2 wrong usage, 3 it cannot be told (or nothing \
                        could be recorded), 4 an input cannot be read or an output not be written, 5 the command \
                        failed.")]
pub struct CheckArgs {
    /// Iterations in all, warm-up included; then the command is asked to end (SIGTERM), unless it does by itself
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub iterations: Option<u64>,

    /// What is not judged at the beginning: iterations, or with --per time a time [default: a fifth of --iterations or
    /// --duration; 20 iterations, 10s where these are not given]
    #[arg(long, value_name = "N|TIME")]
    pub warmup: Option<Quantity>,

    /// What growth is counted by
    #[arg(long, value_name = "WHAT", value_enum)]
    pub per: Option<PerWhat>,

    /// How long the command runs, with --per time; then it is asked to end
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// How often the command is run; three or more tell what differs from run to run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,

    /// Growth that is put up with, for each site, as 4KiB/iter or 1MiB/min [default: 16/iter, 4KiB/min]
    #[arg(long, value_name = "SIZE", value_parser = parse_rate)]
    pub budget: Option<Rate>,

    /// Growth that is put up with, of all sites together that are no leak; what must not go unseen
    /// [default: 1KiB/iter, 256KiB/min]
    #[arg(long, value_name = "SIZE", value_parser = parse_rate)]
    pub total: Option<Rate>,

    /// What `it cannot be told` means: exit code 3, or 0
    #[arg(long, value_name = "WHAT", value_enum)]
    pub inconclusive: Option<Inconclusive>,

    /// File of sites that are not judged; may be given several times
    #[arg(long, value_name = "FILE")]
    pub suppressions: Vec<PathBuf>,

    /// Do not ask a JVM for full collections before checkpoints
    #[arg(long)]
    pub no_gc: bool,

    /// Longest wait for an iteration, or for the start [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub timeout: Option<Duration>,

    /// Keep the recording here, a round each [default: it is removed]
    #[arg(short, long, value_name = "DIR", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub output: Option<String>,

    /// Mean bytes between samples; 1 records every allocation
    #[arg(long, value_name = "SIZE", default_value = "1", value_parser = parse_sample)]
    pub sample: u64,

    /// What sampling may take, as for `run`; beyond it, and where samples are lost, they get rarer
    #[arg(long, value_name = "PERCENT", default_value = "50", value_parser = parse_max_cpu)]
    pub max_cpu: MaxCpu,

    /// Record every process that the command starts, not only itself and JVMs
    #[arg(long)]
    pub follow: bool,

    /// Record, and judge, only processes with such a name (* and ? are wildcards)
    #[arg(long, value_name = "GLOB")]
    pub only: Option<String>,

    /// Your own Java packages, as com.acme; a site is named by their frame [default: what is neither the JDK nor a known
    /// framework]
    #[arg(long = "app", value_name = "PACKAGE", env = "LEAKSCOPE_APP", value_delimiter = ',')]
    pub packages: Vec<String>,

    /// Budgets of sites that match a pattern, from leakscope.toml
    #[arg(skip)]
    pub budgets: Vec<(String, Rate)>,

    /// Where source files lie, from leakscope.toml
    #[arg(skip)]
    pub sources: Sources,

    /// JSON, documented in docs/json.md; what the command writes to stdout goes to stderr then
    #[arg(long)]
    pub json: bool,

    /// Write the judgement as JUnit XML, for the tests' page of a CI system; an old file is replaced, as are the others
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// Write it as SARIF, for a code scanning page
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,

    /// Write it as Markdown; under GitHub Actions it goes to the job's summary by itself
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,

    /// Write the recording of the last round as one page, as `leakscope report --html` does
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// List what is suppressed, and what is the JVM's own
    #[arg(long)]
    pub show_suppressed: bool,

    /// Judge recorded runs against this baseline (see `leakscope baseline`), and run nothing: what is given instead of a
    /// command are profiles, or directories of recordings. Budgets are bytes then [default: 64k a site, or a tenth of what
    /// it had; 1m in all]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["iterations", "warmup", "per", "duration", "rounds", "no_gc",
          "timeout", "output", "follow", "only", "html", "selftest"])]
    pub baseline: Option<PathBuf>,

    /// Prove on this machine that a known leak fails and its twin passes
    #[arg(long, conflicts_with = "command")]
    pub selftest: bool,

    /// Where names and lines come from
    #[command(flatten)]
    pub symbols: super::SymbolArgs,

    /// The command and its arguments; with --baseline the recorded runs
    #[arg(value_name = "CMD", required_unless_present = "selftest", trailing_var_arg = true)]
    pub command: Vec<OsString>,
}

/// What growth is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PerWhat {
    /// Iterations that the command tells of
    #[value(alias = "iter")]
    Iteration,
    /// Minutes
    #[value(aliases = ["minute", "min"])]
    Time,
}

impl From<PerWhat> for Per {
    fn from(per: PerWhat) -> Self {
        match per {
            PerWhat::Iteration => Per::Iteration,
            PerWhat::Time => Per::Minute,
        }
    }
}

/// What a gate that cannot tell means to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Inconclusive {
    /// Exit code 3
    Fail,
    /// Exit code 0
    Pass,
}

/// What the program of `--selftest` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// It loses a block at each iteration
    Leak,
    /// It releases it
    Clean,
}

/// A number of iterations, or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Iterations.
    Count(u64),
    /// Time.
    Time(Duration),
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse() {
            Ok(count) => Ok(Self::Count(count)),
            Err(_) => parse_duration(text).map(Self::Time),
        }
    }
}
