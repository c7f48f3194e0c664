//! Names as they may be printed: symbols come out of files and processes that anyone may have written, and a name
//! must neither steer a terminal nor end an XML document.

use std::borrow::Cow;

/// A longer name is cut: C++ templates reach tens of thousands of characters.
const LONGEST: usize = 400;

/// `name` on one line, with every character that controls anything written out as `\u{1b}`: control characters,
/// line breaks, those that turn the direction of writing or are invisible, and what XML forbids.
pub(crate) fn printable(name: &str) -> Cow<'_, str> {
    if name.len() <= LONGEST && !name.chars().any(controls) {
        return Cow::Borrowed(name);
    }
    let mut shown = String::with_capacity(name.len().min(LONGEST));
    for (count, c) in name.chars().enumerate() {
        if count == LONGEST {
            shown.push_str("...");
            break;
        }
        if controls(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

fn controls(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass_untouched() {
        for name in ["com.acme.Größe.<init>", "std::map<int, 中>::at(unsigned long)", "Foo$$Lambda", ""] {
            assert!(matches!(printable(name), Cow::Borrowed(shown) if shown == name));
        }
    }

    #[test]
    fn what_controls_a_terminal_is_written_out() {
        assert_eq!(printable("\u{1b}[31mred\n\tx\u{7f}"), "\\u{1b}[31mred\\u{a}\\u{9}x\\u{7f}");
        assert_eq!(printable("a\u{202e}b\u{9b}c\0"), "a\\u{202e}b\\u{9b}c\\u{0}");
        assert_eq!(printable("\u{ffff}"), "\\u{ffff}");
    }

    #[test]
    fn long_names_are_cut() {
        let long = "é".repeat(5000);
        assert_eq!(printable(&long).chars().count(), LONGEST + 3);
    }
}
