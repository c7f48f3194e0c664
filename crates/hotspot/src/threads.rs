//! Which of the JVM's own threads run, by their kernel names in `/proc/self/task`.
//!
//! The helper may approach the JVM only when it is complete, and the order in which the JVM starts its threads is
//! the one sign of that which can be read without entering it: `VM Periodic Task Thread` comes last, after the JVM has
//! declared itself live. The kernel keeps 15 characters of a name. Up to JDK 25 these are the first, from 26 on the JVM leaves
//! the middle out: seven, two dots, six.

use crate::kernel::File;

/// Threads that a complete HotSpot has: the kernel names that each may bear.
pub(crate) const OF_A_COMPLETE_JVM: [&[&[u8]]; 2] = [&[b"VM Thread"], &[b"VM Periodic Tas", b"VM Peri..Thread"]];

/// Offset of `d_reclen` and of `d_name` in `struct linux_dirent64`.
const RECORD_LENGTH: usize = 16;
const NAME: usize = 19;

/// Whether both threads run in this process; false also where `/proc` cannot be read.
pub(crate) fn all_run(threads: &[&[&[u8]]; 2]) -> bool {
    let mut seen = [false; 2];
    let mut buffer = [0u8; 2048];
    let Some(tasks) = File::open(b"/proc/self/task\0") else { return false };
    loop {
        let mut entries = tasks.read_entries(&mut buffer);
        if entries.is_empty() {
            return false;
        }
        while let Some((name, rest)) = split_entry(entries) {
            entries = rest;
            note(name, threads, &mut seen);
            if seen == [true; 2] {
                return true;
            }
        }
    }
}

/// Marks the thread whose name this task bears, if it is one of them.
fn note(task: &[u8], threads: &[&[&[u8]]; 2], seen: &mut [bool; 2]) {
    let mut path = [0u8; 64];
    let Some(path) = comm_path(task, &mut path) else { return };
    let mut comm = [0u8; 32];
    let Some(file) = File::open(path) else { return }; // the thread has just ended
    let comm = file.read(&mut comm);
    let comm = comm.strip_suffix(b"\n").unwrap_or(comm);
    for (names, seen) in threads.iter().zip(seen) {
        *seen |= names.contains(&comm);
    }
}

/// The first directory entry's name, and what follows it.
fn split_entry(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = entries.get(RECORD_LENGTH..RECORD_LENGTH + 2)?.try_into().ok()?;
    let length = usize::from(u16::from_le_bytes(length));
    let name = entries.get(NAME..length)?;
    let end = name.iter().position(|&byte| byte == 0)?;
    Some((name.get(..end)?, entries.get(length..)?))
}

/// `/proc/self/task/TASK/comm` with a zero byte; `None` for `.`, `..` and anything else that is no number.
fn comm_path<'b>(task: &[u8], buffer: &'b mut [u8; 64]) -> Option<&'b [u8]> {
    if task.is_empty() || !task.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut length = 0;
    for part in [b"/proc/self/task/".as_slice(), task, b"/comm\0"] {
        let end = part.len().checked_add(length)?;
        for (to, from) in buffer.get_mut(length..end)?.iter_mut().zip(part) {
            *to = *from;
        }
        length = end;
    }
    buffer.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn finds_threads_by_name_only_when_all_run() {
        // Only one of the second's names is borne.
        let names: [&[&[u8]]; 2] = [&[b"leakscope-one"], &[b"leakscope-2", b"leakscope-two"]];
        assert!(!all_run(&names));
        let (release, wait) = mpsc::channel::<()>();
        let (started, ready) = mpsc::channel();
        let start = |name: &str, wait: Option<mpsc::Receiver<()>>| {
            let started = started.clone();
            let body = move || {
                started.send(()).expect("the test waits");
                wait.map(|wait| wait.recv());
            };
            std::thread::Builder::new().name(name.into()).spawn(body).expect("a thread")
        };
        let (release_two, wait_two) = mpsc::channel::<()>();
        let one = start("leakscope-one", Some(wait));
        ready.recv().expect("one runs");
        assert!(!all_run(&names));
        let two = start("leakscope-two", Some(wait_two));
        ready.recv().expect("two runs");
        assert!(all_run(&names));
        drop((release, release_two));
        one.join().expect("one ends");
        two.join().expect("two ends");
    }

    #[test]
    fn builds_paths_of_tasks_only() {
        let mut buffer = [0u8; 64];
        assert_eq!(comm_path(b"41", &mut buffer), Some(b"/proc/self/task/41/comm\0".as_slice()));
        assert_eq!(comm_path(b"..", &mut buffer), None);
        assert_eq!(comm_path(b"", &mut buffer), None);
        assert_eq!(comm_path(&[b'1'; 60], &mut buffer), None, "too long");
    }

    #[test]
    fn stops_at_a_damaged_directory_entry() {
        assert_eq!(split_entry(b""), None);
        assert_eq!(split_entry(&[0; 24]), None, "length zero");
        assert_eq!(split_entry(&[255; 24]), None, "longer than the buffer");
    }
}
