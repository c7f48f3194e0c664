//! From the checkpoints on disk to the gate's judgement.

use super::round::Checkpoint;
use crate::exit::{self, Failure};
use crate::reading::Symbols;
use anyhow::Result;
use leakscope_analyze::gate::{Round, RoundBuilder};
use leakscope_analyze::set_housekeeping_aside;
use leakscope_profile::load;

/// Reads the checkpoints of one round, one after another; the last one lends its names.
///
/// # Errors
/// A profile that was just written cannot be read.
pub fn round(checkpoints: &[Checkpoint], packages: &[String], symbols: &mut Symbols) -> Result<Round> {
    let mut builder = RoundBuilder::default();
    let mut newest = None;
    for checkpoint in checkpoints {
        let mut profile = load(&checkpoint.profile)
            .map_err(|error| Failure::error(exit::UNREADABLE, format!("{}: {error}", checkpoint.profile.display())))?;
        set_housekeeping_aside(&mut profile);
        if builder.add(&profile, checkpoint.at) {
            newest = Some(profile);
        }
    }
    if let Some(profile) = &mut newest {
        symbols.refine(profile);
    }
    Ok(builder.finish(newest.as_ref(), packages))
}
