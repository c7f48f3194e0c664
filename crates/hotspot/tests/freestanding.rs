//! The crate as the shim carries it: it needs nothing but a few functions of libc, and it cannot panic.

use std::path::Path;
use std::process::Command;

/// What the object file may leave to be found at load time. The `dl` ones are weak: null where they are absent.
const ALLOWED: &[&str] = &["memcpy", "memmove", "memset", "memcmp", "bcmp", "dl_iterate_phdr", "dlopen", "dlsym"];

#[test]
fn the_object_file_needs_no_library_and_no_panic() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("freestanding");
    let object = folder.join("hotspot.o");
    let mut cargo = Command::new(env!("CARGO"));
    // With link-time optimisation the object file would hold no machine code.
    cargo.args(["rustc", "--quiet", "-p", "leakscope-hotspot", "--lib", "--profile", "shim"]);
    cargo.args(["--config", "profile.shim.lto=false", "--target-dir"]).arg(folder.join("target"));
    cargo.arg("--").arg(format!("--emit=obj={}", object.display()));
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(status.expect("cargo runs").success(), "the crate does not build for the shim");

    let output = Command::new("nm").arg("--undefined-only").arg(&object).output().expect("nm (binutils) is needed");
    let symbols = String::from_utf8(output.stdout).expect("text");
    let symbols: Vec<&str> = symbols.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert!(symbols.contains(&"dlsym"), "this is our object file: {symbols:?}");
    let unexpected: Vec<&&str> = symbols.iter().filter(|symbol| !ALLOWED.contains(symbol)).collect();
    assert!(unexpected.is_empty(), "needs {unexpected:?}");
}
