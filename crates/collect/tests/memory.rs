//! What a snapshot costs the collector in memory, which it shares with the target: the worst session there can be.
//!
//! One test, so that nothing else of this process is measured. `leakscope_itself_stays_small` is the same end to end.

mod support;

use leakscope_collect::{Collector, KnownModule, NativeName, NativeNames, Occasion, ProcessFacts};
use leakscope_profile::Profile;
use leakscope_session::frame::FrameWord;
use leakscope_session::header::{Count, Word};
use leakscope_session::java::{JavaTable, Line, Method};
use leakscope_session::live::Entry;
use leakscope_session::modules::Range;
use leakscope_session::view::Sizes;
use std::fs;
use std::fs::File;
use std::sync::atomic::Ordering;
use support::Writer;

/// 64 MiB, less what leakscope takes beside a target before it takes a snapshot: 11 MiB.
const MOST_KIB: u64 = 53 << 10;
/// Live stacks: as many as a default recording has room for.
const STACKS: u64 = 1 << 17;
/// Stacks of which nothing is live any more: Spark leaves so many.
const IDLE: u64 = 150_000;
/// Epochs in which each of them allocated.
const EPOCHS: u64 = 4;
const METHODS: u64 = 25_000;
const JAVA_FRAMES: u64 = 80_000;
const NATIVE_FRAMES: u64 = 50_000;
/// Frames of a stack that few others share, and those that all begin with.
const OWN: u64 = 32;
const SHARED: u64 = 68;

/// Names each function after its address, at length: one for four addresses.
struct LongNames;

impl NativeNames for LongNames {
    fn build_id(&mut self, _: &File) -> String {
        String::new()
    }
    fn build_id_in_memory(&mut self, _: &File, _: u64) -> String {
        String::new()
    }
    fn names(&mut self, _: &KnownModule, _: Option<File>, addresses: &[u64]) -> Vec<Option<NativeName>> {
        let name = |address: &u64| NativeName {
            name: format!("rocksdb::BlockBasedTable::IndexReaderCommon::GetOrReadIndexBlock{:x}(bool)", address / 16),
            system_name: format!(
                "_ZN7rocksdb15BlockBasedTable17IndexReaderCommon19GetOrReadIndexBlock{:x}Eb",
                address / 16
            ),
        };
        addresses.iter().map(|address| Some(name(address))).collect()
    }
}

fn fill_java(java: &JavaTable<'_>) {
    let push = |text: String| java.push_name(text.as_bytes()).expect("room for a name");
    for n in 0..METHODS {
        let method = Method {
            id: 0x7f00_0000_0000 + n * 8,
            class: push(format!("Lorg/apache/spark/sql/catalyst/expressions/codegen/GeneratedClass{};", n / 8)),
            name: push(format!("processNext_doConsume_{n}")),
            signature: push("(Lorg/apache/spark/sql/catalyst/InternalRow;IIZ)V".to_owned()),
            source: push(format!("GeneratedClass{}.java", n / 8)),
        };
        java.push_method(&method).expect("room for a method");
    }
    for n in 0..JAVA_FRAMES {
        let method = (n % METHODS) as u32;
        assert!(java.push_line(&Line { frame: java_frame(n).0, line: n as u32, method }));
    }
}

fn java_frame(n: u64) -> FrameWord {
    FrameWord::java(0x7f00_0000_0000 + n % METHODS * 8, (n / METHODS) as i32)
}

fn mix(n: u64) -> u64 {
    let n = (n ^ n >> 15).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (n ^ n >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20
}

fn frames(stack: u64) -> Vec<FrameWord> {
    let mut frames: Vec<FrameWord> = (0..OWN)
        .map(|level| match mix(stack * 64 + level) {
            n if level < 8 => FrameWord::native(0x10_0000 + n % NATIVE_FRAMES * 4),
            n => java_frame(n % JAVA_FRAMES),
        })
        .collect();
    frames.extend((0..SHARED).map(java_frame));
    frames
}

fn fill(writer: &Writer) {
    let session = writer.session();
    fill_java(&session.java);
    let range = Range { start: 0x10_0000, end: 0x10_0000 + NATIVE_FRAMES * 4 + 1, bias: 0 };
    assert!(session.modules.note(&range, b"/nonexistent/librocksdbjni.so"));
    session.header.count(Count::LiveSegments).unwrap().store(5, Ordering::Relaxed);
    for n in 0..STACKS {
        let stack = writer.allocate(0x7e00_0000_0000 + n as usize * 64, 32, 0, &frames(n));
        for epoch in 1..EPOCHS {
            let entry = Entry { size: 32, birth_ms: n, interval: 0, stack, epoch: epoch as u32 };
            session.live.insert(0x7d00_0000_0000 + (n * EPOCHS + epoch) as usize * 64, &entry);
        }
    }
    session.header.set(Word::Epoch, EPOCHS);
    for n in 0..IDLE {
        writer.allocate(0x1000, 16, 0, &[java_frame(n % JAVA_FRAMES), FrameWord::native(0x10_0000 + n)]);
        session.live.take(0x1000).unwrap();
    }
}

/// A figure of /proc/self/status in KiB.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// As the CLI does.
#[allow(unsafe_code)] // the allocator's own settings
fn keep_large_blocks_apart() {
    // SAFETY: takes integers.
    assert_eq!(unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10) }, 1);
}

#[allow(unsafe_code)]
fn give_back() {
    // SAFETY: takes an integer.
    unsafe { libc::malloc_trim(0) };
}

fn live(profile: &Profile) -> (u64, u64) {
    profile.rows.iter().fold((0, 0), |sum, row| (sum.0 + row.samples, sum.1 + row.bytes_observed))
}

#[test]
fn the_worst_session_fits_beside_the_target() {
    keep_large_blocks_apart();
    // Room for the blocks as well, which a session of the default size has not.
    let writer = Writer::new(&Sizes::EXACT);
    fill(&writer);
    let shared = writer.shared();
    drop(writer);
    let mut collector = Collector::new(shared);
    let facts = ProcessFacts::gather(u32::MAX);
    // 5: forget the peak.
    fs::write("/proc/self/clear_refs", "5").expect("a kernel that can reset VmHWM");
    let before = status("VmHWM");
    for _ in 0..2 {
        let profile = collector.snapshot(&facts, &mut LongNames, &Occasion::default());
        assert_eq!(live(&profile), (STACKS * EPOCHS, STACKS * EPOCHS * 32), "nothing is lost, but for who it was");
        assert_eq!(profile.losses.keys().collect::<Vec<_>>(), ["stacks_merged"], "{:?}", profile.losses);
        assert!(profile.losses["stacks_merged"] > 100_000);
        assert!(profile.stacks.len() > 12_000 && profile.functions.len() > 25_000, "as large as they come");
        leakscope_profile::write(&profile, &mut std::io::sink()).unwrap();
        drop(profile);
        give_back();
    }
    let grown = status("VmHWM").saturating_sub(before);
    println!("{grown} KiB at most, from {before} KiB");
    assert!(grown <= MOST_KIB, "{grown} KiB");
}
