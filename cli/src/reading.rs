//! Reading profiles for `report`, `diff` and `flame`: find, load, refine by DWARF, and say what got in the way.

use crate::exit::{self, Failure};
use crate::recording::{self, Resolved};
use crate::say::say;
use anyhow::Result;
use leakscope_profile::{Profile, load};
use leakscope_symbolize::{Options, Symbolizer, refine};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

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
    let found = recording::resolve(spec)?;
    for note in &found.notes {
        say(&format!("leakscope: {note}"));
    }
    let mut profile = load(&found.path)
        .map_err(|error| Failure::error(exit::UNREADABLE, format!("{}: {error}", found.path.display())))?;
    if let Some(symbolizer) = &mut symbols.0 {
        refine(&mut profile, symbolizer);
    }
    Ok(Reading { profile, found })
}

/// Names and lines from debug information, or none of it (`--no-debug-info`).
pub struct Symbols(Option<Symbolizer>);

impl Symbols {
    /// With debug information from the usual places and `extra` directories, or without any.
    pub fn new(wanted: bool, extra: &[PathBuf]) -> Self {
        let mut options = Options::full();
        options.debug_dirs.extend(extra.iter().cloned());
        Self(wanted.then(|| Symbolizer::new(options)))
    }

    /// Says what got in the way: the first few, then how many more.
    pub fn say_warnings(&self) {
        const SHOWN: usize = 3;
        let warnings = self.0.as_ref().map_or(&[][..], |symbolizer| symbolizer.warnings());
        for warning in warnings.iter().take(SHOWN) {
            say(&format!("leakscope: note: {warning}"));
        }
        if warnings.len() > SHOWN {
            say(&format!("leakscope: note: and {} more files without usable symbols", warnings.len() - SHOWN));
        }
    }
}

/// Writes a result to stdout. A reader that has left (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::error(exit::UNREADABLE, format!("cannot write the result: {error}")))
        }
        _ => Ok(()),
    }
}

/// Whether stdout may be coloured.
pub fn may_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
