//! Columns that line up, the last of which says what a row is about and gets the room that the others leave.

use crate::path::CallPath;
use crate::style::{Ink, TextOptions};

/// Which side of a column is straight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A column before the last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub name: &'static str,
    pub align: Align,
    /// Columns of the lowest rank are the first to go where room is short; those of [`ALWAYS`] never do.
    pub rank: u8,
}

/// A rank.
pub(crate) const ALWAYS: u8 = u8::MAX;

/// As many columns as the last one must have before others stay.
const LEAST_FOR_LAST: usize = 36;

/// A table that is printed once its last row is known.
pub(crate) struct Table {
    columns: Vec<Column>,
    last: &'static str,
    rows: Vec<Row>,
}

struct Row {
    ink: Option<Ink>,
    cells: Vec<String>,
}

impl Table {
    pub(crate) fn new(columns: &[Column], last: &'static str) -> Table {
        Table { columns: columns.to_vec(), last, rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns before the last; `ink` colours the whole of it.
    pub(crate) fn row(&mut self, ink: Option<Ink>, cells: Vec<String>) {
        self.rows.push(Row { ink, cells });
    }

    /// The width that is left for the last column once others have gone; unlimited where there is no terminal.
    pub(crate) fn width_of_last(&self, options: &TextOptions) -> usize {
        let Some(columns) = options.columns else { return usize::MAX };
        columns.saturating_sub(self.used(&self.shown(columns))).max(16)
    }

    /// `last` makes the cells of the last column, one for each row.
    pub(crate) fn print(&self, last: &[CallPath], options: &TextOptions) -> String {
        let width = self.width_of_last(options);
        let shown = self.shown(options.columns.unwrap_or(usize::MAX));
        let heads: Vec<String> = self.columns.iter().map(|column| column.name.to_owned()).collect();
        let mut text = self.line(&heads, &shown, self.last, Some(Ink::Dim), options);
        for (row, path) in self.rows.iter().zip(last) {
            let what = path.fit(width, options.glyphs());
            text.push_str(&self.line(&row.cells, &shown, &what, row.ink, options));
        }
        text
    }

    /// Which columns are printed, by index.
    fn shown(&self, columns: usize) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).filter(|at| !self.is_empty(*at)).collect();
        while self.used(&shown).saturating_add(LEAST_FOR_LAST) > columns {
            let ranks = shown.iter().copied().filter(|at| self.columns[*at].rank < ALWAYS);
            let Some(least) = ranks.min_by_key(|at| self.columns[*at].rank) else { break };
            shown.retain(|at| *at != least);
        }
        shown
    }

    /// Whether a named column holds nothing at all.
    fn is_empty(&self, at: usize) -> bool {
        self.columns[at].rank < ALWAYS && self.rows.iter().all(|row| row.cells[at].is_empty())
    }

    fn used(&self, shown: &[usize]) -> usize {
        2 + shown.iter().map(|at| self.width(*at) + 2).sum::<usize>()
    }

    fn width(&self, at: usize) -> usize {
        let cells = self.rows.iter().map(|row| row.cells[at].chars().count());
        cells.max().unwrap_or(0).max(self.columns[at].name.chars().count())
    }

    fn line(&self, cells: &[String], shown: &[usize], last: &str, ink: Option<Ink>, options: &TextOptions) -> String {
        let mut padded: Vec<String> = shown
            .iter()
            .map(|at| {
                let (cell, width) = (&cells[*at], self.width(*at));
                match self.columns[*at].align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                }
            })
            .collect();
        padded.push(last.to_owned());
        let line = format!("  {}", padded.join("  "));
        let line = line.trim_end();
        format!("{}\n", ink.map_or(line.to_owned(), |ink| options.paint(ink, line)))
    }
}
