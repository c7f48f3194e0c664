//! `leakscope diff` as text: which side is which, what grew by how much, and what is not significant.

use std::fmt::Write;

use leakscope_analyze::{Diff, Growth, Status};
use leakscope_profile::model::Profile;

use crate::style::{Ink, TextOptions};
use crate::table::{Align, Table};
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
        let _ = writeln!(text, "{}", options.paint(Ink::Bad, warning));
    }
    let separator = format!(" {} ", glyphs.dot);
    let elapsed = match diff.elapsed_ms {
        Some(ms) if ms < 0 => format!(" (-{})", duration(ms.unsigned_abs())),
        Some(ms) => format!(" (+{})", duration(ms.unsigned_abs())),
        None => String::new(),
    };
    for (side, profile, elapsed, live) in
        [("before", a, "", &diff.baseline_bytes), ("after ", b, elapsed.as_str(), &diff.candidate_bytes)]
    {
        let parts = [
            format!("{}{elapsed}", time_utc(profile.snapshot.time_unix_ns, false)),
            words::target(profile),
            format!("up {}", duration(profile.snapshot.uptime_ms)),
            format!("live {}", bytes_estimate(live, glyphs)),
        ];
        let _ = writeln!(text, "{side}  {}", parts.join(&separator));
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
    let _ = writeln!(text, "{}{separator}{pairing}", options.paint(Ink::Strong, &net));
    let losses = words::losses(&diff.losses);
    if !losses.is_empty() {
        let _ = writeln!(text, "lost: {}", losses.join("; "));
    }
    text
}

fn table(diff: &Diff, shown: &[&Growth], options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let delta = if options.ascii { "change" } else { "Δ live" };
    let columns = [
        (delta, Align::Right),
        ("before", Align::Right),
        ("", Align::Left),
        ("after", Align::Left),
        ("status", Align::Left),
        ("kind", Align::Left),
        ("what", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for growth in shown {
        let (status, ink) = match growth.status {
            Status::New => ("NEW", Some(Ink::Bad)),
            Status::Grown => ("grown", Some(Ink::Bad)),
            Status::Shrunk => ("shrunk", Some(Ink::Good)),
            Status::Gone => ("gone", Some(Ink::Good)),
            Status::Same => ("not significant", Some(Ink::Dim)),
        };
        table.row(
            ink,
            vec![
                bytes_change(&growth.growth_bytes, glyphs),
                bytes_estimate(&growth.baseline_bytes, glyphs),
                glyphs.arrow.to_owned(),
                bytes_estimate(&growth.candidate_bytes, glyphs),
                status.to_owned(),
                growth.place.kind.as_str().to_owned(),
                words::call_path(&diff.frames, &growth.place, glyphs),
            ],
        );
    }
    format!("\n{}", table.print(options))
}
