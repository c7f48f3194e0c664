//! Any bytes as an object whose addresses are looked up: its symbol tables, the one packed into it, its debug
//! information, the names in them.
//!
//! Input: eight bytes, an address; then the object.
#![no_main]

use leakscope_symbolize::{Depth, LookupAddress, ObjectRef, Options, Symbolizer, build_id, executable_segments};
use libfuzzer_sys::fuzz_target;
use std::fs::File;
use std::io::Write;
use std::os::fd::FromRawFd;
use std::path::PathBuf;
use std::time::Duration;

fn in_memory(bytes: &[u8]) -> File {
    // SAFETY: the name is a C string; the descriptor is new and nobody else's.
    let mut file = unsafe { File::from_raw_fd(libc::memfd_create(c"object".as_ptr(), libc::MFD_CLOEXEC)) };
    file.write_all(bytes).expect("a file in memory");
    file
}

fuzz_target!(
    init: {
        // A panic that is caught is an answer: the one of the fuzzer would abort before that.
        std::panic::set_hook(Box::new(|_| {}));
    },
    |bytes: &[u8]| {
        let Some((address, object)) = bytes.split_first_chunk() else { return };
        let file = in_memory(object);
        build_id(&file);
        let segments = executable_segments(&file);
        let starts = segments.iter().take(4).flat_map(|code| [code.address, code.address.saturating_add(16)]);
        let mut addresses: Vec<LookupAddress> =
            starts.map(|address| LookupAddress::of_instruction(address, 0)).collect();
        addresses.push(LookupAddress::of_return(u64::from_le_bytes(*address), 0));
        let options = Options { depth: Depth::Full, time_limit: Duration::from_secs(1), ..Options::symtab() };
        let reference = ObjectRef { path: PathBuf::from("/nonexistent/object"), build_id: None, file: Some(file) };
        let found = Symbolizer::new(options).symbolize(&reference, &addresses);
        assert_eq!(found.len(), addresses.len());
    }
);
