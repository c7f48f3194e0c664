//! Sessions written by an enemy: no panic, no hang, no unbounded memory, and a profile that holds together.

mod support;

use leakscope_collect::{Collector, Governor, NoNames, Occasion, ProcessFacts, SharedSession};
use leakscope_session::frame::FrameWord;
use leakscope_session::header::{self, Word};
use leakscope_session::java::{Line, Method};
use leakscope_session::modules::Range;
use leakscope_session::view::Sizes;
use std::sync::atomic::Ordering;
use support::Writer;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 7
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

const SIZES: Sizes = Sizes {
    live_buckets: 64,
    live_segments: 3,
    node_index: 1 << 10,
    nodes: 768,
    stack_index: 256,
    stacks: 128,
    ring: 128,
    methods: 32,
    lines: 64,
    names: 256,
    modules: 8,
    regions: 32,
    threads: 16,
};

fn valid() -> Writer {
    let writer = Writer::new(&SIZES);
    let session = writer.session();
    let name = session.java.push_name(b"Lcom/acme/Foo;").unwrap();
    let method = Method { id: 0x1000, class: name, name, signature: name, source: name };
    session.java.push_method(&method).unwrap();
    session.modules.note(&Range { start: 0x1000, end: 0x9000, bias: 0x1000 }, b"/nonexistent/lib.so");
    for i in 0..60u64 {
        let frames = [FrameWord::native(0x1000 + i * 64), FrameWord::java(0x1000, i as i32), FrameWord::native(0x8000)];
        let stack = writer.allocate(0x7f00_0000_0000 + i as usize * 48, i + 1, (i % 2) as u16, &frames);
        writer.map(0x7e00_0000_0000 + i * 8192, 0x7e00_0000_1000 + i * 8192, stack);
        session.java.push_line(&Line { frame: frames[1].0, line: 7, method: 0 });
        session.ring.push(&[i % 4, 0, 0, 0, 0, 0]);
    }
    writer
}

/// A word that an enemy would try: small, huge, a neighbour of the old one, anything.
fn evil(random: &mut Random, old: u64) -> u64 {
    match random.below(8) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << random.below(64),
        3 => old ^ 1 << random.below(64),
        4 => old.wrapping_add(1),
        5 => random.next() % 100,
        6 => (random.next() << 32) | (random.next() % 100),
        _ => random.next().wrapping_mul(0x9E37_79B9_7F4A_7C15),
    }
}

fn survive(writer: &Writer, facts: &ProcessFacts) {
    let Ok(shared) = SharedSession::open(writer.descriptor(), None) else { return };
    let mut collector = Collector::new(shared).governed(Some(Governor::allowing(2.0)));
    collector.drain(true);
    for _ in 0..2 {
        collector.govern(facts);
        let occasion = Occasion { is_awaited: true, ..Occasion::default() };
        let profile = collector.snapshot(facts, &mut NoNames, &occasion);
        profile.check().unwrap();
        let frames: usize = profile.stacks.iter().map(|s| s.frames.len()).sum();
        assert!(frames < 1 << 18 && profile.rows.len() < 1 << 12);
        let sums = collector.tracked();
        assert!(sums.len() <= 4 && sums.values().all(|sum| sum.bytes.is_finite() && sum.bytes_variance.is_finite()));
    }
}

#[test]
fn random_mutations_are_survived() {
    let facts = ProcessFacts::gather(u32::MAX);
    let fixed = [Word::Magic as usize, Word::Version as usize];
    for seed in 0..400 {
        let mut random = Random(seed);
        let writer = valid();
        let words = writer.words();
        // The header is where a single word does most; the sizes are mutated in few rounds, for they end the game.
        for _ in 0..1 + random.below(60) {
            let at = if random.below(2) == 0 { random.below(header::BYTES / 8) } else { random.below(words.len()) };
            let is_size = (Word::Sizes as usize..Word::Intervals as usize).contains(&at);
            if fixed.contains(&at) || (is_size && seed % 16 != 0) {
                continue;
            }
            words[at].store(evil(&mut random, words[at].load(Ordering::Relaxed)), Ordering::Relaxed);
        }
        survive(&writer, &facts);
    }
}

#[test]
fn a_session_full_of_noise_is_survived() {
    // Of a process that lives, so that the noise is compared with what is mapped and what is in memory.
    let facts = ProcessFacts::gather(std::process::id());
    for seed in 0..8 {
        let mut random = Random(1_000 + seed);
        let writer = valid();
        for word in &writer.words()[header::BYTES / 8..] {
            word.store(evil(&mut random, 0), Ordering::Relaxed);
        }
        for at in Word::Intervals as usize..header::BYTES / 8 {
            writer.words()[at].store(evil(&mut random, 0), Ordering::Relaxed);
        }
        survive(&writer, &facts);
    }
}
