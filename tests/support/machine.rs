//! What the machine has: folders, JVMs, a way to be root.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The JVM releases that leakscope supports.
pub const RELEASES: [u32; 4] = [11, 17, 21, 25];

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("cli/ lies in the repository")
}

/// The folder of this build: `target/debug`.
fn build() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    test.ancestors().nth(2).expect("target/PROFILE/deps/TEST").to_owned()
}

/// `target`, of this build.
pub fn target() -> PathBuf {
    build().parent().expect("target/PROFILE").to_owned()
}

/// The leakscope under test.
pub fn leakscope() -> PathBuf {
    let path = build().join("leakscope");
    assert!(path.exists(), "{} is missing: cargo build --package leakscope", path.display());
    path
}

/// A JRE's home, as scripts/setup has installed it.
pub fn jre(release: u32) -> PathBuf {
    let home = repository().join("target/jre").join(release.to_string());
    assert!(home.join("bin/java").exists(), "there is no JRE {release} in {}: run scripts/setup test", home.display());
    home
}

/// A JRE's `java`.
pub fn java(release: u32) -> PathBuf {
    jre(release).join("bin/java")
}

/// Packages of npm, as scripts/setup has installed them.
pub fn npm() -> PathBuf {
    let modules = repository().join("target/npm/node_modules");
    assert!(modules.exists(), "{} is missing: run scripts/setup test", modules.display());
    modules
}

/// Whether a JRE has a garbage collector: not each was built with ZGC.
pub fn has_collector(release: u32, options: &[&str]) -> bool {
    let output = Command::new(java(release)).args(options).arg("-version").output();
    output.expect("java starts").status.success()
}

/// Fails with advice if a command is missing.
pub fn need(command: &str) {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = env::split_paths(&path).any(|directory| directory.join(command).is_file());
    assert!(is_there, "this test needs {command}: run scripts/setup test");
}

/// What to put before a command that must run as root: nothing, or sudo.
pub fn as_root() -> &'static [&'static str] {
    if is_root() {
        return &[];
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).output();
    assert!(sudo.is_ok_and(|o| o.status.success()), "this test must run as root, or with a sudo that asks nothing");
    &["sudo", "-n", "-E"]
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout == b"0\n"
}
