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
    /// The median of each series.
    pub series: Vec<f64>,
    /// Resident at most, KiB; the median, of several series the mean of theirs.
    pub resident_kib: f64,
    /// Bytes that the tool wrote; likewise.
    pub written_bytes: Option<f64>,
}

impl Cell {
    pub fn median(&self) -> f64 {
        quantile(&self.figures, 0.5)
    }

    /// How many times as much as `plain`, and in between which figures: of the series each of which is compared with its
    /// own, or, where there is one, of the middle half of its runs.
    pub fn ratio(&self, plain: &Cell) -> (f64, f64, f64) {
        let mut ratios: Vec<f64> = self.series.iter().zip(&plain.series).map(|(own, plain)| own / plain).collect();
        ratios.sort_by(f64::total_cmp);
        let middle = quantile(&ratios, 0.5);
        match ratios.as_slice() {
            [lowest, .., highest] => (middle, *lowest, *highest),
            _ => {
                let of = |share| quantile(&self.figures, share) / plain.median();
                (middle, of(0.25), of(0.75))
            }
        }
    }
}

/// Series of the same programs as one.
pub fn joined(tables: Vec<Vec<Row>>) -> Vec<Row> {
    let mut tables = tables.into_iter();
    let mut rows = tables.next().unwrap_or_default();
    for (row, further) in tables.flat_map(|table| table.into_iter().enumerate()) {
        for (cell, further) in rows[row].cells.iter_mut().zip(further.cells) {
            *cell = cell.take().zip(further).map(|(cell, further)| cell.and(further));
        }
    }
    rows
}

impl Cell {
    fn and(mut self, further: Cell) -> Cell {
        let before = self.series.len() as f64;
        let mean = |own: f64, further: f64| (own * before + further) / (before + 1.0);
        self.figures.extend(further.figures);
        self.figures.sort_by(f64::total_cmp);
        self.series.extend(further.series);
        self.resident_kib = mean(self.resident_kib, further.resident_kib);
        self.written_bytes = self.written_bytes.zip(further.written_bytes).map(|(own, further)| mean(own, further));
        self
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
        series: vec![quantile(&figures, 0.5)],
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
