//! What of a profile is the JVM's own address space, and nobody's leak.
//!
//! A JVM reserves its heap, its metaspace and its code cache by mapping them, and the stacks of its collector and
//! compiler threads: gigabytes of addresses, little of it resident. They are told by who mapped them: the leaf of the
//! stack lies in a library of the JVM. What Java code maps (`FileChannel.map`) comes from libnio, what it allocates by
//! `Unsafe` from malloc, and its threads have Java frames: all that is the application's.
//!
//! The rows are kept in leakscope's own part of a profile. Other tools, which could not tell, do not see them.

use crate::model::{Code, Kind, Profile, Row};

/// Libraries that map memory for the JVM itself: the VM, its launcher, the reader of its class file image.
const LIBRARIES: [&str; 3] = ["libjvm.so", "libjli.so", "libjimage.so"];

/// Whether a file is one of those libraries.
pub fn is_jvms_library(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| LIBRARIES.contains(&name))
}

/// Tells the rows of one profile apart.
#[derive(Debug)]
pub struct JvmsOwnRows {
    /// By module, whether it is a library of the JVM.
    libraries: Vec<bool>,
}

impl JvmsOwnRows {
    /// Looks at the modules of a profile.
    pub fn of(profile: &Profile) -> Self {
        Self { libraries: profile.modules.iter().map(|module| is_jvms_library(&module.path)).collect() }
    }

    /// Whether a row of that profile is the JVM's own. Blocks from malloc never are: what the VM allocates can grow
    /// because of what the application does.
    pub fn contains(&self, profile: &Profile, row: &Row) -> bool {
        if row.kind == Kind::Malloc {
            return false;
        }
        let Some(stack) = profile.stacks.get(row.stack.0 as usize) else { return false };
        let codes = || stack.frames.iter().filter_map(|id| profile.frames.get(id.0 as usize)).map(|frame| frame.code);
        let is_of_jvm = matches!(codes().next(), Some(Code::Native { module: Some(module), .. })
            if self.libraries.get(module.0 as usize).is_some_and(|is_jvms| *is_jvms));
        // Threads of Java code are started by the VM as well.
        is_of_jvm && (row.kind != Kind::Thread || codes().all(|code| code != Code::Java))
    }
}
