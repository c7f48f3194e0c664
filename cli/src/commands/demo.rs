//! `leakscope demo`: records a small program that really leaks, and shows each command on it.
//!
//! With a JDK the program is `examples/deflater/DeflaterLeak.java`, carried in this binary; without one it is a hidden
//! command of this binary that leaks through malloc. Each step is an ordinary command, printed before it runs.

use crate::args::DemoArgs;
use crate::exit;
use crate::jdk;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const JAVA_EXAMPLE: &str = include_str!("../../../examples/deflater/DeflaterLeak.java");
/// Room enough that no garbage collection falls into the demo: the compiler in the source launcher fills a young
/// generation and loads many classes, either starts one, and that releases the Deflaters.
const NO_COLLECTION: [&str; 2] = ["-Xmn256m", "-XX:MetaspaceSize=256m"];

/// Runs the demo.
pub fn run(args: &DemoArgs) -> Result<u8> {
    let directory = free_directory(&args.output);
    let seconds = args.seconds.to_string();
    let mut target: Vec<OsString> = match jdk::java() {
        Some(java) => {
            // It stays there, so that what is printed can be typed again.
            let source = directory.join("DeflaterLeak.java");
            std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
            std::fs::write(&source, JAVA_EXAMPLE).with_context(|| format!("cannot write {}", source.display()))?;
            eprintln!("The program is an exception logger that never ends its Deflater: {}", source.display());
            let mut target: Vec<OsString> = vec![java.into()];
            target.extend(NO_COLLECTION.map(OsString::from));
            target.extend([source.into(), seconds.into()]);
            target
        }
        None => {
            eprintln!("No JDK 11 or later was found: the program is a small native one that loses its sessions.");
            vec![std::env::current_exe()?.into(), "demo-target".into(), seconds.into()]
        }
    };
    let mut run: Vec<OsString> = ["run", "--interval", "2s", "-o"].map(OsString::from).to_vec();
    run.push(directory.clone().into());
    run.push("--".into());
    run.append(&mut target);
    step(run)?;
    let at = |snapshot: &str| OsString::from(format!("{}@{snapshot}", directory.display()));
    step(vec!["report".into(), directory.clone().into()])?;
    step(vec!["diff".into(), at("first"), at("last")])?;
    let flame = directory.join("flame.svg");
    step(vec!["flame".into(), directory.clone().into(), "-o".into(), flame.clone().into()])?;
    eprintln!("\nThe profiles are in {}.", directory.display());
    if flame.exists() {
        eprintln!("The flame graph is {}; open it in a browser.", flame.display());
    }
    if typed() != "leakscope" {
        eprintln!("To type leakscope alone: sudo install {} /usr/local/bin/leakscope", typed());
    }
    Ok(exit::OK)
}

/// Runs one command of this binary, printed as the user would type it. One that has no data is no failure: a target
/// that ends at once leaves nothing to draw.
fn step(words: Vec<OsString>) -> Result<()> {
    let line: Vec<_> = words.iter().map(|word| quoted(&word.to_string_lossy())).collect();
    eprintln!("\n$ {} {}", typed(), line.join(" "));
    let mut command = Command::new(std::env::current_exe()?);
    let status = command.args(&words).status().context("leakscope cannot be started again")?;
    if !status.success() && status.code() != Some(i32::from(exit::NO_DATA)) {
        bail!("`leakscope {}` ended with {status}", line.join(" "));
    }
    Ok(())
}

/// What starts this binary: the word that the user typed.
fn typed() -> String {
    let word = std::env::args_os().next().unwrap_or_default();
    quoted(&word.to_string_lossy())
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./@%+=:,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// The directory asked for, or the first numbered one that is free: a recording is never overwritten.
fn free_directory(wanted: &Path) -> PathBuf {
    let numbered = |n: u32| PathBuf::from(format!("{}.{n}", wanted.display()));
    std::iter::once(wanted.to_path_buf())
        .chain((2..).map(numbered))
        .find(|path| !path.exists())
        .unwrap_or_else(|| wanted.to_path_buf())
}

/// The native program: every request opens a session and forgets to close it.
pub fn target(seconds: f64) -> Result<u8> {
    let requests = (seconds * 50.0) as u64;
    let mut bytes = 0;
    for request in 0..requests {
        bytes += handle_request(request);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    println!("handled {requests} requests, {bytes} bytes of sessions");
    Ok(exit::OK)
}

#[inline(never)]
fn handle_request(request: u64) -> usize {
    open_session(64 * 1024 + (request % 7) as usize * 1024)
}

#[inline(never)]
fn open_session(bytes: usize) -> usize {
    // The leak, on purpose: nobody keeps the session.
    let session: &'static mut [u8] = Box::leak(vec![0xA5; bytes].into_boxed_slice());
    std::hint::black_box(session).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_demo_is_not_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let wanted = parent.path().join("demo");
        assert_eq!(free_directory(&wanted), wanted);
        std::fs::create_dir(&wanted).unwrap();
        assert_eq!(free_directory(&wanted), parent.path().join("demo.2"));
    }
}
