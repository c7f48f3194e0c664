//! A recording of a program that never ran: as many sites and snapshots as are asked for, drawn by chance with a fixed
//! seed, with the statistics of real sampling. For pages and timings that no real program gives in a test's time.
#![allow(dead_code)] // Tests and benches use a part of it each.

use leakscope_profile::timeline::{Cgroup, Class, Java, Line, Mark, Part, Point, Resident, Tracked};
use leakscope_profile::{
    Code, Frame, FrameId, Function, FunctionId, Kind, Memory, Module, ModuleId, Profile, Row, Settings, Snapshot,
    Stack, StackId, Target, Totals, save,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What is invented.
#[derive(Debug, Clone)]
pub struct Invented {
    pub snapshots: u32,
    /// Sites beside those of the story.
    pub others: usize,
    /// Time between snapshots.
    pub interval_ms: u64,
    /// Name of one more function, which allocates a little.
    pub name: Option<String>,
    /// Whether every snapshot changes every site.
    pub is_busy: bool,
    /// What leaks between two snapshots, MiB.
    pub leak: f64,
}

impl Default for Invented {
    fn default() -> Self {
        Self { snapshots: 42, others: 60, interval_ms: 60_000, name: None, is_busy: false, leak: 3.2 }
    }
}

const R: f64 = 524_288.0;
const MIB: f64 = 1048576.0;

/// A site: `library!function@file:line` or `function@file:line`, leaf first.
struct Site {
    stack: Vec<String>,
    kind: Kind,
    size: u64,
    /// Bytes allocated between two snapshots.
    born: f64,
    /// Part of the live blocks that is freed between two.
    freed: f64,
    /// Whether only full collections free.
    by_gc: bool,
    /// Snapshots after which nothing more is allocated.
    until: u32,
}

/// Live sampled blocks of a site, by birth.
#[derive(Default, Clone)]
struct Blocks {
    by_birth: BTreeMap<u32, u64>,
    born: u64,
    frees: [u64; 2],
}

impl Invented {
    /// Writes the recording; its process's folder.
    pub fn write(&self, directory: &Path) -> PathBuf {
        let folder = directory.join("java.41");
        fs::create_dir_all(&folder).expect("a folder");
        let sites = self.sites();
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut blocks = vec![Blocks::default(); sites.len()];
        let mut timeline = String::new();
        let mut entries = Vec::new();
        let mut full_gcs = 0;
        let named = named(&sites);
        for at in 0..self.snapshots {
            let is_gc = at % 14 == 13;
            full_gcs += u64::from(is_gc);
            for (site, blocks) in sites.iter().zip(&mut blocks) {
                live_on(site, blocks, at, is_gc, &mut random);
            }
            let profile = self.profile(&named, &sites, &blocks, at);
            let file = format!("{at:04}.prof");
            save(&profile, &folder.join(&file)).expect("a profile");
            let live: f64 = profile.rows.iter().map(|row| row.bytes).sum();
            entries.push(serde_json::json!({
                "file": file, "index": at, "epoch": at, "uptime_ms": self.uptime(at), "live_bytes": live as u64,
            }));
            timeline.push_str(&self.points(&profile, at, full_gcs, &mut random));
        }
        fs::write(folder.join("timeline.jsonl"), timeline).expect("a timeline");
        let session = serde_json::json!({
            "schema": "leakscope.session/1", "pid": 41, "name": "java", "root": true, "jvm": true,
            "snapshots": entries, "end": { "how": "code 0" },
        });
        fs::write(folder.join("session.json"), session.to_string()).expect("a session file");
        folder
    }

    fn sites(&self) -> Vec<Site> {
        let site = |stack: &[&str], kind, size, born: f64, freed, by_gc, until| Site {
            stack: stack.iter().map(|frame| (*frame).to_owned()).collect(),
            kind,
            size,
            born: born * MIB,
            freed,
            by_gc,
            until,
        };
        let main = "com.acme.shop.Server.main@com/acme/shop/Server.java:31";
        let worker =
            "java.util.concurrent.ThreadPoolExecutor.runWorker@java/util/concurrent/ThreadPoolExecutor.java:1136";
        let handler = "com.acme.shop.RequestHandler.handle@com/acme/shop/RequestHandler.java:142";
        let deflater = [
            "libz.so.1.2.13!deflateInit2_@deflate.c:291",
            "libzip.so!Java_java_util_zip_Deflater_init@:0",
            "java.util.zip.Deflater.init@java/util/zip/Deflater.java:0",
            "java.util.zip.Deflater.<init>@java/util/zip/Deflater.java:195",
            "java.util.zip.GZIPOutputStream.<init>@java/util/zip/GZIPOutputStream.java:81",
            "com.acme.log.ExceptionLogger.compress@com/acme/log/ExceptionLogger.java:88",
            handler,
            worker,
        ];
        let rocks = [
            "librocksdbjni1323.so!rocksdb::DBImpl::NewIterator(rocksdb::ReadOptions const&, rocksdb::ColumnFamilyHandle*)@db_impl.cc:2951",
            "org.rocksdb.RocksDB.newIterator@org/rocksdb/RocksDB.java:1920",
            "com.acme.paimon.Lookup.scan@com/acme/paimon/Lookup.java:132",
            handler,
            worker,
        ];
        let cache = [
            "librocksdbjni1323.so!rocksdb::LRUCacheShard::Insert(rocksdb::Slice const&, unsigned int, void*)@lru_cache.cc:512",
            "org.rocksdb.RocksDB.get@org/rocksdb/RocksDB.java:1020",
            "com.acme.paimon.Lookup.get@com/acme/paimon/Lookup.java:77",
            worker,
        ];
        let arena = [
            "libjvm.so!os::malloc(unsigned long, MEMFLAGS)@os.cpp:670",
            "libjvm.so!Arena::grow(unsigned long)@arena.cpp:310",
        ];
        let netty = [
            "libjvm.so!Unsafe_AllocateMemory0@unsafe.cpp:363",
            "jdk.internal.misc.Unsafe.allocateMemory@jdk/internal/misc/Unsafe.java:619",
            "io.netty.buffer.PoolArena$DirectArena.newChunk@io/netty/buffer/PoolArena.java:734",
            "com.acme.net.Transport.send@com/acme/net/Transport.java:59",
            main,
        ];
        let mapped = [
            "libnio.so!Java_sun_nio_ch_FileChannelImpl_map0@:0",
            "sun.nio.ch.FileChannelImpl.map@sun/nio/ch/FileChannelImpl.java:1181",
            "com.acme.index.Index.open@com/acme/index/Index.java:40",
            main,
        ];
        let pool = [
            "libjvm.so!os::create_thread(Thread*)@:0",
            "java.lang.Thread.start@:0",
            "com.acme.net.Pool.start@com/acme/net/Pool.java:7",
            main,
        ];
        let mut sites = vec![
            site(&deflater, Kind::Malloc, 268_000, 30.0, 0.93, true, u32::MAX),
            site(&rocks, Kind::Malloc, 4_096, self.leak, 0.0, false, u32::MAX),
            site(&cache, Kind::Malloc, 8_192, 60.0, 0.0, false, 4),
            site(&arena, Kind::Malloc, 32_760, 16.0, 0.28, false, u32::MAX),
            site(&netty, Kind::Malloc, 4 << 20, 24.0, 0.0, false, 3),
            site(&mapped, Kind::MmapFile, 64 << 20, 64.0, 0.0, false, 1),
            site(&pool, Kind::Thread, 1 << 20, 24.0, 0.0, false, 2),
        ];
        if let Some(name) = &self.name {
            sites.push(site(
                &[&format!("{name}@{}:7", name.replace([':', '@'], "")), main],
                Kind::Malloc,
                65_536,
                9.0,
                0.05,
                false,
                u32::MAX,
            ));
        }
        let mut random = Random(7);
        for n in 0..self.others {
            // Some 1,500 methods call each other, as in programs: stacks are many, frames are few.
            let depth = 3 + random.below(18);
            let mut stack = vec![format!("libnative{}.so!native_{}@native{}.c:{}", n % 9, n % 83, n % 9, 10 + n % 83)];
            for level in 0..depth {
                let of = (n / 5 + n % 5 * (level as usize + 1) + level as usize * 71) % 1500;
                stack.push(format!(
                    "com.acme.p{0}.Class{1}.method{of}@com/acme/p{0}/Class{1}.java:{2}",
                    of % 23,
                    of % 311,
                    20 + of
                ));
            }
            stack.push(main.to_owned());
            let is_churning = self.is_busy || n % 3 == 0;
            let size = 1u64 << (6 + random.below(14));
            let born = if is_churning { 0.4 + random.unit() } else { 2.0 * random.unit() };
            let freed = if is_churning { 0.3 } else { 0.0 };
            let until = if is_churning { u32::MAX } else { 2 };
            let mut site = site(&[], Kind::Malloc, size, born, freed, false, until);
            site.stack = stack;
            sites.push(site);
        }
        sites
    }

    fn profile(&self, named: &Profile, sites: &[Site], blocks: &[Blocks], at: u32) -> Profile {
        let mut profile = Profile {
            target: Target {
                pid: 41,
                name: "java".to_owned(),
                command: ["java", "-Xmx1g", "-jar", "shop.jar", "--db.password=***"].map(str::to_owned).to_vec(),
                exe: "/usr/lib/jvm/java-17/bin/java".to_owned(),
                jvm: "17.0.15+6".to_owned(),
                ..Target::default()
            },
            snapshot: Snapshot {
                session: [5; 16],
                index: at,
                epoch: at,
                time_unix_ns: 1_763_632_812_000_000_000 + self.uptime(at) as i64 * 1_000_000,
                uptime_ms: self.uptime(at),
                reason: if at + 1 == self.snapshots { "final" } else { "interval" }.to_owned(),
            },
            settings: Settings {
                interval_bytes: R as u64,
                native_depth: 64,
                java_depth: 128,
                version: "0.1.0".to_owned(),
                ..Settings::default()
            },
            losses: [("stack_truncated".to_owned(), 3), ("java_not_ready".to_owned(), 41)].into(),
            ..named.clone()
        };
        for (at_stack, (site, blocks)) in sites.iter().zip(blocks).enumerate() {
            let stack = StackId(at_stack as u32);
            let scaled = Scaled::of(site);
            let bytes = blocks.born as f64 * scaled.bytes;
            profile.stacks[at_stack].totals = Totals {
                samples: blocks.born,
                bytes,
                bytes_variance: blocks.born as f64 * scaled.variance,
                bytes_observed: blocks.born * site.size,
                objects: blocks.born as f64 * scaled.objects,
                freed_by_app: blocks.frees[0] as f64 * scaled.bytes,
                freed_by_gc: blocks.frees[1] as f64 * scaled.bytes,
                frees_app: blocks.frees[0],
                frees_gc: blocks.frees[1],
            };
            for (born, count) in &blocks.by_birth {
                profile.rows.push(scaled.row(
                    stack,
                    site,
                    *born,
                    *count,
                    self.uptime(*born).saturating_sub(self.interval_ms / 2),
                ));
            }
        }
        let live: f64 = profile.rows.iter().filter(|row| row.kind == Kind::Malloc).map(|row| row.bytes).sum();
        let rss = (live + 690.0 * MIB) as u64;
        profile.memory = Memory { rss_bytes: rss, limit_bytes: 4 << 30, cgroup_bytes: rss + (90 << 20) };
        profile
    }

    fn uptime(&self, at: u32) -> u64 {
        30_000 + u64::from(at) * self.interval_ms
    }

    /// The lines of the timeline up to a snapshot.
    fn points(&self, profile: &Profile, at: u32, full_gcs: u64, random: &mut Random) -> String {
        const STEPS: u64 = 12;
        let from = if at == 0 { 1000 } else { self.uptime(at - 1) };
        let to = self.uptime(at);
        let mut text = String::new();
        let mut tracked: BTreeMap<String, Tracked> = BTreeMap::new();
        for row in &profile.rows {
            let sums = tracked.entry(row.kind.as_str().to_owned()).or_default();
            sums.samples += row.samples;
            sums.bytes += row.bytes;
            sums.bytes_variance += row.bytes_variance;
            sums.bytes_observed += row.bytes_observed;
            sums.interval_bytes = sums.interval_bytes.max(row.interval_bytes);
        }
        let live = tracked.get("malloc").map_or(0.0, |sums| sums.bytes);
        for step in 1..=STEPS {
            let uptime_ms = from + (to - from) * step / STEPS;
            let heap = (300.0 + 110.0 * ((step + u64::from(at) * 5) % 9) as f64 / 9.0) * MIB;
            let allocator = live * 1.04 + (26.0 + 0.4 * f64::from(at)) * MIB + random.unit() * 3.0 * MIB;
            let amounts = [
                (Class::JavaHeap, heap),
                (Class::Allocator, allocator),
                (Class::MappedFile, 48.0 * MIB),
                (Class::Stacks, 14.0 * MIB),
                (Class::Jvm, 122.0 * MIB + f64::from(at) * 0.1 * MIB),
                (Class::Files, 31.0 * MIB),
                (Class::Leakscope, 17.0 * MIB),
                (Class::Unexplained, 2.0 * MIB),
            ];
            let rss: f64 = amounts.iter().map(|(_, bytes)| bytes).sum::<f64>() + 11.0 * MIB;
            let parts = amounts.iter().map(|(class, bytes)| Part {
                class: *class,
                pss_bytes: *bytes as u64,
                rss_bytes: *bytes as u64,
            });
            let point = Point {
                time_ms: 1_763_632_812_000 + uptime_ms as i64,
                uptime_ms,
                resident: Resident {
                    rss_bytes: rss as u64,
                    anon_bytes: (rss * 0.92) as u64,
                    file_bytes: (rss * 0.08) as u64,
                    ..Resident::default()
                },
                cgroup: Some(Cgroup {
                    version: 2,
                    limit_bytes: Some(4 << 30),
                    current_bytes: (rss + 120.0 * MIB) as u64,
                    anon_bytes: (rss * 0.92) as u64,
                    file_bytes: (rss * 0.08 + 110.0 * MIB) as u64,
                    reclaimable_bytes: 80 << 20,
                    kernel_bytes: 9 << 20,
                    ..Cgroup::default()
                }),
                java: Some(Java {
                    heap_used_bytes: heap as u64,
                    heap_committed_bytes: 512 << 20,
                    heap_max_bytes: 1 << 30,
                    young_gcs: (u64::from(at) * STEPS + step) / 5,
                    full_gcs,
                    ..Java::default()
                }),
                tracked: tracked.clone(),
                threads: 38 + 2 * (u64::from(at) % 5),
                parts: (step % 3 == 0).then(|| parts.collect()),
                ..Point::default()
            };
            text.push_str(&Line::Point(Box::new(point)).to_json());
        }
        if at > 0 && at.is_multiple_of(12) {
            let mark = Mark { time_ms: 0, uptime_ms: to, text: format!("deploy {}", at / 12) };
            text.push_str(&Line::Mark(mark).to_json());
        }
        text
    }
}

/// A profile with the names of all sites, and nothing live.
fn named(sites: &[Site]) -> Profile {
    let (mut profile, mut names) = (Profile::default(), Names::default());
    for site in sites {
        let frames = site.stack.iter().map(|text| names.frame(&mut profile, text)).collect();
        profile.stacks.push(Stack { frames, ..Stack::default() });
    }
    profile
}

fn live_on(site: &Site, blocks: &mut Blocks, at: u32, is_gc: bool, random: &mut Random) {
    let may_free = !site.by_gc || is_gc;
    for count in blocks.by_birth.values_mut().filter(|_| may_free && site.freed > 0.0) {
        let gone = (0..*count).filter(|_| random.unit() < site.freed).count() as u64;
        *count -= gone;
        blocks.frees[usize::from(site.by_gc)] += gone;
    }
    blocks.by_birth.retain(|_, count| *count > 0);
    if at < site.until {
        let scaled = Scaled::of(site);
        let born = random.poisson(site.born / scaled.bytes);
        blocks.born += born;
        if born > 0 {
            *blocks.by_birth.entry(at).or_default() += born;
        }
    }
}

/// What one sampled block stands for (DESIGN 6).
struct Scaled {
    bytes: f64,
    variance: f64,
    objects: f64,
    interval_bytes: u64,
}

impl Scaled {
    fn of(site: &Site) -> Self {
        let size = site.size as f64;
        let (p, interval_bytes) = if site.kind == Kind::Malloc { (-(-size / R).exp_m1(), R as u64) } else { (1.0, 1) };
        Self { bytes: size / p, variance: size * size * (1.0 - p) / (p * p), objects: 1.0 / p, interval_bytes }
    }

    fn row(&self, stack: StackId, site: &Site, epoch: u32, count: u64, oldest_ms: u64) -> Row {
        let n = count as f64;
        let objects_variance = n * self.variance / (site.size as f64 * site.size as f64);
        Row {
            stack,
            kind: site.kind,
            epoch,
            interval_bytes: self.interval_bytes,
            samples: count,
            bytes: n * self.bytes,
            bytes_variance: n * self.variance,
            bytes_observed: count * site.size,
            objects: n * self.objects,
            objects_variance,
            smallest_bytes: site.size,
            oldest_ms,
            resident_bytes: (site.kind != Kind::Malloc).then_some(count * site.size / 3),
        }
    }
}

/// Each frame once.
#[derive(Default)]
struct Names {
    frames: BTreeMap<String, FrameId>,
    modules: BTreeMap<String, ModuleId>,
}

impl Names {
    fn frame(&mut self, profile: &mut Profile, text: &str) -> FrameId {
        if let Some(id) = self.frames.get(text) {
            return *id;
        }
        let (place, line) = text.rsplit_once(':').expect("a line");
        let (name, file) = place.rsplit_once('@').expect("a file");
        let (code, name) = match name.split_once(".so") {
            Some((library, rest)) if rest.contains('!') => {
                let (version, function) = rest.split_once('!').expect("a function");
                let path = format!("/usr/lib/{library}.so{version}");
                let next = ModuleId(self.modules.len() as u32);
                let module = *self.modules.entry(path.clone()).or_insert_with(|| {
                    let start = 0x7f00_0000_0000 + u64::from(next.0) * 0x1000_0000;
                    profile.modules.push(Module { start, end: start + 0x100_0000, path, ..Module::default() });
                    next
                });
                let address =
                    0x7f00_0000_0000 + u64::from(module.0) * 0x1000_0000 + 0x1000 + self.frames.len() as u64 * 16;
                (Code::Native { module: Some(module), address }, function)
            }
            _ => (Code::Java, name),
        };
        profile.functions.push(Function { name: name.to_owned(), system_name: name.to_owned(), file: file.to_owned() });
        let function = FunctionId(profile.functions.len() as u32 - 1);
        profile.frames.push(Frame { code, function, line: line.parse().expect("a number"), inlined: false });
        let id = FrameId(profile.frames.len() as u32 - 1);
        self.frames.insert(text.to_owned(), id);
        id
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Between 0 and 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Knuth's way in pieces, which is enough for hundreds.
    fn poisson(&mut self, mut mean: f64) -> u64 {
        let mut count = 0;
        while mean > 0.0 {
            let (limit, mut product) = ((-mean.min(30.0)).exp(), self.unit());
            while product > limit {
                count += 1;
                product *= self.unit();
            }
            mean -= 30.0;
        }
        count
    }
}
