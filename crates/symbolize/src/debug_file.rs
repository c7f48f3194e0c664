//! Where the debug information of an object is, if not in the object itself.
//!
//! Tried in order: `DIR/.build-id/xx/yyy.debug` in each debug directory, debuginfod's cache, then the name in
//! `.gnu_debuglink` beside the object, in `.debug/` beside it, and in `DIR/path/of/the/object/`. A file is taken if its
//! build id is the object's; where one of them has none, if its CRC is the one in the debuglink. Nothing else is believed.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::elf::Elf;
use crate::identity::{build_id, hex, is_build_id};
use crate::image::{c_string, u32_at};
use crate::symbolizer::Options;
use crate::warnings::Warnings;

/// A name, its padding and a checksum.
const MAX_LINK: u64 = 8 << 10;

/// An open debug file.
pub(crate) struct DebugFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

/// The object whose debug file is wanted.
pub(crate) struct Wanted<'a> {
    pub(crate) elf: Option<&'a Elf<'a>>,
    pub(crate) path: &'a Path,
    pub(crate) build_id: Option<&'a str>,
}

/// Opens a file if it is a regular one: opening a FIFO would wait for ever, and a device has no end.
pub(crate) fn open_regular(path: &Path) -> Option<File> {
    let is_file = std::fs::metadata(path).is_ok_and(|m| m.is_file());
    let file = is_file.then(|| File::open(path).ok())??;
    file.metadata().is_ok_and(|m| m.is_file()).then_some(file)
}

/// Finds the debug file of an object.
pub(crate) fn find(wanted: &Wanted, options: &Options, warnings: &mut Warnings) -> Option<DebugFile> {
    by_build_id(wanted.build_id, options, warnings).or_else(|| by_link(wanted, options, warnings))
}

/// Finds the file with the strings and units which `dwz` has moved out of this debug file.
pub(crate) fn find_supplementary(
    debug: &Elf,
    path: &Path,
    options: &Options,
    warnings: &mut Warnings,
) -> Option<DebugFile> {
    let link = debug.bytes(debug.section(".gnu_debugaltlink")?, MAX_LINK)?;
    let name = c_string(&link, 0);
    let id = hex(link.get(name.len() + 1..)?);
    let name = PathBuf::from(String::from_utf8_lossy(name).into_owned());
    let beside = path.parent().unwrap_or(Path::new("")).join(&name);
    let in_dwz = debug_dirs(options).into_iter().filter_map(|dir| Some(dir.join(".dwz").join(name.file_name()?)));
    let found = std::iter::once(beside)
        .chain(in_dwz)
        .chain(build_id_paths(&id, options))
        .find_map(|path| has_build_id(&path, &id).map(|file| DebugFile { file, path }));
    if found.is_none() {
        warnings.add(format!(
            "{}: its supplementary debug file {} was not found; some functions have no name",
            path.display(),
            name.display()
        ));
    }
    found
}

fn by_build_id(build_id: Option<&str>, options: &Options, warnings: &mut Warnings) -> Option<DebugFile> {
    let id = build_id?;
    build_id_paths(id, options).into_iter().find_map(|path| {
        if !path.is_file() {
            return None;
        }
        let file = has_build_id(&path, id);
        if file.is_none() {
            warnings.add(format!("{}: does not have the build id of its name; ignored", path.display()));
        }
        file.map(|file| DebugFile { file, path })
    })
}

fn build_id_paths(id: &str, options: &Options) -> Vec<PathBuf> {
    // It becomes part of a path.
    if !is_build_id(id) {
        return Vec::new();
    }
    let (directory, file) = id.split_at(2);
    let mut paths: Vec<PathBuf> = debug_dirs(options)
        .iter()
        .map(|dir| dir.join(".build-id").join(directory))
        .map(|dir| dir.join(format!("{file}.debug")))
        .collect();
    if let Some(cache) = &options.debuginfod_cache {
        paths.push(cache.join(id).join("debuginfo"));
    }
    paths
}

fn has_build_id(path: &Path, id: &str) -> Option<File> {
    open_regular(path).filter(|file| build_id(file).as_deref() == Some(id))
}

/// The debug directories, those inside other root directories first.
fn debug_dirs(options: &Options) -> Vec<PathBuf> {
    let inside = |root: &PathBuf| -> Vec<PathBuf> {
        let dirs = options.debug_dirs.iter();
        dirs.map(|dir| below(root, dir)).collect()
    };
    let mut dirs: Vec<PathBuf> = options.roots.iter().flat_map(inside).collect();
    dirs.extend(options.debug_dirs.iter().cloned());
    dirs
}

/// `path` as it is called below `root`.
pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    let inner = path.components().filter(|part| matches!(part, Component::Normal(_)));
    root.join(inner.collect::<PathBuf>())
}

fn by_link(wanted: &Wanted, options: &Options, warnings: &mut Warnings) -> Option<DebugFile> {
    let elf = wanted.elf?;
    let link = elf.bytes(elf.section(".gnu_debuglink")?, MAX_LINK)?;
    let name = c_string(&link, 0);
    let crc = u32_at(&link, (name.len() + 1).next_multiple_of(4));
    let name = std::str::from_utf8(name).ok()?;
    // A name, not a path to anywhere.
    if Path::new(name).file_name()? != name {
        return None;
    }
    link_paths(wanted.path, name, options).into_iter().find_map(|path| {
        let file = open_regular(&path)?;
        let belongs = match (wanted.build_id, build_id(&file).as_deref()) {
            (Some(wanted), Some(found)) => wanted == found,
            _ => crc32(&file) == Some(crc),
        };
        if !belongs {
            warnings.add(format!("{}: is the debug file of another build; ignored", path.display()));
        }
        belongs.then_some(DebugFile { file, path })
    })
}

fn link_paths(object: &Path, name: &str, options: &Options) -> Vec<PathBuf> {
    let mut parents: Vec<PathBuf> = object.parent().map(Path::to_path_buf).into_iter().collect();
    // The object may be a symbolic link into the directory where its debug file is.
    if let Some(real) = object.canonicalize().ok().as_deref().and_then(Path::parent)
        && !parents.iter().any(|parent| parent == real)
    {
        parents.push(real.to_path_buf());
    }
    let mut paths = Vec::new();
    for parent in &parents {
        paths.push(parent.join(name));
        paths.push(parent.join(".debug").join(name));
        let dirs = debug_dirs(options);
        paths.extend(dirs.iter().map(|dir| below(dir, parent).join(name)));
    }
    // A file stripped in place may name itself.
    paths.retain(|path| path != object);
    paths
}

/// The checksum of a debuglink: CRC-32 of the whole file.
fn crc32(mut file: &File) -> Option<u32> {
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(hasher.finalize()),
            len => hasher.update(&buffer[..len]),
        }
    }
}
