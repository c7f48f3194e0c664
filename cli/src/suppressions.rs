//! The syntax of suppression files: LeakSanitizer's lines, with limits behind them.
//!
//! ```text
//! # a comment
//! leak:com.acme.cache.OffHeapCache.*   max=256MiB max-growth=1MiB/h until=2026-12-31 reason="bounded cache, TICKET-1"
//! leak:libfoo.so
//! kind:ALLOCATOR                       report-only
//! ```
//! A pattern ends at white space that is followed by an attribute, so that names with blanks (`operator new`) work as they
//! do in LeakSanitizer. What the patterns mean is in `leakscope_analyze::suppression`. The line of a kind says how it is
//! anyway: what the allocator keeps is reported, and no gate judges it. Other kinds are refused.

use crate::exit::{self, Failure};
use crate::sizes::{parse_duration, parse_size};
use anyhow::Result;
use leakscope_analyze::gate::Per;
use leakscope_analyze::suppression::{GrowthLimit, Pattern, Suppression};
use std::fs;
use std::path::{Path, PathBuf};

/// The one line of a kind that holds.
const REPORT_ONLY: [&str; 2] = ["kind:ALLOCATOR", "report-only"];
/// Why there is no suppression of verdicts.
const NO_VERDICTS: &str = "check judges growth by site, and no verdict of a report makes it fail; leak:PATTERN is for sites, a \
                           budget for growth";

/// Reads files for a gate in which growth is counted by `per`.
///
/// # Errors
/// One cannot be read (exit code 4), or not be understood, or a limit in it could not be held (2).
pub fn read_all(paths: &[PathBuf], per: Per) -> Result<Vec<Suppression>> {
    let files: Vec<_> = paths.iter().map(|path| read(path, per)).collect::<Result<_>>()?;
    Ok(files.concat())
}

fn read(path: &Path, per: Per) -> Result<Vec<Suppression>> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::error(exit::UNREADABLE, format!("cannot read {shown}: {error}")))?;
    let all = parse(&text).and_then(|all| limits_hold(&all, per).map(|()| all));
    all.map_err(|error| Failure::error(exit::USAGE, format!("{shown}: {error}")))
}

/// A limit that is not measured would hide a leak for ever.
fn limits_hold(all: &[Suppression], per: Per) -> Result<(), String> {
    for one in all {
        let hint = match (one.max_growth, per) {
            (None, _) | (Some(GrowthLimit::Nothing), Per::Iteration | Per::Minute) => continue,
            (Some(GrowthLimit::PerIteration(_)), Per::Iteration) | (Some(GrowthLimit::PerHour(_)), Per::Minute) => {
                continue;
            }
            (Some(GrowthLimit::PerHour(_)), Per::Iteration) => {
                "growth is counted by iterations here: write it as .../iter"
            }
            (Some(GrowthLimit::PerIteration(_)), Per::Minute) => "growth is counted by time here: write it as .../h",
            (Some(_), Per::Run) => "a baseline knows sizes and no rates: write max=",
        };
        let line = one.line.map_or_else(String::new, |line| format!("line {line}: "));
        return Err(format!("{line}max-growth= could not be held: {hint}"));
    }
    Ok(())
}

/// Reads a file's text.
///
/// # Errors
/// A sentence that begins with the number of the line.
pub fn parse(text: &str) -> Result<Vec<Suppression>, String> {
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') && !line.split_whitespace().eq(REPORT_ONLY) {
            all.push(parse_line(number, line).map_err(|what| format!("line {number}: {what}"))?);
        }
    }
    Ok(all)
}

fn parse_line(number: u32, line: &str) -> Result<Suppression, String> {
    let Some((kind, rest)) = line.split_once(':') else {
        return Err(format!("'{line}' is no suppression; write leak:PATTERN, as for LeakSanitizer"));
    };
    let (pattern, attributes) = split_attributes(rest)?;
    if pattern.is_empty() {
        return Err(format!("there is nothing behind '{kind}:'"));
    }
    match kind.trim() {
        "leak" => {}
        "kind" => return Err(format!("'kind:{pattern}' would have no effect: {NO_VERDICTS}")),
        other => return Err(format!("'{other}:' is unknown; write leak:PATTERN, as for LeakSanitizer")),
    }
    let mut suppression = Suppression {
        line: Some(number),
        pattern: Pattern::new(&pattern),
        text: pattern,
        max_bytes: None,
        max_growth: None,
        until_day: None,
        reason: String::new(),
    };
    for (name, value) in attributes {
        set(&mut suppression, &name, &value)?;
    }
    Ok(suppression)
}

