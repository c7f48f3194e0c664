//! What a running JVM says about itself without being asked: read from its memory, no thread of it takes part.

use crate::modules::Maps;
use crate::parts::TargetMemory;
use crate::vm_structs::JvmMemory;

/// Collectors by the flag that chooses them.
const COLLECTORS: [(&str, &str); 7] = [
    ("UseG1GC", "G1"),
    ("UseSerialGC", "Serial"),
    ("UseParallelGC", "Parallel"),
    ("UseZGC", "ZGC"),
    ("UseShenandoahGC", "Shenandoah"),
    ("UseConcMarkSweepGC", "CMS"),
    ("UseEpsilonGC", "Epsilon"),
];

/// Facts about a HotSpot JVM. What could not be read is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JvmFacts {
    /// Its garbage collector: `G1`, `ZGC`, ...
    pub collector: Option<&'static str>,
    /// `-XX:NativeMemoryTracking`: `off`, `summary`, `detail`.
    pub native_memory_tracking: Option<String>,
    /// Whether it refuses to be attached to (`-XX:+DisableAttachMechanism`).
    pub refuses_attach: Option<bool>,
    /// Whether it leaves signals alone (`-Xrs`).
    pub leaves_signals: Option<bool>,
}

impl JvmFacts {
    /// Those of a process; `None` if it has not loaded libjvm.
    pub fn of(pid: u32) -> Option<Self> {
        let library = Maps::of(pid).start_of("libjvm.so")?;
        let memory = TargetMemory::of(pid);
        let mut facts = Self::default();
        let Some(jvm) = JvmMemory::read(&memory, library) else { return Some(facts) };
        let [tracking, refuses, signals] =
            jvm.flags(["NativeMemoryTracking", "DisableAttachMechanism", "ReduceSignalUsage"]);
        let is_set = |address: u64| memory.byte(address).map(|byte| byte != 0);
        facts.native_memory_tracking = tracking
            .and_then(|address| memory.text::<16>(memory.word(address)?))
            .map(|text| String::from_utf8_lossy(&text).into_owned());
        facts.refuses_attach = refuses.and_then(is_set);
        facts.leaves_signals = signals.and_then(is_set);
        let collectors = jvm.flags(COLLECTORS.map(|(flag, _)| flag));
        let used = collectors.iter().zip(COLLECTORS).find(|(address, _)| address.and_then(is_set) == Some(true));
        facts.collector = used.map(|(_, (_, name))| name);
        Some(facts)
    }

    /// Whether it tracks its native memory.
    pub fn tracks_native_memory(&self) -> bool {
        self.native_memory_tracking.as_deref().is_some_and(|level| level == "summary" || level == "detail")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_a_jvm_has_none() {
        assert_eq!(JvmFacts::of(std::process::id()), None);
        assert_eq!(JvmFacts::of(u32::MAX), None);
    }
}
