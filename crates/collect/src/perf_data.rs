//! The JVM's performance data: a file of at most some ten KiB that HotSpot maps and keeps up to date (`hsperfdata`).
//!
//! ```text
//!   prologue (32 bytes)   magic ca fe c0 c0 | byte order | major | minor | accessible | used | overflow | time (8) |
//!                         offset of the first entry | number of entries
//!   entry                 length | name at | elements (0: one value) | type | flags | units | variability | data at | ...
//! ```
//! All but the magic is in the byte order that it tells (1: little). The file is the target's and may hold anything:
//! every offset is checked, and no more entries are read than fit into it.

/// An entry cannot be shorter.
const LEAST_ENTRY: usize = 20;
const MAGIC: [u8; 4] = [0xca, 0xfe, 0xc0, 0xc0];
const LITTLE: u8 = 1;
/// A longer name or text is none of HotSpot's.
const LONGEST_TEXT: usize = 1024;

/// A value of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A number; what cannot be negative reads as 0 where it is.
    Number(u64),
    /// A text, without its end.
    Text(&'a str),
}

/// Calls `visit` with the name and the value of each entry, in the order of the file; `None` if this is no such file,
/// or one that the JVM has not finished. What is damaged in it is passed over.
pub(crate) fn visit<'a>(bytes: &'a [u8], mut visit: impl FnMut(&'a str, Value<'a>)) -> Option<()> {
    let prologue = bytes.first_chunk::<32>()?;
    let is_ready = prologue[..4] == MAGIC && prologue[4] == LITTLE && prologue[5] == 2 && prologue[7] == 1;
    if !is_ready {
        return None;
    }
    let (mut at, count) = (offset(bytes, 24)?, offset(bytes, 28)?);
    for _ in 0..count.min(bytes.len() / LEAST_ENTRY) {
        let length = offset(bytes, at)?;
        let entry = bytes.get(at..at.checked_add(length.max(LEAST_ENTRY))?)?;
        if let Some((name, value)) = entry_of(entry) {
            visit(name, value);
        }
        at = at.checked_add(entry.len())?;
    }
    Some(())
}

fn entry_of(entry: &[u8]) -> Option<(&str, Value<'_>)> {
    let name = text(entry, offset(entry, 4)?, LONGEST_TEXT)?;
    let (elements, data) = (offset(entry, 8)?, offset(entry, 16)?);
    let value = match (entry.get(12)?, elements) {
        (b'J', 0) => {
            let number = i64::from_le_bytes(*entry.get(data..)?.first_chunk()?);
            Value::Number(u64::try_from(number).unwrap_or(0))
        }
        (b'B', 1..) => Value::Text(text(entry, data, elements)?),
        _ => return None,
    };
    Some((name, value))
}

/// The number of four bytes that lies there, which is an offset or a count.
fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

/// The text that begins there, up to its NUL, or as long as there is room.
fn text(bytes: &[u8], at: usize, most: usize) -> Option<&str> {
    let bytes = bytes.get(at..)?;
    let bytes = bytes.get(..most.min(LONGEST_TEXT)).unwrap_or(bytes);
    std::str::from_utf8(bytes.split(|byte| *byte == 0).next()?).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file with these entries, laid out as HotSpot does it.
    pub(crate) fn file(entries: &[(&str, Value<'_>)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([LITTLE, 2, 0, 1]);
        bytes.extend([0; 16]);
        for word in [32, entries.len() as i32] {
            bytes.extend(word.to_le_bytes());
        }
        for (name, value) in entries {
            let data_at = (20 + name.len() + 1).next_multiple_of(8);
            let (kind, elements, data) = match value {
                Value::Number(number) => (b'J', 0, number.to_le_bytes().to_vec()),
                Value::Text(text) => (b'B', text.len() as i32 + 1, [text.as_bytes(), b"\0"].concat()),
            };
            let length = (data_at + data.len()).next_multiple_of(8);
            let mut entry = Vec::new();
            for word in [length as i32, 20, elements] {
                entry.extend(word.to_le_bytes());
            }
            entry.extend([kind, 1, 2, 3]);
            entry.extend((data_at as i32).to_le_bytes());
            entry.extend(name.as_bytes());
            entry.resize(data_at, 0);
            entry.extend(data);
            entry.resize(length, 0);
            bytes.extend(entry);
        }
        bytes.resize(32 << 10, 0);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Vec<(String, String)>> {
        let mut all = Vec::new();
        visit(bytes, |name, value| all.push((name.to_owned(), format!("{value:?}")))).map(|()| all)
    }

    const ENTRIES: [(&str, Value<'_>); 3] = [
        ("sun.gc.collector.0.name", Value::Text("G1 young collection pauses")),
        ("sun.gc.collector.0.invocations", Value::Number(17)),
        ("java.cls.loadedClasses", Value::Number(u64::MAX)),
    ];

    #[test]
    fn entries_are_read() {
        let all = read(&file(&ENTRIES)).unwrap();
        let expected = [
            ("sun.gc.collector.0.name", "Text(\"G1 young collection pauses\")"),
            ("sun.gc.collector.0.invocations", "Number(17)"),
            ("java.cls.loadedClasses", "Number(0)"),
        ];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_not_ready_or_something_else_is_refused() {
        let good = file(&ENTRIES);
        for (at, byte) in [(0, 0), (4, 0), (5, 1), (7, 0)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(read(&bad), None, "byte {at}");
        }
        assert_eq!(read(b"root:x:0:0:root"), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn whatever_it_holds_is_survived() {
        let good = file(&ENTRIES);
        for cut in 0..400 {
            let _ = read(&good[..cut]);
        }
        let mut state = 7u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let evil = [0u8, 1, 0x7f, 0x80, 0xff];
        for _ in 0..20_000 {
            let mut bad = good.clone();
            for _ in 0..1 + random() % 4 {
                let at = 8 + random() % 240;
                bad[at] = evil[random() % evil.len()];
            }
            if let Some(all) = read(&bad) {
                assert!(all.len() <= bad.len() / LEAST_ENTRY);
            }
        }
    }
}
