//! The threads, and the loop that everything meets in.

use super::asking;
use super::figures::Figures;
use super::findings::{Findings, Judge};
use super::keys;
use super::screen::{Screen, Signals};
use super::source::Source;
use super::state::{Effect, State};
use super::tail::Tail;
use super::view::{Look, draw, plain};
use crate::exit;
use crate::reading::{self, Symbols};
use crate::recording::{self, Process};
use crate::session_file;
use crate::terminal;
use crate::timeline_file;
use anyhow::{Context, Result, bail};
use leakscope_analyze::AnalysisOptions;
use leakscope_profile::timeline::Timeline;
use ratatui::crossterm::event::{self, Event as Input, KeyEvent};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Time between two looks at the recording: as often as a point is written to it.
const PACE: Duration = Duration::from_secs(1);
/// Judging waits so many times what it took, so that it costs little with many snapshots at short intervals.
const REST: u32 = 60;
/// But not longer.
const LONGEST_REST: Duration = Duration::from_secs(15);
/// Without a new point for so many looks the recorder may be gone.
const SILENCE: u32 = 5;
/// Width of a frame where no terminal says another.
const PLAIN_COLUMNS: usize = 120;

/// What happens.
enum Event {
    Key(KeyEvent),
    Resized,
    Signal(i32),
    Figures(Box<Figures>),
    Findings(Box<Findings>),
    Answer(String),
    /// The keyboard is gone.
    Closed,
    /// A thread has panicked; it has said so.
    Failed,
}

/// Prints the recording as it is now.
///
/// # Errors
/// The recording is gone.
pub fn once(source: &Source, symbols: Symbols, options: AnalysisOptions) -> Result<u8> {
    let mut state = State::default();
    let mut follower = Follower::new(source.folder.clone());
    let process = follower.process.changed().context("the recording is gone")?;
    follower.tail.poll();
    state.set_figures(follower.figures(&process, true));
    if let Some(findings) = Judge::new(symbols, options).look(&process, follower.tail.timeline()) {
        state.set_findings(findings);
    }
    let columns = terminal::columns().unwrap_or(PLAIN_COLUMNS);
    reading::print(&plain(&state, &Look { color: false, ..Look::of_terminal() }, columns))?;
    Ok(exit::OK)
}

/// Shows the recording until somebody has seen enough.
///
/// # Errors
/// There is no terminal any more.
pub fn watch(source: Source, symbols: Symbols, options: AnalysisOptions) -> Result<u8> {
    let signals = Signals::block();
    let mut screen = Screen::enter().context("cannot draw on this terminal")?;
    let (sender, events) = channel();
    start("keys", &sender, read_keys)?;
    start("signals", &sender, move |sender| wait_for_signals(&signals, sender))?;
    let folder = source.folder.clone();
    start("timeline", &sender, move |sender| Follower::new(folder).follow(sender))?;
    let folder = source.folder.clone();
    start("snapshots", &sender, move |sender| judge(folder, Judge::new(symbols, options), sender))?;
    let look = Look::of_terminal();
    let mut state = State::default();
    loop {
        screen.draw(|frame| draw(frame, &state, &look)).context("the terminal is gone")?;
        let first = events.recv().context("nothing is left to show")?;
        for event in std::iter::once(first).chain(events.try_iter()) {
            match event {
                Event::Key(key) => match keys::press(&mut state, key) {
                    Effect::None => {}
                    Effect::Quit => return Ok(exit::OK),
                    Effect::Suspend => screen.suspend()?,
                    Effect::Redraw => screen.forget()?,
                    Effect::Ask(wish) => {
                        let pid = source.pid;
                        start("asking", &sender, move |sender| {
                            let _ = sender.send(Event::Answer(asking::ask(pid, &wish)));
                        })?;
                    }
                },
                Event::Signal(libc::SIGTSTP) => screen.suspend()?,
                Event::Signal(libc::SIGCONT) => screen.resume()?,
                Event::Signal(signal) => return Ok(exit::SIGNAL + u8::try_from(signal).unwrap_or(0)),
                Event::Figures(figures) => state.set_figures(*figures),
                Event::Findings(findings) => state.set_findings(*findings),
                Event::Answer(sentence) => state.message = Some(sentence),
                Event::Resized => {}
                Event::Closed => bail!("the terminal is gone"),
                Event::Failed => bail!("top cannot go on"),
            }
        }
    }
}

