//! The target programs: compiled once for each content and set of options, into target/e2e/HASH.

use super::machine::{need, repository, target};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Functions stay functions and calls stay calls, so that the truth by function is the truth.
const C_OPTIONS: &[&str] = &[
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-optimize-sibling-calls",
    "-fno-builtin",
    "-fomit-frame-pointer",
    "-pthread",
];

/// Where the sources are.
pub fn folder() -> PathBuf {
    repository().join("tests/programs")
}

/// tests/programs/NAME.c as an executable.
pub fn c(name: &str) -> PathBuf {
    compile_c(&format!("{name}.c"), "cc", &["-std=gnu11"])
}

/// The same, linked statically.
pub fn c_static(name: &str) -> PathBuf {
    compile_c(&format!("{name}.c"), "cc", &["-std=gnu11", "-static"])
}

/// The same, with further options of the compiler.
pub fn c_with(name: &str, options: &[&str]) -> PathBuf {
    compile_c(&format!("{name}.c"), "cc", &[&["-std=gnu11"], options].concat())
}

/// tests/programs/NAME.c as a library to preload or to open.
pub fn library(name: &str) -> PathBuf {
    library_with(name, &[])
}

fn library_with(name: &str, options: &[&str]) -> PathBuf {
    c_with(name, &[options, &["-shared", "-fPIC"]].concat())
}

/// musl-gcc leaves out what native compilers of musl systems add.
const MUSL_OPTIONS: &[&str] = &["-std=gnu11", "-Wl,--eh-frame-hdr,--build-id"];

/// tests/programs/NAME.c as an executable for musl.
pub fn c_musl(name: &str) -> PathBuf {
    compile_c(&format!("{name}.c"), "musl-gcc", MUSL_OPTIONS)
}

/// tests/programs/NAME.c as a library for musl.
pub fn library_musl(name: &str) -> PathBuf {
    compile_c(&format!("{name}.c"), "musl-gcc", &[MUSL_OPTIONS, &["-shared", "-fPIC"]].concat())
}

/// tests/programs/NAME.cc as an executable.
pub fn cc(name: &str) -> PathBuf {
    compile_c(&format!("{name}.cc"), "c++", &["-std=gnu++17"])
}

/// tests/programs/NAME.cc as a library to open.
pub fn cc_library(name: &str, options: &[&str]) -> PathBuf {
    compile_c(&format!("{name}.cc"), "c++", &[&["-std=gnu++17", "-shared", "-fPIC"], options].concat())
}

/// tests/programs/NAME.c with the headers of the JDK.
pub fn c_with_jni(name: &str) -> PathBuf {
    let [java, system] = &jni_headers();
    c_with(name, &[java, system])
}

/// tests/programs/NAME.c as a library for Java.
pub fn library_jni(name: &str) -> PathBuf {
    let [java, system] = &jni_headers();
    library_with(name, &[java, system])
}

/// Options that find the JDK's headers.
fn jni_headers() -> [String; 2] {
    let include = java_home().join("include");
    [format!("-I{}", include.display()), format!("-I{}", include.join("linux").display())]
}

/// Where the programs with a known verdict are.
pub fn corpus() -> PathBuf {
    repository().join("tests/corpus")
}

/// tests/corpus/NAME.c as an executable.
pub fn corpus_c(name: &str) -> PathBuf {
    compile(&corpus(), &format!("{name}.c"), "cc", &["-std=gnu11"])
}

/// tests/corpus/NAME.cc as an executable.
pub fn corpus_cc(name: &str) -> PathBuf {
    compile(&corpus(), &format!("{name}.cc"), "c++", &["-std=gnu++17"])
}

/// tests/corpus/NAME.c as a library for Java.
pub fn corpus_jni(name: &str) -> PathBuf {
    let headers = jni_headers();
    let [java, system] = &headers;
    compile(&corpus(), &format!("{name}.c"), "cc", &["-std=gnu11", "-shared", "-fPIC", java, system])
}

/// Classes of all tests/corpus/*.java.
pub fn corpus_java() -> PathBuf {
    java_in(&corpus())
}

fn compile_c(file: &str, compiler: &str, options: &[&str]) -> PathBuf {
    compile(&folder(), file, compiler, options)
}

