//! Results on disk, by build id and address, so that a second report need not read 156 MB of debug file again.
//!
//! One file per build id: a line with the version and the CRC-32 of the rest, then JSON. It also says what it was made
//! from; when a debug package has been installed since, it is made anew. When nothing is left to read (a library that
//! is gone) whatever it has is used. It is a cache: what cannot be read is not there, what cannot be written is not
//! kept, and nothing is ever said about it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::debug_file::open_regular;
use crate::identity::is_build_id;
use crate::symbolizer::Symbol;

/// Changes when names are made differently.
const VERSION: &str = "leakscope-symbols/1";
const SUFFIX: &str = "symbols";
/// Largest file, bytes: about 50,000 addresses.
const MAX_FILE: usize = 16 << 20;

/// Symbols by ELF virtual address, leaf first.
pub(crate) type Table = BTreeMap<u64, Vec<Symbol>>;

#[derive(Serialize, Deserialize)]
struct Body {
    /// What it was made from.
    sources: String,
    symbols: Table,
}

/// The directory with the files.
pub(crate) struct Cache<'a> {
    pub(crate) directory: &'a Path,
    /// Most bytes of all files.
    pub(crate) limit_bytes: u64,
}

impl Cache<'_> {
    /// What is known of an object, if it was made from these sources; `None` for whichever.
    pub(crate) fn load(&self, build_id: &str, sources: Option<&str>) -> Table {
        self.path(build_id)
            .and_then(|path| read(&path))
            .filter(|body| sources.is_none_or(|sources| sources == body.sources))
            .map(|body| body.symbols)
            .unwrap_or_default()
    }

    /// Replaces what is known of an object.
    pub(crate) fn store(&self, build_id: &str, sources: &str, symbols: Table) {
        let body = Body { sources: sources.to_owned(), symbols };
        // Failures are ignored by design.
        let _ = self.path(build_id).and_then(|path| {
            let json = serde_json::to_vec(&body).ok()?;
            if json.len() > MAX_FILE {
                return None;
            }
            self.make_room(json.len() as u64, &path)?;
            write(&path, &json).ok()
        });
    }

    fn path(&self, build_id: &str) -> Option<PathBuf> {
        is_build_id(build_id).then(|| self.directory.join(format!("{build_id}.{SUFFIX}")))
    }

    /// Removes the oldest files until `bytes` more fit.
    fn make_room(&self, bytes: u64, replaced: &Path) -> Option<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.directory).ok()?;
        let mut files: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(self.directory)
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == SUFFIX) && path != replaced)
            .filter_map(|path| {
                let metadata = fs::symlink_metadata(&path).ok()?;
                Some((metadata.modified().ok()?, metadata.len(), path))
            })
            .collect();
        files.sort();
        let mut total = bytes + files.iter().map(|(_, len, _)| len).sum::<u64>();
        for (_, len, path) in files {
            if total <= self.limit_bytes {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= len;
            }
        }
        (total <= self.limit_bytes).then_some(())
    }
}

fn read(path: &Path) -> Option<Body> {
    let file = open_regular(path)?;
    let limit = MAX_FILE as u64 + 64;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).ok()?;
    let end = bytes.iter().position(|&b| b == b'\n')?;
    let (head, json) = (&bytes[..end], &bytes[end + 1..]);
    (head == header(json).as_bytes()).then(|| serde_json::from_slice(json).ok())?
}

fn header(json: &[u8]) -> String {
    format!("{VERSION} {:08x}", crc32fast::hash(json))
}

fn write(path: &Path, json: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&temporary).and_then(|mut file| {
        writeln!(file, "{}", header(json))?;
        file.write_all(json)?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
