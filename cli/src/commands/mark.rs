//! `leakscope mark PID TEXT`: a moment that somebody wants to find again in the timeline of a process.

use crate::args::MarkArgs;
use crate::exit::{self, Failure};
use crate::request::{Answer, Request, sentence};
use crate::say::say;
use anyhow::Result;
use leakscope_session::handshake::MOST_MARK_BYTES;

/// Puts the mark into the timeline, through the leakscope that records.
///
/// # Errors
/// No such process, not recorded, nobody there, or the timeline cannot be written.
pub fn run(args: &MarkArgs) -> Result<u8> {
    let text = args.text.join(" ");
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::error(exit::USAGE, "a mark needs words: leakscope mark PID 'task restart'"));
    }
    if text.len() as u64 > MOST_MARK_BYTES {
        return Err(Failure::error(exit::USAGE, format!("a mark has at most {MOST_MARK_BYTES} bytes")));
    }
    match Request::Mark(text).of_process(args.pid)? {
        Answer::Bytes(answer) => {
            say(&format!("leakscope: {}", sentence(&answer)));
            Ok(exit::OK)
        }
        Answer::NobodyAt(gone) => {
            let (pid, collector) = (args.pid, gone.pid);
            let words = format!("the leakscope that recorded process {pid} is gone (it had pid {collector})");
            Err(Failure::error(exit::NO_DATA, words))
        }
    }
}
