//! Two snapshots of one invented process: a Deflater that is never closed, a cache that shrinks, a mapped file, a
//! thread's stack, JVM internals that stay; every sample drawn by hand, so that the goldens never move by chance.
#![allow(dead_code)] // Each test binary uses a part of it.

pub mod rounds;

use std::collections::BTreeMap;

use leakscope_analyze::{Estimate, JvmSplit, RssRow, RssTable, RssWhat};
use leakscope_profile::model::{
    Cause, Code, Exit, Frame, FrameId, Function, FunctionId, IntervalChange, Kind, Memory, Module, ModuleId, Profile,
    Row, Settings, Snapshot, Stack, StackId, Target, Totals,
};
use leakscope_sampling::{Interval, Scaled};

const R: Interval = Interval::DEFAULT;

/// Samples of one site: stack, kind, block size, how many born in the first and in the second epoch.
struct Samples {
    stack: &'static [&'static str],
    kind: Kind,
    size: u64,
    born: [u64; 2],
    /// How many of the first epoch are gone at the second snapshot.
    gone: u64,
    frees: (u64, u64),
}

const DEFLATER: &[&str] = &[
    "libz.so.1.2.13!deflateInit2_@deflate.c:291",
    "libzip.so!Java_java_util_zip_Deflater_init@:0",
    "java.util.zip.Deflater.init@java/util/zip/Deflater.java:0",
    "java.util.zip.GZIPOutputStream.<init>@java/util/zip/GZIPOutputStream.java:81",
    "com.acme.log.ExceptionLogger.compress@com/acme/log/ExceptionLogger.java:88",
    "com.acme.Main.main@com/acme/Main.java:12",
];
const CACHE: &[&str] = &[
    "librocksdbjni8471193.so!rocksdb::LRUCacheShard::Insert(rocksdb::Slice const&)@lru_cache.cc:512",
    "org.rocksdb.RocksDB.get@org/rocksdb/RocksDB.java:1020",
    "com.acme.Store$$Lambda$14/0x0000000800c8.apply@:0",
];
const ARENA: &[&str] =
    &["libjvm.so!os::malloc(unsigned long, MEMFLAGS)@:0", "libjvm.so!Arena::grow(unsigned long)@arena.cpp:310"];
const MAPPED: &[&str] = &[
    "libnio.so!Java_sun_nio_ch_FileChannelImpl_map0@:0",
    "sun.nio.ch.FileChannelImpl.map@sun/nio/ch/FileChannelImpl.java:1181",
    "com.acme.Index.open@com/acme/Index.java:40",
];
const THREAD: &[&str] = &["libjvm.so!os::create_thread(Thread*)@:0", "com.acme.Pool.start@com/acme/Pool.java:7"];
const TRUNCATED: &[&str] = &["app!grow(int) [inlined]@grow.c:7", "[truncated]"];

fn program() -> Vec<Samples> {
    vec![
        Samples { stack: DEFLATER, kind: Kind::Malloc, size: 268_000, born: [200, 900], gone: 5, frees: (3, 740) },
        Samples { stack: CACHE, kind: Kind::Malloc, size: 4096, born: [60, 0], gone: 45, frees: (45, 0) },
        Samples { stack: ARENA, kind: Kind::Malloc, size: 32_760, born: [12, 1], gone: 0, frees: (0, 0) },
        Samples { stack: MAPPED, kind: Kind::MmapFile, size: 64 << 20, born: [1, 1], gone: 0, frees: (0, 0) },
        Samples { stack: THREAD, kind: Kind::Thread, size: 1 << 20, born: [8, 0], gone: 0, frees: (0, 0) },
        Samples { stack: TRUNCATED, kind: Kind::Malloc, size: 100, born: [1, 0], gone: 0, frees: (1, 1) },
    ]
}

/// The first and the second snapshot.
pub fn snapshots() -> (Profile, Profile) {
    (snapshot(0), snapshot(1))
}

/// The second snapshot with what every JVM allocates as it starts, two sites that read the same, and its end.
pub fn ended() -> Profile {
    let mut profile = snapshot(1);
    let small: [&'static [&'static str]; 3] = [
        &["libjvm.so!os::malloc@:0", "libjvm.so!SymbolTable::create_table()@:0", "libjvm.so!init_globals()@:0"],
        &["libc.so.6!strdup@:0", "libjvm.so!os::strdup@:0", "libjvm.so!Arguments::parse()@:0"],
        &["libjvm.so!os::malloc@:0", "libjvm.so!G1CollectedHeap::G1CollectedHeap()@:0"],
    ];
    for stack in small {
        let samples = Samples { stack, kind: Kind::Malloc, size: 13_000, born: [1, 0], gone: 0, frees: (0, 0) };
        add(&mut profile, &samples, 1);
    }
    let alike: [&'static [&'static str]; 2] = [
        &["app!Pool::grow(int)@pool.cc:9", "app!Server::read()@server.cc:10", "app!main@:0"],
        &["app!Pool::grow(int)@pool.cc:9", "app!Server::write()@server.cc:20", "app!main@:0"],
    ];
    for stack in alike {
        let samples = Samples { stack, kind: Kind::Malloc, size: 600_000, born: [30, 30], gone: 0, frees: (0, 1) };
        add(&mut profile, &samples, 1);
    }
    profile.target.exit = Some(Exit::Signal(9));
    profile.memory = Memory { rss_bytes: 512 << 20, limit_bytes: 1 << 30, cgroup_bytes: 700 << 20 };
    profile
}

