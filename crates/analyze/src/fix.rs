//! What to do about a place: which class to close, at which line of the reader's own code.
//!
//! The *resource* is the Java method that entered native code (`java.util.zip.Deflater.init`): it says how such memory
//! is given back. The *result* is what the reader's own frame called (`java.util.zip.GZIPOutputStream.<init>`): that is
//! what the reader has in hand. Both are read off the stack; nothing here knows a program.

use crate::application::pool_frame;
use crate::frames::{FrameKind, FrameTable, SiteFrame};
use crate::judgement::{Fix, Remedy};
use crate::site::Place;
use leakscope_profile::model::Kind;

/// Beginnings of the resource's, or of any frame's function between it and the reader's; the first that fits counts.
const REMEDIES: [(&str, Remedy); 26] = [
    ("org.rocksdb.", Remedy::CloseRocksObject),
    ("io.netty.", Remedy::ReleaseNetty),
    ("net.openhft.", Remedy::CloseOffHeap),
    ("org.apache.arrow.memory.", Remedy::CloseOffHeap),
    ("org.mapdb.", Remedy::CloseOffHeap),
    ("java.util.zip.ZipFile", Remedy::Close),
    ("java.util.jar.JarFile", Remedy::Close),
    ("java.util.zip.GZIP", Remedy::Close),
    ("java.util.zip.Zip", Remedy::Close),
    ("java.util.zip.DeflaterOutputStream", Remedy::Close),
    ("java.util.zip.DeflaterInputStream", Remedy::Close),
    ("java.util.zip.InflaterInputStream", Remedy::Close),
    ("java.util.zip.InflaterOutputStream", Remedy::Close),
    ("java.util.zip.Deflater", Remedy::End),
    ("java.util.zip.Inflater", Remedy::End),
    ("sun.nio.ch.FileChannelImpl.map", Remedy::Unmap),
    ("java.nio.channels.FileChannel.map", Remedy::Unmap),
    ("jdk.internal.foreign.", Remedy::CloseArena),
    ("java.lang.foreign.", Remedy::CloseArena),
    ("java.nio.ByteBuffer.allocateDirect", Remedy::DirectBuffer),
    ("java.nio.DirectByteBuffer.", Remedy::DirectBuffer),
    ("java.lang.ClassLoader.define", Remedy::ReuseClasses),
    ("java.lang.invoke.MethodHandles$Lookup", Remedy::ReuseClasses),
    ("com.github.luben.zstd.", Remedy::Close),
    ("net.jpountz.", Remedy::Close),
    ("org.xerial.snappy.", Remedy::Close),
];

/// Methods of RocksDB that make nothing which could be closed: what they allocate is kept by the database.
const ROCKS_USES: [&str; 18] = [
    "compactRange",
    "delete",
    "deleteRange",
    "flush",
    "get",
    "ingestExternalFile",
    "keyMayExist",
    "merge",
    "multiGet",
    "multiGetAsList",
    "next",
    "prev",
    "put",
    "seek",
    "seekForPrev",
    "seekToFirst",
    "seekToLast",
    "write",
];

/// Superclasses whose methods stand on the stack for the object of another class: `FilterOutputStream.write` calls the
/// method of whatever stream it is.
const SUPERCLASSES: [&str; 9] = [
    "java.io.FilterInputStream",
    "java.io.FilterOutputStream",
    "java.io.FilterReader",
    "java.io.FilterWriter",
    "java.io.InputStream",
    "java.io.OutputStream",
    "java.io.Reader",
    "java.io.Writer",
    "java.lang.Object",
];

