//! Suppressions: sites that somebody has decided to live with, and up to what.
//!
//! The patterns are LeakSanitizer's: `leak:PATTERN` matches a site if the pattern is found in the function, the file or
//! the library of any of its frames; `*` stands for any text, `^` and `$` for the ends of the name. What leakscope adds
//! (limits, a last day, a reason) is data here; the file's syntax is the command line's business.
//!
//! A suppression with limits hides a site only while it keeps to them: one that outgrows `max` or `max-growth` is
//! judged as if nothing had been written. An expired one hides nothing and fails the gate, so that "until we have
//! time" ends.

use crate::frames::{FrameTable, SiteFrame, SiteFrameId};

/// One suppression.
#[derive(Debug, Clone, PartialEq)]
pub struct Suppression {
    /// Line of the file, from 1; `None` for one that is built in.
    pub line: Option<u32>,
    /// The pattern as it was written, for people.
    pub text: String,
    /// What the frames of a site's stack are held against.
    pub pattern: Pattern,
    /// Most live bytes it hides.
    pub max_bytes: Option<u64>,
    /// Most growth it hides.
    pub max_growth: Option<GrowthLimit>,
    /// The last day on which it holds, days since 1970-01-01.
    pub until_day: Option<i64>,
    /// Why somebody wrote it.
    pub reason: String,
}

/// A limit for growth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GrowthLimit {
    /// None at all, whatever it is counted by.
    Nothing,
    /// Bytes an hour.
    PerHour(f64),
    /// Bytes an iteration.
    PerIteration(f64),
}

/// What a site does, as far as suppressions ask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conduct {
    /// Its live bytes: the lower end of the interval, so that only a certain excess counts.
    pub live_bytes: f64,
    /// Its growth, bytes an hour, lower end; `None` where it is not known.
    pub per_hour: Option<f64>,
    /// Its growth, bytes an iteration, lower end; `None` where nothing iterates.
    pub per_iteration: Option<f64>,
}

/// What a list of suppressions says of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// Nothing.
    None,
    /// It is hidden by the suppression of this index.
    Hidden(usize),
    /// The suppression of this index would hide it, but the site has outgrown its limits.
    Outgrown(usize),
    /// The suppression of this index would hide it, but its last day is over.
    Expired(usize),
}

impl Suppression {
    /// Whether its last day is over.
    pub fn is_expired(&self, today: i64) -> bool {
        self.until_day.is_some_and(|last| today > last)
    }

    /// Whether it matches so much that it would hide leaks nobody has thought of.
    pub fn is_over_broad(&self) -> bool {
        self.pattern.is_over_broad()
    }

    /// Whether it hides whatever it matches, for ever and however large.
    pub fn is_unlimited(&self) -> bool {
        self.max_bytes.is_none() && self.max_growth.is_none() && self.until_day.is_none()
    }

    fn keeps_to_its_limits(&self, conduct: &Conduct) -> bool {
        let grows_too_much = match self.max_growth {
            None => false,
            Some(GrowthLimit::Nothing) => conduct.per_hour.or(conduct.per_iteration).is_some_and(|growth| growth > 0.0),
            // A limit that cannot be measured is not kept for want of a measure.
            Some(GrowthLimit::PerHour(most)) => conduct.per_hour.is_some_and(|growth| growth > most),
            Some(GrowthLimit::PerIteration(most)) => conduct.per_iteration.is_some_and(|growth| growth > most),
        };
        !grows_too_much && self.max_bytes.is_none_or(|most| conduct.live_bytes <= most as f64)
    }
}

/// What `suppressions` say of a site. The first that hides it wins; if none does, the first that would have.
pub fn rule(
    suppressions: &[Suppression],
    table: &FrameTable,
    frames: &[SiteFrameId],
    conduct: &Conduct,
    today: i64,
) -> Ruling {
    let mut ruling = Ruling::None;
    for (index, suppression) in suppressions.iter().enumerate().filter(|(_, s)| s.pattern.is_in_any(table, frames)) {
        let this = match (suppression.is_expired(today), suppression.keeps_to_its_limits(conduct)) {
            (false, true) => return Ruling::Hidden(index),
            (false, false) => Ruling::Outgrown(index),
            (true, _) => Ruling::Expired(index),
        };
        if ruling == Ruling::None {
            ruling = this;
        }
    }
    ruling
}

