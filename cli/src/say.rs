//! leakscope's own lines, on the stderr it was given. A closed stderr is nobody's problem.

use std::io::{self, IsTerminal, Write};

/// Writes one line. Never fails, never panics: the target must run on whatever happens to our words.
pub fn say(line: &str) {
    let mut text = plain(line);
    text.push('\n');
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes a warning, in bold on a terminal: something the user should not overlook.
pub fn warn(line: &str) {
    let is_coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (on, off) = if is_coloured { ("\u{1b}[1;33m", "\u{1b}[0m") } else { ("", "") };
    say(&format!("{on}leakscope: warning:{off} {line}"));
}

/// Without what could steer a terminal (names of processes and files come from elsewhere), and in ASCII where the
/// locale is not UTF-8. Our own colour is kept.
fn plain(line: &str) -> String {
    let is_utf8 = is_utf8_locale();
    let keep = |c: char| match c {
        '\u{b7}' if !is_utf8 => '-',
        '\u{1b}' => c,
        c if c.is_control() => '?',
        c => c,
    };
    line.chars().map(keep).collect()
}

/// Whether the locale's characters are UTF-8.
pub fn is_utf8_locale() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
