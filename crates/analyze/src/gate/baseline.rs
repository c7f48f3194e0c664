//! A candidate against a baseline: independent runs of two builds, site by site.
//!
//! ```text
//! growth      mean of the candidate's runs less mean of the baseline's; a site that one of them does not have counts 0
//! spread      standard deviation from run to run, pooled; known where either has three runs or more
//! error^2     the larger of spread^2 (1/n + 1/m) and what sampling leaves open
//! budget      bytes, or a tenth of what the baseline has, whichever is more
//! ```
//! Where the spread is not known, the budget is all that stands between a run's whims and a failure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::estimate::Estimate;
use crate::frames::FrameTable;
use crate::gate::judge::class;
use crate::gate::run_sites::{RunSite, RunSites};
use crate::gate::uses::Uses;
use crate::gate::{Finding, Gate, GateOptions, Judged, Outcome, Reason, Status, Unclear};
use crate::site::SiteId;
use crate::student::{upper_quantile, upper_tail};
use crate::suppression::{Conduct, Ruling, rule};

/// Fewest runs of which it is known what they differ by.
pub const FEWEST_RUNS: usize = 3;
/// Of what the baseline has, so much more is put up with.
const SHARE: f64 = 0.1;
/// Of the baseline's bytes, so much has to be found again, or it is another program.
const SHARED: f64 = 0.1;
/// Degrees of freedom of what is no estimate.
const MANY: f64 = 1e6;
/// Probability with which the minimum that is detectable goes unseen.
const UNSEEN: f64 = 0.1;

/// What some runs of a program had live.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Baseline {
    /// The program's name, as the kernel knows it.
    pub program: String,
    /// How many runs there were.
    pub runs: usize,
    /// By key, the largest ones.
    pub sites: BTreeMap<SiteId, BaselineSite>,
    /// Live bytes of all other sites together, by run.
    pub rest_bytes: Vec<f64>,
}

/// One site of a baseline.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BaselineSite {
    /// What it is, for people.
    pub name: String,
    /// Kind of memory.
    pub kind: String,
    /// Live bytes, by run.
    pub live_bytes: Vec<f64>,
    /// Standard deviation of these by sampling; 0 where every block was recorded.
    pub error_bytes: f64,
}

/// Why there is no comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaselineError {
    /// There is no run to compare.
    NoRuns,
    /// The baseline is of a program of another name.
    AnotherProgram {
        /// Its name.
        baseline: String,
        /// The candidate's.
        candidate: String,
    },
    /// Hardly anything of the baseline is found in the candidate: it is another program.
    NothingInCommon,
}

