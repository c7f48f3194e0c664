//! Sentences about a judgement.

use leakscope_analyze::gate::{Finding, Gate, Harm, Judged, Outcome, Per, Reason, Status, SuppressionUse, Unclear};
use leakscope_analyze::suppression::{Ruling, Suppression};

use crate::path::CallPath;
use crate::printable::printable;
use crate::style::Glyphs;
use crate::units::{bytes, duration, rate_estimate, thousands};

/// `/iter`, `/min`; nothing where runs are compared.
fn per(per: Per) -> &'static str {
    match per {
        Per::Iteration => "/iter",
        Per::Minute => "/min",
        Per::Run => "",
    }
}

/// `268 KiB/iter ±0.40`.
pub(super) fn growth(judged: &Judged, gate: &Gate, glyphs: &Glyphs) -> String {
    rate_estimate(&judged.growth, per(gate.per), glyphs)
}

/// `16 B/iter`.
pub(super) fn rate(bytes_per: f64, gate: &Gate) -> String {
    format!("{}{}", bytes(bytes_per), per(gate.per))
}

/// `9.10 MiB → 62.3 MiB`.
pub(super) fn from_to(judged: &Judged, glyphs: &Glyphs) -> String {
    let [before, after] = judged.live_bytes;
    format!("{} {} {}", bytes(before), glyphs.arrow, bytes(after))
}

/// The reader's frame, and the way to the allocation.
pub(super) fn path(finding: &Finding, gate: &Gate, width: usize, glyphs: &Glyphs) -> String {
    CallPath::of(&gate.frames, &finding.place).fit(width, glyphs)
}

/// What was judged: `1 round of 200 iterations after 20 of warm-up`, `11 checkpoints`, ...
pub(super) fn what_was_judged(gate: &Gate) -> Vec<String> {
    let when = if gate.after_gc { "tracked live bytes after full collections" } else { "tracked live bytes" };
    if let Some(runs) = gate.baseline_runs {
        let candidate = plural(gate.rounds as f64, "run", "runs");
        let baseline = plural(runs as f64, "run", "runs");
        return vec![format!("{candidate} against a baseline of {baseline}"), when.to_owned()];
    }
    let rounds = plural(gate.rounds as f64, "round", "rounds");
    let (span, warmup) = match gate.per {
        Per::Minute => (minutes(gate.iterations), minutes(gate.warmup)),
        Per::Iteration | Per::Run => (plural(gate.iterations, "iteration", "iterations"), thousands(gate.warmup)),
    };
    vec![
        format!("{rounds} of {span} after {warmup} of warm-up"),
        plural(gate.checkpoints as f64, "checkpoint", "checkpoints"),
        when.to_owned(),
    ]
}

/// `48 s`, `5 m 0 s`.
fn minutes(minutes: f64) -> String {
    duration((minutes * 60_000.0).round() as u64)
}

/// `more iterations`, or what a run is made longer by.
fn more(gate: &Gate) -> &'static str {
    match gate.per {
        Per::Iteration => "more iterations",
        Per::Minute => "a longer run",
        Per::Run => "more runs",
    }
}

/// How what leaks grows.
pub(super) fn how_it_grows(per: Per) -> &'static str {
    match per {
        Per::Iteration => "with every iteration",
        Per::Minute => "from minute to minute",
        Per::Run => "since the baseline",
    }
}

/// `1 leak`, `2 leaks`.
pub(super) fn plural(n: f64, one: &str, many: &str) -> String {
    if n == 1.0 { format!("1 {one}") } else { format!("{} {many}", thousands(n)) }
}

/// The outcome as it is shouted.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "PASS",
        Outcome::Fail => "FAIL",
        Outcome::Inconclusive => "INCONCLUSIVE",
    }
}

/// Why the gate does not pass, a sentence each.
pub(super) fn reasons(gate: &Gate, suppressions: &[Suppression]) -> Vec<String> {
    gate.reasons.iter().map(|one| reason(one, gate, suppressions)).collect()
}

