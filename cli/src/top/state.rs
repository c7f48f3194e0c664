//! What is on the screen, as a function of what came in.

use super::asking::Wish;
use super::figures::Figures;
use super::findings::Findings;
use leakscope_analyze::{SiteId, Suspect};
use leakscope_session::handshake::MOST_MARK_BYTES;

/// Most characters of a filter.
const MOST_FILTER: usize = 100;

/// What leads the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Those with a verdict, then by growth.
    #[default]
    Growth,
    /// By live bytes.
    Live,
    /// By the age of the oldest block.
    Age,
}

impl Sort {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Sort::Growth => "growth",
            Sort::Live => "live bytes",
            Sort::Age => "age",
        }
    }
}

/// What the keyboard does now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Mode {
    /// Moves in the table.
    #[default]
    Table,
    /// Types the filter.
    Filter,
    /// Types the words of a mark.
    Mark(String),
    /// Scrolls the selected suspect in full.
    Stack,
    /// Scrolls the help.
    Help,
}

impl Mode {
    /// Whether letters are text.
    pub fn is_input(&self) -> bool {
        matches!(self, Mode::Filter | Mode::Mark(_))
    }
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// So many lines up.
    Up(usize),
    /// So many lines down.
    Down(usize),
    /// Another order.
    Sort(Sort),
    /// Start to type a filter.
    Filter,
    /// Start to type a mark.
    Mark,
    /// Take a snapshot.
    Snapshot,
    /// Show what the keys do.
    Help,
    /// A character of text.
    Type(char),
    /// Take the last one back.
    Erase,
    /// Take all back.
    EraseAll,
    /// Enter.
    Accept,
    /// Escape.
    Cancel,
    /// Draw everything again.
    Redraw,
    /// Stop until the shell goes on with it.
    Suspend,
    /// End.
    Quit,
}

/// What is left to do after an action.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing but to draw.
    None,
    /// Ask the recorder.
    Ask(Wish),
    /// Draw everything again.
    Redraw,
    /// Stop.
    Suspend,
    /// End.
    Quit,
}

/// What is on the screen.
#[derive(Debug, Default)]
pub struct State {
    /// The head.
    pub figures: Figures,
    /// The table; `None` before the first snapshot was looked at.
    pub findings: Option<Findings>,
    /// Its order.
    pub sort: Sort,
    /// What its rows must contain.
    pub filter: String,
    /// What the keyboard does.
    pub mode: Mode,
    /// First line that is shown of a text.
    pub scroll: usize,
    /// What came of the last request.
    pub message: Option<String>,
    /// Remains on its suspect when the order changes.
    selected: Option<SiteId>,
}

impl State {
    /// The suspects in the table, as indices into those of the analysis.
    pub fn order(&self) -> Vec<usize> {
        let Some(findings) = &self.findings else { return Vec::new() };
        let suspects = &findings.analysis.suspects;
        let filter = self.filter.to_lowercase();
        let shown = |at: &usize| suspects[*at].samples > 0 && findings.words[*at].contains(&filter);
        let mut order: Vec<usize> = (0..suspects.len()).filter(shown).collect();
        let live = |at: &usize| suspects[*at].live_bytes.estimate;
        match self.sort {
            // As the analysis has them.
            Sort::Growth => {}
            Sort::Live => order.sort_by(|a, b| live(b).total_cmp(&live(a))),
            Sort::Age => order.sort_by_key(|at| std::cmp::Reverse(suspects[*at].ages.oldest_ms)),
        }
        order
    }

    /// Which row of the table is selected: the first, until somebody chooses.
    pub fn row(&self, order: &[usize]) -> usize {
        let is_selected = |at: &usize| Some(self.suspect(*at).place.id) == self.selected;
        order.iter().position(is_selected).unwrap_or(0)
    }

    /// A suspect by its index.
    ///
    /// # Panics
    /// If `at` is not from [`State::order`].
    pub fn suspect(&self, at: usize) -> &Suspect {
        &self.findings.as_ref().expect("an index of the order").analysis.suspects[at]
    }

