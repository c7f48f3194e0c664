//! One run of the program under test: what is live at its checkpoints, by culprit.

use std::collections::BTreeMap;

use leakscope_profile::model::Profile;

use crate::course::Courses;
use crate::series::SeriesBuilder;
use crate::site::Grouping;

/// Gathers the checkpoints of one round, oldest first. Profiles are not kept.
#[derive(Debug, Clone, Default)]
pub struct RoundBuilder {
    series: SeriesBuilder,
    at: Vec<f64>,
    losses: BTreeMap<String, u64>,
    /// Blocks whose allocation was sampled.
    sampled: u64,
}

/// One round.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// Where each checkpoint is: iterations that were done by then, or minutes.
    pub at: Vec<f64>,
    /// What its last checkpoint says was lost, by name.
    pub losses: BTreeMap<String, u64>,
    /// Blocks whose allocation was sampled, from the start to the last checkpoint.
    pub(crate) sampled: u64,
    pub(crate) courses: Courses,
}

impl RoundBuilder {
    /// Adds a checkpoint: a snapshot after `at` iterations (or minutes). Answers whether it belongs here: to the session
    /// of the others, after them, with more iterations.
    pub fn add(&mut self, profile: &Profile, at: f64) -> bool {
        let is_further = at.is_finite() && self.at.last().is_none_or(|last| at > *last);
        if !is_further || !self.series.add(profile) {
            return false;
        }
        self.at.push(at);
        self.losses.clone_from(&profile.losses);
        self.sampled = profile.stacks.iter().fold(0, |sum, stack| sum.saturating_add(stack.totals.samples));
        true
    }

    /// How many checkpoints there are.
    pub fn checkpoints(&self) -> usize {
        self.at.len()
    }

    /// The round. `newest` is the last profile that was added, whose names may have been refined since.
    pub fn finish(self, newest: Option<&Profile>, packages: &[String]) -> Round {
        let grouping = Grouping { packages: packages.to_vec(), ..Grouping::default() };
        let courses = Courses::new(self.series, newest, &grouping, None);
        Round { at: self.at, losses: self.losses, sampled: self.sampled, courses }
    }
}

impl Round {
    /// Mean bytes between samples at the end; 1 where every block was recorded.
    pub fn interval_bytes(&self) -> u64 {
        self.courses.snapshots.last().map_or(1, |last| last.interval_bytes)
    }

    /// Iterations (or minutes) between the first and the last checkpoint.
    pub fn span(&self) -> f64 {
        self.at.last().copied().unwrap_or(0.0) - self.at.first().copied().unwrap_or(0.0)
    }
}
