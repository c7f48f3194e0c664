//! Time of day, for names and messages.
#![allow(unsafe_code)] // local time comes from libc

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Milliseconds since 1970.
pub fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Local time for a file name, `20261120-100136`.
pub fn stamp(unix_seconds: i64) -> String {
    let t = local(unix_seconds);
    let (year, month) = (t.tm_year + 1900, t.tm_mon + 1);
    format!("{year:04}{month:02}{:02}-{:02}{:02}{:02}", t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec)
}

/// Local time of day, `10:01:36`.
pub fn time_of_day(unix_seconds: i64) -> String {
    let t = local(unix_seconds);
    format!("{:02}:{:02}:{:02}", t.tm_hour, t.tm_min, t.tm_sec)
}

/// UTC as RFC 3339, `2026-11-20T09:01:36Z`.
pub fn rfc3339(unix_seconds: i64) -> String {
    // SAFETY: a zeroed tm is valid; gmtime_r only writes into it.
    let t = unsafe {
        let mut t: libc::tm = std::mem::zeroed();
        libc::gmtime_r(&raw const unix_seconds, &raw mut t);
        t
    };
    let (year, month) = (t.tm_year + 1900, t.tm_mon + 1);
    format!("{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z", t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec)
}

fn local(unix_seconds: i64) -> libc::tm {
    // SAFETY: a zeroed tm is valid; localtime_r only writes into it.
    unsafe {
        let mut t: libc::tm = std::mem::zeroed();
        libc::localtime_r(&raw const unix_seconds, &raw mut t);
        t
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_written() {
        assert_eq!(super::rfc3339(1_763_629_296), "2025-11-20T09:01:36Z");
        assert_eq!(super::stamp(0).len(), "19700101-000000".len());
        assert_eq!(super::time_of_day(0).len(), 8);
    }
}
