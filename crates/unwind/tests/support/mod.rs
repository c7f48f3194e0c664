//! What the tests of the walker share: the registers of a caller, C code compiled on the spot, the oracle.

#![allow(unsafe_code)] // registers and dlopen
#![allow(dead_code)] // each test program uses a part of it

use std::ffi::{CString, c_void};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use leakscope_unwind::{
    CachedBounds, End, ModuleSource, Registers, RuleCache, StackBounds, Trails, Walk, recall, walk_with,
};

/// Shared by all tests of a program, as all threads of a target share it.
pub static CACHE: RuleCache = RuleCache::new();

/// Of the last walks of any test, and the stacks that were given a name, which is their number in this list.
static TRAILS: Mutex<(Trails, Vec<Vec<usize>>)> = Mutex::new((Trails::new(), Vec::new()));

std::arch::global_asm!(
    // void with_registers(void (*callback)(const Registers *, void *), void *argument)
    ".pushsection .text",
    ".globl with_registers", // other codegen units refer to it
    ".type with_registers, @function",
    "with_registers:",
    ".cfi_startproc",
    "mov rax, [rsp]",
    "lea rcx, [rsp + 8]",
    "sub rsp, 40",
    ".cfi_adjust_cfa_offset 40",
    "mov [rsp], rax",
    "mov [rsp + 8], rcx",
    "mov [rsp + 16], rbp",
    "mov rax, rdi",
    "mov rdi, rsp",
    "call rax",
    "add rsp, 40",
    ".cfi_adjust_cfa_offset -40",
    "ret",
    ".cfi_endproc",
    ".size with_registers, . - with_registers",
    ".popsection",
);

unsafe extern "C" {
    /// Calls back with the registers that its caller has right after this call.
    pub fn with_registers(callback: extern "C" fn(&Registers, *mut c_void), argument: *mut c_void);
}

/// A walk, and what libgcc's unwinder says about the same stack.
#[derive(Debug)]
pub struct Capture {
    /// How the walk went.
    pub walk: Walk,
    /// What it wrote.
    pub frames: Vec<usize>,
    /// The oracle's frames from the same first one on.
    pub oracle: Vec<usize>,
    /// How many times, of three, the stack was recalled.
    pub recalled: usize,
}

/// How to walk, and where the result goes.
pub struct Request {
    limit: usize,
    source: ModuleSource,
    result: Option<Capture>,
}

impl Request {
    /// A walk of at most `limit` frames with the source that production code uses.
    pub fn new(limit: usize) -> Request {
        Request { limit, source: ModuleSource::current(), result: None }
    }

    /// The same with a given source.
    pub fn with_source(limit: usize, source: ModuleSource) -> Request {
        Request { limit, source, result: None }
    }

    /// Whether the callback was called.
    pub fn finished(&self) -> bool {
        self.result.is_some()
    }

    /// What the callback of this request saw; panics if it was never called.
    pub fn finish(self) -> Capture {
        self.result.expect("the callback was not called")
    }

    /// The argument for [`capture`].
    pub fn as_argument(&mut self) -> *mut c_void {
        (&raw mut *self).cast()
    }
}

/// Walks from its caller's frame; `argument` is a [`Request`]. Like a hook, it is called from C.
pub extern "C" fn capture(argument: *mut c_void) {
    // SAFETY: `with_registers` keeps the calling convention.
    unsafe { with_registers(on_registers, argument) };
    std::hint::black_box(()); // not a tail call: this function shall be a frame
}

