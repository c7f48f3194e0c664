//! HotSpot's own description of its fields, which it exports for debuggers (`vmStructs.cpp`).
//!
//! libjvm exports two tables, of fields and of types, and next to each the distances of its columns and the length of
//! an entry, so that a reader needs to know nothing but these symbols. The tables end with an entry without a name.
//!
//! Read by the helper thread, once. A library that only looks like HotSpot's must not lead us astray, hence the bounds.
#![allow(unsafe_code)] // reads tables of libjvm

use core::ffi::{CStr, c_char, c_void};

use crate::libjvm::c_string;

/// More entries than any JVM has (JDK 25: 1,900 fields, 800 types).
const MOST_ENTRIES: usize = 20_000;
const LONGEST_ENTRY: usize = 256;
const LONGEST_NAME: usize = 128;

/// Where a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// So many bytes behind the object's beginning.
    InObject(usize),
    /// At this address.
    Static(usize),
}

/// A table whose entries have names.
#[derive(Clone, Copy)]
struct Table {
    first: *const u8,
    /// Bytes of an entry.
    stride: usize,
    /// Distance of the type's name in an entry, as of all columns.
    type_name: usize,
}

/// The two tables of the loaded libjvm.
#[derive(Clone, Copy)]
pub(crate) struct VmStructs {
    fields: Table,
    field_name: usize,
    is_static: usize,
    offset: usize,
    address: usize,
    types: Table,
    size: usize,
}

impl VmStructs {
    /// Finds the tables; `None` if a symbol is missing or holds what it cannot.
    ///
    /// # Safety
    /// `symbol` gives null, or the address of a variable of at least eight bytes: in libjvm, HotSpot's.
    pub(crate) unsafe fn find(symbol: impl Fn(&CStr) -> *mut c_void) -> Option<Self> {
        let word = |name: &CStr| {
            let address = symbol(name).cast::<usize>();
            // SAFETY: the caller's promise.
            (!address.is_null()).then(|| unsafe { address.read_unaligned() })
        };
        let table = |first: &CStr, stride: &CStr, type_name: &CStr| {
            let first = core::ptr::with_exposed_provenance(word(first)?);
            let table = Table { first, stride: word(stride)?, type_name: word(type_name)? };
            let is_possible = !first.is_null() && table.stride <= LONGEST_ENTRY && table.holds(table.type_name);
            is_possible.then_some(table)
        };
        let fields =
            table(c"gHotSpotVMStructs", c"gHotSpotVMStructEntryArrayStride", c"gHotSpotVMStructEntryTypeNameOffset")?;
        let types = table(c"gHotSpotVMTypes", c"gHotSpotVMTypeEntryArrayStride", c"gHotSpotVMTypeEntryTypeNameOffset")?;
        let column = |table: &Table, name: &CStr| word(name).filter(|&column| table.holds(column));
        Some(Self {
            field_name: column(&fields, c"gHotSpotVMStructEntryFieldNameOffset")?,
            is_static: column(&fields, c"gHotSpotVMStructEntryIsStaticOffset")?,
            offset: column(&fields, c"gHotSpotVMStructEntryOffsetOffset")?,
            address: column(&fields, c"gHotSpotVMStructEntryAddressOffset")?,
            size: column(&types, c"gHotSpotVMTypeEntrySizeOffset")?,
            fields,
            types,
        })
    }

    /// A field of a class of the JVM.
    pub(crate) fn field(&self, class: &[u8], name: &[u8]) -> Option<Field> {
        let entry = self.fields.entries().find(|entry| {
            entry.name(self.fields.type_name) == Some(class) && entry.name(self.field_name) == Some(name)
        })?;
        // The column is a 32-bit integer.
        let is_static = entry.word(self.is_static) as u32 != 0;
        Some(if is_static { Field::Static(entry.word(self.address)) } else { Field::InObject(entry.word(self.offset)) })
    }

    /// Distance of a field that is not static.
    pub(crate) fn offset(&self, class: &[u8], name: &[u8]) -> Option<usize> {
        match self.field(class, name)? {
            Field::InObject(offset) => Some(offset),
            Field::Static(_) => None,
        }
    }

    /// Address of a static field.
    pub(crate) fn static_address(&self, class: &[u8], name: &[u8]) -> Option<usize> {
        match self.field(class, name)? {
            Field::Static(address) => Some(address).filter(|&address| address != 0),
            Field::InObject(_) => None,
        }
    }

    /// `sizeof` a class of the JVM.
    pub(crate) fn size_of(&self, class: &[u8]) -> Option<usize> {
        let entry = self.types.entries().find(|entry| entry.name(self.types.type_name) == Some(class))?;
        Some(entry.word(self.size))
    }
}

impl Table {
    /// Whether a word at this distance lies in an entry.
    fn holds(&self, column: usize) -> bool {
        column.checked_add(size_of::<usize>()).is_some_and(|end| end <= self.stride)
    }

    /// The entries before the one without a name.
    fn entries(self) -> impl Iterator<Item = Entry> {
        (0..MOST_ENTRIES)
            .map(move |index| Entry(self.first.wrapping_add(index.wrapping_mul(self.stride))))
            .take_while(move |entry| entry.word(self.type_name) != 0)
    }
}

/// An entry of a table, found by walking it from its beginning.
struct Entry(*const u8);

