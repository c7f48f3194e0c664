//! What people see, word for word: text, JSON, folded stacks and flame graphs of the sample against tests/golden/.
//!
//! A difference fails and says how to bless: `LEAKSCOPE_BLESS=1 cargo test -p leakscope-report --test golden`, then
//! read the diff before it is committed. A missing golden fails too.

mod sample;

use std::path::PathBuf;

use leakscope_analyze::{By, DiffOptions, Grouping, RssTable, diff, sites};
use leakscope_report::{
    Explained, JavaNames, Measure, TextOptions, flame, flame_growth, folded, folded_growth, json_diff, json_explain,
    json_report, text_diff, text_explain, text_report, text_rss,
};

fn check(name: &str, got: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("LEAKSCOPE_BLESS").is_some() {
        std::fs::write(&path, got).expect("the golden directory is writable");
        return;
    }
    let bless = "if it is meant to be so: LEAKSCOPE_BLESS=1 cargo test -p leakscope-report --test golden";
    let Ok(expected) = std::fs::read_to_string(&path) else { panic!("{name} is missing; {bless}") };
    if let Some((at, (old, new))) = expected.lines().zip(got.lines()).enumerate().find(|(_, (old, new))| old != new) {
        panic!("{name}, line {}:\n  golden {old}\n  now    {new}\n{bless}", at + 1);
    }
    assert_eq!(expected.len(), got.len(), "{name}: another length; {bless}");
}

fn options() -> TextOptions {
    let next = ["leakscope diff A B", "leakscope flame B -o live.svg"].map(str::to_owned).to_vec();
    TextOptions { stacks: 3, next, ..TextOptions::default() }
}

#[test]
fn report_text() {
    let (_, b) = sample::snapshots();
    let by_stack = sites(&b, &Grouping::default());
    check("report.txt", &text_report(&b, &by_stack, None, &options()));
    let ascii = TextOptions { ascii: true, sites: 2, stacks: 1, ..options() };
    let text = text_report(&b, &by_stack, None, &ascii);
    assert!(text.is_ascii());
    check("report-ascii.txt", &text);
    for by in [By::Java, By::Library, By::Kind] {
        let grouped = sites(&b, &Grouping { by, packages: Vec::new() });
        let short = TextOptions { stacks: 0, ..options() };
        check(&format!("report-by-{}.txt", by.as_str()), &text_report(&b, &grouped, None, &short));
    }
}

/// What is not recorded at all leads, in every form.
#[test]
fn report_and_diff_of_a_process_whose_malloc_is_not_recorded() {
    let (a, _) = sample::snapshots();
    let b = sample::bypassed();
    let short = TextOptions { stacks: 0, sites: 1, columns: Some(100), ..options() };
    let by_stack = sites(&b, &Grouping::default());
    check("report-bypassed.txt", &text_report(&b, &by_stack, None, &short));
    check("report-bypassed.json", &text(|out| json_report(&b, &by_stack, None, out)));
    check("diff-bypassed.txt", &text_diff(&a, &b, &diff(&a, &b, &DiffOptions::default()), &short));
}

#[test]
fn report_text_of_a_terminal() {
    let ended = sample::ended();
    let by_stack = sites(&ended, &Grouping::default());
    let notes = vec!["most live: 1.20 GiB after 4 s: leakscope report DIR@4s".to_owned()];
    for columns in [80, 120] {
        let narrow = TextOptions { columns: Some(columns), notes: notes.clone(), stacks: 5, ..options() };
        let text = text_report(&ended, &by_stack, None, &narrow);
        check(&format!("report-{columns}.txt"), &text);
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(longest <= columns, "{longest} columns");
        for said in [
            "ExceptionLogger.compress:88",
            "SIGKILL",
            "3 small sites of the JVM: --all",
            "Server::read():10",
            "Server::write():20",
        ] {
            assert!(text.contains(said) || text.contains(&said.replace("()", "")), "{said}");
        }
        assert!(!text.contains("SymbolTable"), "no details of what is folded");
    }
    let all = TextOptions { sites: usize::MAX, ..options() };
    check("report-all.txt", &text_report(&ended, &by_stack, None, &all));
}

#[test]
fn diff_text() {
    let (a, b) = sample::snapshots();
    let paired = diff(&a, &b, &DiffOptions::default());
    check("diff.txt", &text_diff(&a, &b, &paired, &options()));
    let all = TextOptions { sites: usize::MAX, color: true, ..options() };
    check("diff-all-color.txt", &text_diff(&a, &b, &paired, &all));
    let narrow = TextOptions { columns: Some(80), ..options() };
    let text = text_diff(&a, &b, &paired, &narrow);
    check("diff-80.txt", &text);
    assert!(text.lines().all(|line| line.chars().count() <= 80));
    check("diff-reversed.txt", &text_diff(&b, &a, &diff(&b, &a, &DiffOptions::default()), &options()));
    let mut other = b.clone();
    other.snapshot.session = [8; 16];
    other.target.pid = 77;
    check("diff-unpaired.txt", &text_diff(&a, &other, &diff(&a, &other, &DiffOptions::default()), &options()));
    check("diff-same.txt", &text_diff(&a, &a, &diff(&a, &a, &DiffOptions::default()), &options()));
}

