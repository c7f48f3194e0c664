//! What the timeline costs: the share of one processor that measuring takes, each second as in the first minutes of a
//! recording, and what a point comes to on disk. By the processor's clock, so that other work does not count.
//!
//! `cargo bench --bench timeline -- SECONDS`; 60 seconds for each target unless told otherwise.
#![allow(unsafe_code)] // clock_gettime

use leakscope_collect::{Collector, Meter, NoNames, ProcessFacts, SharedSession};
use leakscope_profile::timeline::Line;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const LEAKSCOPE: &str = env!("CARGO_BIN_EXE_leakscope");

fn main() {
    let seconds = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(60);
    let scratch = tempfile::tempdir().expect("a temporary directory");
    println!(
        "| target | CPU of a core | ms for what is cheap: median | ms for a point: median, most | bytes of a line: median, most |\n|---|---|---|---|---|"
    );
    let java = repository().join("target/jre/17/bin/java").display().to_string();
    let classes = compile(scratch.path());
    let jvm = |options: &[&str]| [&[java.as_str()], options, &["-cp", &classes, "Heaps"]].concat().join(" ");
    let list = "x = [bytes(100) for _ in range(1000000)]; print(); input()";
    for (name, sample, command) in [
        ("JVM 17, G1, 256 MiB", "512k", jvm(&["-Xmx256m"])),
        ("JVM 17, ZGC, NMT on", "512k", jvm(&["-Xmx256m", "-XX:+UseZGC", "-XX:NativeMemoryTracking=summary"])),
        ("python3, a million live blocks, each recorded", "1", format!("env PYTHONMALLOC=malloc python3 -c '{list}'")),
    ] {
        let mut leakscope = start(scratch.path(), sample, &command);
        let target = target_of(&mut leakscope);
        measure(name, target, seconds);
        drop(leakscope.stdin.take());
        leakscope.wait().expect("its end");
    }
}

/// Measures a recorded process once a second, beside the leakscope that records it.
fn measure(name: &str, pid: u32, seconds: u64) {
    let session = open_session(pid);
    let mut collector = Collector::new(SharedSession::open(session.into(), None).expect("a session"));
    let mut facts = ProcessFacts::gather(pid);
    let mut meter = Meter::of(pid);
    collector.notice_modules(&facts, &mut NoNames);
    let (mut glances, mut costs, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    let began = Instant::now();
    for second in 0..seconds {
        let before = own_time();
        facts.refresh();
        let mut point = meter.glance(&collector, &facts);
        glances.push(own_time() - before);
        meter.complete(&mut point, &mut collector, &facts);
        let line = Line::Point(Box::new(point)).to_json();
        costs.push(own_time() - before);
        lengths.push(line.len());
        thread::sleep(Duration::from_secs(second + 1).saturating_sub(began.elapsed()));
    }
    let share = costs.iter().sum::<Duration>().as_secs_f64() / began.elapsed().as_secs_f64();
    glances.sort_unstable();
    costs.sort_unstable();
    lengths.sort_unstable();
    let ms = |at: usize| costs[at].as_secs_f64() * 1000.0;
    let last = costs.len() - 1;
    println!(
        "| {name} | {:.2} % | {:.2} | {:.2}, {:.2} | {}, {} |",
        share * 100.0,
        glances[last / 2].as_secs_f64() * 1000.0,
        ms(last / 2),
        ms(last),
        lengths[last / 2],
        lengths[last]
    );
}

/// Starts a command under leakscope.
fn start(scratch: &Path, sample: &str, command: &str) -> Child {
    let mut leakscope = Command::new(LEAKSCOPE);
    leakscope.args(["run", "--sample", sample, "--", "sh", "-c", &format!("exec {command}")]);
    leakscope.current_dir(scratch).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    leakscope.spawn().expect("leakscope starts")
}

/// The process id of its target, once that has said something.
fn target_of(leakscope: &mut Child) -> u32 {
    let mut line = String::new();
    BufReader::new(leakscope.stdout.take().expect("a pipe")).read_line(&mut line).expect("its first words");
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", leakscope.id())).expect("its children");
    children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("the target")
}

/// The session of a process, by its mapping.
fn open_session(pid: u32) -> File {
    let places = ["fd", "map_files"].map(|name| fs::read_dir(format!("/proc/{pid}/{name}")));
    let mut entries = places.into_iter().flatten().flatten().flatten().map(|entry| entry.path());
    let is_it =
        |path: &PathBuf| fs::read_link(path).is_ok_and(|link| link.to_string_lossy().starts_with("/memfd:leakscope"));
    let path = entries.find(is_it).expect("the session (as root, or as the user of the target)");
    File::options().read(true).write(true).open(path).expect("to open it")
}

/// Processor time of this thread.
fn own_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn compile(scratch: &Path) -> String {
    let source = repository().join("tests/programs/Heaps.java");
    let javac = Command::new("javac").args(["--release", "11", "-d"]).arg(scratch).arg(source).status();
    assert!(javac.expect("javac").success());
    scratch.display().to_string()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("cli/ lies in the repository")
}