/// The last snapshot, of a process whose malloc is not recorded.
pub fn bypassed() -> Profile {
    let (_, mut profile) = snapshots();
    profile.losses.clear();
    profile.target.bypassed_by = "/opt/lib/libjemalloc.so.2".to_owned();
    profile.target.inner_allocators = vec!["mimalloc".to_owned(), "jemalloc".to_owned()];
    profile
}

fn snapshot(index: u32) -> Profile {
    let mut profile = Profile {
        target: Target {
            pid: 41,
            name: "java".to_owned(),
            command: ["java", "-jar", "app.jar"].map(str::to_owned).to_vec(),
            exe: "/usr/lib/jvm/bin/java".to_owned(),
            exit: None,
            jvm: "17.0.15+6".to_owned(),
            ..Target::default()
        },
        snapshot: Snapshot {
            session: [9; 16],
            index,
            epoch: index,
            time_unix_ns: 1_763_632_812_345_000_000 + i64::from(index) * 2_472_000_000_000,
            uptime_ms: 60_000 + u64::from(index) * 2_472_000,
            reason: "interval".to_owned(),
        },
        settings: Settings {
            interval_bytes: R.bytes(),
            native_depth: 64,
            java_depth: 128,
            version: "0.1.0".to_owned(),
            changes: vec![IntervalChange {
                time_unix_ns: 1_763_632_800_000_000_000,
                interval_bytes: R.bytes(),
                cause: Cause::CostOfCore,
                percent: 3.1,
            }],
        },
        losses: BTreeMap::from([("stack_truncated".to_owned(), 1), ("ring_full".to_owned(), 0)]),
        ..Profile::default()
    };
    for samples in program() {
        add(&mut profile, &samples, index);
    }
    profile
}

fn add(profile: &mut Profile, samples: &Samples, index: u32) {
    let frames = samples.stack.iter().map(|text| frame(profile, text)).collect();
    let stack = StackId(profile.stacks.len() as u32);
    let interval = if samples.kind == Kind::Malloc { R } else { Interval::EXACT };
    let mut totals = Totals { frees_app: samples.frees.0, frees_gc: samples.frees.1, ..Totals::default() };
    for epoch in 0..=index {
        let born = samples.born[epoch as usize];
        let gone = if index == 1 && epoch == 0 { samples.gone } else { 0 };
        let scaled = Scaled::sample(samples.size, interval);
        totals.samples += born;
        totals.bytes += born as f64 * scaled.bytes;
        totals.bytes_variance += born as f64 * scaled.bytes_variance;
        totals.bytes_observed += born * samples.size;
        totals.objects += born as f64 * scaled.objects;
        let live = born - gone;
        if live > 0 {
            profile.rows.push(Row {
                stack,
                kind: samples.kind,
                epoch,
                interval_bytes: interval.bytes(),
                samples: live,
                bytes: live as f64 * scaled.bytes,
                bytes_variance: live as f64 * scaled.bytes_variance,
                bytes_observed: live * samples.size,
                objects: live as f64 * scaled.objects,
                objects_variance: live as f64 * scaled.objects_variance,
                smallest_bytes: samples.size,
                oldest_ms: 1000 + u64::from(epoch) * 60_000,
                resident_bytes: (samples.kind != Kind::Malloc).then_some(live * samples.size / 8),
            });
        }
    }
    profile.stacks.push(Stack { frames, totals });
}

/// `library!function@file:line`, `function@file:line` for Java, `[marker]`.
pub fn frame(profile: &mut Profile, text: &str) -> FrameId {
    let (code, rest) = match text.split_once('!') {
        _ if text.starts_with('[') => (Code::Marker, text),
        None => (Code::Java, text),
        Some((library, rest)) => {
            profile.modules.push(Module { path: format!("/usr/lib/{library}"), ..Module::default() });
            let module = Some(ModuleId(profile.modules.len() as u32 - 1));
            (Code::Native { module, address: 0x1000 }, rest)
        }
    };
    let (name, place) = rest.split_once('@').unwrap_or((rest, ":0"));
    let (file, line) = place.rsplit_once(':').expect("file:line");
    let (name, inlined) = name.strip_suffix(" [inlined]").map_or((name, false), |name| (name, true));
    profile.functions.push(Function { name: name.to_owned(), file: file.to_owned(), ..Function::default() });
    let function = FunctionId(profile.functions.len() as u32 - 1);
    profile.frames.push(Frame { code, function, line: line.parse().expect("a line"), inlined });
    FrameId(profile.frames.len() as u32 - 1)
}

