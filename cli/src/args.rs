//! The command line: every command and option, its environment variable and its default.

mod baseline;
mod check;
mod inspect;

pub use baseline::{BaselineArgs, BaselineSaveArgs, BaselineWhat};
pub use check::{CheckArgs, Inconclusive, PerWhat, Quantity, Way};
pub use inspect::{DoctorArgs, ExplainArgs, ProbeArgs, ProbeWhat, TopArgs};

use crate::sizes::{MaxCpu, parse_interval, parse_max_cpu, parse_sample, parse_size};
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use leakscope_analyze::{By, Grouping, Kinds, Selection};
use leakscope_report::{JavaNames, Measure};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Most native and most Java frames of a stack, unless told otherwise.
pub const NATIVE_DEPTH: u32 = 64;
/// See [`NATIVE_DEPTH`].
pub const JAVA_DEPTH: u32 = 256;

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
    /// Run a command several times over, and fail if its memory grows with every iteration: for CI
    Check(Box<CheckArgs>),
    /// Save, show or update what recorded runs have live, to hold later runs against: for CI
    Baseline(BaselineArgs),
    /// Take a snapshot of a process that is being recorded
    Snapshot(SnapshotArgs),
    /// Mark this moment in the timeline of a process that is being recorded
    Mark(MarkArgs),
    /// Save what was recorded of a process whose leakscope is gone
    Recover(RecoverArgs),
    /// Show what holds native memory
    Report(ReportArgs),
    /// Show what grew between two profiles
    Diff(DiffArgs),
    /// Draw a flame graph
    Flame(FlameArgs),
    /// Watch a recording in the terminal, while it grows
    Top(TopArgs),
    /// Show where the resident memory of a running process is
    Explain(ExplainArgs),
    /// Ask a JVM for a full garbage collection, or its allocator for a trim, and show what that released
    Probe(ProbeArgs),
    /// Tell why a command would not be recorded, or why a process is not
    Doctor(DoctorArgs),
    /// Write a profile in another tool's format
    Export(ExportArgs),
    /// Record a small program that leaks, and show the report
    Demo(DemoArgs),
    /// Print a script that completes leakscope's options in a shell
    Completions(CompletionsArgs),
    /// Print the manual, or write its pages
    Man(ManArgs),
    /// The program of `check --selftest`
    #[command(hide = true)]
    SelftestTarget {
        /// Whether it leaks
        #[arg(value_enum)]
        way: Way,
        /// How often
        iterations: u64,
    },
    /// The leaking program of `demo` where there is no JDK
    #[command(hide = true)]
    DemoTarget {
        /// How long it runs, seconds
        seconds: f64,
    },
}

/// Options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: that of the command (128+N if signal N killed it); 125 leakscope itself failed, \
                        126 the command cannot be executed, 127 it was not found.")]
pub struct RunArgs {
    /// Directory for the recording; %p is leakscope's process id, %n the command's name, %t the time. Where it holds a
    /// recording already, DIR/recording-2 is taken, and so on [default: ./leakscope-%n-%t]
    #[arg(short, long, value_name = "DIR", env = "LEAKSCOPE_OUTPUT",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub output: Option<String>,

    /// Mean bytes between samples; 1 records every allocation
    #[arg(long, value_name = "SIZE", env = "LEAKSCOPE_SAMPLE", default_value = "512k", value_parser = parse_sample)]
    pub sample: u64,

    /// What sampling may take of the processor: percent of one core, or of the command's own processor time where that is
    /// more. Beyond it, and where samples are lost, the bytes between samples double. `off`: never
    /// [default: 2, with --sample 1 off]
    #[arg(long, value_name = "PERCENT", env = "LEAKSCOPE_MAX_CPU", value_parser = parse_max_cpu)]
    pub max_cpu: Option<MaxCpu>,

    /// Time between snapshots. The young are looked at more often: each 5 seconds at first, then whenever they are older by an
    /// eighth
    #[arg(long, value_name = "TIME", env = "LEAKSCOPE_INTERVAL", default_value = "60s", value_parser = parse_interval)]
    pub interval: Duration,

    /// Most native frames of a stack
    #[arg(long, value_name = "N", env = "LEAKSCOPE_DEPTH", default_value_t = NATIVE_DEPTH,
          value_parser = clap::value_parser!(u32).range(1..=128))]
    pub depth: u32,

    /// Most Java frames of a stack
    #[arg(long, value_name = "N", env = "LEAKSCOPE_JAVA_DEPTH", default_value_t = JAVA_DEPTH,
          value_parser = clap::value_parser!(u32).range(1..=256))]
    pub java_depth: u32,

    /// Record every process that the command starts, not only itself and JVMs; in the environment 1, 0, true or false
    #[arg(long, env = "LEAKSCOPE_FOLLOW", value_parser = clap::builder::BoolishValueParser::new())]
    pub follow: bool,

    /// Record only processes with such a name (* and ? are wildcards)
    #[arg(long, value_name = "GLOB", env = "LEAKSCOPE_ONLY")]
    pub only: Option<String>,

    /// Most method ids that a JVM is made to create, for tests
    #[arg(long, value_name = "N", hide = true, default_value_t = 0)]
    pub method_ids: u64,

    /// Draws the same random numbers again, for tests
    #[arg(long, value_name = "N", hide = true)]
    pub seed: Option<u64>,

    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
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

    /// Overwrite the file
    #[arg(long)]
    pub force: bool,
}

