//! Annotations of GitHub Actions: a line of the job's log that GitHub shows at a line of the source.

use leakscope_analyze::gate::Outcome;

use super::{GateView, words};
use crate::style::Glyphs;

/// GitHub shows ten of a step; three say enough, and leave room for others'.
const MOST: usize = 3;
/// Longest path in a message.
const PATH: usize = 160;

/// At most three annotations, a line each: leaks at their lines, or why it cannot be told. Nothing where the gate passes.
pub fn gate_github(view: &GateView<'_>) -> String {
    let gate = view.gate;
    let mut lines: Vec<String> = gate
        .leaks()
        .map(|finding| {
            let path = words::path(finding, gate, PATH, &Glyphs::UNICODE);
            let message = format!("{path}: {}", words::leak(&finding.judged, gate, &Glyphs::UNICODE));
            annotation("error", view.place(finding), "Native memory leak", &message)
        })
        .collect();
    let left = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    if left > 0 {
        // The last one that is shown says how many are not.
        lines.truncate(MOST - 1);
        lines.push(annotation("error", None, "Native memory leaks", &format!("{} more leaks: see the log", left + 1)));
    }
    if lines.is_empty() && gate.outcome != Outcome::Pass {
        let level = if gate.outcome == Outcome::Fail { "error" } else { "warning" };
        let conclusion = words::conclusion(gate, view.suppressions);
        lines.push(annotation(level, None, "leakscope check", &conclusion));
    }
    lines.concat()
}

fn annotation(level: &str, place: Option<(String, u32)>, title: &str, message: &str) -> String {
    let place = place.map(|(file, line)| format!("file={},line={line},", property(&file))).unwrap_or_default();
    format!("::{level} {place}title={}::{}\n", property(title), data(message))
}

/// What GitHub's own toolkit writes out in a message.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// And in a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_an_annotation_early() {
        let place = Some(("a,b:c.java".to_owned(), 7));
        let line = annotation("error", place, "t", "100 %\n::error::x");
        assert_eq!(line, "::error file=a%2Cb%3Ac.java,line=7,title=t::100 %25%0A::error::x\n");
    }
}
