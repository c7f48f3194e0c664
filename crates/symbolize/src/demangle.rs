//! Mangled names to names for people: C++ (Itanium), Rust (legacy and v0), all else unchanged.
//!
//! Function parameters and return types are left out, template arguments stay: `rocksdb::DB::Open`, as perf and pprof
//! show them. Overloads can be told apart by file and line, and by the mangled name which is kept. A mangled name can
//! expand exponentially through back references, so output goes through a bounded writer; a name that does not fit
//! stays mangled.

use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use cpp_demangle::{BorrowedSymbol, DemangleOptions};

/// Longest mangled name that is tried, bytes.
const MAX_MANGLED: usize = 16 << 10;
/// Longest demangled name that is kept, bytes.
const MAX_DEMANGLED: usize = 16 << 10;

/// The name for people of a symbol; the symbol itself if it is not mangled or cannot be demangled.
pub fn demangle(symbol: &str) -> String {
    if symbol.len() > MAX_MANGLED || !(symbol.starts_with("_Z") || symbol.starts_with("_R")) {
        return symbol.to_owned();
    }
    // The demanglers are bounded in depth; this is the belt for a bug in them.
    catch_unwind(AssertUnwindSafe(|| rust(symbol).or_else(|| cpp(symbol))))
        .ok()
        .flatten()
        .unwrap_or_else(|| symbol.to_owned())
}

/// Whether a name looks mangled by C++ or Rust.
pub(crate) fn is_mangled(symbol: &str) -> bool {
    symbol.starts_with("_Z") || symbol.starts_with("_R")
}

fn rust(symbol: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(symbol).ok()?;
    // `#` leaves out the hash at the end, which changes with every build.
    bounded(|out| write!(out, "{demangled:#}"))
}

fn cpp(symbol: &str) -> Option<String> {
    let parsed = BorrowedSymbol::new(symbol.as_bytes()).ok()?;
    let options = DemangleOptions::new().no_params().no_return_type();
    bounded(|out| parsed.structured_demangle(out, &options))
}

fn bounded(write: impl FnOnce(&mut Bounded) -> fmt::Result) -> Option<String> {
    let mut out = Bounded(String::new());
    write(&mut out).ok()?;
    (!out.0.is_empty()).then_some(out.0)
}

struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_DEMANGLED {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::demangle;

    #[test]
    fn names_of_each_language() {
        assert_eq!(demangle("deflateInit2_"), "deflateInit2_");
        assert_eq!(demangle("_ZN10C2Compiler14compile_methodEP5ciEnvP8ciMethodi"), "C2Compiler::compile_method");
        assert_eq!(demangle("_ZNSt6vectorIiSaIiEE9push_backERKi"), "std::vector<int, std::allocator<int> >::push_back");
        assert_eq!(demangle("_ZL3fooi.part.0"), "foo");
        assert_eq!(demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
        assert_eq!(demangle("_RNvCskwGfYPst2Cb_3foo16example_function"), "foo::example_function");
        assert_eq!(demangle("_Znonsense"), "_Znonsense");
    }

    #[test]
    fn a_name_that_explodes_stays_mangled() {
        // Each level names the former one twice: 2^40 parts.
        let mut symbol = String::from("_Z1fIiE");
        symbol.push_str("St4pairIiiE");
        for level in 0..36 {
            let c = char::from_digit(level, 36).unwrap().to_ascii_uppercase();
            symbol.push_str(&format!("St4pairIS{c}_S{c}_E"));
        }
        assert!(demangle(&symbol).len() <= super::MAX_DEMANGLED);
    }
}
