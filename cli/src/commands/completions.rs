//! `leakscope completions`: a script that completes commands and options in a shell.

use crate::args::{Args, CompletionsArgs};
use crate::exit;
use crate::reading;
use anyhow::Result;
use clap::{Command, CommandFactory};

/// Prints the script.
///
/// # Errors
/// It cannot be written.
pub fn run(args: &CompletionsArgs) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "leakscope", &mut script);
    reading::print(&String::from_utf8_lossy(&script))?;
    Ok(exit::OK)
}

/// Without the commands and options that help does not show: clap_complete would offer them.
fn command() -> Command {
    let all = Args::command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).map(|command| {
        let about = command.get_about().cloned().unwrap_or_default();
        let options = command.get_arguments().filter(|option| !option.is_hide_set()).cloned();
        Command::new(command.get_name().to_owned()).about(about).args(options)
    });
    Command::new("leakscope").version(all.get_version().unwrap_or_default().to_owned()).subcommands(shown)
}
