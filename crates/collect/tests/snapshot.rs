//! Snapshots of sessions that were made in the test.

mod support;

use leakscope_collect::{
    Collector, KnownModule, NativeName, NativeNames, NoNames, Occasion, PartsReader, ProcessFacts, SharedSession,
};
use leakscope_profile::timeline::Class;
use leakscope_profile::{Code, Kind, Profile, Row};
use leakscope_session::depot::Counter;
use leakscope_session::frame::{FrameWord, Marker};
use leakscope_session::header::{Count, Word};
use leakscope_session::java::{Line, Method, NameRef};
use leakscope_session::losses::Loss;
use leakscope_session::modules::Range;
use leakscope_session::regions::{Region, RegionKind};
use leakscope_session::threads::Thread;
use leakscope_session::view::Sizes;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use support::{ALL_SEALS, Writer, memfd};

fn facts() -> ProcessFacts {
    ProcessFacts::gather(std::process::id())
}

fn take(collector: &mut Collector, facts: &ProcessFacts, names: &mut dyn NativeNames) -> Profile {
    let occasion =
        Occasion { index: Some(3), reason: "request".into(), version: "1.2.3".into(), ..Occasion::default() };
    let profile = collector.snapshot(facts, names, &occasion);
    profile.check().unwrap();
    profile
}

fn names_of(profile: &Profile, row: &Row) -> Vec<String> {
    let stack = &profile.stacks[row.stack.0 as usize];
    let function = |frame: &leakscope_profile::FrameId| profile.frames[frame.0 as usize].function;
    stack.frames.iter().map(|f| profile.functions[function(f).0 as usize].name.clone()).collect()
}

#[test]
fn rows_are_sums_by_stack_epoch_and_interval() {
    let writer = Writer::new(&Sizes::SMALL);
    let (a, b) = ([FrameWord(0x1000)], [FrameWord(0x2000)]);
    writer.allocate(0x7f00_0000_0010, 100, 0, &a);
    writer.allocate(0x7f00_0000_0020, 300, 0, &a);
    writer.allocate(0x7f00_0000_0030, 524_288, 1, &a);
    writer.allocate(0x7f00_0000_0040, 7, 0, &b);
    let mut collector = Collector::new(writer.shared());
    let first = take(&mut collector, &facts(), &mut NoNames);
    assert_eq!(writer.session().header.get(Word::Epoch), 1, "the snapshot closes epoch 0");
    let key = |row: &Row| (row.epoch, row.interval_bytes, row.samples, row.bytes_observed, row.smallest_bytes);
    assert_eq!(
        first.rows.iter().map(key).collect::<Vec<_>>(),
        [(0, 1, 2, 400, 100), (0, 524_288, 1, 524_288, 524_288), (0, 1, 1, 7, 7)]
    );
    assert_eq!(first.rows[0].bytes, 400.0);
    assert!((first.rows[1].bytes / 524_288.0 - 1.582).abs() < 0.001);
    assert_eq!(first.rows[0].oldest_ms, 100);
    assert_eq!((first.snapshot.index, first.snapshot.epoch, first.snapshot.session[0]), (3, 0, 7));
    assert_eq!(first.stacks[0].totals.samples, 3);

    // One block dies, one is born: the second snapshot tells the epochs apart.
    writer.session().live.take(0x7f00_0000_0010).unwrap();
    writer.allocate(0x7f00_0000_0050, 9, 0, &a);
    let second = take(&mut collector, &facts(), &mut NoNames);
    assert_eq!(second.snapshot.epoch, 1);
    let of_a: Vec<_> = second.rows.iter().filter(|r| r.stack.0 == 0 && r.interval_bytes == 1).map(key).collect();
    assert_eq!(of_a, [(0, 1, 1, 300, 300), (1, 1, 1, 9, 9)]);
}

