//! SARIF 2.1.0, as code scanning reads it: a result a leak, and one for each site that cannot be told, at its line.
//!
//! A result's fingerprint is the site's key, which survives edits: a leak that is known stays one alert.

use leakscope_analyze::gate::{Finding, Gate, Outcome, Per, Status};
use leakscope_analyze::{FrameKind, SiteFrame};
use serde_json::{Value, json};

use super::{GateView, words};
use crate::printable::printable;
use crate::style::Glyphs;

/// Longest path in a message.
const PATH: usize = 200;

/// The judgement as SARIF.
pub fn gate_sarif(view: &GateView<'_>) -> String {
    let gate = view.gate;
    let mut results: Vec<Value> = gate.leaks().map(|finding| leak(view, finding)).collect();
    results.extend(view.unclear().filter_map(|finding| unclear(view, finding)));
    if gate.total.status == Status::Leak {
        let text = format!("All sites together: {}", words::leak(&gate.total, gate, &Glyphs::UNICODE));
        results.push(json!({ "ruleId": "TOTAL", "ruleIndex": 2, "level": "error", "message": { "text": text } }));
    }
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "leakscope",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules(gate),
            } },
            "invocations": [{
                "executionSuccessful": gate.outcome != Outcome::Inconclusive,
                "toolExecutionNotifications": notifications(view),
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{document}\n")
}

fn rules(gate: &Gate) -> Value {
    let how = words::how_it_grows(gate.per);
    let (leaks, more) = match gate.per {
        Per::Run => (format!("has grown by more than its budget {how}"), "Compare more runs."),
        _ => (
            format!("grows by more than its budget {how}, in every part of the run"),
            "Let it run for longer, in more rounds, or with a longer warm-up.",
        ),
    };
    let rule = |id: &str, name: &str, short: &str, full: &str, level: &str| {
        json!({
            "id": id,
            "name": name,
            "shortDescription": { "text": short },
            "fullDescription": { "text": full },
            "help": { "text": full },
            "defaultConfiguration": { "level": level },
        })
    };
    json!([
        rule(
            "LEAK",
            "NativeMemoryLeak",
            &format!("Native memory grows {how}"),
            &format!(
                "Live memory that is allocated here {leaks}. Free or close what is allocated here, or what holds it."
            ),
            "error"
        ),
        rule(
            "UNCLEAR",
            "UnclearGrowth",
            "It cannot be told whether this grows",
            &format!(
                "Live memory that is allocated here changes so much, or so rarely, that a leak could not be told from \
                 chance. {more}"
            ),
            "warning"
        ),
        rule(
            "TOTAL",
            "TotalGrowth",
            &format!("All sites together grow {how}"),
            "No site grows by more than its budget, but all together grow by more than theirs.",
            "error"
        ),
    ])
}

/// What keeps the gate from passing besides sites.
fn notifications(view: &GateView<'_>) -> Vec<Value> {
    let level = if view.gate.outcome == Outcome::Pass { "note" } else { "warning" };
    let said = [words::conclusion(view.gate, view.suppressions), words::detectable(view.gate)];
    said.into_iter().map(|text| json!({ "level": level, "message": { "text": text } })).collect()
}

fn leak(view: &GateView<'_>, finding: &Finding) -> Value {
    let path = words::path(finding, view.gate, PATH, &Glyphs::UNICODE);
    let text = format!("{path}: {}", words::leak(&finding.judged, view.gate, &Glyphs::UNICODE));
    result(view, finding, ("LEAK", 0, "error"), &text)
}

fn unclear(view: &GateView<'_>, finding: &Finding) -> Option<Value> {
    let Status::Unclear(why) = finding.judged.status else { return None };
    let path = words::path(finding, view.gate, PATH, &Glyphs::UNICODE);
    let text = format!("{path}: {}", words::unclear(why, &finding.judged, view.gate));
    Some(result(view, finding, ("UNCLEAR", 1, "warning"), &text))
}

fn result(view: &GateView<'_>, finding: &Finding, rule: (&str, u32, &str), text: &str) -> Value {
    let (id, index, level) = rule;
    let frames = view.gate.frames.resolve(&finding.place.frames);
    let stack: Vec<Value> = frames.map(|frame| json!({ "location": location(view, frame) })).collect();
    let own = super::own_frame(&view.gate.frames, finding);
    let locations: Vec<Value> = own.map(|frame| location(view, frame)).into_iter().collect();
    json!({
        "ruleId": id,
        "ruleIndex": index,
        "level": level,
        "message": { "text": text },
        "locations": locations,
        "stacks": [{ "message": { "text": "where it is allocated" }, "frames": stack }],
        "partialFingerprints": { "leakscopeSite/v1": finding.key.to_string() },
        "properties": {
            "growthBytes": finding.judged.growth.estimate,
            "per": view.gate.per.as_str(),
            "budgetBytes": finding.judged.budget,
            "kind": finding.place.kind.as_str(),
        },
    })
}

fn location(view: &GateView<'_>, frame: &SiteFrame) -> Value {
    let kind = if frame.kind == FrameKind::Marker { "resource" } else { "function" };
    let logical = json!([{ "fullyQualifiedName": printable(&frame.function), "kind": kind }]);
    if frame.file.is_empty() {
        return json!({ "logicalLocations": logical });
    }
    let mut physical = json!({ "artifactLocation": { "uri": uri(&(view.source)(&frame.file)) } });
    if frame.line > 0 {
        physical["region"] = json!({ "startLine": frame.line });
    }
    json!({ "physicalLocation": physical, "logicalLocations": logical })
}

/// A path as a relative reference: what is no path character is written as `%20`.
fn uri(path: &str) -> String {
    let mut shown = String::with_capacity(path.len());
    let path = if path.starts_with('/') { format!("file://{path}") } else { path.to_owned() };
    for (at, byte) in path.bytes().enumerate() {
        let is_scheme = at < "file:".len() && path.starts_with("file:");
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'+' | b'@' => {
                shown.push(char::from(byte));
            }
            b':' if is_scheme => shown.push(':'),
            _ => shown.push_str(&format!("%{byte:02X}")),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("src/main/java/com/acme/Codec.java"), "src/main/java/com/acme/Codec.java");
        assert_eq!(uri("a b/ü:1%.c"), "a%20b/%C3%BC%3A1%25.c");
        assert_eq!(uri("/usr/src/zlib/deflate.c"), "file:///usr/src/zlib/deflate.c");
    }
}
