//! Options of the commands that look at a running process.

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
