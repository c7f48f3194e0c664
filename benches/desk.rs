//! What it takes to make a report of a large recording: prints a table; asserts nothing, because the time depends on the
//! machine. With `--keep DIR` the recording and its page stay there.

#[path = "../tests/support/invented.rs"]
mod invented;

use invented::Invented;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|word| word == name).and_then(|at| arguments.get(at + 1));
    let number = |name: &str, default: u32| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let directory = value("--keep").map_or(temporary.path().to_owned(), PathBuf::from);
    let is_busy = arguments.iter().any(|word| word == "--busy");
    let (snapshots, others) = (number("--snapshots", 240), number("--sites", 5000) as usize);
    let leak = value("--leak").and_then(|text| text.parse().ok()).unwrap_or(3.2);
    Invented { snapshots, others, is_busy, leak, ..Invented::default() }.write(&directory);
    println!("| command, {snapshots} snapshots of {others} sites | seconds | result |\n|---|---|---|");
    let page = directory.join("report.html");
    for (name, options) in
        [("report", &["--json"][..]), ("report --html", &["--force", "--html", page.to_str().expect("text")])]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leakscope"));
        command.args(["report", "--no-debug-info"]).arg(&directory).args(options);
        let start = Instant::now();
        let output = command.output().expect("leakscope starts");
        let seconds = start.elapsed().as_secs_f64();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = if output.stdout.is_empty() {
            std::fs::metadata(&page).map_or(0, |m| m.len())
        } else {
            output.stdout.len() as u64
        };
        println!("| `leakscope {name}` | {seconds:.2} | {:.2} MiB |", bytes as f64 / 1048576.0);
    }
}
