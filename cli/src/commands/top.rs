//! `leakscope top`: a recording in the terminal, while it grows.

use crate::args::TopArgs;
use crate::exit::{self, Failure};
use crate::reading::Symbols;
use crate::say::say;
use crate::top::{Source, once, watch};
use anyhow::Result;
use leakscope_analyze::AnalysisOptions;
use std::io::IsTerminal;

/// Shows it until somebody has seen enough; with `--once` prints one frame.
///
/// # Errors
/// There is no terminal, or nothing is recorded there.
pub fn run(args: &TopArgs) -> Result<u8> {
    let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if !args.once && !is_terminal {
        let sentence = "top draws on a terminal, and this is none: --once prints one frame as text";
        return Err(Failure::error(exit::USAGE, sentence));
    }
    let source = Source::of(&args.source)?;
    source.notes.iter().for_each(|note| say(&format!("leakscope: {note}")));
    let symbols = Symbols::new(&args.symbols);
    let options = AnalysisOptions { packages: args.packages.clone() };
    if args.once { once(&source, symbols, options) } else { watch(source, symbols, options) }
}
