//! The head of the screen: what is recorded, the verdict, memory against its limit, the latest figures.

use super::Look;
use super::bar::{Part, bar, fitting, legend};
use crate::top::figures::Figures;
use crate::top::state::State;
use leakscope_report::{Tone, bytes, duration, live_course, live_outlook, live_rows, live_verdicts, thousands};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// Lines that the first verdict may take.
const VERDICT_LINES: usize = 3;

/// How much of the head there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Only what matters most.
    Little,
    /// All of it, with so many lines that name parts of memory.
    Legend(usize),
}

/// The lines of the head.
pub(super) fn lines(state: &State, look: &Look, width: u16, room: Room) -> Vec<Line<'static>> {
    let mut lines = vec![name(&state.figures, look, width)];
    lines.extend(verdict(state, look, width, if room == Room::Little { 1 } else { VERDICT_LINES }));
    lines.extend(memory(&state.figures, look, width, room));
    if room == Room::Little {
        return lines;
    }
    lines.extend(wrapped(&facts(state, look, width), look, width));
    lines.push(courses(&state.figures, look, width));
    lines.push(Line::raw(""));
    lines
}

fn name(figures: &Figures, look: &Look, width: u16) -> Line<'static> {
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let left = format!("leakscope top  {}", figures.target);
    let state = figures.ended.clone().unwrap_or_else(|| "recording".to_owned());
    let right = format!("{}  after {}", state, duration(figures.uptime_ms));
    let room = usize::from(width).saturating_sub(Span::raw(left.as_str()).width() + right.chars().count());
    let ink = if figures.ended.is_some() { look.ink(Color::Yellow) } else { look.ink(Color::Green) };
    Line::from(vec![Span::styled(left, strong), Span::raw(" ".repeat(room.max(2))), Span::styled(right, ink)])
}

fn verdict(state: &State, look: &Look, width: u16, most: usize) -> Vec<Line<'static>> {
    let Some(findings) = &state.findings else { return vec![Line::styled("VERDICT  none yet", look.dim())] };
    let verdicts = live_verdicts(&findings.analysis, &look.text(width));
    let Some((tone, sentence)) = verdicts.first() else { return Vec::new() };
    let ink = match tone {
        Tone::Bad => look.ink(Color::LightRed),
        Tone::Good => look.ink(Color::Green),
        Tone::Unclear => Style::new(),
    };
    let also = match verdicts.len() - 1 {
        0 => String::new(),
        1 => "; 1 more verdict".to_owned(),
        more => format!("; {more} more verdicts"),
    };
    let text = look.text(width).sentence(&format!("VERDICT  {sentence}{also}"), 9);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            let kept: String = last.chars().take(usize::from(width).saturating_sub(2)).collect();
            *last = format!("{kept}{}", look.glyph("…", ".."));
        }
    }
    lines.into_iter().map(|line| Line::styled(line, ink.add_modifier(Modifier::BOLD))).collect()
}

/// Memory against its limit, and what it is made of.
fn memory(figures: &Figures, look: &Look, width: u16, room: Room) -> Vec<Line<'static>> {
    let Some(rss_bytes) = figures.rss_bytes else { return vec![Line::styled("RSS  not measured yet", look.dim())] };
    let legend_lines = if let Room::Legend(lines) = room { lines } else { 1 };
    let mut left = format!("RSS {}", bytes(rss_bytes as f64));
    let mut right = String::new();
    let parts: Vec<Part> = match &figures.rss {
        Some(rss) => fitting(&live_rows(rss), width, legend_lines, look),
        None => vec![("resident".to_owned(), rss_bytes as f64, bytes(rss_bytes as f64))],
    };
    let mut full = parts.iter().map(|part| part.1).sum();
    if let Some(limit) = figures.limit_bytes.filter(|limit| *limit > 0) {
        left.push_str(&format!(" of {}", bytes(limit as f64)));
        let charged = figures.charged_bytes.unwrap_or(rss_bytes);
        right = format!(" {:.0} % charged", 100.0 * charged as f64 / limit as f64);
        full = limit as f64;
    }
    left.push_str("  ");
    let cells = usize::from(width).saturating_sub(left.chars().count() + right.chars().count()).min(100);
    let mut line = Line::from(left);
    line.extend(bar(&parts, full, cells, look));
    line.push_span(right);
    let mut lines = vec![line];
    if room != Room::Little {
        lines.extend(legend(&parts, width, 2, look));
    }
    lines
}

/// Growth and the time left, then the latest counts.
fn facts(state: &State, look: &Look, width: u16) -> Vec<String> {
    let figures = &state.figures;
    let analysed = state.findings.as_ref().and_then(|findings| findings.analysis.forecast);
    let forecast = analysed.filter(|forecast| forecast.rate.is_some()).or(figures.forecast);
    let mut facts = forecast.map(|forecast| live_outlook(&forecast, &look.text(width))).unwrap_or_default();
    if let Some(java) = &figures.java {
        let (used, committed) = (bytes(java.heap_used_bytes as f64), bytes(java.heap_committed_bytes as f64));
        facts.push(format!("heap {used} used, {committed} committed"));
        let (young, full) = (thousands(java.young_gcs as f64), thousands(java.full_gcs as f64));
        facts.push(format!("GCs {young} young, {full} full"));
    }
    if figures.threads > 0 {
        facts.push(format!("threads {}", thousands(figures.threads as f64)));
    }
    facts.extend(figures.descriptors.map(|count| format!("descriptors {}", thousands(count as f64))));
    let ago = figures.snapshot_ms.filter(|_| figures.ended.is_none());
    let ago = ago.map(|ms| match figures.uptime_ms.saturating_sub(ms) {
        0..1000 => ", the last just now".to_owned(),
        ms => format!(", the last {} ago", duration(ms)),
    });
    facts.push(format!("snapshots {}{}", figures.snapshots, ago.unwrap_or_default()));
    if let Some(mark) = &figures.last_mark {
        facts.push(format!("marks {}, last \"{mark}\"", figures.marks));
    }
    facts
}

fn wrapped(facts: &[String], look: &Look, width: u16) -> Vec<Line<'static>> {
    look.text(width).parts(facts, 0).lines().map(|line| Line::raw(line.to_owned())).collect()
}

/// RSS and what is live, over time.
fn courses(figures: &Figures, look: &Look, width: u16) -> Line<'static> {
    const NAMES: usize = "RSS over time    live ".len();
    let each = usize::from(width).saturating_sub(NAMES + 1) / 2;
    let course = |values: &[f64]| live_course(values, each, &look.text(width));
    Line::from(vec![
        Span::raw("RSS over time "),
        Span::styled(course(&figures.rss_course), look.ink(Color::Cyan)),
        Span::raw("   live "),
        Span::styled(course(&figures.live_course), look.ink(Color::Yellow)),
    ])
}
