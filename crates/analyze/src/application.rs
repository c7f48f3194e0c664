//! Which frame of a stack is the reader's own code: the one that a report names first.
//!
//! In order: the first frame from the leaf that matches the configured packages; the first Java frame whose class
//! belongs to neither the JDK nor a known framework; the first that is at least not the JDK's; the first Java frame; the
//! first native frame that is neither an allocator wrapper nor of the C or C++ run-time; the leaf.

use crate::frames::{FrameKind, FrameTable, SiteFrame, SiteFrameId};

/// The JDK's own packages.
const JDK_PACKAGES: [&str; 5] = ["java.", "javax.", "jdk.", "sun.", "com.sun."];

/// Packages of JVM languages and of frameworks whose frames say where memory is allocated from, hardly
/// ever why. Libraries that own native memory themselves (RocksDB, LevelDB, Chronicle) are listed too: the reader's
/// line is the one that called them. Configuring `app.packages` overrides the guess.
const FRAMEWORK_PACKAGES: [&str; 69] = [
    "kotlin.",
    "kotlinx.",
    "scala.",
    "groovy.",
    "clojure.",
    "ai.djl.",
    "ai.onnxruntime.",
    "akka.",
    "ch.qos.logback.",
    "com.aayushatharva.brotli4j.",
    "com.fasterxml.",
    "com.github.luben.zstd.",
    "com.google.common.",
    "com.google.protobuf.",
    "com.intel.qat.",
    "com.kenai.jffi.",
    "com.mysql.",
    "com.ning.compress.",
    "com.zaxxer.hikari.",
    "io.aeron.",
    "io.grpc.",
    "io.micrometer.",
    "io.micronaut.",
    "io.netty.",
    "io.quarkus.",
    "io.undertow.",
    "io.vertx.",
    "jakarta.",
    "jnr.",
    "net.bytebuddy.",
    "net.jpountz.",
    "net.openhft.",
    "okhttp3.",
    "okio.",
    "org.agrona.",
    "org.apache.arrow.",
    "org.apache.catalina.",
    "org.apache.commons.",
    "org.apache.coyote.",
    "org.apache.flink.",
    "org.apache.hadoop.",
    "org.apache.http.",
    "org.apache.kafka.",
    "org.apache.logging.",
    "org.apache.lucene.",
    "org.apache.spark.",
    "org.apache.tomcat.",
    "org.bytedeco.",
    "org.caffinitas.ohc.",
    "org.conscrypt.",
    "org.duckdb.",
    "org.eclipse.jetty.",
    "org.fusesource.",
    "org.hibernate.",
    "org.iq80.leveldb.",
    "org.lmdbjava.",
    "org.lwjgl.",
    "org.mapdb.",
    "org.nd4j.",
    "org.opencv.",
    "org.postgresql.",
    "org.pytorch.",
    "org.rocksdb.",
    "org.slf4j.",
    "org.springframework.",
    "org.sqlite.",
    "org.tensorflow.",
    "org.xerial.",
    "reactor.",
];

/// Java functions in which a pool takes its next chunk. Whoever happens to need one is charged for it, and others use it.
const POOLS: [&str; 3] = [
    "netty.buffer.PoolArena$DirectArena.newChunk",
    "netty.buffer.PoolArena$HeapArena.newChunk",
    "netty.buffer.AdaptivePoolingAllocator$",
];

/// Libraries that allocate on somebody else's behalf.
const RUNTIME_LIBRARIES: [&str; 10] = [
    "libc.so",
    "libc-",
    "ld-linux",
    "ld-musl",
    "libpthread",
    "libstdc++",
    "libc++",
    "libgcc_s",
    "libjemalloc",
    "libleakscope",
];

