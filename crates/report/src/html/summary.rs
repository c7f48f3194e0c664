//! Title, figures at the top, resident memory, threads, what was not tracked, the recording: sentences and cells.

use leakscope_analyze::{RssRow, RssTable};
use leakscope_profile::model::Kind;

use super::HtmlReport;
use super::program::Program;
use super::view::{InstantView, RowView, ThreadsView, Tile};
use crate::loss_words::losses;
use crate::printable::printable;
use crate::style::Glyphs;
use crate::text_rss;
use crate::units::{bytes, bytes_change, bytes_estimate, duration, percent, thousands, time_utc};
use crate::words;

const GLYPHS: &Glyphs = &Glyphs::UNICODE;

pub(crate) fn facts(report: &HtmlReport<'_>) -> Vec<String> {
    let profile = report.profile;
    let mut facts = Vec::new();
    if !profile.target.jvm.is_empty() {
        facts.push(format!("JVM {}", printable(&profile.target.jvm)));
    }
    facts.push(format!("up {}", duration(profile.snapshot.uptime_ms)));
    let many = report.history.instants.len();
    facts.push(if many == 1 { "1 snapshot".to_owned() } else { format!("{} snapshots", thousands(many as f64)) });
    facts.push(time_utc(profile.snapshot.time_unix_ns, false));
    facts.push(words::sampling(profile));
    facts.extend(
        words::recording(profile).into_iter().skip(1).filter(|fact| profile.target.exit.is_some() && is_end(fact)),
    );
    facts
}

fn is_end(fact: &str) -> bool {
    ["exited", "killed", "ended"].iter().any(|word| fact.starts_with(word))
}

pub(crate) fn tiles(report: &HtmlReport<'_>) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let memory = &report.profile.memory;
    let last = report.timeline.points.last();
    let resident = last.map_or(memory.rss_bytes, |point| point.resident.rss_bytes);
    let limit =
        last.and_then(|point| point.cgroup?.limit_bytes).or((memory.limit_bytes > 0).then_some(memory.limit_bytes));
    if resident > 0 {
        let part = limit.map(|limit| resident as f64 / limit.max(1) as f64);
        tiles.push(Tile {
            name: "Resident",
            value: bytes(resident as f64),
            note: limit.map_or("no limit".to_owned(), |limit| format!("of {} allowed", bytes(limit as f64))),
            bad: part.is_some_and(|part| part >= 0.9),
            part: part.map(|part| part.min(1.0)),
        });
    }
    let total = &report.sites.total;
    tiles.push(Tile {
        name: "Live, tracked",
        value: bytes(total.live_bytes.estimate),
        note: error(&bytes_estimate(&total.live_bytes, GLYPHS)),
        bad: false,
        part: None,
    });
    tiles.extend(growth(report));
    tiles.extend(full(report));
    tiles.push(Tile {
        name: "Allocated since the start",
        value: bytes(total.allocated_bytes.estimate),
        note: error(&bytes_estimate(&total.allocated_bytes, GLYPHS)),
        bad: false,
        part: None,
    });
    if let Some(point) = last.filter(|point| point.threads > 0) {
        let most = report.timeline.points.iter().map(|point| point.threads).max().unwrap_or(0);
        tiles.push(Tile {
            name: "Threads",
            value: thousands(point.threads as f64),
            note: format!("at most {}", thousands(most as f64)),
            bad: false,
            part: None,
        });
    }
    tiles
}

/// What stands behind the number of an estimate that is shown apart.
fn error(estimate: &str) -> String {
    match (estimate.find('\u{b1}'), estimate.find('(')) {
        (Some(at), _) => format!("{}, 95 % interval", &estimate[at..]),
        (None, Some(at)) => format!("{} in 95 of 100 cases", estimate[at..].trim_matches(['(', ')'])),
        _ => String::new(),
    }
}

