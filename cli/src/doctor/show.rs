//! Findings as people and programs read them. The JSON, `leakscope.doctor/1`, is documented in docs/json.md.

use super::{Diagnosis, Finding, Severity, Subject};
use serde::Serialize;

/// As text: a line for each finding, and what to do below those that need it.
pub fn text(diagnosis: &Diagnosis) -> String {
    let mut text = format!("leakscope doctor: {}\n", subject(&diagnosis.subject));
    for finding in &diagnosis.findings {
        text.push_str(&format!("  {:<4}  {}\n", finding.severity.word(), printable(&finding.sentence)));
        if let Some(advice) = &finding.advice {
            text.push_str(&format!("        -> {}\n", printable(advice)));
        }
    }
    text.push_str(&format!("{}\n", verdict(diagnosis)));
    text
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Machine => "this machine".to_owned(),
        Subject::Command(command) => printable(&command.join(" ")),
        Subject::Process(pid, exe) => format!("process {pid} ({})", printable(&exe.to_string_lossy())),
    }
}

/// The last line: whether it records, and what to type next.
fn verdict(diagnosis: &Diagnosis) -> String {
    let failures = diagnosis.findings.iter().filter(|finding| finding.severity == Severity::Fail).count();
    let warnings = diagnosis.findings.iter().filter(|finding| finding.severity == Severity::Warn).count();
    let count = match warnings {
        0 => String::new(),
        1 => " \u{b7} 1 warning".to_owned(),
        more => format!(" \u{b7} {more} warnings"),
    };
    let next = |command: &str| format!("\nnext: {command}");
    match (&diagnosis.subject, failures) {
        (Subject::Machine, 0) => format!("programs can be recorded here{count}{}", next("leakscope doctor -- COMMAND")),
        (Subject::Machine, _) => format!("nothing can be recorded here{count}"),
        (Subject::Command(command), 0) => {
            format!(
                "it would be recorded{count}{}",
                next(&format!("leakscope run -- {}", printable(&command.join(" "))))
            )
        }
        (Subject::Command(_), _) => format!("it would not be recorded, or not its malloc{count}"),
        (Subject::Process(pid, _), 0) => {
            format!("it is being recorded{count}{}", next(&format!("leakscope snapshot {pid}")))
        }
        (Subject::Process(..), _) => format!("it is not being recorded, or not its malloc{count}"),
    }
}

/// Without what could steer a terminal: names come from elsewhere.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[derive(Serialize)]
struct JsonDiagnosis<'a> {
    schema: &'static str,
    subject: JsonSubject<'a>,
    records: bool,
    findings: Vec<JsonFinding<'a>>,
}

#[derive(Serialize)]
struct JsonSubject<'a> {
    kind: &'static str,
    pid: Option<u32>,
    command: Option<&'a [String]>,
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    id: &'static str,
    severity: &'static str,
    text: &'a str,
    advice: Option<&'a str>,
}

impl<'a> JsonFinding<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            id: finding.id,
            severity: finding.severity.word(),
            text: &finding.sentence,
            advice: finding.advice.as_deref(),
        }
    }
}

/// As JSON, one line and a line break.
pub fn json(diagnosis: &Diagnosis) -> String {
    let subject = match &diagnosis.subject {
        Subject::Machine => JsonSubject { kind: "machine", pid: None, command: None },
        Subject::Command(command) => JsonSubject { kind: "command", pid: None, command: Some(command) },
        Subject::Process(pid, _) => JsonSubject { kind: "process", pid: Some(*pid), command: None },
    };
    let document = JsonDiagnosis {
        schema: "leakscope.doctor/1",
        subject,
        records: diagnosis.records(),
        findings: diagnosis.findings.iter().map(JsonFinding::of).collect(),
    };
    // Neither maps nor failing writers: this is no error.
    let mut text = serde_json::to_string(&document).unwrap_or_default();
    text.push('\n');
    text
}
