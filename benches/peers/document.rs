//! The tables as Markdown, the figures as JSON, the chart as SVG.

use crate::series::{Cell, Row};
use crate::tools::Tool;
use crate::workloads::{GROUPS, MACRO, MICRO};
use plotters::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

const BEGIN: &str = "<!-- figures: written by `scripts/bench --write`, do not edit -->";

pub fn introduction(tools: &[Tool]) -> String {
    let lines = tools.iter().map(|tool| format!("- **{}**: {}\n", tool.name, tool.note));
    format!("Measured on {}.\n\n{}", machine(), lines.collect::<String>())
}

/// The rows, group by group.
pub fn tables(rows: &[Row], tools: &[Tool]) -> String {
    let (mut text, mut group) = (String::new(), "");
    for row in rows {
        if row.group != group {
            group = row.group;
            text.push_str(&heading(group, tools));
            text.push('\n');
        }
        text.push_str(&line(row, tools));
        text.push('\n');
    }
    text
}

fn heading(group: &str, tools: &[Tool]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
    format!("\n## {}\n\n| | {} |\n|---|{}", capital(group), names.join(" | "), "---|".repeat(tools.len()))
}

pub fn line(row: &Row, tools: &[Tool]) -> String {
    let cells = row.cells.iter().map(|cell| match cell {
        Some(cell) => {
            let (ratio, low, high) = cell.ratio();
            format!("{} **{ratio:.2}** ({low:.2}–{high:.2})", figure(cell.median()))
        }
        None => "–".to_owned(),
    });
    debug_assert_eq!(tools.len(), row.cells.len());
    format!("| {} | {} |", row.name, cells.collect::<Vec<_>>().join(" | "))
}

/// What each tool adds to what is resident and what it writes, in programs (patterns run shorter under slow tools), and what it
/// takes of processors, in patterns.
pub fn besides(rows: &[Row], tools: &[Tool]) -> String {
    let resident =
        |cell: &Cell, plain: &Cell| Some(format!("{:.1}", (cell.resident_kib - plain.resident_kib) / 1024.0));
    let written = |cell: &Cell, _: &Cell| cell.written_bytes.map(|bytes| format!("{:.1}", bytes / 1e6));
    // What the clock does not show where a profiler has processes of its own.
    let processor = |cell: &Cell, _: &Cell| cell.processor_ns.map(figure);
    let resident_title = "MiB added to the target's resident memory at its highest";
    let processor_title = "Ns of processor time per malloc and free, of all processes";
    further_table(resident_title, (rows, MACRO), (tools, 1), &resident)
        + &further_table("MB written by such a run", (rows, MACRO), (tools, 1), &written)
        + &further_table(processor_title, (rows, MICRO), (tools, 0), &processor)
        + &against(rows, tools, "leakscope exact", "heaptrack")
}

/// A table of the rows of one group, for the tools from one on; `of` tells a cell from it and plain's.
fn further_table(
    title: &str,
    (rows, group): (&[Row], &str),
    (tools, from): (&[Tool], usize),
    of: &dyn Fn(&Cell, &Cell) -> Option<String>,
) -> String {
    let mut text = heading(title, tools.get(from..).unwrap_or(&[])) + "\n";
    for row in rows.iter().filter(|row| row.group == group) {
        let Some(plain) = &row.cells[0] else { continue };
        let value = |cell: &Option<Cell>| cell.as_ref().and_then(|cell| of(cell, plain));
        let cells = row.cells.iter().skip(from).map(|cell| value(cell).unwrap_or("–".to_owned()));
        text.push_str(&format!("| {} | {} |\n", row.name, cells.collect::<Vec<_>>().join(" | ")));
    }
    text
}

