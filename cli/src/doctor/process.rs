//! A running process: whether it is recorded, by whom, and what keeps it from being.

use super::jvm::Jvm;
use super::{Finding, machine, program};
use crate::allocators;
use crate::locate::{collector_of, collectors, session_of};
use leakscope_collect::{Collector, JvmFacts, ProcessFacts, SharedSession};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Everything about a process that exists.
pub fn findings(pid: u32) -> Vec<Finding> {
    let mut findings = vec![access(pid)];
    let recording = recording(pid);
    let is_recorded = recording.severity < super::Severity::Fail;
    findings.push(recording);
    if is_recorded {
        findings.extend(bypass(pid));
    } else {
        findings.extend(obstacles(pid));
    }
    findings.push(sandbox(pid, is_recorded));
    findings.extend(jvm(pid));
    findings.push(machine::memory_limit(pid));
    findings
}

/// Why nothing is recorded of a process that was started to be recorded, as a phrase.
pub fn reason(pid: u32) -> String {
    let found = obstacles(pid).into_iter().find(|finding| finding.severity == super::Severity::Fail);
    found.map_or_else(|| format!("process {pid} has not answered"), |finding| finding.sentence)
}

fn access(pid: u32) -> Finding {
    match fs::read(format!("/proc/{pid}/maps")) {
        Ok(_) => Finding::ok("access", format!("process {pid} can be looked at through /proc")),
        Err(error) => Finding::fail(
            "access",
            format!("process {pid} cannot be looked at through /proc: {error}"),
            "Run this as the user of the process, or as root",
        ),
    }
}

fn recording(pid: u32) -> Finding {
    let collector = collector_of(pid).ok().flatten();
    let listens = collector.as_ref().is_some_and(|c| collectors().iter().any(|known| known.socket == c.socket));
    match session_of(pid) {
        Ok(_) if listens => {
            let by = collector.map_or(0, |collector| collector.pid);
            Finding::ok("recording", format!("process {pid} is being recorded, by process {by}"))
        }
        Ok(_) => Finding::fail(
            "recording",
            format!("process {pid} was recorded, and its leakscope is gone: no more snapshots are taken"),
            format!("leakscope recover {pid}"),
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::fail(
            "recording",
            format!("process {pid} is not being recorded"),
            "Start it as: leakscope run -- COMMAND. For now: leakscope explain PID",
        ),
        Err(error) => Finding::fail(
            "recording",
            format!("whether process {pid} is being recorded cannot be seen: {error}"),
            "Run this as the user of the process, or as root",
        ),
    }
}

/// Whether malloc of a recorded process goes elsewhere.
fn bypass(pid: u32) -> Vec<Finding> {
    let facts = ProcessFacts::gather(pid);
    let session = session_of(pid).ok().and_then(|session| SharedSession::open(session, None).ok());
    let bypassed = session.and_then(|session| Collector::new(session).bypassed_by(&facts));
    let process = format!("{} (pid {pid})", facts.name);
    let mut findings = Vec::new();
    findings.push(match bypassed {
        None => Finding::ok("malloc", "its calls of malloc are recorded"),
        Some(file) => Finding::fail(
            "malloc",
            allocators::bypass_reason(&file, &facts.exe),
            allocators::bypass_advice(&file, &facts.exe),
        ),
    });
    let inside = allocators::of_process(&facts);
    if !inside.is_empty() {
        let advice = "Use a build of it with the system's malloc";
        findings.push(Finding::warn("inner-allocator", allocators::inside(&process, &inside), advice));
    }
    findings
}

/// What keeps a process from being recorded, as far as it can be seen from outside.
fn obstacles(pid: u32) -> Vec<Finding> {
    let executable = PathBuf::from(format!("/proc/{pid}/exe"));
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let shown = fs::read_link(&executable).unwrap_or_default();
    let mut findings = Vec::new();
    if let Some(mut found) = program::inspect(&executable) {
        found.path = shown;
        findings.extend(found.findings(&root));
    }
    if is_secure(pid) == Some(true) {
        findings.push(Finding::fail(
            "secure-execution",
            "it gained privileges when it was executed: the loader ignored LD_PRELOAD",
            "Run it as the user that it becomes, without its privileges, or as root",
        ));
    }
    findings.push(loaded(pid));
    if let Some(namespace) = network(pid) {
        findings.push(namespace);
    }
    findings
}

/// Whether the shim came into the process, and what it was told.
fn loaded(pid: u32) -> Finding {
    let maps = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    let has_shim = String::from_utf8_lossy(&maps).lines().any(|line| line.contains("libleakscope"));
    let has_collector = matches!(collector_of(pid), Ok(Some(_)));
    match (has_shim, has_collector) {
        (true, true) => Finding::fail(
            "shim-loaded",
            format!(
                "the shim is loaded into process {pid}, but it could not reach leakscope (another network namespace, or a sandbox?)"
            ),
            "Run leakscope in the same network namespace, and let the sandbox allow Unix sockets and memfd_create",
        ),
        (true, false) => Finding::fail(
            "shim-loaded",
            format!(
                "the shim is loaded into process {pid}, but the variable that names leakscope's socket was removed"
            ),
            "Keep LEAKSCOPE_SESSION in the environment of the processes that are to be recorded",
        ),
        (false, true) => Finding::fail(
            "shim-loaded",
            format!(
                "the shim did not load into process {pid} (was LD_PRELOAD removed, or is it a program without a dynamic loader?)"
            ),
            "Keep LD_PRELOAD in the environment, and the library's folder visible to the process",
        ),
        (false, false) => Finding::fail(
            "shim-loaded",
            format!(
                "the shim did not load into process {pid}: LD_PRELOAD was removed from its environment, or it was not started under leakscope run"
            ),
            "Start it as: leakscope run -- COMMAND",
        ),
    }
}

/// Whether the process is in another network namespace, where abstract sockets of this one do not exist.
fn network(pid: u32) -> Option<Finding> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let (own, other) = (namespace("self")?, namespace(&pid.to_string())?);
    (own != other).then(|| {
        Finding::fail(
            "network-namespace",
            "it is in another network namespace, from which leakscope's socket cannot be reached",
            "Run leakscope inside of that namespace (in the same container)",
        )
    })
}