impl Entry {
    /// The word at this distance. A narrower column is its lower part.
    fn word(&self, column: usize) -> usize {
        // SAFETY: the entry is in the table: only one without a name ends it, and none before had that. The column
        // lies in the entry (`find`).
        unsafe { self.0.wrapping_add(column).cast::<usize>().read_unaligned() }
    }

    fn name<'s>(&self, column: usize) -> Option<&'s [u8]> {
        let text: *const c_char = core::ptr::with_exposed_provenance(self.word(column));
        // SAFETY: names are literals of libjvm, which is never unloaded, or null.
        (!text.is_null()).then(|| unsafe { c_string(text, LONGEST_NAME) })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use core::ptr::{null, null_mut};
    use std::collections::BTreeMap;

    type Symbols = BTreeMap<&'static CStr, usize>;

    #[repr(C)]
    struct FieldEntry(*const c_char, *const c_char, *const c_char, i32, u64, *const c_void);
    #[repr(C)]
    struct TypeEntry(*const c_char, *const c_char, i32, i32, i32, u64);

    fn symbols(fields: &[(&'static CStr, &'static CStr, Field)], size_of_java_thread: u64) -> Symbols {
        let entry = |(class, name, field): &(&'static CStr, &'static CStr, Field)| match *field {
            Field::InObject(offset) => FieldEntry(class.as_ptr(), name.as_ptr(), null(), 0, offset as u64, null()),
            Field::Static(address) => {
                FieldEntry(class.as_ptr(), name.as_ptr(), null(), 1, 0, core::ptr::with_exposed_provenance(address))
            }
        };
        let mut fields: Vec<FieldEntry> = fields.iter().map(entry).collect();
        fields.push(FieldEntry(null(), null(), null(), 0, 0, null()));
        let types = Box::leak(Box::new([
            TypeEntry(c"JavaThread".as_ptr(), c"Thread".as_ptr(), 0, 0, 0, size_of_java_thread),
            TypeEntry(null(), null(), 0, 0, 0, 0),
        ]));
        BTreeMap::from([
            (c"gHotSpotVMStructs", fields.leak().as_ptr().expose_provenance()),
            (c"gHotSpotVMStructEntryArrayStride", size_of::<FieldEntry>()),
            (c"gHotSpotVMStructEntryTypeNameOffset", 0),
            (c"gHotSpotVMStructEntryFieldNameOffset", 8),
            (c"gHotSpotVMStructEntryIsStaticOffset", 24),
            (c"gHotSpotVMStructEntryOffsetOffset", 32),
            (c"gHotSpotVMStructEntryAddressOffset", 40),
            (c"gHotSpotVMTypes", types.as_ptr().expose_provenance()),
            (c"gHotSpotVMTypeEntryArrayStride", size_of::<TypeEntry>()),
            (c"gHotSpotVMTypeEntryTypeNameOffset", 0),
            (c"gHotSpotVMTypeEntrySizeOffset", 32),
        ])
    }

    fn find(symbols: &Symbols) -> Option<VmStructs> {
        let symbol =
            |name: &CStr| symbols.get(name).map_or(null_mut(), |word: &usize| (&raw const *word).cast_mut().cast());
        // SAFETY: each symbol is a word of the map, and the tables are leaked.
        unsafe { VmStructs::find(symbol) }
    }

    /// What a JVM with these fields says of itself.
    pub(crate) fn described(fields: &[(&'static CStr, &'static CStr, Field)], size_of_java_thread: u64) -> VmStructs {
        find(&symbols(fields, size_of_java_thread)).expect("all symbols are there")
    }

    const FIELDS: [(&CStr, &CStr, Field); 2] =
        [(c"CodeCache", c"_low_bound", Field::Static(0x7000)), (c"JavaThread", c"_anchor", Field::InObject(672))];

    #[test]
    fn fields_and_sizes_are_found_by_name() {
        let structs = described(&FIELDS, 1160);
        assert_eq!(structs.field(b"JavaThread", b"_anchor"), Some(Field::InObject(672)));
        assert_eq!(structs.field(b"CodeCache", b"_low_bound"), Some(Field::Static(0x7000)));
        assert_eq!(structs.offset(b"CodeCache", b"_low_bound"), None, "static");
        assert_eq!(structs.static_address(b"JavaThread", b"_anchor"), None, "not static");
        assert_eq!(structs.field(b"JavaThread", b"_low_bound"), None);
        assert_eq!(structs.size_of(b"JavaThread"), Some(1160));
        assert_eq!(structs.size_of(b"Thread"), None, "a superclass only");
    }

    #[test]
    fn a_missing_symbol_or_an_impossible_column_is_no_table() {
        let all = symbols(&FIELDS, 1160);
        assert!(find(&all).is_some());
        for name in all.keys() {
            let mut damaged = all.clone();
            damaged.remove(name);
            assert!(find(&damaged).is_none(), "{name:?} is missing");
        }
        for name in all.keys().filter(|name| name.to_bytes().ends_with(b"Offset")) {
            let mut damaged = all.clone();
            damaged.insert(name, 44);
            assert!(find(&damaged).is_none(), "{name:?} leads beyond the entry");
        }
        let mut long = all;
        long.insert(c"gHotSpotVMTypeEntryArrayStride", 1 << 40);
        assert!(find(&long).is_none());
    }
}
