//! Threads of the JVM that the target and the collector both know by their kernel names.

/// Names of the threads that release what a garbage collection found unreachable. `Secondary finalizer` is who helps the
/// finalizer on request: on JDK 8 with each collection that jcmd asks for. What is too long for the kernel ends early up to JDK 25,
/// and lacks its middle from 26 on.
const HANDLERS: [&[u8]; 6] =
    [b"Reference Handl", b"Referen..andler", b"Finalizer", b"Secondary final", b"Seconda..alizer", b"Common-Cleaner"];
/// How the names of further cleaners begin; a number follows.
const CLEANERS: &[u8] = b"Cleaner-";

/// Whether a thread of this kernel name, without what follows its end, releases what a garbage collection found.
///
/// ```
/// use leakscope_session::jvm_threads::handles_references;
/// assert!(handles_references(b"Finalizer") && handles_references(b"Cleaner-0"));
/// assert!(!handles_references(b"Finalizer-pool"), "the program's own");
/// ```
///
/// # Hot path
/// Sampled frees in a JVM. No allocation, lock, system call or panic; signal-safe.
pub fn handles_references(name: &[u8]) -> bool {
    HANDLERS.contains(&name) || name.starts_with(CLEANERS)
}
