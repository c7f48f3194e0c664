//! `leakscope diff` as text: which side is which, what grew by how much, and what is not significant.

use std::fmt::Write;

use leakscope_analyze::{Diff, Growth, Status};
use leakscope_profile::model::Profile;

use crate::loss_words;
use crate::path::paths;
use crate::printable::printable;
use crate::style::{Ink, TextOptions};
use crate::table::{ALWAYS, Align, Column, Table};
use crate::units::{bytes_change, bytes_estimate, duration, time_utc};
use crate::words;

/// The change from `a`, the baseline, to `b`, the candidate.
///
/// Changes that are not significant are printed only where `options.sites` is `usize::MAX`, and then called so.
pub fn text_diff(a: &Profile, b: &Profile, diff: &Diff, options: &TextOptions) -> String {
    let mut text = head(a, b, diff, options);
    let all = options.sites == usize::MAX;
    let (significant, rest): (Vec<&Growth>, Vec<&Growth>) = diff.sites.iter().partition(|g| g.significant);
    let mut shown: Vec<&Growth> = significant.iter().take(options.sites).copied().collect();
    if all {
        shown.extend(&rest);
    }
    if significant.is_empty() {
        text.push_str("\nno site changed significantly\n");
    }
    if !shown.is_empty() {
        text.push_str(&table(diff, &shown, options));
    }
    let more = significant.len() - significant.len().min(options.sites);
    match (more, if all { 0 } else { rest.len() }) {
        (0, 0) => {}
        (0, rest) => text.push_str(&format!("  ({rest} more not significant: --all)\n")),
        (more, rest) => text.push_str(&format!("  ({more} more below, {rest} not significant: --all)\n")),
    }
    let next = options.next_line();
    if !next.is_empty() {
        let _ = write!(text, "\n{next}");
    }
    text
}

fn head(a: &Profile, b: &Profile, diff: &Diff, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let mut text = String::new();
    if diff.reversed {
        let warning = "warning: AFTER is older than BEFORE: what grew is shown as shrinking; swap the two";
        let _ = writeln!(text, "{}", options.paint(Ink::Bad, &options.sentence(warning, 2)));
    }
    let mut blind = words::blind_spots(a);
    blind.extend(words::blind_spots(b).into_iter().filter(|spot| !words::blind_spots(a).contains(spot)));
    for spot in blind {
        let _ = writeln!(text, "{}", options.paint(Ink::Bad, &options.sentence(&format!("warning: {spot}"), 2)));
    }
    let elapsed = match diff.elapsed_ms {
        Some(ms) if ms < 0 => format!(" (-{})", duration(ms.unsigned_abs())),
        Some(ms) => format!(" (+{})", duration(ms.unsigned_abs())),
        None => String::new(),
    };
    for (side, profile, elapsed, live) in
        [("before", a, "", &diff.baseline_bytes), ("after ", b, elapsed.as_str(), &diff.candidate_bytes)]
    {
        let mut parts = vec![
            format!("{side}  {}{elapsed}", time_utc(profile.snapshot.time_unix_ns, false)),
            words::target(profile),
            format!("up {}", duration(profile.snapshot.uptime_ms)),
        ];
        if !diff.paired {
            parts.push(words::sampling(profile));
        }
        parts.push(format!("live {}", bytes_estimate(live, glyphs)));
        let _ = writeln!(text, "{}", options.parts(&parts, 8));
    }
    let change = &diff.growth_bytes;
    let chance = match (change.is_exact(), change.may_be_zero()) {
        (false, true) => " (not significant)",
        _ => "",
    };
    let net = format!("net {}{chance}", bytes_change(change, glyphs));
    let pairing = match diff.paired {
        true => "one process: blocks that live through both cancel",
        false => "two recordings: the errors of both add up",
    };
    let line = options.parts(&[net.clone(), pairing.to_owned()], 2);
    let _ = writeln!(text, "{}", line.replacen(&net, &options.paint(Ink::Strong, &net), 1));
    let losses = loss_words::losses(&diff.losses);
    if !losses.is_empty() {
        let _ = writeln!(text, "{}", options.sentence(&format!("lost: {}", losses.join("; ")), 2));
    }
    for note in &options.notes {
        let _ = writeln!(text, "{}", options.sentence(&printable(note), 2));
    }
    text
}

const COLUMNS: [Column; 6] = [
    Column { name: "change", align: Align::Right, rank: ALWAYS },
    Column { name: "status", align: Align::Left, rank: ALWAYS },
    Column { name: "before", align: Align::Right, rank: 1 },
    Column { name: "", align: Align::Left, rank: 1 },
    Column { name: "after", align: Align::Left, rank: 2 },
    Column { name: "kind", align: Align::Left, rank: 3 },
];

fn table(diff: &Diff, shown: &[&Growth], options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let mut table = Table::new(&COLUMNS, "what");
    for growth in shown {
        let (status, ink) = match growth.status {
            Status::New | Status::Grown => (growth.status.as_str(), Ink::Bad),
            Status::Shrunk | Status::Gone => (growth.status.as_str(), Ink::Good),
            Status::Same => ("not significant", Ink::Dim),
        };
        table.row(
            Some(ink),
            vec![
                bytes_change(&growth.growth_bytes(), glyphs),
                status.to_owned(),
                bytes_estimate(&growth.baseline_bytes(), glyphs),
                glyphs.arrow.to_owned(),
                bytes_estimate(&growth.candidate_bytes(), glyphs),
                growth.place.kind.as_str().to_owned(),
            ],
        );
    }
    let places: Vec<_> = shown.iter().map(|growth| &growth.place).collect();
    let last = paths(&diff.frames, &places, table.width_of_last(options), glyphs);
    format!("\n{}", table.print(&last, options))
}
