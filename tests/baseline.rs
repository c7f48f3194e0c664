//! `leakscope baseline` and `leakscope check --baseline`: what recorded runs have live, and what a later build has more.

use crate::support::{Recording, Sandbox, machine, programs};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Records tests/programs/looping.c, which loses so many blocks of 64 bytes.
fn record(sandbox: &Sandbox, program: &Path, folder: &str, blocks: &str) {
    let run = sandbox.command("run").args(&["--sample", "1", "-o", folder]);
    run.target(program).targets(&["leak", blocks]).finish().expect_code(0);
}

fn ran(sandbox: &Sandbox, command: &str, arguments: &[&str], code: i32) -> Recording {
    sandbox.command(command).args(arguments).finish().expect_code(code)
}

/// Runs a command and answers what it printed.
fn said(sandbox: &Sandbox, command: &str, arguments: &[&str], code: i32) -> String {
    let recording = ran(sandbox, command, arguments, code);
    format!("{}{}", recording.out(), recording.err())
}

#[test]
fn what_a_later_build_has_more_fails_and_is_named() {
    let sandbox = Sandbox::new();
    let looping = programs::c("looping");
    let runs = ["a", "b", "c"];
    runs.iter().for_each(|folder| record(&sandbox, &looping, folder, "100"));
    let save = [&["save", "base.json"], &runs[..]].concat();
    assert!(said(&sandbox, "baseline", &save, 0).contains("3 runs of program"));
    let text = fs::read_to_string(sandbox.path().join("base.json")).expect("a baseline");
    assert_eq!(text.lines().filter(|line| line.contains("keep_session")).count(), 1, "{text}");
    let again = said(&sandbox, "baseline", &save, 2);
    assert!(again.contains("base.json is there already"), "{again}");

    let same = said(&sandbox, "check", &["--baseline", "base.json", runs[1]], 0);
    assert!(same.contains("PASS: nothing has grown beyond its budget since the baseline"), "{same}");
    record(&sandbox, &looping, "grown", "5000");
    let told = said(&sandbox, "check", &["--baseline", "base.json", "grown"], 1);
    assert!(told.contains("FAIL") && told.contains("keep_session"), "{told}");
    let json = ran(&sandbox, "check", &["--json", "--baseline", "base.json", "grown"], 1).out();
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["outcome"], &json["baseline_runs"]), (&"fail".into(), &3.into()));
    assert_eq!(json["sites"][0]["growth"]["estimate"], 4900 * 64);
    said(&sandbox, "check", &["--baseline", "base.json", "--budget", "1m", "grown"], 0);

    // On purpose, then.
    let shown = said(&sandbox, "baseline", &["update", "base.json", "grown"], 0);
    assert!(shown.lines().any(|line| line.starts_with("grown") && line.contains("keep_session")), "{shown}");
    said(&sandbox, "check", &["--baseline", "base.json", "grown"], 0);
    let shown = said(&sandbox, "baseline", &["show", "base.json"], 0);
    assert!(shown.contains("1 run of program") && shown.contains("keep_session"), "{shown}");
}

#[test]
fn what_is_no_baseline_of_this_program_is_refused() {
    let sandbox = Sandbox::new();
    let (looping, other) = (programs::c("looping"), sandbox.path().join("other"));
    fs::copy(&looping, &other).expect("a program of another name");
    record(&sandbox, &looping, "run", "100");
    record(&sandbox, &other, "strange", "100");
    said(&sandbox, "baseline", &["save", "base.json", "run"], 0);
    let told = said(&sandbox, "check", &["--baseline", "base.json", "strange"], 2);
    assert!(told.contains("is a baseline of 'program', and this is a recording of 'other'"), "{told}");
    fs::write(sandbox.path().join("wrong.json"), "{}").expect("a file");
    for (file, profile, code, words) in [
        ("wrong.json", "run", 4, "no baseline of leakscope"),
        ("gone.json", "run", 4, "gone.json"),
        ("base.json", "gone.prof", 4, "gone.prof"),
        ("base.json", "wrong.json", 4, "wrong.json"),
    ] {
        let told = said(&sandbox, "check", &["--baseline", file, profile], code);
        assert!(told.contains(words), "{file} {profile}: {told}");
    }
    said(&sandbox, "check", &["--baseline", "base.json"], 2);
    said(&sandbox, "check", &["--baseline", "base.json", "--rounds", "3", "run"], 2);
    said(&sandbox, "check", &["--baseline", "base.json", "--budget", "1k/iter", "run"], 2);
}

