//! Link options of the preloaded library: nothing of the C start-up files, never unloaded, bound at load time.
fn main() {
    // Both hash tables: only the old one says how many symbols there are (agent/src/operators).
    for option in [
        "-nostartfiles",
        "-Wl,--hash-style=both",
        "-Wl,-z,nodelete",
        "-Wl,-z,now",
        "-Wl,-z,relro",
        "-Wl,-soname,libleakscope.so",
    ] {
        println!("cargo::rustc-link-arg-cdylib={option}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