/// One reason.
pub(super) fn reason(reason: &Reason, gate: &Gate, suppressions: &[Suppression]) -> String {
    let is_run = gate.baseline_runs.is_some();
    match reason {
        Reason::Leaks(1) if is_run => "1 site has grown beyond its budget since the baseline".to_owned(),
        Reason::Leaks(n) if is_run => format!("{n} sites have grown beyond their budgets since the baseline"),
        Reason::Total if is_run => "all sites together have grown beyond their budget since the baseline".to_owned(),
        Reason::UnclearSites(1) if is_run => "of 1 site it cannot be told whether it has grown".to_owned(),
        Reason::UnclearSites(n) if is_run => format!("of {n} sites it cannot be told whether they have grown"),
        Reason::Leaks(1) => "1 site grows beyond its budget, and goes on".to_owned(),
        Reason::Leaks(n) => format!("{n} sites grow beyond their budgets, and go on"),
        Reason::Total => "no site grows beyond its budget, but all together do".to_owned(),
        Reason::Expired(at) => {
            let one = suppressions.get(*at).map(suppression).unwrap_or_default();
            format!("the last day of a suppression is over: {one}; renew it or remove it")
        }
        Reason::TooFewCheckpoints { have, need } => {
            format!("there were only {have} checkpoints, it takes {need}: {}", more(gate))
        }
        Reason::UnclearSites(1) => "of 1 site it cannot be told whether it leaks".to_owned(),
        Reason::UnclearSites(n) => format!("of {n} sites it cannot be told whether they leak"),
        Reason::RarelySampled => {
            "blocks were sampled so rarely that a leak could have gone unseen: record every one (--sample 1)".to_owned()
        }
        Reason::UnclearTotal => "all sites together vary too much".to_owned(),
        Reason::Losses(harm) => lost(*harm, gate),
    }
}

fn lost(harm: Harm, gate: &Gate) -> String {
    let matters = |(name, _): &(&String, &u64)| harm.losses().contains(&name.as_str());
    let lost = crate::loss_words::losses(gate.losses.iter().filter(matters)).join("; ");
    match harm {
        Harm::Hides => format!("data were lost that could hide a leak ({lost})"),
        Harm::Invents => format!("data were lost without which a growth may be none ({lost})"),
    }
}

/// Why a site is not clear, and what to do.
pub(super) fn unclear(why: Unclear, judged: &Judged, gate: &Gate) -> String {
    match why {
        Unclear::Noisy if gate.baseline_runs.is_some() => format!(
            "varies too much from run to run: growth below {} would not have been seen; more runs",
            rate(judged.minimum_detectable, gate)
        ),
        Unclear::Noisy => format!(
            "varies too much: a leak below {} would not have been seen; {}, or more rounds",
            rate(judged.minimum_detectable, gate),
            more(gate)
        ),
        Unclear::Slowing => "grows beyond its budget, but ever less: a longer warm-up".to_owned(),
        Unclear::Steps => format!("grew in a few large steps: {}", more(gate)),
        Unclear::FewSamples => "too few blocks were sampled: record every allocation (--sample 1)".to_owned(),
    }
}

/// What the ruling adds to a site that is judged all the same.
pub(super) fn ruling(ruling: Ruling, suppressions: &[Suppression]) -> Option<String> {
    let one = |at: usize| suppressions.get(at).map(suppression).unwrap_or_default();
    match ruling {
        Ruling::None | Ruling::Hidden(_) => None,
        Ruling::Outgrown(at) => Some(format!("it has outgrown its suppression: {}", one(at))),
        Ruling::Expired(at) => Some(format!("the last day of its suppression is over: {}", one(at))),
    }
}

/// `line 3, leak:com.acme.* (bounded cache)`.
pub(super) fn suppression(one: &Suppression) -> String {
    let line = one.line.map_or("built in".to_owned(), |line| format!("line {line}"));
    let reason = if one.reason.is_empty() || one.line.is_none() {
        String::new()
    } else {
        format!(" ({})", printable(&one.reason))
    };
    format!("{line}, leak:{}{reason}", printable(&one.text))
}

