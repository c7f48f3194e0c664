//! What is asked of the leakscope that records: marks and snapshots, as by the commands of these names.

use crate::commands::snapshot;
use crate::request::{Answer, Request, sentence};
use anyhow::{Result, bail};

/// What the person at the keyboard wants of the recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A mark with this text.
    Mark(String),
    /// A snapshot, into a file of its own.
    Snapshot,
}

/// Asks; the answer in a sentence.
pub fn ask(pid: u32, wish: &Wish) -> String {
    let answered = match wish {
        Wish::Mark(text) => mark(pid, text),
        Wish::Snapshot => take_snapshot(pid),
    };
    answered.unwrap_or_else(|error| sentence(format!("{error:#}").as_bytes()))
}

fn mark(pid: u32, text: &str) -> Result<String> {
    Ok(sentence(&answer(pid, Request::Mark(text))?))
}

fn take_snapshot(pid: u32) -> Result<String> {
    let bytes = answer(pid, Request::Snapshot)?;
    snapshot::write(pid, None, &bytes).map(|(_, said)| said)
}

fn answer(pid: u32, request: Request<'_>) -> Result<Vec<u8>> {
    match request.of_process(pid)? {
        Answer::Bytes(bytes) => Ok(bytes),
        Answer::NobodyAt(gone) => bail!("the leakscope that recorded process {pid} is gone (it had pid {})", gone.pid),
    }
}
