//! What the JVM counts about itself, without asking it: its performance data, read from outside.
//!
//! Which counters there are, and when they are brought up to date, depends on the collector (measured on 11, 17, 21, 25):
//!
//! | | heap in use | collector 0 | 1 | 2 |
//! |---|---|---|---|---|
//! | G1 | now, the youngest generation by whole regions | young | full | pauses of concurrent cycles |
//! | Serial, Parallel | 50 ms ago (25: at the last collection) | young | full | |
//! | ZGC | at the last cycle | | | pauses, three a cycle (11: no counter) |
//! | ZGC with generations | at the last cycle | pauses of minor ones | | pauses of major ones |
//! | Shenandoah | some 100 ms ago | always 0 | phases of cycles, some ten each | |
//!
//! Metaspace is 0 until the first collection. The file is found by the process's own mappings: whatever its directory is
//! called, and whoever the process is inside its container.

use crate::facts::ProcessFacts;
use crate::modules::Maps;
use crate::perf_data::{self, Value};
use leakscope_profile::timeline::{GarbageCollector, GcCounter, Java};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Larger files are read in part. HotSpot's has 32 KiB unless it is told otherwise.
const MOST_BYTES: usize = 256 << 10;
/// Generations and collectors that are told apart.
const MOST: usize = 3;
/// G1 adds some bytes to each capacity, so that none is 0.
const PADDING: u64 = 1 << 10;

/// The performance data of one process, held open: its name is removed when somebody tidies up the temporary directory.
#[derive(Debug)]
pub(crate) struct JvmCounters {
    file: File,
    buffer: Vec<u8>,
}

impl JvmCounters {
    /// Finds the file. `None` where there is none: no JVM, not yet, or one with `-XX:-UsePerfData` or
    /// `-XX:+PerfDisableSharedMem`.
    pub(crate) fn find(facts: &ProcessFacts) -> Option<Self> {
        let name = facts.status().inside_pid.to_string();
        let maps = Maps::of(facts.pid);
        let is_it = |path: &str| {
            path.rsplit_once('/').is_some_and(|(folder, file)| file == name && folder.contains("/hsperfdata_"))
        };
        let mapping = maps.find_path(is_it)?;
        let by_path = || facts.root.open(Path::new(mapping.path())).ok().filter(|_| !mapping.is_deleted());
        let file = by_path().or_else(|| mapping.open(facts.pid))?;
        let bytes = file.metadata().ok()?.len().min(MOST_BYTES as u64);
        Some(Self { file, buffer: vec![0; bytes as usize] })
    }

    /// The figures now; `None` if the file makes no sense.
    pub(crate) fn read(&mut self) -> Option<Java> {
        let length = self.file.read_at(&mut self.buffer, 0).ok()?;
        figures(self.buffer.get(..length)?)
    }
}

