//! `leakscope probe gc|trim`: asks a running JVM for full garbage collections, or for a trim of its allocator, and shows
//! what that released.
//!
//! The JVM is asked through its attach socket, recorded or not. Where it is recorded, snapshots before and after tell what
//! each site released: what goes at a full collection was garbage, what stays is held.

use crate::args::{ProbeArgs, ProbeWhat};
use crate::exit::{self, Failure};
use crate::locate::session_of;
use crate::reading::{self, Symbols};
use crate::request::{Answer, Request, unreachable};
use crate::say::say;
use anyhow::Result;
use leakscope_analyze::{Releases, RssTable, Selection, releases, rss_table, select};
use leakscope_collect::{AttachError, Attachment, SharedSession, Survey};
use leakscope_profile::Profile;
use leakscope_report::{Probed, TextOptions, json_probe, text_probe};
use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

/// A full collection of a large heap takes minutes where it is swapped out.
const GC_PATIENCE: Duration = Duration::from_secs(600);
/// Finalizers are the program's own code, and may take any time.
const FINALIZER_PATIENCE: Duration = Duration::from_secs(30);
/// What references a collection has found is released by threads of the JVM, in their own time.
const PAUSE: Duration = Duration::from_millis(500);
/// Snapshots taken until no more is released.
const MOST_LOOKS: usize = 20;
/// Less than this part more released counts as no more.
const SETTLED: f64 = 0.01;

/// Probes the process.
///
/// # Errors
/// No such process, no JVM, not confirmed, or the JVM refuses.
pub fn run(args: &ProbeArgs) -> Result<u8> {
    let before = recorded(args.pid)?;
    let pid = jvm_of(args.pid, before.as_ref());
    let jvm = Attachment::to(pid).map_err(refused)?;
    let first = survey(pid)?;
    confirm(args, &first, before.is_some())?;
    // What was live while the user was asked may be gone by now.
    let before = if args.what == ProbeWhat::Gc { recorded(args.pid)? } else { None };
    let first = survey(pid)?;
    mark(args);
    let done = match args.what {
        ProbeWhat::Gc => collect(&jvm)?,
        ProbeWhat::Trim => trim(&jvm)?,
    };
    let after = before.as_ref().map(|before| settled(args.pid, before)).transpose()?;
    if after.is_none() {
        thread::sleep(2 * PAUSE);
    }
    let last = survey(pid)?;
    let mut symbols = Symbols::new(&args.symbols);
    let releases = before.zip(after).map(|pair| of_sites(args, pair, &mut symbols));
    let target = first.facts.target();
    let probed = Probed {
        what: args.what.as_str(),
        target: &target,
        took_ms: done.took.as_millis() as u64,
        said: &done.said,
        releases: releases.as_ref(),
        before: &table(&first)?,
        after: &table(&last)?,
    };
    if args.json {
        reading::print(&json_probe(&probed))?;
    } else {
        let options = TextOptions { next: next(args, releases.is_some()), ..reading::text_options(args.all) };
        reading::print(&text_probe(&probed, &options))?;
    }
    symbols.say_warnings();
    Ok(exit::OK)
}

/// A snapshot of a process that is recorded.
fn recorded(pid: u32) -> Result<Option<Profile>> {
    match Request::Snapshot.of_process(pid) {
        Ok(Answer::Bytes(bytes)) => Ok(Some(leakscope_profile::read(&bytes[..])?)),
        Ok(Answer::NobodyAt(_)) => Ok(None),
        Err(error) if Failure::code_of(&error) == exit::NO_DATA => Ok(None),
        Err(error) => Err(error),
    }
}

/// The JVM that is meant: the process itself, or the one that was recorded under its number.
fn jvm_of(pid: u32, recorded: Option<&Profile>) -> u32 {
    match recorded {
        Some(profile) if matches!(Attachment::to(pid), Err(AttachError::NoJvm(_))) => profile.target.pid,
        _ => pid,
    }
}

fn refused(error: AttachError) -> anyhow::Error {
    let code = match error {
        AttachError::NoProcess(_) | AttachError::NoJvm(_) => exit::NO_DATA,
        _ => exit::UNREADABLE,
    };
    Failure::error(code, format!("cannot probe: {error}"))
}

fn survey(pid: u32) -> Result<Survey> {
    let session = session_of(pid).ok().and_then(|session| SharedSession::open(session, None).ok());
    Survey::of(pid, session.as_ref()).map_err(|error| unreachable(pid, &error))
}

