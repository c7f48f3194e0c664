//! A JDK for the programs that leakscope carries as source.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A java that can run a source file: JDK 11 or later, with its compiler.
pub fn java() -> Option<PathBuf> {
    let homes = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = homes.into_iter().chain(std::env::split_paths(&path));
    directories.map(|directory| directory.join("java")).find(|java| has_compiler(java))
}

fn has_compiler(java: &Path) -> bool {
    let listing = Command::new(java).arg("--list-modules").stderr(Stdio::null()).output();
    listing.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("jdk.compiler@"))
}
