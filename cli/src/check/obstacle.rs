//! What keeps a round from being judged: a sentence and an exit code, never a silent pass.

use super::round::Observed;
use super::settings::{Limits, Settings};
use crate::exit::{self, Failure};
use crate::run::messages;
use crate::run::target::Ended;
use crate::sizes;

/// Part of all iterations that may come after the process that was judged has ended: those still on their way.
const MOST_UNJUDGED: f64 = 0.2;

/// Looks what became of a round.
///
/// # Errors
/// Why it cannot be judged.
pub fn none(name: &str, ended: &Ended, seen: &Observed, settings: &Settings) -> anyhow::Result<()> {
    let (code, sentence) = match find(ended, seen, settings) {
        None => return Ok(()),
        Some(found) => found,
    };
    Err(Failure::error(code, format!("{name} {sentence}")))
}

/// The first obstacle there is, as the rest of a sentence about the command.
fn find(ended: &Ended, seen: &Observed, settings: &Settings) -> Option<(u8, String)> {
    let is_counted = matches!(settings.limits, Limits::Iterations { .. });
    if let Some(reason) = &seen.not_recorded {
        return Some((exit::NO_DATA, format!("was not recorded, so nothing can be judged: {reason}")));
    }
    if seen.fell_silent {
        let timeout = sizes::duration(settings.timeout);
        let sentence = match seen.iterations {
            0 => format!("did no iteration within {timeout} (--timeout): {}", how_to_say_so()),
            done => format!("did no further iteration within {timeout} (--timeout), after {done}"),
        };
        return Some((exit::COMMAND_FAILED, sentence));
    }
    if let Some(sentence) = failure(ended, seen) {
        return Some((exit::COMMAND_FAILED, sentence));
    }
    if is_counted && seen.iterations == 0 {
        return Some((exit::NO_DATA, format!("ended and never said that an iteration was over: {}", how_to_say_so())));
    }
    if ended.finished.is_empty() {
        let reason = "no process of it could be recorded, or none lasted; run: leakscope doctor with the same command";
        return Some((exit::NO_DATA, format!("was not recorded, so nothing can be judged: {reason}")));
    }
    if let (true, Some((judged, pid))) = (seen.judged_left && seen.unjudged > MOST_UNJUDGED, &seen.judged) {
        let sentence = format!(
            "started {judged} (pid {pid}), which was judged and ended long before the last iteration: one process has to \
             do all of them (--only names it)"
        );
        return Some((exit::NO_DATA, sentence));
    }
    if seen.checkpoints.is_empty() {
        return Some((exit::NO_DATA, format!("ended before its warm-up was over: {}", too_short(seen, settings))));
    }
    if seen.is_shell {
        let sentence = "only starts programs, and these were not recorded: --follow records all of them, --only names \
                        one of them";
        return Some((exit::NO_DATA, sentence.to_owned()));
    }
    None
}

/// How the command failed, unless we ended it.
fn failure(ended: &Ended, seen: &Observed) -> Option<String> {
    use leakscope_profile::Exit;
    let after = format!("after {} iterations", seen.iterations);
    match ended.exit {
        _ if ended.oom.is_some() => Some(format!("failed: the kernel killed it for want of memory, {after}")),
        _ if seen.was_stopped => None,
        Exit::Code(0) => None,
        Exit::Code(code) => Some(format!("failed: it exited {code}, {after}")),
        Exit::Signal(signal) => Some(format!("failed: it was killed by {}, {after}", messages::signal_name(signal))),
        Exit::Unknown => Some(format!("ended, and how cannot be told, {after}")),
    }
}

fn how_to_say_so() -> &'static str {
    "it has to write a line to $LEAKSCOPE_CTL after each (see leakscope check --help), or growth be counted by --per time"
}

fn too_short(seen: &Observed, settings: &Settings) -> String {
    match settings.limits {
        Limits::Iterations { warmup, .. } => {
            format!("it did {} iterations, of which {warmup} are warm-up (--warmup)", seen.iterations)
        }
        Limits::Time { warmup, .. } => format!("the first {} are warm-up (--warmup)", sizes::duration(warmup)),
    }
}
