//! The programs: each prints one figure, lower is better, and then the KiB that were resident in it at most.

use crate::tools::{Tool, on_path};
use std::path::Path;
use std::process::Command;

/// What a program is made of, for tools that know only some.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Native,
    Python,
    Java,
}

/// One row of a table.
pub struct Workload {
    pub group: &'static str,
    pub name: String,
    pub kind: Kind,
    /// Turns of a series.
    pub runs: usize,
    /// Words before the tool's, the program's behind it; a word `TURNS` is replaced.
    before: Vec<String>,
    after: Vec<String>,
    turns: u64,
    /// Fewer would not show what is meant.
    least: u64,
    environment: Vec<(&'static str, String)>,
}

pub const MICRO: &str = "ns per malloc and free";
pub const CALLS: &str = "ns per allocation below Java frames";
pub const MACRO: &str = "programs";
/// All of them.
pub const GROUPS: [&str; 3] = [MICRO, CALLS, MACRO];

impl Workload {
    /// The command under a tool.
    pub fn command(&self, tool: &Tool, scratch: &Path) -> Command {
        self.with_turns(self.turns_under(tool), tool, scratch)
    }

    /// The command under a tool, of which as little as can be is done, for what it takes to start and to end.
    pub fn idle_command(&self, tool: &Tool, scratch: &Path) -> Command {
        self.with_turns(1, tool, scratch)
    }

    fn turns_under(&self, tool: &Tool) -> u64 {
        let one_in = if self.group == MACRO { tool.one_in.div_ceil(10) } else { tool.one_in };
        (self.turns / one_in).max(self.least)
    }

    /// How many times malloc and free are called under a tool, by all threads; only of patterns.
    pub fn pairs_under(&self, tool: &Tool) -> Option<f64> {
        // Once and a half: each thread warms up (micro.c).
        let threads = self.after.last().and_then(|word| word.parse::<f64>().ok());
        threads.filter(|_| self.group == MICRO).map(|threads| self.turns_under(tool) as f64 * 1.5 * threads)
    }

