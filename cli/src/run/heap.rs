//! leakscope's own heap while it records: it shares the target's limit.
#![allow(unsafe_code)] // mallopt, malloc_trim

/// Lets large tables be mappings of their own, given back the moment they are dropped. By itself glibc stops doing so
/// once it has seen one dropped, and what a snapshot leaves between smaller blocks is then kept.
pub fn keep_large_blocks_apart() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes integers. Where it fails, memory is given back later.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
    }
}

/// Gives the memory that a snapshot took back to the system: the next one is a minute away.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes an integer; frees nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
