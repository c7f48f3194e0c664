//! The Java table: names of methods and lines of frames, so that a profile can be made after the JVM is gone.
//!
//! Written by one thread, the helper; read by the collector. Append-only, so each part is published by a release
//! store of its count. Strings lie one after another as length (16 bits) and bytes; offset 0 means none.
//!
//! ```text
//!   method (4 words):  jmethodID | class (32) name (32) | signature (32) source (32) | flags
//!   line (2 words):    frame word | line (32) method index (32)
//! ```

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Words of a method.
pub const METHOD_WORDS: usize = 4;
/// Words of a line.
pub const LINE_WORDS: usize = 2;

/// A view of the Java table.
#[derive(Clone, Copy)]
pub struct JavaTable<'a> {
    /// Methods in the order in which they were resolved.
    pub methods: &'a [AtomicU64],
    /// How many there are.
    pub method_count: &'a AtomicU32,
    /// Resolved frames.
    pub lines: &'a [AtomicU64],
    /// How many there are.
    pub line_count: &'a AtomicU32,
    /// Strings, eight bytes a word, little-endian.
    pub names: &'a [AtomicU64],
    /// Bytes of it in use.
    pub names_used: &'a AtomicU32,
}

/// Offset of a string in the names; 0 = none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NameRef(pub u32);

/// A resolved method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Method {
    /// The jmethodID.
    pub id: u64,
    /// Class signature, `Ljava/util/zip/Deflater;`.
    pub class: NameRef,
    /// Name, `init`.
    pub name: NameRef,
    /// Signature, `(IIZ)J`.
    pub signature: NameRef,
    /// Source file name, `Deflater.java`.
    pub source: NameRef,
}

/// A resolved frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The Java frame word.
    pub frame: u64,
    /// Source line, 0 unknown.
    pub line: u32,
    /// Index of its method.
    pub method: u32,
}

impl<'a> JavaTable<'a> {
    /// Appends a string, cut at 65,535 bytes. `None` if there is no room. Writer only.
    pub fn push_name(&self, text: &[u8]) -> Option<NameRef> {
        let text = text.get(..text.len().min(0xFFFF))?;
        // Byte 0 of the area stays unused, so that 0 can mean none.
        let start = self.names_used.load(Ordering::Relaxed).max(8) as usize;
        let end = start.checked_add(2)?.checked_add(text.len())?;
        if end > self.names.len().checked_mul(8)? {
            return None;
        }
        let length = (text.len() as u16).to_le_bytes();
        for (i, byte) in length.iter().chain(text).enumerate() {
            self.write_byte(start + i, *byte);
        }
        self.names_used.store(end as u32, Ordering::Release);
        Some(NameRef(start as u32))
    }

