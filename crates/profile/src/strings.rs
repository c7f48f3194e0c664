//! pprof's string table, from both sides.

use std::borrow::Cow;

use crate::error::{Inconsistent, ReadError};
use crate::index::Index;

/// The string table of a file being written: every text once, the empty one first. The texts stay where they are.
pub(crate) struct Interner<'a> {
    index: Index,
    list: Vec<&'a str>,
}

impl<'a> Interner<'a> {
    pub(crate) fn new() -> Self {
        let mut interner = Self { index: Index::default(), list: Vec::new() };
        interner.index("");
        interner
    }

    /// The index of a text.
    pub(crate) fn index(&mut self, text: &'a str) -> i64 {
        let next = self.list.len();
        let known = self.index.find_or_insert(text, next, |at| self.list[at] == text);
        if known.is_none() {
            self.list.push(text);
        }
        known.unwrap_or(next) as i64
    }

    /// The table as the file holds it.
    pub(crate) fn list(&self) -> &[&'a str] {
        &self.list
    }
}

/// The string table of a file being read.
///
/// The model owns its texts, so each use is a copy. A hostile file could name one long string a million times:
/// copies are paid for from an allowance.
pub(crate) struct Strings<'a> {
    list: Vec<Cow<'a, str>>,
    allowance: u64,
    limit: u64,
}

impl<'a> Strings<'a> {
    /// The table of a file; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// A table without the empty string in front is no table.
    pub(crate) fn new(table: &[&'a [u8]], limit_bytes: u64) -> Result<Self, ReadError> {
        if table.first().is_none_or(|first| !first.is_empty()) {
            return Err(Inconsistent::new("the string table does not begin with the empty string").into());
        }
        let list = table.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
        Ok(Self { list, allowance: limit_bytes, limit: limit_bytes })
    }

    /// The text at an index.
    ///
    /// # Errors
    /// An index outside the table.
    pub(crate) fn get(&self, index: i64) -> Result<&str, Inconsistent> {
        let text = usize::try_from(index).ok().and_then(|index| self.list.get(index));
        text.map(Cow::as_ref).ok_or_else(|| Inconsistent::new(format!("no string {index} in the table")))
    }

    /// A copy of the text at an index.
    ///
    /// # Errors
    /// An index outside the table, or more text copied than a profile can have.
    pub(crate) fn copy(&mut self, index: i64) -> Result<String, ReadError> {
        let text = self.get(index)?.to_owned();
        self.pay(text.len())?;
        Ok(text)
    }

    /// Pays for text that the model will own.
    ///
    /// # Errors
    /// The allowance is used up.
    pub(crate) fn pay(&mut self, bytes: usize) -> Result<(), ReadError> {
        let left = self.allowance.checked_sub(bytes as u64);
        self.allowance = left.ok_or(ReadError::TooLarge { what: "its text", limit_bytes: self.limit })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_once_and_the_empty_one_is_zero() {
        let mut interner = Interner::new();
        assert_eq!(interner.index(""), 0);
        assert_eq!(interner.index("a"), 1);
        assert_eq!(interner.index("b"), 2);
        assert_eq!(interner.index("a"), 1);
        assert_eq!(interner.list(), ["", "a", "b"]);
    }

    #[test]
    fn a_name_that_is_not_utf8_stays_readable() {
        let strings = Strings::new(&[b"", &[b'a', 0xff]], 10).unwrap();
        assert_eq!(strings.get(1), Ok("a\u{fffd}"));
        assert!(strings.get(2).is_err());
        assert!(strings.get(-1).is_err());
    }

    #[test]
    fn copies_are_paid_for() {
        let mut strings = Strings::new(&[b"", &[b'x'; 6]], 10).unwrap();
        assert!(strings.copy(1).is_ok());
        assert!(matches!(strings.copy(1), Err(ReadError::TooLarge { limit_bytes: 10, .. })));
    }

    #[test]
    fn a_table_begins_with_the_empty_string() {
        assert!(Strings::new(&[], 10).is_err());
        assert!(Strings::new(&[b"a"], 10).is_err());
    }
}
