//! `leakscope diff`: what grew from one profile to another.

use crate::args::DiffArgs;
use crate::exit;
use crate::reading::{self, Symbols};
use crate::say::{is_utf8_locale, say};
use anyhow::Result;
use leakscope_analyze::{DiffOptions, Status, diff};
use leakscope_report::{TextOptions, flame_growth, json_diff, text_diff};

/// Prints the growth.
///
/// # Errors
/// Nothing is there, it is no profile, or the flame graph cannot be written.
pub fn run(args: &DiffArgs) -> Result<u8> {
    let mut symbols = Symbols::new(!args.symbols.no_debug_info, &args.symbols.debug_dir);
    let before = reading::read(&args.before, &mut symbols)?;
    let after = reading::read(&args.after, &mut symbols)?;
    let options = DiffOptions { grouping: args.sites.grouping(), tolerance_bytes: args.tolerance as f64 };
    let (a, b) = (&before.profile, &after.profile);
    let diff = diff(a, b, &options);
    if let Some(path) = &args.flame {
        super::flame::write(path, |out| flame_growth(a, b, &diff, out))?;
        say(&format!("leakscope: flame graph of the growth: {}", path.display()));
    }
    if args.json {
        reading::print(&json_diff(a, b, &diff))?;
    } else {
        let options = TextOptions {
            ascii: !is_utf8_locale(),
            color: reading::may_colour(),
            sites: if args.all { usize::MAX } else { TextOptions::default().sites },
            next: next(args, &after.found.path, &before.found.path),
            ..TextOptions::default()
        };
        reading::print(&text_diff(a, b, &diff, &options))?;
    }
    symbols.say_warnings();
    let grew = diff.sites.iter().any(|site| matches!(site.status, Status::Grown | Status::New) && site.significant);
    Ok(if args.exit_code && grew { exit::GREW } else { exit::OK })
}

fn next(args: &DiffArgs, after: &std::path::Path, before: &std::path::Path) -> Vec<String> {
    let mut next = Vec::new();
    if args.flame.is_none() {
        next.push(format!("leakscope diff {} {} --flame growth.svg", args.before, args.after));
    }
    next.push(format!("go tool pprof -http=: -diff_base {} {}", before.display(), after.display()));
    next
}