    fn with_turns(&self, turns: u64, tool: &Tool, scratch: &Path) -> Command {
        let program = &self.after[usize::from(tool.is_interpreter)..];
        let words: Vec<String> = [self.before.as_slice(), &tool.prefix, program]
            .into_iter()
            .flatten()
            .map(|word| if word == "TURNS" { turns.to_string() } else { word.clone() })
            .collect();
        let mut command = Command::new(&words[0]);
        // Some tools write into the current directory.
        command.current_dir(scratch).args(&words[1..]);
        command.envs(tool.environment.iter().chain(&self.environment).map(|(name, value)| (name, value)));
        command
    }
}

fn source(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/programs").join(name).display().to_string()
}

fn build(command: &mut Command) {
    assert!(command.status().is_ok_and(|status| status.success()), "{command:?} failed");
}

/// Those that this machine can run.
pub fn all(scratch: &Path, quick: bool) -> Vec<Workload> {
    let program = scratch.join("micro").display().to_string();
    build(Command::new("cc").args(["-O2", "-pthread", "-o", &program, &source("micro.c")]));
    let mut all = micro(&program, quick);
    let shorter = if quick { 4 } else { 1 };
    let workload = |group, name: &str, kind, turns: u64, after: &[&str]| Workload {
        group,
        name: name.to_owned(),
        kind,
        runs: 9,
        before: vec![],
        after: after.iter().map(ToString::to_string).collect(),
        turns: turns / shorter,
        least: 1,
        environment: vec![],
    };
    if on_path("javac") {
        let classes = scratch.display().to_string();
        let javac =
            ["-nowarn", "-XDignore.symbol.file", "-d", &classes, &source("Churn.java"), &source("MixedStack.java")];
        build(Command::new("javac").args(javac));
        for depth in ["6", "24", "100"] {
            let after = ["java", "-Xint", "-cp", &classes, "MixedStack", "TURNS", depth];
            all.push(workload(CALLS, &format!("{depth} Java frames, interpreted"), Kind::Java, 1_000_000, &after));
        }
        for (name, what, turns) in [
            ("Java: Deflaters, 4 KiB each", "deflater", 20_000),
            ("Java: direct buffers", "direct", 1_200_000),
            ("Java: pooled buffers", "pooled", 1_000_000),
        ] {
            let java = ["java", "-Xmx256m", "-XX:MaxDirectMemorySize=256m", "-cp", &classes, "Churn", what, "TURNS"];
            all.push(workload(MACRO, name, Kind::Java, turns, &java));
        }
        let sources = many_classes(&scratch.join("classes"));
        let out = scratch.join("compiled").display().to_string();
        // The time that the whole takes, in ms: that of a JVM that starts, compiles itself and ends.
        let timed = "import resource,subprocess,sys,time\n\
             start=time.perf_counter()\n\
             subprocess.run(sys.argv[1:],check=True,stdout=sys.stderr)\n\
             print((time.perf_counter()-start)*1e3)\n\
             print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
        let javac = ["javac", "-proc:none", "-d", &out, &format!("@{sources}")];
        let mut row = workload(MACRO, "javac of 60 classes", Kind::Java, 1, &javac);
        row.before = ["python3", "-c", timed].map(String::from).to_vec();
        all.push(row);
    }
    if on_path("python3") {
        // `python3` may be a script that finds the interpreter, and not every tool follows an exec.
        let found = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let python = String::from_utf8(found.expect("python3 starts").stdout).expect("a path").trim().to_owned();
        let mut row = workload(
            MACRO,
            "python: JSON, all through malloc",
            Kind::Python,
            4_000,
            &[&python, &source("churn.py"), "TURNS"],
        );
        row.environment.push(("PYTHONMALLOC", "malloc".to_owned()));
        all.push(row);
    }
    if on_path("redis-server") {
        let mut row = workload(MACRO, "redis: set, lpush, hset", Kind::Native, 400_000, &[]);
        row.before = ["sh", &source("redis.sh"), "TURNS"].map(String::from).to_vec();
        all.push(row);
    }
    all
}

fn micro(program: &str, quick: bool) -> Vec<Workload> {
    let million = if quick { 200_000 } else { 1_000_000 };
    let rows: [(&str, &str, u64, u64); 13] = [
        ("pair of 64 bytes", "pair", 1, 5),
        ("pair of 64 bytes, 2 threads", "pair", 2, 20),
        ("pair of 64 bytes, 8 threads", "pair", 8, 10),
        ("pair of 16 bytes", "16", 1, 5),
        ("pair of 1 KiB", "1024", 1, 5),
        ("pair of 64 KiB", "65536", 1, 4),
        ("pair of 1 MiB", "1048576", 1, 1),
        ("ring of 4,096 live blocks", "ring", 1, 5),
        ("ring of 4,096 live blocks, 2 threads", "ring", 2, 20),
        ("200,000 live blocks", "live", 1, 4),
        ("realloc from 16 bytes to 64 KiB", "realloc", 1, 4),
        ("below 40 frames", "deep", 1, 5),
        ("freed by the neighbour, 2 threads", "handed", 2, 2),
    ];
    let row = |(name, pattern, threads, millions): (&str, &str, u64, u64)| Workload {
        group: MICRO,
        name: name.to_owned(),
        kind: Kind::Native,
        runs: 15,
        before: vec![],
        after: vec![program.to_owned(), pattern.to_owned(), "TURNS".to_owned(), threads.to_string()],
        turns: millions * million,
        least: if pattern == "live" { 400_000 } else { 1 },
        environment: vec![],
    };
    rows.into_iter().map(row).collect()
}

/// Sources of many classes; the path of a file that lists them.
fn many_classes(folder: &Path) -> String {
    std::fs::create_dir_all(folder).expect("a folder");
    let mut list = String::new();
    for index in 0..60 {
        let methods: String = (0..20)
            .map(|m| format!("  public List<String> m{m}(Map<String, Integer> in) {{ return in.entrySet().stream().filter(e -> e.getValue() > {m}).map(e -> e.getKey() + {index}).sorted().collect(Collectors.toList()); }}\n"))
            .collect();
        let path = folder.join(format!("C{index}.java"));
        let text = format!("import java.util.*; import java.util.stream.*;\npublic class C{index} {{\n{methods}}}\n");
        std::fs::write(&path, text).expect("a source");
        list.push_str(&format!("{}\n", path.display()));
    }
    let listed = folder.join("all");
    std::fs::write(&listed, list).expect("a list");
    listed.display().to_string()
}
