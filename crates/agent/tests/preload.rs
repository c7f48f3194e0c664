//! Small programs under the real shim: what can only be seen in a process whose malloc is interposed.
//!
//! Each program checks itself and says the line that failed. It runs as leakscope would run it: unrecorded (no
//! collector), or recorded in exact mode by the collector of this file, which then looks into the session.
#![allow(unsafe_code)] // receives a descriptor, maps memory

use leakscope_session::handshake::{ENVIRONMENT, MESSAGE_BYTES, Message, Settings};
use leakscope_session::losses::Loss;
use leakscope_session::view::{Session, Sizes};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The shim as it is shipped; built once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shim");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--quiet", "--package", "leakscope-shim", "--profile", "shim", "--target-dir"])
            .arg(&directory)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the shim does not build");
        directory.join("shim/libleakscope_shim.so")
    })
}

/// Compiles `programs/NAME.c` to a file of that name, or of another.
fn compile(name: &str, to: &str, options: &[&str]) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(to);
    std::fs::create_dir_all(out.parent().unwrap()).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(format!("{name}.c"));
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-fno-builtin", "-w", "-pthread"]).args(options).arg("-o").arg(&out).arg(source);
    let status = compiler.status().expect("a C compiler is installed");
    assert!(status.success(), "{name}.c does not compile");
    out
}

/// Compiles a program for the calling test: tests run in parallel.
fn program(name: &str) -> PathBuf {
    let test = std::thread::current().name().expect("tests are named").to_owned();
    compile(name, &format!("{test}/{name}"), &["-rdynamic"])
}

fn run_unrecorded(command: &mut Command) -> Output {
    command.env("LD_PRELOAD", shim()).output().expect("the program starts")
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// A session as the collector got it.
struct Received {
    base: *mut u8,
    bytes: u64,
    _connection: UnixStream,
}

impl Received {
    fn session(&self) -> Session<'_> {
        // SAFETY: mapped in `receive` with this length, unmapped on drop.
        unsafe { Session::attach(self.base, self.bytes) }.expect("a session")
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no view of it outlives `self`.
        unsafe { libc::munmap(self.base.cast(), self.bytes as usize) };
    }
}

/// Runs a command recorded in exact mode.
fn run_recorded(command: &mut Command) -> (Output, Received) {
    let name = format!("leakscope-preload-{}-{:?}", std::process::id(), std::thread::current().id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let child = command
        .env("LD_PRELOAD", shim())
        .env(ENVIRONMENT, format!("1:{name}:{}:0", std::process::id()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let received = receive(listener.accept().expect("the target connects").0);
    (child.wait_with_output().unwrap(), received)
}

fn read_message(stream: &mut impl Read) -> Message {
    let mut bytes = [0; MESSAGE_BYTES];
    stream.read_exact(&mut bytes).unwrap();
    decode(&bytes)
}

fn decode(bytes: &[u8; MESSAGE_BYTES]) -> Message {
    let mut words = [0; MESSAGE_BYTES / 8];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(chunk.try_into().unwrap());
    }
    Message::decode(&words).expect("a message")
}

fn write_message(stream: &mut impl Write, message: Message) {
    let bytes: Vec<u8> = message.encode().iter().flat_map(|word| word.to_le_bytes()).collect();
    stream.write_all(&bytes).unwrap();
}

/// The collector's side of the handshake.
fn receive(mut stream: UnixStream) -> Received {
    assert!(matches!(read_message(&mut stream), Message::Hello { .. }));
    let settings = Settings { interval_bytes: 1, native_depth: 64, java_depth: 128, session_id: [1, 2], method_ids: 0 };
    write_message(&mut stream, Message::Answer { settings: Some(settings) });
    let (message, fd) = receive_with_descriptor(&stream);
    let Message::Offer { bytes } = message else { panic!("{message:?}") };
    // SAFETY: a new mapping of a sealed file of that length.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            fd.as_raw_fd(),
            0,
        )
    };
    assert_ne!(base, libc::MAP_FAILED);
    write_message(&mut stream, Message::Ack);
    Received { base: base.cast(), bytes, _connection: stream }
}

