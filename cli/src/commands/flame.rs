//! `leakscope flame`: a flame graph of a profile, or of the growth between two.

use crate::args::FlameArgs;
use crate::exit::{self, Failure};
use crate::reading::{self, Symbols};
use crate::say::say;
use anyhow::Result;
use leakscope_analyze::{DiffOptions, Grouping, diff, select, sites};
use leakscope_report::{flame, flame_growth};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Draws the flame graph.
///
/// # Errors
/// Nothing is there, it is no profile, or the picture cannot be written.
pub fn run(args: &FlameArgs) -> Result<u8> {
    let mut symbols = Symbols::new(&args.symbols);
    let mut profile = reading::read(&args.recording, &mut symbols)?.profile;
    select(&mut profile, args.kind.selection(false));
    match &args.since {
        Some(base) => {
            let mut base = reading::read(base, &mut symbols)?.profile;
            select(&mut base, args.kind.selection(false));
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

/// Writes a picture through a temporary name, so that a failure leaves no half of one. What is no regular file (a
/// device, a pipe) is written to, never replaced.
///
/// # Errors
/// There is nothing to draw, or the file cannot be written.
pub fn write(path: &Path, draw: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let is_replaced = std::fs::metadata(&path).map_or(true, |metadata| metadata.is_file());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.tmp-{}", std::process::id()));
    let written = if is_replaced { &temporary } else { &path };
    let drawn = File::create(written).and_then(|file| {
        let mut out = BufWriter::new(file);
        draw(&mut out)?;
        out.flush()
    });
    let drawn = if is_replaced { drawn.and_then(|()| std::fs::rename(&temporary, &path)) } else { drawn };
    drawn.map_err(|error| {
        if is_replaced {
            let _ = std::fs::remove_file(&temporary);
        }
        // What the drawing itself answers where nothing is live; the kernel's EINVAL has a number.
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::InvalidInput, None) => {
                Failure::error(exit::NO_DATA, format!("{} not written: {error}", path.display()))
            }
            _ => Failure::error(exit::UNREADABLE, format!("cannot write {}: {error}", path.display())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_written_to_and_not_replaced() {
        // A pipe of our own: a test that goes wrong must not replace the machine's devices.
        let root = tempfile::tempdir().unwrap();
        let pipe = root.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read(pipe).unwrap()
        });
        write(&pipe, |out| out.write_all(b"<svg/>")).unwrap();
        assert!(!std::fs::metadata(&pipe).unwrap().is_file());
        assert_eq!(reader.join().unwrap(), b"<svg/>");
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let root = tempfile::tempdir().unwrap();
        let (path, link) = (root.path().join("flame.svg"), root.path().join("link.svg"));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&path, |out| out.write_all(b"old")).unwrap();
        let nothing = || io::Error::new(io::ErrorKind::InvalidInput, "there are no bytes to draw");
        let error = write(&path, |_| Err(nothing())).unwrap_err();
        assert_eq!(Failure::code_of(&error), exit::NO_DATA);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write(&link, |out| out.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2, "no temporary file stays");
    }
}
