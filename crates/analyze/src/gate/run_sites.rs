//! What is live in one profile, by culprit and under names that hold in other builds: what baselines are made of.

use std::collections::HashMap;

use leakscope_profile::model::{Kind, Profile};

use crate::course::{Course, Courses};
use crate::frames::FrameTable;
use crate::series::SeriesBuilder;
use crate::site::{Grouping, Place, SiteId};

/// The sites of one run.
#[derive(Debug, Clone, Default)]
pub struct RunSites {
    /// The program's name, as the kernel knows it.
    pub program: String,
    /// The frames that the sites refer to.
    pub frames: FrameTable,
    /// Every site with live memory, most first; the JVM's own are left out.
    pub sites: Vec<RunSite>,
}

/// One site of a run.
#[derive(Debug, Clone)]
pub struct RunSite {
    /// Names it in other builds, too.
    pub key: SiteId,
    /// What it is.
    pub place: Place,
    /// Live bytes.
    pub bytes: f64,
    /// Their variance, where they are sampled; what was never sampled is one block more.
    pub variance: f64,
}

/// The sites of a profile; `None` if it is none of ours, or empty.
pub fn run_sites(profile: &Profile, packages: &[String]) -> Option<RunSites> {
    let mut series = SeriesBuilder::default();
    if !series.add(profile) {
        return None;
    }
    let grouping = Grouping { packages: packages.to_vec(), ..Grouping::default() };
    let courses = Courses::new(series, Some(profile), &grouping, None);
    let mut index: HashMap<(SiteId, Kind), usize> = HashMap::new();
    let mut sites: Vec<RunSite> = Vec::new();
    let mut largest: Vec<f64> = Vec::new();
    for course in courses.courses.iter().filter(|course| !course.place.is_jvms_own) {
        let (bytes, variance) = live(course);
        if bytes <= 0.0 {
            continue;
        }
        let at = *index.entry((course.key, course.place.kind)).or_insert(sites.len());
        if at == sites.len() {
            sites.push(RunSite { key: course.key, place: course.place.clone(), bytes: 0.0, variance: 0.0 });
            largest.push(0.0);
        }
        sites[at].bytes += bytes;
        sites[at].variance += variance;
        // The line with most bytes stands for all that share the key.
        if bytes > largest[at] {
            largest[at] = bytes;
            sites[at].place = course.place.clone();
        }
    }
    sites.sort_by(|a, b| b.bytes.total_cmp(&a.bytes).then(a.key.cmp(&b.key)));
    (!sites.is_empty()).then(|| RunSites { program: profile.target.name.clone(), frames: courses.table, sites })
}

fn live(course: &Course) -> (f64, f64) {
    let missable = course.missable.interval_bytes as f64;
    course.live.first().map_or((0.0, 0.0), |flow| (flow.bytes, flow.variance + missable * missable))
}