fn growth(report: &HtmlReport<'_>) -> Option<Tile> {
    let trend = report.analysis?.tracked?;
    let shown = bytes_change(&trend.rate, GLYPHS);
    let at = shown.find(" \u{b1}").or(shown.find(" (")).unwrap_or(shown.len());
    Some(Tile {
        name: "Growth per hour",
        value: shown[..at].to_owned(),
        note: if trend.rate.may_be_zero() { format!("{}: may be chance", error(&shown)) } else { error(&shown) },
        bad: trend.rate.low > 0.0,
        part: None,
    })
}

fn full(report: &HtmlReport<'_>) -> Option<Tile> {
    let range = report.analysis?.forecast?.full_in_ms?;
    let latest = range.latest_ms.map_or("never".to_owned(), duration);
    Some(Tile {
        name: "Memory is full in",
        value: duration(range.estimate_ms),
        note: format!("{} to {latest}, at this rate", duration(range.earliest_ms)),
        bad: true,
        part: None,
    })
}

pub(crate) fn instants(report: &HtmlReport<'_>) -> Vec<InstantView> {
    let files = report.snapshots.iter().map(Some).chain(std::iter::repeat(None));
    let instants = report.history.instants.iter().zip(files);
    instants
        .map(|(instant, file)| InstantView {
            index: instant.index,
            at: instant.uptime_ms,
            time: instant.time_unix_ns.div_euclid(1_000_000),
            reason: file.map_or(String::new(), |file| printable(&file.reason).into_owned()),
            file: file.map_or(String::new(), |file| printable(&file.name).into_owned()),
        })
        .collect()
}

pub(crate) fn rows(report: &HtmlReport<'_>) -> Vec<RowView> {
    let Some(rss) = report.analysis.and_then(|analysis| analysis.rss.as_ref()) else { return Vec::new() };
    let mut rows: Vec<RowView> = rss.rows.iter().map(|row| resident_row(row, rss)).collect();
    rows.push(RowView {
        key: "total",
        name: "all of it".to_owned(),
        now: rss.total_bytes,
        now_text: bytes(rss.total_bytes as f64),
        rate_text: rss.total_per_hour.map_or(String::new(), |rate| bytes_change(&rate, GLYPHS)),
        grows: rss.total_per_hour.is_some_and(|rate| rate.low > 0.0),
        share: percent(1.0),
    });
    rows
}

fn resident_row(row: &RssRow, rss: &RssTable) -> RowView {
    let part = row.now.estimate / rss.total_bytes.max(1) as f64;
    RowView {
        key: row.what.as_str(),
        name: text_rss::row_name(row.what, rss),
        now: row.now.estimate.round() as u64,
        now_text: if row.now.is_exact() { bytes(row.now.estimate) } else { bytes_estimate(&row.now, GLYPHS) },
        rate_text: row.per_hour.map_or(String::new(), |rate| bytes_change(&rate, GLYPHS)),
        grows: row.grows(),
        share: percent(part),
    }
}

/// What the rows rest on, and what is not in them: sentences.
pub(crate) fn rows_notes(report: &HtmlReport<'_>) -> Vec<String> {
    let Some(rss) = report.analysis.and_then(|analysis| analysis.rss.as_ref()) else {
        return match words::memory(report.profile, &report.sites.total) {
            parts if parts.is_empty() => vec!["Resident memory was not measured.".to_owned()],
            parts => vec![format!("{}. Where it is was not measured.", parts.join(", "))],
        };
    };
    let after = duration(rss.uptime_ms);
    let mut notes = vec![match rss.points {
        0..=2 => format!("Proportional set size, measured after {after}; too few measurements for rates."),
        points => format!(
            "Proportional set size, measured after {after}; rates from {} measurements, with their 95 % intervals.",
            thousands(points as f64)
        ),
    }];
    notes.extend(
        words::memory(report.profile, &report.sites.total)
            .into_iter()
            .skip(1)
            .filter(|part| part.starts_with("more is live"))
            .map(sentence),
    );
    notes.extend(text_rss::beside(rss).into_iter().map(sentence));
    notes
}

