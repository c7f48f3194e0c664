//! `leakscope check` as text: what leaks and where, what is not clear, everything else in a line, the outcome last.

use std::fmt::Write;

use leakscope_analyze::gate::{Finding, Outcome, Status};

use super::{GateView, words};
use crate::style::{Ink, TextOptions};
use crate::text_report::stack_lines;
use crate::units::{bytes, thousands};

/// Width of the first column.
const WORD: usize = 4;
/// A path takes at most so many columns where there is no terminal.
const WIDEST_PATH: usize = 100;

/// The judgement as text. Sites that are suppressed, or the JVM's own, are listed where `options.sites` is `usize::MAX`.
pub fn gate_text(view: &GateView<'_>, options: &TextOptions) -> String {
    let gate = view.gate;
    let mut parts = vec![format!("leakscope check: {}", crate::printable::printable(view.command))];
    parts.extend(words::what_was_judged(gate));
    let mut text = format!("{}\n", options.parts(&parts, 2));
    for note in &options.notes {
        let _ = writeln!(text, "{}", options.sentence(&crate::printable::printable(note), 2));
    }
    for finding in gate.leaks() {
        text.push_str(&leak(view, finding, options));
    }
    for finding in view.unclear().take(options.sites) {
        text.push_str(&unclear(view, finding, options));
    }
    let more = view.unclear().count().saturating_sub(options.sites);
    if more > 0 {
        let _ = writeln!(text, "  {:WORD$}  {more} more that are not clear: --all", "");
    }
    if gate.has_judged() {
        text.push_str(&rest(view, options));
    }
    text.push_str(&set_aside(view, options));
    text.push_str(&suppressions(view, options));
    for (number, finding) in gate.leaks().take(options.stacks).enumerate() {
        let _ = write!(text, "\n{}", options.paint(Ink::Strong, &format!("leak {}", number + 1)));
        let _ = writeln!(text, "  {}  site {}", finding.place.kind.as_str(), finding.key);
        text.push_str(&stack_lines(&gate.frames, &finding.place, options));
    }
    text.push('\n');
    text.push_str(&last_lines(view, options));
    text
}

fn line(word: &str, ink: Ink, rest: &str, options: &TextOptions) -> String {
    let shown = options.sentence(&format!("  {word:WORD$}  {rest}"), WORD + 6);
    format!("{}\n", shown.replacen(word, &options.paint(ink, word), 1))
}

fn path(view: &GateView<'_>, finding: &Finding, options: &TextOptions) -> String {
    let room = options.columns.map_or(WIDEST_PATH, |columns| columns.saturating_sub(WORD + 4).max(36));
    words::path(finding, view.gate, room, options.glyphs())
}

fn leak(view: &GateView<'_>, finding: &Finding, options: &TextOptions) -> String {
    let mut text = line("FAIL", Ink::Bad, &path(view, finding, options), options);
    let said = words::leak(&finding.judged, view.gate, options.glyphs());
    let _ = writeln!(text, "{}", options.sentence(&format!("{:1$}{said}", "", WORD + 4), WORD + 4));
    if let Some(ruling) = words::ruling(finding.ruling, view.suppressions) {
        let _ = writeln!(text, "{}", options.sentence(&format!("{:1$}{ruling}", "", WORD + 4), WORD + 4));
    }
    text
}

fn unclear(view: &GateView<'_>, finding: &Finding, options: &TextOptions) -> String {
    let Status::Unclear(why) = finding.judged.status else { return String::new() };
    let mut text = line("?", Ink::Strong, &path(view, finding, options), options);
    let parts = [
        format!("{:1$}{2}", "", WORD + 4, words::growth(&finding.judged, view.gate, options.glyphs())),
        words::from_to(&finding.judged, options.glyphs()),
        words::unclear(why, &finding.judged, view.gate),
    ];
    let _ = writeln!(text, "{}", options.parts(&parts, WORD + 4));
    text
}

