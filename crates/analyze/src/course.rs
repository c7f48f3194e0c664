//! The course of a culprit: what is live over time at all stacks that share the reader's own line and the way from there
//! to the allocation.
//!
//! A site is one whole stack. A leak that is reached by thirty callers is thirty sites of a few samples each, none of
//! them clear; and closing it is one change of one line. So growth is judged by culprit:
//!
//! ```text
//! Java       kind, and the frames from the first Java one to the application's
//! a pool     kind, and the frames from the first Java one to that in which the pool takes a chunk, for whomever
//! native     kind, and the application's frame with its caller
//! ```

use std::collections::HashMap;

use leakscope_profile::model::{Kind, Profile, Totals};

use crate::analysis::Window;
use crate::application::pool_frame;
use crate::change::Change;
use crate::estimate::{Missable, Sums};
use crate::frames::{FrameKind, FrameTable, SiteFrameId};
use crate::hash::Fnv;
use crate::names::is_plumbing;
use crate::raw_stacks::RawStackId;
use crate::series::{BEFORE, Cohort, Flow, NEWEST, SeriesBuilder, SnapshotFacts, Track, TrackChange};
use crate::site::{Grouping, Place, Places, SiteId};

/// All culprits of a recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Courses {
    pub table: FrameTable,
    pub courses: Vec<Course>,
    pub snapshots: Vec<SnapshotFacts>,
}

/// One culprit through all snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    /// Names the culprit within a recording and in every other of the same build.
    pub id: SiteId,
    /// The same without lines and what edits elsewhere change; two culprits may share it.
    pub key: SiteId,
    /// Its site with the most live bytes.
    pub place: Place,
    /// All of them, that one first.
    pub sites: Vec<SiteId>,
    /// What is live at each snapshot.
    pub live: Vec<Flow>,
    /// Where something came or went, by snapshot.
    pub changes: Vec<TrackChange>,
    /// What is live at the end of the window.
    pub now: Sums,
    /// The same by birth.
    pub cohorts: Vec<Cohort>,
    /// What was ever allocated and freed until then.
    pub totals: Totals,
    /// What a snapshot could have missed.
    pub missable: Missable,
}

impl Course {
    /// What came and went from one snapshot to the window's last, paired: blocks that lived through both cancel.
    pub(crate) fn change_since(&self, snapshot: usize, snapshots: &[SnapshotFacts]) -> Change {
        let epoch = snapshots[snapshot].epoch;
        let (mut born, mut survived) = (Flow::default(), Flow::default());
        for cohort in &self.cohorts {
            let part = if cohort.epoch > epoch { &mut born } else { &mut survived };
            part.add(&cohort.live);
        }
        let sums = |flow: &Flow| flow.sums(self.missable);
        Change { new: sums(&born), gone: sums(&self.live[snapshot]).without(&sums(&survived)) }
    }

    /// What came and went between a snapshot and the one before it.
    pub(crate) fn change_at(&self, snapshot: usize) -> Change {
        let found = self.changes.binary_search_by_key(&(snapshot as u32), |change| change.snapshot);
        let (new, gone) = found.map(|at| (self.changes[at].new, self.changes[at].gone)).unwrap_or_default();
        Change { new: new.sums(self.missable), gone: gone.sums(self.missable) }
    }
}

impl Courses {
    /// Puts the stacks of a recording together by culprit. `newest` is the last profile that was added, with names as
    /// good as they get; stacks which it does not hold keep the names that they had.
    pub(crate) fn new(
        mut series: SeriesBuilder,
        newest: Option<&Profile>,
        grouping: &Grouping,
        window: Option<&Window>,
    ) -> Courses {
        let snapshots = std::mem::take(&mut series.snapshots);
        let last = window.map_or(snapshots.len().saturating_sub(1), |window| window.last);
        let which = if last + 1 < snapshots.len() { BEFORE } else { NEWEST };
        let mut places = Places::with_table(grouping, series.stacks.take_table());
        let refined = newest.map(|profile| refined_frames(&series, profile, &mut places)).unwrap_or_default();
        let mut groups: HashMap<u64, Vec<(usize, usize)>> = HashMap::new();
        for (at, track) in series.tracks.iter().enumerate() {
            let frames = refined.get(&track.stack).map_or_else(|| series.stacks.frames(track.stack), Vec::as_slice);
            let place = places.place(frames, track.kind);
            let id = culprit(&places.table, &places.places[place], Name::Id);
            groups.entry(id).or_default().push((at, place));
        }
        let mut courses: Vec<Course> = groups
            .into_iter()
            .map(|(id, members)| {
                let key = culprit(&places.table, &places.places[members[0].1], Name::Key);
                let names = [id, key].map(SiteId);
                course(names, &series.tracks, &members, &places.places, which, snapshots.len())
            })
            .collect();
        let interval = snapshots.get(last).map_or(0, |facts| facts.interval_bytes);
        courses.iter_mut().for_each(|course| course.missable = missable(course, interval));
        courses.sort_by_key(|course| course.place.id);
        Courses { table: places.table, courses, snapshots }
    }
}