/// Starts a thread; should it panic, the loop is told.
fn start(name: &str, sender: &Sender<Event>, work: impl FnOnce(&Sender<Event>) + Send + 'static) -> Result<()> {
    struct Guard(Sender<Event>);
    impl Drop for Guard {
        fn drop(&mut self) {
            if thread::panicking() {
                let _ = self.0.send(Event::Failed);
            }
        }
    }
    let guard = Guard(sender.clone());
    let run = move || work(&guard.0);
    thread::Builder::new().name(name.into()).spawn(run).map(drop).context("no thread can be made")
}

fn read_keys(sender: &Sender<Event>) {
    loop {
        let event = match event::read() {
            Ok(Input::Key(key)) => Event::Key(key),
            Ok(Input::Resize(..)) => Event::Resized,
            Ok(_) => continue,
            Err(_) => Event::Closed,
        };
        let is_last = matches!(event, Event::Closed);
        if sender.send(event).is_err() || is_last {
            return;
        }
    }
}

fn wait_for_signals(signals: &Signals, sender: &Sender<Event>) {
    while let Some(signal) = signals.wait() {
        if sender.send(Event::Signal(signal)).is_err() {
            return;
        }
    }
}

/// The folder of a process; read again when its description was written again.
struct Described {
    folder: PathBuf,
    written: Option<SystemTime>,
    is_new: bool,
}

impl Described {
    fn new(folder: PathBuf) -> Self {
        Self { folder, written: None, is_new: true }
    }

    /// What is known of the process, if that has changed.
    fn changed(&mut self) -> Option<Process> {
        let written = fs::metadata(self.folder.join(session_file::NAME)).and_then(|metadata| metadata.modified()).ok();
        if !std::mem::take(&mut self.is_new) && written == self.written {
            return None;
        }
        self.written = written;
        recording::processes(&self.folder).ok()?.pop()
    }
}

/// Follows the timeline.
struct Follower {
    process: Described,
    tail: Tail,
}

impl Follower {
    fn new(folder: PathBuf) -> Self {
        let tail = Tail::new(folder.join(timeline_file::NAME));
        Self { process: Described::new(folder), tail }
    }

    /// `is_silent`: nothing has come for a while, so it may be asked whether the recorder is still there.
    fn figures(&self, process: &Process, is_silent: bool) -> Figures {
        let is_abandoned = is_silent && process.session.is_abandoned(&process.folder);
        Figures::of(self.tail.timeline(), &process.session, is_abandoned)
    }

    fn follow(mut self, sender: &Sender<Event>) {
        let (mut known, mut silent) = (None, SILENCE);
        loop {
            let described = self.process.changed();
            let is_changed = described.is_some();
            known = described.or(known);
            let has_grown = self.tail.poll();
            silent = if has_grown { 0 } else { silent.saturating_add(1) };
            // The recorder holds its lock by a try of its own, which ours must not disturb: seldom.
            let asks = silent == SILENCE;
            if let Some(process) = known.as_ref().filter(|_| is_changed || has_grown || asks)
                && sender.send(Event::Figures(Box::new(self.figures(process, silent >= SILENCE)))).is_err()
            {
                return;
            }
            thread::sleep(PACE);
        }
    }
}

/// Follows the snapshots.
fn judge(folder: PathBuf, mut judge: Judge, sender: &Sender<Event>) {
    let mut described = Described::new(folder.clone());
    let mut is_first = true;
    loop {
        let mut rest = PACE;
        if let Some(process) = described.changed() {
            let started = Instant::now();
            if let Some(findings) = judge.look(&process, &timeline(&folder)) {
                if sender.send(Event::Findings(Box::new(findings))).is_err() {
                    return;
                }
                // The first look is at everything, those that follow are at what is new.
                if !std::mem::take(&mut is_first) {
                    rest = (started.elapsed() * REST).clamp(PACE, LONGEST_REST);
                }
            }
        }
        thread::sleep(rest);
    }
}

fn timeline(folder: &Path) -> Timeline {
    Timeline::read(&fs::read(folder.join(timeline_file::NAME)).unwrap_or_default())
}
