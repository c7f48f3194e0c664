//! The JSON of `check`, schema `leakscope.check/1`; every key is documented in docs/json.md.

use std::collections::BTreeMap;

use leakscope_analyze::gate::{Finding, Gate, Judged, Reason, Status, SuppressionUse};
use leakscope_analyze::suppression::{Ruling, Suppression};
use serde::Serialize;

use super::{GateView, words};
use crate::json::{JsonEstimate, JsonFrame, frames, line, objects};

/// `leakscope.check/1`, one line and a line break.
pub fn gate_json(view: &GateView<'_>) -> String {
    let gate = view.gate;
    line(&JsonGate {
        schema: "leakscope.check/1",
        command: view.command,
        outcome: gate.outcome.as_str(),
        reasons: gate.reasons.iter().map(|one| reason(one, view)).collect(),
        per: gate.per.as_str(),
        alpha: gate.alpha,
        after_gc: gate.after_gc,
        rounds: gate.rounds,
        checkpoints: gate.checkpoints,
        iterations: gate.iterations,
        warmup: gate.warmup,
        baseline_runs: gate.baseline_runs,
        minimum_detectable: round(gate.minimum_detectable),
        total: judged(&gate.total),
        sites: gate.findings.iter().map(|finding| site(finding, view)).collect(),
        quiet_sites: gate.quiet,
        losses: &gate.losses,
        suppressions: gate.suppressions.iter().map(|one| suppression(one, view.suppressions)).collect(),
    })
}

#[derive(Serialize)]
struct JsonGate<'a> {
    schema: &'static str,
    command: &'a str,
    outcome: &'static str,
    reasons: Vec<JsonReason>,
    per: &'static str,
    alpha: f64,
    after_gc: bool,
    rounds: usize,
    checkpoints: usize,
    iterations: f64,
    warmup: f64,
    baseline_runs: Option<usize>,
    minimum_detectable: f64,
    total: JsonJudged,
    sites: Vec<JsonSite<'a>>,
    quiet_sites: usize,
    losses: &'a BTreeMap<String, u64>,
    suppressions: Vec<JsonSuppression<'a>>,
}

#[derive(Serialize)]
struct JsonReason {
    id: &'static str,
    text: String,
}

#[derive(Serialize)]
struct JsonJudged {
    status: &'static str,
    why: Option<&'static str>,
    growth: JsonEstimate,
    chance: f64,
    budget: f64,
    minimum_detectable: f64,
    live_bytes_before: i64,
    live_bytes_after: i64,
    steps: Vec<i64>,
    settled: bool,
}

#[derive(Serialize)]
struct JsonSite<'a> {
    id: String,
    key: String,
    kind: &'static str,
    #[serde(flatten)]
    judged: JsonJudged,
    suppression: Option<JsonRuling>,
    application_frame: Option<usize>,
    frames: Vec<JsonFrame<'a>>,
}

#[derive(Serialize)]
struct JsonRuling {
    ruling: &'static str,
    index: usize,
}

#[derive(Serialize)]
struct JsonSuppression<'a> {
    index: usize,
    line: Option<u32>,
    pattern: &'a str,
    reason: &'a str,
    hidden: usize,
    outgrown: usize,
    expired: bool,
    days_left: Option<i64>,
    over_broad: bool,
    unused: bool,
}

fn reason(reason: &Reason, view: &GateView<'_>) -> JsonReason {
    let id = match reason {
        Reason::Leaks(_) => "leaks",
        Reason::Total => "total",
        Reason::Expired(_) => "expired-suppression",
        Reason::TooFewCheckpoints { .. } => "too-few-checkpoints",
        Reason::UnclearSites(_) => "unclear-sites",
        Reason::UnclearTotal => "unclear-total",
        Reason::RarelySampled => "rarely-sampled",
        Reason::Losses(_) => "losses",
    };
    JsonReason { id, text: words::reason(reason, view.gate, view.suppressions) }
}

fn judged(judged: &Judged) -> JsonJudged {
    let why = match judged.status {
        Status::Unclear(why) => Some(why.as_str()),
        _ => None,
    };
    let whole = |value: f64| value.round() as i64;
    JsonJudged {
        status: judged.status.as_str(),
        why,
        growth: objects(&judged.growth),
        chance: judged.chance,
        budget: judged.budget,
        minimum_detectable: round(judged.minimum_detectable),
        live_bytes_before: whole(judged.live_bytes[0]),
        live_bytes_after: whole(judged.live_bytes[1]),
        steps: judged.steps.iter().copied().map(whole).collect(),
        settled: judged.has_settled,
    }
}

fn site<'a>(finding: &'a Finding, view: &GateView<'a>) -> JsonSite<'a> {
    let gate: &Gate = view.gate;
    let ruling = match finding.ruling {
        Ruling::None => None,
        Ruling::Hidden(index) => Some(JsonRuling { ruling: "hidden", index }),
        Ruling::Outgrown(index) => Some(JsonRuling { ruling: "outgrown", index }),
        Ruling::Expired(index) => Some(JsonRuling { ruling: "expired", index }),
    };
    JsonSite {
        id: finding.site.to_string(),
        key: finding.key.to_string(),
        kind: finding.place.kind.as_str(),
        judged: judged(&finding.judged),
        suppression: ruling,
        application_frame: finding.place.application,
        frames: frames(&gate.frames, &finding.place),
    }
}

fn suppression<'a>(one: &SuppressionUse, all: &'a [Suppression]) -> JsonSuppression<'a> {
    let written = all.get(one.index);
    JsonSuppression {
        index: one.index,
        line: written.and_then(|written| written.line),
        pattern: written.map_or("", |written| written.text.as_str()),
        reason: written.map_or("", |written| written.reason.as_str()),
        hidden: one.hidden,
        outgrown: one.outgrown,
        expired: one.is_expired,
        days_left: one.days_left,
        over_broad: one.is_over_broad,
        unused: one.is_unused,
    }
}

/// Three decimals.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
