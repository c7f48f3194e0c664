//! What `report --json` and `diff --json` say.

use super::{Recording, Sandbox};
use serde_json::Value;
use std::path::Path;

/// An estimate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    /// Reads `{"estimate", "low", "high"}`.
    pub fn of(value: &Value) -> Self {
        let field = |name: &str| value[name].as_f64().unwrap_or_else(|| panic!("no {name} in {value}"));
        let all = Self { estimate: field("estimate"), low: field("low"), high: field("high") };
        assert!(all.low <= all.estimate && all.estimate <= all.high, "not in order: {all:?}");
        all
    }

    /// Whether the interval holds a value.
    pub fn covers(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Whether it is this and nothing else.
    pub fn is_exactly(&self, value: u64) -> bool {
        [self.estimate, self.low, self.high] == [value as f64; 3]
    }
}

impl Sandbox {
    /// `leakscope report --json` of a recording or a profile.
    pub fn report(&self, what: &Path) -> Value {
        let answer = self.command("report").arg("--json").arg(what).finish().expect_code(0);
        let report = serde_json::from_slice::<Value>(&answer.stdout).expect("the report is JSON");
        assert_eq!(report["schema"], "leakscope.report/1");
        report
    }

    /// `leakscope report --json` of a recording.
    pub fn report_of(&self, recording: &Recording) -> Value {
        self.report(recording.directory())
    }

    /// `leakscope diff --json` of two profiles.
    pub fn diff(&self, before: &Path, after: &Path) -> Value {
        let answer = self.command("diff").arg("--json").arg(before).arg(after).finish().expect_code(0);
        let diff = serde_json::from_slice::<Value>(&answer.stdout).expect("the diff is JSON");
        assert_eq!(diff["schema"], "leakscope.diff/1");
        diff
    }
}

/// The sites, largest first.
pub fn sites(report: &Value) -> &[Value] {
    report["sites"].as_array().expect("sites")
}

/// The frames of a site, leaf first.
pub fn frames(site: &Value) -> &[Value] {
    site["frames"].as_array().expect("frames")
}

/// Sites with a frame of this function.
pub fn sites_with<'r>(report: &'r Value, function: &str) -> Vec<&'r Value> {
    let has = |site: &&Value| frames(site).iter().any(|frame| frame["function"] == function);
    sites(report).iter().filter(has).collect()
}

/// The only site with a frame of this function, if there is one.
pub fn site_with<'r>(report: &'r Value, function: &str) -> Option<&'r Value> {
    match sites_with(report, function).as_slice() {
        [] => None,
        [one] => Some(one),
        many => panic!("{} sites with {function}: {many:#?}", many.len()),
    }
}

/// A site's frames in one line each, for messages.
pub fn shown(site: &Value) -> String {
    let line =
        |frame: &Value| format!("  {} {}:{} {}\n", frame["function"], frame["file"], frame["line"], frame["library"]);
    frames(site).iter().map(line).collect()
}
