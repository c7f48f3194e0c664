//! The symbolizer: which files to believe, which depth to go to, and what to remember.

use std::collections::BTreeSet;
use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::address::LookupAddress;
use crate::cache::{Cache, Table};
use crate::debug_file::{self, DebugFile, Wanted, below, open_regular};
use crate::demangle::{demangle, is_mangled};
use crate::dwarf::{self, DebugSections, DwarfFrame};
use crate::elf::Elf;
use crate::file_note::FileNote;
use crate::identity::build_id;
use crate::image::ReadAt;
use crate::names::names;
use crate::warnings::Warnings;

/// How much is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Function names from symbol tables, in little memory: for use while the target lives.
    Symtab,
    /// Also DWARF: inlined functions, files and lines, from separate debug files too. Slow and large.
    Full,
}

/// Where to look, and how far.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much is looked up.
    pub depth: Depth,
    /// Root directories (of containers) below which a path is tried before it is tried as it stands.
    pub roots: Vec<PathBuf>,
    /// Directories with debug files, which have a `.build-id` directory or mirror the file system.
    pub debug_dirs: Vec<PathBuf>,
    /// Cache directory of the debuginfod client; read only.
    pub debuginfod_cache: Option<PathBuf>,
    /// Where results are kept between runs; `None` for nowhere.
    pub cache_dir: Option<PathBuf>,
    /// Most bytes of results kept between runs.
    pub cache_limit_bytes: u64,
    /// Longest time for the debug information of one object.
    pub time_limit: Duration,
}

impl Options {
    /// Names only, nothing kept.
    pub fn symtab() -> Options {
        Options {
            depth: Depth::Symtab,
            roots: Vec::new(),
            debug_dirs: Vec::new(),
            debuginfod_cache: None,
            cache_dir: None,
            cache_limit_bytes: 256 << 20,
            time_limit: Duration::from_secs(60),
        }
    }

    /// Everything, with the usual directories: `/usr/lib/debug`, debuginfod's cache and `$XDG_CACHE_HOME/leakscope`.
    pub fn full() -> Options {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        let home = variable("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let caches = variable("XDG_CACHE_HOME").map(PathBuf::from).or(home);
        Options {
            depth: Depth::Full,
            debug_dirs: vec![PathBuf::from("/usr/lib/debug")],
            debuginfod_cache: variable("DEBUGINFOD_CACHE_PATH")
                .map(PathBuf::from)
                .or_else(|| Some(caches.as_ref()?.join("debuginfod_client"))),
            cache_dir: caches.map(|caches| caches.join("leakscope")),
            ..Options::symtab()
        }
    }
}

/// The file that a module was mapped from, as far as it is known.
#[derive(Debug, Default)]
pub struct ObjectRef {
    /// Path as the target saw it.
    pub path: PathBuf,
    /// GNU build id in lower-case hexadecimal, as it was recorded.
    pub build_id: Option<String>,
    /// The file itself, opened while the target lived (`/proc/PID/map_files`, `/proc/PID/root`); is preferred to the
    /// path, which may lead to another file by now or to none.
    pub file: Option<File>,
}

/// One function at an address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Symbol {
    /// Name for people, see [`demangle`].
    pub name: String,
    /// Name as the linker knows it.
    pub system_name: String,
    /// Source file, or empty.
    pub file: String,
    /// Line in it, from 1; 0 if unknown.
    pub line: u32,
    /// Whether it was inlined into the next symbol of the address.
    pub inlined: bool,
}

/// Turns addresses into symbols; see the crate's documentation.
#[derive(Debug)]
pub struct Symbolizer {
    options: Options,
    warnings: Warnings,
}

impl Symbolizer {
    /// A symbolizer that has looked at nothing yet.
    pub fn new(options: Options) -> Symbolizer {
        Symbolizer { options, warnings: Warnings::default() }
    }

    /// What could not be done so far, in sentences for people; each once.
    pub fn warnings(&self) -> &[String] {
        self.warnings.as_slice()
    }