/// Frames of start-up, the just-in-time compilers, monitors that threads wait for, arenas whose parts are pooled, and
/// leakscope itself: memory that a JVM or a libc takes once or gives back by itself, and that nobody's change to an
/// application moves.
const BUILT_IN: [&str; 13] = [
    "CompileBroker::compiler_thread_loop",
    "C2Compiler::compile_method",
    "Compiler::compile_method",
    "Threads::create_vm",
    "Synchronizer::inflate",
    "Synchronizer::omAlloc",
    "^Arena::grow",
    "^ChunkPool::",
    "^Chunk::operator new",
    "^dl_open",
    "^_dl_",
    "^__nss_",
    "libleakscope",
];

/// Frames of class loading. Programs load classes late; one that makes classes with every iteration leaks their loaders.
const CLASS_LOADING: [&str; 5] =
    ["JVM_DefineClass", "SystemDictionary::", "ClassFileParser::", "SymbolTable::", "StringTable::"];

/// The suppressions that always hold, for as much as there is.
pub(crate) fn built_in() -> Vec<Suppression> {
    BUILT_IN.iter().map(|text| one_built_in(text, None)).collect()
}

/// Those of class loading, up to a growth.
pub(crate) fn class_loading(most: GrowthLimit) -> Vec<Suppression> {
    CLASS_LOADING.iter().map(|text| one_built_in(text, Some(most))).collect()
}

fn one_built_in(text: &str, max_growth: Option<GrowthLimit>) -> Suppression {
    Suppression {
        line: None,
        text: text.to_owned(),
        pattern: Pattern::new(text),
        max_bytes: None,
        max_growth,
        until_day: None,
        reason: "built in".to_owned(),
    }
}

/// A pattern of LeakSanitizer's kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The texts between the stars.
    parts: Vec<String>,
    at_start: bool,
    at_end: bool,
}

