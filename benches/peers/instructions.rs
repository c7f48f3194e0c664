//! Instructions per pair, by callgrind: exact, where times are noisy. tests/instructions.rs holds them down.

use crate::tools::{LEAKSCOPE, on_path};
use std::path::Path;
use std::process::Command;

/// A table of Markdown.
pub fn table(scratch: &Path) -> String {
    if !on_path("valgrind") {
        return "no valgrind: instructions are not counted\n".to_owned();
    }
    let mut table =
        "\n## Instructions per malloc and free (callgrind)\n\n| | plain | leakscope | added |\n|---|---|---|---|\n"
            .to_owned();
    for pattern in ["pair", "ring"] {
        let [plain, recorded] = [false, true].map(|recorded| per_pair(scratch, pattern, recorded));
        table.push_str(&format!("| {pattern} | {plain:.1} | {recorded:.1} | {:.1} |\n", recorded - plain));
    }
    table
}

/// Two lengths, so that starting cancels.
fn per_pair(scratch: &Path, pattern: &str, recorded: bool) -> f64 {
    let count = |pairs: u32| -> f64 {
        let mut words: Vec<String> = Vec::new();
        let text = |name: &str| scratch.join(name).display().to_string();
        if recorded {
            words.extend([LEAKSCOPE, "run", "--sample", "1g", "-o", &text("counted"), "--"].map(String::from));
        }
        let out = format!("--callgrind-out-file={}", text("callgrind"));
        words.extend(["valgrind", "--tool=callgrind", &out].map(String::from));
        words.extend([text("micro"), pattern.to_owned(), pairs.to_string(), "1".to_owned()]);
        let output = Command::new(&words[0]).args(&words[1..]).output().expect("valgrind starts");
        let text = String::from_utf8_lossy(&output.stderr);
        let total = text.lines().find_map(|line| line.split("Collected :").nth(1)).expect("callgrind prints a total");
        total.trim().parse().expect("a number")
    };
    // Half as many go before those that are timed.
    (count(300_000) - count(100_000)) / 300_000.0
}
