//! What a probe released: two snapshots of one process, one before and one after the JVM was asked for full collections.
//!
//! What is gone between two snapshots that lie seconds apart and a full collection in between is what the collection
//! released, or what the program frees anyway; who freed it (`by_gc`, `by_app`) tells these apart. What survived is held by
//! something that is still reachable, or was never Java's to free.

use std::collections::HashMap;

use leakscope_profile::model::Profile;

use crate::change::Direction;
use crate::diff::{DiffOptions, diff};
use crate::estimate::{ERROR_RATE, Estimate, Sums};
use crate::frames::FrameTable;
use crate::site::{Grouping, Place, SiteId};
use crate::sites::{Freed, sites};

/// What was released, site by site.
#[derive(Debug, Clone)]
pub struct Releases {
    /// The frames that the places refer to.
    pub frames: FrameTable,
    /// Every site that was live before, most released first.
    pub sites: Vec<Release>,
    /// Live before, all together.
    pub before_bytes: Estimate,
    /// Of it, released.
    pub released_bytes: Estimate,
}

/// What was released of one site.
#[derive(Debug, Clone)]
pub struct Release {
    /// Which.
    pub place: Place,
    /// Live before.
    pub before_bytes: Estimate,
    /// Of it, gone.
    pub released_bytes: Estimate,
    /// Of it, still there.
    pub survived_bytes: f64,
    /// Whether something was released, beyond chance.
    pub is_certain: bool,
    /// Sampled frees in between.
    pub freed: Freed,
}

/// What was released between two snapshots of one recording, the later one second.
pub fn releases(before: &Profile, after: &Profile, grouping: &Grouping) -> Releases {
    let frees = |profile: &Profile| -> HashMap<SiteId, Freed> {
        sites(profile, grouping).sites.iter().map(|site| (site.place.id, site.amounts.freed)).collect()
    };
    let (earlier, later) = (frees(before), frees(after));
    let freed = |id: &SiteId| {
        let (a, b) = (earlier.get(id).copied().unwrap_or_default(), later.get(id).copied().unwrap_or_default());
        Freed { by_app: b.by_app.saturating_sub(a.by_app), by_gc: b.by_gc.saturating_sub(a.by_gc) }
    };
    let diff = diff(before, after, &DiffOptions { grouping: grouping.clone(), tolerance_bytes: 0.0 });
    let mut gone = Sums::default();
    let mut sites: Vec<Release> = Vec::new();
    for site in diff.sites.into_iter().filter(|site| site.baseline.bytes > 0.0) {
        gone.add(&site.change.gone);
        let released_bytes = site.change.gone.bytes_estimate(ERROR_RATE);
        let only_gone = crate::change::Change { new: Sums::default(), ..site.change };
        sites.push(Release {
            before_bytes: site.baseline_bytes(),
            survived_bytes: (site.baseline.bytes - released_bytes.estimate).max(0.0),
            released_bytes,
            is_certain: only_gone.direction(ERROR_RATE, 0.0) == Some(Direction::Down),
            freed: freed(&site.place.id),
            place: site.place,
        });
    }
    sites.sort_by(|a, b| b.released_bytes.estimate.total_cmp(&a.released_bytes.estimate));
    Releases {
        frames: diff.frames,
        sites,
        before_bytes: diff.baseline_bytes,
        released_bytes: gone.bytes_estimate(ERROR_RATE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::model::{
        Code, Frame, FrameId, Function, FunctionId, Kind, Row, Snapshot, Stack, StackId, Totals,
    };

    /// Exact blocks: of each site (live bytes, frees by the GC).
    fn profile(epoch: u32, sites: &[(u64, u64)]) -> Profile {
        let mut profile = Profile {
            snapshot: Snapshot { session: [7; 16], epoch, index: epoch, ..Snapshot::default() },
            ..Profile::default()
        };
        for (at, (bytes, frees_gc)) in sites.iter().enumerate() {
            let id = at as u32;
            profile.functions.push(Function { name: format!("f{at}"), ..Function::default() });
            profile.frames.push(Frame { code: Code::Marker, function: FunctionId(id), line: 0, inlined: false });
            let totals = Totals { frees_gc: *frees_gc, ..Totals::default() };
            profile.stacks.push(Stack { frames: vec![FrameId(id)], totals });
            let samples = bytes / 100;
            let row = Row {
                stack: StackId(id),
                kind: Kind::Malloc,
                epoch: 0,
                interval_bytes: 1,
                samples,
                bytes: *bytes as f64,
                bytes_variance: 0.0,
                bytes_observed: *bytes,
                objects: samples as f64,
                objects_variance: 0.0,
                smallest_bytes: 100,
                oldest_ms: 0,
                resident_bytes: None,
            };
            profile.rows.extend((*bytes > 0).then_some(row));
        }
        profile
    }

    #[test]
    fn what_is_gone_was_released() {
        let before = profile(1, &[(5000, 2), (8000, 0), (300, 0), (0, 0)]);
        let after = profile(2, &[(1000, 42), (8000, 0), (0, 3), (700, 0)]);
        let found = releases(&before, &after, &Grouping::default());
        let row = |release: &Release| {
            let freed = release.freed.by_gc;
            (release.released_bytes.estimate, release.survived_bytes, release.is_certain, freed)
        };
        assert_eq!(
            found.sites.iter().map(row).collect::<Vec<_>>(),
            [(4000.0, 1000.0, true, 40), (300.0, 0.0, true, 3), (0.0, 8000.0, false, 0)]
        );
        assert_eq!((found.before_bytes.estimate, found.released_bytes.estimate), (13300.0, 4300.0));
    }
}