fn refined_frames(
    series: &SeriesBuilder,
    profile: &Profile,
    places: &mut Places<'_>,
) -> HashMap<RawStackId, Vec<SiteFrameId>> {
    let frames = places.table.add_profile(profile);
    let stacks = series.newest.iter().zip(&profile.stacks);
    stacks
        .map(|(id, stack)| (*id, stack.frames.iter().filter_map(|f| frames.get(f.0 as usize).copied()).collect()))
        .collect()
}

/// What a culprit is named for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    /// As [`Place::id`]: lines count.
    Id,
    /// As [`Place::key`]: what edits elsewhere change does not.
    Key,
}

/// What stands for a culprit.
fn culprit(table: &FrameTable, place: &Place, name: Name) -> u64 {
    let frames = &place.frames;
    let own = place.application.unwrap_or(0);
    let java = frames.iter().position(|id| table.get(*id).kind == FrameKind::Java);
    let (from, to) = match (java, pool_frame(table, frames)) {
        (Some(java), Some(pool)) => (java.min(pool), pool),
        (Some(java), None) => (java.min(own), own.max(java)),
        (None, _) => (own, own + 1),
    };
    let mut hash = Fnv::new();
    hash.text(place.kind.as_str()).number(u64::from(place.is_jvms_own));
    for frame in frames.iter().take(to + 1).skip(from) {
        match name {
            Name::Id => hash.number(table.hashes(*frame).id),
            Name::Key if is_plumbing(&table.get(*frame).function) => continue,
            Name::Key => hash.number(table.hashes(*frame).key),
        };
    }
    hash.finish()
}

fn course(
    [id, key]: [SiteId; 2],
    tracks: &[Track],
    members: &[(usize, usize)],
    places: &[Place],
    which: usize,
    snapshots: usize,
) -> Course {
    let mut now = Sums::default();
    let mut totals = Totals::default();
    let mut cohorts = Vec::new();
    let mut changes: Vec<TrackChange> = Vec::new();
    // By site: live bytes now, and the most that ever were.
    let mut sizes: HashMap<usize, (f64, f64)> = HashMap::new();
    for (track, place) in members {
        let track = &tracks[*track];
        now.add(&track.live[which]);
        totals.add(&track.totals[which]);
        cohorts.extend_from_slice(&track.cohorts[which]);
        changes.extend_from_slice(&track.changes);
        let size = sizes.entry(*place).or_default();
        size.0 += track.live[which].bytes;
        size.1 += track.changes.iter().map(|change| change.live.bytes).fold(0.0, f64::max);
    }
    let mut by_size: Vec<usize> = sizes.keys().copied().collect();
    by_size.sort_by(|a, b| {
        let (a_size, b_size) = (sizes[a], sizes[b]);
        let by_bytes = b_size.0.total_cmp(&a_size.0).then(b_size.1.total_cmp(&a_size.1));
        by_bytes.then_with(|| places[*a].id.cmp(&places[*b].id))
    });
    Course {
        id,
        key,
        place: places[by_size[0]].clone(),
        sites: by_size.iter().map(|place| places[*place].id).collect(),
        live: levels(tracks, members, snapshots),
        changes: merged(changes),
        now,
        cohorts,
        totals,
        missable: Missable::default(),
    }
}

/// What is live at each snapshot: where nothing changed, what was live before.
fn levels(tracks: &[Track], members: &[(usize, usize)], snapshots: usize) -> Vec<Flow> {
    let mut levels = vec![Flow::default(); snapshots];
    for (track, _) in members {
        let changes = &tracks[*track].changes;
        for (at, change) in changes.iter().enumerate() {
            let until = changes.get(at + 1).map_or(snapshots, |next| next.snapshot as usize);
            levels[change.snapshot as usize..until].iter_mut().for_each(|level| level.add(&change.live));
        }
    }
    levels
}

/// One change for each snapshot. What is live is left to [`levels`].
fn merged(mut changes: Vec<TrackChange>) -> Vec<TrackChange> {
    changes.sort_by_key(|change| change.snapshot);
    let mut merged: Vec<TrackChange> = Vec::with_capacity(changes.len());
    for change in changes {
        match merged.last_mut().filter(|last| last.snapshot == change.snapshot) {
            Some(last) => {
                last.new.add(&change.new);
                last.gone.add(&change.gone);
            }
            None => merged.push(change),
        }
    }
    merged
}

/// Only malloc is sampled, and only blocks that are small beside the interval can be missed.
fn missable(course: &Course, interval_bytes: u64) -> Missable {
    if course.place.kind != Kind::Malloc {
        return Missable::default();
    }
    let is_sampled = course.now.missable.interval_bytes > 0 || course.changes.iter().any(|c| c.live.variance > 0.0);
    match course.now.missable {
        seen if seen.interval_bytes > 0 => seen,
        _ if is_sampled => Missable::unseen(interval_bytes),
        none => none,
    }
}