fn set(suppression: &mut Suppression, name: &str, value: &str) -> Result<(), String> {
    match name {
        "max" => suppression.max_bytes = Some(parse_size(value)?),
        "max-growth" => suppression.max_growth = Some(parse_growth(value)?),
        "until" => suppression.until_day = Some(parse_day(value)?),
        "reason" => value.clone_into(&mut suppression.reason),
        _ => return Err(format!("'{name}' is unknown; there are max=, max-growth=, until= and reason=")),
    }
    Ok(())
}

/// `1MiB/h`, `4KiB/iter`, `10k/min`, `0`.
///
/// # Errors
/// A sentence for the user.
pub fn parse_growth(text: &str) -> Result<GrowthLimit, String> {
    let wrong = || format!("'{text}' is no growth; write 1MiB/h or 4KiB/iter");
    if text == "0" {
        return Ok(GrowthLimit::Nothing);
    }
    let (bytes, per) = text.split_once('/').ok_or_else(wrong)?;
    let bytes = parse_size(bytes).map_err(|_| wrong())? as f64;
    match per {
        "iter" | "iteration" => Ok(GrowthLimit::PerIteration(bytes)),
        // `/h` is `/1h`.
        unit if unit.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            let time = parse_duration(&format!("1{unit}")).map_err(|_| wrong())?;
            Ok(GrowthLimit::PerHour(bytes * 3600.0 / time.as_secs_f64()))
        }
        _ => Err(wrong()),
    }
}

/// Days since 1970-01-01 of `2026-12-31`.
///
/// # Errors
/// A sentence for the user.
pub fn parse_day(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{text}' is no day; write 2026-12-31");
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return Err(wrong()) };
    if (year.len(), month.len(), day.len()) != (4, 2, 2) || parts.concat().bytes().any(|b| !b.is_ascii_digit()) {
        return Err(wrong());
    }
    let number = |text: &str| text.parse::<u32>().map(i64::from).map_err(|_| wrong());
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return Err(wrong()),
    };
    if !(1..=length).contains(&day) {
        return Err(wrong());
    }
    // Years that begin in March have their leap day at the end (Hinnant, chrono-compatible low-level date algorithms).
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let of_year = (153 * m + 2) / 5 + day - 1;
    Ok(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Names of attributes that take a value.
const VALUED: [&str; 4] = ["max", "max-growth", "until", "reason"];

/// The pattern, and what stands behind it as `name=value`, `name="a value"` or `name`.
fn split_attributes(text: &str) -> Result<(String, Vec<(String, String)>), String> {
    let mut words = words(text)?;
    let is_attribute = |word: &(usize, String)| {
        let name = word.1.split_once('=').map(|(name, _)| name);
        word.1 == "report-only" || name.is_some_and(|name| VALUED.contains(&name))
    };
    let first = words.iter().skip(1).position(is_attribute).map_or(words.len(), |at| at + 1);
    let attributes = words.split_off(first.min(words.len()));
    let end = attributes.first().map_or(text.len(), |(at, _)| *at);
    let split = |(_, word): (usize, String)| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (word, String::new()),
    };
    Ok((text[..end].trim().to_owned(), attributes.into_iter().map(split).collect()))
}

