//! What a gate is told: budgets, suppressions, how sure it has to be.

use crate::frames::{FrameTable, SiteFrameId};
use crate::suppression::{GrowthLimit, Pattern, Suppression, built_in, class_loading};

/// What growth is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Per {
    /// Iterations of the program under test.
    #[default]
    Iteration,
    /// Minutes.
    Minute,
    /// Nothing: a run of one build against a run of another.
    Run,
}

impl Per {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Per::Iteration => "iteration",
            Per::Minute => "minute",
            Per::Run => "run",
        }
    }
}

/// What a gate is told.
#[derive(Debug, Clone, PartialEq)]
pub struct GateOptions {
    /// What growth is counted by: what the checkpoints were given as.
    pub per: Per,
    /// What is put up with.
    pub budgets: Budgets,
    /// Probability with which a program that does not leak fails, all its sites together.
    pub alpha: f64,
    /// What is not judged: those of the user, and what is built in.
    pub suppressions: Vec<Suppression>,
    /// Today, days since 1970-01-01.
    pub today: i64,
    /// Whether every checkpoint came after a full collection.
    pub after_gc: bool,
}

impl GateOptions {
    /// Nothing but the defaults.
    pub fn new(per: Per, today: i64) -> GateOptions {
        // A class loader that stays takes 2.8 KiB of malloc at least (JDK 11 to 25); what is loaded late goes below that.
        let classes = match per {
            Per::Iteration | Per::Run => GrowthLimit::PerIteration(TOTAL_PER_ITERATION),
            Per::Minute => GrowthLimit::PerHour(60.0 * TOTAL_PER_MINUTE),
        };
        let suppressions = [built_in(), class_loading(classes)].concat();
        GateOptions { per, budgets: Budgets::new(per), alpha: 0.001, suppressions, today, after_gc: false }
    }
}

/// Growth that is put up with, bytes per iteration, per minute, or from a baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Budgets {
    /// Of each site.
    pub site: f64,
    /// Of everything together that is no leak by itself.
    pub total: f64,
    /// What must not go unseen: where chance could hide so much, the gate is inconclusive. A larger budget stands for it.
    pub resolution: f64,
    /// Of sites that match a pattern; the first one that does counts.
    pub rules: Vec<BudgetRule>,
}

/// The budget of some sites.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetRule {
    /// Which ones: any of their frames matches.
    pub pattern: Pattern,
    /// The pattern as it was written.
    pub text: String,
    /// Bytes per unit.
    pub growth: f64,
}

/// Bytes an iteration that a site may grow by unless told otherwise: the smallest block of glibc is 16.
const SITE_PER_ITERATION: f64 = 16.0;
/// The same of everything together, and what must not go unseen.
const TOTAL_PER_ITERATION: f64 = 1024.0;
/// Bytes a minute, the same two.
const SITE_PER_MINUTE: f64 = 4096.0;
const TOTAL_PER_MINUTE: f64 = 262_144.0;
/// Bytes from one build to the next, the same two.
const SITE_PER_RUN: f64 = 65_536.0;
const TOTAL_PER_RUN: f64 = 1_048_576.0;

impl Budgets {
    /// The defaults: 16 bytes an iteration a site and 1 KiB together; 4 KiB and 256 KiB a minute; 64 KiB and 1 MiB from a
    /// baseline.
    pub fn new(per: Per) -> Budgets {
        let (site, total) = match per {
            Per::Iteration => (SITE_PER_ITERATION, TOTAL_PER_ITERATION),
            Per::Minute => (SITE_PER_MINUTE, TOTAL_PER_MINUTE),
            Per::Run => (SITE_PER_RUN, TOTAL_PER_RUN),
        };
        Budgets { site, total, resolution: total, rules: Vec::new() }
    }

    /// The budget of a site with these frames.
    pub(crate) fn of(&self, table: &FrameTable, frames: &[SiteFrameId]) -> f64 {
        let rule = self.rules.iter().find(|rule| rule.pattern.is_in_any(table, frames));
        rule.map_or(self.site, |rule| rule.growth)
    }

    /// What must not go unseen where this budget holds.
    pub(crate) fn resolution(&self, budget: f64) -> f64 {
        self.resolution.max(budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{FrameKind, SiteFrame};
    use crate::suppression::{Conduct, Ruling, rule};

    #[test]
    fn class_loading_is_put_up_with_to_a_degree_whatever_it_is_counted_by() {
        let mut table = FrameTable::default();
        let frame = table.intern(SiteFrame {
            kind: FrameKind::Native,
            function: "JVM_DefineClassWithSource".into(),
            file: String::new(),
            line: 0,
            library: "libjvm.so".into(),
            inlined: false,
        });
        let conduct = |growth| Conduct { live_bytes: 1e6, per_hour: None, per_iteration: Some(growth) };
        let by_time = |growth| Conduct { per_hour: Some(60.0 * growth), per_iteration: None, ..conduct(growth) };
        for (per, few, many) in
            [(Per::Iteration, conduct(900.0), conduct(2800.0)), (Per::Minute, by_time(2e5), by_time(3e5))]
        {
            let options = GateOptions::new(per, 0);
            let ask = |conduct| rule(&options.suppressions, &table, &[frame], &conduct, 0);
            assert!(matches!(ask(few), Ruling::Hidden(_)) && matches!(ask(many), Ruling::Outgrown(_)), "{per:?}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let mut table = FrameTable::default();
        let frame = table.intern(SiteFrame {
            kind: FrameKind::Java,
            function: "com.acme.Cache.fill".into(),
            file: String::new(),
            line: 0,
            library: String::new(),
            inlined: false,
        });
        let rule = |text: &str, growth| BudgetRule { pattern: Pattern::new(text), text: text.to_owned(), growth };
        let mut budgets = Budgets::new(Per::Iteration);
        assert_eq!(budgets.of(&table, &[frame]), 16.0);
        budgets.rules = vec![rule("com.other", 1.0), rule("acme.Cache", 2.0), rule("acme", 3.0)];
        assert_eq!(budgets.of(&table, &[frame]), 2.0);
        assert_eq!(budgets.of(&table, &[]), 16.0);
        assert_eq!((budgets.resolution(2.0), budgets.resolution(5000.0)), (1024.0, 5000.0));
    }
}
