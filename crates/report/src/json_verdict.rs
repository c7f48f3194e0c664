//! `verdicts`, `suspects` and `forecast` of `leakscope.report/1`; every key is documented in docs/json.md.

use leakscope_analyze::{Analysis, Coincidence, Event, Fix, Forecast, Reason, Shape, Steps, Suspect, Trend, Verdict};
use serde::Serialize;
use serde_json::{Value, json};

use crate::json::{JsonEstimate, bytes, objects};
use crate::style::Glyphs;
use crate::verdict_words as words;

/// What it is.
#[derive(Serialize)]
pub(crate) struct JsonVerdict {
    id: &'static str,
    site: Option<String>,
    text: String,
    row: Option<String>,
    rate: Option<JsonEstimate>,
    unreclaimable: i64,
    confidence: &'static str,
    reasons: Vec<Value>,
    fix: Option<JsonFix>,
}

#[derive(Serialize)]
struct JsonFix {
    remedy: &'static str,
    what: Option<String>,
    function: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    text: String,
}

/// A place whose growth was judged.
#[derive(Serialize)]
pub(crate) struct JsonSuspect {
    site: String,
    sites: Vec<String>,
    kind: &'static str,
    verdicts: Vec<&'static str>,
    shape: &'static str,
    flat_since_ms: Option<u64>,
    rate: Option<JsonEstimate>,
    last_third: Option<JsonEstimate>,
    live_bytes: JsonEstimate,
    live_objects: JsonEstimate,
    samples: u64,
    oldest_ms: Option<u64>,
    median_age_ms: Option<u64>,
    mean_lifetime_ms: Option<u64>,
    freed: JsonFreed,
    steps: Option<Value>,
}

#[derive(Serialize)]
struct JsonFreed {
    by_app: f64,
    by_gc: f64,
    never: f64,
    frees_app: u64,
    frees_gc: u64,
}

/// Memory against its limit.
#[derive(Serialize)]
pub(crate) struct JsonForecast {
    rss_bytes: u64,
    charged_bytes: u64,
    limit_bytes: Option<u64>,
    rate: Option<JsonEstimate>,
    full_in_ms: Option<Value>,
}

/// All verdicts, the primary one first.
pub(crate) fn verdicts(analysis: &Analysis) -> Vec<JsonVerdict> {
    analysis.verdicts.iter().map(|verdict| of_verdict(analysis, verdict)).collect()
}

/// The places that have a verdict.
pub(crate) fn suspects(analysis: &Analysis) -> Vec<JsonSuspect> {
    analysis.suspects.iter().filter(|suspect| !suspect.words.is_empty()).map(of_suspect).collect()
}

/// Memory against its limit.
pub(crate) fn forecast(forecast: &Forecast) -> JsonForecast {
    let range = forecast
        .full_in_ms
        .map(|range| json!({"estimate": range.estimate_ms, "earliest": range.earliest_ms, "latest": range.latest_ms}));
    JsonForecast {
        rss_bytes: forecast.rss_bytes,
        charged_bytes: forecast.charged_bytes,
        limit_bytes: forecast.limit_bytes,
        rate: forecast.rate.as_ref().map(bytes),
        full_in_ms: range,
    }
}

fn of_verdict(analysis: &Analysis, verdict: &Verdict) -> JsonVerdict {
    JsonVerdict {
        id: verdict.id.as_str(),
        site: verdict.suspect.and_then(|at| Some(analysis.suspects.get(at)?.place.id.to_string())),
        text: words::sentence(analysis, verdict, &Glyphs::UNICODE),
        row: verdict.row.and_then(|class| serde_json::to_value(class).ok()?.as_str().map(str::to_owned)),
        rate: verdict.rate.as_ref().map(bytes),
        unreclaimable: verdict.unreclaimable.round() as i64,
        confidence: verdict.confidence.as_str(),
        reasons: verdict.reasons.iter().map(reason).collect(),
        fix: verdict.fix.as_ref().map(fix),
    }
}

fn fix(fix: &Fix) -> JsonFix {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    JsonFix {
        remedy: fix.remedy.as_str(),
        what: fix.what.clone(),
        function: fix.at.as_ref().and_then(|frame| known(&frame.function)),
        file: fix.at.as_ref().and_then(|frame| known(&frame.file)),
        line: fix.at.as_ref().map(|frame| frame.line).filter(|line| *line > 0),
        text: words::fix(fix),
    }
}

