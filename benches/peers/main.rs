//! leakscope beside no profiler and beside its peers: what each costs the program that it watches.
//!
//! Runs alternate between the tools, so that a noisy moment hits all of them: a turn is one run under each, and a ratio is
//! that to the plain run of the same turn. A figure is the median of all runs, a series' ratio that of its turns. The whole may
//! be repeated: then the ratio is the median of those of the series, and the spread is from the lowest to the highest; of one
//! series it is the middle half of its turns. Nothing passes or fails here.
//!
//! See [`USAGE`]. `quick`: fewer and shorter runs. `--only`: rows whose name, or that of their table, contains TEXT. `--runs`: turns of each
//! row in a series (the peers take part in one of three). `--repeat`: so many series of the whole table. `--write`: docs/benchmarks.md, its chart
//! and its figures as JSON anew; with `--only` the rows that were not measured stay as they are there.
//! `ASYNC_PROFILER=…/libasyncProfiler.so` and `BYTEHOUND=…/libbytehound.so` add those two, which are in no package, and
//! `MEMRAY=…/memray` that one (`pip install memray`).

mod document;
mod instructions;
mod series;
mod tools;
mod workloads;

use std::path::Path;
use workloads::Workload;

const USAGE: &str =
    "scripts/bench [quick] [--only TEXT] [--runs N] [--repeat N] [--write]   (see benches/peers/main.rs)";

/// What was asked for.
pub struct Asked {
    quick: bool,
    only: Option<String>,
    runs: Option<usize>,
    series: usize,
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
            series: value("--repeat").and_then(|text| text.parse().ok()).unwrap_or(1),
            write: has("--write"),
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|text| name.contains(text.as_str()))
    }
}

fn main() {
    if std::env::args().any(|word| word == "--help" || word == "-h") {
        println!("{USAGE}");
        return;
    }
    let asked = Asked::read();
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let tools = tools::found(scratch.path());
    let workloads = workloads::all(scratch.path(), asked.quick);
    println!("{}", document::introduction(&tools));
    let is_wanted = |workload: &&Workload| asked.wants(&workload.name) || asked.wants(workload.group);
    let wanted: Vec<_> = workloads.iter().filter(is_wanted).collect();
    let series = |number| {
        if asked.series > 1 {
            println!("\nSeries {number} of {}:", asked.series);
        }
        let measured = |workload: &&Workload| {
            let runs = asked.runs.unwrap_or(if asked.quick { 3 } else { workload.runs });
            let row = series::alternate(workload, &tools, runs, scratch.path());
            println!("{}", document::line(&row, &tools));
            row
        };
        wanted.iter().map(measured).collect()
    };
    let rows = series::joined((1..=asked.series.max(1)).map(series).collect());
    println!("{}", document::tables(&rows, &tools));
    let instructions =
        if asked.write || asked.wants("instructions") { instructions::table(scratch.path()) } else { String::new() };
    println!("{}\n{instructions}", document::besides(&rows, &tools));
    if asked.write {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let names: Vec<_> = workloads.iter().map(|workload| workload.name.as_str()).collect();
        let rows = if asked.only.is_some() { document::with_the_others(&docs, rows, &names, &tools) } else { rows };
        document::write(&docs, &rows, &tools, &instructions);
    }
}
