//! Is a JVM in this process, and where are its entry points?
//!
//! `libjvm.so` is looked for among the loaded libraries by file name. Nothing is ever loaded: the handle is asked
//! for with `RTLD_NOLOAD`. None of this may run inside an allocation hook, because `dl_iterate_phdr` takes a lock
//! of the dynamic linker.
#![allow(unsafe_code)] // calls into the dynamic linker

use core::ffi::{c_char, c_int, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::machine;
use crate::vm_structs::VmStructs;

const FILE_NAME: &[u8] = b"libjvm.so";
const PATH_MAX: usize = 4096;
const RTLD_LAZY: c_int = 1;
const RTLD_NOLOAD: c_int = 4;

/// `struct dl_phdr_info`.
#[repr(C)]
struct DlPhdrInfo {
    address: usize,
    name: *const c_char,
    headers: *const c_void,
    header_count: u16,
    /// Libraries ever added: the number changes with every `dlopen` that loads one.
    adds: u64,
}

type Visitor = unsafe extern "C" fn(*mut DlPhdrInfo, usize, *mut c_void) -> c_int;
type DlIteratePhdr = unsafe extern "C" fn(Visitor, *mut c_void) -> c_int;
type Dlopen = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
type Dlsym = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// A search for libjvm among the loaded libraries.
struct Search {
    /// Generation of the list at an earlier search without success; this one ends at once if it has not changed.
    known: u64,
    /// Generation of the list seen now.
    adds: u64,
    found: bool,
    /// Path with a terminating zero, if wanted.
    path: Option<[u8; PATH_MAX]>,
}

/// Whether libjvm.so is loaded in this process.
///
/// Cheap enough for every `pthread_create`: a load once it has been found, a look at the first library while the
/// list of libraries is as it was. Not for allocation hooks: it takes the dynamic linker's lock.
pub fn libjvm_is_mapped() -> bool {
    static FOUND: AtomicBool = AtomicBool::new(false);
    static KNOWN: AtomicU64 = AtomicU64::new(0);
    if FOUND.load(Ordering::Relaxed) {
        return true;
    }
    let mut search = Search { known: KNOWN.load(Ordering::Relaxed), adds: 0, found: false, path: None };
    search.run();
    KNOWN.store(search.adds, Ordering::Relaxed);
    FOUND.fetch_or(search.found, Ordering::Relaxed);
    search.found
}

impl Search {
    fn run(&mut self) {
        let function = machine::dl_iterate_phdr();
        if function.is_null() {
            return;
        }
        // SAFETY: the address is that of libc's dl_iterate_phdr, whose C signature this is.
        let iterate: DlIteratePhdr = unsafe { transmute(function) };
        // SAFETY: the visitor gets exactly this Search, which outlives the call.
        unsafe { iterate(visit, (&raw mut *self).cast()) };
    }

    /// Whether the walk is over.
    fn look_at(&mut self, path: &[u8], adds: u64) -> bool {
        self.adds = adds;
        if adds != 0 && adds == self.known {
            return true;
        }
        self.found = path.rsplit(|&byte| byte == b'/').next() == Some(FILE_NAME);
        if self.found
            && let Some(buffer) = &mut self.path
        {
            // The buffer was all zero and its last byte stays so.
            for (to, from) in buffer.iter_mut().take(PATH_MAX - 1).zip(path) {
                *to = *from;
            }
        }
        self.found
    }
}

/// Called by the dynamic linker for each library.
unsafe extern "C" fn visit(info: *mut DlPhdrInfo, size: usize, search: *mut c_void) -> c_int {
    // SAFETY: both pointers are valid during the call; the search is the one given to dl_iterate_phdr.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
    // An ancient libc passes a shorter structure.
    let adds = if size >= size_of::<DlPhdrInfo>() { info.adds } else { 0 };
    // SAFETY: the name is a C string of the dynamic linker, or null.
    let path = unsafe { c_string(info.name, PATH_MAX) };
    c_int::from(search.look_at(path, adds))
}

/// The bytes of a C string before its zero, at most `limit`; empty for null.
///
/// # Safety
/// `text` is null, or a zero-terminated string that lives as long as the result is used.
pub(crate) unsafe fn c_string<'s>(text: *const c_char, limit: usize) -> &'s [u8] {
    if text.is_null() {
        return &[];
    }
    let mut length = 0;
    // SAFETY: no byte behind the terminating zero is read.
    while length < limit && unsafe { *text.add(length) } != 0 {
        length = length.wrapping_add(1);
    }
    // SAFETY: `length` bytes have just been read.
    unsafe { core::slice::from_raw_parts(text.cast(), length) }
}

/// Entry points of the loaded libjvm.
#[derive(Clone, Copy)]
pub(crate) struct Libjvm {
    pub(crate) get_created_java_vms: *mut c_void,
    pub(crate) async_get_call_trace: *mut c_void,
    /// The JVM's description of itself, if it has one.
    pub(crate) vm_structs: Option<VmStructs>,
}

impl Libjvm {
    /// Looks the entry points up; a missing one is null. `None` if no libjvm is loaded or libc has no `dlopen`.
    ///
    /// May wait for a `dlopen` in progress on another thread, so the library is never seen half relocated.
    pub(crate) fn find() -> Option<Self> {
        let mut search = Search { known: 0, adds: 0, found: false, path: Some([0; PATH_MAX]) };
        search.run();
        let path = search.path.filter(|_| search.found)?;
        let (dlopen, dlsym) = (machine::dlopen(), machine::dlsym());
        if dlopen.is_null() || dlsym.is_null() {
            return None;
        }
        // SAFETY: these are libc's functions, and these are their C signatures.
        let (dlopen, dlsym) =
            unsafe { (transmute::<*const c_void, Dlopen>(dlopen), transmute::<*const c_void, Dlsym>(dlsym)) };
        // SAFETY: the path is terminated; nothing is loaded, a library that is loaded is only counted once more.
        let handle = unsafe { dlopen(path.as_ptr().cast(), RTLD_LAZY | RTLD_NOLOAD) };
        if handle.is_null() {
            return None;
        }
        // SAFETY: a valid handle and terminated names.
        unsafe {
            Some(Self {
                get_created_java_vms: dlsym(handle, c"JNI_GetCreatedJavaVMs".as_ptr()),
                async_get_call_trace: dlsym(handle, c"AsyncGetCallTrace".as_ptr()),
                vm_structs: VmStructs::find(|name| dlsym(handle, name.as_ptr())),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_a_jvm_has_none() {
        assert!(!libjvm_is_mapped());
        assert!(!libjvm_is_mapped(), "the second time by the generation");
        assert!(Libjvm::find().is_none());
    }

    #[test]
    fn every_library_is_seen_and_a_known_list_ends_at_once() {
        let mut search = Search { known: 0, adds: 0, found: false, path: None };
        search.run();
        assert!(search.adds > 0, "dl_iterate_phdr was called and gives the generation");
        assert!(search.look_at(b"/usr/lib/other.so", search.adds.wrapping_add(1)) == search.found);
        search.known = 7;
        assert!(search.look_at(b"/usr/lib/other.so", 7), "unchanged list");
        assert!(!search.found);
    }

    #[test]
    fn recognises_libjvm_by_its_file_name() {
        for (path, expected) in [
            (b"/opt/jdk/lib/server/libjvm.so".as_slice(), true),
            (b"libjvm.so", true),
            (b"/opt/jdk/lib/server/libjvm.so.debug", false),
            (b"/opt/notlibjvm.so", false),
            (b"", false),
        ] {
            let mut search = Search { known: 0, adds: 0, found: false, path: Some([0; PATH_MAX]) };
            assert_eq!(search.look_at(path, 1), expected, "{path:?}");
            let copied = search.path.expect("wanted");
            assert_eq!(copied.starts_with(path), expected || path.is_empty());
        }
    }
}
