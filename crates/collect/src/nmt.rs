//! The JVM's native memory tracking, as `VM.native_memory summary` words it.
//!
//! ```text
//!   Total: reserved=1825213KB, committed=131985KB
//!   -                 Java Heap (reserved=524288KB, committed=262144KB)
//!                               (mmap: reserved=524288KB, committed=262144KB)
//!   -                    Thread (reserved=20571KB, committed=1175KB)
//!                               (stack: reserved=20512KB, committed=1116KB)
//!                               (malloc=38KB #122) (at peak)
//!                               (arena=21KB #38) (peak=...)
//! ```
//! The same on JDK 11 to 25 but for further words in the brackets, which are passed over.

use crate::attach::{AttachError, Attachment};
use leakscope_profile::timeline::NmtCategory;
use std::time::Duration;

/// Longest wait for the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// More categories than any JVM has (JDK 25: 31).
const MOST_CATEGORIES: usize = 100;
const LONGEST_NAME: usize = 64;

/// Asks a JVM for its native memory tracking; `None` where that is off.
///
/// # Errors
/// As those of attaching.
pub fn native_memory(jvm: &Attachment) -> Result<Option<Vec<NmtCategory>>, AttachError> {
    let text = jvm.command("VM.native_memory summary scale=KB", PATIENCE)?;
    Ok(Some(parse_native_memory(&text)).filter(|categories| !categories.is_empty()))
}

/// The categories in the JVM's answer; none where it says that tracking is off.
pub fn parse_native_memory(text: &str) -> Vec<NmtCategory> {
    let mut categories: Vec<NmtCategory> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(heading) = line.strip_prefix('-') {
            // Whatever follows belongs to it, be it one that is kept or not.
            if categories.len() >= MOST_CATEGORIES {
                break;
            }
            categories.extend(category(heading));
        } else if let Some(current) = categories.last_mut() {
            let bytes = amount(line, "(malloc=").or_else(|| amount(line, "(arena="));
            current.malloc_bytes = current.malloc_bytes.saturating_add(bytes.unwrap_or(0));
        }
    }
    categories
}

/// `Java Heap (reserved=524288KB, committed=262144KB)`.
fn category(heading: &str) -> Option<NmtCategory> {
    let (name, figures) = heading.split_once('(')?;
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    let reserved_bytes = amount(figures, "reserved=")?;
    let committed_bytes = amount(figures, "committed=")?;
    (!name.is_empty()).then_some(NmtCategory { name, reserved_bytes, committed_bytes, malloc_bytes: 0 })
}

/// The bytes behind `key`: `12KB`, also with `B`, `MB`, `GB`.
fn amount(text: &str, key: &str) -> Option<u64> {
    let text = text.split_once(key)?.1;
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = ["GB", "MB", "KB", "B"].into_iter().find(|name| unit.starts_with(name)).unwrap_or("B");
    let factor = match unit {
        "GB" => 1 << 30,
        "MB" => 1 << 20,
        "KB" => 1 << 10,
        _ => 1,
    };
    Some(number.parse::<u64>().ok()?.saturating_mul(factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_read() {
        let text = "\nNative Memory Tracking:\n\n(Omitting categories weighting less than 1KB)\n\n\
            Total: reserved=1825213KB, committed=131985KB\n       malloc: 21133KB #43567\n       mmap:   reserved=1, committed=2\n\n\
            -                 Java Heap (reserved=524288KB, committed=262144KB)\n\
            \x20                           (mmap: reserved=524288KB, committed=262144KB, at peak) \n \n\
            -                     Class (reserved=1048716KB, committed=140KB)\n\
            \x20                           (classes #497)\n                            (  instance classes #436, array classes #61)\n\
            \x20                           (malloc=140KB #764) (peak=141KB #765) \n\
            \x20                           (  Metadata:   )\n                            (    used=1MB)\n\
            -                    Thread (reserved=20571KB, committed=1175KB)\n\
            \x20                           (threads #20)\n                            (stack: reserved=20512KB, committed=1116KB)\n\
            \x20                           (malloc=38KB tag=Thread #122) (at peak) \n                            (arena=21KB #38)\n\
            -       Shared class space (reserved=1GB, committed=3MB)\n";
        let kb = 1024;
        let category = |name: &str, reserved, committed, malloc| NmtCategory {
            name: name.to_owned(),
            reserved_bytes: reserved,
            committed_bytes: committed,
            malloc_bytes: malloc,
        };
        let expected = [
            category("Java Heap", 524_288 * kb, 262_144 * kb, 0),
            category("Class", 1_048_716 * kb, 140 * kb, 140 * kb),
            category("Thread", 20_571 * kb, 1175 * kb, 59 * kb),
            category("Shared class space", 1 << 30, 3 << 20, 0),
        ];
        assert_eq!(parse_native_memory(text), expected);
    }

    #[test]
    fn nonsense_gives_nothing() {
        for text in [
            "",
            "Native memory tracking is not enabled\n",
            "-\n-(\n- x (reserved=, committed=)\n",
            "- (reserved=1KB, committed=1KB)\n",
        ] {
            assert_eq!(parse_native_memory(text), []);
        }
        let huge = format!(
            "- A (reserved={0}GB, committed=99999999999999999999KB)\n- B (reserved={0}GB, committed=1)\n",
            u64::MAX
        );
        let categories = parse_native_memory(&huge);
        assert_eq!((categories.len(), categories[0].reserved_bytes), (1, u64::MAX));
        let many = "- A (reserved=1KB, committed=1KB)\n".repeat(1000);
        assert_eq!(parse_native_memory(&many).len(), MOST_CATEGORIES);
    }
}
