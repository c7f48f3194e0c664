//! Running leakscope: a sandbox, a command with options, what is running, what was recorded.

use super::machine;
use super::signals::heed_signals;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// After this a target hangs. Generous: machines of CI are slow, and nothing waits for it unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A folder of one test, removed at its end.
pub struct Sandbox(tempfile::TempDir);

impl Sandbox {
    /// An empty one, which other users may enter.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("to open it");
        Self(folder)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// `leakscope run -o out` with its output below this folder.
    pub fn run(&self) -> Leakscope {
        let mut leakscope = self.command("run");
        leakscope.directory = Some(self.path().join("out"));
        leakscope.options.extend(["-o".into(), self.path().join("out").into_os_string()]);
        leakscope
    }

    /// Any command of leakscope, in this folder.
    pub fn command(&self, name: &str) -> Leakscope {
        let mut command = Command::new(machine::leakscope());
        command.current_dir(self.path());
        remove_foreign(&mut command);
        // The locale and the time zone are not the machine's.
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        Leakscope { command, options: vec![name.into()], target: Vec::new(), directory: None }
    }
}

/// Keeps from a command what it would inherit and what would change what is tested; not what was set for it.
pub fn remove_foreign(command: &mut Command) {
    let set: Vec<OsString> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_foreign(name) && !set.contains(name)) {
        command.env_remove(name);
    }
}

/// Variables that would change what is tested.
fn is_foreign(name: &OsStr) -> bool {
    const NAMES: [&str; 7] = [
        "LD_PRELOAD",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "_JAVA_OPTIONS",
        "GLIBC_TUNABLES",
        "NO_COLOR",
        "COLUMNS",
    ];
    let name = name.to_string_lossy();
    let begins = |start: &&str| name.starts_with(start);
    NAMES.contains(&&*name) || ["LEAKSCOPE", "GITHUB_", "MALLOC_"].iter().any(begins)
}

/// A command line that is being put together.
pub struct Leakscope {
    command: Command,
    options: Vec<OsString>,
    target: Vec<OsString>,
    directory: Option<PathBuf>,
}

impl Leakscope {
    /// An option or argument of leakscope.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.options.push(argument.as_ref().to_owned());
        self
    }

    /// Several.
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.options.extend(arguments.iter().map(OsString::from));
        self
    }

    /// The command to record, or one more argument of it.
    pub fn target(mut self, part: impl AsRef<OsStr>) -> Self {
        self.target.push(part.as_ref().to_owned());
        self
    }

    /// Several arguments of the command.
    pub fn targets(mut self, parts: &[&str]) -> Self {
        self.target.extend(parts.iter().map(OsString::from));
        self
    }

    /// A variable in leakscope's environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Puts something before leakscope's path, such as `sudo -n`.
    pub fn through(self, before: &[&str]) -> Self {
        let leakscope = self.command.get_program().to_owned();
        let leakscope = leakscope.to_str().expect("a path of text");
        let line = [before, &[leakscope]].concat();
        self.instead(&line)
    }

    /// Puts something in the place of leakscope's path; it gets leakscope's options as further arguments.
    pub fn instead(mut self, line: &[&str]) -> Self {
        let mut outer = Command::new(line[0]);
        outer.args(&line[1..]);
        if let Some(folder) = self.command.get_current_dir() {
            outer.current_dir(folder);
        }
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        self.command = outer;
        self
    }

    /// Starts it. Its stderr is collected; its stdout and stdin are the caller's to use.
    pub fn start(mut self) -> Running {
        self.command.args(&self.options);
        if !self.target.is_empty() {
            self.command.arg("--").args(&self.target);
        }
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        heed_signals(&mut self.command);
        let mut child = self.command.spawn().expect("leakscope starts");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(BufReader::new);
        let stderr = child.stderr.take().expect("a pipe");
        let (lines, heard) = channel();
        let listener = thread::spawn(move || listen(stderr, |line| lines.send(line).is_ok()));
        Running {
            child,
            stdin,
            stdout,
            heard,
            listener,
            directory: self.directory,
            shown: format!("{:?}", self.command),
        }
    }

    /// Runs it to its end, with nothing on stdin.
    pub fn finish(self) -> Recording {
        self.start().finish()
    }
}

