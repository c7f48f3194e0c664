//! Joins the collector with the symbolizer, which stand on the same floor: names from symbol tables only, so that
//! leakscope stays small beside the target.

use leakscope_collect::{KnownModule, NativeName, NativeNames};
use leakscope_symbolize::{LookupAddress, ObjectRef, Options, Symbolizer, build_id, build_id_in_memory};
use std::fs::File;

/// Names of native functions while recording.
pub struct Symbols {
    symbolizer: Symbolizer,
}

impl Symbols {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self { symbolizer: Symbolizer::new(Options::symtab()) }
    }
}

impl NativeNames for Symbols {
    fn build_id(&mut self, file: &File) -> String {
        build_id(file).unwrap_or_default()
    }

    fn build_id_in_memory(&mut self, memory: &File, base: u64) -> String {
        build_id_in_memory(memory, base).unwrap_or_default()
    }

    fn names(&mut self, module: &KnownModule, file: Option<File>, addresses: &[u64]) -> Vec<Option<NativeName>> {
        let known = &module.module;
        let object = ObjectRef {
            path: known.path.clone().into(),
            build_id: Some(known.build_id.clone()).filter(|id| !id.is_empty()),
            file,
        };
        let lookups: Vec<_> = addresses.iter().map(|a| LookupAddress::of_return(*a, known.bias)).collect();
        let symbols = self.symbolizer.symbolize(&object, &lookups);
        let last = |chain: Vec<leakscope_symbolize::Symbol>| chain.into_iter().next_back();
        let name =
            |symbol: leakscope_symbolize::Symbol| NativeName { name: symbol.name, system_name: symbol.system_name };
        symbols.into_iter().map(|chain| last(chain).map(name)).collect()
    }
}
