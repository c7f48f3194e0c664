//! Reading profiles for `report`, `diff` and `flame`: find, load, refine by DWARF, and say what got in the way.

use crate::args::{SiteArgs, SymbolArgs};
use crate::exit::{self, Failure};
use crate::recording::{self, Resolved};
use crate::say::{is_utf8_locale, say};
use crate::terminal;
use anyhow::Result;
use leakscope_analyze::{By, FrameTable, Place};
use leakscope_profile::{Profile, ReadError, load};
use leakscope_report::TextOptions;
use leakscope_symbolize::{Options, Symbolizer, refine};
use std::io::{IsTerminal, Write};
use std::panic::resume_unwind;
use std::thread;

/// A profile that was asked for, ready to be analysed.
pub struct Reading {
    /// What was read, with names and lines as good as the files on this machine allow.
    pub profile: Profile,
    /// Where it was found.
    pub found: Resolved,
}

/// Reads the profile that `spec` means (see [`crate::recording`]).
///
/// # Errors
/// Nothing is there, or it is no profile.
pub fn read(spec: &str, symbols: &mut Symbols) -> Result<Reading> {
    let found = find(spec, symbols)?;
    let profile = load(&found.path);
    refined(found, profile, symbols)
}

/// Reads two profiles at once.
///
/// # Errors
/// As [`read`], for the first that is not there.
pub fn read_both(specs: [&str; 2], symbols: &mut Symbols) -> Result<[Reading; 2]> {
    let (before, after) = (find(specs[0], symbols)?, find(specs[1], symbols)?);
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| load(&after.path));
        let first = load(&before.path);
        (first, second.join())
    });
    let second = second.unwrap_or_else(|panic| resume_unwind(panic));
    Ok([refined(before, first, symbols)?, refined(after, second, symbols)?])
}

fn find(spec: &str, symbols: &mut Symbols) -> Result<Resolved> {
    let found = recording::resolve(spec)?;
    for note in &found.notes {
        // Both sides of a diff may come from one recording.
        if !symbols.said.contains(note) {
            say(&format!("leakscope: {note}"));
            symbols.said.push(note.clone());
        }
    }
    Ok(found)
}

fn refined(found: Resolved, profile: Result<Profile, ReadError>, symbols: &mut Symbols) -> Result<Reading> {
    let mut profile =
        profile.map_err(|error| Failure::error(exit::UNREADABLE, format!("{}: {error}", found.path.display())))?;
    symbols.refine(&mut profile);
    Ok(Reading { profile, found })
}

/// Names and lines from debug information, or none of it (`--no-debug-info`); and what was said about reading so far.
pub struct Symbols {
    symbolizer: Option<Symbolizer>,
    said: Vec<String>,
}

impl Symbols {
    /// With debug information from the usual places and further directories, or without any.
    pub fn new(args: &SymbolArgs) -> Self {
        if args.no_debug_info {
            return Self::none();
        }
        let mut options = Options::full();
        options.debug_dirs.extend(args.debug_dir.iter().cloned());
        options.cache_dir = options.cache_dir.filter(|_| !args.no_cache);
        Self { symbolizer: Some(Symbolizer::new(options)), said: Vec::new() }
    }

    /// Without debug information.
    pub fn none() -> Self {
        Self { symbolizer: None, said: Vec::new() }
    }

    /// Improves the names and lines of a profile.
    pub fn refine(&mut self, profile: &mut Profile) {
        if let Some(symbolizer) = &mut self.symbolizer {
            refine(profile, symbolizer);
        }
    }

    /// Says what got in the way: the first, and how many more.
    pub fn say_warnings(&self) {
        const SHOWN: usize = 1;
        let warnings = self.symbolizer.as_ref().map_or(&[][..], |symbolizer| symbolizer.warnings());
        for warning in warnings.iter().take(SHOWN) {
            say(&format!("leakscope: note: {warning}"));
        }
        if warnings.len() > SHOWN {
            say(&format!(
                "leakscope: note: and {} more notes like this about the symbols of files",
                warnings.len() - SHOWN
            ));
        }
    }
}

/// Writes a result to stdout. A reader that has left (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    print_by(|out| out.write_all(text.as_bytes()))
}

/// [`print()`] of what `write` writes.
pub fn print_by(write: impl FnOnce(&mut std::io::StdoutLock<'static>) -> std::io::Result<()>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::error(exit::UNREADABLE, format!("cannot write the result: {error}")))
        }
        _ => Ok(()),
    }
}

/// How a result is to look on this stdout.
pub fn text_options(all: bool) -> TextOptions {
    let is_terminal = std::io::stdout().is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let default = TextOptions::default();
    TextOptions {
        ascii: !is_utf8_locale(),
        color: is_terminal && !no_color,
        columns: if is_terminal { terminal::columns() } else { None },
        sites: if all { usize::MAX } else { default.sites },
        ..default
    }
}

/// What should be said where `--app` names no package of these places.
pub fn unused_packages<'a>(
    args: &SiteArgs,
    frames: &FrameTable,
    places: impl IntoIterator<Item = &'a Place>,
) -> Option<String> {
    if args.packages.is_empty() || matches!(args.by, By::Library | By::Kind) {
        return None;
    }
    let starts = |function: &str| args.packages.iter().any(|package| function.starts_with(package.as_str()));
    let mut places = places.into_iter();
    let is_used = places.any(|place| frames.resolve(&place.frames).any(|frame| starts(&frame.function)));
    (!is_used).then(|| {
        format!(
            "your own packages, {} (--app, LEAKSCOPE_APP or leakscope.toml): no function of this recording begins so",
            args.packages.join(", ")
        )
    })
}

/// Where the leading places have functions without a name: what would give them one.
pub fn nameless<'a>(frames: &FrameTable, places: impl IntoIterator<Item = &'a Place>) -> Option<String> {
    const LEADING: usize = 3;
    let mut stacks = places.into_iter().take(LEADING).flat_map(|place| frames.resolve(&place.frames));
    let frame = stacks.find(|frame| frame.function.contains("+0x") && !frame.library.is_empty())?;
    Some(format!(
        "functions of {} have no names here: --debug-dir DIR, where DIR holds its debug files as /usr/lib/debug does",
        frame.library
    ))
}