#[test]
fn sums_by_kind_are_those_of_the_rows_without_the_jvms_own() {
    let writer = Writer::new(&Sizes::SMALL);
    for n in 0..40u64 {
        writer.allocate(0x7f00_0000_0010 + n as usize * 64, 100 + n * 1000, (n % 2) as u16, &[FrameWord(0x1000 + n)]);
    }
    let session = writer.session();
    session.modules.note(&Range { start: 0x10_0000, end: 0x20_0000, bias: 0 }, b"/jvm/lib/server/libjvm.so");
    session.modules.note(&Range { start: 0x30_0000, end: 0x40_0000, bias: 0 }, b"/jvm/lib/libnio.so");
    let stack = |frames: &[FrameWord]| session.depot.intern(frames).stack;
    let (jvm, nio) = (FrameWord(0x10_0010), FrameWord(0x30_0010));
    let java = FrameWord::java(0x1000, 3);
    // What libjvm maps is the JVM's own; a thread that Java code starts is not.
    writer.map(0x7e00_0000_0000, 0x7e00_0001_0000, stack(&[jvm]));
    writer.map(0x7e00_1000_0000, 0x7e00_1000_2000, stack(&[nio, java]));
    writer.map(0x7e00_2000_0000, 0x7e00_2000_4000, stack(&[jvm, java]));
    let mut collector = Collector::new(writer.shared());
    let profile = take(&mut collector, &ProcessFacts::gather(u32::MAX), &mut NoNames);
    let own = leakscope_profile::JvmsOwnRows::of(&profile);
    let sums = collector.tracked();
    for kind in [Kind::Malloc, Kind::MmapAnon, Kind::Thread] {
        let rows = || profile.rows.iter().filter(|row| row.kind == kind && !own.contains(&profile, row));
        let sum = sums[kind.as_str()];
        assert_eq!(sum.samples, rows().map(|row| row.samples).sum::<u64>(), "{kind:?}");
        assert_eq!(sum.bytes_observed, rows().map(|row| row.bytes_observed).sum::<u64>(), "{kind:?}");
        assert_eq!(sum.bytes, rows().map(|row| row.bytes).sum::<f64>().round(), "{kind:?}");
        assert_eq!(sum.bytes_variance, rows().map(|row| row.bytes_variance).sum::<f64>().round(), "{kind:?}");
    }
    assert_eq!((sums["malloc"].samples, sums["malloc"].interval_bytes), (40, 524_288));
    assert_eq!((sums["mmap-anon"].samples, sums["mmap-anon"].bytes), (1, 8192.0));
    assert_eq!(sums["thread"].samples, 2, "by Java code");
    assert!(!sums.contains_key("mmap-file"));
}

#[test]
fn what_is_born_after_the_epoch_closed_is_left_out() {
    let writer = Writer::new(&Sizes::SMALL);
    writer.allocate(0x1000, 10, 0, &[FrameWord(1)]);
    writer.session().header.set(Word::Epoch, 5);
    writer.allocate(0x2000, 20, 0, &[FrameWord(1)]);
    writer.session().header.set(Word::Epoch, 0);
    let profile = take(&mut Collector::new(writer.shared()), &facts(), &mut NoNames);
    assert_eq!(profile.rows.iter().map(|r| r.bytes_observed).collect::<Vec<_>>(), [10]);
}

#[test]
fn a_stack_that_has_no_live_block_keeps_its_totals() {
    let writer = Writer::new(&Sizes::SMALL);
    let stack = writer.allocate(0x1000, 64, 0, &[FrameWord(1)]);
    writer.session().live.take(0x1000).unwrap();
    let depot = writer.session().depot;
    depot.count(stack, Counter::Variance, 3);
    depot.count(stack, Counter::FreesGc, 1);
    depot.count(stack, Counter::FreedGc, 64);
    let profile = take(&mut Collector::new(writer.shared()), &facts(), &mut NoNames);
    assert!(profile.rows.is_empty());
    let totals = profile.stacks[0].totals;
    assert_eq!((totals.samples, totals.bytes, totals.objects), (1, 64.0, 1.0));
    assert_eq!(totals.bytes_variance, 3.0 * 1_048_576.0);
    assert_eq!((totals.frees_gc, totals.freed_by_gc, totals.frees_app), (1, 64.0, 0));
}

