//! The private field: everything in the model that pprof has no field for.
//!
//! Rows and totals are stored by column, not by row: a column of equal or small numbers all but vanishes under
//! gzip, and a hostile file cannot make a few bytes of input into a large structure.
//!
//! Within a [`VERSION`] fields are only added, and a reader takes an absent field as zero. Whatever an older reader
//! would misunderstand needs a new version, which older readers refuse by name.

use std::collections::BTreeMap;

use crate::changes::Changes;
use crate::error::Inconsistent;
use crate::fields::{Column, Number};
use crate::model;

/// Version of the extension that this crate writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 1;

/// Just the version: what is decoded first.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Version {
    #[prost(uint32, tag = "1")]
    pub version: u32,
}

/// The extension without its large parts, fields 10 and 11: [`TOTALS`] and [`ROWS`] are written, and
/// [`crate::columns`] reads them.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Extension {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(message, optional, tag = "2")]
    pub snapshot: Option<Snapshot>,
    #[prost(message, optional, tag = "3")]
    pub settings: Option<Settings>,
    #[prost(message, optional, tag = "4")]
    pub target: Option<Target>,
    #[prost(message, optional, tag = "5")]
    pub memory: Option<Memory>,
    #[prost(btree_map = "string, uint64", tag = "6")]
    pub losses: BTreeMap<String, u64>,
    /// One for each module. Mappings after these are made up for pprof and are no modules.
    #[prost(uint64, repeated, tag = "7")]
    pub module_bias: Vec<u64>,
    /// One for each `Location`: see [`frame_code`].
    #[prost(uint32, repeated, tag = "8")]
    pub frame_code: Vec<u32>,
    /// One for each stack: index of the `Sample` that holds its frames. Strictly increasing.
    #[prost(uint32, repeated, tag = "9")]
    pub stack_sample: Vec<u32>,
}

/// [`model::Snapshot`] but for the time, which is in `Profile.time_nanos`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Snapshot {
    #[prost(bytes = "vec", tag = "1")]
    pub session: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub index: u32,
    #[prost(uint32, tag = "3")]
    pub epoch: u32,
    #[prost(uint64, tag = "4")]
    pub uptime_ms: u64,
    #[prost(string, tag = "5")]
    pub reason: String,
}

/// [`model::Settings`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Settings {
    #[prost(uint64, tag = "1")]
    pub interval_bytes: u64,
    #[prost(uint32, tag = "2")]
    pub native_depth: u32,
    #[prost(uint32, tag = "3")]
    pub java_depth: u32,
    #[prost(string, tag = "4")]
    pub version: String,
    #[prost(message, optional, tag = "5")]
    pub changes: Option<Changes>,
}

/// [`model::Target`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Target {
    #[prost(uint32, tag = "1")]
    pub pid: u32,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, repeated, tag = "3")]
    pub command: Vec<String>,
    #[prost(string, tag = "4")]
    pub exe: String,
    /// 0 not ended, 1 exit code, 2 signal, 3 unknown.
    #[prost(uint32, tag = "5")]
    pub exit: u32,
    #[prost(sint32, tag = "6")]
    pub exit_value: i32,
    #[prost(string, tag = "7")]
    pub jvm: String,
    #[prost(string, tag = "8")]
    pub bypassed_by: String,
    #[prost(string, repeated, tag = "9")]
    pub inner_allocators: Vec<String>,
}

/// [`model::Memory`].
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Memory {
    #[prost(uint64, tag = "1")]
    pub rss_bytes: u64,
    #[prost(uint64, tag = "2")]
    pub limit_bytes: u64,
    #[prost(uint64, tag = "3")]
    pub cgroup_bytes: u64,
}

/// The columns of [`model::Totals`], of stacks.
pub(crate) const TOTALS: [Column<model::Stack>; 9] = [
    whole(1, |s: &model::Stack| s.totals.samples),
    real(2, |s: &model::Stack| s.totals.bytes),
    real(3, |s: &model::Stack| s.totals.bytes_variance),
    whole(4, |s: &model::Stack| s.totals.bytes_observed),
    real(5, |s: &model::Stack| s.totals.objects),
    real(6, |s: &model::Stack| s.totals.freed_by_app),
    real(7, |s: &model::Stack| s.totals.freed_by_gc),
    whole(8, |s: &model::Stack| s.totals.frees_app),
    whole(9, |s: &model::Stack| s.totals.frees_gc),
];

/// The columns of [`model::Row`]s.
pub(crate) const ROWS: [Column<model::Row>; 13] = [
    whole(1, |r: &model::Row| u64::from(r.stack.0)),
    whole(2, |r: &model::Row| u64::from(kind_code(r.kind))),
    whole(3, |r: &model::Row| u64::from(r.epoch)),
    whole(4, |r: &model::Row| r.interval_bytes),
    whole(5, |r: &model::Row| r.samples),
    real(6, |r: &model::Row| r.bytes),
    real(7, |r: &model::Row| r.bytes_variance),
    whole(8, |r: &model::Row| r.bytes_observed),
    real(9, |r: &model::Row| r.objects),
    real(10, |r: &model::Row| r.objects_variance),
    whole(11, |r: &model::Row| r.smallest_bytes),
    whole(12, |r: &model::Row| r.oldest_ms),
    whole(13, |r: &model::Row| r.resident_bytes.map_or(0, |bytes| bytes.saturating_add(1))),
];

const fn whole<T>(field: u32, of: fn(&T) -> u64) -> Column<T> {
    Column { field, number: Number::Whole(of) }
}

const fn real<T>(field: u32, of: fn(&T) -> f64) -> Column<T> {
    Column { field, number: Number::Real(of) }
}

/// What a `Location` cannot say of a frame: 0 native, 1 Java, 2 marker; plus 4 if inlined.
pub(crate) fn frame_code(frame: &model::Frame) -> u32 {
    let code = match frame.code {
        model::Code::Native { .. } => 0,
        model::Code::Java => 1,
        model::Code::Marker => 2,
    };
    code | u32::from(frame.inlined) << 2
}

const KINDS: [model::Kind; 4] =
    [model::Kind::Malloc, model::Kind::MmapAnon, model::Kind::MmapFile, model::Kind::Thread];

/// The number of a kind: its position in [`KINDS`].
pub(crate) fn kind_code(kind: model::Kind) -> u32 {
    match kind {
        model::Kind::Malloc => 0,
        model::Kind::MmapAnon => 1,
        model::Kind::MmapFile => 2,
        model::Kind::Thread => 3,
    }
}

/// The kind of a number.
pub(crate) fn kind(code: u32) -> Result<model::Kind, Inconsistent> {
    KINDS.get(code as usize).copied().ok_or_else(|| Inconsistent::new(format!("unknown kind of memory {code}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_number_of_its_own() {
        for wanted in KINDS {
            assert_eq!(kind(kind_code(wanted)), Ok(wanted));
        }
        assert!(kind(4).is_err());
    }
}