    /// Appends a method; its index, or `None` if there is no room. Writer only.
    pub fn push_method(&self, method: &Method) -> Option<u32> {
        let index = self.method_count.load(Ordering::Relaxed);
        let start = (index as usize).checked_mul(METHOD_WORDS)?;
        let words = self.methods.get(start..start.checked_add(METHOD_WORDS)?)?;
        let packed = [
            method.id,
            u64::from(method.class.0) << 32 | u64::from(method.name.0),
            u64::from(method.signature.0) << 32 | u64::from(method.source.0),
            0,
        ];
        for (word, value) in words.iter().zip(packed) {
            word.store(value, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire in `method_total`.
        self.method_count.store(index.checked_add(1)?, Ordering::Release);
        Some(index)
    }

    /// Appends a resolved frame; `false` if there is no room. Writer only.
    pub fn push_line(&self, line: &Line) -> bool {
        let index = self.line_count.load(Ordering::Relaxed);
        let Some(words) = (index as usize).checked_mul(LINE_WORDS).and_then(|s| self.lines.get(s..s + LINE_WORDS))
        else {
            return false;
        };
        for (word, value) in words.iter().zip([line.frame, u64::from(line.line) << 32 | u64::from(line.method)]) {
            word.store(value, Ordering::Relaxed);
        }
        self.line_count.store(index.saturating_add(1), Ordering::Release);
        true
    }

    /// Methods that can be read.
    pub fn method_total(&self) -> u32 {
        // Acquire: pairs with the Release in `push_method`.
        self.method_count.load(Ordering::Acquire).min((self.methods.len() / METHOD_WORDS) as u32)
    }

    /// Resolved frames that can be read.
    pub fn line_total(&self) -> u32 {
        self.line_count.load(Ordering::Acquire).min((self.lines.len() / LINE_WORDS) as u32)
    }

    /// A method.
    pub fn method(&self, index: u32) -> Option<Method> {
        let start = (index as usize).checked_mul(METHOD_WORDS)?;
        let word = |i: usize| Some(self.methods.get(start.checked_add(i)?)?.load(Ordering::Relaxed));
        let (a, b) = (word(1)?, word(2)?);
        Some(Method {
            id: word(0)?,
            class: NameRef((a >> 32) as u32),
            name: NameRef(a as u32),
            signature: NameRef((b >> 32) as u32),
            source: NameRef(b as u32),
        })
    }

    /// A resolved frame.
    pub fn line(&self, index: u32) -> Option<Line> {
        let start = (index as usize).checked_mul(LINE_WORDS)?;
        let frame = self.lines.get(start)?.load(Ordering::Relaxed);
        let rest = self.lines.get(start.checked_add(1)?)?.load(Ordering::Relaxed);
        Some(Line { frame, line: (rest >> 32) as u32, method: rest as u32 })
    }

    /// Calls `visit` for each byte of a string; nothing where the offset is 0 or out of range.
    pub fn name(&self, name: NameRef, visit: impl FnMut(u8)) {
        let start = name.0 as usize;
        if start == 0 {
            return;
        }
        let (Some(low), Some(high)) = (self.read_byte(start), self.read_byte(start + 1)) else {
            return;
        };
        let length = usize::from(u16::from_le_bytes([low, high]));
        (0..length).map_while(|i| self.read_byte(start + 2 + i)).for_each(visit);
    }

    fn read_byte(&self, at: usize) -> Option<u8> {
        let word = self.names.get(at / 8)?.load(Ordering::Relaxed);
        Some((word >> (at % 8 * 8)) as u8)
    }

    fn write_byte(&self, at: usize, byte: u8) {
        if let Some(word) = self.names.get(at / 8) {
            let shift = at % 8 * 8;
            let old = word.load(Ordering::Relaxed);
            word.store(old & !(0xFF << shift) | u64::from(byte) << shift, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(leakscope_loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_methods_and_lines_come_back() {
        let words = |n: usize| (0..n).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        let (methods, lines, names) = (words(8), words(4), words(8));
        let (a, b, c) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let table = JavaTable {
            methods: &methods,
            method_count: &a,
            lines: &lines,
            line_count: &b,
            names: &names,
            names_used: &c,
        };
        let class = table.push_name(b"Lcom/acme/Logger;").unwrap();
        let name = table.push_name("größe".as_bytes()).unwrap();
        assert_eq!(table.push_name(&[b'x'; 60]), None, "no room");
        let method = Method { id: 0x7f00_1234, class, name, signature: NameRef(0), source: NameRef(0) };
        let index = table.push_method(&method).unwrap();
        assert!(table.push_line(&Line { frame: 77, line: 88, method: index }));
        assert_eq!(table.method(index), Some(method));
        assert_eq!(table.line(0), Some(Line { frame: 77, line: 88, method: index }));
        let text = |n| {
            let mut bytes = Vec::new();
            table.name(n, |b| bytes.push(b));
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(
            (text(class).as_str(), text(name).as_str(), text(NameRef(0)).as_str()),
            ("Lcom/acme/Logger;", "größe", "")
        );
        assert_eq!(text(NameRef(9_999)), "", "out of range");
        table.push_method(&method);
        assert_eq!(table.push_method(&method), None, "no room");
    }
}