/// How many times as much one tool takes as another over the patterns: geometric means.
fn against(rows: &[Row], tools: &[Tool], tool: &str, other: &str) -> String {
    let at = |name: &str| tools.iter().position(|tool| tool.name == name);
    let (Some(tool_at), Some(other_at)) = (at(tool), at(other)) else { return String::new() };
    let patterns = rows.iter().filter(|row| row.group == MICRO);
    let mean = |of: &dyn Fn(&Cell) -> Option<f64>| {
        let quotient = |row: &Row| Some(of(row.cells[other_at].as_ref()?)? / of(row.cells[tool_at].as_ref()?)?);
        // No quotient where noise was larger than what one of them adds.
        let logarithms: Vec<f64> = patterns.clone().filter_map(quotient).filter(|q| *q > 0.0).map(f64::ln).collect();
        (!logarithms.is_empty()).then(|| (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
    };
    let takes = mean(&|cell| Some(cell.ratio().0));
    let adds = mean(&|cell| Some(cell.ratio().0 - 1.0));
    let works = mean(&|cell| cell.processor_ns);
    let (Some(takes), Some(adds), Some(works)) = (takes, adds, works) else {
        return String::new(); // other rows were asked for
    };
    format!(
        "\nOver the {} patterns {other} takes {takes:.1} times as long as {tool}, adds {adds:.1} times as much to the time without \
         a profiler, and takes {works:.1} times the processor time (geometric means).\n",
        patterns.count()
    )
}

/// The rows, and those of docs/benchmarks.json that were not measured now, in the order of `names`.
pub fn with_the_others(docs: &Path, measured: Vec<Row>, names: &[&str], tools: &[Tool]) -> Vec<Row> {
    let text = std::fs::read_to_string(docs.join("benchmarks.json")).expect("docs/benchmarks.json");
    let old: Value = serde_json::from_str(&text).expect("JSON");
    let list = |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let cell = |value: &Value| {
        let resident_kib = value["resident_kib"].as_f64()?;
        let [written_bytes, processor_ns] = ["written_bytes", "processor_ns"].map(|name| value[name].as_f64());
        let [figures, ratios, series] = ["figures", "ratios", "series"].map(|name| list(&value[name]));
        Some(Cell { figures, ratios, series, resident_kib, written_bytes, processor_ns })
    };
    let row = |value: &Value| {
        let group = GROUPS.into_iter().find(|group| value["group"] == *group)?;
        let of = |tool: &Tool| value["tools"].as_array()?.iter().find(|cell| cell["tool"] == tool.name).and_then(cell);
        Some(Row { group, name: value["name"].as_str()?.to_owned(), cells: tools.iter().map(of).collect() })
    };
    let kept = old["rows"].as_array().into_iter().flatten().filter_map(row);
    let kept = kept.filter(|row| measured.iter().all(|other| other.name != row.name));
    let mut rows: Vec<Row> = kept.collect();
    rows.extend(measured);
    rows.sort_by_key(|row| names.iter().position(|name| *name == row.name));
    rows
}

/// Writes docs/benchmarks.md below its introduction, benchmarks.json and benchmarks.svg.
pub fn write(docs: &Path, rows: &[Row], tools: &[Tool], instructions: &str) {
    let mut text = introduction(tools) + &tables(rows, tools);
    text.push_str(&besides(rows, tools));
    text.push_str(instructions);
    let path = docs.join("benchmarks.md");
    let old = std::fs::read_to_string(&path).expect("docs/benchmarks.md");
    let (introduction, _) = old.split_once(BEGIN).expect("the mark below the introduction");
    std::fs::write(&path, format!("{introduction}{BEGIN}\n\n{text}")).expect("docs are writable");
    let json = serde_json::to_string_pretty(&as_json(rows, tools)).expect("JSON");
    std::fs::write(docs.join("benchmarks.json"), json + "\n").expect("docs are writable");
    chart(&docs.join("benchmarks.svg"), rows, tools);
}

fn as_json(rows: &[Row], tools: &[Tool]) -> Value {
    let cell = |(at, cell): (usize, &Option<Cell>)| {
        cell.as_ref().map(|cell| {
            json!({ "tool": tools[at].name, "figures": cell.figures, "ratios": cell.ratios, "series": cell.series,
                    "resident_kib": cell.resident_kib, "written_bytes": cell.written_bytes, "processor_ns": cell.processor_ns })
        })
    };
    let row = |row: &Row| {
        let cells: Vec<Value> = row.cells.iter().enumerate().filter_map(cell).collect();
        json!({ "group": row.group, "name": row.name, "tools": cells })
    };
    json!({ "machine": machine(), "rows": rows.iter().map(row).collect::<Vec<_>>() })
}

const COLORS: [RGBColor; 10] = [
    RGBColor(120, 120, 120),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(180, 180, 180),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(120, 94, 40),
    RGBColor(90, 50, 140),
];

/// Ratios to plain, one group of bars for each row, on a logarithmic axis.
fn chart(path: &Path, rows: &[Row], tools: &[Tool]) {
    let shown: Vec<&Row> = rows.iter().filter(|row| row.cells[0].is_some()).collect();
    let bar = 9;
    let band = bar * tools.len() as i32 + 8;
    let height = 90 + band * shown.len() as i32;
    let (left, right) = (250, 60);
    let area = SVGBackend::new(path, (900, height as u32)).into_drawing_area();
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        area.fill(&WHITE)?;
        let text = |size: i32| ("sans-serif", size).into_font().color(&RGBColor(40, 40, 40));
        let ratios = shown.iter().flat_map(|row| row.cells.iter().flatten().map(|cell| cell.ratio().0));
        let most = ratios.fold(2.0, f64::max);
        let x = |ratio: f64| {
            left + ((ratio.max(0.5) / 0.5).ln() / (most / 0.5).ln() * f64::from(900 - left - right)) as i32
        };
        area.draw(&Text::new("time, as a multiple of plain (logarithmic)", (left, 8), text(15)))?;
        for (at, tool) in tools.iter().enumerate() {
            let place = (left + (at as i32 % 5) * 125, 30 + (at as i32 / 5) * 16);
            let square = [place, (place.0 + 10, place.1 + 10)];
            area.draw(&Rectangle::new(square, COLORS[at % COLORS.len()].filled()))?;
            area.draw(&Text::new(tool.name, (place.0 + 14, place.1 - 1), text(12)))?;
        }
        for tick in [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0].into_iter().filter(|t| *t <= most) {
            let line = [(x(tick), 70), (x(tick), height - 18)];
            area.draw(&PathElement::new(line.to_vec(), RGBColor(210, 210, 210)))?;
            area.draw(&Text::new(format!("{tick}"), (x(tick) - 5, height - 15), text(12)))?;
        }
        for (index, row) in shown.iter().enumerate() {
            let top = 74 + band * index as i32;
            area.draw(&Text::new(row.name.clone(), (8, top + band / 2 - 12), text(12)))?;
            for (at, cell) in row.cells.iter().enumerate() {
                let Some(cell) = cell else { continue };
                let y = top + bar * at as i32;
                let rectangle = [(x(0.5), y), (x(cell.ratio().0), y + bar - 1)];
                area.draw(&Rectangle::new(rectangle, COLORS[at % COLORS.len()].filled()))?;
            }
        }
        area.present()?;
        Ok(())
    };
    draw().expect("the chart is drawn");
}

fn figure(value: f64) -> String {
    match value {
        v if v >= 1000.0 => format!("{v:.0}"),
        v if v >= 100.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("an unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}
