//! The words by which a sample can be filtered: who frees it, how old it is.

use crate::model::Totals;

/// Who frees the blocks of a stack, judged by its sampled frees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FreedBy {
    /// No free was seen.
    Never,
    /// Application threads, at least nine times in ten.
    App,
    /// The JVM's reference-handling threads, at least nine times in ten.
    Gc,
    /// Both.
    Mixed,
}

impl FreedBy {
    /// Judges a stack.
    pub fn of(totals: &Totals) -> Self {
        let (app, gc) = (u128::from(totals.frees_app), u128::from(totals.frees_gc));
        let most = |part: u128| part * 10 >= (app + gc) * 9;
        match () {
            () if app + gc == 0 => FreedBy::Never,
            () if most(gc) => FreedBy::Gc,
            () if most(app) => FreedBy::App,
            () => FreedBy::Mixed,
        }
    }

    /// The value of the label `freed_by`.
    pub fn as_str(self) -> &'static str {
        match self {
            FreedBy::Never => "never",
            FreedBy::App => "app",
            FreedBy::Gc => "gc",
            FreedBy::Mixed => "mixed",
        }
    }
}

/// How long ago the oldest block of a row was born; few classes on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Age {
    /// Less than a minute.
    Seconds,
    /// One to ten minutes.
    Minutes,
    /// Ten minutes to an hour.
    TensOfMinutes,
    /// An hour or more.
    Hours,
}

impl Age {
    /// The class of an age in milliseconds.
    pub fn of_ms(age_ms: u64) -> Self {
        match age_ms {
            0..60_000 => Age::Seconds,
            60_000..600_000 => Age::Minutes,
            600_000..3_600_000 => Age::TensOfMinutes,
            3_600_000.. => Age::Hours,
        }
    }

    /// The value of the label `age`.
    pub fn as_str(self) -> &'static str {
        match self {
            Age::Seconds => "<1m",
            Age::Minutes => "1m-10m",
            Age::TensOfMinutes => "10m-1h",
            Age::Hours => ">1h",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freed_by(frees_app: u64, frees_gc: u64) -> &'static str {
        FreedBy::of(&Totals { frees_app, frees_gc, ..Totals::default() }).as_str()
    }

    #[test]
    fn nine_in_ten_decide() {
        assert_eq!(freed_by(0, 0), "never");
        assert_eq!(freed_by(1, 9), "gc");
        assert_eq!(freed_by(2, 9), "mixed");
        assert_eq!(freed_by(9, 1), "app");
        assert_eq!(freed_by(9, 2), "mixed");
        assert_eq!(freed_by(u64::MAX, 1), "app");
        assert_eq!(freed_by(u64::MAX, u64::MAX), "mixed");
    }

    #[test]
    fn ages_have_four_classes() {
        let words = [0, 59_999, 60_000, 600_000, 3_599_999, 3_600_000, u64::MAX].map(|ms| Age::of_ms(ms).as_str());
        assert_eq!(words, ["<1m", "<1m", "1m-10m", "10m-1h", "10m-1h", ">1h", ">1h"]);
    }
}