/// Words with where they begin; quotes hold blanks together, and are taken off.
fn words(text: &str) -> Result<Vec<(usize, String)>, String> {
    let mut words = Vec::new();
    let mut word: Option<(usize, String)> = None;
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if is_quoted || word.as_ref().is_some_and(|(_, word)| word.ends_with('=')) => is_quoted = !is_quoted,
            c if c.is_whitespace() && !is_quoted => words.extend(word.take()),
            c => word.get_or_insert_with(|| (at, String::new())).1.push(c),
        }
    }
    words.extend(word);
    if is_quoted { Err("a quotation mark is missing".to_owned()) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_nobody_measures_is_refused() {
        let holds = |limit: &str, per| limits_hold(&parse(&format!("leak:a max-growth={limit}")).unwrap(), per);
        for (limit, per) in
            [("1k/iter", Per::Iteration), ("1MiB/h", Per::Minute), ("0", Per::Iteration), ("0", Per::Minute)]
        {
            assert_eq!(holds(limit, per), Ok(()), "{limit}");
        }
        for (limit, per, hint) in [
            ("1MiB/h", Per::Iteration, "write it as .../iter"),
            ("1k/iter", Per::Minute, "write it as .../h"),
            ("1k/iter", Per::Run, "write max="),
            ("1MiB/h", Per::Run, "write max="),
            ("0", Per::Run, "write max="),
        ] {
            let said = holds(limit, per).unwrap_err();
            assert!(said.starts_with("line 1: max-growth= could not be held: ") && said.ends_with(hint), "{said}");
        }
        assert_eq!(limits_hold(&parse("leak:a max=1M until=2030-01-01").unwrap(), Per::Run), Ok(()));
    }

    #[test]
    fn lines_of_leak_sanitizer_work_unchanged() {
        let text = "# known\nkind:ALLOCATOR   report-only\nleak:libfoo.so\n  leak:operator new[]\nleak:^my_cache*$\n";
        let all = parse(text).unwrap();
        let said: Vec<_> = all.iter().map(|one| (one.line, one.text.as_str())).collect();
        assert_eq!(said, [(Some(3), "libfoo.so"), (Some(4), "operator new[]"), (Some(5), "^my_cache*$")]);
        assert!(all.iter().all(|one| one.max_bytes.is_none() && one.until_day.is_none()));
        assert_eq!(all[1].pattern, Pattern::new("operator new[]"));
    }

    #[test]
    fn attributes_stand_behind_the_pattern() {
        let line = "leak:com.acme.*  max=256MiB max-growth=1MiB/h until=2026-12-31 reason=\"bounded cache, TICKET-1\"";
        let one = parse(line).unwrap().remove(0);
        assert_eq!(one.text, "com.acme.*");
        assert_eq!((one.max_bytes, one.max_growth), (Some(256 << 20), Some(GrowthLimit::PerHour(1048576.0))));
        assert_eq!((one.until_day, one.reason.as_str()), (Some(20818), "bounded cache, TICKET-1"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (line, what) in [
            ("race:foo", "unknown"),
            ("nonsense", "no suppression"),
            ("leak:", "nothing"),
            ("kind:LEAK report-only", "'kind:LEAK' would have no effect"),
            ("kind:ALLOCATOR", "'kind:ALLOCATOR' would have no effect"),
            ("leak:a max=much", "no size"),
            ("leak:a max-growth=1MiB", "no growth"),
            ("leak:a until=2026-02-30", "no day"),
            ("leak:a until=soon", "no day"),
            ("leak:a reason=\"open", "quotation"),
            ("leak:a max=1k report-only", "unknown"),
        ] {
            let error = parse(&format!("# one\n{line}\n")).unwrap_err();
            assert!(error.starts_with("line 2: ") && error.contains(what), "{line}: {error}");
        }
    }

    #[test]
    fn growth_has_a_time_or_an_iteration() {
        assert_eq!(parse_growth("4KiB/iter"), Ok(GrowthLimit::PerIteration(4096.0)));
        assert_eq!(parse_growth("1k/s"), Ok(GrowthLimit::PerHour(1024.0 * 3600.0)));
        assert_eq!(parse_growth("1k/min"), Ok(GrowthLimit::PerHour(1024.0 * 60.0)));
        assert_eq!(parse_growth("0"), Ok(GrowthLimit::Nothing));
        for wrong in ["", "1k", "1k/", "1k/10", "x/h", "1k/fortnight"] {
            assert!(parse_growth(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_are_counted_from_1970() {
        for (text, day) in [("1970-01-01", 0), ("1969-12-31", -1), ("2000-02-29", 11_016), ("2026-11-28", 20_785)] {
            assert_eq!(parse_day(text), Ok(day), "{text}");
        }
        for wrong in ["1900-02-29", "2026-13-01", "2026-00-01", "2026-01-00", "2026-1-1", "2026-04-31", "+026-01-01"] {
            assert!(parse_day(wrong).is_err(), "{wrong}");
        }
    }
}
