//! One run of a program of tests/corpus in one of its forms: `leakscope report` must say what it is.

use crate::support::{Sandbox, machine, programs};
use serde_json::Value;
use std::path::PathBuf;

/// Verdicts that accuse: a program without a fault must never get one.
pub const ACCUSATIONS: [&str; 3] = ["LEAK", "GC-BOUND", "STAIRCASE"];

/// A program in one form.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// File in tests/corpus, without its ending.
    pub program: &'static str,
    pub form: Form,
    pub language: Language,
    /// Mean bytes between samples.
    pub sample: &'static str,
    pub expected: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Leak,
    Fixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    C,
    Cpp,
    Java,
    /// Java with a library of the same name in lower case.
    Jni,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// This verdict comes first, and names the line that bears the comment.
    Line(&'static str),
    /// This verdict comes first; it has no line.
    Word(&'static str),
    /// This verdict comes first, if there is any at all; none accuses.
    Harmless(&'static str),
    /// None accuses.
    Clean,
}

/// What the report said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The verdicts, the primary one first; `-` for none.
    pub said: Vec<String>,
    /// Whether it is what was expected.
    pub is_right: bool,
    /// The report as text, for messages.
    pub text: String,
}

const DEFAULT: &str = "512k";

/// Every case.
pub const CASES: [Case; 28] = {
    use Expected::{Clean, Harmless, Line, Word};
    use Form::{Fixed, Leak};
    use Language::{C, Cpp, Java, Jni};
    const fn case(
        program: &'static str,
        language: Language,
        sample: &'static str,
        form: Form,
        expected: Expected,
    ) -> Case {
        Case { program, form, language, sample, expected }
    }
    [
        case("Deflaters", Java, DEFAULT, Leak, Line("GC-BOUND")),
        case("Deflaters", Java, DEFAULT, Fixed, Clean),
        case("DirectBuffers", Java, DEFAULT, Leak, Line("GC-BOUND")),
        case("DirectBuffers", Java, DEFAULT, Fixed, Clean),
        case("Restarts", Java, DEFAULT, Leak, Line("STAIRCASE")),
        case("Restarts", Java, DEFAULT, Fixed, Clean),
        case("Handles", Jni, DEFAULT, Leak, Line("LEAK")),
        case("Handles", Jni, DEFAULT, Fixed, Clean),
        case("Surge", Java, DEFAULT, Leak, Line("THREADS")),
        case("Surge", Java, DEFAULT, Fixed, Clean),
        case("Switched", Java, DEFAULT, Leak, Line("LEAK")),
        case("Switched", Java, DEFAULT, Fixed, Clean),
        case("arenas", C, DEFAULT, Leak, Word("ALLOCATOR")),
        case("arenas", C, DEFAULT, Fixed, Clean),
        case("cache", C, DEFAULT, Leak, Line("LEAK")),
        case("cache", C, DEFAULT, Fixed, Harmless("BOUNDED")),
        case("startup", C, DEFAULT, Leak, Line("LEAK")),
        case("startup", C, DEFAULT, Fixed, Harmless("STARTUP")),
        case("records", Cpp, DEFAULT, Leak, Line("LEAK")),
        case("records", Cpp, DEFAULT, Fixed, Clean),
        case("aligned", C, DEFAULT, Leak, Line("LEAK")),
        case("aligned", C, DEFAULT, Fixed, Clean),
        case("slow", C, "1", Leak, Line("LEAK")),
        case("slow", C, "1", Fixed, Clean),
        case("Server", Java, DEFAULT, Leak, Line("LEAK")),
        case("Server", Java, DEFAULT, Fixed, Clean),
        case("connections", C, "64k", Leak, Line("LEAK")),
        case("connections", C, "64k", Fixed, Clean),
    ]
};

impl Form {
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Leak => "leak",
            Form::Fixed => "fixed",
        }
    }
}

impl Case {
    /// For tables.
    pub fn name(&self) -> String {
        format!("{} {}", self.program, self.form.as_str())
    }

