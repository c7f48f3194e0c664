//! `leakscope man`: the manual, made from the command line's own help.

use crate::args::{Args, ManArgs};
use crate::exit;
use crate::reading;
use crate::say::say;
use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;

/// Prints the first page, or writes a page for leakscope and each of its commands.
///
/// # Errors
/// A page cannot be written.
pub fn run(args: &ManArgs) -> Result<u8> {
    let Some(directory) = &args.output else {
        let mut page = Vec::new();
        Man::new(command()).render(&mut page).context("cannot make the page")?;
        reading::print(&String::from_utf8_lossy(&page))?;
        return Ok(exit::OK);
    };
    let shown = directory.display();
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {shown}"))?;
    clap_mangen::generate_to(command(), directory).with_context(|| format!("cannot write to {shown}"))?;
    say(&format!("leakscope: pages written; man -l {}", directory.join("leakscope.1").display()));
    Ok(exit::OK)
}

/// Without the `help` command, whose pages would be all pages again.
fn command() -> Command {
    Args::command().disable_help_subcommand(true)
}
