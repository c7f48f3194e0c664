//! The unwind sections of files on this machine, and where to find some worth reading.

#![allow(dead_code)] // each test program uses a part of it

use std::path::{Path, PathBuf};

use leakscope_unwind::eh_frame::Tables;
use leakscope_unwind::reader::Region;
use object::{Object, ObjectSection};

/// `.eh_frame_hdr` and `.eh_frame` of one file, each with its virtual address.
#[derive(Clone)]
pub struct ObjectTables {
    pub header: Vec<u8>,
    pub header_address: usize,
    pub frames: Vec<u8>,
    pub frames_address: usize,
}

impl ObjectTables {
    /// Reads them from an ELF file.
    pub fn read(path: &Path) -> ObjectTables {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = object::File::parse(&*bytes).unwrap();
        let section = |name| {
            let section = file.section_by_name(name).unwrap_or_else(|| panic!("{}: no {name}", path.display()));
            (section.data().unwrap().to_vec(), section.address() as usize)
        };
        let ((header, header_address), (frames, frames_address)) = (section(".eh_frame_hdr"), section(".eh_frame"));
        ObjectTables { header, header_address, frames, frames_address }
    }

    /// As the walker sees them.
    pub fn tables(&self) -> Tables<'_> {
        Tables {
            header: Region::new(&self.header, self.header_address),
            frames: Region::new(&self.frames, self.frames_address),
        }
    }
}

/// The C library that this process runs on.
pub fn libc_path() -> PathBuf {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains("/libc.so") || line.contains("/libc-"));
    let path = line.and_then(|line| line.find('/').map(|at| line[at..].to_owned()));
    path.expect("this process has no libc: the test cannot do without").into()
}

/// Libraries beside the C library, and the JVMs' libjvm, as far as they are there.
pub fn more_libraries() -> Vec<PathBuf> {
    let libc = libc_path();
    let beside = ["libstdc++.so.6", "libz.so.1", "libcrypto.so.3", "libm.so.6", "ld-linux-x86-64.so.2"];
    let mut found: Vec<PathBuf> = beside.iter().map(|name| libc.with_file_name(name)).collect();
    let jvms = std::fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    found.extend(jvms.map(|jvm| jvm.path().join("lib/server/libjvm.so")));
    found.retain(|path| path.exists());
    let mut files: Vec<PathBuf> = found.iter().filter_map(|path| path.canonicalize().ok()).collect();
    files.sort();
    files.dedup();
    files
}