    /// Looks up addresses of one object: for each, the functions that are inlined there, innermost first, then the
    /// function that holds the code. Empty where nothing is known. Nothing of the object stays in memory, so look up
    /// many addresses in one call.
    pub fn symbolize(&mut self, object: &ObjectRef, addresses: &[LookupAddress]) -> Vec<Vec<Symbol>> {
        let (found, note) = self.look_up(object, addresses);
        self.warn(object, note);
        found
    }

    /// [`Self::symbolize`], but what is to be said of the object's file is left to the caller.
    pub(crate) fn look_up(
        &mut self,
        object: &ObjectRef,
        addresses: &[LookupAddress],
    ) -> (Vec<Vec<Symbol>>, Option<FileNote>) {
        if addresses.is_empty() {
            return (Vec::new(), None);
        }
        let wanted: BTreeSet<u64> = addresses.iter().map(|address| address.svma()).collect();
        let (opened, note) = self.open(object);
        let table = self.table(object, opened, wanted.into_iter().collect());
        let chain = |address: &LookupAddress| table.get(&address.svma()).cloned();
        (addresses.iter().map(|address| chain(address).unwrap_or_default()).collect(), note)
    }

    /// Says what is to be said of an object's file.
    pub(crate) fn warn(&mut self, object: &ObjectRef, note: Option<FileNote>) {
        if let Some(note) = note {
            self.warnings.add(note.sentence(object));
        }
    }

    /// Symbols for sorted, distinct addresses, from the cache as far as possible.
    fn table(&mut self, object: &ObjectRef, opened: Option<Opened>, addresses: Vec<u64>) -> Table {
        let own_id = opened.as_ref().and_then(|opened| build_id(&opened.file));
        let id = own_id.or_else(|| object.build_id.clone());
        let debug = self.debug_file(object, opened.as_ref(), id.as_deref());
        let sources = sources(opened.as_ref().map(|o| &o.file), debug.as_ref());
        let cache_dir = self.options.cache_dir.clone();
        let cache =
            cache_dir.as_deref().map(|directory| Cache { directory, limit_bytes: self.options.cache_limit_bytes });
        let key = cache.as_ref().zip(id.as_deref());
        let mut table = key.map(|(cache, id)| cache.load(id, sources.as_deref())).unwrap_or_default();
        let missing: Vec<u64> = addresses.into_iter().filter(|address| !table.contains_key(address)).collect();
        if missing.is_empty() || sources.is_none() {
            return table;
        }
        let (found, is_complete) = self.resolve(opened.as_ref(), debug.as_ref(), &missing);
        table.extend(missing.into_iter().zip(found));
        // A file that was given up on may do better next time.
        if let (Some((cache, id)), Some(sources), true) = (key, sources, is_complete) {
            cache.store(id, &sources, table.clone());
        }
        table
    }

    /// Opens the object, if there is a file that can be believed to be it.
    fn open(&self, object: &ObjectRef) -> (Option<Opened>, Option<FileNote>) {
        let given = object.file.as_ref().and_then(|file| file.try_clone().ok());
        let mut candidates: Vec<(File, PathBuf)> = Vec::new();
        candidates.extend(given.map(|file| (file, object.path.clone())));
        let in_roots = self.options.roots.iter();
        let paths = in_roots
            .map(|root| below(root, &object.path))
            .chain([object.path.clone()])
            .filter(|path| path.is_absolute());
        candidates.extend(paths.filter_map(|path| Some((open_regular(&path)?, path))));
        if candidates.is_empty() && !object.path.is_absolute() {
            return (None, None); // `[vdso]` and its like were never files
        }
        if candidates.is_empty() {
            return (None, Some(FileNote::Gone));
        }
        let Some(recorded) = &object.build_id else {
            let (file, path) = candidates.swap_remove(0);
            return (Some(Opened { file, path }), Some(FileNote::Doubtful));
        };
        let same = candidates.into_iter().find(|(file, _)| build_id(file).as_ref() == Some(recorded));
        match same {
            Some((file, path)) => (Some(Opened { file, path }), None),
            None => (None, Some(FileNote::OtherBuild)),
        }
    }

