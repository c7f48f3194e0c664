//! From rounds to the outcome.

use std::collections::{BTreeMap, HashMap};

use crate::course::Course;
use crate::frames::FrameTable;
use crate::gate::evidence::{Evidence, evidence};
use crate::gate::judged::{Measure, judged};
use crate::gate::lost::harm;
use crate::gate::sampling;
use crate::gate::uses::Uses;
use crate::gate::{FEWEST_CHECKPOINTS, Finding, Gate, GateOptions, Harm, Judged, Outcome, Per, Reason, Round, Status};
use crate::site::{Place, SiteId};
use crate::suppression::{Conduct, Ruling, rule};
use crate::trend::Level;

/// Judges the rounds of one program.
pub fn judge_gate(rounds: &[Round], options: &GateOptions) -> Gate {
    let mut frames = FrameTable::default();
    let sites = sites(rounds, &mut frames);
    let changed = sites.iter().filter(|site| site.has_changed && !site.place.is_jvms_own).count();
    // The total is one more that could fail by chance.
    let tail = options.alpha / (changed as f64 + 1.0);
    let is_enough = !rounds.is_empty() && rounds.iter().all(|round| round.at.len() >= FEWEST_CHECKPOINTS);
    let mut uses = Uses::new(options);
    let mut findings = Vec::new();
    let mut total = Total::new(rounds);
    for site in sites.iter().filter(|_| is_enough) {
        let (finding, evidence) = finding(site, rounds, options, tail, &frames);
        uses.count(finding.ruling);
        if finding.judged.status == Status::Ok && !finding.judged.has_settled {
            total.add(&evidence);
        }
        if site.has_changed {
            findings.push(finding);
        }
    }
    let total = total.judged(options, tail);
    let sampling = sampling::resolution(rounds, tail);
    let growth = |finding: &Finding| finding.judged.growth.estimate;
    findings.sort_by(|a, b| class(a).cmp(&class(b)).then(growth(b).total_cmp(&growth(a))).then(a.site.cmp(&b.site)));
    let quiet = sites.iter().filter(|site| !site.has_changed).count();
    let mut gate = Gate {
        outcome: Outcome::Pass,
        reasons: Vec::new(),
        per: options.per,
        alpha: options.alpha,
        after_gc: options.after_gc,
        minimum_detectable: minimum_detectable(&findings, options, sampling),
        frames,
        total,
        findings,
        quiet,
        losses: losses(rounds),
        iterations: rounds.iter().map(Round::span).reduce(f64::min).unwrap_or(0.0),
        checkpoints: rounds.iter().map(|round| round.at.len()).min().unwrap_or(0),
        rounds: rounds.len(),
        warmup: rounds.iter().filter_map(|round| round.at.first().copied()).reduce(f64::max).unwrap_or(0.0),
        baseline_runs: None,
        suppressions: uses.finish(is_enough),
    };
    conclude(&mut gate, rounds, sampling > options.budgets.resolution(options.budgets.site));
    gate
}

/// One site in all rounds.
struct Site<'a> {
    id: SiteId,
    key: SiteId,
    place: Place,
    /// By round.
    courses: Vec<Option<&'a Course>>,
    has_changed: bool,
}

fn sites<'a>(rounds: &'a [Round], frames: &mut FrameTable) -> Vec<Site<'a>> {
    let mut index: HashMap<SiteId, usize> = HashMap::new();
    let mut sites: Vec<Site<'a>> = Vec::new();
    for (number, round) in rounds.iter().enumerate() {
        for course in &round.courses.courses {
            let at = *index.entry(course.id).or_insert(sites.len());
            if at == sites.len() {
                let own = course.place.frames.iter();
                let own = own.map(|id| frames.intern(round.courses.table.get(*id).clone())).collect();
                sites.push(Site {
                    id: course.id,
                    key: course.key,
                    place: Place { frames: own, ..course.place.clone() },
                    courses: vec![None; rounds.len()],
                    has_changed: false,
                });
            }
            let has_changed = course.live.iter().any(|flow| *flow != course.live[0]);
            sites[at].courses[number] = Some(course);
            sites[at].has_changed |= has_changed;
        }
    }
    sites.sort_by_key(|site| site.id);
    sites
}

