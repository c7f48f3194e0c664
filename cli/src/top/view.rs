//! The screen: a head of figures, below it the table, a suspect in full or the help, and a line for the keyboard.
//!
//! Nothing is worked out here: sentences, tables and rounded figures are those of `leakscope-report`, so that `top`
//! and `report` say the same in the same words. Whatever the terminal's size, the line for the keyboard is shown, and
//! then as much as there is room for.

mod bar;
mod head;
mod help;

use super::state::{Mode, Sort, State};
use crate::say::is_utf8_locale;
use head::Room;
use leakscope_report::{TextOptions, live_details, live_table};
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use ratatui::{Frame, Terminal};

/// Most suspects in a frame that is printed.
const MOST_PRINTED: usize = 20;
/// A screen of fewer lines has no room for a whole head.
const SMALL: u16 = 16;

/// What the terminal can show.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Only ASCII.
    pub ascii: bool,
    /// Colour.
    pub color: bool,
}

impl Look {
    /// By the locale and NO_COLOR.
    pub fn of_terminal() -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { ascii: !is_utf8_locale(), color: !no_color }
    }

    fn text(&self, columns: u16) -> TextOptions {
        TextOptions { ascii: self.ascii, columns: Some(usize::from(columns)), ..TextOptions::default() }
    }

    /// A style with this colour, where there is colour.
    fn ink(&self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    fn dim(&self) -> Style {
        if self.color { Style::new().fg(Color::DarkGray) } else { Style::new() }
    }

    fn glyph(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { unicode }
    }
}

/// Draws the state.
pub fn draw(frame: &mut Frame<'_>, state: &State, look: &Look) {
    let area = frame.area();
    let is_text = matches!(state.mode, Mode::Stack | Mode::Help);
    let room = match area.height {
        height if height < SMALL || is_text && height < 2 * SMALL => Room::Little,
        height if height < 2 * SMALL => Room::Legend(2),
        _ => Room::Legend(4),
    };
    let mut head = head::lines(state, look, area.width, room);
    head.truncate(usize::from(area.height.saturating_sub(4)));
    let rows = u16::try_from(head.len()).unwrap_or(0);
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(rows), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(Paragraph::new(head), top);
    let lines = match state.mode {
        Mode::Help => scrolled(help::lines(look), state.scroll, middle),
        Mode::Stack => stack(state, look, middle),
        _ => table(state, look, middle),
    };
    frame.render_widget(Paragraph::new(lines), middle);
    frame.render_widget(Paragraph::new(keyboard(state, look)), bottom);
}

/// A frame as plain text, as high as it needs to be.
pub fn plain(state: &State, look: &Look, columns: usize) -> String {
    let width = u16::try_from(columns.clamp(40, 500)).unwrap_or(120);
    let rows = state.order().len().min(MOST_PRINTED);
    let head = head::lines(state, look, width, Room::Legend(4)).len();
    let height = u16::try_from(head + rows + 3).unwrap_or(60).max(SMALL);
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| draw(frame, state, look));
    let mut lines = text_of(terminal.backend().buffer());
    // There is no keyboard.
    lines.pop();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.join("\n") + "\n"
}

/// The lines of a buffer, without what ends them.
fn text_of(buffer: &Buffer) -> Vec<String> {
    let line = |y: u16| {
        let (mut line, mut x) = (String::new(), 0);
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // A wide character takes the cell behind it as well.
            x += u16::try_from(Span::raw(symbol).width()).unwrap_or(1).max(1);
        }
        line.trim_end().to_owned()
    };
    (0..buffer.area.height).map(line).collect()
}

/// The table, around the row that is selected.
fn table(state: &State, look: &Look, area: Rect) -> Vec<Line<'static>> {
    let order = state.order();
    let mut lines = vec![title(state, look, order.len())];
    let Some(findings) = state.findings.as_ref().filter(|_| !order.is_empty()) else { return lines };
    let room = usize::from(area.height).saturating_sub(2).max(1);
    let selected = state.row(&order);
    let first = (selected + 1).saturating_sub(room);
    let shown: Vec<_> = order.iter().skip(first).take(room).map(|at| state.suspect(*at)).collect();
    let mut text = live_table(&findings.analysis, &shown, first + 1, &look.text(area.width)).into_iter();
    lines.extend(text.next().map(|heading| Line::styled(heading, look.dim())));
    for (at, (row, suspect)) in text.zip(&shown).enumerate() {
        let is_selected = first + at == selected;
        let style = match suspect.words.is_empty() {
            true => look.dim(),
            false => Style::new(),
        };
        lines.push(match is_selected {
            true => {
                let row = format!("{}{}", look.glyph("▶", ">"), row.strip_prefix(' ').unwrap_or(&row));
                Line::styled(row, Style::new().add_modifier(Modifier::BOLD))
            }
            false => Line::styled(row, style),
        });
    }
    lines
}