/// What to do about what is allocated here.
pub(crate) fn fix(table: &FrameTable, place: &Place) -> Option<Fix> {
    let own = place.application?;
    let stack: Vec<&SiteFrame> = table.resolve(&place.frames).collect();
    let at = Some(stack[own].clone());
    if place.kind == Kind::Thread {
        return Some(Fix { remedy: Remedy::BoundThreads, what: None, at });
    }
    let java = stack.iter().position(|frame| frame.kind == FrameKind::Java);
    let Some(java) = java.filter(|_| !place.is_jvms_own) else {
        let remedy = if place.is_jvms_own { Remedy::TrackJvm } else { Remedy::Free };
        return Some(Fix { remedy, what: None, at });
    };
    // From the reader's frame to the resource: the outermost that is known is the one that the reader holds.
    let between = &stack[java.min(own)..=own.max(java)];
    let is_chunk = pool_frame(table, &place.frames).is_some();
    let known = match is_chunk {
        true => Some(Remedy::ReleaseToPool),
        false => between.iter().rev().find_map(|frame| remedy(&frame.function)),
    };
    let is_jni_reference = stack[..java].iter().any(|frame| frame.function.contains("JNIHandle"));
    let leaf = stack[..java].iter().find(|frame| frame.kind == FrameKind::Native && !frame.library.is_empty());
    let remedy = match known {
        Some(remedy) => remedy,
        None if is_jni_reference => Remedy::DeleteGlobalRef,
        None if stack[..=own].iter().any(|frame| frame.function.contains("Unsafe.allocateMemory")) => {
            Remedy::FreeNative
        }
        None if leaf.is_some_and(|leaf| leaf.library.starts_with("libjvm.so")) => Remedy::TrackJvm,
        None => Remedy::FreeNative,
    };
    let what = match remedy {
        Remedy::TrackJvm | Remedy::DeleteGlobalRef => None,
        _ if own > java => held(&stack[java..own]).map(str::to_owned),
        // The native method is the reader's own.
        _ => Some(stack[java].function.clone()),
    };
    Some(Fix { remedy, what, at })
}

/// What to do about a known function, in its own package or shaded into another.
fn remedy(function: &str) -> Option<Remedy> {
    let (_, remedy) = REMEDIES.iter().find(|(start, _)| begins(function, start))?;
    let method = function.rsplit('.').next().unwrap_or_default();
    Some(match remedy {
        Remedy::CloseRocksObject if ROCKS_USES.contains(&method) => Remedy::BoundRocksCaches,
        remedy => *remedy,
    })
}

fn begins(function: &str, start: &str) -> bool {
    let inside = function.find(start);
    inside.is_some_and(|at| at == 0 || function[..at].ends_with('.'))
}

/// The class of what the reader's frame called; of these frames it called the last. `None` where only superclasses are
/// to be seen.
fn held<'a>(called: &[&'a SiteFrame]) -> Option<&'a str> {
    let mut classes =
        called.iter().rev().filter(|frame| frame.kind == FrameKind::Java).map(|frame| class(&frame.function));
    classes.find(|class| !SUPERCLASSES.contains(class))
}

