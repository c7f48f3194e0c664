//! `leakscope flame`: a flame graph of a profile, or of the growth between two.

use crate::args::FlameArgs;
use crate::exit::{self, Failure};
use crate::reading::{self, Symbols};
use crate::say::say;
use anyhow::Result;
use leakscope_analyze::{DiffOptions, Grouping, diff, sites};
use leakscope_report::{flame, flame_growth};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Draws the flame graph.
///
/// # Errors
/// Nothing is there, it is no profile, or the picture cannot be written.
pub fn run(args: &FlameArgs) -> Result<u8> {
    let mut symbols = Symbols::new(!args.symbols.no_debug_info, &args.symbols.debug_dir);
    let profile = reading::read(&args.recording, &mut symbols)?.profile;
    match &args.since {
        Some(base) => {
            let base = reading::read(base, &mut symbols)?.profile;
            let growth = diff(&base, &profile, &DiffOptions::default());
            write(&args.output, |out| flame_growth(&base, &profile, &growth, out))?;
        }
        None => {
            let sites = sites(&profile, &Grouping::default());
            write(&args.output, |out| flame(&profile, &sites, args.show.into(), out))?;
        }
    }
    symbols.say_warnings();
    say(&format!("leakscope: {} written; open it in a browser", args.output.display()));
    Ok(exit::OK)
}

/// Writes a picture through a temporary name, so that a failure leaves no half of one.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, draw: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
    let drawn = File::create(&temporary).and_then(|file| {
        let mut out = BufWriter::new(file);
        draw(&mut out)?;
        out.flush()?;
        std::fs::rename(&temporary, path)
    });
    drawn.map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        Failure::error(exit::UNREADABLE, format!("cannot write {}: {error}", path.display()))
    })
}
