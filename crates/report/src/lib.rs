//! Words and pictures only: what `leakscope report`, `diff` and `flame` show. No arithmetic: every figure comes from
//! `leakscope-analyze`, and is only rounded here.
//!
//! | file | makes |
//! |---|---|
//! | `text_report.rs`, `text_diff.rs` | text for a terminal |
//! | `text_verdict.rs`, `verdict_words.rs` | the head of a report: verdicts, suspects, why and what to do |
//! | `live.rs` | pieces of a report for `leakscope top` |
//! | `json.rs`, `json_verdict.rs` | JSON, documented in docs/json.md |
//! | `export/` | formats of other tools: folded stacks, speedscope, DHAT, CSV, OpenMetrics |
//! | `gate/` | what `leakscope check` says: text, JSON, JUnit, SARIF, Markdown, annotations of GitHub |
//! | `flame.rs`, `growth_tree.rs` | flame graphs |
//! | `html/`, with `assets/` | the report as one page |
//! | `words.rs`, `path.rs`, `units.rs`, `table.rs`, `style.rs` | phrases, call paths, numbers, columns, colour |
//! | `printable.rs` | names that cannot steer a terminal |
//!
//! Two rules: an estimate is never printed without its error, and a change that may be chance is called "not
//! significant".
#![forbid(unsafe_code)]

mod changes;
mod export;
mod flame;
mod gate;
mod growth_tree;
mod html;
mod json;
mod json_probe;
mod json_rss;
mod json_verdict;
mod live;
mod loss_words;
mod path;
mod printable;
mod style;
mod table;
mod text_diff;
mod text_probe;
mod text_report;
mod text_rss;
mod text_verdict;
mod units;
mod verdict_words;
mod words;

pub use changes::cause;
pub use export::{JavaNames, Measure, csv, dhat, folded, folded_growth, openmetrics, speedscope};
pub use flame::{flame, flame_growth};
pub use gate::{
    GateView, gate_github, gate_json, gate_junit, gate_junit_error, gate_markdown, gate_sarif, gate_text, site_name,
};
pub use html::{HtmlReport, SnapshotFile, html_report};
pub use json::{json_diff, json_report};
pub use json_probe::json_probe;
pub use json_rss::json_explain;
pub use live::{Tone, live_course, live_details, live_outlook, live_rows, live_table, live_verdicts};
pub use style::TextOptions;
pub use text_diff::text_diff;
pub use text_probe::{Probed, text_probe};
pub use text_report::text_report;
pub use text_rss::{Explained, text_explain, text_rss};
pub use units::{bytes, duration, thousands};
