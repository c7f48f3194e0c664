//! What could not be done, in sentences for people; each once, and not endlessly many.

const MAX_WARNINGS: usize = 100;

/// Distinct warnings in the order of their first occurrence.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<String>);

impl Warnings {
    /// Adds one, unless it is there already or there are too many.
    pub(crate) fn add(&mut self, warning: String) {
        if self.0.len() < MAX_WARNINGS && !self.0.contains(&warning) {
            self.0.push(warning);
        }
    }

    pub(crate) fn as_slice(&self) -> &[String] {
        &self.0
    }
}
