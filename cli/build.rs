//! Builds the shim and lets the CLI carry it, so that one installed binary is all there is.
//!
//! The shim is built by a cargo of its own into a target directory of its own (the outer cargo holds the lock of the
//! other one). `LEAKSCOPE_SHIM=/path.so` uses a library that was built elsewhere, for packagers.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=LEAKSCOPE_SHIM");
    let shim = match env::var_os("LEAKSCOPE_SHIM") {
        Some(path) => PathBuf::from(path),
        None => build(),
    };
    println!("cargo::rerun-if-changed={}", shim.display());
    println!("cargo::rustc-env=LEAKSCOPE_SHIM_FILE={}", shim.display());
}

/// Variables of the outer build that would change, or break, the inner one.
fn is_of_the_outer_build(name: &str) -> bool {
    const PREFIXES: [&str; 5] = ["CARGO_MANIFEST_", "CARGO_CFG_", "CARGO_FEATURE_", "CARGO_PKG_", "CARGO_PROFILE_"];
    const NAMES: [&str; 14] = [
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "OUT_DIR",
        "TARGET",
        "HOST",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
        "CARGO_MAKEFLAGS",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn build() -> PathBuf {
    let variable = |name| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")).parent().expect("cli/ lies in the workspace").to_path_buf();
    for watched in ["shim", "Cargo.toml", "Cargo.lock", "crates/sampling", "crates/session", "crates/unwind"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    for watched in ["crates/hotspot", "crates/agent"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let target = variable("TARGET");
    let directory = Path::new(&variable("OUT_DIR")).join("shim-target");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(&root)
        .args(["build", "--locked", "--package", "leakscope-shim", "--profile", "shim"])
        .arg("--target")
        .arg(&target)
        .arg("--target-dir")
        .arg(&directory);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_of_the_outer_build) {
            cargo.env_remove(name);
        }
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the shim does not build");
    directory.join(target).join("shim").join("libleakscope_shim.so")
}
