//! The terminal: taken over, given back however this ends, and the signals that have to do with it.
#![allow(unsafe_code)] // sigwait and kill

use crate::run::launch::SignalSet;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};
use std::io::{self, Stdout, stdout};
use std::sync::Once;

/// Signals that end this, stop it, or tell that it goes on. They are waited for and never delivered, so that the
/// terminal is given back first.
const HANDLED: [i32; 5] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGTSTP, libc::SIGCONT];

/// The terminal while it is ours.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal over. From now on a panic, on any thread, gives it back before it says what it has to say.
    ///
    /// # Errors
    /// Those of the terminal.
    pub fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                let _ = give_back();
                before(panic);
            }));
        });
        take_over().inspect_err(|_| {
            let _ = give_back();
        })?;
        Ok(Self { terminal: Terminal::new(CrosstermBackend::new(stdout()))? })
    }

    /// Draws what has changed.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(view).map(drop)
    }

    /// Draws everything the next time.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn forget(&mut self) -> io::Result<()> {
        // Not Terminal::clear: that asks the terminal where the cursor is, and the answer goes to the thread that reads
        // keys.
        execute!(stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }

    /// Gives the terminal back, and stops until somebody continues this process.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back()?;
        // SAFETY: takes integers; the signal goes to this process.
        unsafe { libc::kill(libc::getpid(), libc::SIGSTOP) };
        self.resume()
    }

    /// Takes the terminal over again, after somebody else has used it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn resume(&mut self) -> io::Result<()> {
        take_over()?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = give_back();
    }
}

fn take_over() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide)
}

fn give_back() -> io::Result<()> {
    // The screen as well where the mode cannot be set.
    let mode = disable_raw_mode();
    execute!(stdout(), LeaveAlternateScreen, Show)?;
    mode
}

/// The signals, blocked in this thread and in those that it starts from now on.
pub struct Signals(SignalSet);

impl Signals {
    /// Blocks them.
    pub fn block() -> Self {
        let set = SignalSet::of(&HANDLED);
        set.block();
        Self(set)
    }

    /// Waits for the next one; `None` if that cannot be.
    pub fn wait(&self) -> Option<i32> {
        let mut signal = 0;
        // SAFETY: a valid set and a writable number.
        let error = unsafe { libc::sigwait(self.0.as_ptr(), &raw mut signal) };
        (error == 0).then_some(signal)
    }
}
