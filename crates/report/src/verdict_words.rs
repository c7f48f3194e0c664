//! Verdicts, reasons and fixes as sentences.

use leakscope_analyze::{
    Analysis, Coincidence, Confidence, Event, Fix, Forecast, FrameKind, FrameTable, GC_SHARE, Place, Reason, Remedy,
    Shape, SiteFrame, Steps, Suspect, Verdict, VerdictId,
};
use leakscope_profile::timeline::Class;

use crate::path::CallPath;
use crate::printable::printable;
use crate::style::Glyphs;
use crate::units::{bytes, bytes_change, bytes_estimate, duration, percent, thousands};
use crate::words;

/// What a row of resident memory is called.
pub(crate) fn row_name(class: Class) -> &'static str {
    match class {
        Class::JavaHeap => "the Java heap",
        Class::Allocator => "what the allocator holds",
        Class::MappedAnon => "anonymous mappings",
        Class::MappedFile => "mapped files",
        Class::Stacks => "thread stacks",
        Class::Jvm => "the JVM's own memory (metaspace, code, collector)",
        Class::Files => "libraries and files",
        Class::Leakscope => "leakscope",
        Class::Unexplained => "memory that is not explained",
    }
}

/// The verdict in a sentence, with its word in front.
pub(crate) fn verdict_line(analysis: &Analysis, verdict: &Verdict, glyphs: &Glyphs) -> String {
    format!("{}  {}", verdict.id.as_str(), sentence(analysis, verdict, glyphs))
}

/// The first line where nothing is wrong.
pub(crate) fn nothing_grows(analysis: &Analysis, glyphs: &Glyphs) -> String {
    let changes = match &analysis.tracked {
        Some(trend) => format!(": what is live changes by {}/h", bytes_change(&trend.rate, glyphs)),
        None => String::new(),
    };
    let snapshots = analysis.window.map_or(0, |window| window.last + 1 - window.first);
    format!("nothing grows beyond chance{changes}, over {snapshots} snapshots")
}

/// What is wrong, in a sentence without its word.
pub(crate) fn sentence(analysis: &Analysis, verdict: &Verdict, glyphs: &Glyphs) -> String {
    let suspect = verdict.suspect.and_then(|at| analysis.suspects.get(at));
    let place = suspect.map(|suspect| own_frame(&analysis.frames, &suspect.place, glyphs)).unwrap_or_default();
    let rate = verdict.rate.map(|rate| format!("{}/h", bytes_change(&rate, glyphs))).unwrap_or_default();
    let unseen = "not a leak in your code that leakscope can see";
    match (verdict.id, suspect) {
        (VerdictId::Leak, _) => format!("{place} grows {rate}{}{}", since(verdict), leak_tail(verdict)),
        (VerdictId::GcBound, Some(suspect)) => {
            let what = resource(&analysis.frames, &suspect.place);
            let grows = if suspect.shape == Shape::Growing {
                format!(", {rate}{}", since(verdict))
            } else {
                format!(", {} live", bytes_estimate(&suspect.live_bytes, glyphs))
            };
            format!("native memory of {what}, made by {place}{grows}: {}", released(verdict))
        }
        (VerdictId::Staircase, Some(suspect)) => match &suspect.steps {
            Some(steps) => format!("{place} grows in {}", steps_phrase(steps, glyphs)),
            None => format!("{place} grows in steps, {rate}"),
        },
        (VerdictId::Threads, _) => format!("{}, made by {place}", more_threads(verdict)),
        (VerdictId::Allocator, _) => {
            let is_flat = verdict.reasons.iter().any(|reason| matches!(reason, Reason::TrackedFlat { .. }));
            let tail = if is_flat { ", while what is live is flat" } else { "" };
            format!("{unseen}: the allocator keeps memory that was freed, {rate}{tail}")
        }
        (VerdictId::Jvm, Some(_)) => format!("{unseen}: the JVM allocates for itself in {place}, {rate}"),
        (VerdictId::Jvm | VerdictId::Heap | VerdictId::Files, _) => {
            let row = verdict.row.map_or("a row of resident memory", row_name);
            format!("{unseen}: {row} {}, {rate}", if row.ends_with('s') { "grow" } else { "grows" })
        }
        (VerdictId::Bounded, Some(suspect)) => format!(
            "{place} filled up to {} and has been flat {}: looks like a cache, not a leak",
            bytes_estimate(&suspect.live_bytes, glyphs),
            flat_since(suspect),
        ),
        (VerdictId::Startup, Some(suspect)) => format!(
            "{place} grew to {} while the program started, flat {}: not a leak",
            bytes_estimate(&suspect.live_bytes, glyphs),
            flat_since(suspect),
        ),
        (VerdictId::Unknown, _) => unknown(analysis, verdict, &rate, glyphs),
        (_, None) => rate,
    }
}

