//! Which libc a program runs with: told by its loader's name, and the version by a text in libc's own file.

use std::fs;
use std::path::{Path, PathBuf};

/// A program's libc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libc {
    /// `glibc` or `musl`; the loader's name for any other.
    pub name: String,
    /// Version, as `2.36`; empty if it could not be read.
    pub version: String,
}

impl Libc {
    /// The libc that comes with this loader; `root` is where the program's paths begin.
    pub fn of_loader(loader: &Path, root: &Path) -> Self {
        let name = loader.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        let real = fs::canonicalize(below(loader)).unwrap_or_else(|_| below(loader));
        if name.starts_with("ld-musl") {
            return Self { name: "musl".to_owned(), version: version_in(&real, musl_version) };
        }
        if name.starts_with("ld-linux") {
            let beside = real.parent().map_or_else(PathBuf::new, |folder| folder.join("libc.so.6"));
            return Self { name: "glibc".to_owned(), version: version_in(&beside, glibc_version) };
        }
        Self { name, version: String::new() }
    }
}

impl std::fmt::Display for Libc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if self.version.is_empty() { Ok(()) } else { write!(f, " {}", self.version) }
    }
}

fn version_in(file: &Path, find: impl Fn(&[u8]) -> Option<String>) -> String {
    const MOST_BYTES: u64 = 32 << 20;
    let is_sane = fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() <= MOST_BYTES);
    is_sane.then(|| fs::read(file).ok()).flatten().and_then(|bytes| find(&bytes)).unwrap_or_default()
}

/// `GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.`
fn glibc_version(bytes: &[u8]) -> Option<String> {
    let start = find(bytes, b"GNU C Library ")?;
    let line = bytes.get(start..)?.split(|byte| *byte == b'\n').next()?;
    let at = find(line, b"release version ")? + b"release version ".len();
    number(line.get(at..)?)
}

/// A text of its own, as `1.2.3`, near the words `musl libc`.
fn musl_version(bytes: &[u8]) -> Option<String> {
    find(bytes, b"musl libc")?;
    let mut texts = bytes.split(|byte| *byte == 0).filter(|text| text.first() == Some(&b'1'));
    texts.find_map(|text| number(text).filter(|version| version.len() == text.len() && version.contains('.')))
}

fn number(text: &[u8]) -> Option<String> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let version = String::from_utf8_lossy(text.get(..length)?);
    let version = version.trim_end_matches('.');
    (!version.is_empty()).then(|| version.to_owned())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_the_files() {
        let glibc = b"\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nCopyright\0";
        assert_eq!(glibc_version(glibc).as_deref(), Some("2.36"));
        assert_eq!(musl_version(b"\x001.5x\0musl libc (x86_64)\nVersion %s\n\x001.2.3\0").as_deref(), Some("1.2.3"));
        assert_eq!(musl_version(b"1.2.3\0"), None);
        assert_eq!(glibc_version(b"GNU C Library without one"), None);
    }

    #[test]
    fn our_own_libc_is_known() {
        let libc = Libc::of_loader(Path::new("/lib64/ld-linux-x86-64.so.2"), Path::new("/"));
        assert!(libc.name == "glibc" && libc.version.starts_with("2."), "{libc}");
        let other = Libc::of_loader(Path::new("/lib/ld-other.so.1"), Path::new("/"));
        assert_eq!(other.to_string(), "ld-other.so.1");
    }
}
