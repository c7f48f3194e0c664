//! `report --html` in real Chromium: what a reader sees, what happens when they click, and that nothing else happens.

use crate::support::invented::Invented;
use crate::support::{Sandbox, machine, programs};
use leakscope_analyze::{DiffOptions, ERROR_RATE, Estimate, Missable, Selection, Sums, diff, select};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The most that a page may take.
const MOST_BYTES: u64 = 3 << 20;

/// A name that would end the data, the script and the page, if it could.
const HOSTILE: &str = "evil</script><img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>.run";

fn page(sandbox: &Sandbox, recording: &Path) -> PathBuf {
    let page = sandbox.path().join("report.html");
    let report =
        sandbox.command("report").arg(recording).arg("--no-debug-info").arg("--html").arg(&page).arg("--force");
    report.finish().expect_code(0);
    let bytes = fs::metadata(&page).expect("a page").len();
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
    page
}

fn node(script: &Path, arguments: &[&str]) -> Value {
    machine::need("node");
    let output = Command::new("node").arg(script).args(arguments).env("NODE_PATH", machine::npm()).output();
    let output = output.expect("node starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What a reader finds on a page, in a window so wide.
fn used(page: &Path, width: &str) -> Value {
    machine::need("chromium");
    let script = machine::repository().join("tests/js/page.cjs");
    let found = node(&script, &["/usr/bin/chromium", page.to_str().expect("text"), width]);
    assert_eq!(found["errors"], json!([]), "the console");
    assert_eq!(found["requests"], json!([]), "the network");
    let inert = &found["inert"];
    for (key, expected) in [("hacked", json!(true)), ("images", json!(0)), ("scripts", json!(2)), ("frames", json!(0))]
    {
        assert_eq!(inert[key], expected, "{key}: {inert}");
    }
    assert_eq!((&inert["listeners"], &inert["policy"], &inert["policyHolds"]), (&json!(0), &json!([]), &json!(true)));
    for state in ["first", "dark", "system"] {
        let state = &found[state];
        assert_eq!(
            (&state["empty"], &state["overlaps"]),
            (&json!([]), &json!([])),
            "empty panels, texts on each other"
        );
        let widest = width.parse::<u64>().expect("a number");
        assert!(
            state["wide"].as_u64().expect("a width") <= widest,
            "the page is wider than the window: {}",
            state["wide"]
        );
    }
    assert_eq!(
        (&found["first"]["theme"], &found["dark"]["theme"], &found["system"]["theme"]),
        (&json!("light"), &json!("dark"), &json!("dark"))
    );
    assert_ne!(found["first"]["background"], found["dark"]["background"]);
    assert_eq!(found["system"]["background"], found["dark"]["background"]);
    assert!(found["inked"].as_u64() > Some(5000) && found["inkedDark"].as_u64() > Some(5000), "a picture");
    found
}

fn text<'v>(value: &'v Value, keys: &[&str]) -> &'v str {
    let found = keys.iter().fold(value, |value, key| &value[*key]);
    found.as_str().unwrap_or_else(|| panic!("no text at {keys:?}: {found}"))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|one| one.as_str().expect("text")).collect()
}

