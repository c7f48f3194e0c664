//! What a gate is asked for: the command line and leakscope.toml, made sense of.

use super::schedule::Schedule;
use crate::args::{CheckArgs, PerWhat, Quantity};
use crate::exit::{self, Failure};
use crate::sizes::Rate;
use anyhow::Result;
use leakscope_analyze::gate::{BudgetRule, Budgets, Per};
use leakscope_analyze::suppression::Pattern;
use std::time::Duration;

const WARMUP_ITERATIONS: u64 = 20;
const WARMUP_TIME: Duration = Duration::from_secs(10);
/// Part of an end that is known.
const WARMUP_PART: u32 = 5;
const TIMEOUT: Duration = Duration::from_secs(600);
/// First distance of checkpoints by time.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// How far a round goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// Counted in iterations.
    Iterations {
        /// Those not judged.
        warmup: u64,
        /// All of them; `None`: as many as the target does.
        total: Option<u64>,
    },
    /// Counted in time.
    Time {
        /// What is not judged.
        warmup: Duration,
        /// All of it; `None`: as long as the target runs.
        total: Option<Duration>,
    },
}

/// What a gate is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How far a round goes.
    pub limits: Limits,
    /// How many there are.
    pub rounds: u32,
    /// What growth is put up with.
    pub budgets: Budgets,
    /// Whether a JVM is asked to collect.
    pub collects: bool,
    /// Longest wait for an iteration.
    pub timeout: Duration,
}

impl Settings {
    /// Makes sense of the options.
    ///
    /// # Errors
    /// They contradict each other; exit code 2.
    pub fn of(args: &CheckArgs) -> Result<Self> {
        let wrong = |sentence: &str| Err(Failure::error(exit::USAGE, sentence));
        let per = per(args);
        let limits = match per {
            PerWhat::Iteration => {
                let warmup = match args.warmup {
                    Some(Quantity::Time(_)) => return wrong("--warmup takes iterations here; a time with --per time"),
                    Some(Quantity::Count(count)) => count,
                    None => args.iterations.map_or(WARMUP_ITERATIONS, |total| total / u64::from(WARMUP_PART)),
                };
                if args.duration.is_some() {
                    return wrong("--duration goes with --per time; here it is --iterations");
                }
                if args.iterations.is_some_and(|total| total <= warmup) {
                    return wrong("--iterations includes the warm-up, and leaves nothing beyond it");
                }
                Limits::Iterations { warmup, total: args.iterations }
            }
            PerWhat::Time => {
                let warmup = match args.warmup {
                    Some(Quantity::Count(_)) => return wrong("with --per time --warmup takes a time, as 30s"),
                    Some(Quantity::Time(time)) => time,
                    None => args.duration.map_or(WARMUP_TIME, |total| total / WARMUP_PART),
                };
                if args.iterations.is_some() {
                    return wrong("--iterations goes with --per iteration; here it is --duration");
                }
                if args.duration.is_some_and(|total| total <= warmup) {
                    return wrong("--duration includes the warm-up, and leaves nothing beyond it");
                }
                Limits::Time { warmup, total: args.duration }
            }
        };
        Ok(Self {
            limits,
            rounds: args.rounds.unwrap_or(1),
            budgets: budgets(args, per.into())?,
            collects: !args.no_gc,
            timeout: args.timeout.unwrap_or(TIMEOUT),
        })
    }

    /// What growth is counted by.
    pub fn per(&self) -> Per {
        match self.limits {
            Limits::Iterations { .. } => Per::Iteration,
            Limits::Time { .. } => Per::Minute,
        }
    }

    /// When the checkpoints of a round are due: in iterations, or in milliseconds.
    pub fn schedule(&self) -> Schedule {
        let ms = |time: Duration| time.as_millis() as u64;
        match self.limits {
            Limits::Iterations { warmup, total } => Schedule::new(warmup, total, warmup / 10),
            Limits::Time { warmup, total } => Schedule::new(ms(warmup), total.map(ms), ms(LEAST_TIME)),
        }
    }
}

/// What growth is counted by: what was said, or what the other options take for granted.
fn per(args: &CheckArgs) -> PerWhat {
    let is_time = args.duration.is_some() || matches!(args.warmup, Some(Quantity::Time(_)));
    args.per.unwrap_or(if is_time { PerWhat::Time } else { PerWhat::Iteration })
}

/// The budgets, counted by `per`.
///
/// # Errors
/// One of them is counted by something else; exit code 2.
pub fn budgets(args: &CheckArgs, per: Per) -> Result<Budgets> {
    let mut budgets = Budgets::new(per);
    let bytes = |rate: Rate| rate.per(per).map_err(|sentence| Failure::error(exit::USAGE, sentence));
    if let Some(rate) = args.budget {
        budgets.site = bytes(rate)?;
    }
    if let Some(rate) = args.total {
        budgets.total = bytes(rate)?;
        budgets.resolution = budgets.total;
    }
    for (text, rate) in &args.budgets {
        let growth = bytes(*rate)?;
        budgets.rules.push(BudgetRule { pattern: Pattern::new(text), text: text.clone(), growth });
    }
    Ok(budgets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    fn settings(options: &[&str]) -> Result<Settings> {
        let line = [&["leakscope", "check"], options, &["--", "true"]].concat();
        let Command::Check(args) = Args::try_parse_from(line)?.command else { panic!("not check") };
        Settings::of(&args)
    }

    #[test]
    fn defaults_follow_from_what_is_given() {
        let limits = |options: &[&str]| settings(options).unwrap().limits;
        assert_eq!(limits(&[]), Limits::Iterations { warmup: 20, total: None });
        assert_eq!(limits(&["--iterations", "200"]), Limits::Iterations { warmup: 40, total: Some(200) });
        let seconds = Duration::from_secs;
        assert_eq!(limits(&["--per", "time"]), Limits::Time { warmup: seconds(10), total: None });
        assert_eq!(limits(&["--duration", "1m"]), Limits::Time { warmup: seconds(12), total: Some(seconds(60)) });
        assert_eq!(limits(&["--warmup", "5s"]), Limits::Time { warmup: seconds(5), total: None });
        let defaults = settings(&[]).unwrap();
        assert!(defaults.collects && defaults.rounds == 1 && defaults.budgets == Budgets::new(Per::Iteration));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for options in [
            &["--per", "time", "--warmup", "20"][..],
            &["--per", "iteration", "--warmup", "20s"],
            &["--per", "time", "--iterations", "20"],
            &["--per", "iteration", "--duration", "20s"],
            &["--iterations", "20", "--warmup", "20"],
            &["--duration", "20s", "--warmup", "20s"],
            &["--budget", "1KiB/min"],
            &["--per", "time", "--total", "1KiB/iter"],
        ] {
            assert_eq!(Failure::code_of(&settings(options).unwrap_err()), exit::USAGE, "{options:?}");
        }
    }

    #[test]
    fn budgets_are_rates() {
        let budgets = settings(&["--budget", "4KiB/iter", "--total", "64k"]).unwrap().budgets;
        assert_eq!((budgets.site, budgets.total, budgets.resolution), (4096.0, 65_536.0, 65_536.0));
        assert_eq!(settings(&["--per", "time", "--budget", "1MiB/h"]).unwrap().budgets.site, 1_048_576.0 / 60.0);
    }
}
