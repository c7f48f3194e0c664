//! Runs that alternate between the tools, and what they showed.

use crate::tools::Tool;
use crate::workloads::Workload;
use std::path::Path;
use std::process::Stdio;

/// What one program showed under each tool.
pub struct Row {
    pub group: &'static str,
    pub name: String,
    /// One for each tool; `None` where it is of no use, or the program did not end well.
    pub cells: Vec<Option<Cell>>,
}

/// What one program showed under one tool.
pub struct Cell {
    /// The figure of each run, sorted.
    pub figures: Vec<f64>,
    /// Resident at most, KiB; the median.
    pub resident_kib: f64,
    /// Bytes that the tool wrote; the median.
    pub written_bytes: Option<f64>,
}

impl Cell {
    pub fn median(&self) -> f64 {
        quantile(&self.figures, 0.5)
    }

    /// The middle half.
    pub fn spread(&self) -> (f64, f64) {
        (quantile(&self.figures, 0.25), quantile(&self.figures, 0.75))
    }
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    quantile(&figures, 0.5)
}

struct Run {
    figure: f64,
    resident_kib: f64,
    written: Option<f64>,
}

/// Runs a program `runs` times under each tool, in turn.
pub fn alternate(workload: &Workload, tools: &[Tool], runs: usize, scratch: &Path) -> Row {
    let mut all: Vec<Option<Vec<Run>>> =
        tools.iter().map(|tool| tool.kinds.contains(&workload.kind).then(Vec::new)).collect();
    for _ in 0..runs {
        for (tool, seen) in tools.iter().zip(&mut all) {
            let Some(list) = seen else { continue };
            match once(workload, tool, scratch) {
                Ok(run) => list.push(run),
                Err(why) => {
                    eprintln!("{} under {}: {why}", workload.name, tool.name);
                    *seen = None;
                }
            }
        }
    }
    Row {
        group: workload.group,
        name: workload.name.clone(),
        cells: all.into_iter().map(|runs| runs.map(cell)).collect(),
    }
}

fn cell(runs: Vec<Run>) -> Cell {
    let mut figures: Vec<f64> = runs.iter().map(|run| run.figure).collect();
    figures.sort_by(f64::total_cmp);
    let written: Vec<f64> = runs.iter().filter_map(|run| run.written).collect();
    Cell {
        figures,
        resident_kib: median(runs.iter().map(|run| run.resident_kib).collect()),
        written_bytes: (!written.is_empty()).then(|| median(written)),
    }
}

fn once(workload: &Workload, tool: &Tool, scratch: &Path) -> Result<Run, String> {
    if let Some(folder) = &tool.output {
        std::fs::remove_dir_all(folder).and_then(|()| std::fs::create_dir_all(folder)).map_err(|e| e.to_string())?;
    }
    let mut command = workload.command(tool, scratch);
    let output = command.stderr(Stdio::null()).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    // Some tools print to stdout, too.
    let mut figures = text.lines().filter_map(|line| line.trim().parse::<f64>().ok());
    match (output.status.success(), figures.next(), figures.next()) {
        (true, Some(figure), Some(resident_kib)) => {
            let written = tool.output.as_ref().map(|folder| size_of(folder) as f64);
            Ok(Run { figure, resident_kib, written })
        }
        _ => Err(format!("{}, printed: {text}", output.status)),
    }
}

fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size_of(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
