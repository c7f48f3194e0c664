//! leakscope beside no profiler and beside its peers: what each costs the program that it watches.
//!
//! Runs alternate between the tools, so that a noisy moment hits all of them; a figure is the median of its runs, with the
//! middle half of them as spread, and ratios are those of medians within one series. Nothing passes or fails here.
//!
//! ```text
//! scripts/bench [quick] [--only TEXT] [--runs N] [--write]
//! ```
//! `quick`: fewer and shorter runs. `--only`: rows whose name contains TEXT. `--write`: docs/benchmarks.md, its chart and
//! its figures as JSON anew. `ASYNC_PROFILER=…/libasyncProfiler.so` and `BYTEHOUND=…/libbytehound.so` add those two, which
//! are in no package.

mod document;
mod instructions;
mod series;
mod tools;
mod workloads;

use series::Row;
use std::path::Path;

/// What was asked for.
pub struct Asked {
    quick: bool,
    only: Option<String>,
    runs: Option<usize>,
    write: bool,
}

impl Asked {
    fn read() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let value = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1)).cloned();
        let has = |name: &str| words.iter().any(|word| word == name);
        Self {
            quick: has("quick"),
            only: value("--only"),
            runs: value("--runs").and_then(|text| text.parse().ok()),
            write: has("--write"),
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|text| name.contains(text.as_str()))
    }
}

fn main() {
    let asked = Asked::read();
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let tools = tools::found(scratch.path());
    let workloads = workloads::all(scratch.path(), asked.quick);
    println!("{}", document::introduction(&tools));
    let mut rows: Vec<Row> = Vec::new();
    let mut group = "";
    for workload in workloads.iter().filter(|workload| asked.wants(&workload.name)) {
        if workload.group != group {
            group = workload.group;
            println!("{}", document::heading(group, &tools));
        }
        let runs = asked.runs.unwrap_or(if asked.quick { 3 } else { workload.runs });
        let row = series::alternate(workload, &tools, runs, scratch.path());
        println!("{}", document::line(&row, &tools));
        rows.push(row);
    }
    let instructions = if asked.wants("instructions") { instructions::table(scratch.path()) } else { String::new() };
    println!("{}\n{instructions}", document::besides(&rows, &tools));
    if asked.write {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        document::write(&docs, &rows, &tools, &instructions);
    }
}
