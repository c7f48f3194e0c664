//! Sentences and phrases about a recording: what the target is, what was lost, where code is.

use leakscope_analyze::{Amounts, JvmsOwn, SiteFrame};
use leakscope_profile::model::{Exit, Profile};

use crate::path::{cut, without_parameters};
use crate::printable::printable;
use crate::style::Glyphs;
use crate::units::{bytes, duration, thousands, time_utc};

/// `java (pid 41)`.
pub(crate) fn target(profile: &Profile) -> String {
    format!("{} (pid {})", printable(&profile.target.name), profile.target.pid)
}

/// Everything that the first line says about a recording, in parts.
pub(crate) fn recording(profile: &Profile) -> Vec<String> {
    let mut parts = vec![target(profile)];
    if !profile.target.jvm.is_empty() {
        parts.push(format!("JVM {}", printable(&profile.target.jvm)));
    }
    parts.push(format!("up {}", duration(profile.snapshot.uptime_ms)));
    parts.push(format!("snapshot {} ({})", profile.snapshot.index, printable(&profile.snapshot.reason)));
    parts.push(time_utc(profile.snapshot.time_unix_ns, false));
    parts.push(sampling(profile));
    if let Some(exit) = profile.target.exit {
        parts.push(ended(exit));
    }
    parts
}

/// How the process ended.
fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(signal) => match SIGNALS.iter().find(|(number, _)| *number == signal) {
            Some((_, name)) => format!("killed by signal {signal} ({name})"),
            None => format!("killed by signal {signal}"),
        },
        Exit::Unknown => "ended".to_owned(),
    }
}

/// The signals that end processes, as they are numbered on x86-64 and aarch64.
const SIGNALS: [(i32, &str); 14] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (31, "SIGSYS"),
];

/// What of the process was resident, its limit, and why more can be live than that; empty if unknown.
pub(crate) fn memory(profile: &Profile, total: &Amounts) -> Vec<String> {
    let memory = &profile.memory;
    if memory.rss_bytes == 0 {
        return Vec::new();
    }
    let mut parts = vec![format!("resident {}", bytes(memory.rss_bytes as f64))];
    if memory.limit_bytes > 0 {
        parts.push(format!("limit of the container {}", bytes(memory.limit_bytes as f64)));
    }
    if total.live_bytes.low > memory.rss_bytes as f64 {
        parts.push("more is live than is resident: pages that were never touched count as live".to_owned());
    }
    parts
}

/// What the JVM has mapped for itself; `None` if nothing was left out.
pub(crate) fn jvms_own(own: &JvmsOwn) -> Option<String> {
    let mut parts = Vec::new();
    if own.mappings > 0 {
        parts.push(format!("{} of mappings (heap, metaspace, code)", bytes(own.mapped_bytes as f64)));
    }
    if own.threads > 0 {
        parts.push(format!("{} of stacks of {} threads", bytes(own.stack_bytes as f64), own.threads));
    }
    (!parts.is_empty()).then(|| {
        format!("not listed: the JVM's own {}; address space, not resident memory: --all", parts.join(" and "))
    })
}

/// `100 threads live, 800 MiB of stacks reserved, 7 exited`.
pub(crate) fn threads(live_bytes: &str, live: u64, exited: u64) -> String {
    let threads = if live == 1 { "1 thread".to_owned() } else { format!("{} threads", thousands(live as f64)) };
    let exited = if exited > 0 { format!(", {} exited", thousands(exited as f64)) } else { String::new() };
    format!("{threads} live, {live_bytes} of stacks reserved{exited}")
}

/// `4.20 MiB resident`.
pub(crate) fn resident(resident_bytes: u64) -> String {
    format!("{} resident", bytes(resident_bytes as f64))
}

/// `1 sample`, `1,134 samples`.
pub(crate) fn samples(n: u64) -> String {
    if n == 1 { "1 sample".to_owned() } else { format!("{} samples", thousands(n as f64)) }
}

/// `1 sampled free`, `743 sampled frees`.
pub(crate) fn frees(n: u64) -> String {
    if n == 1 { "1 sampled free".to_owned() } else { format!("{} sampled frees", thousands(n as f64)) }
}

/// How the recording was sampled.
pub(crate) fn sampling(profile: &Profile) -> String {
    match profile.settings.interval_bytes {
        0 => "sampling interval unknown".to_owned(),
        1 => "every allocation recorded".to_owned(),
        interval => format!("one sample per {}", bytes(interval as f64)),
    }
}

/// What of the process was not recorded at all, a sentence for each reason.
pub(crate) fn blind_spots(profile: &Profile) -> Vec<String> {
    let target = &profile.target;
    let mut sentences = Vec::new();
    if !target.bypassed_by.is_empty() {
        let file = printable(&target.bypassed_by);
        sentences.push(if target.bypassed_by == target.exe {
            format!("malloc was not recorded: the program {file} has its own, which its calls go to")
        } else {
            format!("malloc was not recorded: the program's calls went to {file}, which was loaded before leakscope's library")
        });
    }
    if !target.inner_allocators.is_empty() {
        let names = target.inner_allocators.iter().map(|name| printable(name)).collect::<Vec<_>>().join(" and ");
        sentences.push(format!(
            "the program has {names} linked into it: what is allocated through that shows only as the memory it maps"
        ));
    }
    sentences
}

/// A frame's function, without its parameters and then cut where it is wider than `width`.
pub(crate) fn fitting_name(frame: &SiteFrame, width: usize, glyphs: &Glyphs) -> String {
    let full = printable(&frame.function);
    if full.chars().count() <= width {
        return full.into_owned();
    }
    cut(without_parameters(&full), width, glyphs)
}

/// Where a frame's code is: `ExceptionLogger.java:88`, `deflate.c:291  libz.so.1`.
pub(crate) fn whereabouts(frame: &SiteFrame) -> String {
    let file = printable(frame.file.rsplit('/').next().unwrap_or_default()).into_owned();
    let line = match (file.is_empty(), frame.line) {
        (true, 0) => String::new(),
        (true, line) => format!("line {line}"),
        (false, 0) => file,
        (false, line) => format!("{file}:{line}"),
    };
    let inlined = if frame.inlined { "(inlined)" } else { "" };
    let library = printable(&frame.library);
    [line.as_str(), inlined, library.as_ref()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("  ")
}
