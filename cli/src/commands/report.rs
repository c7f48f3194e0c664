//! `leakscope report`: what is live, by site.

use crate::args::ReportArgs;
use crate::exit;
use crate::reading::{self, Reading, Symbols};
use crate::recording;
use crate::say::is_utf8_locale;
use anyhow::Result;
use leakscope_analyze::sites;
use leakscope_report::{TextOptions, json_report, text_report};

/// Prints the report.
///
/// # Errors
/// Nothing is there, or it is no profile.
pub fn run(args: &ReportArgs) -> Result<u8> {
    let mut symbols = Symbols::new(!args.symbols.no_debug_info, &args.symbols.debug_dir);
    let reading = reading::read(&args.recording, &mut symbols)?;
    let sites = sites(&reading.profile, &args.sites.grouping());
    if args.json {
        reading::print(&json_report(&reading.profile, &sites))?;
    } else {
        let options = TextOptions {
            ascii: !is_utf8_locale(),
            color: reading::may_colour(),
            sites: if args.all { usize::MAX } else { TextOptions::default().sites },
            next: next(&args.recording, &reading),
            ..TextOptions::default()
        };
        reading::print(&text_report(&reading.profile, &sites, &options))?;
    }
    symbols.say_warnings();
    Ok(exit::OK)
}

/// What to type next: growth where there is more than one snapshot, and a picture.
fn next(spec: &str, reading: &Reading) -> Vec<String> {
    let mut next = Vec::new();
    let directory = spec.split('@').next().unwrap_or(spec);
    let snapshots = reading.found.folder.as_deref().and_then(|folder| recording::choose(folder).ok());
    if snapshots.is_some_and(|(process, _)| process.session.snapshots.len() > 1) {
        next.push(format!("leakscope diff {directory}@first {directory}@last"));
    }
    next.push(format!("leakscope flame {spec} -o flame.svg"));
    next
}
