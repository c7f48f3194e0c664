//! What the reader's terminal can show: letters beyond ASCII, colour. Both only when the caller says so.

/// Characters that exist in two spellings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glyphs {
    pub plus_minus: &'static str,
    pub arrow: &'static str,
    pub dot: &'static str,
}

impl Glyphs {
    pub(crate) const UNICODE: Glyphs = Glyphs { plus_minus: "±", arrow: "→", dot: "·" };
    pub(crate) const ASCII: Glyphs = Glyphs { plus_minus: "+-", arrow: "->", dot: "|" };
}

/// A colour's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// A heading, or the reader's own frame.
    Strong,
    /// Grown.
    Bad,
    /// Shrunk.
    Good,
    /// Not significant, beside the point.
    Dim,
}

/// How text is to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextOptions {
    /// Only ASCII, for a locale that is not UTF-8. Names keep their letters: they are data.
    pub ascii: bool,
    /// Colour by ANSI escapes.
    pub color: bool,
    /// Most lines of the table of sites; `usize::MAX` for all.
    pub sites: usize,
    /// For how many sites the whole stack is printed.
    pub stacks: usize,
    /// Commands to type next, best first; none: no such line.
    pub next: Vec<String>,
}

impl Default for TextOptions {
    fn default() -> TextOptions {
        TextOptions { ascii: false, color: false, sites: 20, stacks: 5, next: Vec::new() }
    }
}

impl TextOptions {
    pub(crate) fn glyphs(&self) -> &'static Glyphs {
        if self.ascii { &Glyphs::ASCII } else { &Glyphs::UNICODE }
    }

    pub(crate) fn paint(&self, ink: Ink, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Strong => "1",
            Ink::Bad => "31",
            Ink::Good => "32",
            Ink::Dim => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// The last line of every report.
    pub(crate) fn next_line(&self) -> String {
        let separator = format!("   {}   ", self.glyphs().dot);
        if self.next.is_empty() { String::new() } else { format!("next: {}\n", self.next.join(&separator)) }
    }
}
