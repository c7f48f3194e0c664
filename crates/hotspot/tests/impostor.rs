//! A library called libjvm.so that is not HotSpot's: it is recognised, found wanting, and said so.
//!
//! One test in a process of its own, because a loaded library stays.
#![allow(unsafe_code)] // dlopen

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use std::mem::MaybeUninit;

use leakscope_hotspot::{Capture, Jvm, Reason, Resolver, Served, Sink, State, libjvm_is_mapped};

struct Nothing;

impl Sink for Nothing {
    fn tick(&mut self, _: &Resolver<'_>) {
        panic!("there is no JVM to tick for");
    }
}

#[test]
fn a_jvm_without_async_get_call_trace_is_unsupported() {
    static JVM: Jvm = Jvm::new();
    assert!(!libjvm_is_mapped());
    assert_eq!(JVM.state(), State::Absent);

    let folder = tempfile::tempdir().expect("a temporary directory");
    let (source, library) = (folder.path().join("jvm.c"), folder.path().join("libjvm.so"));
    std::fs::write(&source, "int JNI_GetCreatedJavaVMs(void *v, int n, int *c) { *c = 0; return 0; }\n")
        .expect("written");
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(status.expect("a C compiler is needed").success());
    let path = CString::new(library.as_os_str().as_bytes()).expect("no zero");
    // SAFETY: a terminated path; the library has no constructors.
    assert!(!unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) }.is_null());

    assert!(libjvm_is_mapped());
    assert_eq!(JVM.serve(&mut Nothing), Served::Unsupported(Reason::NoAsyncGetCallTrace));
    assert_eq!(JVM.state(), State::Unsupported(Reason::NoAsyncGetCallTrace));
    assert_eq!(JVM.capture(&mut [MaybeUninit::uninit()]), Capture::NotReady);
    assert_eq!(JVM.counters().attach_attempts, 0);
}
