//! What does not change a site's key: harmless edits, another patch of the JDK, other threads, names that the JVM or a
//! library's loader makes up; and what does.

use leakscope_analyze::SiteId;
use leakscope_analyze::gate::run_sites;
use leakscope_profile::model::{
    Code, Frame, FrameId, Function, FunctionId, Kind, Module, ModuleId, Profile, Row, Settings, Snapshot, Stack,
    StackId,
};

/// The keys of a profile with these stacks, leaf first: `library!function`, or `Java.method:line`.
fn keys(stacks: &[&[&str]], kind: Kind) -> Vec<SiteId> {
    let mut profile = Profile {
        snapshot: Snapshot { session: [7; 16], ..Snapshot::default() },
        settings: Settings { interval_bytes: 1, ..Settings::default() },
        ..Profile::default()
    };
    for (at, stack) in stacks.iter().enumerate() {
        let frames = stack.iter().map(|text| frame(&mut profile, text)).collect();
        profile.stacks.push(Stack { frames, ..Stack::default() });
        profile.rows.push(Row {
            stack: StackId(at as u32),
            kind,
            epoch: 0,
            interval_bytes: 1,
            samples: 1,
            bytes: 64.0,
            bytes_variance: 0.0,
            bytes_observed: 64,
            objects: 1.0,
            objects_variance: 0.0,
            smallest_bytes: 64,
            oldest_ms: 0,
            resident_bytes: None,
        });
    }
    run_sites(&profile, &[]).expect("sites").sites.iter().map(|site| site.key).collect()
}

fn frame(profile: &mut Profile, text: &str) -> FrameId {
    let (code, name, line) = match text.split_once('!') {
        Some((library, function)) => {
            let module = Some(ModuleId(profile.modules.len() as u32));
            profile.modules.push(Module { path: library.to_owned(), ..Module::default() });
            (Code::Native { module, address: 0x1000 + profile.frames.len() as u64 }, function, 0)
        }
        None => {
            let (name, line) = text.rsplit_once(':').unwrap_or((text, "0"));
            (Code::Java, name, line.parse().expect("a line"))
        }
    };
    profile.functions.push(Function { name: name.to_owned(), file: "X.java".to_owned(), ..Function::default() });
    let function = FunctionId(profile.functions.len() as u32 - 1);
    profile.frames.push(Frame { code, function, line, inlined: false });
    FrameId(profile.frames.len() as u32 - 1)
}

fn key(stack: &[&str]) -> SiteId {
    let keys = keys(&[stack], Kind::Malloc);
    assert_eq!(keys.len(), 1);
    keys[0]
}

const LAMBDA: [&str; 7] = [
    "/usr/lib/x86_64-linux-gnu/libz.so.1.2.13!deflateInit2_",
    "/opt/jdk-17.0.9/lib/libzip.so!Java_java_util_zip_Deflater_init",
    "java.util.zip.Deflater.init",
    "java.util.zip.Deflater.<init>:193",
    "com.acme.Codec.lambda$encode$0:88",
    "com.acme.Codec$$Lambda$14/0x0000000800c8.run:0",
    "java.lang.Thread.run:840",
];

/// The stack with one frame replaced.
fn with(stack: &[&'static str], from: &str, to: &'static str) -> Vec<&'static str> {
    assert!(stack.contains(&from), "{from}");
    stack.iter().map(|frame| if *frame == from { to } else { frame }).collect()
}

#[test]
fn harmless_edits_keep_the_key() {
    let own = "com.acme.Codec.lambda$encode$0:88";
    for (what, edited) in [
        ("lines above", with(&LAMBDA, own, "com.acme.Codec.lambda$encode$0:131")),
        ("a lambda above", with(&LAMBDA, own, "com.acme.Codec.lambda$encode$4:90")),
        ("a class loaded earlier", with(&LAMBDA, LAMBDA[5], "com.acme.Codec$$Lambda$97/0x00007f12ab3401.run:0")),
        ("a newer name of hidden classes", with(&LAMBDA, LAMBDA[5], "com.acme.Codec$$Lambda.0x00007f12ab3401.run:0")),
    ] {
        assert_eq!(key(&edited), key(&LAMBDA), "{what}");
    }
}

#[test]
fn another_patch_of_the_jdk_keeps_the_key() {
    let mut other = with(&LAMBDA, "java.util.zip.Deflater.<init>:193", "java.util.zip.Deflater.<init>:201");
    other[0] = "/lib/libz.so.1.3.1!deflateInit_internal";
    other[1] = "/opt/jdk-17.0.15/lib/libzip.so!Java_java_util_zip_Deflater_init.constprop.0";
    other[6] = "java.lang.Thread.runWith:1596";
    other.insert(0, "/usr/lib/x86_64-linux-gnu/libc.so.6!calloc");
    other.push("java.lang.Thread.run:1583");
    assert_eq!(key(&other), key(&LAMBDA));
}

