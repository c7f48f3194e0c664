//! What is done once in CI's subset and many times in the long series (tests/series.rs): one file for each experiment.

pub mod corpus;
pub mod exits;
pub mod gate;
pub mod kill;
pub mod many;
pub mod rates;
pub mod sizes;
pub mod starts;