fn title(state: &State, look: &Look, shown: usize) -> Line<'static> {
    let dot = look.glyph("·", "|");
    let mut words = vec![format!("by {}", state.sort.as_str())];
    match &state.findings {
        None if state.figures.snapshots > 0 => words = vec!["reading the snapshots ...".to_owned()],
        None => words = vec!["waiting for the first snapshot".to_owned()],
        Some(findings) if !state.filter.is_empty() => {
            let all = findings.analysis.suspects.iter().filter(|suspect| suspect.samples > 0).count();
            words.push(format!("{shown} of {all} contain \"{}\"", state.filter));
        }
        Some(_) => words.push(if shown == 1 { "1 place".to_owned() } else { format!("{shown} places") }),
    }
    let strong = Style::new().add_modifier(Modifier::BOLD);
    Line::from(vec![Span::styled("SUSPECTS  ", strong), Span::raw(words.join(&format!(" {dot} ")))])
}

/// The selected suspect in full.
fn stack(state: &State, look: &Look, area: Rect) -> Vec<Line<'static>> {
    let order = state.order();
    let row = state.row(&order);
    let Some(findings) = state.findings.as_ref().filter(|_| !order.is_empty()) else { return Vec::new() };
    let suspect = state.suspect(order[row]);
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let text = live_details(&findings.analysis, row + 1, suspect, &look.text(area.width));
    let style = |at: usize, line: &str| if at == 0 || line.starts_with("  > ") { strong } else { Style::new() };
    let lines = text.into_iter().enumerate().map(|(at, line)| Line::styled(line.clone(), style(at, &line)));
    scrolled(lines.collect(), state.scroll, area)
}

/// As many lines as fit, from a first one on which leaves none of the room empty.
fn scrolled(lines: Vec<Line<'static>>, first: usize, area: Rect) -> Vec<Line<'static>> {
    let room = usize::from(area.height);
    let first = first.min(lines.len().saturating_sub(room));
    lines.into_iter().skip(first).take(room).collect()
}

/// The last line: what is typed, what came of a request, or what the keys do.
fn keyboard(state: &State, look: &Look) -> Line<'static> {
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let cursor = Span::styled(" ", Style::new().add_modifier(Modifier::REVERSED));
    let input = |name: &'static str, text: &str, keys: &'static str| {
        let text = Span::raw(text.to_owned());
        Line::from(vec![Span::styled(name, strong), text, cursor.clone(), Span::styled(keys, look.dim())])
    };
    match (&state.mode, &state.message) {
        (Mode::Filter, _) => input("filter: ", &state.filter, "   [enter] keep  [esc] clear"),
        (Mode::Mark(text), _) => input("mark: ", text, "   [enter] set  [esc] leave"),
        (_, Some(message)) => Line::styled(message.clone(), look.ink(Color::Yellow)),
        (Mode::Stack, None) => {
            Line::styled("[esc] back  [j] [k] scroll  [m]ark  [s]napshot  [h]elp  [q]uit", look.dim())
        }
        (Mode::Help, None) => Line::styled("[esc] back  [j] [k] scroll  [q]uit", look.dim()),
        (Mode::Table, None) => {
            let sorts = [("[g]rowth", Sort::Growth), ("[l]ive", Sort::Live), ("[a]ge", Sort::Age)];
            let mut spans = Vec::new();
            for (name, sort) in sorts {
                spans.push(Span::styled(name, if sort == state.sort { strong } else { look.dim() }));
                spans.push(Span::raw(" "));
            }
            spans.push(Span::styled("[enter] stack [/] filter [m]ark [s]napshot [h]elp [q]uit", look.dim()));
            Line::from(spans)
        }
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
