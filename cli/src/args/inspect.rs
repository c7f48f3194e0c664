//! Options of the commands that look at a running process.

use std::ffi::OsString;

/// Options of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Process id
    pub pid: u32,

    /// All rows, also the smallest
    #[arg(long)]
    pub all: bool,

    /// JSON, documented in docs/json.md
    #[arg(long)]
    pub json: bool,
}

/// Options of `top`.
#[derive(Debug, clap::Args)]
pub struct TopArgs {
    /// Process id of a recorded process, of the command that was started or of its leakscope; or a recording
    #[arg(value_name = "PID|DIR")]
    pub source: String,

    /// Print one frame as plain text, and end
    #[arg(long)]
    pub once: bool,

    /// Your own Java packages, as com.acme; their frames lead [default: what is neither the JDK nor a known framework]
    #[arg(long = "app", value_name = "PACKAGE", env = "LEAKSCOPE_APP", value_delimiter = ',')]
    pub packages: Vec<String>,

    /// Where names and lines come from
    #[command(flatten)]
    pub symbols: super::SymbolArgs,
}

/// Options of `probe`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "gc asks the JVM for two full collections, and lets its reference handlers run in between: what \
                        a site releases then was garbage, kept only until a collection. trim asks the JVM (17 and \
                        later) to give back what its allocator keeps. Both stop the process for a moment. A process \
                        that is not recorded can be probed, too: then the change of resident memory is shown."
)]
pub struct ProbeArgs {
    /// gc or trim
    #[arg(value_enum)]
    pub what: ProbeWhat,

    /// Process id of the JVM, of the command that was started, or of its leakscope
    pub pid: u32,

    /// Do not ask before it is done
    #[arg(short, long)]
    pub yes: bool,

    /// All sites and rows, also the smallest
    #[arg(long)]
    pub all: bool,

    /// JSON, documented in docs/json.md
    #[arg(long)]
    pub json: bool,

    /// How stacks are summed up
    #[command(flatten)]
    pub sites: super::SiteArgs,

    /// Where names and lines come from
    #[command(flatten)]
    pub symbols: super::SymbolArgs,
}

/// What is asked of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ProbeWhat {
    /// Full garbage collections
    Gc,
    /// Back to the system what the allocator keeps
    Trim,
}

impl ProbeWhat {
    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            ProbeWhat::Gc => "gc",
            ProbeWhat::Trim => "trim",
        }
    }
}

/// Options of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 it would be recorded (a process: it is being recorded), 1 it would not, \
                        or not its malloc; 2 wrong usage, 3 no such process.")]
pub struct DoctorArgs {
    /// JSON, documented in docs/json.md
    #[arg(long)]
    pub json: bool,

    /// A command with its arguments, or the id of a running process; neither: this machine
    #[arg(value_name = "CMD|PID", trailing_var_arg = true)]
    pub target: Vec<OsString>,
}