impl Site<'_> {
    fn levels(&self, number: usize, round: &Round) -> Vec<Level> {
        let live = self.courses[number].map(|course| &course.live);
        let bytes = |at: usize| live.and_then(|live| live.get(at)).map_or(0.0, |flow| flow.bytes);
        round.at.iter().enumerate().map(|(at, x)| Level { at: *x, bytes: bytes(at) }).collect()
    }

    fn evidence(&self, rounds: &[Round], tail: f64) -> Vec<Evidence> {
        let one = |(number, round): (usize, &Round)| {
            let change = |first| Some(self.courses[number]?.change_since(first, &round.courses.snapshots));
            let sampled = |first| change(first).filter(|change| !change.is_exact());
            evidence(&self.levels(number, round), tail, &sampled)
        };
        rounds.iter().enumerate().filter_map(one).collect()
    }

    /// Live bytes at the first and the last checkpoint, the mean of all rounds.
    fn live_bytes(&self, rounds: &[Round]) -> [f64; 2] {
        let mean = |at: &dyn Fn(&[Level]) -> Option<f64>| {
            let all = rounds.iter().enumerate().filter_map(|(number, round)| at(&self.levels(number, round)));
            all.sum::<f64>() / rounds.len().max(1) as f64
        };
        [
            mean(&|levels| levels.first().map(|level| level.bytes)),
            mean(&|levels| levels.last().map(|level| level.bytes)),
        ]
    }
}

fn finding(
    site: &Site<'_>,
    rounds: &[Round],
    options: &GateOptions,
    tail: f64,
    frames: &FrameTable,
) -> (Finding, Vec<Evidence>) {
    let budget = options.budgets.of(frames, &site.place.frames);
    let measure = Measure { budget, resolution: options.budgets.resolution(budget), tail, span: span(rounds) };
    let evidence = site.evidence(rounds, tail);
    let judged = judged(&evidence, site.live_bytes(rounds), &measure);
    let mut judged = judged.unwrap_or_else(|| Judged::nothing(budget));
    let ruling = rule(&options.suppressions, frames, &site.place.frames, &conduct(&judged, options.per), options.today);
    judged.status = match ruling {
        Ruling::Hidden(_) => Status::Suppressed,
        _ if site.place.is_jvms_own => Status::JvmsOwn,
        _ => judged.status,
    };
    (Finding { site: site.id, key: site.key, place: site.place.clone(), judged, ruling }, evidence)
}

fn span(rounds: &[Round]) -> f64 {
    rounds.iter().map(Round::span).sum()
}

fn conduct(judged: &Judged, per: Per) -> Conduct {
    let low = judged.growth.low;
    let (per_hour, per_iteration) = match per {
        Per::Iteration => (None, Some(low)),
        Per::Minute => (Some(60.0 * low), None),
        Per::Run => (None, None),
    };
    Conduct { live_bytes: judged.live_bytes[1], per_hour, per_iteration }
}

impl Judged {
    /// Of what never changed or could not be looked at.
    fn nothing(budget: f64) -> Judged {
        Judged {
            growth: crate::estimate::Estimate::exact(0.0),
            chance: 1.0,
            budget,
            status: Status::Ok,
            minimum_detectable: budget,
            live_bytes: [0.0; 2],
            steps: Vec::new(),
            has_settled: false,
        }
    }
}

/// Everything together that is within its budget and has not only settled there, without the one-off steps of its parts.
struct Total {
    /// By round.
    levels: Vec<Vec<Level>>,
    span: f64,
}

impl Total {
    fn new(rounds: &[Round]) -> Total {
        let empty = |round: &Round| round.at.iter().map(|at| Level { at: *at, bytes: 0.0 }).collect();
        Total { levels: rounds.iter().map(empty).collect(), span: span(rounds) }
    }

