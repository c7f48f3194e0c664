//! Pieces of a report for `leakscope top`, which arranges them on a screen and shows them again as they change.

use leakscope_analyze::{Analysis, Forecast, RssTable, Suspect, VerdictId};

use crate::style::TextOptions;
use crate::text_rss::row_name;
use crate::text_verdict;
use crate::units::{bytes, bytes_change};
use crate::verdict_words as words;

/// How bad a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something grows.
    Bad,
    /// Nothing does.
    Good,
    /// Nobody knows yet.
    Unclear,
}

/// The verdicts in a sentence each, the primary one first; one sentence where nothing is wrong.
pub fn live_verdicts(analysis: &Analysis, options: &TextOptions) -> Vec<(Tone, String)> {
    let glyphs = options.glyphs();
    if analysis.verdicts.is_empty() {
        return vec![(Tone::Good, words::nothing_grows(analysis, glyphs))];
    }
    let line = |verdict: &leakscope_analyze::Verdict| {
        let tone = match verdict.id {
            VerdictId::Bounded | VerdictId::Startup => Tone::Good,
            VerdictId::Unknown => Tone::Unclear,
            _ => Tone::Bad,
        };
        let sure = match verdict.id {
            VerdictId::Unknown => String::new(),
            _ => format!(" ({})", words::confidence(verdict.confidence)),
        };
        (tone, format!("{}{sure}", words::verdict_line(analysis, verdict, glyphs)))
    };
    analysis.verdicts.iter().map(line).collect()
}

/// The table of these suspects, a line of headings first; they are numbered from `first` on.
pub fn live_table(analysis: &Analysis, shown: &[&Suspect], first: usize, options: &TextOptions) -> Vec<String> {
    text_verdict::table(analysis, shown, first, options).lines().map(str::to_owned).collect()
}

/// A suspect in full: its numbers, its stack, why it is one, what to do.
pub fn live_details(analysis: &Analysis, number: usize, suspect: &Suspect, options: &TextOptions) -> Vec<String> {
    let text = text_verdict::details(analysis, number, suspect, options);
    text.trim_start_matches('\n').lines().map(str::to_owned).collect()
}

/// Growth and, where there is a limit and it comes near, when memory is full.
pub fn live_outlook(forecast: &Forecast, options: &TextOptions) -> Vec<String> {
    let growth =
        forecast.rate.map(|rate| format!("growth {}/h, the heap left out", bytes_change(&rate, options.glyphs())));
    // The first part is what is resident, and the limit.
    growth.into_iter().chain(words::forecast(forecast).into_iter().skip(1)).collect()
}

/// The rows of resident memory, largest first: what each is called, bytes, and both in words.
pub fn live_rows(rss: &RssTable) -> Vec<(String, f64, String)> {
    let mut rows: Vec<(String, f64, String)> =
        rss.rows.iter().map(|row| (row_name(row.what, rss), row.now.estimate, bytes(row.now.estimate))).collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    rows
}

/// Bytes over time as a row of at most so many bars, from nothing up.
pub fn live_course(values: &[f64], most_points: usize, options: &TextOptions) -> String {
    text_verdict::sparkline(values, most_points, options)
}