/// Names of allocators: a pattern that is one of these matches everything that allocates that way.
const ALLOCATORS: [&str; 14] = [
    "malloc",
    "calloc",
    "realloc",
    "free",
    "mmap",
    "os::malloc",
    "Unsafe",
    "Unsafe_AllocateMemory0",
    "allocateMemory",
    "allocateDirect",
    "operator new",
    "new",
    "java",
    "main",
];

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Self {
        let at_start = text.starts_with('^');
        let text = text.strip_prefix('^').unwrap_or(text);
        let at_end = text.ends_with('$');
        let text = text.strip_suffix('$').unwrap_or(text);
        Self { parts: text.split('*').map(str::to_owned).collect(), at_start, at_end }
    }

    /// Whether it is found in `name`.
    pub fn is_in(&self, name: &str) -> bool {
        let [first, rest @ ..] = self.parts.as_slice() else { return false };
        let Some(mut at) =
            (if self.at_start { name.starts_with(first.as_str()).then_some(0) } else { name.find(first) })
        else {
            return false;
        };
        at += first.len();
        let Some((last, middle)) = rest.split_last() else {
            // Without a star: at the end, and only there, where an end is asked for.
            return match (self.at_end, self.at_start) {
                (false, _) => true,
                (true, true) => name == first,
                (true, false) => name.ends_with(first.as_str()),
            };
        };
        for part in middle {
            match name[at..].find(part.as_str()) {
                Some(found) => at += found + part.len(),
                None => return false,
            }
        }
        let tail = &name[at..];
        if self.at_end { tail.ends_with(last.as_str()) } else { tail.contains(last.as_str()) }
    }

    /// Whether it is found in the function, the file or the library of any of these frames.
    pub(crate) fn is_in_any(&self, table: &FrameTable, frames: &[SiteFrameId]) -> bool {
        frames.iter().any(|id| self.matches_frame(table.get(*id)))
    }

    fn matches_frame(&self, frame: &SiteFrame) -> bool {
        [&frame.function, &frame.file, &frame.library].into_iter().any(|name| !name.is_empty() && self.is_in(name))
    }

    fn is_over_broad(&self) -> bool {
        let said: String = self.parts.concat();
        let is_short = said.chars().count() < 3;
        is_short || said == ".so" || ALLOCATORS.contains(&said.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::FrameKind;

    #[test]
    fn patterns_are_those_of_leak_sanitizer() {
        let yes = [
            ("encode", "com.acme.Codec.encode"),
            ("com.acme.*encode", "com.acme.Codec.encode(int)"),
            ("^com.acme.", "com.acme.Codec"),
            ("Codec$", "com.acme.Codec"),
            ("^a$", "a"),
            ("^a*c$", "abc"),
            ("^a*b*c$", "aXbYbZc"),
            ("aba$", "ababa"),
            ("*", ""),
            ("a*b*a", "aba_"),
            ("größe", "die größe"),
        ];
        for (pattern, name) in yes {
            assert!(Pattern::new(pattern).is_in(name), "{pattern} in {name}");
        }
        let no = [
            ("Encode", "encode"),
            ("^acme", "com.acme"),
            ("acme$", "com.acme.Codec"),
            ("^a$", "aa"),
            ("^a*c$", "abd"),
            ("^ab*ba$", "aba"),
        ];
        for (pattern, name) in no {
            assert!(!Pattern::new(pattern).is_in(name), "{pattern} in {name}");
        }
    }

    #[test]
    fn broad_patterns_are_known() {
        for broad in ["*", "", "malloc", "Unsafe*", "os::malloc", "*.so", "^ma$", "java"] {
            assert!(suppression(broad).is_over_broad(), "{broad}");
        }
        for fine in ["com.acme.", "librocksdb", "deflateInit2_", "Unsafe.allocateMemory*Chronicle"] {
            assert!(!suppression(fine).is_over_broad(), "{fine}");
        }
        let all = [built_in(), class_loading(GrowthLimit::Nothing)].concat();
        assert!(all.iter().all(|one| !one.is_over_broad() && one.line.is_none()));
    }

    fn suppression(pattern: &str) -> Suppression {
        Suppression { line: Some(1), pattern: Pattern::new(pattern), ..built_in().remove(0) }
    }

    #[test]
    fn limits_and_last_days_are_kept() {
        let mut table = FrameTable::default();
        let frame = |function: &str, file: &str, library: &str| SiteFrame {
            kind: FrameKind::Native,
            function: function.into(),
            file: file.into(),
            line: 3,
            library: library.into(),
            inlined: false,
        };
        let frames = [table.intern(frame("fill", "cache.c", "libcache.so")), table.intern(frame("main", "", ""))];
        let calm = Conduct { live_bytes: 100.0, per_hour: Some(10.0), per_iteration: None };
        let ask = |list: &[Suppression], conduct, today| rule(list, &table, &frames, &conduct, today);
        for pattern in ["fill", "cache.c", "libcache"] {
            assert_eq!(ask(&[suppression("other"), suppression(pattern)], calm, 0), Ruling::Hidden(1));
        }
        assert_eq!(ask(&[suppression("other")], calm, 0), Ruling::None);
        let dated = Suppression { until_day: Some(5), ..suppression("fill") };
        assert_eq!(ask(std::slice::from_ref(&dated), calm, 5), Ruling::Hidden(0), "the last day counts");
        assert_eq!(ask(std::slice::from_ref(&dated), calm, 6), Ruling::Expired(0));
        assert_eq!(ask(&[dated, suppression("fill")], calm, 6), Ruling::Hidden(1), "another one still holds");
        let small = Suppression { max_bytes: Some(99), ..suppression("fill") };
        assert_eq!(ask(std::slice::from_ref(&small), calm, 0), Ruling::Outgrown(0));
        assert_eq!(ask(&[small], Conduct { live_bytes: 99.0, ..calm }, 0), Ruling::Hidden(0));
        let slow = Suppression { max_growth: Some(GrowthLimit::PerHour(9.0)), ..suppression("fill") };
        assert_eq!(ask(&[slow], calm, 0), Ruling::Outgrown(0));
        let still = Suppression { max_growth: Some(GrowthLimit::PerIteration(0.0)), ..suppression("fill") };
        assert_eq!(
            ask(std::slice::from_ref(&still), Conduct { per_iteration: Some(0.1), ..calm }, 0),
            Ruling::Outgrown(0)
        );
        assert_eq!(ask(&[still], Conduct { per_iteration: Some(-1.0), ..calm }, 0), Ruling::Hidden(0));
        let none = Suppression { max_growth: Some(GrowthLimit::Nothing), ..suppression("fill") };
        let iterates = |growth| Conduct { per_hour: None, per_iteration: Some(growth), ..calm };
        assert_eq!(ask(std::slice::from_ref(&none), calm, 0), Ruling::Outgrown(0));
        assert_eq!(ask(std::slice::from_ref(&none), iterates(0.1), 0), Ruling::Outgrown(0));
        assert_eq!(ask(&[none], iterates(0.0), 0), Ruling::Hidden(0));
    }
}