/// Deflaters that nobody ends, made by a lambda on some threads; `above` is more code above it.
fn source(above: &str) -> String {
    format!(
        "import java.util.*;\nimport java.util.zip.Deflater;\npublic class Keeper {{\n  static final List<Deflater> KEPT \
         = Collections.synchronizedList(new ArrayList<>());\n  public static void main(String[] count) throws Exception {{\n\
         {above}    Helper.await();\n    int threads = Integer.parseInt(count[0]);\n    List<Thread> all = new ArrayList<>();\n    for (int i = 0; \
         i < threads; i++) {{\n      all.add(new Thread(() -> {{\n        for (int k = 0; k < 240 / threads; k++) \
         KEPT.add(new Deflater());\n      }}));\n    }}\n    for (Thread thread : all) thread.start();\n    for (Thread \
         thread : all) thread.join();\n  }}\n}}\n"
    )
}

/// The keys of the sites in which Keeper's lambda makes Deflaters, and their bytes.
fn kept(sandbox: &Sandbox, file: &str) -> Vec<(Value, Value)> {
    let text = fs::read_to_string(sandbox.path().join(file)).expect("a baseline");
    let baseline: Value = serde_json::from_str(&text).expect("JSON");
    let sites = baseline["sites"].as_array().expect("sites").iter();
    let own = sites.filter(|site| site["name"].as_str().is_some_and(|name| name.starts_with("Keeper.lambda")));
    own.map(|site| (site["key"].clone(), site["live_bytes"][0].clone())).collect()
}

/// A harmless refactoring, another patch of the JDK and other threads do not make another site.
#[test]
fn edits_patches_of_the_jdk_and_threads_keep_a_sites_key() {
    machine::need("javac");
    let sandbox = Sandbox::new();
    let above = "    Runnable hello = () -> System.out.println(\"hello\");\n\n    // A comment.\n    hello.run();\n    \
                 Comparator<String> order = (a, b) -> a.length() - b.length();\n    System.out.println(order.compare(\"a\", \
                 \"b\"));\n";
    let system = programs::java_home().join("bin/java");
    for (folder, above, java, threads) in [("before", "", machine::java(17), "2"), ("after", above, system, "8")] {
        let classes = sandbox.path().join(format!("classes-{folder}"));
        fs::create_dir(&classes).expect("a folder");
        fs::write(classes.join("Keeper.java"), source(above)).expect("a file");
        let path = format!("{}:{}", classes.display(), programs::java().display());
        let mut javac = Command::new("javac");
        let javac = javac.args(["-g", "-cp", &path, "-d"]).arg(&classes).arg(classes.join("Keeper.java"));
        assert!(javac.status().expect("javac starts").success());
        let run = sandbox.command("run").args(&["--sample", "1", "-o", folder]).target(java);
        run.targets(&["-Xint", "-cp", &path, "Keeper", threads]).finish().expect_code(0);
        ran(&sandbox, "baseline", &["save", &format!("{folder}.json"), folder], 0);
    }
    let (before, after) = (kept(&sandbox, "before.json"), kept(&sandbox, "after.json"));
    assert_eq!(before.len(), 1, "{before:?}");
    assert_eq!(before[0].0, after[0].0, "{before:?} {after:?}");
    assert_eq!(after.len(), 1, "{after:?}");
    let text = |folder: &str| fs::read_to_string(sandbox.path().join(format!("{folder}.json"))).expect("a baseline");
    assert!(text("before").contains("Keeper.lambda$main$0") && text("after").contains("Keeper.lambda$main$2"));
}