fn unknown(analysis: &Analysis, verdict: &Verdict, rate: &str, glyphs: &Glyphs) -> String {
    if let Some(Reason::TooFewSnapshots { have, need }) = verdict.reasons.first() {
        let have = if *have == 1 { "one snapshot".to_owned() } else { format!("{have} snapshots") };
        return format!("{have}: growth takes at least {need}; --interval takes them more often");
    }
    let mostly = verdict.reasons.iter().find_map(|reason| match reason {
        Reason::MostlyAt { suspect, bytes } => Some((analysis.suspects.get(*suspect)?, *bytes)),
        _ => None,
    });
    let unclear = verdict.reasons.iter().find_map(|reason| match reason {
        Reason::TrackedUnclear { rate } => Some(rate),
        _ => None,
    });
    let grows = format!("resident memory grows {rate}");
    match (mostly, unclear) {
        (Some((suspect, grew)), _) => format!(
            "{grows}; most of what is live came at {}, {}, not for long enough to be called a leak: record longer, or with a shorter \
             --interval",
            own_frame(&analysis.frames, &suspect.place, glyphs),
            bytes(grew),
        ),
        (None, Some(live)) if live.low > 0.0 => format!(
            "{grows} and what is live by {}/h, at no place clearly: record longer, or with a smaller --sample",
            bytes_change(live, glyphs)
        ),
        (None, Some(live)) => format!(
            "{grows}; what is live, {}/h, is not beyond chance yet: record longer, or with a smaller --sample",
            bytes_change(live, glyphs)
        ),
        (None, None) => format!("{grows}, and nothing that is measured explains it"),
    }
}

/// Who releases it.
fn released(verdict: &Verdict) -> String {
    let share = verdict.reasons.iter().find_map(|reason| match reason {
        Reason::FreedBy { gc_share, .. } if *gc_share < GC_SHARE => Some(*gc_share),
        _ => None,
    });
    match share {
        Some(share) => format!("not always closed, {} of its frees are the garbage collector's", percent(share)),
        None => "released only by the garbage collector".to_owned(),
    }
}

/// ` since 40 m after the start`, where it began late.
fn since(verdict: &Verdict) -> String {
    verdict.began_ms().map(|at_ms| format!(" since {} after the start", duration(at_ms))).unwrap_or_default()
}

fn leak_tail(verdict: &Verdict) -> &'static str {
    let has = |test: fn(&Reason) -> bool| verdict.reasons.iter().any(test);
    let survives = has(|reason| matches!(reason, Reason::SurvivesFullGcs { .. }));
    let never = has(|reason| matches!(reason, Reason::NeverFreed { .. }));
    let unproven = has(|reason| matches!(reason, Reason::NoFullGc));
    let fell = has(|reason| matches!(reason, Reason::FallsOnlyAtGc { .. }));
    match (survives, unproven, never) {
        _ if fell => "; a full collection released much of it, so this is unproven",
        (true, _, true) => ", survives full collections, and nothing ever frees it",
        (true, ..) => ", survives full collections",
        (_, true, _) => "; no full collection was seen, so this is unproven",
        (_, _, true) => ", and nothing ever frees it",
        _ => "",
    }
}

fn flat_since(suspect: &Suspect) -> String {
    match suspect.shape {
        Shape::Bounded { flat_since_ms } | Shape::Startup { flat_since_ms } => {
            format!("since {} after the start", duration(flat_since_ms))
        }
        _ => String::new(),
    }
}

