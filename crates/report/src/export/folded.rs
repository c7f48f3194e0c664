//! Stacks as lines, root first: `main;run;malloc 4096`. What inferno and speedscope read, and what `flame` draws.

use std::collections::BTreeMap;
use std::fmt::Write;

use leakscope_analyze::{Diff, FrameTable, Place, SiteFrame, Sites};

use super::{JavaNames, Measure};

/// Folded stacks and whole bytes, sorted; stacks without bytes are left out.
pub fn folded(sites: &Sites, measure: Measure, names: JavaNames) -> String {
    let mut stacks: BTreeMap<String, f64> = BTreeMap::new();
    for site in &sites.sites {
        *stacks.entry(stack(&sites.frames, &site.place, names)).or_default() += measure.of(site);
    }
    let mut text = String::new();
    for (stack, amount) in stacks {
        if amount.round() > 0.0 {
            let _ = writeln!(text, "{stack} {amount:.0}");
        }
    }
    text
}

/// Folded stacks with bytes before and after, sorted: the differential form.
pub fn folded_growth(diff: &Diff) -> String {
    let mut stacks: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for growth in &diff.sites {
        let sums = stacks.entry(stack(&diff.frames, &growth.place, JavaNames::Dots)).or_default();
        sums.0 += growth.baseline.bytes;
        sums.1 += growth.candidate.bytes;
    }
    let mut text = String::new();
    for (stack, (before, after)) in stacks {
        let _ = writeln!(text, "{stack} {before:.0} {after:.0}");
    }
    text
}

fn stack(table: &FrameTable, place: &Place, names: JavaNames) -> String {
    stack_names(table, place, names).join(";")
}

/// The names of a stack's frames, root first.
pub(crate) fn stack_names(table: &FrameTable, place: &Place, names: JavaNames) -> Vec<String> {
    if place.frames.is_empty() {
        return vec![format!("[{}]", place.kind.as_str())];
    }
    let mut shown: Vec<String> = table.resolve(&place.frames).map(|frame| frame_name(frame, names)).collect();
    shown.reverse();
    shown
}

/// A frame's name without what the format gives a meaning to: `;` separates frames, a number after a space is the
/// value, and `# ` begins a comment.
pub(crate) fn frame_name(frame: &SiteFrame, names: JavaNames) -> String {
    let mut name = names.shown(frame).replace(';', ",");
    if name.starts_with('#') {
        name.insert(0, '_');
    }
    let is_number = |word: &str| word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    while let Some(at) = name.rfind(' ').filter(|at| is_number(&name[at + 1..])) {
        name.replace_range(at..=at, "_");
    }
    match name.trim() {
        "" => "[unnamed]".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}
