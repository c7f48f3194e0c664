//! `leakscope report` as text: the recording, live memory, the sites, their stacks, what to type next.

use std::fmt::Write;

use leakscope_analyze::{Amounts, Site, Sites};
use leakscope_profile::model::Profile;

use crate::printable::printable;
use crate::style::{Ink, TextOptions};
use crate::table::{Align, Table};
use crate::units::{bytes_estimate, count_estimate, duration, percent, thousands};
use crate::words;

/// The report of one profile. Every estimate bears its error.
pub fn text_report(profile: &Profile, sites: &Sites, options: &TextOptions) -> String {
    let mut text = head(profile, &sites.total, options);
    let live: Vec<&Site> = sites.sites.iter().filter(|site| site.amounts.samples > 0).collect();
    if live.is_empty() {
        text.push_str("\nnothing that was sampled is live\n");
    } else {
        text.push_str(&table(sites, &live, options));
        for (at, site) in live.iter().take(options.stacks.min(options.sites)).enumerate() {
            text.push_str(&stack(at + 1, sites, site, options));
        }
    }
    let next = options.next_line();
    if !next.is_empty() {
        let _ = write!(text, "\n{next}");
    }
    text
}

fn head(profile: &Profile, total: &Amounts, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let separator = format!(" {} ", glyphs.dot);
    let mut text = format!("{}\n", words::recording(profile).join(&separator));
    let losses = words::losses(&profile.losses);
    if losses.is_empty() {
        text.push_str("nothing was lost\n");
    } else {
        let _ = writeln!(text, "lost: {}", losses.join("; "));
    }
    let live = format!("live {}", bytes_estimate(&total.live_bytes, glyphs));
    let _ = writeln!(
        text,
        "\n{} in {} objects{separator}{} allocated since the start{separator}{} samples",
        options.paint(Ink::Strong, &live),
        count_estimate(&total.live_objects, glyphs),
        bytes_estimate(&total.allocated_bytes, glyphs),
        thousands(total.samples as f64),
    );
    text
}

fn table(sites: &Sites, live: &[&Site], options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let mut table = Table::new(&[
        ("#", Align::Right),
        ("live", Align::Right),
        ("objects", Align::Right),
        ("samples", Align::Right),
        ("share", Align::Right),
        ("kind", Align::Left),
        ("what", Align::Left),
    ]);
    for (at, site) in live.iter().take(options.sites).enumerate() {
        table.row(
            None,
            vec![
                (at + 1).to_string(),
                bytes_estimate(&site.amounts.live_bytes, glyphs),
                count_estimate(&site.amounts.live_objects, glyphs),
                thousands(site.amounts.samples as f64),
                percent(site.share),
                site.place.kind.as_str().to_owned(),
                words::call_path(&sites.frames, &site.place, glyphs),
            ],
        );
    }
    let mut text = format!("\n{}\n{}", options.paint(Ink::Strong, "SITES"), table.print(options));
    if live.len() > options.sites {
        let _ = writeln!(text, "  ({} smaller ones more: --all)", live.len() - options.sites);
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
        format!("{} allocated", bytes_estimate(&amounts.allocated_bytes, glyphs)),
    ];
    if let Some(age) = site.oldest_age_ms {
        parts.push(format!("oldest {}", duration(age)));
    }
    parts.push(format!("site {}", site.place.id));
    let line = parts.join(&format!(" {} ", glyphs.dot));
    let mut text = format!("\n{}\n", options.paint(Ink::Strong, &line));
    let frames: Vec<_> = sites.frames.resolve(&site.place.frames).collect();
    let width = frames.iter().map(|f| printable(&f.function).chars().count().min(72)).max().unwrap_or(0);
    for (at, frame) in frames.iter().enumerate() {
        let mark = if Some(at) == site.place.application { ">" } else { " " };
        let line = format!("  {mark} {:<width$}  {}", printable(&frame.function), words::whereabouts(frame));
        let line = line.trim_end();
        let own = Some(at) == site.place.application;
        let _ = writeln!(text, "{}", if own { options.paint(Ink::Strong, line) } else { line.to_owned() });
    }
    let _ = writeln!(text, "    freed by: {}", freed_by(site));
    text
}

fn freed_by(site: &Site) -> String {
    let freed = &site.amounts.freed;
    match (freed.gc_share(), freed.by_app, freed.by_gc) {
        (None, ..) => "no sampled block of it was ever freed".to_owned(),
        (Some(_), app, 0) => format!("the application ({} sampled frees)", thousands(app as f64)),
        (Some(_), 0, gc) => format!("the garbage collector ({} sampled frees)", thousands(gc as f64)),
        (Some(share), app, gc) => format!(
            "the garbage collector {} of {} sampled frees, the application {}",
            percent(share),
            thousands(freed.total() as f64),
            if app <= gc { thousands(app as f64) } else { "the rest".to_owned() },
        ),
    }
}
