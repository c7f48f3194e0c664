//! Growth that began late: a place that was flat for a good part of the recording, and then grew to its end.
//!
//! Over the whole window it does not grow in each third, and its rate would be too low. So where such a place grows by
//! more than is known of any, the analysis is made again from where it began on. That the beginning is looked for is one
//! more chance to be wrong, so what counts is stricter there:
//!
//! ```text
//! late          it began after a fifth of the window, and there are at least 8 snapshots since, an eighth of the recording
//! flat before   from the warm-up to then it never was off by more than a quarter of what it grew since
//! no wave       it never fell by so much
//! known         a tenth of the false discoveries
//! ```

use leakscope_profile::model::Kind;

use crate::analysis::{Shape, Window};
use crate::course::Course;
use crate::growth::{Assessment, deepest_fall, hours};
use crate::series::SnapshotFacts;

/// It begins after this part of the window.
const LATE: f64 = 0.2;
/// Of the recording, at least this part comes after.
const LEFT: f64 = 0.125;
/// Fewest snapshots from there on.
const FEWEST_SNAPSHOTS: usize = 8;
/// Before, it may be off by this part of what it grew; and fall by it at any time.
const FLAT: f64 = 0.25;
/// It began when it had grown by this part.
const BEGUN: f64 = 0.05;
/// Of all places called growing, at most this part is not.
pub(crate) const FALSE_DISCOVERIES: f64 = 0.001;

/// The part of a recording over which some place grows that did not before.
#[derive(Debug, Clone)]
pub(crate) struct Late {
    /// The part.
    pub window: Window,
    /// Uptime from which on each course may have grown.
    began_ms: Vec<Option<u64>>,
}

impl Late {
    /// The part since the beginning of the place that grew most; `None` if none grew by `least_bytes`, and by `known` bytes per hour.
    pub(crate) fn part(
        courses: &[Course],
        snapshots: &[SnapshotFacts],
        whole: &Window,
        least_bytes: f64,
        known: f64,
    ) -> Option<Late> {
        let began: Vec<Option<usize>> = courses.iter().map(|course| began(course, snapshots, whole)).collect();
        let grew = |at: usize, first: usize| courses[at].live[whole.last].bytes - courses[at].live[first].bytes;
        let from_ms = |first: usize| snapshots[first].instant.uptime_ms;
        let matters =
            |at: usize, first: usize| grew(at, first) >= least_bytes.max(known * hours(whole.to_ms - from_ms(first)));
        let all = began.iter().enumerate().filter_map(|(at, began)| Some((at, (*began)?)));
        let most =
            all.filter(|(at, first)| matters(*at, *first)).max_by(|a, b| grew(a.0, a.1).total_cmp(&grew(b.0, b.1)));
        let (_, first) = most?;
        let began_ms = began.iter().map(|began| began.map(from_ms)).collect();
        Some(Late { window: Window { first, from_ms: from_ms(first), ..*whole }, began_ms })
    }

    /// Leaves of what grows in this part what is known to have begun late, and what grew over the whole as well.
    pub(crate) fn restrict(&self, growths: &mut [Assessment], over_the_whole: &[Assessment]) {
        for ((growth, whole), began_ms) in growths.iter_mut().zip(over_the_whole).zip(&self.began_ms) {
            growth.is_growing &= whole.is_growing || began_ms.is_some();
            if growth.is_growing {
                growth.began_ms = *began_ms;
            } else {
                // What it looks like, the whole tells better.
                growth.shape = if whole.shape == Shape::Growing { Shape::Unknown } else { whole.shape };
            }
        }
    }
}

/// The snapshot from which on a course of the program grew, if it was flat before.
fn began(course: &Course, snapshots: &[SnapshotFacts], window: &Window) -> Option<usize> {
    if course.place.is_jvms_own || course.place.kind == Kind::Thread {
        return None;
    }
    let bytes = |at: usize| course.live[at].bytes;
    let level = bytes(window.first);
    let grew = bytes(window.last) - level;
    let first = (window.first..window.last).rev().find(|at| bytes(*at) <= level + BEGUN * grew)?;
    let (from_ms, to_ms) = (window.from_ms as f64, window.to_ms as f64);
    let at_ms = snapshots[first].instant.uptime_ms as f64;
    let is_late = at_ms >= from_ms + LATE * (to_ms - from_ms);
    let is_long = window.last + 1 >= first + FEWEST_SNAPSHOTS && to_ms - at_ms >= LEFT * to_ms;
    let was_flat = (window.first..=first).all(|at| (bytes(at) - level).abs() <= FLAT * grew);
    let never_fell = deepest_fall((window.first..=window.last).map(bytes)) <= FLAT * grew;
    (grew > 0.0 && is_late && is_long && was_flat && never_fell).then_some(first)
}
