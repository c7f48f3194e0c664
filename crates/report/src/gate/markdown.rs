//! The summary of a job, in Markdown.

use std::fmt::Write;

use leakscope_analyze::gate::{Finding, Outcome, Status};

use super::{GateView, words};
use crate::printable::printable;
use crate::style::Glyphs;

/// Most rows of the table.
const MOST_ROWS: usize = 20;
/// Longest path in a cell.
const PATH: usize = 100;

/// The judgement as Markdown.
pub fn gate_markdown(view: &GateView<'_>) -> String {
    let gate = view.gate;
    let mark = match gate.outcome {
        Outcome::Pass => "✅",
        Outcome::Fail => "❌",
        Outcome::Inconclusive => "⚠️",
    };
    let head = words::outcome(gate.outcome);
    let mut text = format!("### {mark} leakscope check: {head}\n\n`{}`", code(view.command));
    let _ = writeln!(text, " · {}\n", words::what_was_judged(gate).join(" · "));
    for reason in words::reasons(gate, view.suppressions) {
        let _ = writeln!(text, "- {}", escaped(&reason));
    }
    if !gate.reasons.is_empty() {
        text.push('\n');
    }
    let listed: Vec<&Finding> = gate.leaks().chain(view.unclear()).collect();
    if !listed.is_empty() || gate.has_judged() {
        text.push_str("| | growth | budget | before → after | where |\n|---|---:|---:|---:|---|\n");
    }
    for finding in listed.iter().take(MOST_ROWS) {
        text.push_str(&row(view, finding));
    }
    if listed.len() > MOST_ROWS {
        let _ = writeln!(text, "| | | | | {} more |", listed.len() - MOST_ROWS);
    }
    if gate.has_judged() {
        let word = word(gate.total.status);
        let growth = words::growth(&gate.total, gate, &Glyphs::UNICODE);
        let budget = words::rate(gate.total.budget, gate);
        let _ = writeln!(
            text,
            "| {word} | {growth} | {budget} | {} | everything else together |",
            words::from_to(&gate.total, &Glyphs::UNICODE)
        );
        let _ = writeln!(text, "\n{}.", words::detectable(gate));
    }
    for odd in gate.suppressions.iter().flat_map(|one| words::odd(one, view.suppressions)) {
        let _ = writeln!(text, "\nSuppression {}.", escaped(&odd));
    }
    text
}

fn row(view: &GateView<'_>, finding: &Finding) -> String {
    let gate = view.gate;
    let path = words::path(finding, gate, PATH, &Glyphs::UNICODE);
    let line = view.place(finding).map(|(file, line)| format!("<br>{}:{line}", escaped(&file))).unwrap_or_default();
    format!(
        "| {} | {} | {} | {} | `{}`{line} |\n",
        word(finding.judged.status),
        words::growth(&finding.judged, gate, &Glyphs::UNICODE),
        words::rate(finding.judged.budget, gate),
        words::from_to(&finding.judged, &Glyphs::UNICODE),
        code(&path)
    )
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Leak => "**leak**",
        Status::Unclear(_) => "not clear",
        _ => "ok",
    }
}

/// What stands between backticks, in a cell of a table.
fn code(text: &str) -> String {
    printable(text).replace('`', "'").replace('|', "\\|")
}

/// Text that is no markup.
fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for c in printable(text).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#') {
            shown.push('\\');
        }
        shown.push(c);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escaped("a*b|<c>"), "a\\*b\\|\\<c\\>");
        assert_eq!(code("a`b|c"), "a'b\\|c");
    }
}