/// Judges runs of a candidate against a baseline. Budgets are bytes of live memory.
///
/// # Errors
/// They are not of one program.
pub fn gate_against_baseline(
    baseline: &Baseline,
    candidates: &[RunSites],
    options: &GateOptions,
) -> Result<Gate, BaselineError> {
    let first = candidates.first().filter(|_| baseline.runs > 0).ok_or(BaselineError::NoRuns)?;
    if let Some(other) = candidates.iter().find(|run| run.program != baseline.program) {
        let (baseline, candidate) = (baseline.program.clone(), other.program.clone());
        return Err(BaselineError::AnotherProgram { baseline, candidate });
    }
    let sites = by_key(candidates);
    if !has_much_in_common(baseline, &sites) {
        return Err(BaselineError::NothingInCommon);
    }
    let mut frames = first.frames.clone();
    let keys: BTreeSet<SiteId> = sites.keys().chain(baseline.sites.keys()).copied().collect();
    let tail = options.alpha / (keys.len() as f64 + 1.0);
    let runs = Runs { baseline: baseline.runs, candidate: candidates.len() };
    let mut uses = Uses::new(options);
    let (mut findings, mut all) = (Vec::new(), Amount::none(&runs));
    for key in keys {
        let amount = amount(key, baseline, sites.get(&key), &runs);
        let Some(members) = sites.get(&key) else {
            // Gone: that is no growth.
            all.add(&amount);
            continue;
        };
        let finding = finding(key, members, candidates, &amount, options, tail, &mut frames);
        uses.count(finding.ruling);
        if finding.judged.status == Status::Ok {
            all.add(&amount);
        }
        findings.push(finding);
    }
    all.before.iter_mut().zip(&baseline.rest_bytes).for_each(|(sum, bytes)| *sum += bytes);
    let total = judged(&all, options.budgets.total, options.budgets.resolution, tail);
    let growth = |finding: &Finding| finding.judged.growth.estimate;
    findings.sort_by(|a, b| class(a).cmp(&class(b)).then(growth(b).total_cmp(&growth(a))));
    let judged_sites = findings.iter().filter(|f| matches!(f.judged.status, Status::Ok | Status::Unclear(_)));
    let minimum_detectable = judged_sites.map(|f| f.judged.minimum_detectable).fold(options.budgets.site, f64::max);
    let mut gate = Gate {
        outcome: Outcome::Pass,
        reasons: Vec::new(),
        per: options.per,
        alpha: options.alpha,
        after_gc: options.after_gc,
        frames,
        total,
        findings,
        quiet: 0,
        minimum_detectable,
        losses: BTreeMap::new(),
        iterations: 0.0,
        checkpoints: 0,
        rounds: candidates.len(),
        warmup: 0.0,
        baseline_runs: Some(baseline.runs),
        suppressions: uses.finish(true),
    };
    conclude(&mut gate);
    Ok(gate)
}

struct Runs {
    baseline: usize,
    candidate: usize,
}

/// The live bytes of a site (or of several) in every run.
#[derive(Debug, Clone, PartialEq)]
struct Amount {
    before: Vec<f64>,
    after: Vec<f64>,
    /// Variance of the difference of both means by sampling.
    sampling: f64,
}

impl Amount {
    fn none(runs: &Runs) -> Amount {
        Amount { before: vec![0.0; runs.baseline], after: vec![0.0; runs.candidate], sampling: 0.0 }
    }

    fn add(&mut self, other: &Amount) {
        self.before.iter_mut().zip(&other.before).for_each(|(sum, bytes)| *sum += bytes);
        self.after.iter_mut().zip(&other.after).for_each(|(sum, bytes)| *sum += bytes);
        self.sampling += other.sampling;
    }
}

/// The site in every run of the candidate that has it, by the run's index.
type Members<'a> = Vec<(usize, &'a RunSite)>;

fn by_key(candidates: &[RunSites]) -> HashMap<SiteId, Members<'_>> {
    let mut sites: HashMap<SiteId, Members<'_>> = HashMap::new();
    for (run, candidate) in candidates.iter().enumerate() {
        for site in &candidate.sites {
            sites.entry(site.key).or_default().push((run, site));
        }
    }
    sites
}

fn has_much_in_common(baseline: &Baseline, sites: &HashMap<SiteId, Members<'_>>) -> bool {
    let bytes = |site: &BaselineSite| site.live_bytes.iter().sum::<f64>();
    let all: f64 = baseline.sites.values().map(bytes).sum();
    let found = baseline.sites.iter().filter(|(key, _)| sites.contains_key(key)).map(|(_, site)| bytes(site));
    found.sum::<f64>() >= SHARED * all
}

fn amount(key: SiteId, baseline: &Baseline, members: Option<&Members<'_>>, runs: &Runs) -> Amount {
    let mut amount = Amount::none(runs);
    if let Some(site) = baseline.sites.get(&key) {
        amount.before.iter_mut().zip(&site.live_bytes).for_each(|(bytes, live)| *bytes = *live);
        amount.sampling += site.error_bytes.powi(2) / runs.baseline as f64;
    }
    for (run, site) in members.into_iter().flatten() {
        amount.after[*run] += site.bytes;
        amount.sampling += site.variance / (runs.candidate as f64).powi(2);
    }
    amount
}

