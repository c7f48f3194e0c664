//! A site in one line: the reader's own frame, then the way to the allocation. And the same in less room.
//!
//! ```text
//! com.acme.log.ExceptionLogger.compress:88 → java.util.zip.Deflater.init → deflateInit2_      as it is
//! ExceptionLogger.compress:88 → Deflater.init → deflateInit2_                                 without packages
//! ExceptionLogger.compress:88 → deflateInit2_                                                 without the middle
//! ExceptionLogger.compress:88                                                                 the reader's frame
//! ```
//! An inner class then goes without its outer one, and a path that needs a caller without its class.
//!
//! Class, method and line of the reader's own frame go last. Two sites that read the same get a caller each.

use std::collections::{HashMap, HashSet};

use leakscope_analyze::{FrameKind, FrameTable, Place, SiteFrame};

use crate::printable::printable;
use crate::style::Glyphs;

/// One function of a path, longest spelling first: full, without parameters, without packages, without outer classes,
/// without class.
#[derive(Debug, Clone)]
struct Step {
    spellings: [String; 5],
}

impl Step {
    fn of(frame: &SiteFrame, with_line: bool) -> Step {
        let full = printable(&frame.function).into_owned();
        let bare = without_parameters(&full).to_owned();
        let short = match frame.kind {
            FrameKind::Java => last_two(&full, "."),
            FrameKind::Native => last_two(&bare, "::"),
            FrameKind::Marker => full.clone(),
        };
        let lined = |name: String| if with_line && frame.line > 0 { format!("{name}:{}", frame.line) } else { name };
        let (inner, method) = match frame.kind {
            FrameKind::Java => (inner_class(&short).to_owned(), short.rsplit('.').next().unwrap_or(&short).to_owned()),
            FrameKind::Native | FrameKind::Marker => (short.clone(), short.clone()),
        };
        Step { spellings: [full, bare, short, inner, method].map(lined) }
    }

    fn text(text: String) -> Step {
        Step { spellings: [(); 5].map(|()| text.clone()) }
    }
}

/// The shortest spelling of what tells a path from others.
const VIA_SHORTEST: usize = 3;

/// The way from the reader's own frame to the allocation.
#[derive(Debug, Clone)]
pub(crate) struct CallPath {
    steps: Vec<Step>,
    /// What tells it from another path that reads the same.
    via: Option<Step>,
}

impl CallPath {
    /// The reader's own frame, the Java method that entered native code, the native function that asked for memory.
    pub(crate) fn of(frames: &FrameTable, place: &Place) -> CallPath {
        CallPath::with(frames, place, true)
    }

    /// The same without the line of the reader's own frame.
    pub(crate) fn without_line(frames: &FrameTable, place: &Place) -> CallPath {
        CallPath::with(frames, place, false)
    }

    fn with(frames: &FrameTable, place: &Place, with_line: bool) -> CallPath {
        let Some(application) = place.application else {
            let text = match place.frames.is_empty() {
                true => format!("all {} memory", place.kind.as_str()),
                false => "[unknown]".to_owned(),
            };
            return CallPath::text(text);
        };
        let stack: Vec<&SiteFrame> = frames.resolve(&place.frames).collect();
        let first_java = stack.iter().position(|f| f.kind == FrameKind::Java);
        let leaf = stack.iter().position(|f| f.kind == FrameKind::Native);
        let mut steps = vec![Step::of(stack[application], with_line)];
        if let Some(java) = first_java.filter(|at| *at < application) {
            steps.push(Step::of(stack[java], false));
        }
        if let Some(leaf) = leaf.filter(|at| *at < application && first_java.is_none_or(|java| *at < java)) {
            steps.push(Step::of(stack[leaf], false));
        }
        CallPath { steps, via: None }
    }

    /// The reader's own frame alone.
    pub(crate) fn own(frames: &FrameTable, place: &Place) -> CallPath {
        let mut path = CallPath::of(frames, place);
        path.steps.truncate(1);
        path
    }

    /// A sentence in the place of a path.
    pub(crate) fn text(text: String) -> CallPath {
        CallPath { steps: vec![Step::text(text)], via: None }
    }

    /// As much of it as fits `width` characters.
    pub(crate) fn fit(&self, width: usize, glyphs: &Glyphs) -> String {
        let last = self.steps.len() - 1;
        let all: Vec<usize> = (0..=last).collect();
        let ends: Vec<usize> = if last > 0 { vec![0, last] } else { vec![0] };
        let own = vec![0];
        let mut choices = vec![(&all, 0), (&all, 1), (&all, 2), (&ends, 2), (&own, 2), (&own, 3)];
        if self.via.is_some() {
            choices.push((&own, 4));
        }
        let mut spelt = String::new();
        for (steps, spelling) in choices {
            spelt = self.spell(steps, spelling, glyphs);
            if spelt.chars().count() <= width {
                return spelt;
            }
        }
        cut(&spelt, width, glyphs)
    }