/// Options of `mark`.
#[derive(Debug, clap::Args)]
pub struct MarkArgs {
    /// Process id of the recorded process; of the command that was started, or of its leakscope: all that is recorded
    pub pid: u32,

    /// What happened, in your words
    #[arg(required = true, num_args = 1.., allow_hyphen_values = true)]
    pub text: Vec<String>,
}

/// Options of `recover`.
#[derive(Debug, clap::Args)]
pub struct RecoverArgs {
    /// Process id of the recorded process
    pub pid: u32,

    /// File for the profile [default: leakscope-PID-TIME.prof]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Overwrite the file
    #[arg(long)]
    pub force: bool,
}

/// Where names and lines come from.
#[derive(Debug, Clone, clap::Args)]
pub struct SymbolArgs {
    /// Further directory with debug files, laid out as /usr/lib/debug
    #[arg(long, value_name = "DIR", env = "LEAKSCOPE_DEBUG_DIR")]
    pub debug_dir: Vec<PathBuf>,

    /// Use only the names in the profile
    #[arg(long)]
    pub no_debug_info: bool,

    /// Read debug information anew; else what was found is kept in $XDG_CACHE_HOME/leakscope (~/.cache), at most 256 MiB
    #[arg(long)]
    pub no_cache: bool,
}

/// How stacks are summed up.
#[derive(Debug, clap::Args)]
pub struct SiteArgs {
    /// What counts as one place: stack, java (method of the application), library, kind
    #[arg(long, value_name = "WHAT", default_value = "stack", value_parser = parse_by)]
    pub by: By,

    /// Your own Java packages, as com.acme; they lead where a stack is shown by one frame [default: what is neither
    /// the JDK nor a known framework]
    #[arg(long = "app", value_name = "PACKAGE", env = "LEAKSCOPE_APP", value_delimiter = ',')]
    pub packages: Vec<String>,
}

impl SiteArgs {
    /// The same, for the analysis.
    pub fn grouping(&self) -> Grouping {
        Grouping { by: self.by, packages: self.packages.clone() }
    }
}

/// Which part of a profile is looked at.
#[derive(Debug, clap::Args)]
pub struct KindArgs {
    /// Which kind of memory: all, malloc, mmap (files and anonymous), thread (their stacks)
    #[arg(long, value_name = "KIND", default_value = "all", value_parser = parse_kinds)]
    pub kind: Kinds,
}

impl KindArgs {
    /// The same, for the analysis; `all`: with the JVM's own mappings and threads.
    pub fn selection(&self, all: bool) -> Selection {
        Selection { kinds: self.kind, jvms_own: all }
    }
}

fn parse_kinds(text: &str) -> Result<Kinds, String> {
    let words = || Kinds::ALL.map(Kinds::as_str).join(", ");
    Kinds::ALL.into_iter().find(|kinds| kinds.as_str() == text).ok_or_else(|| format!("expected one of {}", words()))
}

fn parse_by(text: &str) -> Result<By, String> {
    let words = || By::ALL.map(By::as_str).join(", ");
    By::ALL.into_iter().find(|by| by.as_str() == text).ok_or_else(|| format!("expected one of {}", words()))
}

/// Options of `report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// A profile, a recording, or a snapshot of one: DIR@first, DIR@last, DIR@10m (10 minutes after recording started).
    /// Of several recordings in DIR the newest is taken; DIR/recording-2 names one
    #[arg(value_name = "RECORDING")]
    pub recording: String,

    /// How stacks are summed up
    #[command(flatten)]
    pub sites: SiteArgs,

    /// All sites, not only the largest
    #[arg(long)]
    pub all: bool,

    /// JSON, documented in docs/json.md
    #[arg(long)]
    pub json: bool,

    /// Write the report as one page that opens from disk, without network: all snapshots up to this one, memory over
    /// time, growth, call trees
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "by"])]
    pub html: Option<PathBuf>,

    /// Overwrite the page
    #[arg(long, requires = "html")]
    pub force: bool,

    /// Which kind of memory
    #[command(flatten)]
    pub kind: KindArgs,

    /// Where names and lines come from
    #[command(flatten)]
    pub symbols: SymbolArgs,
}

/// Options of `diff`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0; with --exit-code 1 if something grew; 2 wrong usage, 3 no data, 4 unreadable input."
)]
pub struct DiffArgs {
    /// The baseline: a profile, a recording, or a snapshot of one: DIR@first, DIR@10m (10 minutes after recording
    /// started). Of several recordings in DIR the newest is taken; DIR/recording-2 names one
    #[arg(value_name = "BEFORE")]
    pub before: String,