fn finding(
    key: SiteId,
    members: &Members<'_>,
    candidates: &[RunSites],
    amount: &Amount,
    options: &GateOptions,
    tail: f64,
    frames: &mut FrameTable,
) -> Finding {
    // One run lends its frames; `by_key` never makes an empty list.
    let (run, site) = members[0];
    let mut place = site.place.clone();
    place.frames = place.frames.iter().map(|id| frames.intern(candidates[run].frames.get(*id).clone())).collect();
    let budget = options.budgets.of(frames, &place.frames).max(SHARE * mean(&amount.before));
    let mut judged = judged(amount, budget, options.budgets.resolution(budget), tail);
    let conduct = Conduct { live_bytes: judged.live_bytes[1], per_hour: None, per_iteration: None };
    let ruling = rule(&options.suppressions, frames, &place.frames, &conduct, options.today);
    if matches!(ruling, Ruling::Hidden(_)) {
        judged.status = Status::Suppressed;
    }
    Finding { site: place.id, key, place, judged, ruling }
}

fn judged(amount: &Amount, budget: f64, resolution: f64, tail: f64) -> Judged {
    let live_bytes = [mean(&amount.before), mean(&amount.after)];
    let estimate = live_bytes[1] - live_bytes[0];
    let (error, degrees) = error(amount);
    let reach = |tail: f64| if error > 0.0 { error * upper_quantile(tail, degrees) } else { 0.0 };
    let (half, seen) = (reach(tail), reach(tail) + reach(UNSEEN));
    let growth = Estimate { estimate, low: estimate - half, high: estimate + half };
    let status = match () {
        () if growth.low > budget => Status::Leak,
        () if growth.high <= budget || seen <= resolution => Status::Ok,
        () => Status::Unclear(Unclear::Noisy),
    };
    let chance = match () {
        () if error > 0.0 => upper_tail(estimate / error, degrees),
        () if estimate > 0.0 => 0.0,
        () => 1.0,
    };
    let minimum_detectable = budget + seen;
    Judged { growth, chance, budget, status, minimum_detectable, live_bytes, steps: Vec::new(), has_settled: false }
}

/// The standard error of the difference of both means, and its degrees of freedom.
fn error(amount: &Amount) -> (f64, f64) {
    let (n, m) = (amount.before.len() as f64, amount.after.len() as f64);
    let squares = |runs: &[f64]| runs.iter().map(|bytes| (bytes - mean(runs)).powi(2)).sum::<f64>();
    let is_known = amount.before.len().max(amount.after.len()) >= FEWEST_RUNS;
    if !is_known {
        return (amount.sampling.sqrt(), MANY);
    }
    let degrees = n + m - 2.0;
    let spread = (squares(&amount.before) + squares(&amount.after)) / degrees;
    let between = spread * (1.0 / n + 1.0 / m);
    (between.max(amount.sampling).sqrt(), degrees)
}

fn mean(runs: &[f64]) -> f64 {
    runs.iter().sum::<f64>() / runs.len().max(1) as f64
}

fn conclude(gate: &mut Gate) {
    let leaks = gate.leaks().count();
    let unclear = gate.findings.iter().filter(|f| matches!(f.judged.status, Status::Unclear(_))).count();
    let expired = gate.suppressions.iter().filter(|one| one.is_expired).map(|one| Reason::Expired(one.index));
    let mut fails: Vec<Reason> = (leaks > 0).then_some(Reason::Leaks(leaks)).into_iter().collect();
    fails.extend((gate.total.status == Status::Leak).then_some(Reason::Total));
    fails.extend(expired);
    let mut open: Vec<Reason> = (unclear > 0).then_some(Reason::UnclearSites(unclear)).into_iter().collect();
    open.extend(matches!(gate.total.status, Status::Unclear(_)).then_some(Reason::UnclearTotal));
    gate.outcome = match () {
        () if !fails.is_empty() => Outcome::Fail,
        () if !open.is_empty() => Outcome::Inconclusive,
        () => Outcome::Pass,
    };
    gate.reasons = fails;
    gate.reasons.append(&mut open);
}
