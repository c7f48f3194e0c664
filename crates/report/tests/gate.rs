//! What `leakscope check` says: word for word (tests/golden/gate-*), and held against the published schemas of SARIF and
//! of JUnit's XML, with names that mean harm.
//!
//! Bless as in golden.rs, with `--test gate`.

mod sample;

use std::path::{Path, PathBuf};
use std::process::Command;

use leakscope_analyze::gate::{Finding, Gate, GateOptions, Harm, Outcome, Per, Reason};
use leakscope_analyze::suppression::Ruling;
use leakscope_report::{
    GateView, TextOptions, gate_github, gate_json, gate_junit, gate_junit_error, gate_markdown, gate_sarif, gate_text,
};
use sample::rounds;
use serde_json::Value;

fn check(name: &str, got: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("LEAKSCOPE_BLESS").is_some() {
        std::fs::write(&path, got).expect("the golden directory is writable");
        return;
    }
    let bless = "if it is meant to be so: LEAKSCOPE_BLESS=1 cargo test -p leakscope-report --test gate";
    let Ok(expected) = std::fs::read_to_string(&path) else { panic!("{name} is missing; {bless}") };
    if let Some((at, (old, new))) = expected.lines().zip(got.lines()).enumerate().find(|(_, (old, new))| old != new) {
        panic!("{name}, line {}:\n  golden {old}\n  now    {new}\n{bless}", at + 1);
    }
    assert_eq!(expected.len(), got.len(), "{name}: another length; {bless}");
}

fn view<'a>(gate: &'a Gate, options: &'a GateOptions) -> GateView<'a> {
    let source = &|file: &str| format!("src/main/java/{file}");
    GateView { gate, command: "./run-loop.sh", suppressions: &options.suppressions, source }
}

fn all() -> [(&'static str, Gate); 5] {
    [
        ("fail", rounds::failing()),
        ("pass", rounds::passing()),
        ("unclear", rounds::unclear()),
        ("short", rounds::short()),
        ("hostile", rounds::hostile()),
    ]
}

#[test]
fn outcomes_are_what_the_samples_are() {
    let outcomes = all().map(|(_, gate)| gate.outcome);
    let expected =
        [Outcome::Fail, Outcome::Pass, Outcome::Inconclusive, Outcome::Fail, Outcome::Fail].map(Outcome::as_str);
    assert_eq!(outcomes.map(Outcome::as_str), expected);
}

#[test]
fn text() {
    let options = rounds::options();
    for (name, gate) in all() {
        let text = TextOptions { next: vec!["leakscope report DIR".to_owned()], ..TextOptions::default() };
        check(&format!("gate-{name}.txt"), &gate_text(&view(&gate, &options), &text));
    }
    let gate = rounds::failing();
    let narrow = TextOptions { columns: Some(80), ..TextOptions::default() };
    let text = gate_text(&view(&gate, &options), &narrow);
    check("gate-80.txt", &text);
    let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    assert!(longest <= 80, "{longest} columns");
    let everything = TextOptions { color: true, sites: usize::MAX, ..TextOptions::default() };
    check("gate-all-color.txt", &gate_text(&view(&gate, &options), &everything));
    let ascii = TextOptions { ascii: true, ..TextOptions::default() };
    assert!(gate_text(&view(&gate, &options), &ascii).is_ascii());
}

#[test]
fn built_in_suppressions_are_told_from_the_readers() {
    let mut gate = rounds::passing();
    let lines = |gate: &Gate, options: &GateOptions| -> Vec<String> {
        let text = gate_text(&view(gate, options), &TextOptions::default());
        text.lines().filter(|line| line.contains("that changed under")).map(|line| line.trim().to_owned()).collect()
    };
    let own = rounds::options();
    assert_eq!(lines(&gate, &own), ["supp  1 site that changed under suppressions"]);
    let mut built_in = own.clone();
    built_in.suppressions[0].line = None;
    assert_eq!(lines(&gate, &built_in), ["supp  1 site that changed under built-in suppressions"]);
    let hidden =
        gate.findings.iter().find(|finding| finding.ruling == Ruling::Hidden(0)).expect("one is hidden").clone();
    gate.findings.extend([0, 1].map(|at| Finding { ruling: Ruling::Hidden(at), ..hidden.clone() }));
    let both =
        ["supp  1 site that changed under suppressions", "supp  2 sites that changed under built-in suppressions"];
    assert_eq!(lines(&gate, &built_in), both);
}

#[test]
fn forms_for_machines() {
    let options = rounds::options();
    for (name, gate) in all() {
        let view = view(&gate, &options);
        check(&format!("gate-{name}.json"), &gate_json(&view));
        check(&format!("gate-{name}.xml"), &gate_junit(&view));
        check(&format!("gate-{name}.sarif"), &gate_sarif(&view));
        check(&format!("gate-{name}.md"), &gate_markdown(&view));
        check(&format!("gate-{name}.github"), &gate_github(&view));
    }
}

/// What speaks of a gate in every form.
fn everything(gate: &Gate) -> String {
    let options = rounds::options();
    let view = view(gate, &options);
    let text = gate_text(&view, &TextOptions::default());
    [text, gate_junit(&view), gate_sarif(&view), gate_markdown(&view), gate_github(&view)].concat()
}

#[test]
fn only_losses_that_matter_are_named() {
    let losses = [("table_full", 12), ("missed_frees", 34), ("guard_skipped", 56), ("no_java_frames", 78)];
    let losses = losses.map(|(name, lost)| (name.to_owned(), lost)).into();
    let reasons = [Harm::Hides, Harm::Invents].map(Reason::Losses);
    let gate = Gate { losses, reasons: reasons.to_vec(), outcome: Outcome::Inconclusive, ..rounds::unclear() };
    let said = everything(&gate);
    assert!(said.contains("could hide a leak (12 sampled blocks did not fit the live table"), "{said}");
    assert!(said.contains("a growth may be none (34 frees bypassed the shim"), "{said}");
    assert!(!said.contains("leakscope's own work") && !said.contains("no Java frames"), "{said}");
}

#[test]
fn times_are_said_as_times() {
    for gate in [rounds::failing(), rounds::unclear(), rounds::short()] {
        let said = everything(&Gate { per: Per::Minute, iterations: 0.8, warmup: 1.0 / 6.0, ..gate });
        assert!(said.contains("1 round of 48 s after 10 s of warm-up"), "{said}");
        assert!(!said.contains("0 min") && !said.contains("iteration"), "{said}");
    }
}

#[test]
fn runs_against_a_baseline_have_no_iterations() {
    for gate in [rounds::failing(), rounds::unclear()] {
        let said = everything(&Gate { per: Per::Run, baseline_runs: Some(3), ..gate });
        assert!(said.contains("since the baseline"), "{said}");
        assert!(!said.contains("iteration") && !said.contains("warm-up"), "{said}");
    }
}

#[test]
fn at_most_three_annotations_and_none_of_a_pass() {
    let options = rounds::options();
    for (name, gate) in all() {
        let said = gate_github(&view(&gate, &options));
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.is_empty(), name == "pass", "{said}");
        assert!(lines.len() <= 3 && lines.iter().all(|line| line.starts_with("::")), "{said}");
    }
}