fn more_threads(verdict: &Verdict) -> String {
    let surge = verdict.reasons.iter().find_map(|reason| match reason {
        Reason::MoreThreads { from, to, in_ms, .. } => {
            Some(format!("{} to {} threads in {}", thousands(*from as f64), thousands(*to as f64), duration(*in_ms)))
        }
        _ => None,
    });
    surge.unwrap_or_else(|| "more threads".to_owned())
}

/// `9 steps of +412 MiB ±0, one every 20 s, with mark "task restart"`.
fn steps_phrase(steps: &Steps, glyphs: &Glyphs) -> String {
    let mut text = format!("{} steps of {}", steps.at_ms.len(), bytes_change(&steps.size, glyphs));
    if let Some(period) = steps.period_ms {
        text.push_str(&format!(", one every {}", duration(period)));
    }
    if let Some(coincidence) = steps.coincides.first() {
        text.push_str(&format!(", {}", event(coincidence)));
    }
    text
}

fn event(coincidence: &Coincidence) -> String {
    match &coincidence.with {
        Event::Mark(text) => format!("at mark \"{}\"", printable(text)),
        Event::ThreadBurst => "when threads start or end".to_owned(),
        Event::Gc => "at collections".to_owned(),
        Event::FullGc => "at full collections".to_owned(),
        Event::EveryHour => "on the hour".to_owned(),
    }
}

/// The reader's own frame, short: `ExceptionLogger.compress:88`.
pub(crate) fn own_frame(frames: &FrameTable, place: &Place, glyphs: &Glyphs) -> String {
    CallPath::own(frames, place).fit(64, glyphs)
}

/// The class whose native memory it is: that of the Java method that entered native code.
fn resource(frames: &FrameTable, place: &Place) -> String {
    let java = frames.resolve(&place.frames).find(|frame| frame.kind == FrameKind::Java);
    let name = java.map_or("[unknown]", |frame| frame.function.as_str());
    let name = if name.contains("Unsafe.allocateMemory") { second_java(frames, place).unwrap_or(name) } else { name };
    printable(name.rsplit_once('.').map_or(name, |(class, _)| class)).into_owned()
}

/// Unsafe allocates for whoever calls it.
fn second_java<'f>(frames: &'f FrameTable, place: &'f Place) -> Option<&'f str> {
    let java = frames.resolve(&place.frames).filter(|frame| frame.kind == FrameKind::Java);
    java.map(|frame| frame.function.as_str()).find(|function| !function.contains("Unsafe.allocateMemory"))
}

/// `resident 3.41 GiB of 4.00 GiB`, `full in 21 m (16 m to 29 m) at this rate`.
pub(crate) fn forecast(forecast: &Forecast) -> Vec<String> {
    let resident = bytes(forecast.rss_bytes as f64);
    let mut parts = vec![match forecast.limit_bytes {
        Some(limit) => format!("resident {resident}, limit {}", bytes(limit as f64)),
        None => format!("resident {resident}, no limit"),
    }];
    if let Some(range) = forecast.full_in_ms {
        let latest = range.latest_ms.map_or_else(|| "never".to_owned(), duration);
        parts.push(format!(
            "out of memory in {} ({} to {latest}) at this rate",
            duration(range.estimate_ms),
            duration(range.earliest_ms),
        ));
    }
    parts
}

