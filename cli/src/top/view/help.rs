//! What the keys do, and what the figures mean.

use super::Look;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

const KEYS: [(&str, &str); 13] = [
    ("j k, arrows", "another place; in a text: scroll"),
    ("page keys, space, home, end", "further"),
    ("enter", "the stack of the place, why it is a suspect, what to do about it"),
    ("esc", "back; in the table: no filter"),
    ("g", "places with a verdict first, then by growth"),
    ("l", "by live bytes"),
    ("a", "by the age of the oldest block"),
    ("/", "only places with this in their stack, library or verdict"),
    ("m", "mark this moment in the timeline, as leakscope mark does"),
    ("s", "a snapshot into a file of its own here, as leakscope snapshot does"),
    ("h, ?", "this help"),
    ("ctrl-l, ctrl-z", "draw again, suspend"),
    ("q, ctrl-c", "quit; recording goes on"),
];

const FIGURES: [&str; 6] = [
    "The figures in the head are measured once a second; verdicts and places change with each snapshot.",
    "The bar is the limit of the container, or what is resident where there is none. Its parts are proportional set",
    "sizes, measured more rarely. RSS over time starts at zero, and so does live: sampled malloc and mmap.",
    "growth/h has a 95 % interval. Without one there are too few snapshots yet.",
    "Freed by: GC, by the reference handling of the JVM alone; app, by the application; never, not once.",
    "Out of memory: a range, at the growth of late, the Java heap not counted.",
];

pub(super) fn lines(look: &Look) -> Vec<Line<'static>> {
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let mut lines = vec![Line::styled("KEYS", strong)];
    let key = |(key, what): &(&'static str, &'static str)| {
        Line::from(vec![Span::styled(format!("  {key:<28}"), strong), Span::raw(*what)])
    };
    lines.extend(KEYS.iter().map(key));
    lines.push(Line::raw(""));
    lines.push(Line::styled("FIGURES", strong));
    lines.extend(FIGURES.iter().map(|text| Line::styled(format!("  {text}"), look.dim())));
    lines
}
