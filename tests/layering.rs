//! The floors of DESIGN 2: a crate imports only from a strictly lower floor, and a few crates exist for a rule which
//! is checked here because the compiler does not.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each crate and its floor. A new crate gets a line here, in ARCHITECTURE.md, and a rule that it exists for.
const FLOORS: [(&str, u32); 12] = [
    ("leakscope-sampling", 0),
    ("leakscope-session", 0),
    ("leakscope-profile", 1),
    ("leakscope-unwind", 2),
    ("leakscope-hotspot", 2),
    ("leakscope-collect", 2),
    ("leakscope-symbolize", 2),
    ("leakscope-analyze", 2),
    ("leakscope-agent", 3),
    ("leakscope-report", 3),
    ("leakscope-shim", 4),
    ("leakscope", 4),
];

/// Crates which the target carries: what they need is linked into somebody's production process.
const IN_THE_TARGET: [&str; 6] = [
    "leakscope-sampling",
    "leakscope-session",
    "leakscope-unwind",
    "leakscope-hotspot",
    "leakscope-agent",
    "leakscope-shim",
];
/// All that they may take from others: a logarithm, and the model checker in a build of its own.
const ALLOWED_IN_THE_TARGET: [&str; 2] = ["libm", "loom"];

/// Crates without unsafe code.
const PURE: [&str; 5] =
    ["leakscope-sampling", "leakscope-profile", "leakscope-symbolize", "leakscope-analyze", "leakscope-report"];

/// Names that say nothing about what belongs there.
const VAGUE: [&str; 8] = ["base", "common", "core", "helpers", "misc", "shared", "types", "utils"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("cli/ lies in the workspace").to_path_buf()
}

/// The workspace's packages, as cargo sees them.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn name(value: &Value) -> &str {
    value["name"].as_str().expect("a name")
}

/// The package's dependencies of one kind: `null` is normal.
fn dependencies<'a>(package: &'a Value, kind: Option<&str>) -> Vec<&'a str> {
    let all = package["dependencies"].as_array().expect("dependencies");
    all.iter().filter(|dependency| dependency["kind"].as_str() == kind).map(name).collect()
}

#[test]
fn every_crate_has_a_floor() {
    let packages = packages();
    let mut found: Vec<&str> = packages.iter().map(name).collect();
    let mut listed: Vec<&str> = FLOORS.iter().map(|(name, _)| *name).collect();
    found.sort_unstable();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

#[test]
fn a_crate_imports_only_from_below() {
    let floors: BTreeMap<&str, u32> = FLOORS.into_iter().collect();
    let mut wrong = Vec::new();
    for package in &packages() {
        let importer = name(package);
        for kind in [None, Some("build")] {
            for imported in dependencies(package, kind) {
                if let (Some(above), Some(below)) = (floors.get(importer), floors.get(imported))
                    && below >= above
                {
                    wrong.push(format!("{importer} (floor {above}) imports {imported} (floor {below})"));
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// Tests may look sideways, but not upwards.
#[test]
fn tests_import_nothing_from_above() {
    let floors: BTreeMap<&str, u32> = FLOORS.into_iter().collect();
    let mut wrong = Vec::new();
    for package in &packages() {
        for imported in dependencies(package, Some("dev")) {
            if floors.get(imported) > floors.get(name(package)) && floors.contains_key(imported) {
                wrong.push(format!("the tests of {} import {imported}", name(package)));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn the_target_carries_nothing_of_others() {
    let mut wrong = Vec::new();
    for package in packages().iter().filter(|package| IN_THE_TARGET.contains(&name(package))) {
        for imported in dependencies(package, None) {
            if !IN_THE_TARGET.contains(&imported) && !ALLOWED_IN_THE_TARGET.contains(&imported) {
                wrong.push(format!("{} imports {imported}", name(package)));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn pure_crates_forbid_unsafe_code_and_the_targets_crates_have_no_std() {
    for package in &packages() {
        let (name, manifest) = (name(package), package["manifest_path"].as_str().expect("a path"));
        let source = Path::new(manifest).with_file_name("src").join("lib.rs");
        if PURE.contains(&name) || IN_THE_TARGET.contains(&name) {
            let text = std::fs::read_to_string(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
            assert!(!PURE.contains(&name) || text.contains("#![forbid(unsafe_code)]"), "{name} forbids no unsafe code");
            assert!(!IN_THE_TARGET.contains(&name) || text.contains("no_std"), "{name} uses std");
        }
    }
}

#[test]
fn no_crate_has_a_name_that_says_nothing() {
    for package in &packages() {
        let name = name(package);
        let last = name.strip_prefix("leakscope-").unwrap_or(name);
        assert!(!VAGUE.contains(&last), "{name}");
    }
}
