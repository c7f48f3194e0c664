//! The head of `leakscope report`: the verdict in the first line, then the suspects, and what there is to know about
//! each: why, where, and what to do.

use std::fmt::Write;

use leakscope_analyze::{Analysis, Suspect, Verdict, VerdictId};
use leakscope_profile::model::Kind;

use crate::path::{CallPath, paths};
use crate::style::{Ink, TextOptions};
use crate::table::{ALWAYS, Align, Column, Table};
use crate::text_report::stack_lines;
use crate::units::{bytes, bytes_change, bytes_estimate, duration};
use crate::verdict_words as words;

/// Verdicts besides the first that get a line in the head.
const MOST_ALSO: usize = 4;
/// Suspects in the table.
const MOST_SUSPECTS: usize = 8;
/// Suspects without a word that are listed.
const MOST_WORDLESS: usize = 3;
/// A suspect without a word is listed from this part of all live bytes on.
const WORTH_A_LINE: f64 = 0.02;
/// Suspects that are shown in full.
const MOST_DETAILS: usize = 3;
/// Points of a sparkline.
const SPARKS: usize = 16;

/// The first lines of a report.
pub(crate) fn verdict_head(analysis: &Analysis, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let mut text = String::new();
    let line = match analysis.verdicts.first() {
        Some(verdict) => {
            let sure = words::confidence(verdict.confidence);
            format!("VERDICT  {} ({sure})", words::verdict_line(analysis, verdict, glyphs))
        }
        None => format!("VERDICT  {}", words::nothing_grows(analysis, glyphs)),
    };
    let ink = match analysis.verdicts.first().map(|verdict| verdict.id) {
        None | Some(VerdictId::Bounded | VerdictId::Startup) => Ink::Good,
        Some(VerdictId::Unknown) => Ink::Strong,
        Some(_) => Ink::Bad,
    };
    let _ = writeln!(text, "{}", options.paint(ink, &options.sentence(&line, 9)));
    for verdict in analysis.verdicts.iter().skip(1).take(MOST_ALSO) {
        let line = format!("   also  {}", words::verdict_line(analysis, verdict, glyphs));
        let _ = writeln!(text, "{}", options.sentence(&line, 9));
    }
    if analysis.verdicts.len() > 1 + MOST_ALSO {
        let _ = writeln!(text, "         ({} more verdicts: --json)", analysis.verdicts.len() - 1 - MOST_ALSO);
    }
    if let Some(forecast) = &analysis.forecast {
        let parts = words::forecast(forecast);
        let _ = writeln!(text, "         {}", options.parts(&parts, 9));
    }
    text.push('\n');
    text
}

/// The table of suspects, and the leading ones in full.
pub(crate) fn suspects(analysis: &Analysis, options: &TextOptions) -> String {
    let shown = listed(analysis);
    if shown.is_empty() {
        return String::new();
    }
    let heading = options.paint(Ink::Strong, "SUSPECTS");
    let mut text = format!("\n{heading}\n{}", table(analysis, &shown, 1, options));
    let hidden = analysis.suspects.iter().filter(|suspect| suspect.samples > 0).count().saturating_sub(shown.len());
    if hidden > 0 {
        let places = if hidden == 1 { "place" } else { "places" };
        let _ = writeln!(text, "  ({hidden} {places} more that hold less, none of them growing beyond chance)");
    }
    if shown.iter().any(|s| s.words.is_empty() && s.trend.is_some_and(|trend| trend.rate.low > 0.0)) {
        let why = "  (an interval above zero without a verdict: so much comes by chance among so many places, or it does not go on)";
        let _ = writeln!(text, "{}", options.sentence(why, 3));
    }
    for (number, suspect) in shown.iter().enumerate().filter(|(_, s)| !s.words.is_empty()).take(MOST_DETAILS) {
        text.push_str(&details(analysis, number + 1, suspect, options));
    }
    for verdict in analysis.verdicts.iter().filter(|verdict| verdict.suspect.is_none()) {
        text.push_str(&row_details(verdict, options));
    }
    text
}

/// Those with a word, and some of those that hold or gain most.
fn listed(analysis: &Analysis) -> Vec<&Suspect> {
    if analysis.window.is_none() {
        return Vec::new();
    }
    let live: f64 = analysis.suspects.iter().map(|suspect| suspect.live_bytes.estimate).sum();
    let (with, without): (Vec<&Suspect>, Vec<&Suspect>) =
        analysis.suspects.iter().partition(|suspect| !suspect.words.is_empty());
    let worth = without.into_iter().filter(|s| s.samples > 0 && s.live_bytes.estimate >= WORTH_A_LINE * live);
    with.into_iter().take(MOST_SUSPECTS).chain(worth.take(MOST_WORDLESS)).collect()
}

