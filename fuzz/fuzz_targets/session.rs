//! Any words written over a valid session: a snapshot and a drain return, and the profile is sound.
//!
//! Input: a byte that says whose session it is, then records of 12 bytes, each the index of a word (32 bits) and its new
//! value (64 bits). With an odd byte it is this process's own, which lives, maps the session and has threads: regions
//! and threads are compared with what /proc says. With an even one it is that of a process which is gone.
#![no_main]

use leakscope_collect::{Collector, Governor, NoNames, Occasion, ProcessFacts, SharedSession};
use leakscope_session::frame::FrameWord;
use leakscope_session::header::Word;
use leakscope_session::java::{Line, Method};
use leakscope_session::modules::Range;
use leakscope_session::view::Sizes;
use libfuzzer_sys::fuzz_target;
use std::sync::atomic::Ordering;

#[path = "../../crates/collect/tests/support/mod.rs"]
mod support;

/// Small, so that most words mean something.
const SIZES: Sizes = Sizes {
    live_buckets: 16,
    live_segments: 2,
    node_index: 256,
    nodes: 192,
    stack_index: 64,
    stacks: 32,
    ring: 32,
    methods: 16,
    lines: 16,
    names: 64,
    modules: 4,
    regions: 16,
    threads: 8,
};

fn valid() -> support::Writer {
    let writer = support::Writer::new(&SIZES);
    let session = writer.session();
    let name = session.java.push_name(b"Lcom/acme/Foo;").expect("room for a name");
    session.java.push_method(&Method { id: 0x1000, class: name, name, signature: name, source: name });
    session.modules.note(&Range { start: 0x1000, end: 0x9000, bias: 0x1000 }, b"/nonexistent");
    // One mapping and one thread that are really there: the first thread has the number of its process.
    let page = writer.words().as_ptr() as u64;
    writer.map(page, page + 8192, std::process::id());
    for i in 0..20u64 {
        let frames = [FrameWord::native(0x1000 + i * 64), FrameWord::java(0x1000, i as i32)];
        let stack = writer.allocate(0x7f00_0000_0000 + i as usize * 48, i + 1, (i % 2) as u16, &frames);
        writer.map(0x7e00_0000_0000 + i * 8192, 0x7e00_0000_1000 + i * 8192, stack);
        session.java.push_line(&Line { frame: frames[1].0, line: 7, method: 0 });
        session.ring.push(&[i % 4, 0, 0, 0, 0, 0]);
    }
    writer
}

fuzz_target!(|bytes: &[u8]| {
    let Some((whose, records)) = bytes.split_first() else { return };
    let writer = valid();
    let words = writer.words();
    let pid = if whose & 1 == 1 { std::process::id() } else { u32::MAX };
    writer.session().header.set(Word::Pid, u64::from(pid));
    for record in records.chunks_exact(12) {
        let (index, value) = record.split_at(4);
        let index = u32::from_le_bytes(index.try_into().expect("4 bytes")) as usize % words.len();
        words[index].store(u64::from_le_bytes(value.try_into().expect("8 bytes")), Ordering::Relaxed);
    }
    let Ok(shared) = SharedSession::open(writer.descriptor(), None) else { return };
    let mut collector = Collector::new(shared).governed(Some(Governor::allowing(2.0)));
    let facts = ProcessFacts::gather(pid);
    collector.drain(pid == u32::MAX);
    collector.govern(&facts);
    collector.govern(&facts);
    collector.tracked();
    // Twice: what was learnt from the first must not spoil the second.
    for _ in 0..2 {
        let profile = collector.snapshot(&facts, &mut NoNames, &Occasion::default());
        profile.check().expect("a snapshot is sound");
    }
});
