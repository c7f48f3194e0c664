//! What each suppression did.

use crate::gate::{GateOptions, SuppressionUse};
use crate::suppression::{Ruling, Suppression};

/// Counts what each suppression does.
pub(super) struct Uses {
    uses: Vec<SuppressionUse>,
    built_in: Vec<bool>,
}

impl Uses {
    pub(super) fn new(options: &GateOptions) -> Uses {
        let one = |(index, suppression): (usize, &Suppression)| SuppressionUse {
            index,
            hidden: 0,
            outgrown: 0,
            is_expired: suppression.is_expired(options.today),
            days_left: suppression.until_day.map(|last| last - options.today),
            is_over_broad: suppression.is_over_broad(),
            is_unused: true,
        };
        Uses {
            uses: options.suppressions.iter().enumerate().map(one).collect(),
            built_in: options.suppressions.iter().map(|suppression| suppression.line.is_none()).collect(),
        }
    }

    pub(super) fn count(&mut self, ruling: Ruling) {
        let (index, hidden, outgrown) = match ruling {
            Ruling::None => return,
            Ruling::Hidden(index) => (index, 1, 0),
            Ruling::Outgrown(index) => (index, 0, 1),
            Ruling::Expired(index) => (index, 0, 0),
        };
        let one = &mut self.uses[index];
        one.hidden += hidden;
        one.outgrown += outgrown;
        one.is_unused = false;
    }

    /// `is_enough`: sites were looked at, so that what matched none is unused.
    pub(super) fn finish(self, is_enough: bool) -> Vec<SuppressionUse> {
        let is_told = |one: &SuppressionUse| !self.built_in[one.index] || one.hidden + one.outgrown > 0;
        let told = self.uses.iter().copied().filter(is_told);
        told.map(|one| SuppressionUse { is_unused: one.is_unused && is_enough, ..one }).collect()
    }
}
