//! The gate of a CI job: does live memory grow with every iteration, and if not, what would have been seen?
//!
//! ```text
//! Profile* > Round               gate/round.rs       what is live at the checkpoints of one run, by culprit
//! levels > Evidence              gate/evidence.rs    one site in one round: slope, one-off steps set aside, whether it goes on
//! Evidence* > Combined           gate/combined.rs    all rounds together
//! Combined, Budgets > Judged     gate/judged.rs      leak, within the budget, or not clear
//! Judged* > Gate                 gate/judge.rs       all sites, their total, suppressions, losses; the outcome
//!
//! Profile > RunSites             gate/run_sites.rs   what is live in one run
//! RunSites*, Baseline > Gate     gate/baseline.rs    recorded runs of one build against those of another
//! ```
//!
//! Two mistakes are bounded. A program that does not leak fails with probability `alpha`, all its sites together. And one
//! that passes has been looked at closely enough: a leak of the minimum that is detectable would have been seen in 90 % of
//! runs, one of twice that nearly always. Whatever is in between is inconclusive.

mod baseline;
mod combined;
mod evidence;
mod judge;
mod judged;
mod lost;
mod options;
mod round;
mod run_sites;
mod sampling;
mod uses;

use std::collections::BTreeMap;

use crate::estimate::Estimate;
use crate::frames::FrameTable;
use crate::site::{Place, SiteId};
use crate::suppression::Ruling;

pub use baseline::{Baseline, BaselineError, BaselineSite, FEWEST_RUNS, gate_against_baseline};
pub use judge::judge_gate;
pub use lost::Harm;
pub use options::{BudgetRule, Budgets, GateOptions, Per};
pub use round::{Round, RoundBuilder};
pub use run_sites::{RunSite, RunSites, run_sites};

/// Fewest checkpoints in a round from which a growth can be judged.
pub const FEWEST_CHECKPOINTS: usize = crate::trend::FEWEST_POINTS;

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing grows by more than its budget, and what does would have been seen.
    Pass,
    /// Something grows by more than its budget, or a suppression has expired.
    Fail,
    /// Neither can be said.
    Inconclusive,
}

impl Outcome {
    /// The word used in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Inconclusive => "inconclusive",
        }
    }
}

/// The judgement of a gate.
#[derive(Debug, Clone)]
pub struct Gate {
    /// What it says.
    pub outcome: Outcome,
    /// Why it does not pass; empty if it does.
    pub reasons: Vec<Reason>,
    /// What growth is counted by.
    pub per: Per,
    /// Probability with which a program that does not leak fails.
    pub alpha: f64,
    /// Whether every checkpoint came after a full collection.
    pub after_gc: bool,
    /// The frames that the sites refer to.
    pub frames: FrameTable,
    /// Every site that is within its budget, together; those that have only settled there are left out.
    pub total: Judged,
    /// Every site that changed, leaks first, then what is not clear, then by growth.
    pub findings: Vec<Finding>,
    /// Sites whose live memory was the same at every checkpoint.
    pub quiet: usize,
    /// The smallest growth of a site that would have failed with probability 90 %, wherever it is; bytes per unit.
    pub minimum_detectable: f64,
    /// Data that the rounds did not get, by name, all rounds together.
    pub losses: BTreeMap<String, u64>,
    /// Iterations (or minutes) between the first and the last checkpoint, of the shortest round.
    pub iterations: f64,
    /// Checkpoints of the round that has fewest.
    pub checkpoints: usize,
    /// Rounds.
    pub rounds: usize,
    /// Iterations (or minutes) before the first checkpoint.
    pub warmup: f64,
    /// How many runs the baseline had, where recorded runs were compared with one: then growth is that from one build to
    /// the other, `rounds` are the runs of the candidate, and there are no iterations.
    pub baseline_runs: Option<usize>,
    /// What each suppression did, in their order; built-in ones that hid nothing are left out.
    pub suppressions: Vec<SuppressionUse>,
}

