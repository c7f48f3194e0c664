//! A real terminal: a pane of a tmux server of its own.

use super::Sandbox;
use super::leakscope::PATIENCE;
use super::machine::{leakscope, need};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A terminal that a command of leakscope runs in.
pub struct Pane {
    socket: String,
}

impl Pane {
    /// Runs `leakscope ARGUMENTS` in a terminal of this size. After its end the terminal shows `code N` and says by
    /// `terminal as before` whether its settings are what they were.
    pub fn start(sandbox: &Sandbox, size: (u16, u16), environment: &str, arguments: &str) -> Self {
        need("tmux");
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let socket = format!("leakscope-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let pane = Self { socket };
        let program = leakscope().display().to_string();
        let script = format!(
            "before=$(stty -g); {environment} '{program}' {arguments}; echo \"code $?\"
             [ \"$(stty -g)\" = \"$before\" ] && echo terminal as before; cat"
        );
        let (width, height) = (size.0.to_string(), size.1.to_string());
        let folder = sandbox.path().to_str().expect("a path of text");
        let line =
            ["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, "-c", folder, "sh", "-c", &script];
        pane.tmux(&line);
        pane
    }

    fn tmux(&self, line: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &self.socket]).args(line).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LEAKSCOPE")) {
            command.env_remove(name);
        }
        let output = command.env_remove("NO_COLOR").output().expect("tmux runs");
        assert!(output.status.success(), "tmux {line:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Presses keys, as tmux names them.
    pub fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types text.
    pub fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Makes the terminal another size.
    pub fn resize(&self, width: u16, height: u16) {
        self.tmux(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// What it shows now.
    pub fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// What it shows now, with its colours as escapes.
    pub fn painted(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Whether a program has the screen for itself.
    pub fn is_taken(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{alternate_on}"]).trim() == "1"
    }

    /// Waits until what it shows `is_it`, and gives that.
    pub fn until(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let shown = self.shown();
            if is_it(&shown) {
                return shown;
            }
            assert!(Instant::now() < end, "{what} does not come:\n{shown}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for this text.
    pub fn sees(&self, text: &str) -> String {
        self.until(text, |shown| shown.contains(text))
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        // Its own server: nothing else ends with it.
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}