#[test]
fn who_calls_it_on_how_many_threads_does_not_matter() {
    let pooled: Vec<&str> = LAMBDA[..6]
        .iter()
        .copied()
        .chain(["java.util.concurrent.ThreadPoolExecutor.runWorker:1136", "java.lang.Thread.run:840"])
        .collect();
    assert_eq!(keys(&[&LAMBDA, &pooled], Kind::Malloc), [key(&LAMBDA)]);
}

#[test]
fn made_up_names_keep_the_key() {
    let through = |between: &'static [&'static str]| {
        let mut stack = vec!["/tmp/librocksdbjni123.so!rocksdb::NewIterator", "org.rocksdb.RocksDB.iterator"];
        stack.extend(between);
        stack.extend(["com.acme.Store.scan:12", "com.acme.Main.main:3"]);
        key(&stack)
    };
    let groups: [&[&'static [&'static str]]; 5] = [
        // A proxy's number depends on which were made before.
        &[&["jdk.proxy2.$Proxy12.open:0"], &["jdk.proxy1.$Proxy7.open:0"]],
        &[
            &["com.acme.Repo$$EnhancerBySpringCGLIB$$1a2b3c4d.open:0"],
            &["com.acme.Repo$$EnhancerBySpringCGLIB$$99aa00ff.open:0"],
        ],
        &[&["com.acme.Repo$ByteBuddy$Ab12Cd34.open:0"], &["com.acme.Repo$ByteBuddy$Zz98Yy76.open:0"]],
        // Reflection makes itself an accessor after some calls, and is built otherwise in JDK 18 and later.
        &[
            &[],
            &["jdk.internal.reflect.GeneratedMethodAccessor12.invoke:0", "java.lang.reflect.Method.invoke:566"],
            &["jdk.internal.reflect.NativeMethodAccessorImpl.invoke0:0", "java.lang.reflect.Method.invoke:566"],
            &["jdk.internal.reflect.DirectMethodHandleAccessor.invoke:103", "java.lang.reflect.Method.invoke:580"],
            &["sun.reflect.GeneratedMethodAccessor3.invoke:0", "java.lang.reflect.Method.invoke:498"],
        ],
        &[
            &[],
            &["java.lang.invoke.LambdaForm$DMH/0x0000000800c1.invokeStatic:0"],
            &[
                "java.lang.invoke.LambdaForm$MH.0x00007f11.invoke:0",
                "java.lang.invoke.Invokers$Holder.linkToTargetMethod:0",
            ],
        ],
    ];
    for group in groups {
        let keys: Vec<SiteId> = group.iter().map(|between| through(between)).collect();
        assert!(keys.iter().all(|key| *key == keys[0]), "{group:?}");
    }
}

#[test]
fn random_library_names_and_builds_keep_the_key_of_native_code() {
    let stack = |library: &'static str, function: &'static str, caller: &'static str| {
        key(&["/lib/libc.so.6!malloc", library, function, caller])
    };
    let base = stack(
        "/tmp/librocksdbjni123.so!operator new(unsigned long)",
        "/tmp/librocksdbjni8471193.so!rocksdb::Arena::Grow(unsigned long)",
        "/tmp/librocksdbjni8471193.so!rocksdb::DBImpl::Write(rocksdb::Slice const&)",
    );
    let other = stack(
        "/var/tmp/librocksdbjni99120.so!operator new(unsigned long)",
        "/var/tmp/librocksdbjni99120.so!rocksdb::Arena::Grow(unsigned long) [clone .isra.0]",
        "/var/tmp/librocksdbjni99120.so!rocksdb::DBImpl::Write(rocksdb::Slice const&)",
    );
    assert_eq!(other, base);
    let rust = |hash: &'static str| key(&["/lib/libc.so.6!malloc", hash, "app!app::main::h00000000000000aa"]);
    assert_eq!(rust("app!app::cache::fill::h0123456789abcdef"), rust("app!app::cache::fill::hfedcba9876543210"));
}

#[test]
fn what_is_another_place_has_another_key() {
    let others = [
        with(&LAMBDA, "com.acme.Codec.lambda$encode$0:88", "com.acme.Codec.lambda$decode$0:88"),
        with(&LAMBDA, "com.acme.Codec.lambda$encode$0:88", "com.acme.Other.lambda$encode$0:88"),
        with(&LAMBDA, "java.util.zip.Deflater.init", "java.util.zip.Inflater.init"),
    ];
    for other in &others {
        assert_ne!(key(other), key(&LAMBDA), "{other:?}");
    }
    assert_ne!(keys(&[&LAMBDA], Kind::MmapAnon), keys(&[&LAMBDA], Kind::Malloc), "another kind of memory");
}
