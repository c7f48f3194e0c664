//! `leakscope.toml`: what is the same for every run in a project, searched from the current directory upward.
//!
//! ```toml
//! [app]
//! packages = ["com.acme."]     # your own code: which frame of a stack is shown first
//!
//! [check]
//! iterations = 200             # options of `leakscope check`, see config/check.rs
//! ```
//! Options win over environment variables, and these over the file. A file that cannot be understood is an error and not
//! passed over: whoever wrote it expects it to count.

mod check;

use crate::args::{Args, Command};
use crate::check::sources::Sources;
use crate::exit::{self, Failure};
use anyhow::Result;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the file.
pub const NAME: &str = "leakscope.toml";
/// A larger one is none of ours.
const MOST_BYTES: u64 = 1 << 20;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The application.
    pub app: App,
    /// The gate.
    pub check: check::Check,
}

/// The table `[app]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// Beginnings of the application's own functions, as `com.acme.`.
    pub packages: Vec<String>,
    /// Where its source files lie, from the file's own directory, as `src/main/java`.
    pub source_roots: Vec<PathBuf>,
}

/// Fills options that were given neither on the command line nor in the environment.
///
/// # Errors
/// There is a file, and it cannot be read or understood.
pub fn apply(args: &mut Args) -> Result<()> {
    let packages = match &mut args.command {
        Command::Report(args) => &mut args.sites.packages,
        Command::Diff(args) => &mut args.sites.packages,
        Command::Export(args) => &mut args.packages,
        Command::Top(args) => &mut args.packages,
        Command::Check(args) => {
            let Some(path) = nearest() else { return Ok(()) };
            let config = read(&path)?;
            config.check.fill(args, &path)?;
            let folder = path.parent().map(Path::to_owned).unwrap_or_default();
            args.sources = Sources { folder, roots: config.app.source_roots };
            if args.packages.is_empty() {
                args.packages = config.app.packages;
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    if packages.is_empty()
        && let Some(path) = nearest()
    {
        *packages = read(&path)?.app.packages;
    }
    Ok(())
}

/// The file that counts here.
fn nearest() -> Option<PathBuf> {
    find(&std::env::current_dir().ok()?)
}

/// The file that counts in a directory: its own, or that of the nearest directory above.
fn find(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().map(|directory| directory.join(NAME)).find(|path| path.is_file())
}

/// Reads a file.
///
/// # Errors
/// It cannot be read (exit code 4), or not be understood (2).
pub fn read(path: &Path) -> Result<Config> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| Failure::error(exit::UNREADABLE, format!("cannot read {shown}: {error}"));
    if fs::metadata(path).map_err(unreadable)?.len() > MOST_BYTES {
        return Err(Failure::error(exit::USAGE, format!("{shown} is too large for a configuration")));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::error(exit::USAGE, format!("{shown} is no text in UTF-8")))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        Failure::error(exit::USAGE, format!("{shown}{line}: {}", error.message().trim().replace('\n', "; ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_counts() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        fs::write(root.path().join(NAME), "[app]\npackages = [\"com.acme.\", \"acme::\"]\n").unwrap();
        let found = find(&deep).unwrap();
        assert_eq!(found, root.path().join(NAME));
        assert_eq!(read(&found).unwrap().app.packages, ["com.acme.", "acme::"]);
        fs::write(root.path().join("a/b").join(NAME), "").unwrap();
        assert_eq!(read(&find(&deep).unwrap()).unwrap(), Config::default(), "it replaces the ones above");
    }

    #[test]
    fn what_cannot_be_understood_is_said_with_its_line() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(NAME);
        for (text, said) in [
            ("[app]\npackages = \"com.acme\"\n", "line 2: invalid type: string \"com.acme\""),
            ("\n[app]\npakages = []\n", "line 3: unknown field `pakages`"),
            ("[app\n", "line 1: "),
            ("[ap]\n", "line 1: unknown field `ap`"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert_eq!(Failure::code_of(&error), exit::USAGE);
            assert!(format!("{error:#}").contains(said) && !format!("{error:#}").contains('\n'), "{text}: {error:#}");
        }
        fs::write(&path, b"\xff\xfe").unwrap();
        assert_eq!(Failure::code_of(&read(&path).unwrap_err()), exit::USAGE);
        assert_eq!(Failure::code_of(&read(&root.path().join("gone")).unwrap_err()), exit::UNREADABLE);
    }
}
