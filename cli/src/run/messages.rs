//! What `run` says: two lines at the start, a summary and the next command at the end.
#![allow(unsafe_code)] // getrusage

use crate::run::oom::OomKill;
use crate::sizes::{bytes, duration};
use leakscope_analyze::Forecast;
use leakscope_collect::ProcessFacts;
use leakscope_profile::{Exit, IntervalChange};
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Duration;

/// The first line, once the target has been started.
pub fn start(name: &str, pid: u32, sample_bytes: u64, interval: Duration, limit_bytes: Option<u64>) -> String {
    let sample =
        if sample_bytes == 1 { "every allocation".to_owned() } else { format!("sample {}", bytes(sample_bytes)) };
    let limit = match limit_bytes {
        None => String::new(),
        Some(limit) => format!(" + at 80/90/95 % of {}", bytes(limit)),
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

/// The sampling interval was raised.
pub fn raised(time: &str, name: &str, change: &IntervalChange) -> String {
    let to = bytes(change.interval_bytes);
    format!("[{time}] {name}: sampling interval raised to {to}: {}", leakscope_report::cause(change))
}

/// How the target ended.
pub fn end(name: &str, exit: Exit, after: Duration, oom: Option<OomKill>) -> String {
    let how = match exit {
        _ if oom.is_some() => killed_by_kernel(oom.and_then(|oom| oom.limit_bytes)),
        Exit::Code(code) => format!("exited {code}"),
        Exit::Signal(signal) => format!("was killed by {}", signal_name(signal)),
        Exit::Unknown => "ended".to_owned(),
    };
    format!("leakscope: {name} {how} after {}", duration(after))
}

/// A snapshot near the limit: how near, and where that leads.
pub fn level(facts: &ProcessFacts, forecast: Option<&Forecast>, time: &str, file: &str) -> String {
    let cgroup = facts.cgroup().copied().unwrap_or_default();
    let (name, percent) = (&facts.name, cgroup.percent().unwrap_or(0));
    let (limit, rss) = (bytes(cgroup.limit_bytes.unwrap_or(0)), bytes(facts.rss_bytes()));
    let growth = forecast.map_or_else(String::new, growth);
    format!(
        "[{time}] {name}: {percent} % of the memory limit of {limit} in use, RSS {rss}{growth} \u{b7} snapshot {file}"
    )
}

/// How fast it grows, and when the limit is reached, where that is beyond chance.
fn growth(forecast: &Forecast) -> String {
    let (Some(rate), Some(full_in)) = (forecast.rate.filter(|rate| rate.low > 0.0), forecast.full_in_ms) else {
        return String::new();
    };
    let after = |ms: u64| duration(Duration::from_secs(ms / 1000));
    let latest = full_in.latest_ms.map_or_else(|| "never".to_owned(), after);
    format!(
        " \u{b7} growing {}/h \u{b7} OOM in about {} ({} to {latest})",
        bytes(rate.estimate as u64),
        after(full_in.estimate_ms),
        after(full_in.earliest_ms),
    )
}

/// How a process of the recording that is not the target ended, where the kernel killed it.
pub fn oom_of_other(name: &str, pid: u32, oom: OomKill) -> String {
    format!("leakscope: {name} (pid {pid}) {}", killed_by_kernel(oom.limit_bytes))
}

fn killed_by_kernel(limit_bytes: Option<u64>) -> String {
    match limit_bytes {
        Some(limit) => {
            format!("was killed by the kernel: its memory cgroup had reached its limit of {}", bytes(limit))
        }
        None => "was killed by the kernel: the machine had run out of memory".to_owned(),
    }
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
    use leakscope_analyze::{Estimate, TimeRange};

    #[test]
    fn growth_is_said_where_there_is_some() {
        let rate = |low| Estimate { estimate: 1.8 * f64::from(1 << 30), low, high: 2.5e9 };
        let full_in_ms = Some(TimeRange { estimate_ms: 1_500_000, earliest_ms: 1_200_000, latest_ms: Some(1_860_000) });
        let forecast = |low| Forecast { rate: Some(rate(low)), full_in_ms, ..Forecast::default() };
        assert_eq!(growth(&forecast(1e9)), " \u{b7} growing 1.8 GiB/h \u{b7} OOM in about 25 m (20 m to 31 m)");
        assert_eq!(growth(&forecast(-1.0)), "");
        assert_eq!(growth(&Forecast::default()), "");
    }

    #[test]
    fn lines_say_what_is_known() {
        let second = Duration::from_secs(1);
        let line = start("java", 41, 512 << 10, second * 60, Some(4 << 30));
        assert!(
            line.ends_with("recording java (pid 41) · sample 512 KiB · snapshots every 1 m + at 80/90/95 % of 4 GiB")
        );
        assert!(start("java", 41, 1, second, None).ends_with("every allocation · snapshots every 1 s"));
        assert_eq!(end("java", Exit::Code(3), second, None), "leakscope: java exited 3 after 1 s");
        assert!(end("java", Exit::Signal(9), second, None).contains("SIGKILL"));
        let oom = |limit_bytes| end("java", Exit::Signal(9), second, Some(OomKill { limit_bytes }));
        let limit =
            "leakscope: java was killed by the kernel: its memory cgroup had reached its limit of 512 MiB after 1 s";
        assert_eq!(oom(Some(512 << 20)), limit);
        assert!(oom(None).contains("the machine had run out of memory"));
        assert_eq!(signal_name(40), "signal 40");
        assert_eq!(share(0.0204, second / 2), "20 ms of CPU time");
        assert_eq!(share(0.0204, second), "2.0 % of a CPU");
    }
}
