//! Any bytes as a profile: reading returns, and what it returns is sound and survives writing.
#![no_main]

use leakscope_profile::{Limits, read, read_with, write};
use libfuzzer_sys::fuzz_target;

/// Small, so that a structure out of proportion to its input shows within the fuzzer's own limit of memory.
const LIMITS: Limits = Limits { unpacked_bytes: 8 << 20, decoded_bytes: 32 << 20 };

fuzz_target!(|bytes: &[u8]| {
    let Ok(profile) = read_with(bytes, &LIMITS) else { return };
    profile.check().expect("what was read is sound");
    let mut written = Vec::new();
    write(&profile, &mut written).expect("what was read can be written");
    assert_eq!(read(&written).expect("what was written can be read"), profile);
});