/// One site.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Names it in all rounds: lines count.
    pub site: SiteId,
    /// Names it in other builds, too.
    pub key: SiteId,
    /// What it is; the stack with most live bytes, where several share the application's line.
    pub place: Place,
    /// Its growth.
    pub judged: Judged,
    /// What the suppressions say.
    pub ruling: Ruling,
}

/// A growth, judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Bytes per unit, without one-off steps; the interval is the gate's own: each end fails with probability
    /// `alpha`, all sites together.
    pub growth: Estimate,
    /// Probability of such a growth where there is none.
    pub chance: f64,
    /// Bytes per unit that are put up with.
    pub budget: f64,
    /// What that means.
    pub status: Status,
    /// The smallest growth that would have failed here with probability 90 %.
    pub minimum_detectable: f64,
    /// Live bytes at the first and at the last checkpoint, the mean of all rounds.
    pub live_bytes: [f64; 2],
    /// Single steps that were set aside, bytes, of all rounds.
    pub steps: Vec<f64>,
    /// Whether it grew in the first half, and what is judged is the second.
    pub has_settled: bool,
}

/// What a growth means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is beyond the budget, and goes on.
    Leak,
    /// It is within the budget, as far as can be seen.
    Ok,
    /// It cannot be told.
    Unclear(Unclear),
    /// It is not judged: see the finding's ruling.
    Suppressed,
    /// It is not judged: the JVM's own threads allocated it for the JVM's own ends.
    JvmsOwn,
}

impl Status {
    /// The word used in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Leak => "leak",
            Status::Ok => "ok",
            Status::Unclear(_) => "unclear",
            Status::Suppressed => "suppressed",
            Status::JvmsOwn => "jvm",
        }
    }
}

/// Why a growth cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclear {
    /// It varies so much that a leak of the size that matters would not have been seen.
    Noisy,
    /// It grows beyond the budget, but ever less: it may be filling.
    Slowing,
    /// It grew in a few steps.
    Steps,
    /// Too few blocks of it were sampled.
    FewSamples,
}

impl Unclear {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Unclear::Noisy => "noisy",
            Unclear::Slowing => "slowing",
            Unclear::Steps => "steps",
            Unclear::FewSamples => "few-samples",
        }
    }
}

/// Why a gate does not pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// So many sites leak.
    Leaks(usize),
    /// The sites that are within their budgets grow beyond it together.
    Total,
    /// A suppression's last day is over; its index.
    Expired(usize),
    /// No round has enough checkpoints.
    TooFewCheckpoints {
        /// Of the round that has fewest.
        have: usize,
        /// What it takes.
        need: usize,
    },
    /// So many sites are not clear.
    UnclearSites(usize),
    /// The total is not clear.
    UnclearTotal,
    /// Blocks were sampled so rarely that a leak of the size that matters could have gone unseen.
    RarelySampled,
    /// Data were lost that the answer depends on.
    Losses(Harm),
}

/// What a suppression did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SuppressionUse {
    /// Which one.
    pub index: usize,
    /// Sites that it hid.
    pub hidden: usize,
    /// Sites that it would have hidden, had they kept to its limits.
    pub outgrown: usize,
    /// Whether its last day is over.
    pub is_expired: bool,
    /// Days until its last day is over, where it has one.
    pub days_left: Option<i64>,
    /// Whether it matches so much that it would hide leaks nobody has thought of.
    pub is_over_broad: bool,
    /// Whether it matched nothing at all.
    pub is_unused: bool,
}

impl Gate {
    /// Whether there was enough to look at sites at all.
    pub fn has_judged(&self) -> bool {
        self.baseline_runs.is_some() || self.checkpoints >= FEWEST_CHECKPOINTS
    }

    /// The sites that leak.
    pub fn leaks(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.judged.status == Status::Leak)
    }
}
