//! `leakscope check --selftest`: on this very machine a known leak fails, and its twin passes.
//!
//! The programs are carried in this binary: a hidden command of it, and where there is a JDK examples/ci/SelfTest.java,
//! run from its source. Each is judged by `leakscope check` as anybody would call it.

use super::control::{ANSWERS, LINES};
use crate::args::Way;
use crate::exit;
use crate::{jdk, sizes};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const SELF_TEST: &str = include_str!("../../../examples/ci/SelfTest.java");
const HELPER: &str = include_str!("../../../examples/ci/Leakscope.java");
const ITERATIONS: &str = "200";
/// What the native program loses at each iteration.
const LOST_BYTES: usize = 64;

/// Judges each program in both ways; 0 if every judgement is the right one.
///
/// # Errors
/// A program cannot be started.
pub fn run() -> Result<u8> {
    let folder = tempfile::Builder::new().prefix("leakscope-selftest-").tempdir()?;
    let own = std::env::current_exe()?;
    let mut holds = pair("native program", &[own.clone().into(), "selftest-target".into()], folder.path())?;
    match jdk::java() {
        Some(java) => {
            let source = folder.path().join("SelfTest.java");
            std::fs::write(&source, one_file()).with_context(|| format!("cannot write {}", source.display()))?;
            holds &= pair("JVM", &[java.into(), source.into()], folder.path())?;
        }
        None => println!("JVM: not tried, there is no JDK 11 or later (JAVA_HOME, PATH)"),
    }
    Ok(if holds { exit::OK } else { exit::INCONCLUSIVE })
}

/// A program with its leak, and without.
fn pair(name: &str, command: &[OsString], folder: &Path) -> Result<bool> {
    let leak = judged_as(exit::LEAK, &format!("{name}, a leak"), command, "leak", folder)?;
    let clean = judged_as(exit::OK, &format!("{name}, its twin without"), command, "clean", folder)?;
    Ok(leak && clean)
}

/// Whether `leakscope check` ends with the code that it should; says so.
fn judged_as(expected: u8, name: &str, command: &[OsString], way: &str, folder: &Path) -> Result<bool> {
    let began = Instant::now();
    let mut check = Command::new(std::env::current_exe()?);
    // Elsewhere a leakscope.toml may say something else.
    check.current_dir(folder).args(["check", "--iterations", ITERATIONS, "--"]);
    check.args(command).args([way, ITERATIONS]).stdin(Stdio::null());
    let output = check.output().context("leakscope cannot be started again")?;
    let is_right = output.status.code() == Some(i32::from(expected));
    let word = match output.status.code() {
        Some(0) => "passes".to_owned(),
        Some(1) => "fails".to_owned(),
        Some(3) => "cannot be told".to_owned(),
        _ => format!("ends with {}", output.status),
    };
    let verdict = if is_right { "as it should" } else { "WRONG" };
    println!("{name}: {word}, {verdict} ({})", sizes::duration(began.elapsed()));
    if !is_right {
        print!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    }
    Ok(is_right)
}

/// Both classes in one file, which java runs from its source: it begins with the class to run, behind all imports.
fn one_file() -> String {
    let at = HELPER.find("/**").unwrap_or(0);
    let (imports, helper) = HELPER.split_at(at);
    format!("{imports}{SELF_TEST}{helper}")
}

/// The native program.
///
/// # Errors
/// leakscope does not watch.
pub fn target(way: Way, iterations: u64) -> Result<u8> {
    let path =
        |name| std::env::var_os(name).with_context(|| format!("{name} is not set: this runs under leakscope check"));
    let mut lines = File::options().append(true).open(path(LINES)?)?;
    let mut answers = File::open(path(ANSWERS)?)?;
    for _ in 0..iterations {
        let session = open_session();
        if way == Way::Clean {
            drop(session);
        } else {
            std::mem::forget(session);
        }
        lines.write_all(b"sync\n")?;
        answers.read_exact(&mut [0])?;
    }
    Ok(exit::OK)
}

#[inline(never)]
fn open_session() -> Vec<u8> {
    std::hint::black_box(vec![0xA5; LOST_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_classes_make_one_file() {
        let file = one_file();
        let at = |text: &str| file.find(text).unwrap_or_else(|| panic!("no {text}"));
        assert!(at("import java.io.IOException") < at("class SelfTest"));
        assert!(at("class SelfTest") < at("final class Leakscope"));
        assert_eq!(file.matches("import ").count(), HELPER.matches("import ").count());
    }
}
