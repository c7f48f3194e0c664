//! `leakscope doctor`: why it does not, or would not, record.

use crate::args::DoctorArgs;
use crate::doctor::jvm::{self, Jvm};
use crate::doctor::{Diagnosis, Finding, Subject, machine, process, program, show};
use crate::exit::{self, Failure};
use crate::reading;
use anyhow::Result;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Prints the findings; the exit code says whether it would record.
///
/// # Errors
/// No such process.
pub fn run(args: &DoctorArgs) -> Result<u8> {
    let diagnosis = match args.target.as_slice() {
        [] => Diagnosis { subject: Subject::Machine, findings: machine::findings() },
        [one] => match one.to_str().and_then(|text| text.parse().ok()) {
            Some(pid) => of_process(pid)?,
            None => of_command(&args.target),
        },
        command => of_command(command),
    };
    let text = if args.json { show::json(&diagnosis) } else { show::text(&diagnosis) };
    reading::print(&text)?;
    Ok(if diagnosis.records() { exit::OK } else { exit::WOULD_NOT_RECORD })
}

fn of_process(pid: u32) -> Result<Diagnosis> {
    if fs::metadata(format!("/proc/{pid}")).is_err() {
        return Err(Failure::error(exit::NO_DATA, format!("there is no process {pid}")));
    }
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    Ok(Diagnosis { subject: Subject::Process(pid, exe), findings: process::findings(pid) })
}

fn of_command(command: &[OsString]) -> Diagnosis {
    let shown: Vec<String> = command.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let mut findings = machine::findings();
    let name = command.first().cloned().unwrap_or_default();
    match program::find(&name) {
        None => findings.push(Finding::fail(
            "program",
            format!("{}: command not found", name.to_string_lossy()),
            "Name the program by its path, or correct PATH",
        )),
        Some(path) => findings.extend(of_program(&path, &shown)),
    }
    Diagnosis { subject: Subject::Command(shown), findings }
}

fn of_program(path: &Path, command: &[String]) -> Vec<Finding> {
    let Some(program) = program::inspect(path) else {
        let sentence = format!("{} is no program that can be looked into", path.display());
        return vec![Finding::warn("program", sentence, "If it starts, leakscope run tells whether it records")];
    };
    let mut findings = program.findings(Path::new("/"));
    if program.path != path {
        findings
            .push(Finding::ok("script", format!("{} is a script: a JVM that it starts is recorded", path.display())));
    }
    if jvm::is_launcher(&program.path) {
        let variable = |name: &str| std::env::var(name).ok();
        findings.extend(Jvm::new(Jvm::home_of(&program.path), command, variable).findings());
    }
    findings
}
