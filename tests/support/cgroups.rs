//! A memory cgroup for one test, of version 1 or 2, as the machine has it. Made and removed as root.

use super::machine::as_root;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A cgroup with a limit; it is removed at the end.
pub struct MemoryCgroup {
    folder: String,
}

impl MemoryCgroup {
    /// Makes one.
    pub fn with_limit(bytes: u64) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("leakscope-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // Without swap the limit is the end. Not every kernel counts swap.
        let script = "one=/sys/fs/cgroup/memory two=/sys/fs/cgroup
            if [ -e $one/memory.limit_in_bytes ]; then
                mkdir $one/$0 && echo $1 > $one/$0/memory.limit_in_bytes || exit
                [ ! -e $one/$0/memory.memsw.limit_in_bytes ] || echo $1 > $one/$0/memory.memsw.limit_in_bytes
                echo $one/$0
            else
                grep -qw memory $two/cgroup.subtree_control || echo +memory > $two/cgroup.subtree_control || exit
                mkdir $two/$0 && echo $1 > $two/$0/memory.max || exit
                [ ! -e $two/$0/memory.swap.max ] || echo 0 > $two/$0/memory.swap.max
                echo $two/$0
            fi";
        let folder = root(&[script, &name, &bytes.to_string()]);
        assert!(folder.starts_with('/'), "this machine lets root make no memory cgroup");
        Self { folder }
    }

    /// What a shell says to move in here.
    pub fn entering(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.folder)
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // The kernel takes a moment to forget a process that has been waited for.
        root(&["for i in 1 2 3 4 5 6 7 8 9; do rmdir $0 2>/dev/null && break; sleep 0.1; done", &self.folder]);
    }
}

fn root(script: &[&str]) -> String {
    let line = [as_root(), &["sh", "-c"], script].concat();
    let output = Command::new(line[0]).args(&line[1..]).output().expect("sh runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