fn table(survey: &Survey) -> Result<RssTable> {
    let gone = || Failure::error(exit::NO_DATA, format!("process {} has ended", survey.facts.pid));
    rss_table(&survey.timeline, None, 0).ok_or_else(gone)
}

/// Says what will be done, and does not go on unless that is wanted.
fn confirm(args: &ProbeArgs, survey: &Survey, is_recorded: bool) -> Result<()> {
    let (name, pid) = (&survey.facts.name, survey.facts.pid);
    let plan = match args.what {
        ProbeWhat::Gc => format!(
            "asks the JVM of {name} (pid {pid}) for two full garbage collections; each stops it for as long as it takes"
        ),
        ProbeWhat::Trim => format!(
            "asks the JVM of {name} (pid {pid}) to give back what its allocator keeps (malloc_trim); threads that \
             allocate wait meanwhile"
        ),
    };
    say(&format!("leakscope: this {plan}"));
    if args.what == ProbeWhat::Gc && !is_recorded {
        say("leakscope: note: it is not recorded, so nothing can be said about sites, only about resident memory");
    }
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::error(exit::USAGE, "not done: confirm with --yes"));
    }
    let mut answer = String::new();
    let _ = io::stderr().write_all(b"go on? [y/N] ");
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::error(exit::USAGE, "not done")),
    }
}

/// Notes it in the timeline: memory that falls now fell because of us.
fn mark(args: &ProbeArgs) {
    let text = format!("leakscope probe {}", args.what.as_str());
    // Not recorded, or by a leakscope that knows no marks: then there is no timeline to mislead.
    let _ = Request::Mark(&text).of_process(args.pid);
}

/// What was done.
struct Done {
    took: Duration,
    said: String,
}

/// Two collections: the first finds references whose handlers free native memory, and objects with finalizers, which
/// only the second can collect.
fn collect(jvm: &Attachment) -> Result<Done> {
    let began = Instant::now();
    let said = jvm.command("GC.run", GC_PATIENCE).map_err(refused)?;
    let mut took = began.elapsed();
    if said.to_ascii_lowercase().contains("disabled") {
        // JDK 8.
        let sentence = "cannot probe: the JVM does not collect on request (-XX:+DisableExplicitGC)";
        return Err(Failure::error(exit::UNREADABLE, sentence));
    }
    // Deprecated, and may be gone in a later JVM.
    let _ = jvm.command("GC.run_finalization", FINALIZER_PATIENCE);
    thread::sleep(PAUSE);
    let began = Instant::now();
    jvm.command("GC.run", GC_PATIENCE).map_err(refused)?;
    took += began.elapsed();
    // "Command executed successfully" says nothing.
    Ok(Done { took, said: String::new() })
}

fn trim(jvm: &Attachment) -> Result<Done> {
    let began = Instant::now();
    let said = jvm.command("System.trim_native_heap", GC_PATIENCE).map_err(|error| match error {
        AttachError::Refused(_) => Failure::error(
            exit::UNREADABLE,
            "cannot probe: this JVM has no command to trim its allocator (System.trim_native_heap: JDK 17.0.9, 21 and \
             later, with glibc)",
        ),
        error => refused(error),
    })?;
    Ok(Done { took: began.elapsed(), said })
}

/// A snapshot once the JVM's threads have released what the collections found.
fn settled(pid: u32, before: &Profile) -> Result<Profile> {
    let gone = || Failure::error(exit::NO_DATA, format!("process {pid} has ended, or its leakscope"));
    let live = |profile: &Profile| profile.rows.iter().map(|row| row.bytes).sum::<f64>();
    let mut profile: Option<Profile> = None;
    for _ in 0..MOST_LOOKS {
        thread::sleep(PAUSE);
        let next = recorded(pid)?.ok_or_else(gone)?;
        let is_settled = profile.as_ref().is_some_and(|last| live(last) - live(&next) < SETTLED * live(before));
        profile = Some(next);
        if is_settled {
            break;
        }
    }
    profile.ok_or_else(gone)
}

fn of_sites(args: &ProbeArgs, (mut before, mut after): (Profile, Profile), symbols: &mut Symbols) -> Releases {
    for profile in [&mut before, &mut after] {
        symbols.refine(profile);
        select(profile, Selection { jvms_own: args.all, ..Selection::default() });
    }
    releases(&before, &after, &args.sites.grouping())
}

fn next(args: &ProbeArgs, is_recorded: bool) -> Vec<String> {
    match args.what {
        ProbeWhat::Gc if is_recorded => vec![format!("leakscope probe trim {}", args.pid)],
        _ => vec![format!("leakscope explain {}", args.pid)],
    }
}