#[test]
fn java_frames_get_their_names_as_the_table_grows() {
    let writer = Writer::new(&Sizes::SMALL);
    let (known, late) = (FrameWord::java(0x7f00_0000_1000, 5), FrameWord::java(0x7f00_0000_2000, -3));
    writer.allocate(0x1000, 10, 0, &[known, late, FrameWord::marker(Marker::Truncated)]);
    let java = writer.session().java;
    let push = |class: &[u8], name: &[u8], signature: &[u8], source: &[u8], frame: FrameWord, line| {
        let text = |t: &[u8]| if t.is_empty() { NameRef(0) } else { java.push_name(t).unwrap() };
        let method =
            Method { id: 1, class: text(class), name: text(name), signature: text(signature), source: text(source) };
        let method = java.push_method(&method).unwrap();
        assert!(java.push_line(&Line { frame: frame.0, line, method }));
    };
    push(b"Lcom/acme/log/ExceptionLogger;", b"compress", b"([B)V", b"ExceptionLogger.java", known, 88);
    let mut collector = Collector::new(writer.shared());
    let first = take(&mut collector, &facts(), &mut NoNames);
    let names = names_of(&first, &first.rows[0]);
    assert_eq!(names, ["com.acme.log.ExceptionLogger.compress", "[unresolved java method]", "[truncated]"]);
    let function = &first.functions[0];
    assert_eq!(function.system_name, "com/acme/log/ExceptionLogger.compress([B)V");
    assert_eq!(function.file, "com/acme/log/ExceptionLogger.java");
    assert_eq!((first.frames[0].code, first.frames[0].line), (Code::Java, 88));

    push(b"Ljava/util/zip/Deflater;", b"init", b"(IIZ)J", b"", late, 0);
    let second = take(&mut collector, &facts(), &mut NoNames);
    assert_eq!(names_of(&second, &second.rows[0])[1], "java.util.zip.Deflater.init");
}

/// Knows one function, and counts how often it is asked.
#[derive(Default)]
struct OneFunction {
    asked: Vec<u64>,
}

impl NativeNames for OneFunction {
    fn build_id(&mut self, _: &File) -> String {
        "abcd".into()
    }
    fn build_id_in_memory(&mut self, _: &File, _: u64) -> String {
        String::new()
    }
    fn names(&mut self, module: &KnownModule, file: Option<File>, addresses: &[u64]) -> Vec<Option<NativeName>> {
        assert!(file.is_some() && module.module.build_id == "abcd");
        self.asked.extend(addresses);
        let name = NativeName { name: "foo::bar".into(), system_name: "_ZN3foo3barEv".into() };
        addresses.iter().map(|a| (a % 2 == 0).then(|| name.clone())).collect()
    }
}

#[test]
fn native_frames_are_named_once_by_module() {
    let writer = Writer::new(&Sizes::SMALL);
    let exe = std::fs::read_link("/proc/self/exe").unwrap();
    let range = Range { start: 0x10_0000, end: 0x20_0000, bias: 0x10_0000 };
    assert!(writer.session().modules.note(&range, b""));
    writer.allocate(0x1000, 10, 0, &[FrameWord(0x10_0100), FrameWord(0x10_0101), FrameWord(0x30_0000)]);
    let mut names = OneFunction::default();
    let mut collector = Collector::new(writer.shared());
    let facts = facts();
    let file = exe.file_name().unwrap().to_str().unwrap();
    for _ in 0..2 {
        let profile = take(&mut collector, &facts, &mut names);
        let found = names_of(&profile, &profile.rows[0]);
        assert_eq!(found, ["foo::bar".to_owned(), format!("{file}+0x101"), "0x300000".to_owned()]);
        assert_eq!(
            (profile.modules[0].path.as_str(), profile.modules[0].build_id.as_str()),
            (exe.to_str().unwrap(), "abcd")
        );
    }
    assert_eq!(names.asked, [0x10_0100, 0x10_0101]);
}

#[test]
fn losses_and_settings_travel() {
    let writer = Writer::new(&Sizes::SMALL);
    writer.session().losses.add(Loss::MissedFrees, 4);
    writer.session().header.set(Word::CurrentInterval, 1);
    let mut occasion = Occasion { reason: "final".into(), version: "9".into(), ..Occasion::default() };
    occasion.losses.insert("snapshots_unwritten".into(), 2);
    let profile = Collector::new(writer.shared()).snapshot(&facts(), &mut NoNames, &occasion);
    assert_eq!(
        profile.losses.into_iter().collect::<Vec<_>>(),
        [("missed_frees".into(), 4), ("snapshots_unwritten".into(), 2)]
    );
    assert_eq!((profile.settings.interval_bytes, profile.settings.native_depth), (524_288, 64));
    assert_eq!((profile.snapshot.reason.as_str(), profile.snapshot.index), ("final", 0));
    assert!(profile.memory.rss_bytes > 0);
}