/// Names that try to steer a terminal, end an XML document, fake a line or a folded stack.
pub const HOSTILE: [&str; 9] = [
    "\u{1b}[2J\u{1b}[31mred",
    "two\nlines\r\nthree",
    "<script>alert(1)</script>",
    "]]></style><script>alert(2)</script>",
    "a;b;c 99999999 12",
    "# comment",
    "nul\0bell\u{7}del\u{7f}csi\u{9b}31m",
    "turned\u{202e}txt.exe and \u{ffff}",
    "--\" onload=\"alert(3)\" &amp; '",
];

/// A profile whose every name is hostile: one exact block of 4096 bytes for each.
pub fn hostile() -> Profile {
    let mut profile = Profile {
        target: Target {
            pid: 1,
            name: HOSTILE.join(" "),
            jvm: HOSTILE[0].to_owned(),
            bypassed_by: HOSTILE.join(" "),
            inner_allocators: HOSTILE.map(str::to_owned).to_vec(),
            ..Target::default()
        },
        settings: Settings { interval_bytes: 1, version: HOSTILE[2].to_owned(), ..Settings::default() },
        losses: HOSTILE.iter().map(|name| ((*name).to_owned(), 3)).collect(),
        ..Profile::default()
    };
    profile.snapshot.reason = HOSTILE[1].to_owned();
    for (at, name) in HOSTILE.iter().enumerate() {
        profile.modules.push(Module { path: (*name).to_owned(), ..Module::default() });
        profile.functions.push(Function { name: (*name).to_owned(), file: (*name).to_owned(), ..Function::default() });
        let id = at as u32;
        let native = Code::Native { module: Some(ModuleId(id)), address: 1 };
        for code in [native, Code::Java, Code::Marker] {
            profile.frames.push(Frame { code, function: FunctionId(id), line: 1, inlined: false });
        }
        let frames = (3 * id..3 * id + 3).map(FrameId).collect();
        let totals = Totals { samples: 1, bytes: 4096.0, bytes_observed: 4096, objects: 1.0, ..Totals::default() };
        profile.stacks.push(Stack { frames, totals });
        profile.rows.push(Row {
            stack: StackId(id),
            kind: Kind::Malloc,
            epoch: 0,
            interval_bytes: 1,
            samples: 1,
            bytes: 4096.0,
            bytes_variance: 0.0,
            bytes_observed: 4096,
            objects: 1.0,
            objects_variance: 0.0,
            smallest_bytes: 4096,
            oldest_ms: 0,
            resident_bytes: None,
        });
    }
    profile
}

/// Where the memory is of a JVM whose mapped files and malloc grow.
pub fn rss() -> RssTable {
    const MIB: f64 = 1024.0 * 1024.0;
    let exact = |mib: f64| Estimate::exact(mib * MIB);
    let around =
        |mib: f64, half: f64| Estimate { estimate: mib * MIB, low: (mib - half) * MIB, high: (mib + half) * MIB };
    let row = |what, now, per_hour| RssRow { what, now, per_hour: Some(per_hour) };
    RssTable {
        uptime_ms: 2_472_000,
        rows: vec![
            row(RssWhat::JavaHeap, exact(1556.0), around(0.0, 12.0)),
            row(RssWhat::MallocLive, around(1341.0, 28.0), around(1884.0, 30.0)),
            row(RssWhat::MallocKept, around(215.0, 28.0), around(61.0, 70.0)),
            row(RssWhat::MappedFile, exact(412.0), around(102.0, 4.0)),
            row(RssWhat::Stacks, exact(92.0), exact(0.0)),
            row(RssWhat::Metaspace, exact(120.0), around(1.0, 2.0)),
            row(RssWhat::Jvm, exact(75.0), around(0.5, 1.0)),
            row(RssWhat::Files, exact(71.0), exact(0.0)),
            row(RssWhat::Leakscope, exact(16.0), exact(0.0)),
            row(RssWhat::Unexplained, exact(0.01), exact(0.0)),
        ],
        total_bytes: (3898.01 * MIB) as u64,
        total_per_hour: Some(around(2048.0, 80.0)),
        rss_bytes: (7010.0 * MIB) as u64,
        unexplained: 0.01 / 3898.01,
        threads: 212,
        split: JvmSplit::Counters,
        swap_bytes: 4096 * 1024,
        page_cache_bytes: Some(115_343_360),
        kernel_bytes: Some(41_943_040),
        limit_bytes: Some(4 << 30),
        points: 83,
    }
}
