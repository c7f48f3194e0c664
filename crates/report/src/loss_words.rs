//! What was lost, in words: every counter of the session and of the desk has its sentence here.

use crate::printable::printable;
use crate::units::{bytes, thousands};

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

/// Name of the counter, what one is, what many are; worst first. Every loss that there is has words (tests/losses.rs).
const LOSSES: &[(&str, &str, Counted, &str)] = &[
    (
        "table_full",
        "sampled block did not fit the live table (live memory is understated)",
        Counted::Things,
        "sampled blocks did not fit the live table (live memory is understated)",
    ),
    ("table_full_bytes", "", Counted::Bytes, "of sampled blocks did not fit the live table"),
    (
        "regions_full",
        "mapping did not fit the table of mappings (mapped memory is understated)",
        Counted::Things,
        "mappings did not fit the table of mappings (mapped memory is understated)",
    ),
    ("regions_full_bytes", "", Counted::Bytes, "of mappings did not fit the table of mappings"),
    (
        "threads_full",
        "thread did not fit the table of threads (it is missing)",
        Counted::Things,
        "threads did not fit the table of threads (they are missing)",
    ),
    (
        "missed_frees",
        "free bypassed the shim (live memory may be overstated)",
        Counted::Things,
        "frees bypassed the shim (live memory may be overstated)",
    ),
    (
        "entries_damaged",
        "entry of the session made no sense and was left out",
        Counted::Things,
        "entries of the session made no sense and were left out",
    ),
    (
        "guard_skipped",
        "sample fell into leakscope's own work and was left out",
        Counted::Things,
        "samples fell into leakscope's own work and were left out",
    ),
    (
        "no_stack_room",
        "sample was left out because its call was near the end of a small stack",
        Counted::Things,
        "samples were left out because their calls were near the end of small stacks",
    ),
    (
        "address_odd",
        "block had an address that cannot be recorded",
        Counted::Things,
        "blocks had addresses that cannot be recorded",
    ),
    (
        "bad_probability",
        "sample had an impossible probability and counts once",
        Counted::Things,
        "samples had impossible probabilities and count once each",
    ),
    (
        "snapshots_unwritten",
        "earlier snapshot could not be written",
        Counted::Things,
        "earlier snapshots could not be written",
    ),
    (
        "timeline_unwritten",
        "line of the timeline could not be written",
        Counted::Things,
        "lines of the timeline could not be written",
    ),
    (
        "stacks_merged",
        "stack, of the smallest, is summed up as [other stacks]",
        Counted::Things,
        "stacks, the smallest, are summed up as [other stacks]",
    ),
    (
        "rows_full",
        "live block is summed up as [other stacks]: there were too many to tell apart",
        Counted::Things,
        "live blocks are summed up as [other stacks]: there were too many to tell apart",
    ),
    (
        "frames_full",
        "frame is shown as [truncated]: there were too many different ones",
        Counted::Things,
        "frames are shown as [truncated]: there were too many different ones",
    ),
    (
        "depot_full",
        "sample lost its stack (its bytes are counted)",
        Counted::Things,
        "samples lost their stacks (their bytes are counted)",
    ),
    (
        "stack_truncated",
        "stack misses its outermost callers (too deep, or not readable)",
        Counted::Things,
        "stacks miss their outermost callers (too deep, or not readable)",
    ),
    (
        "java_not_ready",
        "sample from the start of the JVM has no Java frames",
        Counted::Things,
        "samples from the start of the JVM have no Java frames",
    ),
    (
        "java_refused",
        "sample has no Java frames because the JVM gave none",
        Counted::Things,
        "samples have no Java frames because the JVM gave none",
    ),
    (
        "modules_full",
        "library could not be listed: its functions have no names",
        Counted::Things,
        "libraries could not be listed: their functions have no names",
    ),
    (
        "classes_unnamed",
        "class got no method ids (there were too many, or it was loaded a thousand times): its methods have no names",
        Counted::Things,
        "classes got no method ids (there were too many, or of one name): their methods have no names",
    ),
    ("names_full", "Java method has no name", Counted::Things, "Java methods have no names"),
    (
        "missed_unmaps",
        "unmapping bypassed the shim; noticed since, and set right",
        Counted::Things,
        "unmappings bypassed the shim; noticed since, and set right",
    ),
    (
        "regions_contended",
        "change of a mapping met another thread's; set right since",
        Counted::Things,
        "changes of mappings met another thread's; set right since",
    ),
    (
        "ring_full",
        "event was dropped from the history (live memory is not affected)",
        Counted::Things,
        "events were dropped from the history (live memory is not affected)",
    ),
    (
        "ring_torn",
        "event of the history was half-written (live memory is not affected)",
        Counted::Things,
        "events of the history were half-written (live memory is not affected)",
    ),
    (
        "ring_skipped",
        "event of the history was never finished (live memory is not affected)",
        Counted::Things,
        "events of the history were never finished (live memory is not affected)",
    ),
];