fn receive_with_descriptor(stream: &UnixStream) -> (Message, OwnedFd) {
    let mut bytes = [0u8; MESSAGE_BYTES];
    let mut control = [0u64; 8];
    let mut io = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all zeroes are a valid msghdr; the kernel writes to the two buffers, whose lengths are given; a control
    // message of SCM_RIGHTS carries a descriptor that is ours from then on.
    let fd = unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut io;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = std::mem::size_of_val(&control) as _;
        let received = libc::recvmsg(stream.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC | libc::MSG_WAITALL);
        assert_eq!(received, MESSAGE_BYTES as isize);
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        assert!(!first.is_null() && (*first).cmsg_type == libc::SCM_RIGHTS);
        OwnedFd::from_raw_fd(libc::CMSG_DATA(first).cast::<i32>().read_unaligned())
    };
    (decode(&bytes), fd)
}

#[test]
fn a_program_with_a_malloc_of_its_own_gets_its_blocks_back() {
    assert_success(&run_unrecorded(&mut Command::new(program("own_malloc"))));
}

/// Before the shim is set up it must not call dlsym from within an allocator's mmap: dlsym allocates.
#[test]
fn an_allocator_before_the_shim_can_map_memory_under_its_lock() {
    let folder = "an_allocator_before_the_shim_can_map_memory_under_its_lock";
    let library = |name: &str, what: &str| {
        compile("mapping_malloc", &format!("{folder}/{name}"), &["-shared", "-fPIC", &format!("-D{what}")])
    };
    let (allocator, early) = (library("liballocator.so", "ALLOCATOR"), library("libearly.so", "EARLY"));
    let early = format!("-Wl,--no-as-needed,{0},-rpath,{1}", early.display(), early.parent().unwrap().display());
    let program = compile("mapping_malloc", &format!("{folder}/program"), &[&early]);
    let mut command = Command::new(program);
    command.env("LD_PRELOAD", format!("{}:{}", allocator.display(), shim().display()));
    assert_success(&command.output().expect("the program starts"));
}

#[test]
fn stacks_are_whole_in_an_executable_with_holes_between_its_segments() {
    let far = ["-no-pie", "-Wl,--section-start=.far=0x500000"];
    let program = compile("holes", "stacks_are_whole/holes", &far);
    let (output, received) = run_recorded(&mut Command::new(program));
    assert_success(&output);
    assert_eq!(received.session().losses.get(Loss::StackTruncated), 0);
}

#[test]
fn malloc_works_where_dlsym_finds_nothing() {
    assert_success(&run_unrecorded(&mut Command::new(program("no_dlsym"))));
}

#[test]
fn threads_can_be_made_once_pthread_create_has_appeared() {
    assert_success(&run_unrecorded(&mut Command::new(program("late_pthread"))));
}

#[test]
fn the_corner_cases_are_libcs_own_unrecorded() {
    assert_success(&run_unrecorded(&mut Command::new(program("corners"))));
}

#[test]
fn the_corner_cases_are_libcs_own_recorded() {
    let (output, received) = run_recorded(&mut Command::new(program("corners")));
    assert_success(&output);
    let session = received.session();
    let mut leaks = 0;
    session.live.scan(|_, entry| leaks += u32::from(entry.size == 4242));
    assert_eq!(leaks, 1, "recorded to the end, although the program closed every descriptor");
    for loss in [Loss::MissedFrees, Loss::TableFull, Loss::DepotFull, Loss::AddressOdd] {
        assert_eq!(session.losses.get(loss), 0, "{}", loss.name());
    }
}

#[test]
fn a_limited_address_space_is_left_to_the_program() {
    let mut command = Command::new(program("corners"));
    // SAFETY: setrlimit is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 1 << 30, rlim_max: 1 << 30 };
            match libc::setrlimit(libc::RLIMIT_AS, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let (output, received) = run_recorded(&mut command);
    assert_success(&output);
    assert_eq!(Sizes::SMALL.bytes(), Some(received.bytes));
}

/// The helper is one of the process's threads, but none of the program's.
#[test]
fn the_process_ends_with_the_programs_last_thread() {
    let stub = compile("jvm_stub", "stub/libjvm.so", &["-shared", "-fPIC"]);
    let (output, _received) = run_recorded(Command::new(program("last_thread")).arg(stub));
    assert_success(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "exit handlers ran\n");
}