    fn spell(&self, steps: &[usize], spelling: usize, glyphs: &Glyphs) -> String {
        let names: Vec<&str> = steps.iter().map(|at| self.steps[*at].spellings[spelling].as_str()).collect();
        let path = names.join(&format!(" {} ", glyphs.arrow));
        match &self.via {
            Some(via) => format!("{path} {} {}", glyphs.back, via.spellings[spelling.clamp(1, VIA_SHORTEST)]),
            None => path,
        }
    }
}

/// The paths of several places, in order; those that would read the same within `width` are told apart by a
/// caller that the others do not have, else by a frame on the way, else by the site's id.
pub(crate) fn paths(frames: &FrameTable, places: &[&Place], width: usize, glyphs: &Glyphs) -> Vec<CallPath> {
    let mut paths: Vec<CallPath> = places.iter().map(|place| CallPath::of(frames, place)).collect();
    let mut alike: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, path) in paths.iter().enumerate() {
        alike.entry(format!("{:?} {}", places[at].kind, path.fit(width, glyphs))).or_default().push(at);
    }
    for group in alike.into_values().filter(|group| group.len() > 1) {
        let outward: Vec<Vec<&SiteFrame>> = group.iter().map(|at| outward(frames, places[*at])).collect();
        let seen: Vec<HashSet<_>> =
            outward.iter().map(|frames| frames.iter().map(|frame| look(frame)).collect()).collect();
        let told = outward.iter().map(|frames| difference(frames, &seen).map(|frame| Step::of(frame, true)));
        let told: Vec<Option<Step>> = told.collect();
        for (of, at) in group.iter().enumerate() {
            let others =
                told.iter().enumerate().filter(|(other, _)| *other != of).filter_map(|(_, told)| told.as_ref());
            let shortest = |step: &Step| step.spellings[VIA_SHORTEST].clone();
            let taken: Vec<String> = others.map(shortest).collect();
            let told = told[of].clone().filter(|step| !taken.contains(&shortest(step)));
            paths[*at].via = Some(told.unwrap_or_else(|| Step::text(places[*at].id.to_string())));
        }
    }
    paths
}

/// A stack's frames in the order in which they may tell it from another: callers of the reader's own frame, then what
/// that calls.
fn outward<'a>(frames: &'a FrameTable, place: &'a Place) -> Vec<&'a SiteFrame> {
    let stack: Vec<&SiteFrame> = frames.resolve(&place.frames).collect();
    let own = place.application.unwrap_or(0).min(stack.len());
    let (callees, callers) = stack.split_at(own);
    callers.iter().skip(1).chain(callees.iter().rev()).copied().collect()
}

/// What a reader sees of a frame.
fn look(frame: &SiteFrame) -> (&str, u32) {
    (&frame.function, frame.line)
}

/// Of the frames of one stack the first that fewest stacks of the group have; `None` where all have all of them.
fn difference<'a>(frames: &[&'a SiteFrame], seen: &[HashSet<(&str, u32)>]) -> Option<&'a SiteFrame> {
    let absent = |frame: &SiteFrame| seen.iter().filter(|stack| !stack.contains(&look(frame))).count();
    // The first of several is the last from behind.
    let rarest = frames.iter().rev().max_by_key(|frame| absent(frame))?;
    (absent(rarest) > 0).then_some(*rarest)
}

/// `Cache::fill(int) const` is `Cache::fill`.
pub(crate) fn without_parameters(name: &str) -> &str {
    let end = name.strip_suffix(" const").unwrap_or(name);
    if !end.ends_with(')') {
        return name;
    }
    let mut depth = 0;
    for (at, byte) in end.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return if at > 0 && !end[..at].ends_with("operator") { &name[..at] } else { name };
        }
    }
    name
}

/// `Outer$Inner.method` is `Inner.method`; generated classes (`Foo$$Lambda`) keep their name.
fn inner_class(name: &str) -> &str {
    let Some((class, _)) = name.split_once('.') else { return name };
    match class.rsplit_once('$') {
        Some((outer, inner)) if !outer.ends_with('$') && inner.starts_with(|c: char| c.is_alphabetic()) => {
            &name[outer.len() + 1..]
        }
        _ => name,
    }
}

/// The last two parts of a name: `a.b.Class.method` is `Class.method`. Parts within `<...>` and `(...)` do not count.
fn last_two(name: &str, separator: &str) -> String {
    let (mut depth, mut starts) = (0i32, vec![0]);
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            b'>' | b')' | b']' | b'}' => depth -= 1,
            _ if depth == 0 && name.as_bytes()[at..].starts_with(separator.as_bytes()) => {
                starts.push(at + separator.len());
            }
            _ => {}
        }
    }
    name[starts[starts.len().saturating_sub(2)]..].to_owned()
}