/// Functions that allocate on somebody else's behalf, wherever they are linked: C++'s and Rust's run-time and
/// collections, the JVM's allocator, CPython's, GLib's, and the usual name of a malloc that never fails.
const WRAPPERS: [&str; 38] = [
    "operator new",
    "std::",
    "__gnu_cxx::",
    "alloc::",
    "core::",
    "hashbrown::",
    "__rust_",
    "__rustc::",
    "__rdl_",
    "__rg_",
    "os::malloc",
    "os::realloc",
    "os::strdup",
    "AllocateHeap",
    "ReallocateHeap",
    "AnyObj::operator new",
    "ResourceObj::operator new",
    "Chunk::operator new",
    "CHeapObj",
    "ArrayAllocator",
    "MallocArrayAllocator",
    "PyMem_",
    "_PyMem_",
    "PyObject_Malloc",
    "PyObject_Calloc",
    "PyObject_Realloc",
    "_PyObject_Malloc",
    "_PyObject_Calloc",
    "_PyObject_Realloc",
    "_PyObject_Arena",
    "pymalloc_",
    "g_malloc",
    "g_realloc",
    "g_strdup",
    "xmalloc",
    "xcalloc",
    "xrealloc",
    "xstrdup",
];

/// Answers which frame is the application's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Application<'a> {
    pub packages: &'a [String],
}

impl Application<'_> {
    /// Index of the application frame in a stack (leaf first); `None` for an empty stack.
    pub(crate) fn frame(&self, table: &FrameTable, stack: &[SiteFrameId]) -> Option<usize> {
        let first = |test: &dyn Fn(&SiteFrame) -> bool| stack.iter().position(|id| test(table.get(*id)));
        let is_own = |f: &SiteFrame| f.kind == FrameKind::Java && !is_framework(&f.function);
        first(&|f| self.is_configured(f))
            .map(|at| caller_of_native(table, stack, at, &|f| self.is_configured(f)))
            .or_else(|| first(&is_own).map(|at| caller_of_native(table, stack, at, &is_own)))
            .or_else(|| first(&|f| f.kind == FrameKind::Java && !is_jdk(&f.function)))
            .or_else(|| first(&|f| f.kind == FrameKind::Java))
            .or_else(|| first(&|f| f.kind == FrameKind::Native && !is_runtime(f)))
            .or_else(|| first(&|f| f.kind != FrameKind::Marker))
            .or(if stack.is_empty() { None } else { Some(0) })
    }

    pub(crate) fn is_configured(&self, frame: &SiteFrame) -> bool {
        self.packages.iter().any(|package| !package.is_empty() && frame.function.starts_with(package.as_str()))
    }
}

/// A Java method without a line is a native one: the line to change is where it is called. `at` itself where its caller
/// is nobody's own, or has no line either (classes compiled without them).
fn caller_of_native(
    table: &FrameTable,
    stack: &[SiteFrameId],
    at: usize,
    is_own: &dyn Fn(&SiteFrame) -> bool,
) -> usize {
    let is_native_method = |f: &SiteFrame| f.kind == FrameKind::Java && f.line == 0;
    let caller = stack.get(at + 1).map(|id| table.get(*id));
    match caller {
        Some(caller) if is_native_method(table.get(stack[at])) && caller.line > 0 && is_own(caller) => at + 1,
        _ => at,
    }
}

/// Index of the frame, leaf first, whose library a stack is counted under: the first outside the run-time.
pub(crate) fn library_frame(table: &FrameTable, stack: &[SiteFrameId]) -> Option<usize> {
    let owns = |f: &SiteFrame| match f.kind {
        FrameKind::Java => true,
        FrameKind::Native => !f.library.is_empty() && !is_runtime_library(&f.library),
        FrameKind::Marker => false,
    };
    stack
        .iter()
        .position(|id| owns(table.get(*id)))
        .or_else(|| stack.iter().position(|id| !table.get(*id).library.is_empty()))
}

/// Index of the frame in which a pool takes its next chunk, if it is one.
pub(crate) fn pool_frame(table: &FrameTable, stack: &[SiteFrameId]) -> Option<usize> {
    let is_pool = |f: &SiteFrame| f.kind == FrameKind::Java && POOLS.iter().any(|pool| f.function.contains(pool));
    stack.iter().position(|id| is_pool(table.get(*id)))
}

fn is_jdk(function: &str) -> bool {
    JDK_PACKAGES.iter().any(|package| function.starts_with(package))
}