/// Why, in a phrase.
pub(crate) fn reason(reason: &Reason, glyphs: &Glyphs) -> String {
    match reason {
        Reason::Grows { rate, snapshots } => {
            format!("grows {}/h, seen over {snapshots} snapshots", bytes_change(rate, glyphs))
        }
        Reason::BeganLate { at_ms } => format!("began {} after the start: flat before", duration(*at_ms)),
        Reason::SurvivesFullGcs { full_gcs: 1 } => "survives: a full collection did not release it".to_owned(),
        Reason::SurvivesFullGcs { full_gcs } => format!("survives: {full_gcs} full collections did not release it"),
        Reason::NoFullGc => {
            "unproven: no full collection was seen, so it may be garbage: leakscope probe gc".to_owned()
        }
        Reason::NeverFreed { samples } => {
            format!("freed by nobody: not one of its sampled blocks ({} live) was freed", thousands(*samples as f64))
        }
        Reason::FreedBy { gc_share, frees } => freed_by(*gc_share, *frees),
        Reason::MayBeFilling => "a cache that still fills looks the same; it stops, a leak does not".to_owned(),
        Reason::FallsOnlyAtGc { falls, full } => {
            let times = if *falls == 1 { "once,".to_owned() } else { format!("{falls} times, each") };
            format!("falls: {times} at a {}collection", if *full { "full " } else { "" })
        }
        Reason::Holds { live, of_resident } => {
            let part = of_resident.map(|part| format!(", {} of what is resident", percent(part))).unwrap_or_default();
            format!("holds {}{part}", bytes_estimate(live, glyphs))
        }
        Reason::NeverTouched => "more is allocated than is resident: part of it was never touched".to_owned(),
        Reason::Steps(steps) => {
            format!("steps: {}, {} of its growth", steps_phrase(steps, glyphs), percent(steps.share))
        }
        Reason::FlatSince { since_ms, rate } => {
            format!("flat since {} after the start ({}/h)", duration(*since_ms), bytes_change(rate, glyphs))
        }
        Reason::MoreThreads { from, to, in_ms, at_ms, exited } => format!(
            "{} to {} threads in {}, {} after the start; {} of this place have ended",
            thousands(*from as f64),
            thousands(*to as f64),
            duration(*in_ms),
            duration(*at_ms),
            if *exited == 0 { "none".to_owned() } else { thousands(*exited as f64) },
        ),
        Reason::TrackedFlat { rate } => format!("what is live: {}/h", bytes_change(rate, glyphs)),
        Reason::TrackedUnclear { rate } => format!(
            "what is live: {}/h, not beyond chance: record longer, or with a smaller --sample",
            bytes_change(rate, glyphs)
        ),
        Reason::MostlyAt { bytes: grew, .. } => format!("most of what is live came at one place: {}", bytes(*grew)),
        Reason::RowGrows { class, rate } => format!("{}: {}/h", row_name(*class), bytes_change(rate, glyphs)),
        Reason::ResidentGrows { rate } => format!("resident memory: {}/h", bytes_change(rate, glyphs)),
        Reason::TooFewSnapshots { have, need } => format!("{have} snapshots, a trend takes {need}"),
        Reason::MissedFrees { count } => {
            format!("doubtful: {} frees bypassed the recording", thousands(*count as f64))
        }
    }
}

fn freed_by(gc_share: f64, frees: u64) -> String {
    let frees = words::frees(frees);
    match gc_share {
        share if share >= 1.0 => format!("freed by the garbage collector's threads alone ({frees})"),
        share if share <= 0.0 => format!("freed by your threads alone ({frees})"),
        share => format!(
            "freed by the garbage collector's threads {}, by your threads {} ({frees})",
            percent(share),
            percent(1.0 - share)
        ),
    }
}

/// How sure, where that is worth a word.
pub(crate) fn confidence(confidence: Confidence) -> String {
    format!("confidence {}", confidence.as_str())
}

