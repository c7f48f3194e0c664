//! Records of the ring: what the tables cannot carry (order, lifetimes, churn).
//!
//! ```text
//!   word 0   kind (8) | thread class (8) | interval code (16) | thread id (32)
//!   word 1   address
//!   word 2   requested size, bytes
//!   word 3   stack (32) | epoch (32)
//!   word 4   time, milliseconds since recording started
//!   word 5   birth of the freed block, the same unit (frees only)
//! ```

use crate::thread::Class;
use leakscope_session::live::Entry;
use leakscope_session::ring::Payload;

const ALLOCATION: u64 = 1;
const FREE: u64 = 2;

fn payload(kind: u64, class: Class, tid: u32, address: usize, entry: &Entry, time_ms: u64) -> Payload {
    [
        kind | (class as u64) << 8 | u64::from(entry.interval) << 16 | u64::from(tid) << 32,
        address as u64,
        entry.size,
        u64::from(entry.stack) << 32 | u64::from(entry.epoch),
        time_ms,
        0,
    ]
}

/// The record of a sampled allocation.
pub fn allocation(tid: u32, address: usize, entry: &Entry) -> Payload {
    payload(ALLOCATION, Class::App, tid, address, entry, entry.birth_ms)
}

/// The record of the free of a sampled block.
pub fn free(class: Class, tid: u32, address: usize, entry: &Entry, now_ms: u64) -> Payload {
    let mut record = payload(FREE, class, tid, address, entry, now_ms);
    record[5] = entry.birth_ms;
    record
}
