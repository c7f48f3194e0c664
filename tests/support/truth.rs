//! What a program says about itself: `live FUNCTION BYTES OBJECTS`, a line for each function.

use super::profiles::observed;
use super::{Recording, json};
use leakscope_profile::Profile;
use serde_json::Value;

/// What a function allocated and nobody freed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    pub function: String,
    pub bytes: u64,
    pub objects: u64,
}

/// The truth on a program's stdout; fails if there is none.
pub fn truths(recording: &Recording) -> Vec<Truth> {
    let truths: Vec<Truth> = recording.out().lines().filter_map(parse).collect();
    assert!(!truths.is_empty(), "the program says nothing about itself\n{}", recording.everything());
    truths
}

fn parse(line: &str) -> Option<Truth> {
    let rest = line.strip_prefix("live ")?;
    let mut words = rest.split(' ');
    let mut next = || words.next().unwrap_or_else(|| panic!("incomplete: {line}"));
    let function = next().to_owned();
    Some(Truth { function, bytes: next().parse().expect("bytes"), objects: next().parse().expect("objects") })
}

/// Fails unless an exact profile and the report of it hold the truth: every byte, every object, nothing else.
pub fn expect_exact(recording: &Recording, profile: &Profile, report: &Value) {
    assert_eq!(profile.settings.interval_bytes, 1, "exact mode");
    for lost in ["table_full", "missed_frees", "depot_full", "guard_skipped", "address_odd"] {
        assert_eq!(profile.losses.get(lost).copied().unwrap_or(0), 0, "{lost}: {:?}", profile.losses);
    }
    for truth in truths(recording) {
        let name = &truth.function;
        assert_eq!(observed(profile, name), (truth.bytes, truth.objects), "{name} in the profile");
        let sites = json::sites_with(report, name);
        let sum = |key: &str| sites.iter().map(|site| json::Estimate::of(&site[key])).collect::<Vec<_>>();
        let (bytes, objects) = (sum("live_bytes"), sum("live_objects"));
        assert!(bytes.iter().chain(&objects).all(|e| e.is_exactly(e.estimate as u64)), "{name}: exact has no interval");
        assert_eq!(bytes.iter().map(|e| e.estimate as u64).sum::<u64>(), truth.bytes, "{name} in the report");
        assert_eq!(objects.iter().map(|e| e.estimate as u64).sum::<u64>(), truth.objects, "{name} in the report");
    }
}
