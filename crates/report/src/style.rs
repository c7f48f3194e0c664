//! What the reader's terminal can show: letters beyond ASCII, colour. Both only when the caller says so.

/// Characters that exist in two spellings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glyphs {
    pub plus_minus: &'static str,
    pub arrow: &'static str,
    pub dot: &'static str,
    /// Called by.
    pub back: &'static str,
    /// Something was left out.
    pub ellipsis: &'static str,
    /// From empty to full.
    pub bars: [char; 8],
}

impl Glyphs {
    pub(crate) const UNICODE: Glyphs = Glyphs {
        plus_minus: "±",
        arrow: "→",
        dot: "·",
        back: "←",
        ellipsis: "…",
        bars: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    };
    pub(crate) const ASCII: Glyphs = Glyphs {
        plus_minus: "+-",
        arrow: "->",
        dot: "|",
        back: "<-",
        ellipsis: "..",
        bars: ['_', '.', ',', '-', '=', '+', '*', '#'],
    };
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
    /// Width of the terminal; `None` where there is none: then lines are as long as they are.
    pub columns: Option<usize>,
    /// Most lines of the table of sites; `usize::MAX` for all, those of the JVM itself included.
    pub sites: usize,
    /// For how many sites at most the whole stack is printed.
    pub stacks: usize,
    /// Sentences about the recording that the profile itself does not know, printed below its head.
    pub notes: Vec<String>,
    /// Commands to type next, best first; none: no such line.
    pub next: Vec<String>,
}

impl Default for TextOptions {
    fn default() -> TextOptions {
        TextOptions {
            ascii: false,
            color: false,
            columns: None,
            sites: 20,
            stacks: 5,
            notes: Vec::new(),
            next: Vec::new(),
        }
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

    /// Whether everything is shown.
    pub(crate) fn is_all(&self) -> bool {
        self.sites == usize::MAX
    }

    /// Parts with dots between them, on as many lines as the terminal needs.
    pub fn parts(&self, parts: &[String], indent: usize) -> String {
        self.wrap(parts, &format!(" {} ", self.glyphs().dot), indent)
    }

    /// A sentence, on as many lines as the terminal needs.
    pub fn sentence(&self, sentence: &str, indent: usize) -> String {
        let words: Vec<String> = sentence.split(' ').map(str::to_owned).collect();
        self.wrap(&words, " ", indent)
    }

    /// Without a line break at the end; later lines are indented.
    fn wrap(&self, parts: &[String], separator: &str, indent: usize) -> String {
        let columns = self.columns.unwrap_or(usize::MAX);
        let (mut text, mut used) = (String::new(), 0);
        for (at, part) in parts.iter().enumerate() {
            let length = part.chars().count();
            let room = separator.chars().count() + length;
            if at > 0 && used + room > columns {
                text.push_str(&format!("\n{:indent$}", ""));
                used = indent;
            } else if at > 0 {
                text.push_str(separator);
                used += room - length;
            }
            text.push_str(part);
            used += length;
        }
        text
    }

    /// The last line of every report; a line for each command where one line has no room for all.
    pub(crate) fn next_line(&self) -> String {
        if self.next.is_empty() {
            return String::new();
        }
        let line = format!("next: {}", self.next.join(&format!("   {}   ", self.glyphs().dot)));
        match self.columns {
            Some(columns) if line.chars().count() > columns => format!("next: {}\n", self.next.join("\n      ")),
            _ => format!("{line}\n"),
        }
    }
}