fn pretty(text: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).expect("valid JSON");
    serde_json::to_string_pretty(&value).expect("prints") + "\n"
}

#[test]
fn json() {
    let (a, b) = sample::snapshots();
    check("report.json", &pretty(&text(|out| json_report(&b, &sites(&b, &Grouping::default()), None, out))));
    check("diff.json", &pretty(&text(|out| json_diff(&a, &b, &diff(&a, &b, &DiffOptions::default()), out))));
}

#[test]
fn folded_stacks() {
    let (a, b) = sample::snapshots();
    let sites = sites(&b, &Grouping::default());
    check("live.folded", &folded(&sites, Measure::Live, JavaNames::Dots));
    check("alloc.folded", &folded(&sites, Measure::Allocated, JavaNames::Dots));
    check("growth.folded", &folded_growth(&diff(&a, &b, &DiffOptions::default())));
}

/// The drawn part only: the script and style in front of it are inferno's.
fn frames_of(svg: &[u8]) -> String {
    let svg = String::from_utf8(svg.to_vec()).expect("UTF-8");
    let (head, frames) = svg.split_once("<svg id=\"frames\"").expect("inferno's container");
    let title = head.split("<text ").skip(1).collect::<Vec<_>>().join("\n<text ");
    (title + "\n" + frames).replace("><", ">\n<")
}

#[test]
fn flame_graphs() {
    let (a, b) = sample::snapshots();
    let sites = sites(&b, &Grouping::default());
    let draw = |measure| {
        let mut svg = Vec::new();
        flame(&b, &sites, measure, &mut svg).expect("draws");
        svg
    };
    assert_eq!(draw(Measure::Live), draw(Measure::Live), "the same profile gives the same bytes");
    check("live.svg.frames", &frames_of(&draw(Measure::Live)));
    check("alloc.svg.frames", &frames_of(&draw(Measure::Allocated)));
    let mut growth = Vec::new();
    flame_growth(&a, &b, &diff(&a, &b, &DiffOptions::default()), &mut growth).expect("draws");
    check("growth.svg.frames", &frames_of(&growth));
    let drawn = String::from_utf8(growth.clone()).expect("UTF-8");
    let frame = |name: &str| {
        let at = drawn.find(&format!("<title>{name}")).unwrap_or_else(|| panic!("{name} is not drawn"));
        let frame = &drawn[at..];
        frame[..frame.find("</g>").expect("its end")].to_owned()
    };
    // The reader's own frame, whose growth is all in what it calls, says it and is red; memory that went is blue.
    let own = frame("com.acme.log.ExceptionLogger.compress");
    assert!(own.contains("compress +572 MiB ±29 of 699 MiB") && own.contains("rgb(255,"), "{own}");
    let shrunk = frame("com.acme.Store$$Lambda.apply");
    assert!(shrunk.contains("-22.6 MiB") && shrunk.contains(",255)"), "{shrunk}");
    // What is gone is as wide as it was.
    let mut svg = Vec::new();
    let nothing = leakscope_profile::model::Profile { rows: Vec::new(), ..b.clone() };
    flame_growth(&a, &nothing, &diff(&a, &nothing, &DiffOptions::default()), &mut svg).expect("draws what is gone");
    assert!(String::from_utf8(svg).expect("UTF-8").contains("compress -128 MiB ±14 of 0 B (133,930,942 bytes"));
    // For the eye: LEAKSCOPE_SVG_DIR=DIR writes them out.
    if let Some(dir) = std::env::var_os("LEAKSCOPE_SVG_DIR") {
        std::fs::write(PathBuf::from(&dir).join("live.svg"), draw(Measure::Live)).expect("writable");
        std::fs::write(PathBuf::from(&dir).join("growth.svg"), growth).expect("writable");
    }
}

/// Where the resident memory is, of a recording and of a process that was looked at once.
#[test]
fn resident_memory() {
    let table = sample::rss();
    for (name, options) in [
        ("rss.txt", options()),
        ("rss-80.txt", TextOptions { columns: Some(80), ascii: true, ..options() }),
        ("rss-all-color.txt", TextOptions { color: true, sites: usize::MAX, ..options() }),
    ] {
        check(name, &text_rss(&table, &options));
    }
    let (a, _) = sample::snapshots();
    let mut once = RssTable { uptime_ms: 0, ..table.clone() };
    once.rows.iter_mut().for_each(|row| row.per_hour = None);
    once.total_per_hour = None;
    let explained = Explained {
        target: &a.target,
        time_unix_ns: a.snapshot.time_unix_ns,
        collector: Some("ZGC"),
        native_memory_tracking: Some("off"),
        table: &once,
    };
    check("explain.txt", &text_explain(&explained, &options()));
    check("explain.json", &pretty(&json_explain(&explained)));
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("a vector takes everything");
    String::from_utf8(out).expect("text")
}