/// A phrase as a sentence. Ours begin in ASCII.
fn sentence(phrase: String) -> String {
    let (first, rest) = phrase.split_at(usize::from(phrase.starts_with(|c: char| c.is_ascii())));
    format!("{}{rest}.", first.to_ascii_uppercase())
}

/// What is known of threads; `None` where there is nothing to say.
pub(crate) fn threads(report: &HtmlReport<'_>) -> Option<ThreadsView> {
    let mut sentences = Vec::new();
    let sites = || report.sites.sites.iter().filter(|site| site.place.kind == Kind::Thread);
    let live: u64 = sites().map(|site| site.amounts.samples).sum();
    let ended: u64 = sites().map(|site| site.amounts.freed.total()).sum();
    if live + ended > 0 {
        let stacks: f64 = sites().map(|site| site.amounts.live_bytes.estimate).sum();
        sentences.push(format!("Started by the program: {}.", words::threads(&bytes(stacks), live, ended)));
    }
    let own = &report.sites.jvms_own;
    if own.threads > 0 {
        sentences.push(format!(
            "The JVM's own: {} threads, {} of stacks reserved.",
            thousands(own.threads as f64),
            bytes(own.stack_bytes as f64)
        ));
    }
    let most = report.timeline.points.iter().max_by_key(|point| point.threads).filter(|point| point.threads > 0);
    if let Some(most) = most {
        sentences.push(format!(
            "Most at one time: {} after {}.",
            thousands(most.threads as f64),
            duration(most.uptime_ms)
        ));
    }
    (!sentences.is_empty()).then_some(ThreadsView { sentences })
}

/// What this recording and this page do not hold.
pub(crate) fn missing(report: &HtmlReport<'_>, program: &Program) -> Vec<String> {
    let mut missing: Vec<String> =
        losses(&report.profile.losses).into_iter().map(|loss| format!("Lost: {loss}.")).collect();
    if let Some(own) = words::jvms_own(&report.sites.jvms_own) {
        missing.push(sentence(own));
    }
    if report.timeline.damaged > 0 {
        missing.push(format!("{} lines of the timeline could not be read.", thousands(report.timeline.damaged as f64)));
    }
    if program.merged > 0 {
        missing.push(format!(
            "This page has room for {} of {} sites; the others, the smallest, are put together by kind.",
            thousands((report.history.sites.len() - program.merged) as f64),
            thousands(report.history.sites.len() as f64)
        ));
    }
    if program.shortened > 0 {
        missing
            .push(format!("{} very deep stacks are shown without their middle.", thousands(program.shortened as f64)));
    }
    missing
}

pub(crate) fn about(report: &HtmlReport<'_>) -> Vec<(String, String)> {
    let profile = report.profile;
    let settings = &profile.settings;
    let command: Vec<_> = profile.target.command.iter().map(|word| printable(word)).collect();
    let mut about = vec![
        ("Command".to_owned(), command.join(" ")),
        ("Executable".to_owned(), printable(&profile.target.exe).into_owned()),
        ("Process".to_owned(), profile.target.pid.to_string()),
        ("JVM".to_owned(), printable(&profile.target.jvm).into_owned()),
        ("Sampling".to_owned(), words::sampling(profile)),
        (
            "Stacks".to_owned(),
            format!("at most {} native and {} Java frames", settings.native_depth, settings.java_depth),
        ),
        ("Samples live".to_owned(), thousands(report.sites.total.samples as f64)),
        ("Measurements of memory".to_owned(), thousands(report.timeline.points.len() as f64)),
        ("Recorded by".to_owned(), format!("leakscope {}", printable(&settings.version))),
        ("Page made by".to_owned(), format!("leakscope {}", env!("CARGO_PKG_VERSION"))),
        (
            "Redacted".to_owned(),
            "values of arguments of the command that look like secrets (password, token, secret, key)".to_owned(),
        ),
    ];
    about.extend(report.notes.iter().map(|note| ("Note".to_owned(), printable(note).into_owned())));
    about.retain(|(_, value)| !value.is_empty());
    about
}