    /// The separate debug file, where the depth asks for one and the object has no debug information itself.
    fn debug_file(&mut self, object: &ObjectRef, opened: Option<&Opened>, id: Option<&str>) -> Option<DebugFile> {
        if self.options.depth == Depth::Symtab {
            return None;
        }
        let elf = opened.and_then(|opened| Elf::parse(&opened.file));
        if elf.as_ref().is_some_and(dwarf::has_debug_info) {
            return None;
        }
        let wanted =
            Wanted { elf: elf.as_ref(), path: opened.map_or(&*object.path, |opened| &opened.path), build_id: id };
        debug_file::find(&wanted, &self.options, &mut self.warnings)
    }

    /// Looks up sorted, distinct addresses; also says whether everything that is there could be read.
    fn resolve(
        &mut self,
        opened: Option<&Opened>,
        debug: Option<&DebugFile>,
        addresses: &[u64],
    ) -> (Vec<Vec<Symbol>>, bool) {
        let object = opened.and_then(|opened| Elf::parse(&opened.file));
        let debug_elf = debug.and_then(|debug| Elf::parse(&debug.file));
        let names = names(object.as_ref(), debug_elf.as_ref(), addresses);
        let with_debug_info = match (&debug_elf, debug, &object, opened) {
            _ if self.options.depth == Depth::Symtab => None,
            (Some(elf), Some(debug), _, _) => Some((elf, &*debug.path)),
            (_, _, Some(elf), Some(opened)) => Some((elf, &*opened.path)),
            _ => None,
        };
        let (chains, is_complete) = with_debug_info
            .and_then(|(elf, path)| self.dwarf(elf, path, addresses))
            .unwrap_or_else(|| (vec![Vec::new(); addresses.len()], true));
        (names.into_iter().zip(chains).map(merge).collect(), is_complete)
    }

    /// Frames from DWARF, and whether all of it could be read; `None` if there is none.
    fn dwarf(&mut self, elf: &Elf, path: &Path, addresses: &[u64]) -> Option<(Vec<Vec<DwarfFrame>>, bool)> {
        let deadline = Instant::now() + self.options.time_limit;
        let is_shared = elf.has(".gnu_debugaltlink");
        let supplementary = debug_file::find_supplementary(elf, path, &self.options, &mut self.warnings)
            .and_then(|found| DebugSections::read(&Elf::parse(&found.file)?));
        let (chains, problem) = dwarf::lookup(elf, supplementary.as_ref(), addresses, deadline)?;
        let is_complete = problem.is_none() && is_shared == supplementary.is_some();
        if let Some(problem) = problem {
            self.warnings.add(format!("{}: {problem}", path.display()));
        }
        Some((chains, is_complete))
    }
}

/// An object that was believed.
struct Opened {
    file: File,
    path: PathBuf,
}

/// What results are made from, so that cached ones can be told to be out of date; `None` if from nothing.
fn sources(object: Option<&File>, debug: Option<&DebugFile>) -> Option<String> {
    let describe = |file: Option<&File>| file.map_or(0, ReadAt::size);
    let (object_size, debug_size) = (describe(object), describe(debug.map(|d| &d.file)));
    (object.is_some() || debug.is_some()).then(|| format!("{object_size}+{debug_size}"))
}

/// Joins the name that the symbol table has for the physical function with the frames that DWARF has.
fn merge((name, mut chain): (Option<String>, Vec<DwarfFrame>)) -> Vec<Symbol> {
    if chain.is_empty() {
        chain.extend(name.is_some().then(|| DwarfFrame { function: None, file: String::new(), line: 0 }));
    }
    let Some(last) = chain.len().checked_sub(1) else {
        return Vec::new();
    };
    // The symbol table knows the mangled name where DWARF has only a short one, and functions written in assembly.
    let physical = &mut chain[last].function;
    let dwarf_is_better =
        physical.as_deref().is_some_and(|function| is_mangled(function) || !name.as_deref().is_some_and(is_mangled));
    if !dwarf_is_better && name.is_some() {
        *physical = name;
    }
    let symbols = chain.into_iter().enumerate().filter_map(|(i, frame)| {
        let system_name = frame.function?;
        Some(Symbol {
            name: demangle(&system_name),
            system_name,
            file: frame.file,
            line: frame.line,
            inlined: i != last,
        })
    });
    symbols.collect()
}
