//! Columns that line up.

use crate::style::{Ink, TextOptions};

/// Which side of a column is straight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table that is printed once its last row is known. The last column may be of any length.
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<(Option<Ink>, Vec<String>)>,
}

impl Table {
    pub(crate) fn new(columns: &[(&str, Align)]) -> Table {
        Table { columns: columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns; `ink` colours the whole of it.
    pub(crate) fn row(&mut self, ink: Option<Ink>, cells: Vec<String>) {
        self.rows.push((ink, cells));
    }

    pub(crate) fn print(&self, options: &TextOptions) -> String {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(at));
                let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                widest.max(self.columns[at].0.chars().count())
            })
            .collect();
        let heads: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let mut text = self.line(&heads, &widths, Some(Ink::Dim), options);
        for (ink, cells) in &self.rows {
            text.push_str(&self.line(cells, &widths, *ink, options));
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize], ink: Option<Ink>, options: &TextOptions) -> String {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .zip(&self.columns)
            .map(|((cell, width), (_, align))| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            })
            .collect();
        let line = format!("  {}", padded.join("  "));
        let line = line.trim_end();
        format!("{}\n", ink.map_or(line.to_owned(), |ink| options.paint(ink, line)))
    }
}
