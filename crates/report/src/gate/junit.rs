//! JUnit XML, as Jenkins, GitLab and others read it: a test a site that does not pass, one for everything else.
//!
//! A leak is a failure, what cannot be told is an error. The names of the tests have no lines in them, so that a test's
//! history survives edits.

use std::fmt::Write;

use leakscope_analyze::gate::{Finding, Outcome, Reason, Status};

use super::{GateView, own_frame, words};
use crate::printable::printable;
use crate::style::{Glyphs, TextOptions};
use crate::text_report::stack_lines;

/// The judgement as JUnit XML.
pub fn gate_junit(view: &GateView<'_>) -> String {
    let gate = view.gate;
    let mut cases = String::new();
    let (mut failures, mut errors, mut tests) = (0, 0, 0);
    let mut add = |name: &str, class: &str, problem: Option<Problem>| {
        tests += 1;
        match &problem {
            Some(Problem { tag: "failure", .. }) => failures += 1,
            Some(_) => errors += 1,
            None => {}
        }
        cases.push_str(&case(name, class, problem.as_ref()));
    };
    for finding in gate.leaks() {
        let message = words::leak(&finding.judged, gate, &Glyphs::UNICODE);
        add(&name(view, finding), "leakscope.site", Some(Problem::failure(&message, &details(view, finding))));
    }
    for finding in view.unclear() {
        let Status::Unclear(why) = finding.judged.status else { continue };
        let message = words::unclear(why, &finding.judged, gate);
        add(&name(view, finding), "leakscope.site", Some(Problem::error(&message, &details(view, finding))));
    }
    add("everything else together", "leakscope.total", total(view));
    let rest: Vec<&Reason> = gate.reasons.iter().filter(|reason| !is_told_by_site(reason)).collect();
    for reason in rest {
        let message = words::reason(reason, gate, view.suppressions);
        let problem = match (reason, gate.outcome) {
            (Reason::Expired(_), _) => Problem::failure(&message, ""),
            _ => Problem::error(&message, ""),
        };
        add(rest_name(reason), "leakscope.gate", Some(problem));
    }
    suite(view.command, [tests, failures, errors], &cases, &system_out(view))
}

/// That there is no judgement, and why, as JUnit XML: one test that could not be done.
pub fn gate_junit_error(command: &str, why: &str) -> String {
    let why = printable(why);
    suite(
        command,
        [1, 0, 1],
        &case("the command can be judged", "leakscope.gate", Some(&Problem::error(&why, ""))),
        &why,
    )
}

fn suite(command: &str, [tests, failures, errors]: [usize; 3], cases: &str, out: &str) -> String {
    let name = escaped(&format!("leakscope check {command}"));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{name}\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\">\n{cases}    <system-out>{}</system-out>\n  \
         </testsuite>\n</testsuites>\n",
        escaped(out)
    )
}

/// Why a test does not pass.
struct Problem {
    tag: &'static str,
    message: String,
    details: String,
}

impl Problem {
    fn failure(message: &str, details: &str) -> Problem {
        Problem { tag: "failure", message: message.to_owned(), details: details.to_owned() }
    }

    fn error(message: &str, details: &str) -> Problem {
        Problem { tag: "error", message: message.to_owned(), details: details.to_owned() }
    }
}

fn case(name: &str, class: &str, problem: Option<&Problem>) -> String {
    let head = format!("    <testcase name=\"{}\" classname=\"{class}\"", escaped(name));
    match problem {
        None => format!("{head}/>\n"),
        Some(Problem { tag, message, details }) => format!(
            "{head}>\n      <{tag} message=\"{}\" type=\"leakscope\">{}</{tag}>\n    </testcase>\n",
            escaped(message),
            escaped(details)
        ),
    }
}

/// Whether a reason is the sum of what the tests of sites say.
fn is_told_by_site(reason: &Reason) -> bool {
    matches!(reason, Reason::Leaks(_) | Reason::UnclearSites(_) | Reason::Total | Reason::UnclearTotal)
}

fn rest_name(reason: &Reason) -> &'static str {
    match reason {
        Reason::Expired(_) => "no suppression has expired",
        Reason::TooFewCheckpoints { .. } => "enough checkpoints",
        Reason::RarelySampled => "sampled closely enough",
        _ => "no data were lost",
    }
}

/// Of the total: it fails, it cannot be told, or it was not looked at.
fn total(view: &GateView<'_>) -> Option<Problem> {
    let total = &view.gate.total;
    match total.status {
        Status::Leak => Some(Problem::failure(&words::leak(total, view.gate, &Glyphs::UNICODE), "")),
        Status::Unclear(why) => Some(Problem::error(&words::unclear(why, total, view.gate), "")),
        _ if !view.gate.has_judged() => Some(Problem::error("too few checkpoints", "")),
        _ => None,
    }
}

/// The reader's own function and the kind of memory, without a line.
fn name(view: &GateView<'_>, finding: &Finding) -> String {
    let own = own_frame(&view.gate.frames, finding).map_or("[unknown]", |frame| frame.function.as_str());
    format!("{} ({}, site {})", printable(own), finding.place.kind.as_str(), finding.key)
}

fn details(view: &GateView<'_>, finding: &Finding) -> String {
    stack_lines(&view.gate.frames, &finding.place, &TextOptions::default())
}

fn system_out(view: &GateView<'_>) -> String {
    let gate = view.gate;
    let mut said = words::conclusion(gate, view.suppressions);
    if gate.outcome != Outcome::Inconclusive || gate.has_judged() {
        let _ = write!(said, "\n{}", words::detectable(gate));
    }
    said
}

/// Text and attributes of XML. What XML forbids is not in it: names come through `printable`, and the rest is checked here.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&apos;"),
            '\n' => shown.push('\n'),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn xml_is_escaped() {
        assert_eq!(escaped("a<b>&\"'\u{1b}\u{ffff}\n"), "a&lt;b&gt;&amp;&quot;&apos;\\u{1b}\\u{ffff}\n");
    }
}