/// What is picked up on the way through the file.
#[derive(Default)]
struct Found<'a> {
    used: u64,
    capacity: [u64; MOST],
    most_capacity: [u64; MOST],
    collectors: [Option<(&'a str, u64)>; MOST],
    policy: &'a str,
    metaspace: (u64, u64),
    classes: (u64, u64),
}

fn figures(bytes: &[u8]) -> Option<Java> {
    let mut found = Found::default();
    perf_data::visit(bytes, |name, value| {
        let _ = found.take(name, value);
    })?;
    Some(found.java())
}

impl<'a> Found<'a> {
    fn take(&mut self, name: &str, value: Value<'a>) -> Option<()> {
        let number = if let Value::Number(number) = value { number } else { 0 };
        let Some(rest) = name.strip_prefix("sun.gc.") else {
            match name {
                "java.cls.loadedClasses" | "java.cls.sharedLoadedClasses" => add(&mut self.classes.0, number),
                "java.cls.unloadedClasses" | "java.cls.sharedUnloadedClasses" => add(&mut self.classes.1, number),
                _ => {}
            }
            return None;
        };
        match (rest, value) {
            ("metaspace.used", _) => self.metaspace.0 = number,
            ("metaspace.capacity", _) => self.metaspace.1 = number,
            ("policy.name", Value::Text(text)) => self.policy = text,
            _ => {}
        }
        let (kind, rest) = rest.split_once('.')?;
        let (index, what) = rest.split_once('.')?;
        let index: usize = index.parse().ok().filter(|index| *index < MOST)?;
        match (kind, what, value) {
            ("generation", "capacity", _) => *self.capacity.get_mut(index)? = number,
            ("generation", "maxCapacity", _) => *self.most_capacity.get_mut(index)? = number,
            ("generation", _, _) if what.starts_with("space.") && what.ends_with(".used") => {
                add(&mut self.used, number)
            }
            ("collector", "name", Value::Text(text)) => {
                self.collectors.get_mut(index)?.get_or_insert((text, 0)).0 = text
            }
            ("collector", "invocations", _) => self.collectors.get_mut(index)?.get_or_insert(("", 0)).1 = number,
            _ => {}
        }
        Some(())
    }

    fn java(&self) -> Java {
        let collector = self.collector();
        let count = |index: usize| self.collectors.get(index).copied().flatten().map_or(0, |(_, count)| count);
        // Each generation of G1 and ZGC may become as large as the heap.
        let shares_heap = matches!(collector, GarbageCollector::G1 | GarbageCollector::Z);
        let most = self.most_capacity.iter();
        let most = if shares_heap { most.max().copied().unwrap_or(0) } else { sum(most) };
        let (young, full) = match collector {
            GarbageCollector::Z => (0, 2),
            _ => (0, 1),
        };
        Java {
            collector,
            counter: match collector {
                _ if self.collectors.iter().all(Option::is_none) => GcCounter::None,
                GarbageCollector::Z | GarbageCollector::Shenandoah => GcCounter::Phases,
                _ => GcCounter::Collections,
            },
            heap_used_bytes: self.used,
            heap_committed_bytes: sum(self.capacity.iter()) / PADDING * PADDING,
            heap_max_bytes: most / PADDING * PADDING,
            metaspace_used_bytes: self.metaspace.0,
            metaspace_committed_bytes: self.metaspace.1,
            young_gcs: count(young),
            full_gcs: count(full),
            concurrent_pauses: if collector == GarbageCollector::G1 { count(2) } else { 0 },
            classes: self.classes.0.saturating_sub(self.classes.1),
        }
    }

    fn collector(&self) -> GarbageCollector {
        let named = |start: &str| self.collectors.iter().flatten().any(|(name, _)| name.starts_with(start));
        match self.policy {
            "GarbageFirst" => GarbageCollector::G1,
            "Copy:MSC" => GarbageCollector::Serial,
            "ParScav:MSC" => GarbageCollector::Parallel,
            _ if named("Shenandoah") => GarbageCollector::Shenandoah,
            // JDK 11 says nothing at all under ZGC.
            "" if named("Z") || self.collectors.iter().all(Option::is_none) => GarbageCollector::Z,
            _ => GarbageCollector::Other,
        }
    }
}

fn add(sum: &mut u64, number: u64) {
    *sum = sum.saturating_add(number);
}

fn sum<'a>(numbers: impl Iterator<Item = &'a u64>) -> u64 {
    numbers.fold(0, |sum, number| sum.saturating_add(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf_data::tests::file;

    fn read(texts: &[(&str, &str)], numbers: &[(&str, u64)]) -> Java {
        let texts = texts.iter().map(|(name, text)| (*name, Value::Text(text)));
        let numbers = numbers.iter().map(|(name, number)| (*name, Value::Number(*number)));
        let entries: Vec<(&str, Value<'_>)> = texts.chain(numbers).collect();
        figures(&file(&entries)).unwrap()
    }

    /// As JDK 17 had it after two full collections, with a heap of 256 MiB at most.
    #[test]
    fn g1() {
        let java = read(
            &[
                ("sun.gc.collector.0.name", "G1 young collection pauses"),
                ("sun.gc.collector.1.name", "G1 full collection pauses"),
                ("sun.gc.collector.2.name", "G1 concurrent cycle pauses"),
                ("sun.gc.policy.name", "GarbageFirst"),
            ],
            &[
                ("java.cls.loadedClasses", 700),
                ("java.cls.sharedLoadedClasses", 60),
                ("java.cls.unloadedClasses", 4),
                ("sun.gc.collector.0.invocations", 14),
                ("sun.gc.collector.1.invocations", 2),
                ("sun.gc.collector.2.invocations", 22),
                ("sun.gc.generation.0.capacity", 88_080_408),
                ("sun.gc.generation.0.maxCapacity", 268_435_480),
                ("sun.gc.generation.0.space.0.used", 1_048_576),
                ("sun.gc.generation.0.space.2.used", 100_232),
                ("sun.gc.generation.1.capacity", 101_711_880),
                ("sun.gc.generation.1.maxCapacity", 268_435_464),
                ("sun.gc.generation.1.space.0.capacity", 101_711_880),
                ("sun.gc.generation.1.space.0.used", 84_591_384),
                ("sun.gc.metaspace.capacity", 5_636_096),
                ("sun.gc.metaspace.used", 5_468_824),
            ],
        );
        let expected = Java {
            collector: GarbageCollector::G1,
            counter: GcCounter::Collections,
            heap_used_bytes: 85_740_192,
            heap_committed_bytes: 189_792_256,
            heap_max_bytes: 256 << 20,
            metaspace_used_bytes: 5_468_824,
            metaspace_committed_bytes: 5_636_096,
            young_gcs: 14,
            full_gcs: 2,
            concurrent_pauses: 22,
            classes: 756,
        };
        assert_eq!(java, expected);
    }

    #[test]
    fn counters_that_count_no_collections_are_told() {
        let capacity = ("sun.gc.generation.1.maxCapacity", 256 << 20);
        let z = read(
            &[("sun.gc.collector.2.name", "Z concurrent cycle pauses")],
            &[("sun.gc.collector.2.invocations", 9), capacity],
        );
        assert_eq!((z.collector, z.counter, z.full_gcs), (GarbageCollector::Z, GcCounter::Phases, 9));
        let generational = read(
            &[
                ("sun.gc.collector.0.name", "ZGC minor collection pauses"),
                ("sun.gc.collector.2.name", "ZGC major collection pauses"),
            ],
            &[
                ("sun.gc.collector.0.invocations", 27),
                ("sun.gc.collector.2.invocations", 36),
                ("sun.gc.generation.0.maxCapacity", 256 << 20),
                capacity,
            ],
        );
        assert_eq!((generational.young_gcs, generational.full_gcs, generational.heap_max_bytes), (27, 36, 256 << 20));
        let shenandoah = read(
            &[("sun.gc.collector.1.name", "Shenandoah full")],
            &[("sun.gc.collector.1.invocations", 56), capacity],
        );
        assert_eq!((shenandoah.collector, shenandoah.full_gcs), (GarbageCollector::Shenandoah, 56));
        assert_eq!(shenandoah.counter, GcCounter::Phases);
        let z11 = read(&[], &[capacity]);
        assert_eq!((z11.collector, z11.counter), (GarbageCollector::Z, GcCounter::None));
    }

    #[test]
    fn generations_of_their_own_add_up() {
        let numbers =
            [("sun.gc.generation.0.maxCapacity", 89_456_640), ("sun.gc.generation.1.maxCapacity", 178_978_816)];
        let java = read(&[("sun.gc.policy.name", "Copy:MSC"), ("sun.gc.collector.1.name", "MSC")], &numbers);
        assert_eq!((java.collector, java.heap_max_bytes), (GarbageCollector::Serial, 256 << 20));
    }

    #[test]
    fn indices_out_of_range_are_passed_over() {
        let java =
            read(&[], &[("sun.gc.generation.9.capacity", 7), ("sun.gc.generation.18446744073709551616.used", 7)]);
        assert_eq!(java.heap_committed_bytes, 0);
    }
}