fn compile(folder: &Path, file: &str, compiler: &str, options: &[&str]) -> PathBuf {
    need(compiler);
    let source = folder.join(file);
    let mut command = Command::new(compiler);
    command.args(C_OPTIONS).args(options).arg(&source).arg("-ldl");
    let entries = fs::read_dir(folder).expect("a folder of programs").map(|entry| entry.expect("an entry").path());
    let headers = entries.filter(|path| path.extension().is_some_and(|extension| extension == "h"));
    let mut inputs: Vec<PathBuf> = headers.collect();
    inputs.sort();
    inputs.insert(0, source);
    once(&inputs, command, |command, out| {
        command.arg("-o").arg(out.join("program"));
    })
    .join("program")
}

/// Classes of all tests/programs/*.java, for JDK 11 and later.
pub fn java() -> PathBuf {
    java_in(&folder())
}

fn java_in(folder: &Path) -> PathBuf {
    let mut sources: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder of programs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "java"))
        .collect();
    sources.sort();
    javac(&sources)
}

/// Classes of the programs that gates judge, with the class that users copy.
pub fn gate() -> PathBuf {
    let ours =
        ["Loop", "Served", "Loaders", "Fresh"].map(|name| repository().join("tests/gate").join(format!("{name}.java")));
    let examples = ["Leakscope", "LeakTest"].map(|name| example_source("ci", name));
    javac(&[ours.as_slice(), examples.as_slice(), &[folder().join("Helper.java")]].concat())
}

/// Classes of the examples in one folder of examples/.
pub fn example(folder: &str, name: &str) -> PathBuf {
    javac(&[example_source(folder, name)])
}

/// Options for [`example`] DeflaterLeak: a collection would release the Deflaters before the last snapshot. It makes little
/// garbage itself, the source launcher's compiler makes more.
pub const UNCOLLECTED: [&str; 2] = ["-Xmn256m", "-XX:MetaspaceSize=256m"];

/// Source of an example.
pub fn example_source(folder: &str, name: &str) -> PathBuf {
    repository().join("examples").join(folder).join(format!("{name}.java"))
}

fn javac(sources: &[PathBuf]) -> PathBuf {
    need("javac");
    let mut command = Command::new("javac");
    command.args(["--release", "11", "-g"]).args(sources);
    once(sources, command, |command, out| {
        command.arg("-d").arg(out);
    })
}

/// The JDK that `javac` belongs to.
pub fn java_home() -> PathBuf {
    need("javac");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let javac = std::env::split_paths(&path).map(|d| d.join("javac")).find(|file| file.is_file());
    let javac = javac.and_then(|file| file.canonicalize().ok()).expect("javac's own path");
    javac.ancestors().nth(2).expect("JDK/bin/javac").to_owned()
}

/// Runs a compiler into a folder named after what goes in, unless that is there already.
fn once(inputs: &[PathBuf], mut command: Command, set_output: impl FnOnce(&mut Command, &Path)) -> PathBuf {
    static DONE: LazyLock<Mutex<HashMap<u64, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut done = DONE.lock();
    let mut hasher = DefaultHasher::new();
    format!("{command:?}").hash(&mut hasher);
    for input in inputs {
        fs::read(input).unwrap_or_else(|error| panic!("{}: {error}", input.display())).hash(&mut hasher);
    }
    let hash = hasher.finish();
    if let Some(folder) = done.get(&hash) {
        return folder.clone();
    }
    let folder = target().join("e2e").join(format!("{hash:016x}"));
    if !folder.exists() {
        // Under a name of this process until it is complete: other test binaries may do the same now.
        let unfinished = target().join("e2e").join(format!("{hash:016x}.{}", std::process::id()));
        fs::create_dir_all(&unfinished).expect("a folder for the program");
        set_output(&mut command, &unfinished);
        let output = command.output().expect("the compiler runs");
        assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
        if fs::rename(&unfinished, &folder).is_err() {
            assert!(folder.exists(), "{} cannot be made", folder.display());
            fs::remove_dir_all(&unfinished).expect("to tidy up");
        }
    }
    done.insert(hash, folder.clone());
    folder
}