/// The tree is read in one sweep; each stack must come out as it went in, wherever its nodes lie.
#[test]
fn stacks_come_out_as_they_went_in() {
    let sizes = Sizes { nodes: 1 << 15, node_index: 1 << 16, ..Sizes::SMALL };
    let writer = Writer::new(&sizes);
    let mut expected = Vec::new();
    for n in 0..2000u64 {
        // Branches at many depths; some stacks are the beginning of others.
        let depth = 1 + n * 7 % 60;
        let frame = |level: u64| FrameWord::native(0x1000 + level * 64 + (n >> (level % 9)) % 3);
        let frames: Vec<FrameWord> = (0..depth).rev().map(frame).collect();
        writer.allocate(0x7f00_0000_0000 + n as usize * 64, n + 1, 0, &frames);
        expected.push(frames.iter().map(|frame| frame.0).collect::<Vec<u64>>());
    }
    let profile = take(&mut Collector::new(writer.shared()), &facts(), &mut NoNames);
    let address = |id: &leakscope_profile::FrameId| match profile.frames[id.0 as usize].code {
        Code::Native { address, .. } => address,
        other => panic!("{other:?}"),
    };
    let mut found: Vec<Vec<u64>> = profile.stacks.iter().map(|s| s.frames.iter().map(address).collect()).collect();
    found.sort();
    expected.sort();
    expected.dedup();
    assert_eq!(found, expected);
}

/// The depot fills over the days; what is written at each snapshot must not.
#[test]
fn stacks_that_only_churned_are_added_up_beyond_the_largest() {
    let sizes = Sizes { stacks: 1 << 16, stack_index: 1 << 17, nodes: 1 << 17, node_index: 1 << 18, ..Sizes::SMALL };
    let writer = Writer::new(&sizes);
    let (count, kept) = (20_000u64, 1 << 14);
    for i in 0..count {
        writer.allocate(0x1000, i + 1, 0, &[FrameWord::native(0x10_0000 + i)]);
        writer.session().live.take(0x1000).unwrap();
    }
    writer.allocate(0x1000, 1, 0, &[FrameWord::native(0x10_0000)]);
    let profile = take(&mut Collector::new(writer.shared()), &facts(), &mut NoNames);
    // The smallest is live, so it is kept as well.
    assert_eq!(profile.stacks.len(), kept + 2);
    assert_eq!(profile.losses["stacks_merged"], count - 1 - kept as u64);
    assert_eq!(profile.stacks.iter().map(|s| s.totals.samples).sum::<u64>(), count + 1);
    assert_eq!(profile.stacks.iter().map(|s| s.totals.bytes).sum::<f64>(), (count * (count + 1) / 2 + 1) as f64);
    assert_eq!(names_of(&profile, &profile.rows[0]), ["0x100000"]);
}

/// A read of a hole through the mapping would fill it, and the target's memory limit would pay for that.
#[test]
fn a_snapshot_leaves_the_holes_of_the_file_alone() {
    let writer = Writer::new(&Sizes::EXACT);
    for i in 0..1000usize {
        writer.allocate(0x7f00_0000_0000 + i * 4096, 64, 0, &[FrameWord(0x1000 + i as u64 % 7)]);
    }
    // Segments that are open and empty.
    writer.session().header.count(Count::LiveSegments).unwrap().store(10, Ordering::Relaxed);
    let mut collector = Collector::new(writer.shared());
    let before = writer.file.metadata().unwrap().blocks();
    let profile = take(&mut collector, &facts(), &mut NoNames);
    collector.drain(false);
    assert_eq!(profile.rows.iter().map(|r| r.samples).sum::<u64>(), 1000);
    let grown = (writer.file.metadata().unwrap().blocks() - before) * 512;
    assert!(grown <= 64 << 10, "{grown} bytes of holes were filled");
}

#[test]
fn only_sealed_memory_is_a_session() {
    let bytes = Sizes::SMALL.bytes().unwrap();
    let open = |file: File| SharedSession::open(file.into(), None).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(open(memfd(bytes, libc::F_SEAL_GROW)).contains("not sealed"));
    assert!(open(memfd(bytes, ALL_SEALS)).contains("not a session"));
    assert!(open(memfd(0, ALL_SEALS)).contains("too small"), "an empty file");
    assert!(open(memfd(9 << 30, ALL_SEALS)).contains("more than any session"));
    assert!(open(File::open("/proc/self/exe").unwrap()).contains("not"));
    assert!(open(tempfile::tempfile().unwrap()).contains("not"));
    let writer = Writer::new(&Sizes::SMALL);
    let announced = SharedSession::open(writer.descriptor(), Some(bytes + 1)).err().unwrap();
    assert!(announced.to_string().contains("announced"));
}