extern "C" fn on_registers(registers: &Registers, argument: *mut c_void) {
    // SAFETY: every caller passes `Request::as_argument`.
    let request = unsafe { &mut *argument.cast::<Request>() };
    let mut cached = CachedBounds::new();
    let stack = StackBounds::locate(registers.sp, &mut cached);
    let mut frames = vec![0; request.limit];
    let walk = walk_with(request.source, *registers, stack, &CACHE, None, &mut frames.as_mut_slice());
    // Warm, and with bounds from the cache, it must come to the same.
    let mut again = vec![0; request.limit];
    let stack = StackBounds::locate(registers.sp, &mut cached);
    let second = walk_with(request.source, *registers, stack, &CACHE, None, &mut again.as_mut_slice());
    assert_eq!((second, &again), (walk, &frames), "cold and warm walks differ");
    // So must walks along the trail of another one, and along their own; and a stack that is recalled by its name is this one.
    let mut known = TRAILS.try_lock().ok();
    let mut recalled = 0;
    for _ in 0..3 {
        if let Some((trails, named)) = known.as_deref()
            && let Some(name) = recall(trails, *registers, stack)
        {
            assert_eq!(hex(&named[name.get() as usize - 1]), hex(&frames[..walk.frames]), "another stack is recalled");
            recalled += 1;
        }
        let mut along = vec![0; request.limit];
        let trails = known.as_deref_mut().map(|(trails, _)| trails);
        let third = walk_with(request.source, *registers, stack, &CACHE, trails, &mut along.as_mut_slice());
        assert_eq!((third, hex(&along)), (walk, hex(&frames)), "walks along a trail differ");
        if let Some((trails, named)) = known.as_deref_mut() {
            named.push(frames[..walk.frames].to_vec());
            trails.name(*registers, NonZeroU32::new(named.len() as u32).unwrap());
        }
    }
    frames.truncate(walk.frames);
    request.result = Some(Capture { walk, frames, recalled, oracle: oracle(registers.pc) });
}

/// libgcc's frames from `first` on, without the zeros that some versions append.
fn oracle(first: usize) -> Vec<usize> {
    let mut frames = Vec::new();
    backtrace::trace(|frame| {
        frames.push(frame.ip() as usize);
        true
    });
    let start = frames.iter().position(|pc| *pc == first).expect("the oracle misses the first frame");
    frames.drain(..start);
    while frames.last() == Some(&0) {
        frames.pop();
    }
    frames
}

impl Capture {
    /// The walk saw the whole stack, exactly as the oracle did.
    #[track_caller]
    pub fn assert_complete(&self) {
        assert_eq!(hex(&self.frames), hex(&self.oracle));
        assert_eq!(self.walk.end, End::Outermost);
        assert!(!self.walk.is_truncated() && !self.walk.guessed);
    }
}

/// Addresses for people.
pub fn hex(frames: &[usize]) -> Vec<String> {
    frames.iter().map(|pc| format!("{pc:#x}")).collect()
}

/// A place of its own for what a test makes.
pub fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

/// Compiles C into a shared object without frame pointers; panics loudly if there is no compiler.
pub fn compile(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let (c_file, library) = (scratch(&format!("{name}.c")), scratch(&format!("{name}.so")));
    std::fs::write(&c_file, source).unwrap();
    let output = Command::new("cc")
        .args(["-O2", "-fomit-frame-pointer", "-fno-optimize-sibling-calls", "-fPIC", "-shared", "-Wl,--build-id"])
        .args(flags)
        .arg("-o")
        .args([&library, &c_file])
        .output()
        .expect("these tests need a C compiler: cc cannot be started");
    assert!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    library
}

/// A library opened with dlopen; closed when dropped.
pub struct Library(*mut c_void);

// SAFETY: a dlopen handle may be used by any thread.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    /// Opens a shared object.
    pub fn open(path: &Path) -> Library {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a null-terminated path.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "dlopen {path:?}");
        Library(handle)
    }

    /// Address of a symbol.
    pub fn symbol(&self, name: &str) -> usize {
        let name = CString::new(name).unwrap();
        // SAFETY: an open handle and a null-terminated name.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!address.is_null(), "no symbol {name:?}");
        address as usize
    }

    /// Calls `void name(int number, void (*callback)(void *), void *argument)` with [`capture`].
    pub fn call(&self, name: &str, number: i32, request: &mut Request) {
        type Function = extern "C" fn(i32, extern "C" fn(*mut c_void), *mut c_void);
        // SAFETY: the test's own C code has this signature.
        let function = unsafe { std::mem::transmute::<usize, Function>(self.symbol(name)) };
        function(number, capture, request.as_argument());
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: closed once.
        unsafe { libc::dlclose(self.0) };
    }
}
