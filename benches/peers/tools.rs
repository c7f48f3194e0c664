//! The profilers: how each is put in front of a program.

use crate::workloads::Kind;
use std::path::{Path, PathBuf};

pub const LEAKSCOPE: &str = env!("CARGO_BIN_EXE_leakscope");

/// A way to run a program.
pub struct Tool {
    pub name: &'static str,
    /// Words before the program's own.
    pub prefix: Vec<String>,
    /// Whether they stand for the interpreter, the program's first word.
    pub is_interpreter: bool,
    pub environment: Vec<(&'static str, String)>,
    /// Where it writes, if it does.
    pub output: Option<PathBuf>,
    /// Each call costs so much that one in so many turns says enough.
    pub one_in: u64,
    /// Whether its ratio may be so near to 1 that many turns are needed.
    pub in_every_turn: bool,
    /// Programs that it is of use for.
    pub kinds: &'static [Kind],
    /// In what it differs from the others, for the document.
    pub note: &'static str,
}

const ALL: &[Kind] = &[Kind::Native, Kind::Python, Kind::Java];

/// Those that this machine has; the first is no tool at all.
pub fn found(scratch: &Path) -> Vec<Tool> {
    let tool = |name, note| Tool {
        name,
        prefix: vec![],
        is_interpreter: false,
        environment: vec![],
        output: None,
        one_in: 1,
        in_every_turn: false,
        kinds: ALL,
        note,
    };
    let preload = |library: &str| vec![("LD_PRELOAD", library.to_owned())];
    let folder = |name: &str| {
        let folder = scratch.join(format!("out-{name}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    };
    let text = |path: &Path| path.display().to_string();

    let mut tools = vec![Tool { in_every_turn: true, ..tool("plain", "glibc's malloc, no profiler") }];
    for (name, sample, one_in, note) in [
        ("leakscope", "512k", 1, "`leakscope run`, its default"),
        ("leakscope exact", "1", 10, "`--sample 1`: every block, with its stack"),
    ] {
        let output = folder(&name.replace(' ', "-"));
        let words = [LEAKSCOPE, "run", "--sample", sample, "-o", &text(&output.join("run")), "--"].map(String::from);
        let in_every_turn = sample != "1";
        tools.push(Tool { prefix: words.to_vec(), output: Some(output), one_in, in_every_turn, ..tool(name, note) });
    }
    if on_path("heaptrack") {
        let output = folder("heaptrack");
        let words = ["heaptrack", "-o", &text(&output.join("run"))].map(String::from).to_vec();
        let note = "every block, with its native stack; no Java frames";
        tools.push(Tool { prefix: words, output: Some(output), one_in: 10, ..tool("heaptrack", note) });
    }
    if let Some(library) = library("libjemalloc.so.2") {
        let plain = tool("jemalloc", "another allocator, no profiler: what jemalloc prof is to be compared with");
        tools.push(Tool { environment: preload(&library), ..plain });
        let output = folder("jemalloc");
        let options =
            format!("prof:true,lg_prof_sample:19,lg_prof_interval:30,prof_prefix:{}", text(&output.join("heap")));
        let environment = [preload(&library), vec![("MALLOC_CONF", options)]].concat();
        let note = "jemalloc's own profiler, one sample each 512 KiB; native stacks";
        tools.push(Tool { environment, output: Some(output), ..tool("jemalloc prof", note) });
    }
    if let Some(library) = library("libtcmalloc.so.4") {
        let output = folder("tcmalloc");
        let environment = [preload(&library), vec![("HEAPPROFILE", text(&output.join("heap")))]].concat();
        let note = "gperftools' heap profiler: every block, native stacks";
        tools.push(Tool { environment, output: Some(output), one_in: 100, ..tool("tcmalloc prof", note) });
    }
    let environment = vec![("JAVA_TOOL_OPTIONS", "-XX:NativeMemoryTracking=detail".to_owned())];
    let note = "the JVM's own `NativeMemoryTracking=detail`: its own blocks, four native frames each; no libraries, no Java frames";
    tools.push(Tool { environment, kinds: &[Kind::Java], ..tool("NMT", note) });
    if let Some(program) = given("MEMRAY") {
        let output = folder("memray");
        let file = text(&output.join("run.bin"));
        let prefix = [&program, "run", "--quiet", "--native", "-o", &file].map(String::from).to_vec();
        let python = tool("memray", "`--native`: every block, Python and native frames");
        let output = Some(output);
        tools.push(Tool { prefix, is_interpreter: true, output, one_in: 10, kinds: &[Kind::Python], ..python });
    }
    if let Some(library) = given("BYTEHOUND") {
        let output = folder("bytehound");
        let file = text(&output.join("run.dat"));
        let environment = [preload(&library), vec![("MEMORY_PROFILER_OUTPUT", file)]].concat();
        let note = "every block, native stacks";
        tools.push(Tool { environment, output: Some(output), one_in: 10, ..tool("bytehound", note) });
    }
    if let Some(library) = given("ASYNC_PROFILER") {
        let output = folder("async-profiler");
        let options = format!("-agentpath:{library}=start,nativemem=512k,file={}", text(&output.join("run.jfr")));
        let environment = vec![("JAVA_TOOL_OPTIONS", options)];
        let note = "nativemem, one sample each 512 KiB; native and Java frames";
        let java = tool("async-profiler", note);
        tools.push(Tool { environment, output: Some(output), kinds: &[Kind::Java], ..java });
    }
    tools
}

pub fn on_path(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(program).exists())
}

fn library(name: &str) -> Option<String> {
    let path = format!("/usr/lib/{}-linux-gnu/{name}", std::env::consts::ARCH);
    Path::new(&path).exists().then_some(path)
}

fn given(variable: &str) -> Option<String> {
    let path = std::env::var(variable).ok()?;
    assert!(Path::new(&path).exists(), "{variable}: there is no {path}");
    Some(path)
}
