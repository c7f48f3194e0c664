//! A program that runs without leakscope.

use super::leakscope::remove_foreign;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A program that has said its first line, and waits for the end of its stdin.
pub struct Plain {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// What it said first.
    pub said: String,
}

impl Plain {
    /// Starts it; fails unless it says something.
    pub fn start(command: &mut Command) -> Self {
        remove_foreign(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut said = String::new();
        stdout.read_line(&mut said).expect("a line of text");
        if said.is_empty() {
            let mut error = String::new();
            child.stderr.take().expect("a pipe").read_to_string(&mut error).expect("text");
            panic!("{command:?} said nothing, but: {error}");
        }
        Self { child, stdin, stdout, said: said.trim_end().to_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it end; what else it said, to stdout and stderr. Fails unless it ended as it should.
    pub fn finish(mut self) -> (String, String) {
        drop(self.stdin.take());
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).expect("text");
        self.child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}\n{out}\n{err}");
        (out, err)
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // A test that failed: nobody else ends it. One that has ended is past being killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