const COLUMNS: [Column; 7] = [
    Column { name: "#", align: Align::Right, rank: ALWAYS },
    Column { name: "verdict", align: Align::Left, rank: ALWAYS },
    Column { name: "growth/h", align: Align::Right, rank: ALWAYS },
    Column { name: "live", align: Align::Right, rank: 4 },
    Column { name: "oldest", align: Align::Right, rank: 2 },
    Column { name: "freed by", align: Align::Left, rank: 3 },
    Column { name: "live over time", align: Align::Left, rank: 1 },
];

/// A line of headings, and one for each suspect; they are numbered from `first` on.
pub(crate) fn table(analysis: &Analysis, shown: &[&Suspect], first: usize, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let mut table = Table::new(&COLUMNS, "where");
    for (at, suspect) in shown.iter().enumerate() {
        let growth = suspect.trend.map(|trend| bytes_change(&trend.rate, glyphs)).unwrap_or_default();
        table.row(
            suspect.words.is_empty().then_some(Ink::Dim),
            vec![
                (first + at).to_string(),
                words::suspect_word(suspect),
                growth,
                bytes(suspect.live_bytes.estimate),
                suspect.ages.oldest_ms.map(short_duration).unwrap_or_default(),
                words::freed_word(suspect),
                sparkline(&suspect.live, SPARKS, options),
            ],
        );
    }
    let places: Vec<_> = shown.iter().map(|suspect| &suspect.place).collect();
    let last: Vec<CallPath> = paths(&analysis.frames, &places, table.width_of_last(options), glyphs);
    table.print(&last, options)
}

/// The largest unit alone.
fn short_duration(ms: u64) -> String {
    let whole = duration(ms);
    match whole.split(' ').collect::<Vec<_>>()[..] {
        [number, unit, ..] => format!("{number} {unit}"),
        _ => whole,
    }
}

/// Bytes over time as a row of at most so many bars, from nothing up.
pub(crate) fn sparkline(live: &[f64], most_points: usize, options: &TextOptions) -> String {
    let most = live.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 || live.len() < 2 || most_points < 2 {
        return String::new();
    }
    let points = live.len().min(most_points);
    let bars = options.glyphs().bars;
    let bar = |at: usize| {
        let value = live[(at * (live.len() - 1)) / (points - 1)];
        bars[((value / most * (bars.len() - 1) as f64).round() as usize).min(bars.len() - 1)]
    };
    (0..points).map(bar).collect()
}

/// A suspect in full: its numbers, its stack, why, what to do.
pub(crate) fn details(analysis: &Analysis, number: usize, suspect: &Suspect, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let mut parts = vec![format!("{number}  {}", words::suspect_word(suspect))];
    parts.extend(suspect.trend.map(|trend| format!("{}/h", bytes_change(&trend.rate, glyphs))));
    let kind = if suspect.place.kind == Kind::Thread { "stacks live" } else { "live" };
    parts.push(format!("{} {kind}", bytes_estimate(&suspect.live_bytes, glyphs)));
    if suspect.sites.len() > 1 {
        parts.push(format!("{} stacks, the largest:", suspect.sites.len()));
    }
    let mut text = format!("\n{}\n", options.paint(Ink::Strong, &options.parts(&parts, 3)));
    text.push_str(&stack_lines(&analysis.frames, &suspect.place, options));
    let at = analysis.suspects.iter().position(|other| std::ptr::eq(other, suspect));
    let mut said: Vec<String> = Vec::new();
    for verdict in analysis.verdicts.iter().filter(|verdict| verdict.suspect == at) {
        for reason in &verdict.reasons {
            let line = words::reason(reason, glyphs);
            if !said.contains(&line) {
                said.push(line);
            }
        }
    }
    for line in &said {
        let _ = writeln!(text, "{}", options.sentence(&format!("    {line}"), 6));
    }
    let fix = analysis.verdicts.iter().filter(|verdict| verdict.suspect == at).find_map(|verdict| verdict.fix.as_ref());
    if let Some(fix) = fix {
        let line = format!("    {} {}", glyphs.arrow, words::fix(fix));
        let _ = writeln!(text, "{}", options.paint(Ink::Strong, &options.sentence(&line, 6)));
    }
    text
}

/// A verdict about a row of resident memory.
fn row_details(verdict: &Verdict, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let mut text = format!("\n{}\n", options.paint(Ink::Strong, verdict.id.as_str()));
    for reason in &verdict.reasons {
        let _ = writeln!(text, "{}", options.sentence(&format!("    {}", words::reason(reason, glyphs)), 6));
    }
    if let Some(fix) = &verdict.fix {
        let line = format!("    {} {}", glyphs.arrow, words::fix(fix));
        let _ = writeln!(text, "{}", options.sentence(&line, 6));
    }
    text
}
