//! `export`, read by the tools that it is for: speedscope's own schema, valgrind's own viewer of DHAT files. And the
//! completions in a real bash, the manual's pages.

use crate::support::json::{Estimate, sites};
use crate::support::{Recording, Sandbox, machine, programs};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn exported(sandbox: &Sandbox, recording: &Path, format: &str) -> PathBuf {
    let file = sandbox.path().join(format!("out.{format}"));
    let export = sandbox.command("export").arg(recording).args(&["--format", format, "-o"]).arg(&file);
    let answer = export.finish().expect_code(0);
    assert!(answer.err().contains("written"), "{}", answer.everything());
    file
}

/// A program of a few sites, recorded exactly.
fn recorded(sandbox: &Sandbox) -> Recording {
    sandbox.run().args(&["--sample", "1"]).target(programs::c("sizes")).target("1").finish().expect_code(0)
}

/// Runs a script of tests/js; its stdout.
fn node(script: &str, arguments: &[&Path]) -> String {
    machine::need("node");
    let script = machine::repository().join("tests/js").join(script);
    let output = Command::new("node")
        .arg(script)
        .args(arguments)
        .env("NODE_PATH", machine::npm())
        .output()
        .expect("node starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn speedscope_and_dhat_files_satisfy_their_tools() {
    let sandbox = Sandbox::new();
    let recording = recorded(&sandbox);
    let report = sandbox.report_of(&recording);
    let live = Estimate::of(&report["total"]["live_bytes"]).estimate;

    let schema = machine::npm().join("speedscope/dist/release/file-format-schema.json");
    let file = exported(&sandbox, recording.directory(), "speedscope");
    assert_eq!(node("schema.cjs", &[&schema, &file]).trim(), "valid");
    let text: Value = serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
    let profile = &text["profiles"][text["activeProfileIndex"].as_u64().expect("an index") as usize];
    assert_eq!(profile["endValue"].as_f64(), Some(live), "{}", profile["name"]);

    let viewer = ["/usr/libexec/valgrind/dh_view.js", "/usr/lib/valgrind/dh_view.js"].map(PathBuf::from);
    let viewer = viewer.iter().find(|path| path.exists()).expect("valgrind's dh_view.js: run scripts/setup test");
    let file = exported(&sandbox, recording.directory(), "dhat");
    let tree: Value = serde_json::from_str(&node("dhat.cjs", &[viewer, &file])).expect("JSON");
    let allocated = Estimate::of(&report["total"]["allocated_bytes"]).estimate;
    let objects = Estimate::of(&report["total"]["live_objects"]).estimate;
    for (key, expected) in [("end", live), ("endBlocks", objects), ("total", allocated)] {
        assert_eq!(tree[key].as_f64(), Some(expected), "{key}: {tree}");
    }
    assert!(tree["frames"].to_string().contains("leak_4096 (sizes.c:"), "{tree}");
}

#[test]
fn tables_and_metrics_say_what_the_report_says() {
    let sandbox = Sandbox::new();
    let recording = recorded(&sandbox);
    let report = sandbox.report_of(&recording);
    let csv = fs::read_to_string(exported(&sandbox, recording.directory(), "csv")).expect("text");
    for site in sites(&report) {
        let (id, live) = (site["id"].as_str().expect("an id"), &site["live_bytes"]["estimate"]);
        let start = format!("{id},{},{live},{live},{live},", site["kind"].as_str().expect("a kind"));
        assert!(csv.lines().any(|line| line.starts_with(&start)), "no {start} in\n{csv}");
    }
    let metrics = fs::read_to_string(exported(&sandbox, recording.directory(), "openmetrics")).expect("text");
    let live = format!("leakscope_process_live_bytes {}\n", report["total"]["live_bytes"]["estimate"]);
    assert!(metrics.contains(&live) && metrics.ends_with("# EOF\n"), "{metrics}");
    let export = || sandbox.command("export").arg(recording.directory()).args(&["--format", "folded"]);
    let folded = export().finish().expect_code(0).out();
    assert!(folded.lines().any(|line| line.ends_with("leak_65536 65536") || line.contains(";leak_65536 ")), "{folded}");
    let allocated = export().args(&["--measure", "allocated"]).finish().expect_code(0).out();
    assert_ne!(folded, allocated);
    let refused = export().arg("-o").arg(sandbox.path().join("out.csv")).finish().expect_code(4);
    assert!(refused.err().contains("--force"), "{}", refused.everything());
    export().args(&["--force", "-o"]).arg(sandbox.path().join("out.csv")).finish().expect_code(0);
    assert_eq!(fs::read_to_string(sandbox.path().join("out.csv")).expect("text"), folded);
}

#[test]
fn completions_are_made_and_bash_completes() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sandbox.command("completions").arg(shell).finish().expect_code(0).out();
        assert!(script.contains("java-names") && script.contains("snapshot"), "{shell}");
        assert!(!script.contains("demo-target") && !script.contains("seed"), "{shell} offers what is hidden");
        fs::write(sandbox.path().join(shell), script).expect("to write");
    }
    let complete = "source ./bash; COMP_WORDS=(leakscope expo); COMP_CWORD=1; _leakscope leakscope expo leakscope; \
                    echo \"${COMPREPLY[@]}\"; COMP_WORDS=(leakscope export --format d); COMP_CWORD=3; \
                    _leakscope leakscope d --format; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["--norc", "-euc", complete]).current_dir(sandbox.path()).output();
    let output = output.expect("bash starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "export\ndhat\n");
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let sandbox = Sandbox::new();
    let pages = sandbox.path().join("man1");
    sandbox.command("man").arg("-o").arg(&pages).finish().expect_code(0);
    let help = sandbox.command("--help").finish().expect_code(0).out();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 9, "{help}");
    let mut expected: Vec<String> = commands.iter().map(|command| format!("leakscope-{command}.1")).collect();
    expected.push("leakscope.1".to_owned());
    expected.extend(["save", "show", "update"].map(|part| format!("leakscope-baseline-{part}.1")));
    expected.sort();
    let mut found: Vec<String> =
        fs::read_dir(&pages).expect("pages").flatten().map(|e| e.file_name().into_string().expect("text")).collect();
    found.sort();
    assert_eq!(found, expected);
    let page = fs::read_to_string(pages.join("leakscope-export.1")).expect("a page");
    assert!(page.contains(".TH leakscope-export 1") && page.contains("\\-\\-java\\-names"), "{page}");
    let first = sandbox.command("man").finish().expect_code(0).out();
    assert_eq!(first, fs::read_to_string(pages.join("leakscope.1")).expect("a page"));
}
