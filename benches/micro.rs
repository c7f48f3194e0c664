//! What one allocation call costs, beside plain glibc and other profilers, as ratios within one run.
//!
//! Runs alternate between the tools, so that a noisy moment hits all of them; a figure is the median of its runs. The
//! cost of a *sampled* call is measured in exact mode, where every call is one: (exact - plain) per malloc+free pair,
//! so it holds the removal too. Instructions come from callgrind and are exact.
//!
//! `cargo bench --bench micro` runs all; `cargo bench --bench micro -- quick` a short form.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const LEAKSCOPE: &str = env!("CARGO_BIN_EXE_leakscope");

/// A way to run a program.
struct Tool {
    name: &'static str,
    /// Words before the program's own.
    prefix: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "quick");
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let micro = compile(scratch.path());
    let tools = tools(scratch.path());
    let runs = if quick { 3 } else { 9 };
    let pairs = if quick { 2_000_000 } else { 10_000_000 };
    println!("machine: {}", machine());
    println!("tools: {}", tools.iter().map(|t| t.name).collect::<Vec<_>>().join(", "));

    println!("\n## ns per malloc+free pair (median of {runs}; ratio to plain)\n");
    header(&tools);
    for (pattern, threads) in
        [("pair", 1), ("pair", 2), ("ring", 1), ("ring", 2), ("live", 1), ("realloc", 1), ("deep", 1)]
    {
        let row = medians(&tools, runs, |tool, cut| {
            let n = (pairs / cut).to_string();
            time(tool, scratch.path(), &[micro.to_str().expect("UTF-8"), pattern, &n, &threads.to_string()])
        });
        print_row(&format!("{pattern}, {threads} thread{}", if threads > 1 { "s" } else { "" }), &row);
    }
    mixed_stack(&tools, scratch.path(), if quick { 3 } else { 5 });
    instructions(&micro);
}

fn tools(scratch: &Path) -> Vec<Tool> {
    let out = |name: &str| scratch.join(name).display().to_string();
    let leakscope = |sample: &str, name: &str| {
        let words = [LEAKSCOPE, "run", "--sample", sample, "-o", &out(name), "--"];
        words.map(String::from).to_vec()
    };
    let mut tools = vec![
        Tool { name: "plain", prefix: vec![], environment: vec![] },
        Tool { name: "leakscope 512k", prefix: leakscope("512k", "sampled"), environment: vec![] },
        Tool { name: "leakscope exact", prefix: leakscope("1", "exact"), environment: vec![] },
    ];
    if on_path("heaptrack") {
        tools.push(Tool { name: "heaptrack", prefix: vec!["heaptrack".into()], environment: vec![] });
    }
    let jemalloc = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";
    if Path::new(jemalloc).exists() {
        let preload = vec![("LD_PRELOAD", jemalloc.to_string())];
        tools.push(Tool { name: "jemalloc", prefix: vec![], environment: preload.clone() });
        let mut profiling = preload;
        profiling.push(("MALLOC_CONF", format!("prof:true,lg_prof_sample:19,prof_prefix:{}", out("jeprof"))));
        tools.push(Tool { name: "jemalloc prof", prefix: vec![], environment: profiling });
    }
    tools
}