/// AT_SECURE of the auxiliary vector.
fn is_secure(pid: u32) -> Option<bool> {
    const AT_SECURE: u64 = 23;
    let vector = fs::read(format!("/proc/{pid}/auxv")).ok()?;
    let words: Vec<u64> =
        vector.chunks_exact(8).filter_map(|word| word.try_into().ok()).map(u64::from_le_bytes).collect();
    words.chunks_exact(2).find(|pair| pair[0] == AT_SECURE).map(|pair| pair[1] != 0)
}

fn sandbox(pid: u32, is_recorded: bool) -> Finding {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(str::trim).unwrap_or_default();
    match (mode, is_recorded) {
        ("2", true) => Finding::ok("seccomp", "it has a seccomp filter, which lets it be recorded"),
        ("2", false) => Finding::warn(
            "seccomp",
            "it has a seccomp filter, which may refuse what a recording needs at its start",
            "Allow socket, connect, sendmsg and memfd_create (docker's default does); docs/limits.md has the whole list",
        ),
        ("1", _) => Finding::warn("seccomp", "it is in strict seccomp mode", "Nothing can be recorded from then on"),
        _ => Finding::ok("seccomp", "it has no seccomp filter"),
    }
}

fn jvm(pid: u32) -> Vec<Finding> {
    let Some(facts) = JvmFacts::of(pid) else { return Vec::new() };
    let text = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let strings = |bytes: &[u8]| -> Vec<String> {
        bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    };
    let environment = strings(&text("environ"));
    let variable = |name: &str| {
        let found = environment.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned)
    };
    let maps = String::from_utf8_lossy(&text("maps")).into_owned();
    let library =
        maps.lines().find_map(|line| line.find('/').map(|at| &line[at..]).filter(|path| path.ends_with("/libjvm.so")));
    let root = format!("/proc/{pid}/root");
    let home = library.and_then(|library| Jvm::home_of(&Path::new(&root).join(library.trim_start_matches('/'))));
    let mut findings = Jvm::new(home, &strings(&text("cmdline")), variable).findings();
    // What the JVM itself says is more than what its command line says: options come from files as well.
    if facts.refuses_attach == Some(true) && findings.iter().all(|finding| finding.id != "jvm-attach") {
        findings.push(Finding::warn(
            "jvm-attach",
            "it refuses to be attached to, which hides its native memory tracking",
            "Leave -XX:+DisableAttachMechanism out, or do without the JVM's own split of its memory",
        ));
    }
    findings
}
