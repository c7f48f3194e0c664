//! What the gate says, where it was asked to be said.

use crate::args::{CheckArgs, ReportArgs, SiteArgs};
use crate::commands::{flame, report_html};
use crate::exit::{self, Failure};
use crate::reading;
use crate::say::say;
use anyhow::Result;
use leakscope_analyze::gate::{Gate, Outcome};
use leakscope_analyze::suppression::Suppression;
use leakscope_analyze::{By, Kinds};
use leakscope_report::{
    GateView, TextOptions, gate_github, gate_json, gate_junit, gate_junit_error, gate_markdown, gate_sarif, gate_text,
};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Removes what an earlier run has left where answers go: should this one not come to an answer, that would be taken
/// for it.
pub fn remove_old(args: &CheckArgs) {
    for file in [&args.junit, &args.sarif, &args.summary, &args.html].into_iter().flatten() {
        if fs::symlink_metadata(file).is_ok_and(|found| found.is_file()) {
            // Where it cannot be removed it can hardly be written, which is said then.
            let _ = fs::remove_file(file);
        }
    }
}

/// Says to readers of JUnit's XML, who want a file, why there is no answer: the command failed, or cannot be judged.
pub fn give_none(args: &CheckArgs, error: &anyhow::Error) {
    if !matches!(Failure::code_of(error), exit::COMMAND_FAILED | exit::NO_DATA) {
        return;
    }
    let text = gate_junit_error(&shown(args), &format!("{error:#}"));
    if let Err(error) = write(args.junit.as_deref(), &text) {
        say(&format!("leakscope: {error:#}"));
    }
}

fn write(path: Option<&Path>, text: &str) -> Result<()> {
    path.map_or(Ok(()), |path| flame::write(path, |out| out.write_all(text.as_bytes())))
}

/// Says it. `recording` is that of the last round, where there was one.
///
/// # Errors
/// A file cannot be written; exit code 4.
pub fn give(args: &CheckArgs, gate: &Gate, suppressions: &[Suppression], recording: Option<&Path>) -> Result<()> {
    let command = shown(args);
    let source = |file: &str| args.sources.find(file);
    let view = GateView { gate, command: &command, suppressions, source: &source };
    write(args.junit.as_deref(), &gate_junit(&view))?;
    write(args.sarif.as_deref(), &gate_sarif(&view))?;
    write(args.summary.as_deref(), &gate_markdown(&view))?;
    if let (Some(page), Some(recording)) = (&args.html, recording) {
        report_html::run(&page_of(args, recording), page)?;
    }
    if args.json {
        reading::print(&gate_json(&view))?;
    } else {
        let options = TextOptions { next: next(args, gate, recording), ..reading::text_options(args.show_suppressed) };
        reading::print(&gate_text(&view, &options))?;
    }
    on_github(args, &view)
}

/// Under GitHub Actions: annotations, and the job's summary unless it goes elsewhere.
fn on_github(args: &CheckArgs, view: &GateView<'_>) -> Result<()> {
    if std::env::var_os("GITHUB_ACTIONS").is_none_or(|value| value != "true") {
        return Ok(());
    }
    let annotations = gate_github(view);
    if args.json {
        // GitHub reads both streams, and stdout is taken.
        annotations.lines().for_each(say);
    } else {
        reading::print(&annotations)?;
    }
    let summary = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| args.summary.is_none() && !path.is_empty());
    let Some(path) = summary else { return Ok(()) };
    let append = |mut file: File| file.write_all(gate_markdown(view).as_bytes());
    let written = File::options().append(true).create(true).open(&path).and_then(append);
    written.map_err(|error| {
        Failure::error(exit::UNREADABLE, format!("cannot write {}: {error}", Path::new(&path).display()))
    })
}

/// The command as people call it.
fn shown(args: &CheckArgs) -> String {
    let words: Vec<_> = args.command.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// What to type next: nothing where nothing is wrong.
fn next(args: &CheckArgs, gate: &Gate, recording: Option<&Path>) -> Vec<String> {
    match (gate.outcome, recording, &args.output) {
        (Outcome::Pass, ..) => Vec::new(),
        (_, None, _) => vec![format!("leakscope report {}", shown(args))],
        (_, Some(recording), Some(_)) => vec![format!("leakscope report {}", recording.display())],
        (_, Some(_), None) => vec!["leakscope check -o DIR ...".to_owned(), "leakscope report DIR".to_owned()],
    }
}

/// The options of the page.
fn page_of(args: &CheckArgs, recording: &Path) -> ReportArgs {
    ReportArgs {
        recording: recording.display().to_string(),
        sites: SiteArgs { by: By::Stack, packages: args.packages.clone() },
        all: false,
        json: false,
        html: args.html.clone(),
        force: true,
        kind: crate::args::KindArgs { kind: Kinds::All },
        symbols: args.symbols.clone(),
    }
}
