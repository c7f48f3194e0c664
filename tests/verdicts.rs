//! What `leakscope report` says first, of recordings whose truth is known because they are invented.

use crate::support::Sandbox;
use crate::support::invented::Invented;
use crate::support::machine::repository;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// The words that a verdict may be.
const WORDS: [&str; 11] =
    ["LEAK", "GC-BOUND", "STAIRCASE", "THREADS", "ALLOCATOR", "JVM", "HEAP", "FILES", "BOUNDED", "STARTUP", "UNKNOWN"];

/// Without the many places that a report does not name.
fn small() -> Invented {
    Invented { snapshots: 30, others: 8, ..Invented::default() }
}

#[test]
fn the_first_line_is_the_verdict_with_its_line_of_code() {
    let sandbox = Sandbox::new();
    small().write(&sandbox.path().join("out"));
    let report = sandbox.report(&sandbox.path().join("out"));
    let verdicts = report["verdicts"].as_array().expect("verdicts");
    let of = |id: &str| verdicts.iter().find(|verdict| verdict["id"] == id).unwrap_or_else(|| panic!("{id}: {report}"));
    let (bound, leak) = (of("GC-BOUND"), of("LEAK"));
    assert!(
        bound["fix"]["function"] == "com.acme.log.ExceptionLogger.compress" && bound["fix"]["line"] == 88,
        "{bound}"
    );
    assert_eq!(
        (bound["fix"]["remedy"].as_str(), bound["fix"]["what"].as_str()),
        (Some("close"), Some("java.util.zip.GZIPOutputStream"))
    );
    assert!(leak["fix"]["function"] == "com.acme.paimon.Lookup.scan" && leak["fix"]["line"] == 132, "{leak}");
    assert_eq!(leak["fix"]["remedy"], "close-rocksdb-object");
    // 3.2 MiB a minute.
    let rate = leak["rate"]["estimate"].as_f64().expect("a rate") / 1048576.0;
    assert!((170.0..215.0).contains(&rate), "{rate} MiB/h");
    let text = sandbox.command("report").arg("out").finish().expect_code(0).out();
    let first = text.lines().next().expect("a line");
    assert!(first.starts_with(&format!("VERDICT  {}", verdicts[0]["id"].as_str().expect("an id"))), "{first}");
    for said in [
        "ExceptionLogger.compress:88",
        "Use try-with-resources around the GZIPOutputStream",
        "ExceptionLogger.java:88",
        "SUSPECTS",
    ] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
}

#[test]
fn a_single_profile_has_no_verdict_and_says_so() {
    let sandbox = Sandbox::new();
    let folder = Invented { snapshots: 6, ..Invented::default() }.write(&sandbox.path().join("out"));
    let alone = sandbox.path().join("alone.prof");
    fs::copy(folder.join("0005.prof"), &alone).expect("a copy");
    assert_eq!(sandbox.report(&alone)["verdicts"], Value::Null);
    let text = sandbox.command("report").arg(&alone).finish().expect_code(0).out();
    assert!(text.contains("one snapshot: nothing about growth") && !text.contains("VERDICT"), "{text}");
    // Three snapshots are a recording, but no trend.
    let report = sandbox.command("report").args(&["--json", "out@90s"]).finish().expect_code(0).out();
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["verdicts"][0]["id"], "UNKNOWN");
    assert_eq!(report["verdicts"][0]["reasons"][0]["id"], "too-few-snapshots");
}

/// Every key that is written is documented, and every one that is documented is written.
#[test]
fn the_json_is_the_documented_one() {
    let sandbox = Sandbox::new();
    small().write(&sandbox.path().join("out"));
    let report = sandbox.report(&sandbox.path().join("out"));
    let documented = fs::read_to_string(repository().join("docs/json.md")).expect("docs/json.md");
    let keys_after = |head: &str| -> BTreeSet<String> {
        let section = documented.split_once(head).unwrap_or_else(|| panic!("{head} in docs/json.md")).1;
        let rows =
            section.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with("| `"));
        let names = rows
            .flat_map(|row| row.split('|').nth(1).expect("a cell").split(',').map(str::to_owned).collect::<Vec<_>>());
        names.map(|name| name.trim().trim_matches('`').to_owned()).collect()
    };
    let keys_of =
        |value: &Value| -> BTreeSet<String> { value.as_object().expect("an object").keys().cloned().collect() };
    let all = |name: &str| report[name].as_array().unwrap_or_else(|| panic!("{name}")).clone();
    assert!(!all("verdicts").is_empty() && !all("suspects").is_empty());
    let sites: BTreeSet<String> =
        all("sites").iter().map(|site| site["id"].as_str().expect("an id").to_owned()).collect();
    for verdict in all("verdicts") {
        assert_eq!(keys_of(&verdict), keys_after("\nA verdict:\n"));
        assert!(WORDS.contains(&verdict["id"].as_str().expect("an id")), "{verdict}");
        assert!(["high", "medium", "low"].contains(&verdict["confidence"].as_str().expect("a word")), "{verdict}");
        let site = &verdict["site"];
        assert!(site.is_null() || sites.contains(site.as_str().expect("an id")), "{verdict}");
    }
    for suspect in all("suspects") {
        assert_eq!(keys_of(&suspect), keys_after("\nA suspect is a place"));
    }
    assert_eq!(keys_of(&report["forecast"]), keys_after("\nThe forecast:\n"));
}

#[test]
fn the_readers_own_packages_come_from_the_nearest_file() {
    let sandbox = Sandbox::new();
    small().write(&sandbox.path().join("out"));
    let file = sandbox.path().join("leakscope.toml");
    fs::write(&file, "[app]\npackages = [\"com.acme.shop.\"]\n").expect("a file");
    let line = |report: &Value| {
        let verdicts = report["verdicts"].as_array().expect("verdicts").clone();
        verdicts.iter().find(|verdict| verdict["id"] == "LEAK").expect("a leak")["fix"]["line"].clone()
    };
    assert_eq!(line(&sandbox.report(&sandbox.path().join("out"))), 142, "RequestHandler.handle, not Lookup.scan");
    let report = sandbox.command("report").args(&["--json", "--app", "com.acme.paimon", "out"]).finish().expect_code(0);
    assert_eq!(line(&serde_json::from_slice(&report.stdout).expect("JSON")), 132, "options win");
    let report = sandbox.command("report").args(&["--json", "out"]).env("LEAKSCOPE_APP", "com.acme.paimon").finish();
    assert_eq!(line(&serde_json::from_slice(&report.stdout).expect("JSON")), 132, "and so does the environment");
    fs::write(&file, "[app]\npackages = 7\n").expect("a file");
    let refused = sandbox.command("report").arg("out").finish().expect_code(2);
    let said = refused.err();
    assert!(said.contains("leakscope.toml, line 2: invalid type: integer"), "{said}");
    sandbox.command("doctor").arg("--help").finish().expect_code(0);
}
