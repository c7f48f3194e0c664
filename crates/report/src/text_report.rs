//! `leakscope report` as text: the recording, live memory, the sites, their stacks, what to type next.

use std::fmt::Write;

use leakscope_analyze::{Analysis, By, ERROR_RATE, FrameTable, Place, Site, SiteFrameId, Sites, Sums};
use leakscope_profile::model::{Kind, Profile};

use crate::changes;
use crate::loss_words;
use crate::path::{CallPath, paths};
use crate::printable::printable;
use crate::style::{Ink, TextOptions};
use crate::table::{ALWAYS, Align, Column, Table};
use crate::text_rss::text_rss;
use crate::text_verdict::{suspects, verdict_head};
use crate::units::{bytes_estimate, count_estimate, duration, percent, thousands};
use crate::words;

/// A site below this is small, bytes.
const SMALL_BYTES: f64 = 1024.0 * 1024.0;
/// From this share on a site's stack is printed.
const SHARE_OF_DETAILS: f64 = 0.03;
/// The same for a site of the JVM itself, where the reader can change nothing.
const JVMS_SHARE_OF_DETAILS: f64 = 0.10;

/// The report of one profile, and of the whole recording where that was analysed. Every estimate bears its error.
///
/// Small sites of the JVM itself are one line of the table, unless `options.sites` is `usize::MAX`.
pub fn text_report(profile: &Profile, sites: &Sites, analysis: Option<&Analysis>, options: &TextOptions) -> String {
    let mut text = analysis.map(|analysis| verdict_head(analysis, options)).unwrap_or_default();
    text.push_str(&head(profile, sites, options));
    if let Some(analysis) = analysis {
        text.push_str(&analysis.rss.as_ref().map(|rss| text_rss(rss, options)).unwrap_or_default());
        text.push_str(&suspects(analysis, options));
    }
    let live = sites.sites.iter().filter(|site| site.amounts.samples > 0);
    let (folded, listed): (Vec<&Site>, Vec<&Site>) = live.partition(|site| !options.is_all() && is_noise(site));
    // One of its kind needs no summary.
    let (folded, listed) = match folded.len() {
        1 => (Vec::new(), sites.sites.iter().filter(|site| site.amounts.samples > 0).collect()),
        _ => (folded, listed),
    };
    if folded.is_empty() && listed.is_empty() {
        text.push_str("\nnothing that was sampled is live\n");
    } else {
        text.push_str(&table(sites, &listed, &folded, options));
    }
    let least = |site: &Site| if site.place.is_jvms_own { JVMS_SHARE_OF_DETAILS } else { SHARE_OF_DETAILS };
    let matter = |at: usize, site: &Site| at == 0 || site.share >= least(site);
    for (at, site) in listed.iter().take(options.stacks.min(options.sites)).enumerate() {
        // A group's only frame is in the table already.
        if sites.by == By::Stack && matter(at, site) {
            text.push_str(&stack(at + 1, sites, site, options));
        }
    }
    let next = options.next_line();
    if !next.is_empty() {
        let _ = write!(text, "\n{next}");
    }
    text
}

/// Whether a site is one of the many small ones that every JVM has.
fn is_noise(site: &Site) -> bool {
    let is_small = site.amounts.live_bytes.estimate < SMALL_BYTES;
    let is_one_small = site.live.samples == 1 && (site.live.bytes_observed as f64) < SMALL_BYTES;
    site.place.is_jvms_own && (is_small || is_one_small)
}

fn head(profile: &Profile, sites: &Sites, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let total = &sites.total;
    let mut text = format!("{}\n", options.parts(&words::recording(profile), 2));
    let (losses, blind) = (loss_words::losses(&profile.losses), words::blind_spots(profile));
    for spot in &blind {
        let _ = writeln!(text, "{}", options.paint(Ink::Bad, &options.sentence(&format!("warning: {spot}"), 2)));
    }
    if losses.is_empty() {
        let lost = if blind.is_empty() { "nothing was lost\n" } else { "nothing else was lost\n" };
        text.push_str(lost);
    } else {
        let _ = writeln!(text, "{}", options.sentence(&format!("lost: {}", losses.join("; ")), 2));
    }
    if let Some(raised) = changes::raised(&profile.settings.changes) {
        let _ = writeln!(text, "{}", options.sentence(&raised, 2));
    }
    for note in &options.notes {
        let _ = writeln!(text, "{}", options.sentence(&printable(note), 2));
    }
    let mut live = format!("live {}", bytes_estimate(&total.live_bytes, glyphs));
    if !total.live_objects.is_vague() {
        live.push_str(&format!(" in {} objects", count_estimate(&total.live_objects, glyphs)));
    }
    let mut parts = vec![live];
    parts.push(format!("{} allocated since the start", bytes_estimate(&total.allocated_bytes, glyphs)));
    parts.push(words::samples(total.samples));
    let _ = writeln!(text, "\n{}", options.paint(Ink::Strong, &options.parts(&parts, 2)));
    let memory = words::memory(profile, total);
    if !memory.is_empty() {
        let _ = writeln!(text, "{}", options.parts(&memory, 2));
    }
    if let Some(own) = words::jvms_own(&sites.jvms_own) {
        let _ = writeln!(text, "{}", options.sentence(&own, 2));
    }
    text
}

const COLUMNS: [Column; 6] = [
    Column { name: "#", align: Align::Right, rank: ALWAYS },
    Column { name: "live", align: Align::Right, rank: ALWAYS },
    Column { name: "share", align: Align::Right, rank: ALWAYS },
    Column { name: "samples", align: Align::Right, rank: 2 },
    Column { name: "objects", align: Align::Right, rank: 1 },
    Column { name: "kind", align: Align::Left, rank: 3 },
];