/// `java.util.zip.GZIPOutputStream` of `java.util.zip.GZIPOutputStream.<init>`.
fn class(function: &str) -> &str {
    function.rsplit_once('.').map_or(function, |(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{Grouping, Places};

    fn of(frames: &[(FrameKind, &str)]) -> Option<(Remedy, Option<String>, u32)> {
        let grouping = Grouping::default();
        let mut places = Places::new(&grouping);
        let ids: Vec<_> = frames
            .iter()
            .enumerate()
            .map(|(at, (kind, function))| {
                let library = if *kind == FrameKind::Native { "libx.so" } else { "" };
                places.table.intern(SiteFrame {
                    kind: *kind,
                    function: (*function).to_owned(),
                    file: "F".to_owned(),
                    line: at as u32 + 1,
                    library: library.to_owned(),
                    inlined: false,
                })
            })
            .collect();
        let at = places.place(&ids, Kind::Malloc);
        let fix = fix(&places.table, &places.places[at])?;
        Some((fix.remedy, fix.what, fix.at?.line))
    }

    use FrameKind::{Java, Native};

    #[test]
    fn what_the_reader_holds_is_what_has_to_be_closed() {
        let stream = [
            (Native, "deflateInit2_"),
            (Java, "java.util.zip.Deflater.init"),
            (Java, "java.util.zip.Deflater.<init>"),
            (Java, "java.util.zip.GZIPOutputStream.<init>"),
            (Java, "com.acme.log.ExceptionLogger.compress"),
        ];
        let gzip = || Some("java.util.zip.GZIPOutputStream".to_owned());
        assert_eq!(of(&stream), Some((Remedy::Close, gzip(), 5)));
        let bare = [stream[0], stream[1], stream[2], stream[4]];
        assert_eq!(of(&bare), Some((Remedy::End, Some("java.util.zip.Deflater".to_owned()), 4)));
        let iterator = [
            (Native, "rocksdb::DBImpl::NewIterator"),
            (Java, "org.rocksdb.RocksDB.iterator"),
            (Java, "org.rocksdb.RocksDB.newIterator"),
            (Java, "com.acme.Lookup.scan"),
        ];
        assert_eq!(of(&iterator), Some((Remedy::CloseRocksObject, Some("org.rocksdb.RocksDB".to_owned()), 4)));
        let buffer = [
            (Java, "jdk.internal.misc.Unsafe.allocateMemory"),
            (Java, "java.nio.DirectByteBuffer.<init>"),
            (Java, "java.nio.ByteBuffer.allocateDirect"),
            (Java, "com.acme.Index.build"),
        ];
        assert_eq!(of(&buffer), Some((Remedy::DirectBuffer, Some("java.nio.ByteBuffer".to_owned()), 4)));
    }

    #[test]
    fn a_superclass_is_not_what_the_reader_holds() {
        let native = (Native, "ZSTD_compressStream2");
        let own = (Java, "com.acme.Zstd.stream");
        let filter = (Java, "java.io.FilterOutputStream.write");
        let zstd = (Java, "com.github.luben.zstd.ZstdOutputStreamNoFinalizer.write");
        let outer = (Java, "com.github.luben.zstd.ZstdOutputStream.write");
        let class = |name: &str| Some(format!("com.github.luben.zstd.{name}"));
        let stream = [native, zstd, outer, filter, own];
        assert_eq!(of(&stream), Some((Remedy::Close, class("ZstdOutputStream"), 5)));
        let without_outer = [native, zstd, filter, own];
        assert_eq!(of(&without_outer), Some((Remedy::Close, class("ZstdOutputStreamNoFinalizer"), 4)));
        assert_eq!(of(&[native, filter, own]), Some((Remedy::FreeNative, None, 3)), "nothing tells which it is");
    }

    #[test]
    fn what_a_database_or_a_pool_keeps_is_not_closed_where_it_is_used() {
        let native = (Native, "rocksdb::Arena::AllocateNewBlock");
        let put = [native, (Java, "org.rocksdb.RocksDB.put"), (Java, "com.acme.Store.save")];
        let rocks = || Some("org.rocksdb.RocksDB".to_owned());
        assert_eq!(of(&put), Some((Remedy::BoundRocksCaches, rocks(), 3)));
        let chunk = [
            (Native, "Unsafe_AllocateMemory0"),
            (Java, "jdk.internal.misc.Unsafe.allocateMemory0"),
            (Java, "java.nio.ByteBuffer.allocateDirect"),
            (Java, "org.x.shaded.io.netty.buffer.PoolArena$DirectArena.newChunk"),
            (Java, "org.x.shaded.io.netty.buffer.PoolArena.allocate"),
            (Java, "com.acme.Handler.read"),
        ];
        assert_eq!(of(&chunk).map(|fix| fix.0), Some(Remedy::ReleaseToPool));
        let unpooled =
            [chunk[1], chunk[2], (Java, "org.x.shaded.io.netty.buffer.UnpooledByteBufAllocator.x"), chunk[5]];
        assert_eq!(of(&unpooled).map(|fix| fix.0), Some(Remedy::ReleaseNetty), "shaded");
        let nobodys = [chunk[1], chunk[2], (Java, "io.netty.buffer.Unpooled.buffer"), (Java, "java.lang.Thread.run")];
        assert_eq!(
            of(&nobodys).map(|fix| (fix.0, fix.2)),
            Some((Remedy::ReleaseNetty, 3)),
            "a library's line, not the JDK's"
        );
    }

    #[test]
    fn native_code_is_freed_by_native_code() {
        let own = [(Native, "encode"), (Java, "com.acme.Codec.encode"), (Java, "com.acme.Main.main")];
        assert_eq!(of(&own), Some((Remedy::FreeNative, Some("com.acme.Codec.encode".to_owned()), 2)));
        assert_eq!(of(&[(Native, "operator new(unsigned long)"), (Native, "fill")]), Some((Remedy::Free, None, 2)));
        assert_eq!(of(&[]), None);
    }
}
