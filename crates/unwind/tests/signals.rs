//! Walks from inside signal handlers, on the interrupted stack and on one of their own.

#![allow(unsafe_code)] // installs signal handlers

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::LazyLock;

use leakscope_unwind::{End, find_module};
use support::{Capture, Library, Request, capture, compile};

mod support;

thread_local! {
    static REQUEST: Cell<*mut Request> = const { Cell::new(std::ptr::null_mut()) };
}

extern "C" fn handler(_signal: c_int) {
    let request = REQUEST.get();
    if !request.is_null() {
        capture(request.cast());
    }
}

fn install(signal: c_int, flags: c_int) {
    // SAFETY: a zeroed sigaction is valid, and the handler has the type of a simple one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(signal, &raw const action, std::ptr::null_mut()), 0);
    }
}

/// Calls `action` with a request that the handler fulfils.
fn handled(action: impl FnOnce()) -> Capture {
    let mut request = Request::new(256);
    REQUEST.set(&raw mut request);
    action();
    REQUEST.set(std::ptr::null_mut());
    request.finish()
}

#[test]
fn through_a_handler_to_the_code_that_raised() {
    install(libc::SIGUSR1, 0);
    for _ in 0..3 {
        // SAFETY: a signal with a handler.
        let capture = handled(|| unsafe { assert_eq!(libc::raise(libc::SIGUSR1), 0) });
        capture.assert_complete();
        assert!(capture.frames.len() > 6);
    }
}

/// Code that is interrupted between any two of its instructions: single steps through prologue, body and epilogue, and
/// through the C library's qsort and the procedure linkage table that leads to it.
static STEPPED: LazyLock<Library> = LazyLock::new(|| {
    let source = r#"
        #include <stdlib.h>
        #define TRAP_FLAG(change) __asm__ volatile( \
            "pushfq; .cfi_adjust_cfa_offset 8; " change ", (%rsp); popfq; .cfi_adjust_cfa_offset -8")
        static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
        __attribute__((noinline)) static int inner(int n) { volatile char room[72]; room[0] = n; return room[0] + 1; }
        void stepped(void) {
            int numbers[3] = {3, 1, 2};
            TRAP_FLAG("orq $0x100");
            numbers[0] = inner(numbers[0]);
            qsort(numbers, 3, sizeof(int), compare);
            TRAP_FLAG("andq $~0x100");
        }
    "#;
    Library::open(&compile("stepped", source, &["-Wl,-z,lazy"]))
});

thread_local! {
    /// Steps; walks through the interrupted pc to the outermost frame; steps inside the C library.
    static STEPS: Cell<[usize; 3]> = const { Cell::new([0; 3]) };
    static LIBC: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

extern "C" fn on_step(_signal: c_int, _info: *mut c_void, context: *mut c_void) {
    // SAFETY: the kernel passes a ucontext.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let interrupted = registers[libc::REG_RIP as usize] as usize;
    let [steps, complete, in_libc] = STEPS.get();
    let mut request = Request::new(64);
    capture(request.as_argument());
    let seen = request.finish();
    let is_complete = seen.frames.contains(&interrupted) && seen.walk.end == End::Outermost;
    let (start, end) = LIBC.get();
    let is_libc = (start..end).contains(&interrupted);
    STEPS.set([steps + 1, complete + usize::from(is_complete), in_libc + usize::from(is_libc)]);
}

#[test]
fn every_instruction_of_a_call_can_be_interrupted() {
    let library = &*STEPPED;
    // SAFETY: the test's own function, and a handler of the type that SA_SIGINFO asks for.
    let stepped = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_step as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGTRAP, &raw const action, std::ptr::null_mut()), 0);
        std::mem::transmute::<usize, extern "C" fn()>(library.symbol("stepped"))
    };
    let libc_module = find_module(libc::qsort as *const () as usize).unwrap();
    LIBC.set((libc_module.start, libc_module.end));
    stepped();
    let [steps, complete, in_libc] = STEPS.get();
    println!("{steps} instructions interrupted, {in_libc} of them in libc; {complete} walks complete");
    assert!(steps > 100 && in_libc > 50);
    assert!(complete * 100 >= steps * 99, "{complete} of {steps}");
}

#[test]
fn from_a_signal_stack_back_to_the_threads_own() {
    install(libc::SIGUSR2, libc::SA_ONSTACK);
    let mut memory = vec![0_u8; 1 << 18];
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() };
    // SAFETY: the memory outlives its use as a signal stack, which ends below.
    unsafe { assert_eq!(libc::sigaltstack(&raw const stack, std::ptr::null_mut()), 0) };
    // SAFETY: a signal with a handler.
    let seen = handled(|| unsafe { assert_eq!(libc::raise(libc::SIGUSR2), 0) });
    seen.assert_complete();
    let disable = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: ends the use of `memory`.
    unsafe { assert_eq!(libc::sigaltstack(&raw const disable, std::ptr::null_mut()), 0) };
}