#[test]
fn a_reader_clicks_through_a_recording() {
    let sandbox = Sandbox::new();
    let folder = Invented { snapshots: 21, others: 40, name: Some(HOSTILE.to_owned()), ..Invented::default() }
        .write(sandbox.path());
    let page = page(&sandbox, sandbox.path());
    let found = used(&page, "1400");
    let first = &found["first"];
    assert!(text(first, &["title"]).contains("java (pid 41)"));
    let said = sandbox.command("report").arg(sandbox.path()).arg("--no-debug-info").finish().expect_code(0).out();
    let verdict = said.lines().next().expect("a line").trim_start_matches("VERDICT").trim();
    let (word, sentence) = verdict.split_once("  ").expect("a word and a sentence");
    let sentence = sentence.split(" (confidence").next().expect("a sentence");
    assert!(
        text(first, &["verdict"]).contains(word) && text(first, &["verdict"]).contains(sentence),
        "{verdict}: {first}"
    );
    assert!(texts(&first["tiles"]).iter().any(|tile| tile.contains("of 4.00 GiB allowed")), "{}", first["tiles"]);
    assert!(texts(&first["rss"]).iter().any(|row| row.contains("malloc, live")), "{}", first["rss"]);
    assert!(
        texts(&first["missing"]).iter().any(|line| line.contains("miss their outermost callers")),
        "{}",
        first["missing"]
    );
    assert!(text(first, &["about"]).contains("one sample per 512 KiB"));
    assert!(text(first, &["keys"]).contains("full collection"), "{}", first["keys"]);
    assert_eq!(first["snapshots"], json!(21));

    let (second, again) = (&found["second"], &found["again"]);
    assert_ne!(second["stack"], again["stack"], "a click shows another stack");
    assert_eq!((second["selected"].as_array().map(Vec::len), &second["selected"][0]), (Some(1), &first["rows"][1]));
    assert_eq!(again["selected"][0], first["rows"][0], "the keyboard as well");
    assert!(texts(&again["frames"]).len() > 2, "{}", again["frames"]);

    assert!(text(&found, &["search"]).contains("of the width"), "{}", found["search"]);
    assert!(found["marked"].as_u64() > Some(50), "marks in the picture: {}", found["marked"]);
    assert!(found["unmarked"].as_u64() < found["marked"].as_u64(), "and none without a search");
    for view in ["live", "growth", "old", "allocated"] {
        assert!(text(&found, &["views", view]).contains("in all"), "{view}: {}", found["views"]);
    }
    assert!(found["inverted"].as_u64() > Some(5000));
    assert!(!text(&found, &["spoken"]).is_empty(), "the chosen frame is read out");
    assert!(found["treeTable"].as_u64() > Some(20) && found["chartTable"].as_u64() > Some(20));

    let dragged = &found["draggedTo"];
    assert!(dragged[0].as_u64() > Some(0) && dragged[1].as_u64() < Some(20), "{dragged}");
    assert_ne!(found["dragged"]["range"], found["whole"]["range"], "the figures follow the range");
    assert_ne!(found["dragged"]["rows"], found["whole"]["rows"]);
    growth_is_that_of_diff(&folder, &found["ranges"]);
    the_chart_is_drawn_as_asked(&found["looks"]);
    files_hold_what_is_shown(&found["files"]);

    let rows = texts(&first["rows"]).join("\n");
    assert!(rows.contains("hacked=1</script>.run:7"), "the hostile name is shown as text: {rows}");
    assert!(texts(&found["treeNames"]).contains(&HOSTILE), "{}", found["treeNames"]);
    let narrow = used(&page, "420");
    assert_eq!(narrow["first"]["rows"].as_array().map(Vec::len), first["rows"].as_array().map(Vec::len));
}

/// Six buttons in three groups: what does not go together is taken back.
fn the_chart_is_drawn_as_asked(looks: &Value) {
    let looks = looks.as_array().expect("looks");
    let pressed: Vec<(&str, &str)> =
        looks.iter().map(|look| (text(look, &["name"]), text(look, &["pressed"]))).collect();
    let expected = [
        ("log", "lines log absolute"),
        ("linear", "lines linear absolute"),
        ("delta", "lines linear delta"),
        ("log", "lines log absolute"),
        ("stacked", "stacked linear absolute"),
        ("delta", "lines linear delta"),
        ("absolute", "lines linear absolute"),
        ("stacked", "stacked linear absolute"),
    ];
    assert_eq!(pressed, expected);
    assert!(looks.iter().all(|look| look["inked"].as_u64() > Some(5000)), "a picture each: {looks:?}");
    let legend = |at: usize| text(&looks[at], &["legend"]);
    assert!(legend(2).contains('+') && !legend(1).contains('+'), "changes have signs: {} {}", legend(2), legend(1));
    assert_ne!(looks[0]["inked"], looks[1]["inked"], "a logarithm looks different");
}

fn files_hold_what_is_shown(files: &Value) {
    let (csv, folded) = (text(files, &["csv", "text"]), text(files, &["folded", "text"]));
    assert!(text(files, &["csv", "name"]).starts_with("leakscope-java-pid-41"), "{}", files["csv"]["name"]);
    assert!(csv.starts_with("id,kind,own_frame,live_bytes,live_low,live_high,growth_bytes,"), "{csv}");
    assert!(csv.lines().count() > 40 && csv.contains("ExceptionLogger.compress:88"), "{csv}");
    assert!(text(files, &["folded", "name"]).ends_with(".folded"));
    let widths = folded.lines().map(|line| line.rsplit_once(' ').expect("a width").1.parse::<u64>().expect("a number"));
    assert!(widths.sum::<u64>() > 100 << 20, "{folded}");
    assert!(folded.contains("com.acme.shop.RequestHandler.handle;com.acme.log.ExceptionLogger.compress;"), "{folded}");
}

/// What the page's script says of a range, against the analysis.
fn growth_is_that_of_diff(folder: &Path, ranges: &Value) {
    let profile = |at: &Value| {
        let path = folder.join(format!("{:04}.prof", at.as_u64().expect("an index")));
        let mut profile = leakscope_profile::load(&path).expect("a profile");
        select(&mut profile, Selection::default());
        profile
    };
    let ranges = ranges.as_array().expect("ranges");
    assert_eq!(ranges.len(), 3);
    for range in ranges {
        let expected = diff(&profile(&range[0]), &profile(&range[1]), &DiffOptions::default()).growth_bytes;
        let shown = range[2].as_str().expect("text");
        let amount = parse_bytes(shown.split([' ']).take(2).collect::<Vec<_>>().join(" ").as_str());
        // Three digits are shown.
        let slack = 0.006 * expected.estimate.abs() + 1024.0;
        assert!((amount - expected.estimate).abs() <= slack, "{shown} for {expected:?}");
        let error = shown.split('±').nth(1).expect("an error");
        let unit = if error.contains(' ') {
            error.to_owned()
        } else {
            format!("{error} {}", shown.split(' ').nth(1).expect("a unit"))
        };
        let slack = 0.06 * expected.half_width() + 1024.0 * 1024.0 * 0.006;
        assert!((parse_bytes(&unit) - expected.half_width()).abs() <= slack, "{shown} for {expected:?}");
    }
}