fn of_suspect(suspect: &Suspect) -> JsonSuspect {
    let (shape, flat_since_ms) = match suspect.shape {
        Shape::Unknown => ("unknown", None),
        Shape::Flat => ("flat", None),
        Shape::Growing => ("growing", None),
        Shape::Shrinking => ("shrinking", None),
        Shape::Bounded { flat_since_ms } => ("bounded", Some(flat_since_ms)),
        Shape::Startup { flat_since_ms } => ("startup", Some(flat_since_ms)),
    };
    let rate = |of: fn(&Trend) -> &leakscope_analyze::Estimate| suspect.trend.as_ref().map(|trend| bytes(of(trend)));
    let thousandths = |part: f64| (part * 1000.0).round() / 1000.0;
    JsonSuspect {
        site: suspect.place.id.to_string(),
        sites: suspect.sites.iter().map(ToString::to_string).collect(),
        kind: suspect.place.kind.as_str(),
        verdicts: suspect.words.iter().map(|word| word.as_str()).collect(),
        shape,
        flat_since_ms,
        rate: rate(|trend| &trend.rate),
        last_third: rate(|trend| &trend.last_third),
        live_bytes: bytes(&suspect.live_bytes),
        live_objects: objects(&suspect.live_objects),
        samples: suspect.samples,
        oldest_ms: suspect.ages.oldest_ms,
        median_age_ms: suspect.ages.median_ms,
        mean_lifetime_ms: suspect.ages.mean_lifetime_ms,
        freed: JsonFreed {
            by_app: thousandths(suspect.freed.by_app),
            by_gc: thousandths(suspect.freed.by_gc),
            never: thousandths(suspect.freed.never),
            frees_app: suspect.freed.frees_app,
            frees_gc: suspect.freed.frees_gc,
        },
        steps: suspect.steps.as_ref().map(steps),
    }
}

fn steps(steps: &Steps) -> Value {
    json!({
        "at_ms": steps.at_ms,
        "size": bytes(&steps.size),
        "spread": (steps.spread * 1000.0).round() / 1000.0,
        "share": (steps.share * 1000.0).round() / 1000.0,
        "period_ms": steps.period_ms,
        "coincides": steps.coincides.iter().map(coincidence).collect::<Vec<_>>(),
    })
}

fn coincidence(coincidence: &Coincidence) -> Value {
    let (with, mark) = match &coincidence.with {
        Event::Mark(text) => ("mark", Some(text)),
        Event::ThreadBurst => ("thread-burst", None),
        Event::Gc => ("gc", None),
        Event::FullGc => ("full-gc", None),
        Event::EveryHour => ("every-hour", None),
    };
    json!({"with": with, "mark": mark, "hits": coincidence.hits, "steps": coincidence.steps})
}

/// A reason's name, its sentence, and its figures where they are no part of the verdict.
fn reason(reason: &Reason) -> Value {
    let id = match reason {
        Reason::Grows { .. } => "grows",
        Reason::BeganLate { .. } => "began-late",
        Reason::SurvivesFullGcs { .. } => "survives-full-gcs",
        Reason::NoFullGc => "no-full-gc",
        Reason::NeverFreed { .. } => "never-freed",
        Reason::FreedBy { .. } => "freed-by",
        Reason::MayBeFilling => "may-be-filling",
        Reason::FallsOnlyAtGc { .. } => "falls-only-at-gc",
        Reason::Holds { .. } => "holds",
        Reason::NeverTouched => "never-touched",
        Reason::Steps(_) => "steps",
        Reason::FlatSince { .. } => "flat-since",
        Reason::MoreThreads { .. } => "more-threads",
        Reason::TrackedFlat { .. } => "tracked-flat",
        Reason::TrackedUnclear { .. } => "tracked-unclear",
        Reason::MostlyAt { .. } => "mostly-at",
        Reason::RowGrows { .. } => "row-grows",
        Reason::ResidentGrows { .. } => "resident-grows",
        Reason::TooFewSnapshots { .. } => "too-few-snapshots",
        Reason::MissedFrees { .. } => "missed-frees",
    };
    json!({"id": id, "text": words::reason(reason, &Glyphs::UNICODE)})
}
