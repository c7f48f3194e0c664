//! `leakscope export`: a profile in another tool's format.

use crate::args::{ExportArgs, Format};
use crate::exit;
use crate::profile_file;
use crate::reading::{self, Symbols};
use crate::say::say;
use anyhow::Result;
use leakscope_analyze::{By, Grouping, Sites, select, sites};
use leakscope_report::{csv, dhat, folded, openmetrics, speedscope};

/// Writes the profile.
///
/// # Errors
/// Nothing is there, it is no profile, or the file exists or cannot be written.
pub fn run(args: &ExportArgs) -> Result<u8> {
    if let Some(path) = &args.output {
        profile_file::spare(path, args.force)?;
    }
    let mut symbols = Symbols::new(&args.symbols);
    let mut profile = reading::read(&args.recording, &mut symbols)?.profile;
    let jvms_own = select(&mut profile, args.kind.selection(args.all));
    let grouping = Grouping { by: By::Stack, packages: args.packages.clone() };
    let sites = Sites { jvms_own, ..sites(&profile, &grouping) };
    let names = args.java_names.into();
    let text = match args.format {
        Format::Folded => folded(&sites, args.measure.into(), names),
        Format::Speedscope => speedscope(&profile, &sites, names),
        Format::Dhat => dhat(&profile, &sites, names),
        Format::Csv => csv(&sites, names),
        Format::Openmetrics => openmetrics(&profile, &sites),
    };
    match &args.output {
        Some(path) => {
            super::flame::write(path, |out| out.write_all(text.as_bytes()))?;
            say(&format!("leakscope: {} written; {}", path.display(), opener(args.format)));
        }
        None => reading::print(&text)?,
    }
    symbols.say_warnings();
    Ok(exit::OK)
}

/// What opens it.
fn opener(format: Format) -> &'static str {
    match format {
        Format::Folded => "flamegraph.pl, inferno-flamegraph and speedscope read it",
        Format::Speedscope => "speedscope reads it",
        Format::Dhat => "profiler.firefox.com and valgrind's dh_view.html read it",
        Format::Csv => "a table of the sites",
        Format::Openmetrics => "Prometheus's node exporter reads it from the directory of its textfile collector",
    }
}
