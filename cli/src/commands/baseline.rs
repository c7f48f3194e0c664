//! `leakscope baseline`: what recorded runs have live, in a file that a repository can hold.

use crate::args::{BaselineArgs, BaselineSaveArgs, BaselineWhat};
use crate::baseline_file;
use crate::exit::{self, Failure};
use crate::reading::{self, Symbols};
use crate::say::say;
use anyhow::Result;
use leakscope_analyze::gate::{Baseline, BaselineSite, FEWEST_RUNS, RunSites, run_sites};
use leakscope_analyze::set_housekeeping_aside;
use leakscope_report::bytes;
use std::fmt::Write as _;
use std::path::Path;

/// A site of which a new baseline has so much more or less is told of.
const TOLD: f64 = 0.1;

/// Saves, shows or updates.
///
/// # Errors
/// A file cannot be read or written, or a baseline is there already.
pub fn run(args: &BaselineArgs) -> Result<u8> {
    match &args.what {
        BaselineWhat::Save(save) => self::save(save),
        BaselineWhat::Show { file } => show(file),
        BaselineWhat::Update(save) => update(save),
    }
}

fn save(args: &BaselineSaveArgs) -> Result<u8> {
    if args.file.exists() && !args.force {
        let shown = args.file.display();
        return Err(Failure::error(
            exit::USAGE,
            format!("{shown} is there already: leakscope baseline update {shown} ..., or --force"),
        ));
    }
    let baseline = recorded(args)?;
    write(&args.file, &baseline)?;
    say(&format!("leakscope: {} written: {}", args.file.display(), summary(&baseline)));
    say(&format!("next: leakscope check --baseline {} RUN", args.file.display()));
    Ok(exit::OK)
}

fn update(args: &BaselineSaveArgs) -> Result<u8> {
    let before = baseline_file::read(&args.file)?;
    let after = recorded(args)?;
    if before.program != after.program {
        return Err(Failure::error(
            exit::USAGE,
            format!(
                "{} is of '{}', and these runs are of '{}': write another file with `leakscope baseline save`",
                args.file.display(),
                before.program,
                after.program
            ),
        ));
    }
    write(&args.file, &after)?;
    reading::print(&changes(&before, &after))?;
    say(&format!("leakscope: {} written: {}", args.file.display(), summary(&after)));
    Ok(exit::OK)
}

fn show(file: &Path) -> Result<u8> {
    let baseline = baseline_file::read(file)?;
    let mut sites: Vec<&BaselineSite> = baseline.sites.values().collect();
    sites.sort_by(|a, b| mean(&b.live_bytes).total_cmp(&mean(&a.live_bytes)).then_with(|| a.name.cmp(&b.name)));
    let mut text = format!("{}: {}\n", file.display(), summary(&baseline));
    for site in sites {
        let range = match range(&site.live_bytes) {
            Some((least, most)) => format!("{} to {}", bytes(least), bytes(most)),
            None => String::new(),
        };
        let line =
            format!("{:>12}  {range:<24}  {:<9}  {}", bytes(mean(&site.live_bytes)), site.kind, printed(&site.name));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "{:>12}  in smaller sites", bytes(mean(&baseline.rest_bytes)));
    reading::print(&text)?;
    Ok(exit::OK)
}

/// The baseline that the runs make.
fn recorded(args: &BaselineSaveArgs) -> Result<Baseline> {
    let mut symbols = Symbols::new(&args.symbols);
    let runs = args.runs.iter().map(|run| sites_of(run, &args.packages, &mut symbols)).collect::<Result<Vec<_>>>()?;
    symbols.say_warnings();
    if let Some(other) = runs.iter().find(|run| run.program != runs[0].program) {
        return Err(Failure::error(
            exit::USAGE,
            format!("the runs are of different programs: '{}' and '{}'", runs[0].program, other.program),
        ));
    }
    if runs.len() < FEWEST_RUNS {
        say(&format!(
            "leakscope: note: of fewer than {FEWEST_RUNS} runs it is not known what differs from run to run; every growth \
             beyond the budget will fail"
        ));
    }
    Ok(baseline_file::of_runs(&runs))
}

/// The sites of one recorded run.
///
/// # Errors
/// Nothing is there, it is no profile of ours, or it holds nothing.
pub fn sites_of(run: &str, packages: &[String], symbols: &mut Symbols) -> Result<RunSites> {
    let mut reading = reading::read(run, symbols)?;
    set_housekeeping_aside(&mut reading.profile);
    let nothing = || {
        let shown = reading.found.path.display();
        Failure::error(exit::NO_DATA, format!("{shown} holds no live memory that leakscope recorded"))
    };
    run_sites(&reading.profile, packages).ok_or_else(nothing)
}

fn write(path: &Path, baseline: &Baseline) -> Result<()> {
    super::flame::write(path, |out| out.write_all(baseline_file::text(baseline).as_bytes()))
}

fn summary(baseline: &Baseline) -> String {
    let runs = if baseline.runs == 1 { "1 run".to_owned() } else { format!("{} runs", baseline.runs) };
    let named = baseline.sites.values().map(|site| mean(&site.live_bytes)).sum::<f64>();
    let total = bytes(named + mean(&baseline.rest_bytes));
    format!("{runs} of {}, {total} live, {} sites", printed(&baseline.program), baseline.sites.len())
}

/// What an update changes, a line each.
fn changes(before: &Baseline, after: &Baseline) -> String {
    let mut text = String::new();
    for (key, site) in &after.sites {
        let now = mean(&site.live_bytes);
        let line = match before.sites.get(key) {
            None => format!("new      {:>10}  {}", bytes(now), printed(&site.name)),
            Some(old) => {
                let was = mean(&old.live_bytes);
                if (now - was).abs() <= TOLD * was {
                    continue;
                }
                let word = if now > was { "grown " } else { "shrunk" };
                format!("{word}   {:>10}  {} before  {}", bytes(now), bytes(was), printed(&site.name))
            }
        };
        let _ = writeln!(text, "{line}");
    }
    for site in before.sites.iter().filter(|(key, _)| !after.sites.contains_key(key)).map(|(_, site)| site) {
        let _ = writeln!(
            text,
            "gone     {:>10}  {} before  {}",
            bytes(0.0),
            bytes(mean(&site.live_bytes)),
            printed(&site.name)
        );
    }
    if text.is_empty() { "no site changed by more than a tenth\n".to_owned() } else { text }
}

fn mean(runs: &[f64]) -> f64 {
    runs.iter().sum::<f64>() / runs.len().max(1) as f64
}

/// Least and most, where they differ.
fn range(runs: &[f64]) -> Option<(f64, f64)> {
    let (least, most) = runs.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), bytes| (a.min(*bytes), b.max(*bytes)));
    (least < most).then_some((least, most))
}

/// A baseline may come from anyone: names do not steer the terminal.
fn printed(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
