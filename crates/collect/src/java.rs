//! Java frames: from the word in the depot to a function and a line, through the session's Java table.
//!
//! The table only grows, so it is read on from where the last snapshot stopped. Names are made the same in every run:
//! hidden classes lose their address (`Foo$$Lambda.0x00007f12` and `Foo$$Lambda$14/0x0800c3` are both
//! `Foo$$Lambda`), generated accessors their number.

use leakscope_profile::{Code, FrameId, Function, FunctionId, ProfileBuilder};
use leakscope_session::frame::{Decoded, FrameWord};
use leakscope_session::java::{JavaTable, Method, NameRef};
use std::collections::HashMap;

/// The function of a frame that the helper had no time for.
pub(crate) const UNRESOLVED: &str = "[unresolved java method]";
/// Lines and methods kept: four times what a session has room for.
const MOST_ENTRIES: u32 = 1 << 20;
/// Longest name, bytes; longer ones are cut.
const MOST_NAME: usize = 1024;
/// Text made in one snapshot, bytes: of some 27,000 methods; a Spark job has 13,000. Methods beyond it have no names.
const MOST_TEXT: usize = 8 << 20;

/// What the Java table has told so far.
#[derive(Default)]
pub(crate) struct JavaNames {
    lines_read: u32,
    methods_read: u32,
    /// Line and method index by frame word.
    lines: HashMap<u64, (u32, u32)>,
    /// Method index by jmethodID, for frames whose own line found no room.
    methods: HashMap<u64, u32>,
}

impl JavaNames {
    /// Reads what is new in the table.
    pub(crate) fn update(&mut self, table: &JavaTable<'_>) {
        for index in self.methods_read..table.method_total().min(MOST_ENTRIES) {
            if let Some(method) = table.method(index) {
                self.methods.insert(method.id, index);
            }
            self.methods_read = index + 1;
        }
        for index in self.lines_read..table.line_total().min(MOST_ENTRIES) {
            if let Some(line) = table.line(index) {
                self.lines.insert(line.frame, (line.line, line.method));
            }
            self.lines_read = index + 1;
        }
    }

    /// Whether the lines of all Java frames among these have been read.
    pub(crate) fn know_all(&self, words: &[FrameWord]) -> bool {
        words.iter().all(|word| !word.is_java() || self.lines.contains_key(&word.0))
    }

    /// Line and method index of a frame word.
    fn find(&self, word: FrameWord) -> Option<(u32, u32)> {
        let Decoded::Java { method, .. } = word.decode() else { return None };
        let by_line = self.lines.get(&word.0).copied();
        by_line.or_else(|| Some((0, *self.methods.get(&method)?)))
    }

    /// Starts looking frames up.
    pub(crate) fn resolver<'a>(&'a self, table: JavaTable<'a>) -> Resolver<'a> {
        Resolver { names: self, table, functions: HashMap::new(), text_left: MOST_TEXT, unnamed: 0 }
    }
}

/// Looks frames up during one snapshot.
pub(crate) struct Resolver<'a> {
    names: &'a JavaNames,
    table: JavaTable<'a>,
    /// What was made of each method; `None` where it has no name.
    functions: HashMap<u32, Option<FunctionId>>,
    text_left: usize,
    /// Methods for whose names there was no room.
    pub(crate) unnamed: u64,
}