    /// New figures have come.
    pub fn set_figures(&mut self, figures: Figures) {
        self.figures = figures;
    }

    /// There was a new snapshot.
    pub fn set_findings(&mut self, mut findings: Findings) {
        self.message = findings.note.take().or(self.message.take());
        self.findings = Some(findings);
    }

    /// Does what a key asks for.
    pub fn apply(&mut self, action: Action) -> Effect {
        self.message = None;
        match action {
            Action::Quit => return Effect::Quit,
            Action::Suspend => return Effect::Suspend,
            Action::Redraw => return Effect::Redraw,
            Action::Up(lines) => self.step(|at| at.saturating_sub(lines)),
            Action::Down(lines) => self.step(|at| at.saturating_add(lines)),
            Action::Sort(sort) => {
                // The order is asked for to see its top.
                (self.sort, self.selected, self.mode) = (sort, None, Mode::Table);
            }
            Action::Filter => self.mode = Mode::Filter,
            Action::Help => self.show(Mode::Help),
            Action::Mark | Action::Snapshot if self.figures.ended.is_some() => {
                self.message = Some("the recording has ended: there is nothing to ask for".to_owned());
            }
            Action::Mark => self.mode = Mode::Mark(String::new()),
            Action::Snapshot => {
                self.message = Some("taking a snapshot ...".to_owned());
                return Effect::Ask(Wish::Snapshot);
            }
            Action::Type(c) => self.type_text(c),
            Action::Erase => {
                self.input().map(String::pop);
            }
            Action::EraseAll => {
                self.input().map(String::clear);
            }
            Action::Accept => return self.accept(),
            Action::Cancel => self.cancel(),
        }
        Effect::None
    }

    fn input(&mut self) -> Option<&mut String> {
        match &mut self.mode {
            Mode::Filter => Some(&mut self.filter),
            Mode::Mark(text) => Some(text),
            _ => None,
        }
    }

    fn type_text(&mut self, c: char) {
        let is_filter = self.mode == Mode::Filter;
        if let Some(text) = self.input().filter(|_| !c.is_control()) {
            let has_room = match is_filter {
                true => text.chars().count() < MOST_FILTER,
                false => (text.len() + c.len_utf8()) as u64 <= MOST_MARK_BYTES,
            };
            if has_room {
                text.push(c);
            }
        }
    }

    fn accept(&mut self) -> Effect {
        match std::mem::take(&mut self.mode) {
            Mode::Table if !self.order().is_empty() => self.select_and_show(),
            Mode::Mark(text) if !text.trim().is_empty() => {
                return Effect::Ask(Wish::Mark(text.trim().to_owned()));
            }
            // Back to the table.
            _ => {}
        }
        Effect::None
    }

    fn cancel(&mut self) {
        // The filter goes by the first escape that has nothing else to leave.
        if matches!(self.mode, Mode::Filter | Mode::Table) {
            self.filter.clear();
        }
        self.mode = Mode::Table;
    }

    fn select_and_show(&mut self) {
        // What is shown stays the same when the order changes.
        let order = self.order();
        self.selected = Some(self.suspect(order[self.row(&order)]).place.id);
        self.show(Mode::Stack);
    }

    fn show(&mut self, mode: Mode) {
        self.mode = mode;
        self.scroll = 0;
    }

    /// The view knows where a text ends, so scrolling has no bound here beyond any text's length.
    fn step(&mut self, to: impl Fn(usize) -> usize) {
        const LONGEST: usize = 1000;
        if matches!(self.mode, Mode::Stack | Mode::Help) {
            self.scroll = to(self.scroll).min(LONGEST);
            return;
        }
        let order = self.order();
        if let Some(last) = order.len().checked_sub(1) {
            let row = to(self.row(&order)).min(last);
            self.selected = Some(self.suspect(order[row]).place.id);
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
