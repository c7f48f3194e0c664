//! What reading takes at the desk: reports of a large recording, one profile of many stacks, symbols of a large library,
//! the ring. Prints tables; asserts nothing about time, because that depends on the machine.
//!
//! With `--keep DIR` the recordings and pages stay there. `--object FILE --debug-dir DIR`: whose addresses are looked up;
//! without them those of leakscope itself, which is as large as a libjvm and has debug information, too.
#![allow(unsafe_code)] // wait4

#[path = "../tests/support/invented.rs"]
mod invented;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use invented::Invented;
use leakscope_session::ring::{Popped, Ring, SLOT_WORDS};
use leakscope_symbolize::{LookupAddress, ObjectRef, Options, Symbolizer, build_id, executable_segments};

const LEAKSCOPE: &str = env!("CARGO_BIN_EXE_leakscope");

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|word| word == name).and_then(|at| arguments.get(at + 1));
    let number = |name: &str, default: u32| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let directory = value("--keep").map_or(temporary.path().to_owned(), PathBuf::from);
    let is_busy = arguments.iter().any(|word| word == "--busy");
    let leak = value("--leak").and_then(|text| text.parse().ok()).unwrap_or(3.2);
    let (snapshots, others) = (number("--snapshots", 240), number("--sites", 5000) as usize);
    recording(&directory, &Invented { snapshots, others, is_busy, leak, ..Invented::default() });
    one_profile(&directory.join("stacks"), number("--stacks", 100_000) as usize);
    let debug_dirs = value("--debug-dir").map(PathBuf::from).into_iter().collect();
    symbols(Path::new(value("--object").map_or(LEAKSCOPE, String::as_str)), debug_dirs);
    drain();
}

fn head(what: &str) {
    println!("\n| {what} | seconds | of the processor | most memory | result |\n|---|---|---|---|---|");
}

fn recording(directory: &Path, invented: &Invented) {
    invented.write(directory);
    head(&format!("{} snapshots of {} sites", invented.snapshots, invented.others));
    let page = directory.join("report.html");
    run("report --json", &["report".as_ref(), directory, "--json".as_ref()], None);
    let html: [&Path; 4] = ["report".as_ref(), directory, "--html".as_ref(), &page];
    run("report --html", &html, Some(&page));
}

fn one_profile(directory: &Path, stacks: usize) {
    let folder = Invented { snapshots: 2, others: stacks, is_busy: true, ..Invented::default() }.write(directory);
    let [first, last] = ["0000.prof", "0001.prof"].map(|file| folder.join(file));
    head(&format!("{stacks} stacks"));
    run("report", &["report".as_ref(), &last], None);
    run("report --json", &["report".as_ref(), &last, "--json".as_ref()], None);
    run("diff", &["diff".as_ref(), &first, &last], None);
    run("diff --json", &["diff".as_ref(), &first, &last, "--json".as_ref()], None);
}

/// Runs leakscope without looking for symbols, and prints a row. What it makes is `page`, or its output.
fn run(name: &str, arguments: &[&Path], page: Option<&Path>) {
    let output = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut command = Command::new(LEAKSCOPE);
    command.args(arguments).arg("--no-debug-info").stderr(Stdio::null());
    if page.is_some() {
        command.arg("--force");
    }
    command.stdout(output.reopen().expect("the same file"));
    forget_peak();
    // SAFETY: it is made of numbers.
    let (mut status, mut usage) = (0, unsafe { std::mem::zeroed::<libc::rusage>() });
    let start = Instant::now();
    #[allow(clippy::zombie_processes)] // wait4 below
    let child = command.spawn().expect("leakscope starts");
    // SAFETY: both point to values of ours; the process is our child, which nobody else waits for.
    let waited = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage) };
    let seconds = start.elapsed().as_secs_f64();
    assert!(waited == child.id() as i32 && status == 0, "{command:?}: {status:#x}");
    let time = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let (cpu, memory) = (time(usage.ru_utime) + time(usage.ru_stime), usage.ru_maxrss / 1024);
    let bytes = fs::metadata(page.unwrap_or(output.path())).map_or(0, |made| made.len()) as f64;
    println!("| `leakscope {name}` | {seconds:.2} | {cpu:.2} | {memory} MiB | {:.2} MiB |", bytes / 1048576.0);
}

/// A process begins with the peak of the one that started it, which has just written a recording.
fn forget_peak() {
    // SAFETY: only gives back what is free.
    unsafe { libc::malloc_trim(0) };
    fs::write("/proc/self/clear_refs", "5").expect("the peak is forgotten");
}

/// 10,000 addresses spread evenly over the code of a file, with nothing in the cache and with everything.
fn symbols(object: &Path, debug_dirs: Vec<PathBuf>) {
    const ADDRESSES: u64 = 10_000;
    let cache = tempfile::tempdir().expect("a temporary folder");
    let file = fs::File::open(object).expect("the object");
    let code = executable_segments(&file).into_iter().max_by_key(|segment| segment.memory_size).expect("code");
    let address = |n: u64| LookupAddress::of_instruction(code.address + n * (code.memory_size / ADDRESSES), 0);
    let addresses: Vec<LookupAddress> = (0..ADDRESSES).map(address).collect();
    println!("\n| {ADDRESSES} addresses of {} | seconds | found | with a line |\n|---|---|---|---|", object.display());
    for name in ["cold", "again, by the cache"] {
        let mut options = Options { cache_dir: Some(cache.path().to_owned()), ..Options::full() };
        options.debug_dirs.extend(debug_dirs.iter().cloned());
        let reference = ObjectRef { path: object.to_owned(), build_id: build_id(&file), file: None };
        let start = Instant::now();
        let found = Symbolizer::new(options).symbolize(&reference, &addresses);
        let seconds = start.elapsed().as_secs_f64();
        let named = found.iter().filter(|symbols| !symbols.is_empty()).count();
        let lines = found.iter().filter(|symbols| symbols.last().is_some_and(|symbol| symbol.line > 0)).count();
        println!("| {name} | {seconds:.2} | {named} | {lines} |");
    }
}

/// A ring of 65,536 records, filled and emptied again and again: what taking a record out takes.
fn drain() {
    const RECORDS: usize = 1 << 16;
    const ROUNDS: u32 = 100;
    let (begin, end) = (AtomicU64::new(0), AtomicU64::new(0));
    let slots: Vec<AtomicU64> = (0..RECORDS * SLOT_WORDS).map(|_| AtomicU64::new(0)).collect();
    let ring = Ring::new(&begin, &end, &slots);
    let (mut taken, mut lasted) = (0u64, Duration::ZERO);
    for round in 0..u64::from(ROUNDS) {
        (0..RECORDS as u64).for_each(|n| assert!(ring.push(&[1, n, 64, round, n, 0])));
        let start = Instant::now();
        while let Popped::Record(payload) = ring.pop() {
            black_box(payload);
            taken += 1;
        }
        lasted += start.elapsed();
    }
    assert_eq!(taken, u64::from(ROUNDS) * RECORDS as u64);
    println!("\n| the ring | million records/s |\n|---|---|");
    println!("| taken out | {:.1} |", taken as f64 / lasted.as_secs_f64() / 1e6);
}