#[test]
fn nothing_that_is_printed_steers_a_terminal() {
    let (options, gate) = (rounds::options(), rounds::hostile());
    let view = view(&gate, &options);
    for said in [gate_text(&view, &TextOptions::default()), gate_markdown(&view), gate_github(&view), gate_junit(&view)]
    {
        assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said}");
    }
}

/// The repository's `target`, where scripts/setup puts what tests need.
fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

fn holds(command: &mut Command, file: &Path) {
    let output = command.arg(file).output().expect("it starts: run scripts/setup test");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {said}", file.display());
}

#[test]
fn sarif_and_junit_satisfy_their_schemas() {
    let modules = target().join("npm/node_modules");
    let sarif = modules.join("@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json");
    let junit = target().join("schemas/junit-10.xsd");
    for needed in [&sarif, &junit] {
        assert!(needed.exists(), "{} is missing: run scripts/setup test", needed.display());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/js/schema.cjs");
    let folder = target().join("tmp").join(format!("gate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let options = rounds::options();
    for (name, gate) in all() {
        let view = view(&gate, &options);
        let file = folder.join(format!("{name}.sarif"));
        std::fs::write(&file, gate_sarif(&view)).expect("a file");
        holds(Command::new("node").env("NODE_PATH", &modules).arg(&script).arg(&sarif), &file);
        let file = folder.join(format!("{name}.xml"));
        std::fs::write(&file, gate_junit(&view)).expect("a file");
        holds(Command::new("xmllint").args(["--noout", "--schema"]).arg(&junit), &file);
    }
    let file = folder.join("error.xml");
    std::fs::write(&file, gate_junit_error("./run <loop>.sh", "program failed: it exited 7,\nafter & before"))
        .expect("a file");
    holds(Command::new("xmllint").args(["--noout", "--schema"]).arg(&junit), &file);
    // The validators are not asleep.
    let wrong = folder.join("wrong.sarif");
    std::fs::write(&wrong, r#"{"version": "2.1.0", "runs": [{"results": []}]}"#).expect("a file");
    let output = Command::new("node").env("NODE_PATH", &modules).args([&script, &sarif, &wrong]).output();
    assert!(!output.expect("node starts").status.success());
    std::fs::remove_dir_all(&folder).expect("our own folder");
}

#[test]
fn json_says_what_the_gate_says() {
    let options = rounds::options();
    for (name, gate) in all() {
        let json: Value = serde_json::from_str(&gate_json(&view(&gate, &options))).expect("JSON");
        assert_eq!(json["schema"], "leakscope.check/1");
        assert_eq!(json["outcome"], gate.outcome.as_str(), "{name}");
        assert_eq!(json["sites"].as_array().map(Vec::len), Some(gate.findings.len()));
    }
}

/// Every key is in its section of docs/json.md.
#[test]
fn keys_are_documented() {
    let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let documents = std::fs::read_to_string(documents).expect("docs/json.md");
    let section = documents.split_once("## leakscope.check/1").expect("the section").1;
    let section = section.split_once("\n## ").expect("another section").0;
    let options = rounds::options();
    for (_, gate) in all() {
        let json: Value = serde_json::from_str(&gate_json(&view(&gate, &options))).expect("JSON");
        let mut keys = keys_of(&json);
        for part in ["sites", "suppressions", "reasons"] {
            keys.extend(json[part].as_array().expect("a list").iter().flat_map(keys_of));
        }
        keys.extend(keys_of(&json["total"]));
        for key in keys {
            assert!(section.contains(&format!("`{key}`")), "{key} is not in docs/json.md");
        }
        for reason in json["reasons"].as_array().expect("a list") {
            assert!(section.contains(reason["id"].as_str().expect("an id")), "{reason}");
        }
    }
}

fn keys_of(object: &Value) -> Vec<String> {
    object.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
}
