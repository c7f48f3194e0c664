//! `leakscope explain`: where the resident memory of a running process is, whether it is recorded or not.

use crate::args::ExplainArgs;
use crate::exit::{self, Failure};
use crate::locate::session_of;
use crate::reading;
use crate::request::unreachable;
use crate::say::say;
use anyhow::Result;
use leakscope_analyze::rss_table;
use leakscope_collect::{SharedSession, Survey};
use leakscope_report::{Explained, json_explain, text_explain};

/// Prints the table.
///
/// # Errors
/// No such process, or another user's.
pub fn run(args: &ExplainArgs) -> Result<u8> {
    let pid = args.pid;
    let session = session_of(pid).ok().and_then(|session| SharedSession::open(session, None).ok());
    let survey = Survey::of(pid, session.as_ref()).map_err(|error| unreachable(pid, &error))?;
    let nothing = || {
        let sentence = format!("process {pid} has no memory: it is ending, or it is a thread of the kernel");
        Failure::error(exit::NO_DATA, sentence)
    };
    let table = rss_table(&survey.timeline, None, 0).ok_or_else(nothing)?;
    if let Some(error) = &survey.tracking_error {
        say(&format!("leakscope: note: native memory tracking is on, but cannot be read: {error}"));
    }
    let target = survey.facts.target();
    let jvm = survey.jvm.as_ref();
    let explained = Explained {
        target: &target,
        time_unix_ns: survey.time_unix_ns,
        collector: jvm.and_then(|jvm| jvm.collector),
        native_memory_tracking: jvm.and_then(|jvm| jvm.native_memory_tracking.as_deref()),
        table: &table,
    };
    if args.json {
        reading::print(&json_explain(&explained))?;
    } else {
        let next = match session {
            Some(_) => format!("leakscope snapshot {pid}"),
            None => "leakscope run -- COMMAND (which names the lines that hold it)".to_owned(),
        };
        let options = leakscope_report::TextOptions { next: vec![next], ..reading::text_options(args.all) };
        reading::print(&text_explain(&explained, &options))?;
    }
    Ok(exit::OK)
}
