//! Sentences and phrases about a recording: what the target is, what was lost, where a site is.

use leakscope_analyze::{FrameKind, FrameTable, Place, SiteFrame};
use leakscope_profile::model::{Exit, Profile};

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
    match profile.target.exit {
        Some(Exit::Code(code)) => parts.push(format!("exited {code}")),
        Some(Exit::Signal(signal)) => parts.push(format!("killed by signal {signal}")),
        Some(Exit::Unknown) => parts.push("ended".to_owned()),
        None => {}
    }
    parts
}

/// How the recording was sampled.
pub(crate) fn sampling(profile: &Profile) -> String {
    match profile.settings.interval_bytes {
        0 => "sampling interval unknown".to_owned(),
        1 => "every allocation recorded".to_owned(),
        interval => format!("one sample per {}", bytes(interval as f64)),
    }
}

/// What was lost, a sentence for each kind; the ones that make live memory wrong first.
pub(crate) fn losses<'a>(losses: impl IntoIterator<Item = (&'a String, &'a u64)>) -> Vec<String> {
    let mut lost: Vec<(&str, u64)> =
        losses.into_iter().filter(|(_, n)| **n > 0).map(|(name, n)| (name.as_str(), *n)).collect();
    lost.sort_by_key(|(name, _)| (LOSSES.iter().position(|(known, ..)| known == name).unwrap_or(usize::MAX), *name));
    lost.iter().map(|(name, n)| loss(name, *n)).collect()
}

fn loss(name: &str, n: u64) -> String {
    match LOSSES.iter().find(|(known, ..)| *known == name) {
        Some((_, _, Counted::Bytes, many)) => format!("{} {many}", bytes(n as f64)),
        Some((_, one, Counted::Things, _)) if n == 1 => format!("1 {one}"),
        Some((_, _, Counted::Things, many)) => format!("{} {many}", thousands(n as f64)),
        None => format!("{} {}", thousands(n as f64), printable(name)),
    }
}

enum Counted {
    Things,
    Bytes,
}

/// Name of the counter, what one is, what many are; worst first.
const LOSSES: [(&str, &str, Counted, &str); 12] = [
    (
        "table_full",
        "sampled block did not fit the live table",
        Counted::Things,
        "sampled blocks did not fit the live table (live memory is understated)",
    ),
    ("table_full_bytes", "", Counted::Bytes, "of sampled blocks did not fit the live table"),
    (
        "missed_frees",
        "free bypassed the shim",
        Counted::Things,
        "frees bypassed the shim (live memory may be overstated)",
    ),
    (
        "guard_skipped",
        "sample was suppressed inside leakscope",
        Counted::Things,
        "samples were suppressed inside leakscope",
    ),
    (
        "address_odd",
        "block had an address that cannot be recorded",
        Counted::Things,
        "blocks had addresses that cannot be recorded",
    ),
    ("depot_full", "sample lost its stack", Counted::Things, "samples lost their stacks (their bytes are counted)"),
    ("stack_truncated", "stack was cut", Counted::Things, "stacks were cut"),
    (
        "java_not_ready",
        "sample came before Java stacks were ready",
        Counted::Things,
        "samples came before Java stacks were ready",
    ),
    ("java_refused", "Java stack was refused by the JVM", Counted::Things, "Java stacks were refused by the JVM"),
    ("modules_full", "library could not be listed", Counted::Things, "libraries could not be listed"),
    ("names_full", "Java name was lost", Counted::Things, "Java names were lost"),
    (
        "ring_full",
        "event was dropped from the history",
        Counted::Things,
        "events were dropped from the history (live memory is not affected)",
    ),
];

/// `com.acme.Foo.run:88`.
fn function_line(frame: &SiteFrame) -> String {
    let name = printable(&frame.function);
    if frame.line > 0 { format!("{name}:{}", frame.line) } else { name.into_owned() }
}

/// A site in one line: the reader's own frame, then the way to the allocation: the Java method that entered native
/// code, and the native function that asked for memory.
pub(crate) fn call_path(frames: &FrameTable, place: &Place, glyphs: &Glyphs) -> String {
    let Some(application) = place.application else {
        return match place.frames.is_empty() {
            true => format!("all {} memory", place.kind.as_str()),
            false => "[unknown]".to_owned(),
        };
    };
    let stack: Vec<&SiteFrame> = frames.resolve(&place.frames).collect();
    let first_java = stack.iter().position(|f| f.kind == FrameKind::Java);
    let leaf = stack.iter().position(|f| f.kind == FrameKind::Native);
    let mut path = vec![function_line(stack[application])];
    if let Some(java) = first_java.filter(|at| *at < application) {
        path.push(printable(&stack[java].function).into_owned());
    }
    if let Some(leaf) = leaf.filter(|at| *at < application && first_java.is_none_or(|java| *at < java)) {
        path.push(printable(&stack[leaf].function).into_owned());
    }
    path.join(&format!(" {} ", glyphs.arrow))
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