    /// The candidate, the same way
    #[arg(value_name = "AFTER")]
    pub after: String,

    /// How stacks are summed up
    #[command(flatten)]
    pub sites: SiteArgs,

    /// Growth that is put up with, for each site
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    pub tolerance: u64,

    /// Draw the growth as a differential flame graph
    #[arg(long, value_name = "FILE")]
    pub flame: Option<PathBuf>,

    /// All sites, also those without significant growth
    #[arg(long)]
    pub all: bool,

    /// JSON, documented in docs/json.md
    #[arg(long)]
    pub json: bool,

    /// Exit with 1 if something grew significantly
    #[arg(long)]
    pub exit_code: bool,

    /// Which kind of memory
    #[command(flatten)]
    pub kind: KindArgs,

    /// Where names and lines come from
    #[command(flatten)]
    pub symbols: SymbolArgs,
}

/// Options of `flame`.
#[derive(Debug, clap::Args)]
pub struct FlameArgs {
    /// A profile, a recording, or a snapshot of one: DIR@first, DIR@last, DIR@10m (10 minutes after recording started).
    /// Of several recordings in DIR the newest is taken; DIR/recording-2 names one
    #[arg(value_name = "RECORDING")]
    pub recording: String,

    /// The picture, SVG
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// What the widths are: live bytes, or all that was ever allocated
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Show::Live, conflicts_with = "since")]
    pub show: Show,

    /// Draw the growth since this profile
    #[arg(long, value_name = "BEFORE")]
    pub since: Option<String>,

    /// Which kind of memory
    #[command(flatten)]
    pub kind: KindArgs,

    /// Where names and lines come from
    #[command(flatten)]
    pub symbols: SymbolArgs,
}

/// What the widths of a flame graph are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Show {
    /// Live bytes
    Live,
    /// Bytes allocated since recording began
    Allocated,
}

impl From<Show> for Measure {
    fn from(show: Show) -> Self {
        match show {
            Show::Live => Measure::Live,
            Show::Allocated => Measure::Allocated,
        }
    }
}

/// Options of `export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// A profile, a recording, or a snapshot of one: DIR@first, DIR@last, DIR@10m (10 minutes after recording started).
    /// Of several recordings in DIR the newest is taken; DIR/recording-2 names one
    #[arg(value_name = "RECORDING")]
    pub recording: String,

    /// The format
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Format,

    /// The file [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Overwrite the file
    #[arg(long)]
    pub force: bool,

    /// What the numbers of folded stacks are; the other formats hold both
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Show::Live)]
    pub measure: Show,

    /// How Java functions are spelt
    #[arg(long, value_name = "HOW", value_enum, default_value_t = NameStyle::Dots)]
    pub java_names: NameStyle,

    /// Your own Java packages, as com.acme: which frame the columns of csv name
    #[arg(long = "app", value_name = "PACKAGE", env = "LEAKSCOPE_APP", value_delimiter = ',')]
    pub packages: Vec<String>,

    /// The JVM's own mappings and threads, too
    #[arg(long)]
    pub all: bool,

    /// Which kind of memory
    #[command(flatten)]
    pub kind: KindArgs,

    /// Where names and lines come from
    #[command(flatten)]
    pub symbols: SymbolArgs,
}

/// A format of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One line a stack, for flamegraph.pl, inferno and others
    Folded,
    /// For speedscope, with files and lines
    Speedscope,
    /// DHAT's JSON, for the Firefox Profiler and valgrind's dh_view
    Dhat,
    /// Sites with their intervals, for spreadsheets
    Csv,
    /// Text for Prometheus
    Openmetrics,
}

/// How Java functions are spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum NameStyle {
    /// As in java.util.zip.Deflater.init
    Dots,
    /// As in java/util/zip/Deflater.init
    Slash,
}

impl From<NameStyle> for JavaNames {
    fn from(style: NameStyle) -> Self {
        match style {
            NameStyle::Dots => JavaNames::Dots,
            NameStyle::Slash => JavaNames::Slash,
        }
    }
}

/// Options of `completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For example: leakscope completions bash > ~/.local/share/bash-completion/completions/leakscope"
)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// Options of `man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write leakscope.1 and a page for each command into this directory [default: the first page to stdout]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Directory for the recording
    #[arg(short, long, value_name = "DIR", default_value = "leakscope-demo")]
    pub output: PathBuf,

    /// How long the leaking program runs, seconds
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub seconds: u32,
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
        for line in [
            &["run"][..],
            &["run", "--sample", "0", "x"],
            &["run", "--depth", "0", "x"],
            &["run", "--unknown", "--", "x"],
            &["nonsense"],
            &[],
        ] {
            let error = Args::try_parse_from(std::iter::once(&"leakscope").chain(line)).unwrap_err();
            assert!(error.exit_code() == 2 || line.is_empty());
        }
    }
}
