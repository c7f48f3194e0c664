//! Options of `baseline`.

use clap::Subcommand;
use std::path::PathBuf;

/// Options of `baseline`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0 done, 2 wrong usage, 3 nothing is recorded there, 4 a file cannot be read or written."
)]
pub struct BaselineArgs {
    /// What to do with it
    #[command(subcommand)]
    pub what: BaselineWhat,
}

/// What to do with a baseline.
#[derive(Debug, Subcommand)]
pub enum BaselineWhat {
    /// Write what recorded runs have live to a file that a repository can hold
    Save(BaselineSaveArgs),
    /// Show what a baseline holds
    Show {
        /// The baseline
        file: PathBuf,
    },
    /// Write a baseline anew from other runs, and tell what that changes
    Update(BaselineSaveArgs),
}

/// Options of `baseline save` and `baseline update`.
#[derive(Debug, clap::Args)]
pub struct BaselineSaveArgs {
    /// The baseline
    pub file: PathBuf,

    /// The runs: profiles, or directories of recordings; three or more tell what differs from run to run
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,

    /// Replace a baseline that is there (`save`; `update` always does)
    #[arg(long)]
    pub force: bool,

    /// Your own Java packages, as com.acme; a site is named by their frame [default: what is neither the JDK nor a known
    /// framework]
    #[arg(long = "app", value_name = "PACKAGE", env = "LEAKSCOPE_APP", value_delimiter = ',')]
    pub packages: Vec<String>,

    /// Where names and lines come from
    #[command(flatten)]
    pub symbols: super::SymbolArgs,
}
