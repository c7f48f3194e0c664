//! Any bytes as what a JVM or the kernel says of a process: its performance data, its answer about native memory, its
//! mappings. Reading returns, and what is kept of it is bounded.
//!
//! Input: a byte that says which of them, then its bytes.
#![no_main]

use leakscope_collect::{parse_native_memory, parse_smaps};
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/collect/src/perf_data.rs"]
mod perf_data;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 3 {
        0 => {
            perf_data::visit(bytes, |name, value| match value {
                perf_data::Value::Text(text) => assert!(name.len().max(text.len()) <= bytes.len()),
                perf_data::Value::Number(number) => assert!(i64::try_from(number).is_ok()),
            });
        }
        1 => {
            let categories = parse_native_memory(&String::from_utf8_lossy(bytes));
            assert!(categories.len() <= 100);
        }
        _ => {
            // An error is one of the answers.
            let _ = parse_smaps(bytes, |entry| assert!(entry.path.len() <= bytes.len()));
        }
    }
});