impl Resolver<'_> {
    /// Adds the frame of a Java frame word.
    pub(crate) fn add(&mut self, builder: &mut ProfileBuilder, word: FrameWord) -> FrameId {
        let (function, line) = match self.names.find(word) {
            Some((line, index)) => (self.function_at(builder, index), line),
            None => (None, 0),
        };
        match function {
            Some(function) => builder.frame_in(Code::Java, function, line, false),
            None => builder.java_frame(Function { name: UNRESOLVED.to_owned(), ..Function::default() }, 0),
        }
    }

    fn function_at(&mut self, builder: &mut ProfileBuilder, index: u32) -> Option<FunctionId> {
        if let Some(known) = self.functions.get(&index) {
            return *known;
        }
        let function = self.table.method(index).and_then(|method| self.function(&method));
        let function = function.filter(|function| self.pay_for(function));
        let id = function.map(|function| builder.function(function));
        self.functions.insert(index, id);
        id
    }

    fn function(&self, method: &Method) -> Option<Function> {
        let class = self.text(method.class)?;
        let name = self.text(method.name)?;
        let signature = self.text(method.signature).unwrap_or_default();
        let source = self.text(method.source).unwrap_or_default();
        let class = class_name(&class);
        let package = class.rsplit_once('/').map_or("", |(package, _)| package);
        let file = match (source.is_empty(), package.is_empty()) {
            (true, _) => String::new(),
            (false, true) => source,
            (false, false) => format!("{package}/{source}"),
        };
        let system_name = format!("{class}.{name}{signature}");
        Some(Function { name: format!("{}.{name}", class.replace('/', ".")), system_name, file })
    }

    /// Whether there is room for the names of one more method.
    fn pay_for(&mut self, function: &Function) -> bool {
        let bytes = function.name.len() + function.system_name.len() + function.file.len();
        let left = self.text_left.checked_sub(bytes);
        match left {
            Some(left) => self.text_left = left,
            None => self.unnamed += 1,
        }
        left.is_some()
    }

    /// A name of the table, `None` if it is empty.
    fn text(&self, name: NameRef) -> Option<String> {
        let mut bytes = Vec::new();
        self.table.name(name, |byte| {
            if bytes.len() < MOST_NAME {
                bytes.push(byte);
            }
        });
        // Modified UTF-8 differs in characters outside the basic plane only.
        let text: String = String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).collect();
        (!text.is_empty()).then_some(text)
    }
}

/// The JVM's name of a class, from its signature, without what differs from run to run:
/// `Ljava/util/zip/Deflater;` is `java/util/zip/Deflater`, `[[B` is `byte[][]`.
pub fn class_name(signature: &str) -> String {
    let dimensions = signature.bytes().take_while(|byte| *byte == b'[').count();
    let element = signature.get(dimensions..).unwrap_or_default();
    let name = match element {
        "B" => "byte",
        "C" => "char",
        "D" => "double",
        "F" => "float",
        "I" => "int",
        "J" => "long",
        "S" => "short",
        "Z" => "boolean",
        _ => element.strip_prefix('L').map_or(element, |class| class.strip_suffix(';').unwrap_or(class)),
    };
    stable(name) + &"[]".repeat(dimensions)
}

/// A class name without addresses and counters of the run.
fn stable(name: &str) -> String {
    let name = without_address(name);
    if let Some((outer, number)) = name.rsplit_once("$$Lambda$")
        && is_digits(number)
    {
        return format!("{outer}$$Lambda");
    }
    for generated in
        ["GeneratedMethodAccessor", "GeneratedConstructorAccessor", "GeneratedSerializationConstructorAccessor"]
    {
        if let Some((package, number)) = name.rsplit_once(generated)
            && is_digits(number)
        {
            return format!("{package}{generated}");
        }
    }
    name.to_owned()
}

/// `Foo/0x0800c3`, `Foo.0x0800c3` and `Foo+0x0800c3` are all `Foo`.
fn without_address(name: &str) -> &str {
    let Some((class, address)) = name.rsplit_once("0x") else {
        return name;
    };
    let is_address = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit());
    match class.strip_suffix(['/', '.', '+']) {
        Some(class) if is_address && !class.is_empty() => class,
        _ => name,
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_are_the_same_in_every_run() {
        for (signature, expected) in [
            ("Ljava/util/zip/Deflater;", "java/util/zip/Deflater"),
            ("Lcom/acme/Map$Entry;", "com/acme/Map$Entry"),
            ("LMain;", "Main"),
            ("[B", "byte[]"),
            ("[[Ljava/lang/String;", "java/lang/String[][]"),
            ("Lcom/acme/Foo$$Lambda$14.0x0000000800c03000;", "com/acme/Foo$$Lambda"),
            ("Lcom/acme/Foo$$Lambda$14/0x0000000800c03000;", "com/acme/Foo$$Lambda"),
            ("Lcom/acme/Foo$$Lambda+0x00007f12a4001000;", "com/acme/Foo$$Lambda"),
            ("Lcom/acme/Foo$$Lambda$7;", "com/acme/Foo$$Lambda"),
            ("Ljava/lang/invoke/LambdaForm$MH.0x000001;", "java/lang/invoke/LambdaForm$MH"),
            ("Ljdk/internal/reflect/GeneratedMethodAccessor12;", "jdk/internal/reflect/GeneratedMethodAccessor"),
            ("Lcom/acme/Deposit0xbeef;", "com/acme/Deposit0xbeef"),
            ("", ""),
            ("[", "[]"),
            ("L;", ""),
        ] {
            assert_eq!(class_name(signature), expected, "{signature}");
        }
    }
}