/// `+1.25 GiB` in bytes.
fn parse_bytes(text: &str) -> f64 {
    let (number, unit) = text.split_once(' ').unwrap_or_else(|| panic!("no unit in '{text}'"));
    let exponent = ["B", "KiB", "MiB", "GiB", "TiB"].iter().position(|known| *known == unit).expect("a unit");
    number.parse::<f64>().expect("a number") * 1024f64.powi(exponent as i32)
}

/// The script's interval of a sum against that of the analysis.
#[test]
fn the_intervals_of_the_page_are_those_of_the_analysis() {
    let sandbox = Sandbox::new();
    let script = sandbox.path().join("intervals.cjs");
    let statistics = machine::repository().join("crates/report/assets/script/statistics.js");
    let text = fs::read_to_string(statistics).expect("the script");
    let ask = "const [cases] = process.argv.slice(2).map(JSON.parse);\n\
               console.log(JSON.stringify(cases.map(([t, v, w]) => interval(t, v, w))));\n";
    fs::write(&script, text + ask).expect("to write");
    let mut cases = Vec::new();
    for samples in [0u64, 1, 2, 3, 7, 20, 150, 4000, 1_000_000] {
        for size in [64.0, 5000.0, 300_000.0, 4e6] {
            let r = 524_288.0;
            let p: f64 = -f64::exp_m1(-size / r);
            let (n, missable) = (samples as f64, if samples % 2 == 0 { r } else { 0.0 });
            cases.push([n * size / p, n * size * size * (1.0 - p) / (p * p), missable]);
        }
    }
    let answers = node(&script, &[&json!(cases).to_string()]);
    for (case, answer) in cases.iter().zip(answers.as_array().expect("answers")) {
        let [bytes, bytes_variance, missable] = *case;
        let missable = if missable > 0.0 { Missable::unseen(missable as u64) } else { Missable::default() };
        let expected: Estimate = Sums { bytes, bytes_variance, missable, ..Sums::default() }.bytes_estimate(ERROR_RATE);
        for (at, expected) in [expected.estimate, expected.low, expected.high].into_iter().enumerate() {
            let got = answer[at].as_f64().expect("a number");
            assert!((got - expected).abs() <= 1e-5 * expected.abs() + 1e-6, "{case:?}: {answer} for {expected}");
        }
    }
}

#[test]
fn a_real_recording_and_one_profile_of_it_make_pages() {
    let sandbox = Sandbox::new();
    let classes = programs::example("deflater", "DeflaterLeak");
    let run = sandbox.run().args(&["--interval", "1s"]).target(machine::java(21)).targets(&programs::UNCOLLECTED);
    let recording = run.target("-cp").target(classes).targets(&["DeflaterLeak", "4", "100"]).finish().expect_code(0);
    let found = used(&page(&sandbox, recording.directory()), "1400");
    let rows = texts(&found["first"]["rows"]).join("\n");
    assert!(rows.contains("DeflaterLeak$ExceptionLogger.compress"), "{rows}");
    let many = recording.profiles().len() as u64;
    assert!(many > 2 && found["first"]["snapshots"] == json!(many), "{many} snapshots: {}", found["first"]);

    let one = recording.last_file();
    let found = used(&page(&sandbox, &one), "1400");
    let first = &found["first"];
    assert!(
        text(first, &["verdict"]).contains("live") && text(first, &["verdict"]).contains("one snapshot"),
        "{first}"
    );
    assert!(text(first, &["own"]).contains("DeflaterLeak$ExceptionLogger.compress"), "{first}");
    assert!(found["views"]["growth"].is_null() && found["ranges"].is_null(), "one snapshot has no growth");
}

#[test]
fn a_page_is_not_overwritten_unasked() {
    let sandbox = Sandbox::new();
    Invented { snapshots: 2, others: 2, ..Invented::default() }.write(sandbox.path());
    let path = sandbox.path().join("report.html");
    fs::write(&path, "mine").expect("to write");
    let report = || sandbox.command("report").arg(sandbox.path()).arg("--no-debug-info").arg("--html").arg(&path);
    let refused = report().finish().expect_code(4);
    assert!(refused.err().contains("--force"), "{}", refused.everything());
    assert_eq!(fs::read_to_string(&path).expect("text"), "mine");
    report().arg("--force").finish().expect_code(0);
    assert!(fs::read_to_string(&path).expect("text").starts_with("<!doctype html>"));
    sandbox.command("report").arg(sandbox.path()).args(&["--html", "x", "--json"]).finish().expect_code(2);
}
