//! The helper's work: resolve what was captured, count equal stacks, write them down at the end or when asked to.
//!
//! A program asks by making the file `$PROBE_READY.flush`, which is removed when everything has been written.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use leakscope_hotspot::{JavaFrame, MethodNames, Resolver, Sink};

use crate::{JVM, ring};

pub struct Recorder {
    names: HashMap<JavaFrame, String>,
    /// The text of each stack, and how often it was seen. Keyed by ids, so that a tick costs little: the JVM's exit
    /// waits 30 ms for the last one.
    stacks: HashMap<Vec<JavaFrame>, (String, u64)>,
    /// Frames without a name, by JVMTI's code.
    unresolved: BTreeMap<i32, u64>,
    version: String,
    ticks: u64,
}

impl Recorder {
    pub fn new() -> Self {
        Self {
            names: HashMap::new(),
            stacks: HashMap::new(),
            unresolved: BTreeMap::new(),
            version: String::new(),
            ticks: 0,
        }
    }

    /// `java.util.zip.Deflater.init` and `:LINE` where known, or `?CODE`.
    fn name(&mut self, frame: JavaFrame, resolver: &Resolver<'_>) -> String {
        if let Some(name) = self.names.get(&frame) {
            return name.clone();
        }
        let mut text = String::new();
        let result = resolver.method(frame.method, &mut |method: &MethodNames<'_>| {
            let class = String::from_utf8_lossy(method.class_signature);
            let class = class.trim_start_matches('L').trim_end_matches(';').replace('/', ".");
            let file = String::from_utf8_lossy(method.source_file);
            let native = if method.is_native { "~" } else { "" };
            text = format!("{native}{class}.{}({file}", String::from_utf8_lossy(method.name));
            assert!(method.signature.starts_with(b"("));
        });
        if let Err(code) = result {
            *self.unresolved.entry(code).or_default() += 1;
            return format!("?{code}");
        }
        write!(text, ":{})", resolver.line(frame.method, frame.bci)).expect("a string");
        self.names.insert(frame, text.clone());
        text
    }

    /// Writes everything to the file, in one step.
    pub fn write(&self, end: &str) {
        let Some(out) = std::env::var_os("PROBE_OUT") else { return };
        let mut text = format!("end {end}\nversion {}\nstate {:?}\nticks {}\n", self.version, JVM.state(), self.ticks);
        let counters = [
            ("not_ready", &ring::NOT_READY),
            ("not_java", &ring::NOT_JAVA),
            ("no_frames", &ring::NO_FRAMES),
            ("with_frames", &ring::WITH_FRAMES),
            ("ring_full", &ring::FULL),
        ];
        for (name, counter) in counters {
            writeln!(text, "{name} {}", counter.load(Ordering::Relaxed)).expect("a string");
        }
        for (code, counter) in ring::REFUSED.iter().enumerate() {
            let count = counter.load(Ordering::Relaxed);
            if count != 0 {
                writeln!(text, "refused-{code} {count}").expect("a string");
            }
        }
        for (code, count) in &self.unresolved {
            writeln!(text, "unresolved-{code} {count}").expect("a string");
        }
        let counters = JVM.counters();
        for (name, count) in [
            ("attach_attempts", counters.attach_attempts),
            ("attach_failures", counters.attach_failures),
            ("refused_capabilities", counters.refused_capabilities),
            ("method_ids", JVM.method_ids()),
            ("failed_classes", counters.failed_classes),
            ("skipped_classes", counters.skipped_classes),
            ("gc_starts", counters.gc_starts),
            ("gc_finishes", counters.gc_finishes),
            ("unknown_anchors", counters.unknown_anchors),
            ("completed_anchors", counters.completed_anchors),
            ("failed_anchors", counters.failed_anchors),
            ("wait_failures", counters.wait_failures),
        ] {
            writeln!(text, "{name} {count}").expect("a string");
        }
        for (stack, count) in self.stacks.values() {
            writeln!(text, "stack {count} {stack}").expect("a string");
        }
        let partial = std::path::PathBuf::from(&out).with_extension("partial");
        let _ = std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, &out));
    }

    /// Takes over everything that was captured since the last tick.
    fn collect(&mut self, resolver: &Resolver<'_>) {
        let mut fresh = Vec::new();
        ring::drain(&mut |frames| match self.stacks.get_mut(frames) {
            Some((_, count)) => *count += 1,
            None => fresh.push(frames.to_vec()),
        });
        for frames in fresh {
            if let Some((_, count)) = self.stacks.get_mut(&frames) {
                *count += 1;
                continue;
            }
            let names: Vec<String> = frames.iter().map(|frame| self.name(*frame, resolver)).collect();
            self.stacks.insert(frames, (names.join(";"), 1));
        }
    }

    fn flush_if_asked(&self) {
        let Some(mut path) = std::env::var_os("PROBE_READY") else { return };
        path.push(".flush");
        if std::fs::exists(&path).unwrap_or(false) {
            self.write("flush");
            let _ = std::fs::remove_file(&path);
        }
    }
}

impl Sink for Recorder {
    fn tick(&mut self, resolver: &Resolver<'_>) {
        self.ticks += 1;
        self.collect(resolver);
        if self.ticks == 1 {
            let version = &mut self.version;
            let _ = resolver.jvm_version(&mut |text| *version = String::from_utf8_lossy(text).into_owned());
            if let Some(ready) = std::env::var_os("PROBE_READY") {
                let _ = std::fs::write(ready, "");
            }
        }
        if resolver.is_last() {
            self.write("last tick");
        } else {
            self.flush_if_asked();
        }
    }
}