/// Collects a stream, and gives each line to `tell` as it comes.
fn listen(stream: impl Read, mut tell: impl FnMut(String) -> bool) -> Vec<u8> {
    let mut stream = BufReader::new(stream);
    let mut all = Vec::new();
    loop {
        let start = all.len();
        match stream.read_until(b'\n', &mut all) {
            Ok(0) | Err(_) => return all,
            // Nobody listening is no reason to stop reading.
            Ok(_) => tell(String::from_utf8_lossy(&all[start..]).trim_end().to_owned()),
        };
    }
}

/// A leakscope that runs.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    heard: Receiver<String>,
    listener: JoinHandle<Vec<u8>>,
    directory: Option<PathBuf>,
    shown: String,
}

impl Running {
    /// Process id of leakscope.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the target writes to stdout, without its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().expect("stdout is open").read_line(&mut line).expect("a line of text");
        assert!(!line.is_empty(), "{}: stdout ended", self.shown);
        line.trim_end().to_owned()
    }

    /// Writes a line to the target's stdin.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("the target reads");
    }

    /// Waits for a line on stderr that contains `text`, and gives it.
    pub fn hear(&self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("{}: nothing said '{text}' in time", self.shown),
                Err(RecvTimeoutError::Disconnected) => panic!("{}: stderr ended before '{text}'", self.shown),
            }
        }
    }

    /// Waits until a process is being recorded; its process id.
    pub fn recorded_pid(&self) -> u32 {
        let line = self.hear("handshake ok");
        let after = line.split("(pid ").nth(1).and_then(|rest| rest.split(')').next());
        after.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("no process id in: {line}"))
    }

    /// Sends a signal to leakscope alone.
    pub fn signal(&self, signal: i32) {
        send_signal(self.pid(), signal);
    }

    /// Closes its stdin, and waits for its end.
    pub fn finish(mut self) -> Recording {
        drop(self.stdin.take());
        self.ended()
    }

    /// Waits for its end, with its stdin open; kills it and fails if the end does not come.
    pub fn ended(mut self) -> Recording {
        let mut stdout = self.stdout.take().expect("stdout is open");
        let reader = thread::spawn(move || {
            let mut rest = Vec::new();
            stdout.read_to_end(&mut rest).map(|_| rest)
        });
        let status = self.wait();
        let stdout = reader.join().expect("the reader").expect("stdout can be read");
        let stderr = self.listener.join().expect("the listener");
        Recording { status, stdout, stderr, directory: self.directory, shown: self.shown }
    }

    fn wait(&mut self) -> std::process::ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            if Instant::now() > end {
                let _ = self.child.kill();
                panic!("{} hangs", self.shown);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Sends a signal to a process.
pub fn send_signal(pid: u32, signal: i32) {
    let status = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().expect("kill runs");
    assert!(status.success(), "process {pid} is gone before signal {signal}");
}

/// A run of leakscope that has ended.
pub struct Recording {
    status: std::process::ExitStatus,
    /// What the target (for `run`) or leakscope wrote to stdout.
    pub stdout: Vec<u8>,
    /// What both wrote to stderr.
    pub stderr: Vec<u8>,
    directory: Option<PathBuf>,
    shown: String,
}

impl Recording {
    /// Its exit code; -N if signal N killed leakscope itself.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap_or(0))
    }

    /// Fails with everything that is known unless the exit code is this.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{}", self.everything());
        self
    }

    /// Its stdout as text.
    pub fn out(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("stdout is text")
    }

    /// Its stderr as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// For messages.
    pub fn everything(&self) -> String {
        let out = String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(4000)]);
        format!("{}\n--- stdout\n{out}\n--- stderr\n{}", self.shown, self.err())
    }

    /// Where it recorded to.
    pub fn directory(&self) -> &Path {
        self.directory.as_deref().expect("a run")
    }

    /// Uses another directory, where the recording did not go where it was asked to.
    pub fn in_directory(mut self, directory: PathBuf) -> Self {
        self.directory = Some(directory);
        self
    }
}
