//! What `run` says: two lines at the start, a summary and the next command at the end.
#![allow(unsafe_code)] // getrusage

use crate::sizes::{bytes, duration};
use leakscope_profile::Exit;
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Duration;

/// The first line, once the target has been started.
pub fn start(name: &str, pid: u32, sample_bytes: u64, interval: Duration, limit_bytes: u64) -> String {
    let sample =
        if sample_bytes == 1 { "every allocation".to_owned() } else { format!("sample {}", bytes(sample_bytes)) };
    let limit = match limit_bytes {
        0 => String::new(),
        limit => format!(" + at 80/90/95 % of {}", bytes(limit)),
    };
    let version = env!("CARGO_PKG_VERSION");
    let interval = duration(interval);
    format!(
        "leakscope {version} \u{b7} recording {name} (pid {pid}) \u{b7} {sample} \u{b7} snapshots every {interval}{limit}"
    )
}

/// The second line, once the target has answered.
pub fn handshake(name: &str, pid: u32, folder: &Path) -> String {
    format!("  handshake ok: {name} (pid {pid}) \u{b7} into {}", folder.display())
}

/// How the target ended.
pub fn end(name: &str, exit: Exit, after: Duration, is_oom: bool) -> String {
    let how = match exit {
        Exit::Code(code) => format!("exited {code}"),
        Exit::Signal(signal) if is_oom && signal == libc::SIGKILL => {
            "was killed by the kernel for want of memory (oom_kill of its cgroup has risen)".to_owned()
        }
        Exit::Signal(signal) => format!("was killed by {}", signal_name(signal)),
        Exit::Unknown => "ended".to_owned(),
    };
    format!("leakscope: {name} {how} after {}", duration(after))
}

/// What leakscope itself took: its share of one processor over the recording (its time where that was too short for a
/// share to mean anything), and the most memory.
pub fn own_cost(after: Duration) -> String {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the structure is writable, and all zeroes are valid.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    let processor = share(seconds(usage.ru_utime) + seconds(usage.ru_stime), after);
    format!("leakscope took {processor} and {} beside the target", bytes(most_resident()))
}

/// The most that was resident, bytes; 0 if it cannot be read. Not `ru_maxrss`: that remembers what was resident before
/// the exec that started leakscope.
fn most_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn share(seconds: f64, of: Duration) -> String {
    if of < Duration::from_secs(1) {
        return format!("{:.0} ms of CPU time", seconds * 1000.0);
    }
    format!("{:.1} % of a CPU", 100.0 * seconds / of.as_secs_f64())
}

/// `SIGKILL`, or `signal 64`.
pub fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_is_known() {
        let second = Duration::from_secs(1);
        let line = start("java", 41, 512 << 10, second * 60, 4 << 30);
        assert!(
            line.ends_with("recording java (pid 41) · sample 512 KiB · snapshots every 1 m + at 80/90/95 % of 4 GiB")
        );
        assert!(start("java", 41, 1, second, 0).ends_with("every allocation · snapshots every 1 s"));
        assert_eq!(end("java", Exit::Code(3), second, false), "leakscope: java exited 3 after 1 s");
        assert!(end("java", Exit::Signal(9), second, false).contains("SIGKILL"));
        assert!(end("java", Exit::Signal(9), second, true).contains("for want of memory"));
        assert_eq!(signal_name(40), "signal 40");
        assert_eq!(share(0.0204, second / 2), "20 ms of CPU time");
        assert_eq!(share(0.0204, second), "2.0 % of a CPU");
    }
}
