//! The table `[check]` of leakscope.toml: options of `check`, spelt as on the command line.

use crate::args::CheckArgs;
use crate::exit::{self, Failure};
use crate::sizes::{parse_duration, parse_rate};
use anyhow::Result;
use clap::ValueEnum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    /// `--warmup`
    pub warmup: Option<Word>,
    /// `--iterations`
    pub iterations: Option<u64>,
    /// `--per`
    pub per: Option<String>,
    /// `--duration`
    pub duration: Option<String>,
    /// `--rounds`
    pub rounds: Option<u32>,
    /// `--budget`
    pub budget: Option<Word>,
    /// `--total`
    pub total: Option<Word>,
    /// Budgets of the sites that match a pattern.
    pub budgets: BTreeMap<String, Word>,
    /// `--inconclusive`
    pub inconclusive: Option<String>,
    /// `--suppressions`, from the file's own directory.
    pub suppressions: Vec<PathBuf>,
    /// `--timeout`
    pub timeout: Option<String>,
}

/// A value that may be written as a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Word {
    /// `20`
    Number(u64),
    /// `"30s"`
    Text(String),
}

impl Word {
    fn text(&self) -> String {
        match self {
            Word::Number(number) => number.to_string(),
            Word::Text(text) => text.clone(),
        }
    }
}

impl Check {
    /// Fills the options that were not given. `file` is where the table stands.
    ///
    /// # Errors
    /// A value that the option would not take.
    pub fn fill(&self, args: &mut CheckArgs, file: &Path) -> Result<()> {
        let wrong = |key: &str, sentence: String| {
            Failure::error(exit::USAGE, format!("{}: [check] {key}: {sentence}", file.display()))
        };
        let chosen = |key: &str, sentence| wrong(key, format!("{sentence}; see leakscope check --help"));
        // What is counted is one choice: a --duration on the command line is not to meet the file's iterations.
        let is_open =
            args.per.is_none() && args.iterations.is_none() && args.duration.is_none() && args.warmup.is_none();
        if is_open {
            args.iterations = self.iterations;
            args.warmup = word(&self.warmup, str::parse).map_err(|error| wrong("warmup", error))?;
            args.duration = word(&self.duration, parse_duration).map_err(|error| wrong("duration", error))?;
            args.per = word(&self.per, from_value).map_err(|error| chosen("per", error))?;
        }
        if args.rounds.is_none() {
            args.rounds = self.rounds.filter(|rounds| (1..=100).contains(rounds));
            if args.rounds != self.rounds {
                return Err(wrong("rounds", "from 1 to 100".to_owned()));
            }
        }
        let either = |given, own: &Option<Word>, key| match given {
            None => word(own, parse_rate).map_err(|error| wrong(key, error)),
            given => Ok(given),
        };
        // Growth with every iteration is not growth from one build to the next.
        if args.baseline.is_none() {
            args.budget = either(args.budget, &self.budget, "budget")?;
            args.total = either(args.total, &self.total, "total")?;
            for (pattern, rate) in &self.budgets {
                let rate = parse_rate(&rate.text()).map_err(|error| wrong(&format!("budgets, {pattern}"), error))?;
                args.budgets.push((pattern.clone(), rate));
            }
        }
        if args.inconclusive.is_none() {
            args.inconclusive = word(&self.inconclusive, from_value).map_err(|error| chosen("inconclusive", error))?;
        }
        if args.timeout.is_none() {
            args.timeout = word(&self.timeout, parse_duration).map_err(|error| wrong("timeout", error))?;
        }
        if args.suppressions.is_empty() {
            let folder = file.parent().unwrap_or(Path::new(""));
            args.suppressions = self.suppressions.iter().map(|name| folder.join(name)).collect();
        }
        Ok(())
    }
}

/// Something that is written in the file.
trait Written {
    fn written(&self) -> String;
}

impl Written for Word {
    fn written(&self) -> String {
        self.text()
    }
}

impl Written for String {
    fn written(&self) -> String {
        self.clone()
    }
}

fn word<W: Written, T>(word: &Option<W>, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    word.as_ref().map(|word| parse(&word.written())).transpose()
}

fn from_value<T: ValueEnum>(text: &str) -> Result<T, String> {
    let words: Vec<_> = T::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
    let words: Vec<&str> = words.iter().map(|value| value.get_name()).collect();
    T::from_str(text, true).map_err(|_| format!("'{text}' is none of {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command, Inconclusive, PerWhat, Quantity};
    use clap::Parser;
    use std::time::Duration;

    fn filled(options: &[&str], table: &str) -> Result<CheckArgs> {
        let line = [&["leakscope", "check"], options, &["--", "true"]].concat();
        let Command::Check(mut args) = Args::try_parse_from(line)?.command else { panic!("not check") };
        toml::from_str::<Check>(table)?.fill(&mut args, Path::new("/project/leakscope.toml"))?;
        Ok(*args)
    }

    #[test]
    fn options_win_over_the_file() {
        let table = "warmup = 20\nrounds = 3\nbudget = \"4KiB/iter\"\ninconclusive = \"pass\"\ntimeout = \"1m\"\n\
                     suppressions = [\"a.supp\"]\n[budgets]\n\"com.acme.Cache\" = \"1MiB/iter\"\n";
        let args = filled(&[], table).unwrap();
        assert_eq!((args.warmup, args.rounds), (Some(Quantity::Count(20)), Some(3)));
        assert_eq!((args.inconclusive, args.timeout), (Some(Inconclusive::Pass), Some(Duration::from_secs(60))));
        assert_eq!(args.suppressions, [Path::new("/project/a.supp")]);
        assert_eq!(args.budgets, [("com.acme.Cache".to_owned(), parse_rate("1MiB/iter").unwrap())]);
        let args = filled(&["--rounds", "1", "--duration", "1m", "--suppressions", "b"], table).unwrap();
        assert_eq!((args.warmup, args.rounds, args.per), (None, Some(1), None), "iterations do not go with a time");
        assert_eq!(args.suppressions, [Path::new("b")]);
        let args = filled(&[], "per = \"time\"\nwarmup = \"5s\"\nduration = \"1m\"\ntotal = 64\n").unwrap();
        assert_eq!((args.per, args.warmup), (Some(PerWhat::Time), Some(Quantity::Time(Duration::from_secs(5)))));
    }

    #[test]
    fn values_that_make_no_sense_are_said_with_their_key() {
        for (table, said) in [
            ("rounds = 0", "[check] rounds: from 1 to 100"),
            ("budget = \"much\"", "[check] budget: 'much' is no size"),
            ("per = \"year\"", "[check] per: 'year' is none of iteration, time"),
            ("inconclusive = \"maybe\"", "[check] inconclusive: 'maybe' is none of fail, pass"),
            ("[budgets]\nx = \"1KiB/day\"", "[check] budgets, x: '1KiB/day' is no growth"),
        ] {
            let error = filled(&[], table).unwrap_err();
            assert_eq!(Failure::code_of(&error), exit::USAGE, "{table}");
            assert!(error.to_string().starts_with(&format!("/project/leakscope.toml: {said}")), "{error}");
        }
    }
}