fn table(sites: &Sites, listed: &[&Site], folded: &[&Site], options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let shown = &listed[..listed.len().min(options.sites)];
    let mut table = Table::new(&COLUMNS, "what");
    for (at, site) in shown.iter().enumerate() {
        let amounts = &site.amounts;
        let objects =
            if amounts.live_objects.is_vague() { String::new() } else { count_estimate(&amounts.live_objects, glyphs) };
        table.row(
            None,
            vec![
                (at + 1).to_string(),
                bytes_estimate(&amounts.live_bytes, glyphs),
                percent(site.share),
                thousands(amounts.samples as f64),
                objects,
                site.place.kind.as_str().to_owned(),
            ],
        );
    }
    let mut together = Sums::default();
    folded.iter().for_each(|site| together.add(&site.live));
    if !folded.is_empty() {
        let share = folded.iter().map(|site| site.share).sum();
        let live = bytes_estimate(&together.bytes_estimate(ERROR_RATE), glyphs);
        let samples = thousands(together.samples as f64);
        table.row(Some(Ink::Dim), vec![String::new(), live, percent(share), samples, String::new(), String::new()]);
    }
    let places: Vec<_> = shown.iter().map(|site| &site.place).collect();
    let mut last = paths(&sites.frames, &places, table.width_of_last(options), glyphs);
    last.push(CallPath::text(format!("{} small sites of the JVM: --all", folded.len())));
    let mut text = format!("\n{}\n{}", options.paint(Ink::Strong, "SITES"), table.print(&last, options));
    if listed.len() > shown.len() {
        let _ = writeln!(text, "  ({} smaller ones more: --all)", listed.len() - shown.len());
    }
    text
}

/// One site in full: its numbers, its stack from the leaf, who frees it.
fn stack(number: usize, sites: &Sites, site: &Site, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let amounts = &site.amounts;
    let mut parts = vec![
        format!("{number}  {}", bytes_estimate(&amounts.live_bytes, glyphs)),
        format!("{} live", site.place.kind.as_str()),
        words::samples(amounts.samples),
        format!("{} allocated", bytes_estimate(&amounts.allocated_bytes, glyphs)),
    ];
    if site.place.kind == Kind::Thread {
        let live = bytes_estimate(&amounts.live_bytes, glyphs);
        parts = vec![format!("{number}  {}", words::threads(&live, amounts.samples, amounts.freed.total()))];
    }
    if let Some(resident) = amounts.resident_bytes {
        parts.push(words::resident(resident));
    }
    if let Some(age) = site.oldest_age_ms {
        parts.push(format!("oldest block {} old", duration(age)));
    }
    parts.push(format!("site {}", site.place.id));
    let mut text = format!("\n{}\n", options.paint(Ink::Strong, &options.parts(&parts, 3)));
    text.push_str(&stack_lines(&sites.frames, &site.place, options));
    if site.place.kind != Kind::Thread {
        let freed = format!("    freed by: {}", freed_by(site));
        let _ = writeln!(text, "{}", options.sentence(&freed, 6));
    }
    text
}

/// A frame that is repeated so often is shown once.
const FEWEST_REPEATS: usize = 3;

/// A stack from the leaf, the reader's own frame marked.
pub(crate) fn stack_lines(table: &FrameTable, place: &Place, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let mut text = String::new();
    let frames: Vec<_> = table.resolve(&place.frames).collect();
    let whereabouts: Vec<String> = frames.iter().map(|frame| words::whereabouts(frame)).collect();
    let beside = whereabouts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    // Names get what files and libraries leave of the line.
    let most = options.columns.map_or(usize::MAX, |columns| columns.saturating_sub(beside + 6).max(32));
    let names: Vec<String> = frames.iter().map(|frame| words::fitting_name(frame, most, glyphs)).collect();
    let width = names.iter().map(|name| name.chars().count().min(72)).max().unwrap_or(0);
    let mut at = 0;
    while let (Some(name), Some(whereabouts)) = (names.get(at), whereabouts.get(at)) {
        let own = Some(at) == place.application;
        let line = format!("  {} {name:<width$}  {whereabouts}", if own { ">" } else { " " });
        let line = line.trim_end();
        let _ = writeln!(text, "{}", if own { options.paint(Ink::Strong, line) } else { line.to_owned() });
        at += 1;
        // A recursion is told, and not shown frame by frame.
        let again = place.frames[at..].iter().enumerate();
        let is_same = |(more, frame): &(usize, &SiteFrameId)| {
            **frame == place.frames[at - 1] && Some(at + more) != place.application
        };
        let again = again.take_while(is_same).count();
        if again >= FEWEST_REPEATS {
            let _ = writeln!(text, "      ({} times more)", thousands(again as f64));
            at += again;
        }
    }
    text
}

fn freed_by(site: &Site) -> String {
    let freed = &site.amounts.freed;
    match (freed.gc_share(), freed.by_app, freed.by_gc) {
        (None, ..) => "no sampled block of it was ever freed".to_owned(),
        (Some(_), app, 0) => format!("the application ({})", words::frees(app)),
        (Some(_), 0, gc) => format!("the garbage collector ({})", words::frees(gc)),
        (Some(share), app, gc) => format!(
            "the garbage collector {} of {} sampled frees, the application {}",
            percent(share),
            thousands(freed.total() as f64),
            if app <= gc { thousands(app as f64) } else { "the rest".to_owned() },
        ),
    }
}