/// Whether a Java function is the JDK's, a JVM language's or a known framework's: somebody else's code.
pub fn is_framework(function: &str) -> bool {
    is_jdk(function) || FRAMEWORK_PACKAGES.iter().any(|package| function.starts_with(package))
}

fn is_runtime(frame: &SiteFrame) -> bool {
    is_runtime_library(&frame.library) || is_wrapper(&frame.function)
}

fn is_wrapper(function: &str) -> bool {
    let name = qualified_name(function);
    match name.strip_prefix('<') {
        Some(implementation) => is_wrapper_impl(implementation),
        None => WRAPPERS.iter().any(|wrapper| name.starts_with(wrapper)),
    }
}

/// Whether the rest of `<Type as Trait>::method` is the run-time's: its type is, or a run-time's trait for a type
/// of no crate (`T`, `u8`, `[T]`). A run-time's trait for somebody's own type is that somebody's code.
fn is_wrapper_impl(implementation: &str) -> bool {
    let bare = implementation.trim_start_matches(['&', '*', '[', '(']);
    let bare = bare.strip_prefix("mut ").unwrap_or(bare);
    let is_runtimes = |name: &str| WRAPPERS.iter().any(|wrapper| name.starts_with(wrapper));
    match bare.split_once(" as ") {
        _ if is_runtimes(bare) => true,
        Some((own, of)) => !own.contains("::") && is_runtimes(of),
        None => false,
    }
}

