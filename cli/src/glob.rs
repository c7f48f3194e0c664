//! Patterns for process names: `*` is any text, `?` one character.

/// Whether `name` as a whole matches `pattern`. Linear in practice: the last `*` alone is tried again.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when something does not match: behind the last star, one character further in the name.
    let mut retry = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((star, at)) => {
                    retry = Some((star, at + 1));
                    p = star + 1;
                    n = at + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name) in [
            ("java", "java"),
            ("*", ""),
            ("*", "x"),
            ("j?va", "java"),
            ("*worker*", "my-worker-1"),
            ("a*b*c", "aXbXbXc"),
            ("größe?", "größe1"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("java", "javac"), ("", "x"), ("?", ""), ("a*b", "acbd"), ("*.so", "x.so.1")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(50), &"a".repeat(49)));
    }
}