/// What to do, in a sentence or two.
pub(crate) fn fix(fix: &Fix) -> String {
    let at = fix.at.as_ref().map(location).unwrap_or_default();
    let what = fix.what.as_deref().map(|what| printable(what).into_owned()).unwrap_or_default();
    let short = what.rsplit('.').next().unwrap_or_default().to_owned();
    match fix.remedy {
        Remedy::Close => format!("It is not closed. Use try-with-resources around the {short}{at}."),
        Remedy::End => format!("Call end() on the {short}{at}, in a finally block."),
        Remedy::DirectBuffer => format!(
            "Direct buffers are released when their Java objects are collected. Reuse them{at}, or bound them by \
             -XX:MaxDirectMemorySize."
        ),
        Remedy::Unmap => format!(
            "Mapped files are unmapped when their Java objects are collected. Map once and reuse{at}, or map through \
             an Arena that is closed."
        ),
        Remedy::CloseRocksObject => format!(
            "Close every RocksDB object{at}: iterators, options, snapshots and column families hold native memory \
             until close()."
        ),
        Remedy::BoundRocksCaches => format!(
            "RocksDB holds this for itself{at}: memtables and the block cache, which its options bound. Iterators and snapshots that \
             are not closed keep it longer."
        ),
        Remedy::ReleaseToPool => {
            "A pool grows while its buffers are not released, and who asked for the next chunk need not be who keeps one: \
             -Dio.netty.leakDetection.level=paranoid names the line."
                .to_owned()
        }
        Remedy::ReleaseNetty => {
            format!("Release the buffer{at}; -Dio.netty.leakDetection.level=paranoid names the ones that are not.")
        }
        Remedy::CloseOffHeap => format!("Close what {short} gave{at}: it holds memory outside the heap until close()."),
        Remedy::CloseArena => format!("Close the Arena{at}; Arena.ofAuto() waits for the garbage collector."),
        Remedy::FreeNative if what.is_empty() => {
            format!("What is allocated{at} is never given back: call the library's own close or free.")
        }
        Remedy::FreeNative => {
            format!("What {what} allocates{at} is never given back: call the library's own close or free.")
        }
        Remedy::Free => format!("free or delete what is allocated{at}."),
        Remedy::DeleteGlobalRef => format!("Delete the global references of JNI that are made{at}."),
        Remedy::ReuseClasses => format!("Classes are defined again and again{at}: define them once."),
        Remedy::BoundThreads => format!("Bound the pool, or shut it down: its threads are started{at}."),
        Remedy::TrimAllocator => {
            "Fewer arenas (MALLOC_ARENA_MAX=2), trimming (-XX:TrimNativeHeapInterval=5000 on JDK 17.0.9 and later), or \
             another allocator (LD_PRELOAD of jemalloc)."
                .to_owned()
        }
        Remedy::TrackJvm => "-XX:NativeMemoryTracking=summary tells which part of the JVM it is.".to_owned(),
        Remedy::BoundHeap => "Look at the heap: a smaller -Xmx, or a heap dump.".to_owned(),
    }
}

/// ` at ExceptionLogger.java:88`, ` in fill (app)`.
fn location(frame: &SiteFrame) -> String {
    let file = printable(frame.file.rsplit('/').next().unwrap_or_default()).into_owned();
    match (file.is_empty(), frame.line) {
        (false, line) if line > 0 => format!(" at {file}:{line}"),
        _ => format!(" in {}", printable(&frame.function)),
    }
}

/// The words of a suspect, or what it looks like.
pub(crate) fn suspect_word(suspect: &Suspect) -> String {
    if !suspect.words.is_empty() {
        return suspect.words.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(" ");
    }
    let looks = match suspect.shape {
        Shape::Flat => "flat",
        Shape::Shrinking => "shrinks",
        Shape::Bounded { .. } => "bounded",
        Shape::Startup { .. } => "startup",
        Shape::Growing | Shape::Unknown => "unclear",
    };
    looks.to_owned()
}

/// Who frees, in a word or two.
pub(crate) fn freed_word(suspect: &Suspect) -> String {
    let frees = suspect.freed.frees_app.saturating_add(suspect.freed.frees_gc);
    let share = suspect.freed.frees_gc as f64 / frees.max(1) as f64;
    match (frees, share) {
        (0, _) => "never".to_owned(),
        (_, share) if share >= 0.995 => "GC".to_owned(),
        (_, share) if share >= 0.1 => format!("GC {:.0} %", 100.0 * share),
        _ => "app".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_named() {
        let mut free = Fix { remedy: Remedy::FreeNative, what: None, at: None };
        assert_eq!(super::fix(&free), "What is allocated is never given back: call the library's own close or free.");
        free.what = Some("org.x.Codec".to_owned());
        assert!(super::fix(&free).starts_with("What org.x.Codec allocates is never given back"));
    }
}
