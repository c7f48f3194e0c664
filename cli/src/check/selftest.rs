//! `leakscope check --selftest`: on this very machine a known leak fails, and its twin passes.
//!
//! The programs are carried in this binary: a hidden command of it, and where there is a JDK examples/ci/SelfTest.java,
//! compiled first, so that the compiler is not judged with it. Each is judged by `leakscope check` as anybody would call it.

use super::control::{ANSWERS, LINES};
use crate::args::Way;
use crate::exit;
use crate::{jdk, sizes};
use anyhow::{Context, Result, bail};
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
    let mut holds = pair("native program", &[own.into(), "selftest-target".into()], folder.path())?;
    match jdk::java() {
        Some(java) => {
            compile(&java, folder.path())?;
            let classes = folder.path().as_os_str().to_owned();
            holds &= pair("JVM", &[java.into(), "-cp".into(), classes, "SelfTest".into()], folder.path())?;
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

/// Compiles the program and the helper into a folder.
fn compile(java: &Path, folder: &Path) -> Result<()> {
    let sources =
        [("SelfTest.java", SELF_TEST), ("Leakscope.java", HELPER)].map(|(name, text)| (folder.join(name), text));
    for (source, text) in &sources {
        std::fs::write(source, text).with_context(|| format!("cannot write {}", source.display()))?;
    }
    let mut compiler = Command::new(java);
    compiler.args(["-m", "jdk.compiler/com.sun.tools.javac.Main", "-d"]).arg(folder);
    let output = compiler.args(sources.map(|(source, _)| source)).output().context("the compiler cannot be started")?;
    if !output.status.success() {
        bail!("the compiler of {} failed: {}", java.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
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
