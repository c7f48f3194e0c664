//! `leakscope check --baseline FILE RUN...`: recorded runs against a baseline, without running anything.

use crate::args::CheckArgs;
use crate::baseline_file;
use crate::check::answer;
use crate::check::settings;
use crate::clock::unix_seconds;
use crate::commands::baseline::sites_of;
use crate::exit::{self, Failure};
use crate::reading::Symbols;
use crate::say::say;
use crate::suppressions;
use anyhow::Result;
use leakscope_analyze::gate::{BaselineError, FEWEST_RUNS, Gate, GateOptions, Per, RunSites, gate_against_baseline};
use std::path::Path;

/// Judges, and says it.
///
/// # Errors
/// The baseline or a run cannot be read, or they are not of one program.
pub fn run(args: &CheckArgs, file: &Path) -> Result<Gate> {
    let baseline = baseline_file::read(file)?;
    let mut options = GateOptions::new(Per::Run, unix_seconds() / 86_400);
    options.budgets = settings::budgets(args, Per::Run)?;
    options.suppressions.extend(suppressions::read_all(&args.suppressions, Per::Run)?);
    let mut symbols = Symbols::new(&args.symbols);
    let runs: Vec<String> = args.command.iter().map(|run| run.to_string_lossy().into_owned()).collect();
    let runs: Vec<RunSites> =
        runs.iter().map(|run| sites_of(run, &args.packages, &mut symbols)).collect::<Result<_>>()?;
    answer::remove_old(args);
    let gate = gate_against_baseline(&baseline, &runs, &options).map_err(|error| refused(&error, file))?;
    if baseline.runs.max(runs.len()) < FEWEST_RUNS {
        say(&format!(
            "leakscope: note: neither side has {FEWEST_RUNS} runs: it is not known what differs from run to run, and all \
             growth beyond the budget counts"
        ));
    }
    answer::give(args, &gate, &options.suppressions, None)?;
    symbols.say_warnings();
    Ok(gate)
}

fn refused(error: &BaselineError, file: &Path) -> anyhow::Error {
    let shown = file.display();
    let sentence = match error {
        BaselineError::NoRuns => format!("{shown}: there are no runs to compare"),
        BaselineError::AnotherProgram { baseline, candidate } => {
            format!("{shown} is a baseline of '{baseline}', and this is a recording of '{candidate}'")
        }
        BaselineError::NothingInCommon => format!(
            "{shown}: hardly anything of this baseline is in the recording: it is of another program, or was made with \
             other packages (--app)"
        ),
    };
    Failure::error(exit::USAGE, sentence)
}
