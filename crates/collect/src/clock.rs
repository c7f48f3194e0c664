//! The clocks that target and collector share: both read the kernel's own.
#![allow(unsafe_code)] // the standard library does not give the monotonic clock's value

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// CLOCK_MONOTONIC, nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(libc::CLOCK_MONOTONIC)
}

/// Time that this thread has had on a processor.
pub(crate) fn thread_cpu() -> Duration {
    Duration::from_nanos(nanoseconds(libc::CLOCK_THREAD_CPUTIME_ID))
}

fn nanoseconds(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable. The call cannot fail for these clocks.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// Nanoseconds since 1970.
pub(crate) fn unix_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// Milliseconds since recording started, by the clock that counts on where it can be: it is another one inside a time
/// namespace.
pub(crate) fn uptime_ms(started_monotonic_ns: u64, started_unix_ns: u64) -> u64 {
    let by_wall = (unix_ns() as u64).saturating_sub(started_unix_ns);
    monotonic_ns().checked_sub(started_monotonic_ns).unwrap_or(by_wall) / 1_000_000
}
