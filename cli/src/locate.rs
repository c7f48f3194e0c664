//! Finding the recording of a running process: its collector through the environment, its session through /proc.

use leakscope_collect::parent_of;
use leakscope_session::handshake::ENVIRONMENT;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Generations looked at.
const MOST_GENERATIONS: usize = 64;

/// Where the collector of a process listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorAddress {
    /// Name of the abstract socket.
    pub socket: String,
    /// Process id of the collector.
    pub pid: u32,
}

/// The collector of a process, by the environment it was started with. `pid` may also be the collector itself.
///
/// # Errors
/// Where the process's environment cannot be read.
pub fn collector_of(pid: u32) -> io::Result<Option<CollectorAddress>> {
    let own = address_in(&fs::read(format!("/proc/{pid}/environ"))?);
    // The collector does not have its own address in its environment; its children do.
    let by_child = || {
        let addresses = processes().into_iter().filter(|p| descends(*p, pid));
        let read = |p: u32| address_in(&fs::read(format!("/proc/{p}/environ")).ok()?);
        addresses.filter_map(read).find(|address| address.pid == pid)
    };
    Ok(by_child().or(own))
}

/// Every collector of this network namespace, by its socket. The process ids are not known, so they are 0.
pub fn collectors() -> Vec<CollectorAddress> {
    let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let mut names: Vec<&str> = sockets.lines().filter_map(socket_name).collect();
    // Connections bear the name as well.
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| CollectorAddress { socket: name.to_owned(), pid: 0 }).collect()
}

/// The name of a collector's socket in a line of /proc/net/unix.
fn socket_name(line: &str) -> Option<&str> {
    let name = line.split_whitespace().nth(7)?.strip_prefix('@')?;
    let random = name.strip_prefix("leakscope-")?;
    (random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(name)
}

/// The session of a process: the memfd that it keeps open, or that it has mapped.
///
/// # Errors
/// `NotFound` if the process has none; else what kept it from being opened.
pub fn session_of(pid: u32) -> io::Result<OwnedFd> {
    let mut refused = None;
    for directory in ["fd", "map_files"] {
        match first_session(Path::new(&format!("/proc/{pid}/{directory}"))) {
            Ok(Some(file)) => return Ok(file.into()),
            Ok(None) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    // Mapped all the same? Then it is only out of reach.
    let maps = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    let is_mapped = String::from_utf8_lossy(&maps).contains("/memfd:leakscope");
    Err(match refused {
        Some(error) if is_mapped || error.kind() == io::ErrorKind::PermissionDenied && maps.is_empty() => error,
        _ => io::ErrorKind::NotFound.into(),
    })
}

fn first_session(directory: &Path) -> io::Result<Option<File>> {
    let mut refused = None;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_session = fs::read_link(&path).is_ok_and(|link| link.to_string_lossy().starts_with("/memfd:leakscope"));
        if is_session {
            match File::options().read(true).write(true).open(&path) {
                Ok(file) => return Ok(Some(file)),
                Err(error) => refused = Some(error),
            }
        }
    }
    refused.map_or(Ok(None), Err)
}

/// `LEAKSCOPE_SESSION=1:<socket>:<pid>:<follow>` among the variables.
fn address_in(environment: &[u8]) -> Option<CollectorAddress> {
    let text = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(ENVIRONMENT.as_bytes())?.strip_prefix(b"="))?;
    let text = std::str::from_utf8(text).ok()?;
    let mut fields = text.split(':');
    if fields.next()? != "1" {
        return None;
    }
    let socket = fields.next().filter(|socket| !socket.is_empty())?.to_owned();
    Some(CollectorAddress { socket, pid: fields.next()?.parse().ok()? })
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn descends(pid: u32, ancestor: u32) -> bool {
    let parents = std::iter::successors(parent_of(pid), |pid| parent_of(*pid).filter(|parent| *parent > 1));
    parents.take(MOST_GENERATIONS).any(|pid| pid == ancestor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_an_environment() {
        let address = |text: &[u8]| address_in(text);
        let expected = CollectorAddress { socket: "leakscope-ab".into(), pid: 7 };
        assert_eq!(address(b"A=1\0LEAKSCOPE_SESSION=1:leakscope-ab:7:0\0B=2\0"), Some(expected));
        for bad in [&b""[..], b"LEAKSCOPE_SESSION=2:x:7:0", b"LEAKSCOPE_SESSION=1::7:0", b"LEAKSCOPE_SESSION=1:x:y:0"] {
            assert_eq!(address(bad), None);
        }
    }

    #[test]
    fn collectors_are_found_by_their_sockets() {
        let name = "leakscope-0123456789abcdef0123456789abcdef";
        let line = |path: &str| format!("ffff9c1d0b2fac00: 00000002 00000000 00010000 0001 01 54321{path}");
        assert_eq!(socket_name(&line(&format!(" @{name}"))), Some(name));
        for other in ["", " /run/leakscope-0123456789abcdef0123456789abcdef", " @leakscope-x", " @other"] {
            assert_eq!(socket_name(&line(other)), None);
        }
    }

    #[test]
    fn a_process_that_is_not_recorded_has_no_session() {
        let error = session_of(std::process::id()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(collector_of(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