    fn source(&self) -> PathBuf {
        let ending = match self.language {
            Language::C => "c",
            Language::Cpp => "cc",
            Language::Java | Language::Jni => "java",
        };
        programs::corpus().join(format!("{}.{ending}", self.program))
    }

    /// File and number of the line that bears the comment.
    fn line(&self) -> (String, u64) {
        let source = self.source();
        let text = std::fs::read_to_string(&source).expect("the source");
        let at = text.lines().position(|line| line.contains("THE LEAK"));
        let name = source.file_name().expect("a file").to_string_lossy().into_owned();
        let Some(at) = at else { panic!("{name} marks no line") };
        (name, at as u64 + 1)
    }

    /// Runs it for so many seconds, under the JVM of this release where it needs one, and asks for the report.
    pub fn run(&self, seconds: u32, release: u32) -> Outcome {
        let sandbox = Sandbox::new();
        let mut run = sandbox.run().args(&["--interval", "500ms", "--sample", self.sample]);
        run = match self.language {
            Language::C => run.target(programs::corpus_c(self.program)),
            Language::Cpp => run.target(programs::corpus_cc(self.program)),
            Language::Java | Language::Jni => {
                // A small young generation, from which what survives two collections leaves, as under load. (0 would be no
                // model: such a JVM does not look at references in young collections.)
                let options = ["-Xmx256m", "-Xmn16m", "-XX:MaxTenuringThreshold=1", "-cp"];
                let run = run.target(machine::java(release)).targets(&options);
                run.target(programs::corpus_java()).target(self.program)
            }
        };
        if self.language == Language::Jni {
            run = run.target(programs::corpus_jni(&self.program.to_lowercase()));
        }
        let recording = run.target(self.form.as_str()).target(seconds.to_string()).finish().expect_code(0);
        let report = sandbox.report_of(&recording);
        let text = sandbox.command("report").arg(recording.directory()).finish().out();
        let said = words(&report);
        Outcome { is_right: self.is_right(&said, &report), said, text }
    }

    fn is_right(&self, said: &[String], report: &Value) -> bool {
        let first = said.first().map_or("-", String::as_str);
        let accuses = said.iter().any(|word| ACCUSATIONS.contains(&word.as_str()));
        match self.expected {
            Expected::Line(word) => first == word && self.names_the_line(&report["verdicts"][0], report),
            Expected::Word(word) => first == word && !accuses,
            Expected::Harmless(word) => (first == word || first == "-") && !accuses,
            Expected::Clean => !accuses,
        }
    }

    /// Whether a verdict's own words hold the marked line, and its site's stack does.
    fn names_the_line(&self, verdict: &Value, report: &Value) -> bool {
        let (file, line) = self.line();
        let is_said = verdict["text"].as_str().is_some_and(|text| says_line(text, line));
        let sites = report["sites"].as_array().expect("sites");
        let site = sites.iter().find(|site| site["id"] == verdict["site"]);
        let frames = site.and_then(|site| site["frames"].as_array());
        let is_marked =
            |frame: &Value| frame["line"] == line && frame["file"].as_str().is_some_and(|path| path.ends_with(&file));
        is_said && frames.is_some_and(|frames| frames.iter().any(is_marked))
    }
}

/// Whether a text holds `:LINE`, as in `Codec.encode:71`.
fn says_line(text: &str, line: u64) -> bool {
    let number = |part: &str| part.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    text.split(':').skip(1).any(|part| number(part) == Some(line))
}

/// The words of the verdicts.
fn words(report: &Value) -> Vec<String> {
    let verdicts = report["verdicts"].as_array().expect("a report of a recording has verdicts");
    let word = |verdict: &Value| verdict["id"].as_str().expect("a word").to_owned();
    let said: Vec<String> = verdicts.iter().map(word).collect();
    if said.is_empty() { vec!["-".to_owned()] } else { said }
}
