//! Starts JVMs with the probe preloaded and reads what it wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

#[path = "../../../../tests/support/signals.rs"]
mod signals;

use signals::heed_signals;

/// The JREs that the tests use.
pub const RELEASES: [u32; 4] = [11, 17, 21, 25];

/// A JVM run that has ended.
pub struct Run {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// Milliseconds since 1970.
    pub ended_ms: u128,
    /// What the probe wrote, if it did.
    pub report: Option<Report>,
}

/// What the probe wrote.
#[derive(Debug, Default)]
pub struct Report {
    pub words: BTreeMap<String, String>,
    /// Count and frames, leaf first.
    pub stacks: Vec<(u64, Vec<String>)>,
}

impl Report {
    fn parse(text: &str) -> Self {
        let mut report = Self::default();
        for line in text.lines() {
            let (name, value) = line.split_once(' ').expect("a name and a value");
            if name == "stack" {
                let (count, frames) = value.split_once(' ').expect("a count and frames");
                let frames = frames.split(';').map(str::to_owned).collect();
                report.stacks.push((count.parse().expect("a count"), frames));
            } else {
                report.words.insert(name.to_owned(), value.to_owned());
            }
        }
        report
    }

    /// A counter; 0 if it was not written.
    pub fn count(&self, name: &str) -> u64 {
        self.words.get(name).map_or(0, |value| value.parse().expect("a number"))
    }

    /// The share of captures that have frames, of those on Java threads that run Java code. Code -8 is left out: a
    /// thread that ends has none.
    pub fn share(&self) -> f64 {
        let refused: u64 = (1..16).filter(|code| *code != 8).map(|code| self.count(&format!("refused-{code}"))).sum();
        let with_frames = self.count("with_frames");
        with_frames as f64 / (with_frames + refused).max(1) as f64
    }

    /// The figures of the captures on one line; the second share is what it would be if anchors were not completed.
    pub fn figures(&self) -> String {
        let (with_frames, completed) = (self.count("with_frames"), self.count("completed_anchors"));
        let without = (with_frames - completed) as f64 * self.share() / with_frames.max(1) as f64;
        let refused = self.words.iter().filter(|(name, _)| name.starts_with("refused-"));
        let refused: String = refused.map(|(name, count)| format!(" {name}: {count}")).collect();
        let (share, without) = (self.share() * 100.0, without * 100.0);
        format!("{with_frames} with frames, {share:.2} % (anchors left alone: {without:.2} %);{refused}")
    }

    /// How often stacks were seen whose leaf is this frame, so that the JVM itself allocated there.
    pub fn with_leaf(&self, frame: &str) -> u64 {
        self.stacks.iter().filter(|(_, frames)| frames[0] == frame).map(|(count, _)| count).sum()
    }

    /// Stacks whose frames begin with these prefixes, leaf first, with nothing in between: how often they were seen.
    pub fn seen(&self, prefixes: &[&str]) -> u64 {
        let matches = |frames: &[String]| {
            frames.len() >= prefixes.len()
                && frames.iter().zip(prefixes).all(|(frame, prefix)| frame.starts_with(prefix))
        };
        self.stacks.iter().filter(|(_, frames)| matches(frames)).map(|(count, _)| count).sum()
    }
}

/// How to start a JVM.
pub struct Start<'s> {
    pub release: u32,
    pub options: &'s [&'s str],
    pub arguments: &'s [&'s str],
    /// Whether the program waits until captures have begun.
    pub waits: bool,
    /// Capture every Nth malloc; 0 = without the probe.
    pub every: u32,
    /// Cap on method ids; `None` = the default.
    pub method_ids: Option<u64>,
}

impl Start<'_> {
    pub fn run(&self) -> Run {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let out = folder.path().join("out");
        let mut command = Command::new(java(self.release));
        command.args(self.options).arg("-cp").arg(classes()).arg("Workload").args(self.arguments);
        command.current_dir(folder.path());
        if self.every > 0 {
            command.env("LD_PRELOAD", probe()).env("PROBE_OUT", &out).env("PROBE_EVERY", self.every.to_string());
        }
        if let Some(method_ids) = self.method_ids {
            command.env("PROBE_METHOD_IDS", method_ids.to_string());
        }
        if self.waits {
            command.env("PROBE_READY", folder.path().join("ready"));
        }
        heed_signals(&mut command);
        let output = command.output().expect("java starts");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
        Run {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            ended_ms: now.as_millis(),
            report: std::fs::read_to_string(out).ok().map(|text| Report::parse(&text)),
        }
    }
}

impl Run {
    /// The report of a run that must have ended with this code and written one.
    pub fn report(&self, code: i32, what: &str) -> &Report {
        self.expect_code(code, what);
        self.report.as_ref().unwrap_or_else(|| panic!("{what}: the probe wrote nothing\n{}", self.stderr))
    }

    pub fn expect_code(&self, code: i32, what: &str) {
        assert_eq!(self.code, Some(code), "{what}: {}\n{}", self.stdout, self.stderr);
    }
}

fn java(release: u32) -> PathBuf {
    let java = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../target/jre/{release}/bin/java"));
    java.canonicalize().unwrap_or_else(|_| panic!("no JRE {release} in target/jre: run `scripts/setup test`"))
}

/// Whether this JVM starts at all with these options, such as a collector.
pub fn has(release: u32, options: &[&str]) -> bool {
    let output = Command::new(java(release)).args(options).arg("-version").output().expect("java starts");
    output.status.success()
}

/// Directory of the compiled test programs.
fn classes() -> &'static Path {
    static CLASSES: OnceLock<PathBuf> = OnceLock::new();
    CLASSES.get_or_init(|| {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jvm");
        let classes = Path::new(env!("CARGO_TARGET_TMPDIR")).join("classes");
        let mut javac = Command::new("javac");
        javac.args(["--release", "11", "-g", "-d"]).arg(&classes);
        let status = javac.arg(sources.join("Workload.java")).arg(sources.join("Churned.java")).status();
        assert!(status.expect("javac is needed: run scripts/setup").success(), "javac failed");
        classes
    })
}

/// The probe, built as cargo builds it for `cargo test`.
fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "leakscope-hotspot", "--example", "probe"]);
        let test = std::env::current_exe().expect("this test");
        let profile = test.ancestors().nth(2).expect("TARGET/PROFILE/deps/TEST");
        cargo.arg("--target-dir").arg(profile.parent().expect("TARGET/PROFILE"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(status.expect("cargo runs").success(), "the probe does not build");
        profile.join("examples/libprobe.so")
    })
}