    fn add(&mut self, evidence: &[Evidence]) {
        for (total, one) in self.levels.iter_mut().zip(evidence) {
            for (total, one) in total.iter_mut().zip(&one.levels) {
                total.bytes += one.bytes;
            }
        }
    }

    fn judged(&self, options: &GateOptions, tail: f64) -> Judged {
        let budget = options.budgets.total;
        let measure = Measure { budget, resolution: options.budgets.resolution(budget), tail, span: self.span };
        let evidence: Vec<Evidence> =
            self.levels.iter().filter_map(|levels| evidence(levels, tail, &|_| None)).collect();
        let mean = |which: &dyn Fn(&Vec<Level>) -> Option<&Level>| {
            let all = self.levels.iter().filter_map(|levels| which(levels).map(|level| level.bytes));
            all.sum::<f64>() / self.levels.len().max(1) as f64
        };
        let live = [mean(&|levels| levels.first()), mean(&|levels| levels.last())];
        judged(&evidence, live, &measure).unwrap_or_else(|| Judged::nothing(budget))
    }
}

/// Leaks first, then what is not clear, then the rest.
pub(super) fn class(finding: &Finding) -> u8 {
    match finding.judged.status {
        Status::Leak => 0,
        Status::Unclear(_) => 1,
        Status::Ok => 2,
        Status::Suppressed => 3,
        Status::JvmsOwn => 4,
    }
}

/// Over all sites that are judged. One that has settled does not count: a leak beside what filled is not clear.
fn minimum_detectable(findings: &[Finding], options: &GateOptions, sampling: f64) -> f64 {
    let is_judged = |judged: &Judged| match judged.status {
        Status::Ok => !judged.has_settled,
        Status::Leak | Status::Unclear(_) => true,
        Status::Suppressed | Status::JvmsOwn => false,
    };
    let judged = findings.iter().map(|finding| &finding.judged).filter(|judged| is_judged(judged));
    judged.map(|judged| judged.minimum_detectable).fold(options.budgets.site + sampling, f64::max)
}

fn losses(rounds: &[Round]) -> BTreeMap<String, u64> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for (name, lost) in rounds.iter().flat_map(|round| &round.losses) {
        let sum = all.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*lost);
    }
    all
}

fn conclude(gate: &mut Gate, rounds: &[Round], is_rarely_sampled: bool) {
    let sampled = rounds.iter().fold(0_u64, |sum, round| sum.saturating_add(round.sampled));
    let harms = harm(&gate.losses, sampled);
    let leaks = gate.leaks().count();
    let unclear = gate.findings.iter().filter(|f| matches!(f.judged.status, Status::Unclear(_))).count();
    let expired = gate.suppressions.iter().filter(|one| one.is_expired).map(|one| Reason::Expired(one.index));
    let expired: Vec<Reason> = expired.collect();
    let mut grows = Vec::new();
    let mut open = Vec::new();
    if leaks > 0 {
        grows.push(Reason::Leaks(leaks));
    }
    match gate.total.status {
        Status::Leak => grows.push(Reason::Total),
        Status::Unclear(_) => open.push(Reason::UnclearTotal),
        _ => {}
    }
    if harms.contains(&Harm::Invents) && !grows.is_empty() {
        open.extend(grows.drain(..).chain([Reason::Losses(Harm::Invents)]));
    }
    if gate.checkpoints < FEWEST_CHECKPOINTS {
        open.push(Reason::TooFewCheckpoints { have: gate.checkpoints, need: FEWEST_CHECKPOINTS });
    }
    if unclear > 0 {
        open.push(Reason::UnclearSites(unclear));
    }
    if is_rarely_sampled {
        open.push(Reason::RarelySampled);
    }
    if harms.contains(&Harm::Hides) {
        open.push(Reason::Losses(Harm::Hides));
    }
    grows.extend(expired);
    gate.outcome = match () {
        () if !grows.is_empty() => Outcome::Fail,
        () if !open.is_empty() => Outcome::Inconclusive,
        () => Outcome::Pass,
    };
    gate.reasons = grows;
    gate.reasons.append(&mut open);
}
