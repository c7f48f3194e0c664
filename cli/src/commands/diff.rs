//! `leakscope diff`: what grew from one profile to another.

use crate::args::DiffArgs;
use crate::exit;
use crate::reading::{self, Symbols};
use crate::say::say;
use anyhow::Result;
use leakscope_analyze::{Diff, DiffOptions, Status, diff, select};
use leakscope_profile::{Exit, Profile};
use leakscope_report::{TextOptions, flame_growth, json_diff, text_diff};
use std::path::Path;

/// Prints the growth.
///
/// # Errors
/// Nothing is there, it is no profile, or the flame graph cannot be written.
pub fn run(args: &DiffArgs) -> Result<u8> {
    let mut symbols = Symbols::new(&args.symbols);
    let [mut before, mut after] = reading::read_both([&args.before, &args.after], &mut symbols)?;
    for reading in [&mut before, &mut after] {
        select(&mut reading.profile, args.kind.selection(args.all));
    }
    let options = DiffOptions { grouping: args.sites.grouping(), tolerance_bytes: args.tolerance as f64 };
    let (a, b) = (&before.profile, &after.profile);
    let diff = diff(a, b, &options);
    if let Some(path) = &args.flame {
        super::flame::write(path, |out| flame_growth(a, b, &diff, out))?;
        say(&format!("leakscope: flame graph of the growth: {}", path.display()));
    }
    if args.json {
        reading::print_by(|out| json_diff(a, b, &diff, out))?;
    } else {
        let options = TextOptions {
            next: next(args, &diff, &after.found.path, &before.found.path),
            notes: after_its_end(a, b).map(str::to_owned).into_iter().collect(),
            ..reading::text_options(args.all)
        };
        reading::print(&text_diff(a, b, &diff, &options))?;
    }
    symbols.say_warnings();
    let places = || diff.sites.iter().map(|site| &site.place);
    let hints =
        [reading::unused_packages(&args.sites, &diff.frames, places()), reading::nameless(&diff.frames, places())];
    hints.iter().flatten().for_each(|hint| say(&format!("leakscope: note: {hint}")));
    let grew = diff.sites.iter().any(|site| matches!(site.status, Status::Grown | Status::New) && site.significant);
    Ok(if args.exit_code && grew { exit::GREW } else { exit::OK })
}

/// That the second snapshot is of a program which has ended by itself, and has put things away before.
fn after_its_end(before: &Profile, after: &Profile) -> Option<&'static str> {
    let is_one = before.snapshot.session == after.snapshot.session && before.snapshot.index < after.snapshot.index;
    let has_ended = matches!(after.target.exit, Some(Exit::Code(_)));
    (is_one && has_ended)
        .then_some("the second snapshot is of the program's end: what it put away before it exited counts as gone")
}

/// What to type next: nothing where nothing changed.
fn next(args: &DiffArgs, diff: &Diff, after: &Path, before: &Path) -> Vec<String> {
    let mut next = Vec::new();
    if !diff.sites.iter().any(|site| site.significant) {
        return next;
    }
    if args.flame.is_none() {
        next.push(format!("leakscope diff {} {} --flame growth.svg", args.before, args.after));
    }
    let directories = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&directories).any(|directory| directory.join("go").is_file()) {
        next.push(format!("go tool pprof -http=: -diff_base {} {}", before.display(), after.display()));
    }
    next
}
