//! What a snapshot costs leakscope, and whether the target notices: 20,000 live blocks, 5,000 mappings, all recorded.
//!
//! CPU time of the whole leakscope for each snapshot that is asked for (budget: 100 ms), and the longest that the target's
//! own calls took with and without them. On a busy machine the longest call is the scheduler's.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const LEAKSCOPE: &str = env!("CARGO_BIN_EXE_leakscope");
const SNAPSHOTS: u32 = 20;

fn main() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let mut target = Target::start(scratch.path());
    let first = target.cost(1);
    let next = target.cost(SNAPSHOTS);
    println!("## CPU time of leakscope for a snapshot of 20,000 live blocks and 5,000 mappings (budget 100 ms)\n");
    println!("| first (names are looked up) | next (mean of {SNAPSHOTS}) |\n|---|---|");
    println!("| {:.0} ms | {:.0} ms |", first.cpu_ms, next.cpu_ms);
    target.longest();
    std::thread::sleep(next.lasted);
    let without = target.longest();
    target.cost(SNAPSHOTS);
    let with = target.longest();
    println!("\n## longest calls in the target, us, during {:.1} s\n", next.lasted.as_secs_f64());
    println!("| | without snapshots | during {SNAPSHOTS} snapshots |\n|---|---|---|");
    println!("| malloc+free | {} | {} |\n| mmap+munmap | {} | {} |", without.0, with.0, without.1, with.1);
    let Target { mut leakscope, stdin, .. } = target;
    // The end of its input is the target's.
    drop(stdin);
    assert!(leakscope.wait().expect("leakscope ends").success());
}

/// What snapshots have cost.
struct Cost {
    /// Of each, milliseconds.
    cpu_ms: f64,
    lasted: Duration,
}

struct Target {
    leakscope: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    file: String,
}

impl Target {
    fn start(scratch: &Path) -> Self {
        let program = scratch.join("program");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/programs/snapshot.c");
        let compiled = Command::new("cc").args(["-O1", "-pthread", "-o"]).arg(&program).arg(source).status();
        assert!(compiled.expect("cc starts").success());
        let mut command = Command::new(LEAKSCOPE);
        command
            .args(["run", "--sample", "1", "--interval", "1h", "-o"])
            .arg(scratch.join("out"))
            .arg("--")
            .arg(program);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut leakscope = command.spawn().expect("leakscope starts");
        let stdin = leakscope.stdin.take().expect("a pipe");
        let mut stdout = BufReader::new(leakscope.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Self { leakscope, stdin, stdout, file: scratch.join("asked.prof").display().to_string() }
    }

    fn cost(&mut self, snapshots: u32) -> Cost {
        let (before, began) = (self.cpu_ms(), Instant::now());
        for _ in 0..snapshots {
            let pid = self.leakscope.id().to_string();
            let asked = Command::new(LEAKSCOPE).args(["snapshot", &pid, "--force", "-o", &self.file]).output();
            assert!(asked.as_ref().is_ok_and(|output| output.status.success()), "{asked:?}");
        }
        Cost { cpu_ms: (self.cpu_ms() - before) / f64::from(snapshots), lasted: began.elapsed() }
    }

    /// CPU time of leakscope so far, all threads; the kernel counts nanoseconds for each.
    fn cpu_ms(&self) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.leakscope.id())).expect("its threads").flatten();
        let time = |task: fs::DirEntry| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        };
        threads.filter_map(time).sum::<f64>() / 1e6
    }

    /// The longest malloc+free and mmap+munmap since the last call, us.
    fn longest(&mut self) -> (u64, u64) {
        writeln!(self.stdin).expect("the target reads");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        let (malloc, map) = line.trim().split_once(' ').expect("two figures");
        (malloc.parse().expect("a figure"), map.parse().expect("a figure"))
    }
}