/// A native function's name without what C++ writes before that of a template: `void std::swap<int>(int&, int&)`
/// begins at `std::`.
fn qualified_name(function: &str) -> &str {
    let (mut depth, mut start) = (0i32, 0);
    for (at, byte) in function.bytes().enumerate() {
        match byte {
            b'(' if depth == 0 && at > start => break,
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            b'>' | b')' | b']' | b'}' => depth -= 1,
            b' ' if depth == 0 => {
                let rest = &function[start..];
                if rest.starts_with("operator") || rest[..at - start].ends_with("operator") {
                    break;
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    &function[start..]
}

fn is_runtime_library(library: &str) -> bool {
    RUNTIME_LIBRARIES.iter().any(|runtime| library.starts_with(runtime))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(table: &mut FrameTable, frames: &[(FrameKind, &str, &str)]) -> Vec<SiteFrameId> {
        frames
            .iter()
            .map(|(kind, function, library)| {
                table.intern(SiteFrame {
                    kind: *kind,
                    function: (*function).to_owned(),
                    file: String::new(),
                    line: 0,
                    library: (*library).to_owned(),
                    inlined: false,
                })
            })
            .collect()
    }

    use FrameKind::{Java, Marker, Native};

    #[test]
    fn the_application_frame_is_the_readers_own_line() {
        let mut table = FrameTable::default();
        let deflater = stack(
            &mut table,
            &[
                (Native, "deflateInit2_", "libz.so.1"),
                (Java, "java.util.zip.Deflater.init", ""),
                (Java, "io.netty.Handler.read", ""),
                (Java, "com.acme.log.ExceptionLogger.compress", ""),
                (Java, "com.acme.Main.main", ""),
            ],
        );
        assert_eq!(Application::default().frame(&table, &deflater), Some(3));
        let packages = ["com.acme.Main".to_owned()];
        assert_eq!(Application { packages: &packages }.frame(&table, &deflater), Some(4));
        assert_eq!(library_frame(&table, &deflater), Some(0));
    }

    #[test]
    fn a_native_method_is_named_by_the_line_that_calls_it() {
        let mut table = FrameTable::default();
        let mut line = |function: &str, line| {
            let frame = SiteFrame {
                kind: Java,
                function: function.to_owned(),
                file: "Codec.java".to_owned(),
                line,
                library: String::new(),
                inlined: false,
            };
            table.intern(frame)
        };
        let called =
            [line("com.acme.Codec.encode", 0), line("com.acme.Service.handle", 14), line("com.acme.Main.main", 3)];
        let without_lines = [line("com.acme.Codec.encode", 0), line("com.acme.Service.handle", 0)];
        let by_others = [line("com.acme.Codec.encode", 0), line("io.netty.Handler.read", 7)];
        let own = Application::default();
        assert_eq!(own.frame(&table, &called), Some(1));
        assert_eq!(own.frame(&table, &without_lines), Some(0));
        assert_eq!(own.frame(&table, &by_others), Some(0));
        let packages = ["com.acme.".to_owned()];
        assert_eq!(Application { packages: &packages }.frame(&table, &called), Some(1));
    }

    #[test]
    fn libraries_with_native_memory_are_nobodys_own() {
        for library in [
            "org.fusesource.leveldbjni.internal.NativeDB.iterator",
            "org.iq80.leveldb.impl.Iq80DBFactory.open",
            "org.lmdbjava.Env.open",
            "org.bytedeco.javacpp.Pointer.malloc",
            "ai.onnxruntime.OrtSession.run",
            "org.tensorflow.Session.run",
            "org.xerial.snappy.Snappy.compress",
            "org.sqlite.core.NativeDB.prepare",
            "com.sun.jna.Memory.malloc",
            "jnr.ffi.Memory.allocate",
            "io.aeron.Aeron.connect",
        ] {
            let mut table = FrameTable::default();
            let frames = stack(
                &mut table,
                &[(Native, "operator new", "libx.so"), (Java, library, ""), (Java, "com.acme.Scan.all", "")],
            );
            assert_eq!(Application::default().frame(&table, &frames), Some(2), "{library}");
        }
    }

    #[test]
    fn without_application_classes_the_first_java_frame_stands_in() {
        let mut table = FrameTable::default();
        let jdk = stack(&mut table, &[(Native, "os::malloc", "libjvm.so"), (Java, "java.lang.Thread.run", "")]);
        assert_eq!(Application::default().frame(&table, &jdk), Some(1));
    }

    #[test]
    fn allocators_of_languages_are_no_application() {
        for wrapper in [
            "alloc::raw_vec::RawVec<T,A>::try_allocate_in",
            "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
            "<T as alloc::slice::hack::ConvertVec>::to_vec",
            "<u8 as alloc::vec::spec_from_elem::SpecFromElem>::from_elem",
            "<[T] as alloc::borrow::ToOwned>::to_owned",
            "<&mut I as core::iter::Iterator>::next",
            "core::ops::function::FnOnce::call_once",
            "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int&&)",
            "int* std::__relocate_a<int*>(int*, int*)",
            "__gnu_cxx::new_allocator<char>::allocate(unsigned long, void const*)",
            "operator new[](unsigned long)",
            "_PyObject_Malloc",
            "PyObject_Malloc",
            "_PyMem_RawMalloc",
            "os::malloc(unsigned long, MEMFLAGS)",
            "AllocateHeap(unsigned long, MEMFLAGS, NativeCallStack const&)",
        ] {
            assert!(is_wrapper(wrapper), "{wrapper}");
        }
        for own in [
            "<app::Cache as core::iter::Iterator>::next",
            "<app::Cache as core::default::Default>::default",
            "app::core::run",
            "Cache::fill(std::vector<int>&)",
            "void Cache::put<std::string>(std::string)",
            "std_fill",
            "Pool::operator new(unsigned long)",
            "(anonymous namespace)::grow(int)",
            "Arena::grow(unsigned long)",
            "PyList_Append",
            "",
            " ",
        ] {
            assert!(!is_wrapper(own), "{own}");
        }
    }

    #[test]
    fn native_programs_skip_wrappers_and_the_runtime() {
        let mut table = FrameTable::default();
        let native = stack(
            &mut table,
            &[
                (Marker, "[truncated]", ""),
                (Native, "operator new(unsigned long)", "libstdc++.so.6"),
                (Native, "std::vector<int>::reserve(unsigned long)", "app"),
                (Native, "Cache::fill()", "app"),
            ],
        );
        assert_eq!(Application::default().frame(&table, &native), Some(3));
        assert_eq!(library_frame(&table, &native), Some(2));
        assert_eq!(Application::default().frame(&table, &native[..1]), Some(0));
        assert_eq!(Application::default().frame(&table, &[]), None);
    }
}
