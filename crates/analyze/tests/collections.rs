//! What a full collection says of a place that grows: proof that it leaks, or that much of it was garbage. The timeline knows
//! of a collection only by its next point, which may come after the next snapshot.

mod program;

use leakscope_analyze::{AnalysisOptions, Confidence, Reason, Verdict, VerdictId, analyze};
use leakscope_profile::model::Profile;
use leakscope_profile::timeline::{GcCounter, Java, Point, Timeline};
use leakscope_sampling::Interval;
use program::Program;

/// Twelve snapshots, a minute apart, of a JVM that keeps 64 blocks more each minute; just before the fourth a full collection
/// frees so many. The timeline has a point a second before each snapshot and one a second after; the collection came
/// between these two.
fn verdict(collected: usize, counter: GcCounter) -> Verdict {
    let mut program = Program::new(1, Interval::EXACT);
    let profiles: Vec<Profile> = (0..12)
        .map(|minute| {
            (0..64).for_each(|_| program.allocate(0, 16 << 10));
            if minute == 3 {
                program.free(0, collected);
            }
            let mut profile = program.snapshot();
            "17.0.9".clone_into(&mut profile.target.jvm);
            profile
        })
        .collect();
    let point = |uptime_ms| Point {
        uptime_ms,
        java: Some(Java { counter, full_gcs: u64::from(uptime_ms > 180_000), ..Java::default() }),
        ..Point::default()
    };
    let points = (1..12).flat_map(|minute| [point(minute * 60_000 - 1000), point(minute * 60_000 + 1000)]).collect();
    let timeline = Timeline { points, ..Timeline::default() };
    let analysis = analyze(&profiles, &timeline, &AnalysisOptions::default());
    let leak = analysis.verdicts.iter().find(|verdict| verdict.id == VerdictId::Leak);
    leak.unwrap_or_else(|| panic!("{:?}", analysis.verdicts)).clone()
}

#[test]
fn what_outlives_a_full_collection_is_a_leak_for_certain() {
    for collected in [0, 64] {
        let leak = verdict(collected, GcCounter::Collections);
        assert!(leak.reasons.contains(&Reason::SurvivesFullGcs { full_gcs: 1 }), "{leak:?}");
        assert_eq!(leak.confidence, Confidence::High);
    }
}

#[test]
fn what_a_full_collection_released_has_not_outlived_it() {
    let leak = verdict(150, GcCounter::Collections);
    assert!(leak.reasons.contains(&Reason::FallsOnlyAtGc { falls: 1, full: true }), "{leak:?}");
    assert_eq!(leak.confidence, Confidence::Medium);
    let says_otherwise = |reason: &Reason| matches!(reason, Reason::SurvivesFullGcs { .. } | Reason::NoFullGc);
    assert!(!leak.reasons.iter().any(says_otherwise), "{leak:?}");
}

/// ZGC's own cycles leave young garbage that a reference holds, for minutes: what outlived them may be garbage still.
#[test]
fn what_outlives_a_concurrent_cycle_is_unproven() {
    let leak = verdict(0, GcCounter::Phases);
    assert!(leak.reasons.contains(&Reason::NoFullGc), "{leak:?}");
    assert_eq!(leak.confidence, Confidence::Medium);
    // That it released something is known all the same.
    let leak = verdict(150, GcCounter::Phases);
    assert!(leak.reasons.contains(&Reason::FallsOnlyAtGc { falls: 1, full: true }), "{leak:?}");
}