/// What is odd about a suppression, a sentence each.
pub(super) fn odd(one: &SuppressionUse, suppressions: &[Suppression]) -> Vec<String> {
    let name = suppressions.get(one.index).map(suppression).unwrap_or_default();
    let mut all = Vec::new();
    if one.is_unused {
        all.push(format!("unused: {name}"));
    }
    if one.is_over_broad {
        all.push(format!("matches nearly everything, and would hide any leak: {name}"));
    }
    if let Some(days) = one.days_left.filter(|days| (0..=LAST_DAYS).contains(days)) {
        all.push(format!("expires in {}: {name}", plural(days as f64, "day", "days")));
    }
    all
}

/// From so many days on it is said that a suppression expires.
const LAST_DAYS: i64 = 14;

/// Steps from which on they are worth a word, bytes.
const LEAST_STEP: f64 = 64.0 * 1024.0;

/// Whether it was let off with a step.
pub(super) fn has_stepped(judged: &Judged) -> bool {
    !judged.has_settled && judged.steps.iter().sum::<f64>() >= LEAST_STEP
}

/// What growth would have been seen, and at how many sites it would not: those that were let off with a step, or as filled.
pub(super) fn detectable(gate: &Gate) -> String {
    let what = if gate.baseline_runs.is_some() { "growth" } else { "a leak" };
    let ok = gate.findings.iter().map(|finding| &finding.judged).filter(|judged| judged.status == Status::Ok);
    let excused = ok.filter(|judged| judged.has_settled || has_stepped(judged)).count();
    let but = match excused {
        0 => String::new(),
        n => format!(", but for {} that grew in a step or ever less", plural(n as f64, "site", "sites")),
    };
    format!("{what} of more than {} would have been seen in 9 of 10 runs{but}", rate(gate.minimum_detectable, gate))
}

/// `FAIL: 1 site grows beyond its budget, and goes on`.
pub(super) fn conclusion(gate: &Gate, suppressions: &[Suppression]) -> String {
    let reasons = reasons(gate, suppressions);
    let why = match (reasons.is_empty(), gate.baseline_runs) {
        (true, None) => "nothing grows beyond its budget".to_owned(),
        (true, Some(_)) => "nothing has grown beyond its budget since the baseline".to_owned(),
        (false, _) => reasons.join("; "),
    };
    format!("{}: {why}", outcome(gate.outcome))
}

/// A leak in a sentence: `live memory grows by 268 KiB/iter ±0.40 (budget 16 B/iter), 9.10 MiB → 62.3 MiB`.
pub(super) fn leak(judged: &Judged, gate: &Gate, glyphs: &Glyphs) -> String {
    if gate.baseline_runs.is_some() {
        let (growth, budget) = (growth(judged, gate, glyphs), rate(judged.budget, gate));
        return format!("live memory has grown by {growth} (budget {budget}), {}", from_to(judged, glyphs));
    }
    let survives = if gate.after_gc { ", and survives full collections" } else { "" };
    format!(
        "live memory grows by {} (budget {}), {}{survives}",
        growth(judged, gate, glyphs),
        rate(judged.budget, gate),
        from_to(judged, glyphs)
    )
}

/// How many findings are hidden by the reader's own suppressions, and by built-in ones.
pub(super) fn hidden(gate: &Gate, suppressions: &[Suppression]) -> [usize; 2] {
    let is_built_in = |ruling| match ruling {
        Ruling::Hidden(at) => suppressions.get(at).is_some_and(|one| one.line.is_none()),
        _ => false,
    };
    let built_in =
        gate.findings.iter().filter(|f| f.judged.status == Status::Suppressed && is_built_in(f.ruling)).count();
    [how_many(gate, Status::Suppressed) - built_in, built_in]
}

/// How many findings have a status.
pub(super) fn how_many(gate: &Gate, status: Status) -> usize {
    gate.findings.iter().filter(|finding| finding.judged.status == status).count()
}