#[test]
fn the_ring_is_drained_into_sums() {
    let writer = Writer::new(&Sizes::SMALL);
    let ring = writer.session().ring;
    assert!(ring.push(&[1, 0x1000, 64, 0, 5, 0]));
    assert!(ring.push(&[2 | 1 << 8, 0x1000, 64, 0, 25, 5]));
    assert!(ring.push(&[2, 0x2000, 64, 0, 7, 5]));
    let stuck = ring.reserve().unwrap();
    assert!(ring.push(&[77, 0, 0, 0, 0, 0]));
    let mut collector = Collector::new(writer.shared());
    collector.drain(false);
    let churn = collector.churn();
    assert_eq!((churn.allocations, churn.frees, churn.frees_gc, churn.lifetimes_ms), (1, 2, 1, 22));
    assert_eq!((churn.skipped, churn.unknown), (0, 0), "a slow producer is waited for");
    collector.drain(true);
    assert_eq!((collector.churn().skipped, collector.churn().unknown), (1, 1), "a dead one is not");
    assert!(!ring.publish(stuck, &[1; 6]));
}

/// The session's memory is mapped here, so this process's own maps are what the table is compared with.
#[test]
#[allow(unsafe_code)] // asks for the thread's id
fn mappings_are_compared_with_what_is_mapped_and_threads_with_what_runs() {
    let writer = Writer::new(&Sizes::SMALL);
    let session = writer.session();
    session.header.set(Word::Pid, u64::from(std::process::id()));
    let stack = session.depot.intern(&[FrameWord(0x1000)]).stack;
    let page = writer.words().as_ptr() as u64;
    let region = |start, end, kind| Region { start, end, stack, epoch: 0, birth_ms: 9, kind, flags: 0 };
    assert!(session.regions.insert(&region(page, page + 8192, RegionKind::File)));
    assert!(session.regions.insert(&region(page + 8192, page + 12_288, RegionKind::Anonymous)));
    // Nothing is ever mapped there.
    assert!(session.regions.insert(&region(4096, 8192, RegionKind::Anonymous)));
    // SAFETY: no arguments.
    let own_tid = unsafe { libc::gettid() } as u32;
    for tid in [own_tid, u32::MAX] {
        let slot = session.threads.claim().unwrap();
        session.threads.started(slot, tid, 0);
        session
            .threads
            .publish(slot, &Thread { stack, epoch: 0, stack_bytes: 1 << 20, birth_ms: 5, ..Thread::default() });
    }
    let profile = take(&mut Collector::new(writer.shared()), &facts(), &mut NoNames);
    let mut rows: Vec<_> =
        profile.rows.iter().map(|r| (r.kind, r.samples, r.bytes_observed, r.interval_bytes)).collect();
    rows.sort();
    assert_eq!(
        rows,
        [(Kind::MmapAnon, 1, 4096, 1), (Kind::MmapFile, 1, 8192, 1), (Kind::Thread, 1, 1 << 20, 1)],
        "the thread that runs, and no page that is not mapped"
    );
    assert_eq!(profile.losses["missed_unmaps"], 1);

    // Of a process that is gone nothing can be compared.
    let gone = ProcessFacts::gather(u32::MAX);
    let profile = take(&mut Collector::new(writer.shared()), &gone, &mut NoNames);
    assert_eq!(profile.rows.iter().map(|row| row.samples).sum::<u64>(), 5);
    assert_eq!(profile.losses.get("missed_unmaps"), None);
}

/// Anonymous memory that leakscope has made in the target is not the target's, and not its allocator's.
#[test]
fn what_the_session_tells_of_is_leakscopes() {
    const BYTES: usize = 8 << 20;
    let writer = Writer::new(&Sizes::SMALL);
    let mut own = memmap2::MmapMut::map_anon(BYTES).unwrap();
    own.fill(1);
    let resident = || {
        let parts = PartsReader::of(std::process::id()).read(Some(&writer.shared()), None).unwrap();
        parts.iter().find(|part| part.class == Class::Leakscope).map_or(0, |part| part.rss_bytes)
    };
    let before = resident();
    writer.session().header.set(Word::OwnStart, own.as_ptr().addr() as u64);
    writer.session().header.set(Word::OwnBytes, BYTES as u64);
    // Under memory pressure some of it may be away.
    assert!(resident() >= before + BYTES as u64 / 2, "{before} {}", resident());
}
