//! `leakscope doctor`: what it says of a machine, a command and a process is what `run` then does; its JSON is as
//! documented.

use crate::support::leakscope::Leakscope;
use crate::support::{Recording, Sandbox, machine, programs};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Asks with --json; the answer, and whether it agrees with the exit code.
fn ask(doctor: Leakscope) -> (Value, Recording) {
    let answer = doctor.finish();
    let json: Value = serde_json::from_slice(&answer.stdout).unwrap_or_else(|e| panic!("{e}: {}", answer.everything()));
    assert_eq!(json["records"], answer.code() == 0, "{}", answer.everything());
    expect_documented(&json);
    (json, answer)
}

fn of_command(command: &[&str]) -> Value {
    ask(Sandbox::new().command("doctor").arg("--json").arg("--").args(command)).0
}

fn of_process(sandbox: &Sandbox, pid: u32) -> Value {
    ask(sandbox.command("doctor").arg("--json").arg(pid.to_string())).0
}

/// The findings that are not ok: id and severity.
fn complaints(json: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let findings = json["findings"].as_array().expect("findings").iter();
    findings.filter(|f| f["severity"] != "ok").map(|f| (text(&f["id"]), text(&f["severity"]))).collect()
}

fn complaint(id: &str, severity: &str) -> Vec<(String, String)> {
    vec![(id.to_owned(), severity.to_owned())]
}

/// Keys are those of docs/json.md and no others, and every id stands there.
fn expect_documented(json: &Value) {
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(json["schema"], "leakscope.doctor/1");
    assert_eq!(keys(json), ["findings", "records", "schema", "subject"]);
    assert_eq!(keys(&json["subject"]), ["command", "kind", "pid"]);
    let documents = fs::read_to_string(machine::repository().join("docs/json.md")).expect("docs/json.md");
    let section = documents.split("## leakscope.doctor/1").nth(1).expect("its section").split("\n## ").next();
    for finding in json["findings"].as_array().expect("findings") {
        assert_eq!(keys(finding), ["advice", "id", "severity", "text"]);
        let is_ok = finding["severity"] == "ok";
        assert!(is_ok != finding["advice"].is_string() && (is_ok || finding["advice"] != ""), "what to do: {finding}");
        let id = format!("`{}`", finding["id"].as_str().expect("an id"));
        assert!(section.is_some_and(|section| section.contains(&id)), "{id} is not documented");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

#[test]
fn this_machine_records() {
    let (json, _) = ask(Sandbox::new().command("doctor").arg("--json"));
    assert_eq!((&json["subject"]["kind"], complaints(&json)), (&"machine".into(), Vec::new()));
    let answer = Sandbox::new().command("doctor").finish().expect_code(0);
    assert!(answer.out().contains("programs can be recorded here"), "{}", answer.out());
}

#[test]
fn each_obstacle_of_a_program_is_found() {
    assert_eq!(complaints(&of_command(&["sh", "-c", "exit"])), []);
    assert_eq!(complaints(&of_command(&["no-such-command"])), complaint("program", "fail"));
    assert_eq!(complaints(&of_command(&[text(&programs::c_static("family"))])), complaint("program", "fail"));
    assert_eq!(complaints(&of_command(&[text(&programs::c("exports"))])), complaint("own-malloc", "fail"));
    assert_eq!(complaints(&of_command(&[text(&programs::c("inside"))])), complaint("inner-allocator", "warn"));
}

/// The same file as root's own, and as one that gains privileges.
#[test]
fn a_program_that_gains_privileges_is_found() {
    let sandbox = Sandbox::new();
    let file = sandbox.path().join("gains");
    let script = "cp \"$0\" \"$1\" && chmod 4755 \"$1\" && exec setpriv --reuid 65534 --clear-groups \"$2\" doctor --json \"$1\"";
    let (program, leakscope) = (programs::c("family"), machine::leakscope());
    let line = [machine::as_root(), &["sh", "-c", script, text(&program), text(&file), text(&leakscope)]].concat();
    let answer = std::process::Command::new(line[0]).args(&line[1..]).env("LEAKSCOPE_SHIM_DIR", "/tmp").output();
    let answer = answer.expect("it starts");
    let json: Value = serde_json::from_slice(&answer.stdout).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
    assert_eq!(complaints(&json), complaint("program", "fail"));
    assert_eq!(answer.status.code(), Some(1));
}

#[test]
fn options_of_a_jvm_that_hide_something_are_found() {
    let java = machine::java(21);
    let with = |options: &[&str]| complaints(&of_command(&[&[text(&java)], options, &["-version"]].concat()));
    assert_eq!(with(&[]), []);
    assert_eq!(with(&["-XX:-UsePerfData"]), complaint("jvm-counters", "warn"));
    assert_eq!(with(&["-XX:+PerfDisableSharedMem"]), complaint("jvm-counters", "warn"));
    assert_eq!(with(&["-XX:+DisableAttachMechanism"]), complaint("jvm-attach", "warn"));
    let sandbox = Sandbox::new();
    let doctor = sandbox.command("doctor").env("JDK_JAVA_OPTIONS", "-XX:-UsePerfData").arg("--json").arg(&java);
    assert_eq!(complaints(&ask(doctor).0), complaint("jvm-counters", "warn"));
}

#[test]
fn what_is_preloaded_already_is_told() {
    let sandbox = Sandbox::new();
    let preloaded = |value: &str| ask(sandbox.command("doctor").env("LD_PRELOAD", value).arg("--json")).0;
    assert_eq!(complaints(&preloaded("/no/such/library.so")), complaint("ld-preload", "warn"));
    let kept = preloaded("libjemalloc.so.2");
    assert!(complaints(&kept).is_empty() && kept.to_string().contains("it is kept"), "{kept}");
}

#[test]
fn a_process_that_is_recorded_says_by_whom() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().target(programs::c("steps")).start();
    let pid = run.recorded_pid();
    assert_eq!(run.line(), "ready");
    let json = of_process(&sandbox, pid);
    assert_eq!((&json["subject"]["pid"], complaints(&json)), (&pid.into(), Vec::new()));
    assert!(json.to_string().contains(&format!("by process {}", run.pid())), "{json}");
    run.finish().expect_code(0);
    sandbox.command("doctor").arg(u32::MAX.to_string()).finish().expect_code(3);
}

#[test]
fn a_process_that_is_not_recorded_says_why() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.run().targets(&["env", "-i"]).target(programs::c("steps")).start();
    assert_eq!(run.line(), "ready");
    let said = run.hear("nothing is being recorded");
    let pid: u32 = said.rsplit("leakscope doctor ").next().and_then(|pid| pid.parse().ok()).expect("what to run next");
    let found: Vec<String> = complaints(&of_process(&sandbox, pid)).into_iter().map(|(id, _)| id).collect();
    assert_eq!(found, ["recording", "shim-loaded"]);
    run.finish().expect_code(0);
}

#[test]
fn a_process_whose_malloc_goes_elsewhere_is_found() {
    let sandbox = Sandbox::new();
    let script = "LD_PRELOAD=\"libjemalloc.so.2:$LD_PRELOAD\" exec \"$0\"";
    let run = sandbox.run().args(&["--only", "program"]).targets(&["sh", "-c", script]).target(programs::c("steps"));
    let mut run = run.start();
    let pid = run.recorded_pid();
    assert_eq!(run.line(), "ready");
    let json = of_process(&sandbox, pid);
    assert_eq!(complaints(&json), complaint("malloc", "fail"));
    assert!(json.to_string().contains("libjemalloc"), "{json}");
    run.finish().expect_code(0);
}