/// Runs a program under a tool; the figure it prints.
fn time(tool: &Tool, scratch: &Path, program: &[&str]) -> f64 {
    let mut words = tool.prefix.iter().map(String::as_str).chain(program.iter().copied());
    let mut command = Command::new(words.next().expect("a program"));
    // Some tools write into the current directory.
    command.current_dir(scratch).args(words).envs(tool.environment.iter().map(|(k, v)| (k, v))).stderr(Stdio::null());
    let output = command.output().expect("the tool starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let figure = text.lines().find_map(|line| line.trim().parse().ok());
    figure.unwrap_or_else(|| panic!("{} {program:?} printed no figure: {text}", tool.name))
}

/// Medians by tool; slow tools run a tenth of the pairs.
fn medians(tools: &[Tool], runs: usize, measure: impl Fn(&Tool, u64) -> f64) -> Vec<f64> {
    let mut all = vec![Vec::new(); tools.len()];
    for _ in 0..runs {
        for (tool, figures) in tools.iter().zip(&mut all) {
            let cut = if matches!(tool.name, "heaptrack" | "leakscope exact") { 10 } else { 1 };
            figures.push(measure(tool, cut));
        }
    }
    all.into_iter().map(median).collect()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn header(tools: &[Tool]) {
    println!("| | {} |", tools.iter().map(|t| t.name).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(tools.len()));
}

fn print_row(name: &str, row: &[f64]) {
    let cells: Vec<_> = row.iter().map(|ns| format!("{ns:.1} ({:.2})", ns / row[0])).collect();
    println!("| {name} | {} |", cells.join(" | "));
}

/// The cost of a sampled call below a mixed stack of about 30 frames.
fn mixed_stack(tools: &[Tool], scratch: &Path, runs: usize) {
    if !on_path("javac") {
        println!("\nno javac: the mixed stack is not measured");
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/programs/MixedStack.java");
    let status = Command::new("javac").arg("-nowarn").arg("-d").arg(scratch).arg(source).stderr(Stdio::null()).status();
    assert!(status.expect("javac starts").success());
    let classes = scratch.display().to_string();
    println!("\n## ns per Unsafe.allocateMemory+freeMemory pair in a JVM, 24 Java frames above 6 native ones\n");
    let some: Vec<_> = tools.iter().filter(|t| !t.name.starts_with("jemalloc") && t.name != "heaptrack").collect();
    println!(
        "| {} | cost of a sampled call (exact - plain) |",
        some.iter().map(|t| t.name).collect::<Vec<_>>().join(" | ")
    );
    println!("|{}", "---|".repeat(some.len() + 1));
    let mut all = vec![Vec::new(); some.len()];
    for _ in 0..runs {
        for (tool, figures) in some.iter().zip(&mut all) {
            let pairs = if tool.name == "leakscope exact" { "200000" } else { "2000000" };
            figures.push(time(tool, scratch, &["java", "-Xint", "-cp", &classes, "MixedStack", pairs, "24"]));
        }
    }
    let row: Vec<_> = all.into_iter().map(median).collect();
    let cells: Vec<_> = row.iter().map(|ns| format!("{ns:.0}")).collect();
    println!("| {} | {:.0} |", cells.join(" | "), row[2] - row[0]);
}

/// Instructions per pair: callgrind on two lengths, so that start-up cancels.
fn instructions(micro: &Path) {
    if !on_path("valgrind") {
        println!("\nno valgrind: instructions are not counted");
        return;
    }
    println!("\n## instructions per malloc+free pair (callgrind)\n");
    println!("| | plain | leakscope 512k | added |\n|---|---|---|---|");
    for pattern in ["pair", "ring"] {
        let plain = per_pair(micro, pattern, false);
        let recorded = per_pair(micro, pattern, true);
        println!("| {pattern} | {plain:.1} | {recorded:.1} | {:.1} |", recorded - plain);
    }
}

fn per_pair(micro: &Path, pattern: &str, recorded: bool) -> f64 {
    let count = |pairs: u64| -> f64 {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let out = scratch.path().join("callgrind").display().to_string();
        let mut words: Vec<String> = Vec::new();
        if recorded {
            let run = scratch.path().join("out").display().to_string();
            words.extend([LEAKSCOPE, "run", "-o", &run, "--"].map(String::from));
        }
        words.extend(["valgrind", "--tool=callgrind", &format!("--callgrind-out-file={out}")].map(String::from));
        words.extend([micro.display().to_string(), pattern.into(), pairs.to_string(), "1".into()]);
        let output = Command::new(&words[0]).args(&words[1..]).output().expect("valgrind starts");
        let text = String::from_utf8_lossy(&output.stderr);
        let total = text.lines().find_map(|line| line.split("Collected :").nth(1)).expect("callgrind prints a total");
        total.trim().parse().expect("a number")
    };
    (count(300_000) - count(100_000)) / 200_000.0
}

fn compile(scratch: &Path) -> PathBuf {
    let program = scratch.join("micro");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/programs/micro.c");
    let status = Command::new("cc").args(["-O2", "-pthread", "-o"]).arg(&program).arg(source).status();
    assert!(status.expect("cc starts").success());
    program
}

fn on_path(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).exists())
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores")
}
