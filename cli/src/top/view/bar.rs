//! A bar of several parts against a limit, and what each part is.

use super::Look;
use ratatui::style::Color;
use ratatui::text::{Line, Span};

/// A part of the whole: what it is called, its size, and that in words.
pub(super) type Part = (String, f64, String);

/// Colours of the parts, the largest first.
const COLORS: [Color; 7] =
    [Color::Cyan, Color::Yellow, Color::Magenta, Color::Blue, Color::Green, Color::LightRed, Color::Gray];
/// Parts that are named; the rest is one more.
const NAMED: usize = COLORS.len() - 1;
/// A part of which less than this share of all is there is not named.
const WORTH_NAMING: f64 = 0.01;

/// So many parts, the rest as one, that their legend has at most so many lines where that can be.
pub(super) fn fitting(parts: &[Part], width: u16, lines: usize, look: &Look) -> Vec<Part> {
    let fits = |parts: &Vec<Part>| legend(parts, width, 2, look).len() <= lines;
    let choices = (2..=NAMED).rev().map(|named| merged(parts, named));
    choices.into_iter().find(fits).unwrap_or_else(|| merged(parts, 1))
}

/// The largest parts, and the rest as one.
fn merged(parts: &[Part], most: usize) -> Vec<Part> {
    let all: f64 = parts.iter().map(|part| part.1).sum();
    let named = |(at, part): &(usize, &Part)| *at < most && part.1 >= WORTH_NAMING * all;
    let (named, rest): (Vec<_>, Vec<_>) = parts.iter().enumerate().partition(named);
    let mut merged: Vec<Part> = named.into_iter().map(|(_, part)| part.clone()).collect();
    let bytes: f64 = rest.iter().map(|(_, part)| part.1).sum();
    if bytes > 0.0 {
        merged.push(("rest".to_owned(), bytes, leakscope_report::bytes(bytes)));
    }
    merged
}

/// So many cells for `full`, the parts in their colours; letters where there is none.
pub(super) fn bar(parts: &[Part], full: f64, cells: usize, look: &Look) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    let (mut sum, mut used) = (0.0, 0);
    for (at, part) in parts.iter().enumerate() {
        sum += part.1;
        let end = if full > 0.0 { (sum / full * cells as f64).round() as usize } else { 0 }.min(cells);
        if end > used {
            spans.push(Span::styled(symbol(at, look, "█").repeat(end - used), look.ink(color(at))));
            used = end;
        }
    }
    spans.push(Span::styled(look.glyph("░", ".").repeat(cells - used), look.dim()));
    spans
}

/// What the parts are, on as many lines as that takes.
pub(super) fn legend(parts: &[Part], width: u16, indent: usize, look: &Look) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    let mut used = usize::MAX;
    for (at, (name, _, size)) in parts.iter().enumerate() {
        let text = format!(" {name} {size}");
        let length = text.chars().count() + 1;
        if used.saturating_add(length + 2) > usize::from(width) {
            lines.push(Line::raw(" ".repeat(indent)));
            used = indent;
        } else if let Some(line) = lines.last_mut() {
            line.push_span("  ");
            used += 2;
        }
        if let Some(line) = lines.last_mut() {
            line.push_span(Span::styled(symbol(at, look, "■"), look.ink(color(at))));
            line.push_span(text);
            used += length;
        }
    }
    lines
}

fn color(at: usize) -> Color {
    COLORS[at.min(COLORS.len() - 1)]
}

/// With colour a block, else a letter.
fn symbol(at: usize, look: &Look, block: &'static str) -> &'static str {
    const LETTERS: [&str; COLORS.len()] = ["a", "b", "c", "d", "e", "f", "g"];
    if look.color && !look.ascii { block } else { LETTERS[at.min(LETTERS.len() - 1)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look { ascii: true, color: false };

    fn part(name: &str, size: f64) -> Part {
        (name.to_owned(), size, format!("{size} B"))
    }

    fn drawn(parts: &[Part], full: f64) -> String {
        bar(parts, full, 10, &PLAIN).into_iter().map(|span| span.content.into_owned()).collect()
    }

    #[test]
    fn parts_fill_their_share_of_the_bar() {
        assert_eq!(drawn(&[part("heap", 50.0), part("malloc", 30.0)], 100.0), "aaaaabbb..");
        // Rounding does not add up: ten parts of a twentieth are half of it.
        let tenth: Vec<Part> = (0..10).map(|_| part("x", 5.0)).collect();
        assert_eq!(drawn(&tenth, 100.0).matches('.').count(), 5);
        assert_eq!(drawn(&[part("x", 500.0)], 100.0), "aaaaaaaaaa", "never beyond the end");
        assert_eq!(drawn(&[part("x", 5.0)], 0.0), "..........");
    }

    #[test]
    fn small_parts_are_one() {
        let parts: Vec<Part> = (0..9).map(|n| part(&format!("p{n}"), 100.0 - f64::from(n))).collect();
        let names: Vec<String> = merged(&parts, NAMED).into_iter().map(|part| part.0).collect();
        assert_eq!(names, ["p0", "p1", "p2", "p3", "p4", "p5", "rest"]);
        assert_eq!(merged(&[part("a", 1000.0), part("b", 1.0)], NAMED)[1].0, "rest");
        let few = fitting(&parts, 40, 2, &PLAIN);
        assert!(few.len() < 7 && few.last().is_some_and(|part| part.0 == "rest"), "{few:?}");
        let lines = legend(&few, 40, 2, &PLAIN);
        assert!(lines.len() == 2 && lines.iter().all(|line| line.width() <= 40), "{lines:?}");
    }
}