/// Everything else together.
fn rest(view: &GateView<'_>, options: &TextOptions) -> String {
    let gate = view.gate;
    let (word, ink) = match gate.total.status {
        Status::Leak => ("FAIL", Ink::Bad),
        Status::Unclear(_) => ("?", Ink::Strong),
        _ => ("ok", Ink::Good),
    };
    let changed = words::how_many(gate, Status::Ok);
    let changed = words::plural(changed as f64, "site", "sites");
    let is_alone = gate.leaks().chain(view.unclear()).next().is_none();
    let beside = if is_alone { "" } else { "everything else: " };
    let what = match gate.baseline_runs {
        Some(_) => format!("{beside}{changed}"),
        None => format!("{beside}{changed} that changed, {} that did not", thousands(gate.quiet as f64)),
    };
    let mut parts = vec![
        what,
        format!("{} together", words::growth(&gate.total, gate, options.glyphs())),
        format!("budget {}", words::rate(gate.total.budget, gate)),
    ];
    if let Status::Unclear(why) = gate.total.status {
        parts.push(words::unclear(why, &gate.total, gate));
    }
    let shown = options.parts(&[format!("  {word:WORD$}  {}", parts[0])], 0);
    let shown = shown.replacen(word, &options.paint(ink, word), 1);
    let mut lines = vec![shown];
    lines.extend(parts.drain(1..));
    format!("{}\n", options.parts(&lines, WORD + 4))
}

/// What was taken for no leak: single steps, and what filled.
fn set_aside(view: &GateView<'_>, options: &TextOptions) -> String {
    let ok = || view.gate.findings.iter().map(|f| &f.judged).filter(|judged| judged.status == Status::Ok);
    let stepped = ok().filter(|j| words::has_stepped(j));
    let (stepped, steps) = stepped.fold((0, 0.0), |(n, sum), j| (n + 1, sum + j.steps.iter().sum::<f64>()));
    let (filled, grew) = ok().filter(|j| j.has_settled).fold((0, 0.0), |(n, sum), j| {
        let [before, after] = j.live_bytes;
        (n + 1, sum + after - before)
    });
    let mut text = String::new();
    for (sites, grew, how) in [(stepped, steps, "in one step, and no more"), (filled, grew, "ever less, and no more")] {
        if sites > 0 {
            let sites = words::plural(f64::from(sites), "site", "sites");
            let said = format!("{:1$}grew {how}: {sites}, {2} together", "", WORD + 4, bytes(grew));
            let _ = writeln!(text, "{}", options.paint(Ink::Dim, &options.sentence(&said, WORD + 4)));
        }
    }
    text
}

fn suppressions(view: &GateView<'_>, options: &TextOptions) -> String {
    let gate = view.gate;
    let own = words::how_many(gate, Status::JvmsOwn);
    let mut text = String::new();
    for (hidden, by) in
        words::hidden(gate, view.suppressions).into_iter().zip(["suppressions", "built-in suppressions"])
    {
        if hidden > 0 {
            let sites = words::plural(hidden as f64, "site that changed", "sites that changed");
            text.push_str(&line("supp", Ink::Dim, &format!("{sites} under {by}"), options));
        }
    }
    if own > 0 {
        let said = format!("{} of the JVM's own threads, not judged", words::plural(own as f64, "site", "sites"));
        text.push_str(&line("jvm", Ink::Dim, &said, options));
    }
    if options.is_all() {
        let is_hidden = |f: &&Finding| matches!(f.judged.status, Status::Suppressed | Status::JvmsOwn);
        for finding in gate.findings.iter().filter(is_hidden) {
            let growth = words::growth(&finding.judged, gate, options.glyphs());
            let said = format!("{:1$}{growth}  {2}", "", WORD + 4, path(view, finding, options));
            let _ = writeln!(text, "{said}");
        }
    }
    for said in gate.suppressions.iter().flat_map(|one| words::odd(one, view.suppressions)) {
        text.push_str(&line("supp", Ink::Dim, &said, options));
    }
    text
}

fn last_lines(view: &GateView<'_>, options: &TextOptions) -> String {
    let gate = view.gate;
    let mut text = String::new();
    if gate.has_judged() {
        let _ = writeln!(text, "{}", options.sentence(&words::detectable(gate), 2));
    }
    let conclusion = words::conclusion(gate, view.suppressions);
    let ink = match gate.outcome {
        Outcome::Pass => Ink::Good,
        Outcome::Fail => Ink::Bad,
        Outcome::Inconclusive => Ink::Strong,
    };
    let word = words::outcome(gate.outcome);
    let shown = options.sentence(&conclusion, 2).replacen(word, &options.paint(ink, word), 1);
    let _ = writeln!(text, "{shown}");
    text.push_str(&options.next_line());
    text
}
