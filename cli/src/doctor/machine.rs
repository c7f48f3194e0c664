//! What every recording needs of the machine and the user, and what it does not need though people expect it.

use super::Finding;
use crate::shim_file;
use crate::sizes::bytes;
use leakscope_collect::{CgroupMemory, Reception};
use std::ffi::OsStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Everything about the machine.
pub fn findings() -> Vec<Finding> {
    let mut findings = vec![processor(), shim(), memfd(), socket()];
    findings.extend(limits());
    findings.push(preload(std::env::var_os("LD_PRELOAD").as_deref()));
    findings.push(memory_limit(std::process::id()));
    findings.push(shared_memory());
    findings.push(Finding::ok(
        "privileges",
        "ptrace, perf events, capabilities and root are not needed: Yama's ptrace_scope and the like do not matter",
    ));
    findings
}

fn processor() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Finding::ok("processor", format!("{} with Linux {}", std::env::consts::ARCH, release.trim()))
}

/// Where the library that is preloaded goes.
fn shim() -> Finding {
    match shim_file::install(Path::new(".")) {
        Ok(path) => Finding::ok("shim", format!("the library to preload is {}", path.display())),
        Err(error) => Finding::fail(
            "shim",
            format!("there is no place for the library to preload: {error:#}"),
            "Name one that others can search and that is not mounted noexec: LEAKSCOPE_SHIM_DIR=/path",
        ),
    }
}

/// What a recording lies in, and the seal that keeps it from being cut under the target's feet.
#[allow(unsafe_code)] // memfd_create and fcntl
fn memfd() -> Finding {
    // SAFETY: a C string.
    let file = unsafe { libc::memfd_create(c"leakscope-doctor".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if file < 0 {
        return Finding::fail(
            "memfd",
            format!("memfd_create is refused: {}", std::io::Error::last_os_error()),
            "Let the sandbox (a seccomp profile?) allow memfd_create; docker's default does",
        );
    }
    // SAFETY: a descriptor that is new and ours; sealing takes an integer.
    let sealed = unsafe {
        let _close = OwnedFd::from_raw_fd(file);
        libc::fcntl(file, libc::F_ADD_SEALS, libc::F_SEAL_SHRINK)
    };
    match sealed {
        0 => Finding::ok("memfd", "memory for a recording can be made and sealed"),
        _ => Finding::fail(
            "memfd",
            format!("memory for a recording cannot be sealed: {}", std::io::Error::last_os_error()),
            "Let the sandbox allow fcntl(F_ADD_SEALS)",
        ),
    }
}

fn socket() -> Finding {
    match Reception::open() {
        Ok(_) => {
            Finding::ok("socket", "targets can reach leakscope by an abstract Unix socket of this network namespace")
        }
        Err(error) => Finding::fail(
            "socket",
            format!("no socket can be opened for targets: {error}"),
            "Let the sandbox allow Unix sockets",
        ),
    }
}

/// Limits that a target inherits from this shell.
fn limits() -> Vec<Finding> {
    let mut findings = Vec::new();
    // A session's size at the default interval, of which only what is used takes memory.
    const SMALL_SESSION: u64 = 21 << 20;
    if soft_limit(libc::RLIMIT_FSIZE) < SMALL_SESSION {
        findings.push(Finding::fail(
            "file-size-limit",
            format!("files may be no larger than {}: too small for a session", bytes(soft_limit(libc::RLIMIT_FSIZE))),
            "ulimit -f unlimited",
        ));
    }
    let space = soft_limit(libc::RLIMIT_AS);
    if space != libc::RLIM_INFINITY {
        findings.push(Finding::warn(
            "address-space-limit",
            format!(
                "address space is limited to {}: a session of 20 MiB is made, which holds fewer blocks",
                bytes(space)
            ),
            "ulimit -v unlimited",
        ));
    }
    findings
}

#[allow(unsafe_code)] // getrlimit
fn soft_limit(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: the structure is writable, and all zeroes are valid.
    unsafe {
        libc::getrlimit(resource, limit.as_mut_ptr());
        limit.assume_init().rlim_cur
    }
}

/// What is preloaded already.
pub fn preload(value: Option<&OsStr>) -> Finding {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Finding::ok("ld-preload", "LD_PRELOAD is not set");
    };
    let shown = value.to_string_lossy();
    let libraries = value.as_bytes().split(|byte| matches!(byte, b':' | b' ')).filter(|name| !name.is_empty());
    let missing = libraries
        .map(|name| Path::new(OsStr::from_bytes(name)))
        .find(|path| path.is_absolute() && !path.to_string_lossy().contains('$') && !path.exists());
    if let Some(missing) = missing {
        return Finding::warn(
            "ld-preload",
            format!("LD_PRELOAD names {}, which is not there", missing.display()),
            "Correct the variable: the loader complains on stderr at each start",
        );
    }
    Finding::ok("ld-preload", format!("LD_PRELOAD is set ({shown}): it is kept, behind leakscope's library"))
}

/// The memory limit that counts for a process.
pub fn memory_limit(pid: u32) -> Finding {
    let cgroup = CgroupMemory::of(pid).and_then(|cgroup| cgroup.read());
    match cgroup.map(|figures| figures.limit_bytes) {
        None => Finding::warn(
            "memory-limit",
            "the memory cgroup cannot be seen: no snapshots near its limit",
            "Mount /sys/fs/cgroup in the container, or take snapshots by --interval",
        ),
        Some(None) => Finding::ok("memory-limit", "the memory cgroup has no limit"),
        Some(Some(limit)) => {
            Finding::ok("memory-limit", format!("the memory limit is {}: snapshots at 80, 90 and 95 %", bytes(limit)))
        }
    }
}

/// People look here first: docker gives it 64 MiB.
#[allow(unsafe_code)] // statvfs
fn shared_memory() -> Finding {
    let mut found = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: a C string and a writable structure, for which all zeroes are valid.
    let size = unsafe {
        let answer = libc::statvfs(c"/dev/shm".as_ptr(), found.as_mut_ptr());
        let found = found.assume_init();
        (answer == 0).then(|| found.f_frsize.saturating_mul(found.f_blocks))
    };
    let size = size.map_or_else(|| "is not there".to_owned(), |size| format!("has {}", bytes(size)));
    Finding::ok("dev-shm", format!("/dev/shm {size}: it is not needed, a session lies in a memfd"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn what_is_preloaded_is_told() {
        let of = |value: &str| preload(Some(OsStr::new(value)));
        assert_eq!(preload(None).severity, Severity::Ok);
        assert!(of("libjemalloc.so.2").sentence.contains("kept"));
        assert_eq!(of("libjemalloc.so.2:/no/such/library.so").severity, Severity::Warn);
        assert_eq!(of("/usr/$LIB/x.so").severity, Severity::Ok, "the loader's own variables");
    }

    #[test]
    fn this_machine_records() {
        let findings = findings();
        assert!(findings.iter().all(|finding| finding.severity < Severity::Fail), "{findings:#?}");
    }
}
