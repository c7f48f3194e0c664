//! The names of functions that nobody has a symbol for.
//!
//! pprof viewers drop a location without a function, so a frame always has one: `libz.so.1.2.13+0x1a2b`, the file's
//! name and the return address in the file's own address space, which survives ASLR; or `0x7f12a0001a2b` where no
//! module is known.

use crate::model::{Function, Module};

impl Function {
    /// The stand-in for the function at a return address of the process.
    pub fn unsymbolized(module: Option<&Module>, address: u64) -> Self {
        let name = match module {
            Some(module) => {
                let file = module.path.rsplit('/').next().unwrap_or(&module.path);
                format!("{file}+{:#x}", address.wrapping_sub(module.bias))
            }
            None => format!("{address:#x}"),
        };
        Function { name, ..Function::default() }
    }

    /// Whether a symbol was found: false for a stand-in.
    ///
    /// Goes by the form of the name, since a profile may come from a file: `0x1f` and `libz.so.1+0x1f` with no other
    /// linkage name and no source file are stand-ins.
    pub fn is_symbolized(&self) -> bool {
        let stand_in = |text: &str| {
            let digits = text.strip_prefix("0x").unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())
        };
        let plain = self.file.is_empty() && (self.system_name.is_empty() || self.system_name == self.name);
        let offset = self.name.rsplit_once('+').map_or(self.name.as_str(), |(_, offset)| offset);
        !(plain && stand_in(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_known_as_one() {
        let module = Module { path: "/usr/lib/libz.so.1.2.13".to_owned(), bias: 0x7f00_0000_0000, ..Module::default() };
        let function = Function::unsymbolized(Some(&module), 0x7f00_0000_1a2b);
        assert_eq!(function.name, "libz.so.1.2.13+0x1a2b");
        assert!(!function.is_symbolized());
        let function = Function::unsymbolized(None, 0x1f);
        assert_eq!(function.name, "0x1f");
        assert!(!function.is_symbolized());
    }

    #[test]
    fn real_names_are_symbols() {
        for name in ["deflateInit2_", "operator+", "+0x", "a+0xg", "java.util.zip.Deflater.init"] {
            assert!(Function { name: name.to_owned(), ..Function::default() }.is_symbolized(), "{name}");
        }
        let with_file = Function { name: "a+0x1".to_owned(), file: "a.c".to_owned(), ..Function::default() };
        assert!(with_file.is_symbolized());
    }
}
