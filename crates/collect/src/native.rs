//! Names of native code: the door to a symbolizer, and what it has answered.
//!
//! `symbolize` stands on the same floor, so this crate defines what it needs as a trait; the CLI joins the two.

use crate::modules::KnownModule;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

/// A function's name, as far as it is known while the target runs: no file, no line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct NativeName {
    /// For people: demangled.
    pub name: String,
    /// As the linker knows it.
    pub system_name: String,
}

/// What knows ELF files.
pub trait NativeNames {
    /// The GNU build id of a file in lower-case hexadecimal; empty if it has none.
    fn build_id(&mut self, file: &File) -> String;

    /// The build id of the file that is mapped at `base` in the memory of a process (`/proc/PID/mem`).
    fn build_id_in_memory(&mut self, memory: &File, base: u64) -> String;

    /// The functions at return addresses of the process, all in `module`; as many answers as addresses. `file` is the
    /// module's file, where it can still be opened.
    fn names(&mut self, module: &KnownModule, file: Option<File>, addresses: &[u64]) -> Vec<Option<NativeName>>;
}

/// Knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNames;

impl NativeNames for NoNames {
    fn build_id(&mut self, _: &File) -> String {
        String::new()
    }

    fn build_id_in_memory(&mut self, _: &File, _: u64) -> String {
        String::new()
    }

    fn names(&mut self, _: &KnownModule, _: Option<File>, addresses: &[u64]) -> Vec<Option<NativeName>> {
        vec![None; addresses.len()]
    }
}

/// Addresses whose answers are kept: 8 MiB.
const MOST_ADDRESSES: usize = 1 << 17;

/// Answers of a symbolizer, by module and return address.
#[derive(Default)]
pub(crate) struct NativeCache {
    /// Every name once.
    names: HashSet<Arc<NativeName>>,
    known: HashMap<(u32, u64), Option<Arc<NativeName>>>,
}

impl NativeCache {
    /// Whether nothing has been asked about this address yet.
    pub(crate) fn is_new(&self, module: usize, address: u64) -> bool {
        self.known.len() < MOST_ADDRESSES && !self.known.contains_key(&(module as u32, address))
    }

    /// Keeps an answer.
    pub(crate) fn put(&mut self, module: usize, address: u64, name: Option<NativeName>) {
        let name = name.map(|name| match self.names.get(&name) {
            Some(known) => Arc::clone(known),
            None => {
                let NativeName { mut name, mut system_name } = name;
                name.shrink_to_fit();
                system_name.shrink_to_fit();
                let name = Arc::new(NativeName { name, system_name });
                self.names.insert(Arc::clone(&name));
                name
            }
        });
        self.known.insert((module as u32, address), name);
    }

    /// The name at an address, if there was one.
    pub(crate) fn get(&self, module: usize, address: u64) -> Option<&NativeName> {
        self.known.get(&(module as u32, address))?.as_deref()
    }
}