/// Cuts in the middle, because both ends of a name say most.
pub(crate) fn cut(text: &str, width: usize, glyphs: &Glyphs) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mark = glyphs.ellipsis.chars().count();
    if letters.len() <= width || width <= mark + 2 {
        return text.to_owned();
    }
    let kept = width - mark;
    let head: String = letters[..kept / 2].iter().collect();
    let tail: String = letters[letters.len() - (kept - kept / 2)..].iter().collect();
    format!("{head}{}{tail}", glyphs.ellipsis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(steps: &[(FrameKind, &str, u32)]) -> CallPath {
        let step = |(kind, function, line): &(FrameKind, &str, u32)| {
            let frame = SiteFrame {
                kind: *kind,
                function: (*function).to_owned(),
                file: String::new(),
                line: *line,
                library: String::new(),
                inlined: false,
            };
            Step::of(&frame, *line > 0)
        };
        CallPath { steps: steps.iter().map(step).collect(), via: None }
    }

    #[test]
    fn a_path_is_shortened_until_it_fits_and_keeps_class_method_and_line() {
        let java = path(&[
            (FrameKind::Java, "com.acme.log.ExceptionLogger.compress", 88),
            (FrameKind::Java, "java.util.zip.GZIPOutputStream.<init>", 0),
            (FrameKind::Native, "deflateInit2_", 0),
        ]);
        for (width, shown) in [
            (100, "com.acme.log.ExceptionLogger.compress:88 → java.util.zip.GZIPOutputStream.<init> → deflateInit2_"),
            (95, "ExceptionLogger.compress:88 → GZIPOutputStream.<init> → deflateInit2_"),
            (60, "ExceptionLogger.compress:88 → deflateInit2_"),
            (36, "ExceptionLogger.compress:88"),
            (20, "ExceptionL…press:88"),
        ] {
            let fit = java.fit(width, &Glyphs::UNICODE);
            assert!(fit.chars().count() <= width, "{width}: {fit}");
            if width > 20 {
                assert_eq!(fit, shown);
            }
        }
        let native = path(&[(FrameKind::Native, "acme::Cache<std::string>::fill(std::vector<int>&) const", 7)]);
        assert_eq!(native.fit(60, &Glyphs::UNICODE), "acme::Cache<std::string>::fill(std::vector<int>&) const:7");
        assert_eq!(native.fit(40, &Glyphs::UNICODE), "acme::Cache<std::string>::fill:7");
        assert_eq!(native.fit(30, &Glyphs::UNICODE), "Cache<std::string>::fill:7");
    }

    #[test]
    fn outer_classes_and_then_classes_go_before_anything_is_cut() {
        let own = (FrameKind::Java, "DeflaterLeak$ExceptionLogger.compress", 23);
        assert_eq!(path(&[own]).fit(36, &Glyphs::UNICODE), "ExceptionLogger.compress:23");
        let mut loader = path(&[(FrameKind::Java, "java.lang.ClassLoader.defineClass2", 0)]);
        loader.via = path(&[(FrameKind::Java, "com.sun.Recover.<init>", 86)]).steps.pop();
        assert_eq!(loader.fit(40, &Glyphs::UNICODE), "defineClass2 ← Recover.<init>:86");
        for name in ["com.Store$$Lambda.apply", "Foo$1.run", "Foo.run", "run"] {
            assert_eq!(inner_class(name), name);
        }
    }

    #[test]
    fn parameters_are_the_last_brackets() {
        for (name, bare) in [
            ("grow(int)", "grow"),
            ("(anonymous namespace)::grow(int (*)(char))", "(anonymous namespace)::grow"),
            ("Foo::operator()(int)", "Foo::operator()"),
            ("Foo::operator()", "Foo::operator()"),
            ("deflateInit2_", "deflateInit2_"),
            ("a)", "a)"),
            ("()", "()"),
        ] {
            assert_eq!(without_parameters(name), bare, "{name}");
        }
    }

    #[test]
    fn paths_that_read_the_same_are_told_apart_by_what_is_theirs_alone() {
        use leakscope_profile::model::{Code, Frame, FrameId, Function, FunctionId, Profile, Stack, Totals};
        let functions = ["com.acme.Store.find", "x.X.x", "x.Y.y", "x.P.p", "x.Q.q"];
        let totals = Totals { samples: 1, bytes: 64.0, ..Totals::default() };
        let stack = |frames: [u32; 3]| Stack { frames: frames.map(FrameId).into(), totals };
        let frame = |at| Frame { code: Code::Java, function: FunctionId(at), line: 0, inlined: false };
        let profile = Profile {
            functions: functions.map(|name| Function { name: name.to_owned(), ..Function::default() }).into(),
            frames: (0..5).map(frame).collect(),
            stacks: [[0, 1, 3], [0, 1, 4], [0, 2, 3]].map(stack).into(),
            ..Profile::default()
        };
        let found = leakscope_analyze::sites(&profile, &leakscope_analyze::Grouping::default());
        let places: Vec<&Place> = found.sites.iter().map(|site| &site.place).collect();
        let shown = |places: &[&Place]| -> Vec<String> {
            let paths = paths(&found.frames, places, 80, &Glyphs::UNICODE);
            paths.iter().map(|path| path.fit(80, &Glyphs::UNICODE)).collect()
        };
        let mut told = shown(&places);
        told.sort();
        assert_eq!(told, ["x.Q.q", "x.X.x", "x.Y.y"].map(|caller| format!("com.acme.Store.find ← {caller}")));
        assert_eq!(shown(&places[..1]), ["com.acme.Store.find"], "alone it needs no caller");
    }
}
