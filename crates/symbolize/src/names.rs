//! Function names without debug information, from wherever an object or its debug file has some.

use std::collections::BTreeMap;

use crate::elf::Elf;
use crate::{minidebug, plt, symtab};

/// A name for each address, or none.
type Names = Vec<Option<String>>;

/// One of these, asked for what those before it did not know.
type Step<'a> = &'a dyn Fn(&[u64]) -> Names;

/// Looks up sorted, distinct addresses in the symbol tables of the object and of its debug file, in the one packed
/// into the object, and among PLT stubs.
pub(crate) fn names(object: Option<&Elf>, debug: Option<&Elf>, addresses: &[u64]) -> Names {
    let mut names = BTreeMap::new();
    let mut missing = addresses.to_vec();
    let mut ask = |look_up: Step| {
        let found = look_up(&missing);
        let found = missing.iter().zip(found);
        names.extend(found.filter_map(|(&address, name)| Some((address, name?))));
        missing.retain(|address| !names.contains_key(address));
        missing.is_empty()
    };
    let steps: [Step; 4] = [
        &|wanted| over(object, wanted, symtab::resolve),
        &|wanted| over(debug, wanted, symtab::resolve),
        &|wanted| packed(object, wanted),
        &|wanted| over(object, wanted, plt::resolve),
    ];
    let _ = steps.iter().any(|step| ask(step));
    addresses.iter().map(|address| names.remove(address)).collect()
}

fn over(elf: Option<&Elf>, addresses: &[u64], resolve: fn(&Elf, &[u64]) -> Names) -> Names {
    elf.map_or_else(|| vec![None; addresses.len()], |elf| resolve(elf, addresses))
}

fn packed(object: Option<&Elf>, addresses: &[u64]) -> Names {
    let unpacked = object.and_then(minidebug::unpack);
    let elf = unpacked.as_ref().and_then(|bytes| Elf::parse(bytes));
    over(elf.as_ref(), addresses, symtab::resolve)
}
