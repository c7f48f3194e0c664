//! Runs that alternate between the tools, and what they showed.

use crate::tools::Tool;
use crate::workloads::Workload;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

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
    /// How many times as much as plain's of the same turn each was, sorted.
    pub ratios: Vec<f64>,
    /// The median of those, of each series.
    pub series: Vec<f64>,
    /// Resident at most, KiB; the median, of several series the mean of theirs.
    pub resident_kib: f64,
    /// Bytes that the tool wrote; likewise.
    pub written_bytes: Option<f64>,
    /// Processor time of all processes, the tool's own included, but for what it takes to start and to end: ns for each malloc
    /// and free of a pattern; likewise.
    pub processor_ns: Option<f64>,
}

impl Cell {
    pub fn median(&self) -> f64 {
        quantile(&self.figures, 0.5)
    }

    /// How many times as much as plain, and in between which figures: of the series, or, where there is one, of the
    /// middle half of its runs.
    pub fn ratio(&self) -> (f64, f64, f64) {
        let series = sorted(self.series.iter().copied());
        match series.as_slice() {
            [lowest, .., highest] => (quantile(&series, 0.5), *lowest, *highest),
            _ => {
                let of = |share| quantile(&self.ratios, share);
                (of(0.5), of(0.25), of(0.75))
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
        self.ratios.extend(further.ratios);
        self.ratios.sort_by(f64::total_cmp);
        self.series.extend(further.series);
        self.resident_kib = mean(self.resident_kib, further.resident_kib);
        let of_both =
            |own: Option<f64>, further: Option<f64>| own.zip(further).map(|(own, further)| mean(own, further));
        self.written_bytes = of_both(self.written_bytes, further.written_bytes);
        self.processor_ns = of_both(self.processor_ns, further.processor_ns);
        self
    }
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    quantile(&sorted(figures), 0.5)
}

struct Run {
    figure: f64,
    resident_kib: f64,
    written: Option<f64>,
    processor: Duration,
}

/// The peers take part in one turn of so many: their ratios are far from 1.
const PEERS_ONE_IN: usize = 3;

/// Runs a program `turns` times under each tool, one after the other.
pub fn alternate(workload: &Workload, tools: &[Tool], turns: usize, scratch: &Path) -> Row {
    // Each run with plain's figure of the same turn; none where the tool is of no use, or failed.
    let mut all: Vec<Option<Vec<(Run, f64)>>> =
        tools.iter().map(|tool| tool.kinds.contains(&workload.kind).then(Vec::new)).collect();
    for turn in 0..turns {
        let takes_part = |at: &usize| tools[*at].in_every_turn || turn.is_multiple_of(PEERS_ONE_IN);
        let mut order: Vec<usize> = (0..tools.len()).filter(|at| all[*at].is_some()).filter(takes_part).collect();
        // Who comes first may have it better, or worse.
        if turn % 2 == 1 {
            order.reverse();
        }
        let mut ran: Vec<Option<Run>> = tools.iter().map(|_| None).collect();
        for at in order {
            match once(workload.command(&tools[at], scratch), &tools[at]) {
                Ok(run) => ran[at] = Some(run),
                Err(why) => {
                    eprintln!("{} under {}: {why}", workload.name, tools[at].name);
                    all[at] = None;
                }
            }
        }
        let Some(plain) = ran[0].as_ref().map(|run| run.figure) else {
            all.fill_with(|| None); // nothing to compare with
            break;
        };
        for (runs, run) in all.iter_mut().zip(ran) {
            if let Some((runs, run)) = runs.as_mut().zip(run) {
                runs.push((run, plain));
            }
        }
    }
    Row {
        group: workload.group,
        name: workload.name.clone(),
        cells: all
            .iter()
            .zip(tools)
            .map(|(runs, tool)| runs.as_deref().map(|runs| cell(runs, processor_ns(workload, tool, runs, scratch))))
            .collect(),
    }
}

/// What the runs took of processors for each malloc and free; none where that is not what the program does.
fn processor_ns(workload: &Workload, tool: &Tool, runs: &[(Run, f64)], scratch: &Path) -> Option<f64> {
    let pairs = workload.pairs_under(tool)?;
    let idle = (0..3).filter_map(|_| once(workload.idle_command(tool, scratch), tool).ok());
    let idle = sorted(idle.map(|run| run.processor.as_secs_f64()));
    let whole = median(runs.iter().map(|(run, _)| run.processor.as_secs_f64()));
    (!idle.is_empty()).then(|| (whole - quantile(&idle, 0.5)) * 1e9 / pairs)
}

fn cell(runs: &[(Run, f64)], processor_ns: Option<f64>) -> Cell {
    let ratios = sorted(runs.iter().map(|(run, plain)| run.figure / plain));
    let written: Option<Vec<f64>> = runs.iter().map(|(run, _)| run.written).collect();
    Cell {
        figures: sorted(runs.iter().map(|(run, _)| run.figure)),
        series: vec![quantile(&ratios, 0.5)],
        ratios,
        resident_kib: median(runs.iter().map(|(run, _)| run.resident_kib)),
        written_bytes: written.map(|written| median(written.into_iter())),
        processor_ns,
    }
}

fn once(mut command: Command, tool: &Tool) -> Result<Run, String> {
    if let Some(folder) = &tool.output {
        std::fs::remove_dir_all(folder).and_then(|()| std::fs::create_dir_all(folder)).map_err(|e| e.to_string())?;
    }
    let before = processor_of_children();
    let output = command.stderr(Stdio::null()).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let processor = processor_of_children().saturating_sub(before);
    let text = String::from_utf8_lossy(&output.stdout);
    // Some tools print to stdout, too.
    let mut figures = text.lines().filter_map(|line| line.trim().parse::<f64>().ok());
    match (output.status.success(), figures.next(), figures.next()) {
        (true, Some(figure), Some(resident_kib)) => {
            let written = tool.output.as_ref().map(|folder| size_of(folder) as f64);
            Ok(Run { figure, resident_kib, written, processor })
        }
        _ => Err(format!("{}, printed: {text}", output.status)),
    }
}

/// Processor time of all processes that have ended and been waited for, and of theirs.
#[allow(unsafe_code)] // a C function that fills a structure
fn processor_of_children() -> Duration {
    // SAFETY: zeroes are a valid rusage, which getrusage writes over.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
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
