//! The mappings of a process, and what the name of one already tells.

use crate::smaps::{SmapsEntry, read_smaps};
use leakscope_profile::timeline::Class;
use std::io;
use std::ops::Range;

/// Mappings kept; the kernel's own default limit is 65,530.
const MOST_MAPPINGS: usize = 1 << 20;

/// Libraries that map memory for the JVM itself.
const LIBRARIES_OF_JVM: [&str; 3] = ["libjvm.so", "libjli.so", "libjimage.so"];
/// Allocators that map memory as a program would; others do it as glibc's arenas do.
const PLAIN_ALLOCATORS: [&str; 1] = ["libtcmalloc"];
/// Allocators beside libc's.
const ALLOCATORS: [&str; 3] = ["libjemalloc", "libmimalloc", "libsnmalloc"];

/// What may be done with a mapping's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: reserved, or a guard.
    None,
    /// Read and write.
    Data,
    /// Run, and write.
    Code,
    /// Anything else.
    Other,
}

/// What is behind a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Memory of its own.
    Anonymous,
    /// A file whose pages are copied when they are written.
    PrivateFile,
    /// A file, or memory, that others may share.
    Shared,
}

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) range: Range<u64>,
    pub(crate) access: Access,
    pub(crate) backing: Backing,
    pub(crate) no_reserve: bool,
    pub(crate) rss: u64,
    pub(crate) pss: u64,
    /// What its name says, and how surely.
    pub(crate) named: Named,
}

/// What the name of a mapping says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// It has none, or one that says nothing.
    No,
    /// Certainly this.
    Is(Class),
    /// A file that somebody mapped: this, unless the session knows better.
    Likely(Class),
}

/// All mappings by address, and what they say about the process.
#[derive(Debug, Default)]
pub(crate) struct Mappings {
    pub(crate) all: Vec<Mapping>,
    /// Ranges of the libraries that map memory for the JVM.
    pub(crate) jvms_libraries: Vec<Range<u64>>,
    /// Where libjvm.so begins.
    pub(crate) libjvm: Option<u64>,
    has_plain_allocator: bool,
    has_other_allocator: bool,
    has_no_reserve: bool,
}

impl Mappings {
    /// Reads those of a process.
    pub(crate) fn read(pid: u32) -> io::Result<Self> {
        let mut mappings = Self::default();
        read_smaps(pid, |entry| mappings.add(entry))?;
        Ok(mappings)
    }

    /// Adds one; they come by address.
    pub(crate) fn add(&mut self, entry: &SmapsEntry<'_>) {
        let path = String::from_utf8_lossy(entry.path);
        let file = file_name(&path);
        if LIBRARIES_OF_JVM.contains(&file) {
            self.jvms_libraries.push(entry.start..entry.end);
            if file == "libjvm.so" && entry.offset == 0 {
                self.libjvm.get_or_insert(entry.start);
            }
        }
        let is_one_of = |names: &[&str]| entry.is_file() && names.iter().any(|name| file.starts_with(name));
        self.has_plain_allocator |= is_one_of(&PLAIN_ALLOCATORS);
        self.has_other_allocator |= is_one_of(&ALLOCATORS);
        self.has_no_reserve |= entry.no_reserve;
        if self.all.len() < MOST_MAPPINGS {
            self.all.push(Mapping {
                range: entry.start..entry.end,
                access: access(entry.permissions),
                backing: match (entry.permissions[3], entry.is_file()) {
                    (b's', _) => Backing::Shared,
                    (_, true) => Backing::PrivateFile,
                    (_, false) => Backing::Anonymous,
                },
                no_reserve: entry.no_reserve,
                rss: entry.figures.rss,
                pss: entry.figures.pss,
                named: named(&path, entry),
            });
        }
    }

    /// The mapping that ends where number `at` begins.
    pub(crate) fn before(&self, at: usize) -> Option<&Mapping> {
        let before = self.all.get(at.checked_sub(1)?)?;
        (before.range.end == self.all.get(at)?.range.start).then_some(before)
    }

    /// The mapping that begins where number `at` ends.
    pub(crate) fn after(&self, at: usize) -> Option<&Mapping> {
        let after = self.all.get(at.checked_add(1)?)?;
        (after.range.start == self.all.get(at)?.range.end).then_some(after)
    }

    /// Whether an allocator maps memory in a way that cannot be told from a program's.
    pub(crate) fn has_plain_allocator(&self) -> bool {
        // Where overcommitting is forbidden the kernel does not let anybody claim nothing.
        self.has_plain_allocator || self.has_other_allocator && !self.has_no_reserve
    }

    /// Whether code of the JVM's libraries lies at this address.
    pub(crate) fn is_jvms_code(&self, address: u64) -> bool {
        self.jvms_libraries.iter().any(|range| range.contains(&address))
    }
}

impl Mapping {
    pub(crate) fn bytes(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Anonymous memory without a name.
    pub(crate) fn is_plain(&self) -> bool {
        self.backing == Backing::Anonymous && self.named == Named::No
    }

    /// Address space that is reserved and claims no memory.
    pub(crate) fn is_reserved(&self) -> bool {
        self.is_plain() && self.access == Access::None && self.no_reserve
    }

    /// Pages that nobody may touch, and that are no reserve.
    pub(crate) fn is_guard(&self) -> bool {
        self.is_plain() && self.access == Access::None && !self.no_reserve
    }
}

fn file_name(path: &str) -> &str {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}

fn access(permissions: [u8; 4]) -> Access {
    match &permissions[..3] {
        b"---" => Access::None,
        b"rw-" => Access::Data,
        [_, b'w', b'x'] => Access::Code,
        _ => Access::Other,
    }
}

/// Names in brackets are the kernel's, or were given by prctl (glibc 2.39 does so when it is told to).
fn named(path: &str, entry: &SmapsEntry<'_>) -> Named {
    let file = file_name(path);
    let is_shared = entry.permissions[3] == b's';
    match path {
        "" => Named::No,
        "[heap]" => Named::Is(Class::Allocator),
        _ if path.starts_with("[anon:") => given_name(path),
        _ if path.starts_with("[stack") => Named::Is(Class::Stacks),
        _ if path.starts_with('[') => Named::Is(Class::Files), // [vdso], [vvar], [vsyscall]
        _ if path.starts_with("/memfd:java_heap") || file.starts_with("java_heap.") => Named::Is(Class::JavaHeap),
        _ if path.starts_with("/memfd:leakscope") || file.starts_with("libleakscope") => Named::Is(Class::Leakscope),
        _ if path.contains("/hsperfdata_") && is_shared => Named::Is(Class::Jvm),
        _ if path.starts_with("/SYSV") || path.starts_with("/dev/zero") => Named::Likely(Class::MappedAnon),
        _ if is_shared && !comes_with_software(file) => Named::Likely(Class::MappedFile),
        _ => Named::Likely(Class::Files),
    }
}

fn given_name(path: &str) -> Named {
    match path {
        _ if path.contains("pthread stack") => Named::Is(Class::Stacks),
        _ if path.contains("malloc") => Named::Is(Class::Allocator),
        _ => Named::No,
    }
}

/// Files that libraries and JVMs share out of their own installation.
fn comes_with_software(file: &str) -> bool {
    let ends = [".so", ".jsa", ".jar", ".jmod", ".cache", ".mo"];
    file == "modules" || file.contains(".so.") || ends.iter().any(|end| file.ends_with(end))
}
